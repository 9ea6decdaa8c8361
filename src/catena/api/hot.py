"""The hottest routes, answered straight from the connection's protocol.

Transfers and balance reads skip the framework's per-request machinery when all they need is at
hand (caller and ledger known to this process); anything else takes the ordinary way, which answers
the same. What that saves is measured in bench/README.md. Relies on uvicorn's HttpToolsProtocol.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from catena.api.balances import balance_reply
from catena.api.movements import MOVEMENTS
from catena.api.writes import Context, Reply, parse_key, problem_reply, require, submit
from catena.auth.scopes import Scope
from catena.errors import CatenaError
from catena.ids import ACCOUNT, REQUEST
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.app import App
    from catena.ledger.balances import Balance

__all__ = ["make_protocol"]

_TRANSFERS: Final = b"/v1/transfers"
_TRANSFER: Final = MOVEMENTS["transfer"]
_ACCOUNTS: Final = b"/v1/accounts/"
_BALANCE: Final = b"/balance"
_BALANCE_LENGTH: Final = len(_ACCOUNTS) + len(ACCOUNT) + 32 + len(_BALANCE)
_JSON: Final = b"application/json"
_HEADS: Final = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() for status in HTTPStatus
}

_log = structlog.get_logger(__name__)


class _NoEvent:
    """uvicorn wakes the request under way by an event; nobody waits on a hot one."""

    def set(self) -> None:
        """Nothing to wake."""


class _HotCycle:
    """Stands where uvicorn keeps the request under way, while a hot route answers it."""

    __slots__ = ("account", "body", "context", "disconnected", "keep_alive", "key", "more_body",
                 "response_complete")
    message_event = _NoEvent()

    def __init__(self, context: Context, *, keep_alive: bool, key: str, account: str) -> None:
        self.context = context
        self.key = key
        self.account = account
        self.keep_alive = keep_alive
        self.body = b""
        self.more_body = True
        self.response_complete = False
        self.disconnected = False


def make_protocol(app: App) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, with the hot routes of this application in front."""

    class HotProtocol(HttpToolsProtocol):
        """One connection."""

        def on_headers_complete(self) -> None:
            """Take a hot request; leave any other to uvicorn."""
            cycle = self.cycle
            if cycle is None or cycle.response_complete:
                hot = self._recognise()
                if hot is not None:
                    self.cycle = hot  # type: ignore[assignment]  # has what uvicorn looks at
                    return
            super().on_headers_complete()

        def _recognise(self) -> _HotCycle | None:
            method, url, account = self.parser.get_method(), self.url, ""
            if method == b"POST":
                if url != _TRANSFERS:
                    return None
            elif method == b"GET" and len(url) == _BALANCE_LENGTH and url.endswith(_BALANCE):
                account = url[len(_ACCOUNTS) : -len(_BALANCE)].decode("latin-1")
            else:
                return None
            headers = dict(self.headers)
            if self.expect_100_continue or len(headers) != len(self.headers):
                return None
            caller = app.callers.recall(headers.get(b"authorization", b""))
            if caller is None:
                return None
            named = headers.get(b"catena-ledger")
            ledger = app.ledgers.recall(caller, named.decode("latin-1") if named else None)
            key = headers.get(b"idempotency-key", b"").decode("latin-1")
            if ledger is None or not (account or (key and _takes_json(headers))):
                return None
            context = Context(caller, ledger, app.new_id(REQUEST))
            keep_alive = self.parser.should_keep_alive()
            return _HotCycle(context, keep_alive=keep_alive, key=key, account=account)

        def on_body(self, body: bytes) -> None:
            """Keep the body of a hot request; its length was checked."""
            if type(self.cycle) is _HotCycle:
                self.cycle.body += body
            else:
                super().on_body(body)

        def on_message_complete(self) -> None:
            """Do what a hot request asks for."""
            cycle = self.cycle
            if type(cycle) is not _HotCycle:
                super().on_message_complete()
                return
            context = cycle.context
            try:
                if cycle.account:
                    require(context.caller, Scope.ACCOUNTS_READ)
                    app.balances.submit(
                        context.ledger.number,
                        cycle.account,
                        lambda balance: self._answer_balance(cycle, balance),
                    )
                else:
                    submit(
                        _TRANSFER,
                        context,
                        parse_key(cycle.key),
                        cycle.body,
                        app.journal,
                        lambda reply: self._respond(cycle, reply),
                    )
            except CatenaError as error:
                self._respond(cycle, problem_reply(error, context.request_id))
            except Exception:  # the last resort of a request, as in RequestIds
                _log.exception("request_failed", request_id=context.request_id)
                self._respond(cycle, problem_reply(CatenaError(), context.request_id))

        def _answer_balance(self, cycle: _HotCycle, found: Balance | CatenaError) -> None:
            self._respond(cycle, balance_reply(found, cycle.context))

        def _respond(self, cycle: _HotCycle, reply: Reply) -> None:
            cycle.response_complete = True
            if cycle.disconnected or self.transport.is_closing():
                return
            parts = [_HEADS[reply.status]]
            for name, value in self.server_state.default_headers:
                parts += (name, b": ", value, b"\r\n")
            for name, value in reply.headers:
                parts += (name, b": ", value, b"\r\n")
            parts.append(
                (
                    f"content-type: {reply.content_type}\r\ncontent-length: {len(reply.body)}\r\n"
                    f"request-id: {cycle.context.request_id}\r\n"
                ).encode()
            )
            parts += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", reply.body)
            self.transport.write(b"".join(parts))
            if not cycle.keep_alive:
                self.transport.close()
            self.on_response_complete()

    return HotProtocol


def _takes_json(headers: dict[bytes, Any]) -> bool:
    """A body that is JSON and whose length is told and allowed."""
    length = headers.get(b"content-length", b"")
    return (
        headers.get(b"content-type") == _JSON
        and length.isdigit()
        and int(length) <= LIMITS.body_bytes
    )
