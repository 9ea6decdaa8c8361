"""Values as ISO 20022 writes them: amounts as whole minor units, days and moments.

Invariant: an amount that is not exact in its currency's minor units is refused, never rounded.
A moment without a zone is taken for UTC; a day is the bank's own.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from catena.errors import InvalidAmount, UnknownCurrency
from catena.gateways.bank.limits import ID_CHARACTERS_READ_MAX
from catena.gateways.bank.reading import Unreadable
from catena.money import iso_currency, parse_amount

__all__ = ["at_midnight", "read_amount", "read_day", "read_id", "read_moment"]

_AMOUNT: Final = re.compile(r"(?=\.?[0-9])0*([0-9]*)(?:\.([0-9]*?)0*)?")


def read_amount(text: str, currency: str) -> int:
    """Minor units of an amount, 0 or more: "1180.00" EUR is 118000. Raises Unreadable."""
    match = _AMOUNT.fullmatch(text)
    whole, places = (match[1] or "0", match[2]) if match else ("", "")
    try:
        return parse_amount(f"{whole}.{places}" if places else whole, iso_currency(currency))
    except (InvalidAmount, UnknownCurrency):
        raise Unreadable("amount", "An amount is none of its currency.") from None


def read_id(text: str) -> str:
    """An id of a bank's, which is remembered and listed. Raises Unreadable."""
    if len(text) > ID_CHARACTERS_READ_MAX:
        raise Unreadable("id", f"An id has more than {ID_CHARACTERS_READ_MAX} characters.")
    return text


def read_day(text: str) -> dt.date:
    """The day of a date or a date with a time. Raises Unreadable."""
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        raise Unreadable("date", "A date is none.") from None


def read_moment(text: str) -> dt.datetime:
    """A moment, in UTC. Raises Unreadable."""
    try:
        moment = dt.datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or dt.UTC).astimezone(dt.UTC)
    except (ValueError, OverflowError):  # the zones of years 1 and 9999 lead out of the calendar
        raise Unreadable("date", "A date with a time is none.") from None


def at_midnight(day: dt.date) -> dt.datetime:
    """The beginning of a day, in UTC: where a bank gives no more than the day."""
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
