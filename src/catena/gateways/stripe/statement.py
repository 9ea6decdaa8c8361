"""Statements: what Stripe has booked on the balance that it keeps for us.

Source: "List all balance transactions", "Balance transaction types". A charge's reference is its
PaymentIntent, as everywhere here. Invariant: a statement is whole, or there is none.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Final

from catena.errors import Unavailable
from catena.gateways.contract import StatementLine, StatementReader, Subject
from catena.gateways.stripe.amounts import Unrepresentable, from_stripe
from catena.gateways.stripe.api import Told
from catena.gateways.stripe.limits import STATEMENT_CALL_SECONDS
from catena.gateways.stripe.objects import number_of, part_of, reference_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from catena.gateways.stripe.api import Api
    from catena.gateways.stripe.objects import Object

__all__ = ["SUBJECTS", "reading_statement"]

_PATH: Final = "/v1/balance_transactions"

SUBJECTS: Final[Mapping[str, Subject]] = {
    "charge": Subject.CHARGE,
    "payment": Subject.CHARGE,
    "payment_failure_refund": Subject.CHARGE,
    "payment_reversal": Subject.DISPUTE,
    "refund": Subject.REFUND,
    "payment_refund": Subject.REFUND,
    "refund_failure": Subject.REFUND,
    "payout": Subject.PAYOUT,
    "payout_cancel": Subject.PAYOUT,
    "payout_failure": Subject.PAYOUT,
    "stripe_fee": Subject.FEE,
    "stripe_fx_fee": Subject.FEE,
    "tax_fee": Subject.FEE,
}
"""What a line is about, by its type. Payouts are Stripe's own, to our account at a bank."""

_CATEGORIES: Final[Mapping[str, Subject]] = {
    "dispute": Subject.DISPUTE,
    "dispute_reversal": Subject.DISPUTE,
    "partial_capture_reversal": Subject.CAPTURE,
    "fee": Subject.FEE,
}
"""The same by its reporting category, which tells adjustments apart, and comes first."""

_CANNOT: Final = "Stripe's statement cannot be read now."
_STRANGE: Final = "Stripe's statement has a line that cannot be read."


def reading_statement(api: Api) -> StatementReader:
    """Reads all that was booked within a time, in Stripe's order, the oldest first.

    It raises Unavailable.
    """

    async def read_statement(first: dt.datetime, end: dt.datetime) -> Sequence[StatementLine]:
        # Stripe counts whole seconds: each belongs to the period in which it begins.
        period = {"gte": math.ceil(first.timestamp()), "lt": math.ceil(end.timestamp())}
        lines: list[StatementLine] = []
        seen: set[str] = set()
        after, more = "", period["gte"] < period["lt"]
        while more:
            items, more = await _read_page(api, period, after)
            lines += map(_read_line, items)
            after = text_of(items[-1], "id") if items else ""
            if more and (not after or after in seen):
                raise Unavailable("Stripe's list of what it has booked does not end.")
            seen.add(after)
        return lines[::-1]

    return read_statement


async def _read_page(api: Api, period: Mapping[str, int], after: str) -> tuple[list[Object], bool]:
    """The lines of one page, the newest first, and whether there is another."""
    calls = api.begin(STATEMENT_CALL_SECONDS)
    params = {"created": period, "expand": ["data.source"]}
    reply = await calls.page(_PATH, params, after)
    items, more = reply.body.get("data"), reply.body.get("has_more")
    if reply.told is not Told.DONE:
        raise Unavailable(_CANNOT)
    if not isinstance(items, list) or not isinstance(more, bool):
        raise Unavailable(_CANNOT)
    if not all(isinstance(item, dict) for item in items):
        raise Unavailable(_CANNOT)
    return items, more


def _read_line(line: Object) -> StatementLine:
    """One movement: `amount` is before `fee`, and `net` proves both."""
    id, type, currency = (text_of(line, name) for name in ("id", "type", "currency"))
    amount, fee, net = (number_of(line, name) for name in ("amount", "fee", "net"))
    created = number_of(line, "created")
    if not id or amount is None or fee is None or created is None or net != amount - fee:
        raise Unavailable(_STRANGE)
    try:
        return StatementLine(
            id,
            _find_subject(line, type, amount),
            from_stripe(amount, currency),
            from_stripe(fee, currency),
            currency.upper(),
            _find_reference(line) or None,
            dt.datetime.fromtimestamp(created, dt.UTC),
            text_of(line, "description") or type,
            _find_about(line) or None,
        )
    except (Unrepresentable, OverflowError, OSError, ValueError):
        raise Unavailable(_STRANGE) from None


def _find_subject(line: Object, type: str, amount: int) -> Subject:
    """A movement of a type that we do not know is a line all the same: somebody has to see it."""
    category = text_of(line, "reporting_category")
    known = _CATEGORIES.get(category) or SUBJECTS.get(type)
    return known or (Subject.CREDIT if amount > 0 else Subject.FEE)


def _find_reference(line: Object) -> str:
    """Its charge's PaymentIntent, else whatever the line comes from: a refund, a dispute."""
    source = part_of(line, "source")
    if source.get("object") == "charge":
        return reference_of(source, "payment_intent") or text_of(source, "id")
    return reference_of(line, "source")


def _find_about(line: Object) -> str:
    """Of a refund or a reversal, its charge by the same name as that charge's own line has."""
    source = part_of(line, "source")
    if source.get("object") != "refund":
        return ""
    return reference_of(source, "payment_intent") or reference_of(source, "charge")
