"""What is asked of a partner, and its form on the wire.

Invariant: a request that cannot be sent exactly as it stands is refused before anything is
connected. How a message is framed and which host it names is never the caller's to say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import httpcore2
import httpx2

__all__ = ["Refused", "Request", "form_request"]

_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_WITH_BODY: Final = frozenset({"PATCH", "POST", "PUT"})

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"([!-~]([\t -~]*[!-~])?)?")

_OWN_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_PORT_MAX: Final = 65_535


class Request(NamedTuple):
    """One call. `timeout_seconds` bounds all of it: to connect, to send, to read every byte."""

    method: str
    url: str
    body: bytes
    headers: Mapping[str, str]
    timeout_seconds: float


class Refused(Exception):
    """The request cannot be sent. `reason` is a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def form_request(request: Request) -> httpcore2.Request:
    """The request as it goes over the wire. Raises Refused."""
    if request.method not in _METHODS:
        raise Refused("method_refused")
    if not 0 < request.timeout_seconds < math.inf:
        raise Refused("timeout_refused")
    url = _read_url(request.url)
    headers = [(b"Host", url.netloc), *_form_headers(request.headers)]
    if request.body or request.method in _WITH_BODY:
        headers.append((b"Content-Length", b"%d" % len(request.body)))
    return httpcore2.Request(
        request.method,
        httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=headers,
        content=request.body,
    )


def _read_url(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        raise Refused("url_refused") from None
    if (
        url.scheme not in {"http", "https"}
        or not url.host
        or "%" in url.host  # a zone, or what no host's name has in it
        or url.userinfo
        or (url.port is not None and not 0 < url.port <= _PORT_MAX)
    ):
        raise Refused("url_refused")
    return url


def _form_headers(headers: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    yield (b"Accept-Encoding", b"identity")
    if not any(name.lower() == "user-agent" for name in headers):
        yield (b"User-Agent", b"catena")
    for name, value in headers.items():
        if (
            name.lower() in _OWN_HEADERS
            or not _HEADER_NAME.fullmatch(name)
            or not _HEADER_VALUE.fullmatch(value)
        ):
            raise Refused("header_refused")
        yield (name.encode("ascii"), value.encode("ascii"))
