"""One HTTP connection: what is no request is answered as every error is, and never for another.

uvicorn's protocol (HttpToolsProtocol), mended where it would lose a body behind an offer to
upgrade, keep a head of any size, or answer a broken request in place of a whole one before it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from catena.api.writes import Reply, problem_reply
from catena.errors import BadRequest
from catena.ids import REQUEST
from catena.settings import LIMITS

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from catena.app import App

__all__ = ["Protocol"]

_HEADS: Final = {
    int(status): f"HTTP/1.1 {status} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Protocol(HttpToolsProtocol):
    """One connection. The app is its config's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(*args, **kwargs)
        self.app_parts: App = self.config.app.state.catena  # type: ignore[union-attr]
        self._running: Any = None  # a cycle of uvicorn's, or of the hot road
        self._whole_head: object = None
        self._growing_head: object = None
        self._head_bytes = 0
        self.is_parsing = False
        """Whether the parser is within a request."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Remember what is under way; uvicorn itself knows only the last request that came."""
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell what is under way too that nobody is there: more may have come behind it."""
        if self._running is not None:
            self._running.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._unset_keepalive_if_required()
        while data:
            data = self._parse(data)

    def _parse(self, data: bytes) -> bytes:
        """Parse it; gives what is to be parsed once more."""
        head = self.headers
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return self._pass_over(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("This is not a valid HTTP request.")
        else:
            if self.headers is head and head is not self._whole_head:
                self._bound_head(len(data))
        return b""

    def _bound_head(self, size: int) -> None:
        """Give up on a request whose head does not come to its end. `size`: bytes more of it."""
        if self._growing_head is not self.headers:
            self._growing_head, self._head_bytes = self.headers, 0
        self._head_bytes += size
        if self._head_bytes > LIMITS.head_bytes:
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._whole_head = self.headers
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_begin(self) -> None:
        """Begin to parse a request."""
        self.is_parsing = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """End a request, unless it is to come again without its offer to upgrade."""
        self.is_parsing = False
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _pass_over(self, rest: bytes) -> bytes:
        """The request without its offer of another protocol (RFC 9110, 7.8), to be parsed again.

        The parser stops at one, and the body would be lost: some clients offer HTTP/2 with the
        first request of every connection. `rest`: what came behind the head.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("This is no proxy.")
            return b""
        lines = [method, b" ", self.url, b" HTTP/", self.parser.get_http_version().encode()]
        for name, value in self.headers:
            if name != b"upgrade":
                lines += (b"\r\n", name, b": ", value)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"".join((*lines, b"\r\n\r\n", rest))

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP and end the connection.

        A whole request that came before it is answered first, and then this one is not: its answer
        would be taken for the other's.
        """
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not getattr(cycle, "more_body", False):
                cycle.keep_alive = False
                return
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
                before = self.pipeline[0][0] if self.pipeline else self._running
                self.cycle = before
                before.keep_alive = False
                return
        request_id = self.app_parts.number_request(REQUEST)
        self.write(problem_reply(BadRequest(msg), request_id), request_id, keep_alive=False)

    def write(self, reply: Reply, request_id: str, *, keep_alive: bool) -> None:
        """Send an answer, and end the connection unless it is kept."""
        parts = [_begin(reply.status, self.server_state.default_headers)]
        for name, value in reply.headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(
            (
                f"content-type: {reply.content_type}\r\ncontent-length: {len(reply.body)}\r\n"
                f"request-id: {request_id}\r\n"
            ).encode()
        )
        parts += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", reply.body)
        self.transport.write(b"".join(parts))
        if not keep_alive:
            self.transport.close()


def _begin(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    """How answers of this status begin; `headers` are the same list until the date changes."""
    if headers is not _BEGUN.headers:
        _BEGUN.headers = headers
        _BEGUN.by_status.clear()
    begun = _BEGUN.by_status.get(status)
    if begun is None:
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        begun = _BEGUN.by_status[status] = b"".join((_HEADS[status], *lines))
    return begun


class _Begun:
    """Beginnings of answers by status, for one list of headers."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.by_status: dict[int, bytes] = {}


_BEGUN: Final = _Begun()
