"""What is asked of the sandbox for each capability, and how it is looked up by its key.

Invariant: the key is the order's own, at every try. An order that was sent so long ago that the
sandbox may have forgotten its key is looked up before it is sent again.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from catena.chains.step_types import Answer, Outcome
from catena.clock import Clock
from catena.gateways.contract import ALREADY_CAPTURED, Capability, Order
from catena.gateways.sandbox.calls import Line, read_act, read_found, read_whole

__all__ = ["WAYS", "Way", "act", "check", "look_up"]

_REMEMBERED: Final = dt.timedelta(hours=23)
"""How long the sandbox surely remembers a key: a day, less what our clocks may differ by."""

_CARD_NUMBER: Final = re.compile(r"\d(?:[ -]?\d){11,18}")


class Way(NamedTuple):
    """How an order is sent: the path, what its body says, and where what came of it is listed."""

    path: Callable[[Order], str]
    body: Callable[[Order], Mapping[str, Any]]
    listed: str
    about: bool = False
    """It is about a charge or payout, which the order names."""


def _charge(order: Order, *, capture: bool) -> Mapping[str, Any]:
    money = {"amount": order.amount, "currency": order.currency}
    return {**money, "method": dict(order.method), "capture": capture, **_say(order)}


def _pay_out(order: Order) -> Mapping[str, Any]:
    money = {"amount": order.amount, "currency": order.currency}
    return {**money, "destination": dict(order.method), **_say(order)}


def _say(order: Order) -> Mapping[str, Any]:
    return {"note": order.note, "metadata": {"chain": order.chain, "step": order.step}}


def _about(order: Order) -> str:
    return quote(order.about or "", safe="")


def _cancel_path(order: Order) -> str:
    things = "payouts" if (order.about or "").startswith("po_") else "charges"
    return f"/v1/{things}/{_about(order)}/cancel"


WAYS: Final[Mapping[Capability, Way]] = {
    Capability.CHARGE: Way(
        lambda _: "/v1/charges", lambda order: _charge(order, capture=True), "charges"
    ),
    Capability.AUTHORISE: Way(
        lambda _: "/v1/charges", lambda order: _charge(order, capture=False), "charges"
    ),
    Capability.CAPTURE: Way(
        lambda order: f"/v1/charges/{_about(order)}/capture",
        lambda order: {"amount": order.amount, **_say(order)},
        "captures",
        about=True,
    ),
    Capability.CANCEL: Way(_cancel_path, _say, "cancellations", about=True),
    Capability.REFUND: Way(
        lambda _: "/v1/refunds",
        lambda order: {"charge": order.about, "amount": order.amount, **_say(order)},
        "refunds",
        about=True,
    ),
    Capability.PAYOUT: Way(lambda _: "/v1/payouts", _pay_out, "payouts"),
}


async def act(line: Line, clock: Clock, way: Way, order: Order) -> Answer:
    """Send an order. It never raises."""
    if way.about and not order.about:
        return Answer(Outcome.DECLINED, code="reference_missing")
    if order.repeats and clock() - order.first_at >= _REMEMBERED:
        found = await look_up(line, way, order)
        if found.outcome is not Outcome.NOT_FOUND:
            return found
    answer = await line.ask(
        "POST", way.path(order), order.timeout_seconds, way.body(order), order.key
    )
    told = read_act(answer, repeats=order.repeats)
    if way is WAYS[Capability.CANCEL] and told.code == _TOO_LATE:
        return await _find_left(line, order, told)
    return told


_TOO_LATE: Final = "too_late"
"""The refusal of a cancellation of what is decided already, whichever way."""


async def _find_left(line: Line, order: Order, refused: Answer) -> Answer:
    """Whether what was to be cancelled has moved money, or nothing of it is left anyway."""
    path = _cancel_path(order).removesuffix("/cancel")
    found = read_whole(await line.ask("GET", path, order.timeout_seconds))
    if found.outcome is Outcome.DECLINED:
        return Answer(Outcome.APPROVED, {"reference": order.about or ""})
    if found.outcome is Outcome.APPROVED:
        code = _TOO_LATE if path.startswith("/v1/payouts") else ALREADY_CAPTURED
        return Answer(Outcome.DECLINED, {}, code, refused.detail)
    return refused._replace(permanent=False)  # asked again, until it can be told


async def look_up(line: Line, way: Way, order: Order) -> Answer:
    """Ask what has become of an order, by its key. It never raises."""
    path = f"/v1/{way.listed}?{urlencode({'key': order.key})}"
    return read_found(await line.ask("GET", path, order.timeout_seconds))


_NAMED: Final[Mapping[Capability, str]] = {
    Capability.CHARGE: "token",
    Capability.AUTHORISE: "token",
    Capability.PAYOUT: "account",
}
"""What a method must name, for those capabilities that take one."""


def check(capability: Capability, method: Mapping[str, Any]) -> Iterator[str]:
    """Why the sandbox would not take such a method; which values are magic it alone knows."""
    name = _NAMED.get(capability)
    if name is None:
        return
    for word in ("type", name):
        if not isinstance(method.get(word), str) or not method[word]:
            yield f"The method needs a text `{word}`."
    if any(isinstance(said, str) and _CARD_NUMBER.search(said) for said in method.values()):
        yield "A method holds a token, never the number of a card or an account."
