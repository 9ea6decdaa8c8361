"""What is asked of a partner, and its form on the wire.

Invariant: a request that cannot be sent exactly as it stands is refused before anything is
connected. How a message is framed and which host it names is never the caller's to say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import httpx2
from multidict import CIMultiDict
from yarl import URL

__all__ = ["Refused", "Request", "Wire", "form_request"]

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

_KEPT_NAMES: Final = 256
_KEPT_URLS: Final = 1_024
_KEPT_URL_CHARS_MAX: Final = 1_024
"""What is judged once and not at every call, at most, and how long a kept URL may be."""


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


class Wire(NamedTuple):
    """A request as it goes over the wire. Nothing is quoted, added or left out after this."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes


def form_request(request: Request) -> Wire:
    """The request as it goes over the wire. Raises Refused."""
    if request.method not in _METHODS:
        raise Refused("method_refused")
    if not 0 < request.timeout_seconds < math.inf:
        raise Refused("timeout_refused")
    read = _read_url_once if len(request.url) <= _KEPT_URL_CHARS_MAX else _read_url
    url = read(request.url)
    headers = CIMultiDict(_form_headers(request.headers))
    if request.body or request.method in _WITH_BODY:
        headers["Content-Length"] = str(len(request.body))
    return Wire(request.method, url, headers, request.body)


def _read_url(text: str) -> URL:
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
    whole = b"%b://%b%b" % (url.raw_scheme, url.netloc, url.raw_path)
    return URL(whole.decode("ascii"), encoded=True)


_read_url_once = lru_cache(_KEPT_URLS)(_read_url)


def _form_headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield ("Accept-Encoding", "identity")
    if not any(name.lower() == "user-agent" for name in headers):
        yield ("User-Agent", "catena")
    for name, value in headers.items():
        if not _is_callers(name) or not _HEADER_VALUE.fullmatch(value):
            raise Refused("header_refused")
        yield (name, value)


@lru_cache(_KEPT_NAMES)
def _is_callers(name: str) -> bool:
    """Whether this is a header's name, and one that the caller may say."""
    return name.lower() not in _OWN_HEADERS and _HEADER_NAME.fullmatch(name) is not None
