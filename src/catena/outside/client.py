"""The one HTTP client: calls a partner once and says what is certain about it.

Invariant: NotSent only if no byte of the request can have left, NoAnswer whenever one may have
and no whole answer came back. It follows no redirect, keeps no cookie, asks no proxy, and never
tries again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpcore2
import httpx2
import structlog

from catena.outside.network import (
    PROGRESS,
    GuardedNetwork,
    NotReached,
    Progress,
    Resolver,
    resolve_name,
)
from catena.outside.requests import Refused, Request, form_request
from catena.settings import Settings

__all__ = ["NoAnswer", "NotSent", "Outcome", "OutsideClient", "Request", "Response"]

_log = structlog.get_logger(__name__)


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


class OutsideClient:
    """Calls partners over at most `outside_connections` kept connections."""

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Resolver = resolve_name,
        network: httpcore2.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls`: which certificates are trusted; None: those that the system trusts."""
        self._answer_bytes_max = settings.outside_answer_bytes
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or httpx2.create_ssl_context(trust_env=False),
            max_connections=settings.outside_connections,
            keepalive_expiry=settings.outside_idle_seconds,
            network_backend=GuardedNetwork(settings, resolve, network or httpcore2.AnyIOBackend()),
        )
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
        await self._pool.aclose()

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

    async def _exchange(self, wire: httpcore2.Request, progress: Progress) -> Response:
        answer = await self._pool.handle_async_request(wire)
        try:
            if not progress.is_heard:
                # It was there before anybody asked: something that the partner sent behind its
                # last answer. The connection ends with it, as its body is not read.
                raise _BadAnswer("answer_malformed")
            return await self._read_answer(answer)
        finally:
            await answer.aclose()

    async def _read_answer(self, answer: httpcore2.Response) -> Response:
        headers: dict[str, str] = {}
        for raw_name, raw_value in answer.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        parts: list[bytes] = []
        left = self._answer_bytes_max
        async with aclosing(answer.aiter_stream()) as stream:
            async for part in stream:
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
            case httpcore2.RemoteProtocolError() if not progress.is_ended:
                return "answer_malformed"
            case httpcore2.RemoteProtocolError() | httpcore2.NetworkError():
                return "connection_lost"
            case _:
                _log.warning("outside_call_failed", error=type(error).__name__)
                return "internal_error"
