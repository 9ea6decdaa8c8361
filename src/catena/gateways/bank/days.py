"""Days on which banks carry out SEPA credit transfers, and when they stop taking them for a day.

Invariant: the same moment always gives the same day, so an order asks for one day however often it
is sent. Holidays are those of TARGET; pure.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

__all__ = ["CutOff", "is_bank_day", "next_bank_day"]

_DAY: Final = dt.timedelta(days=1)
_FIXED: Final = frozenset({(1, 1), (5, 1), (12, 25), (12, 26)})
_SATURDAY: Final = 5


def is_bank_day(day: dt.date) -> bool:
    """Whether TARGET is open: not at weekends, New Year, Easter, Christmas, nor on 1 May."""
    if day.weekday() >= _SATURDAY or (day.month, day.day) in _FIXED:
        return False
    easter = _find_easter(day.year)
    return day not in (easter - 2 * _DAY, easter + _DAY)


def next_bank_day(day: dt.date) -> dt.date:
    """This day, or the first one after it on which TARGET is open."""
    while not is_bank_day(day):
        day += _DAY
    return day


def _find_easter(year: int) -> dt.date:
    """Easter Sunday of the Gregorian calendar, by Gauss's way of counting full moons."""
    golden, century = year % 19, year // 100
    epact = (century - century // 4 - (8 * century + 13) // 25 + 19 * golden + 15) % 30
    epact -= (epact // 28) * (1 - (29 // (epact + 1)) * ((21 - golden) // 11))
    weekday = (year + year // 4 + epact + 2 - century + century // 4) % 7
    return dt.date(year, 3, 28) + (epact - weekday) * _DAY


class CutOff(NamedTuple):
    """When a bank stops taking orders for a day: at this time, in this zone."""

    time: dt.time
    zone: ZoneInfo

    def pick_day(self, moment: dt.datetime) -> dt.date:
        """The first day on which an order that comes at this moment can be carried out."""
        local = moment.astimezone(self.zone)
        day = local.date() if local.time() < self.time else local.date() + _DAY
        return next_bank_day(day)

    def moment_of(self, day: dt.date) -> dt.datetime:
        """When orders for this day must be there."""
        return dt.datetime.combine(day, self.time, self.zone)
