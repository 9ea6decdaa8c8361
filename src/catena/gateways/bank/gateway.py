"""The bank as a gateway: payouts that join a file, and statements. The engine does the storing.

Invariant: an order that is taken is pending until the bank's own messages say otherwise; only what
can certainly not be sent is declined here, before anything is stored.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from catena.chains.step_types import Answer, Outcome
from catena.gateways.bank.accounts import blame_bic, blame_iban, tidy_iban
from catena.gateways.bank.characters import blame_text
from catena.gateways.bank.limits import NAME_CHARACTERS_MAX, REMITTANCE_CHARACTERS_MAX
from catena.gateways.bank.orders import PayoutOrder, check_order
from catena.gateways.bank.references import end_to_end_id, is_rf_reference, normalise_reference
from catena.gateways.contract import Capability, Gateway, Order, StatementReader

__all__ = ["Collect", "LookUp", "connect"]

Collect = Callable[[PayoutOrder], Awaitable[Answer]]
"""Stores an order under its key, once however often it is asked, to join the next file. It answers
pending with the EndToEndId as `reference`, or what has become of the order meanwhile."""

LookUp = Callable[[str], Awaitable[Answer]]
"""What has become of the order with this key; not found: there is none, and there never was."""

_KNOWN: Final = frozenset({"type", "iban", "name", "bic", "remittance"})


def connect(
    name: str,
    *,
    collect: Collect,
    look_up: LookUp,
    read_statement: StatementReader,
    pick_day: Callable[[dt.datetime], dt.date],
) -> Gateway:
    """The gateway of one bank account. `pick_day`: on which day the bank is asked to carry out an
    order whose key was first used at this moment: the same day for the same moment.
    """

    async def pay(order: Order) -> Answer:
        wish = _read_order(order, pick_day(order.first_at))
        faults = [*_check(order.method), *(check_order(wish) if wish else ())]
        if wish is None or faults:
            return Answer(Outcome.DECLINED, code="order_refused", detail=faults[0])
        return await collect(wish)

    async def look(order: Order) -> Answer:
        return await look_up(order.key)

    return Gateway(
        name=name,
        kind="bank",
        acts={Capability.PAYOUT: pay},
        look_ups={Capability.PAYOUT: look},
        read_statement=read_statement,
        check=lambda capability, method: _check(method) if capability is Capability.PAYOUT else (),
        defers=frozenset({Capability.PAYOUT}),
    )


def _read_order(order: Order, day: dt.date) -> PayoutOrder | None:
    """The order as the file carries it; None where its method is none."""
    method = order.method
    if not all(isinstance(method.get(key, ""), str) for key in _KNOWN):
        return None
    remittance = method.get("remittance", "") or order.note
    if is_rf_reference(reference := normalise_reference(remittance)):
        remittance = reference  # it may have been written in fours
    return PayoutOrder(
        order.key,
        end_to_end_id(order.key),
        order.amount,
        order.currency,
        method.get("name", ""),
        tidy_iban(method.get("iban", "")),
        day,
        method.get("bic") or None,
        remittance,
    )


def _check(method: Mapping[str, Any]) -> Iterator[str]:
    """Why money cannot be sent to this, in sentences that repeat nothing of it."""
    if method.get("type") != "iban":
        yield "The method's type is iban."
    if method.keys() - _KNOWN:
        yield f"A method has no more than {', '.join(sorted(_KNOWN))}."
    rules: Mapping[str, tuple[bool, Callable[[str], str]]] = {
        "iban": (True, blame_iban),
        "name": (True, lambda text: blame_text(text, NAME_CHARACTERS_MAX)),
        "bic": (False, blame_bic),
        "remittance": (False, _blame_remittance),
    }
    for key, (required, blame) in rules.items():
        value = method.get(key, "")
        if not isinstance(value, str):
            yield f"{key} is a text."
        elif (value or required) and (said := blame(value)):
            yield f"{key} {said}."


def _blame_remittance(text: str) -> str:
    return "" if is_rf_reference(text) else blame_text(text, REMITTANCE_CHARACTERS_MAX)
