"""The sandbox over HTTP: an ASGI application of its own, as bare as it can be.

Invariant: an act is done once for its key, and kept, before its answer leaves; a request that is to
go wrong goes wrong just as its wire has it. Answers are JSON, but for the pages of
people.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from inspect import isawaitable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import structlog

from catena.sandbox.acts import ACTS, Act, Asked, act_for_payer
from catena.sandbox.exchange import Exchange, Message, TooLarge
from catena.sandbox.magic import Wire, find_wire
from catena.sandbox.page import render_front, render_page
from catena.sandbox.reference import render_sandbox
from catena.sandbox.refusals import Refusal, form_decline, form_refusal
from catena.sandbox.routes import READS, ROUTES, Wanted, decode
from catena.sandbox.things import Charge, Status
from catena.sandbox.world import World

__all__ = ["SandboxHttp"]

_JSON: Final = msgspec.json.Encoder()
_CANONICAL: Final = msgspec.json.Encoder(order="deterministic")
_DIGEST_BYTES: Final = 16
_KEY_CHARACTERS: Final = 255
_PAY: Final = "/pay/"
_HTML: Final = b"text/html; charset=utf-8"
_EXPLAINING: Final[Mapping[str, tuple[Callable[[], bytes], bytes]]] = {
    "/": (render_front, _HTML),
    "/reference": (lambda: render_sandbox().encode(), b"text/plain; charset=utf-8"),
}
"""What anybody is shown who looks in."""
_ID_PLACE: Final = 3
_PATHS: Final = frozenset(path for _, path in (*READS, *ROUTES)) | ACTS.keys()

_log = structlog.get_logger(__name__)


class SandboxHttp:
    """The application."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send)
        try:
            await exchange.read()
            await self._answer(exchange)
        except TooLarge:
            await exchange.reply(*form_refusal("too_large"))
        except Refusal as refusal:
            await exchange.reply(*form_refusal(refusal.code, refusal.message))
        except Exception:  # noqa: BLE001  # whatever it is, somebody waits for an answer
            _log.exception("sandbox_failed", path=exchange.path)
            await exchange.reply(*form_refusal("internal_error"))

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.path.startswith(_PAY):
            await self._answer_payer(exchange, exchange.path.removeprefix(_PAY))
            return
        if exchange.path in _EXPLAINING and exchange.method == "GET":
            render, type = _EXPLAINING[exchange.path]
            await exchange.reply(HTTPStatus.OK, render(), type=type)
            return
        bearer = exchange.headers.get(b"authorization", b"")
        if not hmac.compare_digest(bearer, f"Bearer {self._world.api_key}".encode()):
            raise Refusal("unauthenticated")
        template, id = _find_template(exchange.path)
        act = ACTS.get(template) if exchange.method == "POST" else None
        if act is not None:
            await self._answer_act(exchange, act, id)
        elif (exchange.method, template) in READS:
            wire = self._world.faults.take(exchange.method, exchange.path)
            if wire is None or not await _go_wrong(exchange, wire):
                _, read = READS[exchange.method, template]
                wanted = self._want(exchange, id)
                await exchange.reply(HTTPStatus.OK, _JSON.encode(read(self._world, wanted)))
        elif (exchange.method, template) in ROUTES:
            _, route = ROUTES[exchange.method, template]
            given = route(self._world, self._want(exchange, id))
            given = await given if isawaitable(given) else given
            self._world.store.commit()
            await exchange.reply(HTTPStatus.OK, _JSON.encode(given))
        else:
            raise Refusal("method_not_allowed" if template in _PATHS else "not_found")

    def _want(self, exchange: Exchange, id: str | None) -> Wanted:
        query = dict(parse_qsl(exchange.query))
        return Wanted(id or "", query, exchange.body, self._world.catch_up())

    async def _answer_act(self, exchange: Exchange, act: Act, about: str | None) -> None:
        """Act once for the key; or go wrong, before it or after it."""
        memory, key = self._world.memory, exchange.headers.get(b"idempotency-key", b"").decode()
        if not 0 < len(key) <= _KEY_CHARACTERS:
            raise Refusal("idempotency_key_required")
        body = decode(exchange.body, act.body)
        fault = self._world.faults.take("POST", exchange.path)
        if fault is not None and fault.comes_first and await _go_wrong(exchange, fault):
            return
        asked = Asked(body, about, key, self._world.catch_up())
        request = _digest(exchange.path, body)
        found = memory.find(key, request, asked.now)
        if found is not None:
            if fault is None or not await _go_wrong(exchange, fault):
                await exchange.reply(found.status, bytes(found.body), replayed=True)
            return
        means = act.means(self._world.books, asked)
        wire = fault or find_wire(means, act.name, first=act.first)
        wrong = wire is not None and (
            wire is fault or wire.acts or memory.goes_wrong(request, wire)
        )
        memory.begin(key)
        try:
            if wire and wrong and not wire.acts and await _go_wrong(exchange, wire):
                return
            status, content = self._run(act, asked, request)
            await self._world.store.commit_soon()
            if wire is None or not wire.acts or not await _go_wrong(exchange, wire):
                await exchange.reply(status, content)
        finally:
            memory.end(key)

    def _run(self, act: Act, asked: Asked, request: str) -> tuple[int, bytes]:
        """Act, and keep what was done and answered. Raises Refusal."""
        try:
            thing = act.run(self._world.course, asked)
        except Refusal as refusal:
            status, content = form_refusal(refusal.code, refusal.message)
            if status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
        else:
            if thing.status is Status.DECLINED and thing.reason is not None:
                status, content = form_decline(thing.reason, thing)
            else:
                status, content = HTTPStatus.CREATED, _JSON.encode(thing)
        self._world.memory.remember(asked.key, request, status, content, asked.now)
        return status, content

    async def _answer_payer(self, exchange: Exchange, id: str) -> None:
        """The payer's page, and what the payer says there."""
        now = self._world.catch_up()
        charge = self._world.books.find(Charge, id)
        if exchange.method == "POST":
            said = dict(parse_qsl(exchange.body.decode("latin-1"))).get("approve")
            if said not in ("yes", "no"):
                raise Refusal("invalid_request")
            act_for_payer(self._world.course, charge, now, approve=said == "yes")
            self._world.store.commit()
        elif exchange.method != "GET":
            raise Refusal("method_not_allowed")
        await exchange.reply(HTTPStatus.OK, render_page(charge), type=_HTML)


async def _go_wrong(exchange: Exchange, wire: Wire) -> bool:
    """Let the answer go as the wire has it. False: it is to be answered after all."""
    match wire.how:
        case "status":
            code = (
                "rate_limited" if wire.status == HTTPStatus.TOO_MANY_REQUESTS else "internal_error"
            )
            await exchange.reply(*form_refusal(code))
        case "wait":
            await exchange.wait_gone(wire.seconds)
            return False
        case "hang":
            await exchange.wait_gone(wire.seconds)
            await exchange.cut()
        case "drop":
            await exchange.cut()
    return True


def _find_template(path: str) -> tuple[str, str | None]:
    """The path as the tables have it, and the id in it."""
    if path in _PATHS:
        return path, None
    parts = path.split("/")
    if len(parts) > _ID_PLACE:
        id, parts[_ID_PLACE] = parts[_ID_PLACE], "{id}"
        return "/".join(parts), id
    return path, None


def _digest(path: str, body: object) -> str:
    """What a request is known by: the same for bodies that mean the same."""
    text = path.encode() + b" " + _CANONICAL.encode(body)
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()
