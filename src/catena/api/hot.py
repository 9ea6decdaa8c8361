"""The hottest routes, answered straight from what a connection received.

A transfer, a chain's creation, a balance read or a gateway's webhook in plain form, for a caller
and ledger that this process knows, skips the HTTP parser and the framework; everything else takes
the ordinary way, which answers the same. What that saves is in docs/decisions/0007. Relies on
uvicorn's HttpToolsProtocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from catena.api.balances import balance_reply
from catena.api.chains import CREATE
from catena.api.movements import MOVEMENTS
from catena.api.protocol import Protocol
from catena.api.webhooks import receipt_reply
from catena.api.writes import (
    JSON,
    Context,
    Reply,
    Write,
    parse_key,
    problem_reply,
    require,
    submit,
)
from catena.auth.scopes import Scope
from catena.errors import CatenaError, UnknownCurrency
from catena.flows.inbox import Receipt
from catena.gateways.contract import ForgedWebhook, UnreadableWebhook
from catena.ids import REQUEST
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.ledger.balances import Balance

__all__ = ["HotProtocol"]

_WRITES: Final = {b"transfers": MOVEMENTS["transfer"], b"chains": CREATE}
_PLAIN: Final = rb"[!-~](?:[ -~]*[!-~])?"
_HEAD: Final = re.compile(
    rb"(?:POST /v1/(?:(transfers|chains)|webhooks/(gw_[0-9a-f]{32}))"
    rb"|GET /v1/accounts/(acct_[0-9a-f]{32})/balance) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]++: " + _PLAIN + rb"\r\n)++)\r\n"
)
"""The plain form: no folded line, no empty value, nothing but printable ASCII."""
_FIELD: Final = re.compile(rb"([^:]+): ([^\r]+)\r\n")
_VALUE: Final = re.compile(_PLAIN)
_LENGTH: Final = re.compile(rb"[0-9]{1,10}")
_CHANGING: Final = re.compile(rb"\n(idempotency-key|content-length): ([^\r]+)", re.IGNORECASE)
_UNUSUAL: Final = {
    b"expect",
    b"transfer-encoding",
    b"content-encoding",
    b"prefer",
    b"proxy-connection",
    b"upgrade",
}
"""Headers of requests that take the ordinary way."""
_JSON: Final = JSON.encode()
_LEFT: Final = (UnknownCurrency, ForgedWebhook, UnreadableWebhook)
"""Left to the ordinary way before anything was done: it reads the ledger's assets anew, or says
what is wrong with a webhook.
"""

_log = structlog.get_logger(__name__)


class _Head(NamedTuple):
    """A hot request's head. `account`: whose balance is asked for; None for a `write`, and `key` is
    its Idempotency-Key.

    `end`: where its body begins, `length`: of its body, both in bytes.
    """

    account: str | None
    write: Write | None
    authorization: bytes
    ledger: bytes | None
    key: bytes
    end: int
    length: int


class _Hook(NamedTuple):
    """The head of a webhook to a gateway's connection. `headers`: with names in lower case."""

    connection: str
    headers: Mapping[str, str]
    end: int
    length: int


class _Form(NamedTuple):
    """A write's head but for its Idempotency-Key and Content-Length, in the order that they had:
    a connection's next head is mostly the same but for these two.
    """

    before: bytes
    between: bytes
    after: bytes
    key_first: bool
    head: _Head

    def read(self, data: bytes) -> _Head | None:
        """The head, if it has this form."""
        if not data.startswith(self.before):
            return None
        start = len(self.before)
        end = data.find(b"\r", start)
        first = data[start:end]
        if not data.startswith(self.between, end):
            return None
        start = end + len(self.between)
        end = data.find(b"\r", start)
        second = data[start:end]
        if not data.startswith(self.after, end):
            return None
        key, length = (first, second) if self.key_first else (second, first)
        return _finish(self.head, key, length, end + len(self.after))


class _NoEvent:
    """uvicorn wakes the request under way by an event; nobody waits on a hot one."""

    def set(self) -> None:
        """Nothing to wake."""


class _HotCycle:
    """A hot request under way; stands where uvicorn keeps its own."""

    __slots__ = ("disconnected", "keep_alive", "request_id", "response_complete")
    message_event = _NoEvent()

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.keep_alive = True
        self.response_complete = False
        self.disconnected = False


class HotProtocol(Protocol):
    """One connection, with the hot routes in front."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(*args, **kwargs)
        self._held: list[bytes] = []
        self._missing = 0
        self._answered_at = 0.0
        self._form: _Form | None = None

    def data_received(self, data: bytes) -> None:
        """Answer a hot request, or parse what came."""
        if self._held:
            self._held.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._held)
            self._held.clear()
        # A caller that does not read its answers waits on the ordinary road.
        is_free = not self.is_parsing and not self.flow.write_paused and self._is_free()
        if not is_free or not self._take(data):
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what never became whole."""
        self._held.clear()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _is_free(self) -> bool:
        """Whether nothing is under way here."""
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _take(self, data: bytes) -> bool:
        """Do what a hot request asks for, or keep it until its body is whole. False: it is none."""
        head: _Head | _Hook | None = self._form and self._form.read(data)
        if head is None:
            head, self._form = _read_head(data)
        if head is None:
            return False
        missing = head.end + head.length - len(data)
        if missing < 0:
            return False  # another request follows it
        request_id = self.app_parts.number_request(REQUEST)
        start = (
            self._find_hook(head) if isinstance(head, _Hook) else self._identify(head, request_id)
        )
        if start is None:
            return False
        if missing:
            self._held.append(data)
            self._missing = missing
            return True
        before, cycle = self.cycle, _HotCycle(request_id)
        self.cycle = self._running = cycle  # type: ignore[assignment]  # has what uvicorn looks at
        try:
            start(cycle, data[head.end :])
        except _LEFT:
            self.cycle = before
            return False
        except CatenaError as error:
            self._respond(cycle, problem_reply(error, request_id))
        except Exception:  # noqa: BLE001  # the last resort of a request, as `http.RequestIds` is
            _log.exception("request_failed", request_id=request_id)
            self._respond(cycle, problem_reply(CatenaError(), request_id))
        return True

    def _identify(self, head: _Head, request_id: str) -> _Start | None:
        """What does it, if this process knows for whom and where."""
        caller = self.app_parts.callers.recall(head.authorization)
        if caller is None:
            return None
        named = head.ledger
        ledger = self.app_parts.ledgers.recall(caller, None if named is None else named.decode())
        if ledger is None:
            return None
        context = Context(caller, ledger, request_id, catalogue=self.app_parts.catalogue)
        return partial(self._start, context, head)

    def _find_hook(self, hook: _Hook) -> _Start | None:
        """What takes a webhook in, if this process knows its gateway and ledger."""
        connection = self.app_parts.gateways.find_id(hook.connection)
        if connection is None or connection.gateway.read_webhook is None:
            return None
        ledger = self.app_parts.ledgers.recall_any(connection.ledger)
        if ledger is None:
            return None
        gateway, read = connection.gateway.name, connection.gateway.read_webhook

        def take(cycle: _HotCycle, body: bytes) -> None:
            notices = read(hook.headers, body, self.app_parts.clock())

            def tell(receipt: Receipt | CatenaError) -> None:
                if isinstance(receipt, CatenaError):
                    self._respond(cycle, problem_reply(receipt, cycle.request_id))
                else:
                    self._respond(cycle, receipt_reply(receipt))

            self.app_parts.inbox.receive(ledger, gateway, notices, tell)

        return take

    def _start(self, context: Context, head: _Head, cycle: _HotCycle, body: bytes) -> None:
        if head.account is not None:
            require(context.caller, Scope.ACCOUNTS_READ)

            def tell(found: Balance | CatenaError) -> None:
                self._respond(cycle, balance_reply(found, context))

            self.app_parts.balances.submit(context.ledger.number, head.account, tell)
        else:

            def reply(reply: Reply) -> None:
                self._respond(cycle, reply)

            assert head.write is not None  # noqa: S101  # or there is an account
            require(context.caller, head.write.scope or "")
            key = parse_key(head.key.decode())
            submit(head.write, context, key, body, self.app_parts.journal, reply)

    def _respond(self, cycle: _HotCycle, reply: Reply) -> None:
        cycle.response_complete = True
        if cycle.disconnected or self.transport.is_closing():
            return
        self.write(reply, cycle.request_id, keep_alive=cycle.keep_alive)
        if self.pipeline or self.timeout_keep_alive_task is None:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
        self._answered_at = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection.

        Hot requests leave its timer alone: to set one for each costs more than to look, when it
        rings, whether there were any.
        """
        quiet = self.loop.time() - self._answered_at if self._is_free() and not self._held else 0.0
        if quiet >= self.timeout_keep_alive:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive - quiet, self.timeout_keep_alive_handler
            )


_Start = Callable[[_HotCycle, bytes], None]
"""Does what a request asks for, given its body, and answers it now or later."""


def _read_head(data: bytes) -> tuple[_Head | _Hook | None, _Form | None]:
    """The head of a hot request, and the form of a write's; None for any other."""
    found = _HEAD.match(data)
    if found is None or found.end() > LIMITS.head_bytes:
        return None, None
    route, hook, account, lines = found.groups()
    fields = _FIELD.findall(lines)
    headers = {name.lower(): value for name, value in fields}
    if len(headers) != len(fields) or not _is_usual(headers):
        return None, None
    caller, ledger = headers.get(b"authorization", b""), headers.get(b"catena-ledger")
    key, length = headers.get(b"idempotency-key"), headers.get(b"content-length")
    if hook is not None:
        return _read_hook(hook, headers, found.end()), None
    if account is not None and length is None:
        return _Head(account.decode(), None, caller, ledger, b"", found.end(), 0), None
    if account or key is None or length is None or headers.get(b"content-type") != _JSON:
        return None, None
    plain = _Head(None, _WRITES[route], caller, ledger, key, 0, 0)
    head = _finish(plain, key, length, found.end())
    return head, None if head is None else _form_of(head, data[: found.end()])


def _read_hook(connection: bytes, headers: Mapping[bytes, bytes], end: int) -> _Hook | None:
    length = headers.get(b"content-length", b"")
    if not _LENGTH.fullmatch(length) or int(length) > LIMITS.webhook_bytes:
        return None
    plain = {name.decode(): value.decode() for name, value in headers.items()}
    return _Hook(connection.decode(), plain, end, int(length))


def _finish(head: _Head, key: bytes, length: bytes, end: int) -> _Head | None:
    """The head with what changes from request to request, if that is usual too."""
    if not _VALUE.fullmatch(key) or not _LENGTH.fullmatch(length):
        return None
    size, write = int(length), head.write
    if write is None or size > write.body_bytes or end > LIMITS.head_bytes:
        return None
    return _Head(None, write, head.authorization, head.ledger, key, end, size)


def _form_of(head: _Head, text: bytes) -> _Form:
    first, second = _CHANGING.finditer(text)
    return _Form(
        text[: first.start(2)],
        text[first.end(2) : second.start(2)],
        text[second.end(2) :],
        first[1].lower() == b"idempotency-key",
        head,
    )


def _is_usual(headers: dict[bytes, bytes]) -> bool:
    kept = headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
    return kept and _UNUSUAL.isdisjoint(headers)
