"""The hottest routes, answered straight from the connection's protocol.

Transfers and balance reads skip the framework's per-request machinery when all they need is at
hand (caller and ledger known to this process); anything else takes the ordinary way, which answers
the same. What that saves is in bench/README.md. Relies on uvicorn's HttpToolsProtocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from catena.api.balances import balance_reply
from catena.api.movements import MOVEMENTS
from catena.api.protocol import Protocol
from catena.api.writes import Context, Reply, parse_key, problem_reply, require, submit
from catena.auth.scopes import Scope
from catena.errors import CatenaError, UnknownCurrency
from catena.ids import ACCOUNT, REQUEST, parse_id
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.ledger.balances import Balance

__all__ = ["HotProtocol"]

_TRANSFERS: Final = b"/v1/transfers"
_TRANSFER: Final = MOVEMENTS["transfer"]
_ACCOUNTS: Final = b"/v1/accounts/"
_BALANCE: Final = b"/balance"
_BALANCE_LENGTH: Final = len(_ACCOUNTS) + len(ACCOUNT) + 32 + len(_BALANCE)
_UNUSUAL: Final = {b"expect", b"transfer-encoding", b"content-encoding"}
"""Headers of requests that take the ordinary way."""

_log = structlog.get_logger(__name__)


class _NoEvent:
    """uvicorn wakes the request under way by an event; nobody waits on a hot one."""

    def set(self) -> None:
        """Nothing to wake."""


class _HotCycle:
    """A hot request under way; stands where uvicorn keeps its own.

    `account`: whose balance is asked for; empty for a transfer, whose Idempotency-Key is `key`.
    """

    __slots__ = (
        "account",
        "body",
        "context",
        "disconnected",
        "keep_alive",
        "key",
        "response_complete",
    )
    message_event = _NoEvent()

    def __init__(self, context: Context, *, keep_alive: bool, key: str, account: str) -> None:
        self.context = context
        self.key = key
        self.account = account
        self.keep_alive = keep_alive
        self.body = b""
        self.response_complete = False
        self.disconnected = False


class HotProtocol(Protocol):
    """One connection, with the hot routes in front."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(*args, **kwargs)
        self._receiving: _HotCycle | None = None

    def take_over(self) -> bool:
        """Take a hot request, unless another is under way here; leave the rest to uvicorn."""
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self._receiving = self._recognise()
        if self._receiving is None:
            return False
        self.cycle = self._receiving  # type: ignore[assignment]  # has what uvicorn looks at
        return True

    def on_body(self, body: bytes) -> None:
        """Keep the body of a hot request; its length was checked."""
        if self._receiving is None:
            super().on_body(body)
        else:
            self._receiving.body += body

    def on_message_complete(self) -> None:
        """Do what a hot request asks for."""
        cycle, self._receiving = self._receiving, None
        if cycle is None:
            super().on_message_complete()
            return
        request_id = cycle.context.request_id
        try:
            self._start(cycle)
        except UnknownCurrency:
            self._hand_over(cycle)
        except CatenaError as error:
            self._respond(cycle, problem_reply(error, request_id))
        except Exception:  # noqa: BLE001  # the last resort of a request, as `http.RequestIds` is
            _log.exception("request_failed", request_id=request_id)
            self._respond(cycle, problem_reply(CatenaError(), request_id))

    def _hand_over(self, cycle: _HotCycle) -> None:
        """Let the request go the ordinary way after all: there the ledger's assets are read anew.

        Nothing of the next request has been parsed yet, so uvicorn finds this one's head as it was.
        """
        self.cycle = None  # type: ignore[assignment]
        HttpToolsProtocol.on_headers_complete(self)
        super().on_body(cycle.body)
        super().on_message_complete()

    def _recognise(self) -> _HotCycle | None:
        """The request as a hot one, if it is one and all that it needs is at hand."""
        account = self._find_route()
        if account is None:
            return None
        headers = dict(self.headers)
        if len(headers) != len(self.headers) or not _UNUSUAL.isdisjoint(headers):
            return None
        caller = self.app_parts.callers.recall(headers.get(b"authorization", b""))
        if caller is None:
            return None
        named = headers.get(b"catena-ledger")
        ledger = self.app_parts.ledgers.recall(
            caller, None if named is None else named.decode("latin-1")
        )
        key = headers.get(b"idempotency-key", b"").decode("latin-1")
        if ledger is None:
            return None
        if b"content-length" in headers if account else not (key and _brings_json(headers)):
            return None
        context = Context(caller, ledger, self.app_parts.number_request(REQUEST))
        keep_alive = self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        return _HotCycle(context, keep_alive=keep_alive, key=key, account=account)

    def _find_route(self) -> str | None:
        """The account whose balance is asked for, "" for a transfer, or None for other routes."""
        method, url = self.parser.get_method(), self.url
        if method == b"POST" and url == _TRANSFERS:
            return ""
        if method != b"GET" or len(url) != _BALANCE_LENGTH:
            return None
        if not (url.startswith(_ACCOUNTS) and url.endswith(_BALANCE)):
            return None
        return url[len(_ACCOUNTS) : -len(_BALANCE)].decode("latin-1")

    def _start(self, cycle: _HotCycle) -> None:
        context = cycle.context
        if cycle.account:
            require(context.caller, Scope.ACCOUNTS_READ)

            def tell(found: Balance | CatenaError) -> None:
                self._respond(cycle, balance_reply(found, context))

            id = parse_id(ACCOUNT, cycle.account)
            self.app_parts.balances.submit(context.ledger.number, id, tell)
        else:

            def reply(reply: Reply) -> None:
                self._respond(cycle, reply)

            key = parse_key(cycle.key)
            submit(_TRANSFER, context, key, cycle.body, self.app_parts.journal, reply)

    def _respond(self, cycle: _HotCycle, reply: Reply) -> None:
        cycle.response_complete = True
        if cycle.disconnected or self.transport.is_closing():
            return
        self.write(reply, cycle.context.request_id, keep_alive=cycle.keep_alive)
        self.on_response_complete()


def _brings_json(headers: dict[bytes, bytes]) -> bool:
    """Whether the body is declared as JSON, and its length as one that is allowed."""
    length = headers.get(b"content-length", b"")
    return (
        headers.get(b"content-type") == b"application/json"
        and length.isdigit()
        and int(length) <= LIMITS.body_bytes
    )
