"""What can be asked of the sandbox besides acts of money: what is there, its clock, its faults.

Invariant: nothing here needs an Idempotency-Key; what it changes is the play, not the money, but
for what payers and their banks do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from catena.errors import InvalidInput
from catena.sandbox.acts import (
    CloseRequest,
    DisputeRequest,
    PayerRequest,
    act_for_payer,
    close_dispute,
    open_dispute,
)
from catena.sandbox.books import KINDS
from catena.sandbox.faults import Fault
from catena.sandbox.refusals import Refusal
from catena.sandbox.things import Charge, Dispute, Event
from catena.sandbox.world import World

__all__ = ["READS", "ROUTES", "Route", "Wanted", "decode"]

_PAGE: Final = 1_000
_ADVANCE_SECONDS: Final = 10 * 366 * 86_400.0


class Wanted(NamedTuple):
    """One request. `id`: in its path; `query`: each parameter once."""

    id: str
    query: Mapping[str, str]
    body: bytes
    now: dt.datetime


Route = Callable[[World, Wanted], Any | Awaitable[Any]]
"""Gives what is answered, as JSON."""


class _Endpoint(Struct, forbid_unknown_fields=True):
    url: str
    secret: str | None = None


class _Advance(Struct, forbid_unknown_fields=True):
    seconds: float


def decode(body: bytes, type: type[Any]) -> Any:  # noqa: ANN401  # of that type
    """The body of a request. Raises Refusal."""
    try:
        return msgspec.json.decode(body or b"{}", type=type)
    except msgspec.ValidationError as error:
        raise Refusal("invalid_request", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal("invalid_request", "The body is no JSON.") from None


def _find_thing(kind: str, world: World, wanted: Wanted) -> object:
    return world.books.find(KINDS[kind], wanted.id)


def _list_things(kind: str, world: World, wanted: Wanted) -> object:
    query = wanted.query
    return {"data": world.books.list(kind, key=query.get("key"), about=query.get("about"))}


def _act(world: World, wanted: Wanted) -> object:
    charge = world.books.find(Charge, wanted.id)
    said: PayerRequest = decode(wanted.body, PayerRequest)
    act_for_payer(world.course, charge, wanted.now, approve=said.approve)
    return charge


def _open_dispute(world: World, wanted: Wanted) -> object:
    return open_dispute(world.course, decode(wanted.body, DisputeRequest), wanted.now)


def _close_dispute(world: World, wanted: Wanted) -> object:
    dispute = world.books.find(Dispute, wanted.id)
    close_dispute(world.course, dispute, decode(wanted.body, CloseRequest), wanted.now)
    return dispute


def _read_statement(world: World, wanted: Wanted) -> object:
    since, until = (_read_time(wanted.query.get(name)) for name in ("since", "until"))
    limit = _read_limit(wanted.query)
    lines = world.books.read_statement(since, until, wanted.query.get("after"), limit)
    return {"data": lines, "next": lines[-1].id if len(lines) == limit else None}


def _audit(world: World, wanted: Wanted) -> object:
    return {"data": world.books.count_effects(wanted.query.get("key"))}


def _list_events(world: World, wanted: Wanted) -> object:
    query = wanted.query
    limit = _read_limit(query)
    events = world.announcer.list(query.get("about"), query.get("after"), limit)
    return {
        "data": [_show_event(world, event) for event in events],
        "next": events[-1].id if len(events) == limit else None,
    }


def _show_event(world: World, event: Event) -> dict[str, Any]:
    return {**msgspec.structs.asdict(event), "deliveries": world.announcer.deliveries(event)}


async def _send_again(world: World, wanted: Wanted) -> object:
    event = world.announcer.send_again(wanted.id, wanted.now)
    await world.wait_idle()
    return _show_event(world, event)


def _add_endpoint(world: World, wanted: Wanted) -> object:
    said: _Endpoint = decode(wanted.body, _Endpoint)
    try:
        return world.courier.add_endpoint(said.url, said.secret)
    except InvalidInput as error:
        raise Refusal("invalid_request", error.detail) from None


def _list_endpoints(world: World, wanted: Wanted) -> object:
    del wanted
    return {"data": [{"id": one.id, "url": one.url} for one in world.courier.endpoints.values()]}


def _remove_endpoint(world: World, wanted: Wanted) -> object:
    world.courier.remove_endpoint(wanted.id)
    return {}


def _show_clock(world: World, wanted: Wanted) -> object:
    del wanted
    setting = world.clock.setting
    return {
        "now": world.clock.now(),
        "stands": setting.stands_at is not None,
        "ahead_seconds": setting.ahead.total_seconds(),
    }


async def _advance(world: World, wanted: Wanted) -> object:
    said: _Advance = decode(wanted.body, _Advance)
    if not 0 <= said.seconds <= _ADVANCE_SECONDS:
        raise Refusal("invalid_request", "The clock goes forward, ten years at most.")
    await world.set_clock("advance", said.seconds)
    return _show_clock(world, wanted)


async def _turn(act: str, world: World, wanted: Wanted) -> object:
    await world.set_clock(act)
    return _show_clock(world, wanted)


def _order_fault(world: World, wanted: Wanted) -> object:
    world.faults.order(decode(wanted.body, Fault))
    return _list_faults(world, wanted)


def _list_faults(world: World, wanted: Wanted) -> object:
    del wanted
    return {"data": world.faults.list()}


def _clear_faults(world: World, wanted: Wanted) -> object:
    del wanted
    world.faults.clear()
    return {"data": []}


def _read_time(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Refusal("invalid_request", "A time is as in ISO 8601, with its offset.")
    return at


def _read_limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(_PAGE))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _PAGE):
        raise Refusal("invalid_request", f"A limit is a number from 1 to {_PAGE}.")
    return int(text)


READS: Final[Mapping[tuple[str, str], tuple[str, Route]]] = {
    ("GET", f"/v1/{kind}s{path}"): (meaning.format(kind=kind), partial(read, kind))
    for kind in KINDS
    for path, meaning, read in (
        ("", "Those with `key`, `about` a charge or payout, or all.", _list_things),
        ("/{id}", "One {kind}.", _find_thing),
    )
}
"""By method and path: what it gives, and how."""

ROUTES: Final[Mapping[tuple[str, str], tuple[str, Route]]] = {
    ("POST", "/v1/charges/{id}/act"): (
        "The payer who must act does: `{approve: true}` or false.",
        _act,
    ),
    ("POST", "/v1/disputes"): (
        "A payer disputes a `charge`, all of it or an `amount`.",
        _open_dispute,
    ),
    ("POST", "/v1/disputes/{id}/close"): ("Its `outcome`: `won` by us, or `lost`.", _close_dispute),
    ("GET", "/v1/statement"): (
        "What moved money, `since` and `until` two times; `next` is the `after` of the next page.",
        _read_statement,
    ),
    ("GET", "/v1/audit"): ("How often what was really done, by key; or for one `key`.", _audit),
    ("GET", "/v1/events"): (
        "What has happened, `about` one thing or at all, and how each event was sent.",
        _list_events,
    ),
    ("POST", "/v1/events/{id}/resend"): ("Send an event once more.", _send_again),
    ("GET", "/v1/webhook_endpoints"): ("Where events are sent.", _list_endpoints),
    ("POST", "/v1/webhook_endpoints"): (
        "Send events to a `url`, too, signed with its `secret` or one that is made.",
        _add_endpoint,
    ),
    ("DELETE", "/v1/webhook_endpoints/{id}"): ("Send none there any more.", _remove_endpoint),
    ("GET", "/v1/clock"): ("The sandbox's time.", _show_clock),
    ("POST", "/v1/clock/advance"): (
        "Set the clock on by `seconds`; answered once what is due is done and its events are sent.",
        _advance,
    ),
    ("POST", "/v1/clock/stop"): ("Let the clock stand still.", partial(_turn, "stop")),
    ("POST", "/v1/clock/run"): ("Let it go on.", partial(_turn, "run")),
    ("GET", "/v1/faults"): ("The faults that are ordered.", _list_faults),
    ("POST", "/v1/faults"): (
        "The next `count` requests to this `path` and below go as the `wire` has it.",
        _order_fault,
    ),
    ("DELETE", "/v1/faults"): ("Forget them.", _clear_faults),
}
"""By method and path: what it does, and how."""
