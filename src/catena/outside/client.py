"""The one HTTP client: calls a partner once and says what is certain about it.

Invariant: NotSent only if no byte of the request can have left, NoAnswer whenever one may have
and no whole answer came back. It follows no redirect, keeps no cookie, asks no proxy, and never
tries again.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import httpx2
import structlog
from aiohttp import (
    ClientConnectionError,
    ClientPayloadError,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    HttpVersion10,
    HttpVersion11,
)
from aiohttp.http_exceptions import HttpProcessingError

from catena.outside.network import (
    PROGRESS,
    GuardedConnector,
    NotReached,
    Opener,
    Progress,
    Resolver,
    open_socket,
    resolve_name,
)
from catena.outside.requests import Refused, Request, Wire, form_request
from catena.outside.writing import AsSigned, Body
from catena.settings import Settings

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

__all__ = ["NoAnswer", "NotSent", "Outcome", "OutsideClient", "Request", "Response"]

_log = structlog.get_logger(__name__)

_VERSIONS: Final = (HttpVersion11, HttpVersion10)
_STATUS_MIN: Final = 200
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NO_TIMEOUT: Final = ClientTimeout()
"""The deadline of a call is ours, and bounds all of it."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. `headers`: names in lower case; values of one name joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NotSent:
    """The partner certainly never received the request. `reason` is a stable code."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The partner may have received the request. `reason` is a stable code."""

    reason: str


Outcome = Response | NotSent | NoAnswer


def _name_wait(progress: Progress) -> str:
    """What was waited for when the time was over."""
    if progress.is_sent:
        return "timeout"
    return "connect_timeout" if progress.is_connecting else "no_connection_free"


class _BadAnswer(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Lost(Exception):
    """The connection ended under a call."""


async def _call_once(request: ClientRequest, call: ClientHandlerType) -> ClientResponse:
    """The library calls again when a kept connection ends under a GET; for us it is an outcome."""
    try:
        return await call(request)
    except ClientConnectionError as error:
        raise _Lost from error


class OutsideClient:
    """Calls partners over at most `outside_connections` kept connections."""

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Resolver = resolve_name,
        open_to: Opener = open_socket,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls`: which certificates are trusted; None: those that the system trusts.

        It is made within the loop that it is used in.
        """
        tls = tls or httpx2.create_ssl_context(trust_env=False)
        tls.set_alpn_protocols(["http/1.1"])
        self._answer_bytes_max = settings.outside_answer_bytes
        self._session = ClientSession(
            connector=GuardedConnector(settings, resolve, open_to, tls),
            request_class=AsSigned,
            middlewares=(_call_once,),
            timeout=_NO_TIMEOUT,
            cookie_jar=DummyCookieJar(),
            skip_auto_headers=("Accept", "Content-Type"),
            auto_decompress=False,
            trust_env=False,
        )
        self._free = asyncio.Semaphore(settings.outside_connections)
        self._deadlines: set[asyncio.Timeout] = set()
        self._is_closed = False
        self._is_quiet = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the calls under way, each with the outcome that it has come to, and connections."""
        self._is_closed = True
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())
        if self._deadlines:
            self._is_quiet.clear()
            await self._is_quiet.wait()
        await self._session.close()

    async def send(self, request: Request) -> Outcome:
        """What became of one call. Raises nothing but the cancellation of the task that asks."""
        if self._is_closed:
            return NotSent("client_closed")
        progress = Progress()
        PROGRESS.set(progress)
        try:
            wire = form_request(request)
            async with asyncio.timeout(request.timeout_seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    async with self._free:
                        return await self._exchange(wire, progress)
                finally:
                    self._forget(deadline)
        except Exception as error:  # noqa: BLE001  # whatever happens is an outcome
            reason = self._name_reason(error, progress)
        return NoAnswer(reason) if progress.is_sent else NotSent(reason)

    def _forget(self, deadline: asyncio.Timeout) -> None:
        self._deadlines.discard(deadline)
        if not self._deadlines:
            self._is_quiet.set()

    async def _exchange(self, wire: Wire, progress: Progress) -> Response:
        answer = await self._session.request(
            wire.method,
            wire.url,
            headers=wire.headers,
            data=Body(wire.body) if wire.body else None,
            allow_redirects=False,
        )
        try:
            progress.body = answer.content
            broken = progress.line and progress.line.exception()
            if broken and not answer.content.is_eof():
                raise broken
            return await self._read_answer(answer)
        finally:
            answer.close()

    async def _read_answer(self, answer: ClientResponse) -> Response:
        headers: dict[str, str] = {}
        for raw_name, raw_value in answer.raw_headers:
            if _CONTROL.search(raw_value):
                raise _BadAnswer("answer_malformed")
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if (
            answer.status < _STATUS_MIN
            or answer.version not in _VERSIONS
            or headers.get("transfer-encoding", "chunked").lower() != "chunked"
        ):
            raise _BadAnswer("answer_malformed")
        parts: list[bytes] = []
        left = self._answer_bytes_max
        while part := await answer.content.readany():
            left -= len(part)
            if left < 0:
                raise _BadAnswer("answer_too_large")
            parts.append(part)
        body = b"".join(parts)
        if body and headers.get("content-encoding", "identity").lower() != "identity":
            raise _BadAnswer("answer_encoded")
        if body and not headers.keys() & {"content-length", "transfer-encoding"}:
            raise _BadAnswer("answer_unframed")  # nobody can tell whether all of it came
        return Response(answer.status, headers, body)

    def _name_reason(self, error: Exception, progress: Progress) -> str:
        match error:
            case Refused(reason=reason) | NotReached(reason=reason) | _BadAnswer(reason=reason):
                return reason
            case TimeoutError():
                return "client_closed" if self._is_closed else _name_wait(progress)
            case ClientResponseError() | HttpProcessingError():
                return "answer_malformed"
            case _Lost() | ClientConnectionError() | ClientPayloadError():
                return "connection_lost"
            case _:
                _log.warning("outside_call_failed", error=type(error).__name__)
                return "internal_error"
