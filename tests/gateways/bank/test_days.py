"""Bank days and cut-offs: the same moment, the same day, and never one on which TARGET rests."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from catena.gateways.bank.days import CutOff, is_bank_day, next_bank_day

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
THREE = CutOff(dt.time(15), AMSTERDAM)

HOLIDAYS = [
    "2026-01-01",
    "2026-04-03",
    "2026-04-06",
    "2026-05-01",
    "2026-12-25",
    "2024-03-29",
    "2024-04-01",
    "2025-04-18",
    "2025-04-21",
    "2025-12-26",
    "2038-04-23",
    "2038-04-26",
    "2049-04-16",
    "2049-04-19",
]


@pytest.mark.parametrize("day", HOLIDAYS)
def test_target_rests(day: str) -> None:
    """On its six holidays, of which two go with Easter."""
    assert not is_bank_day(dt.date.fromisoformat(day))


def test_a_year_has_its_days() -> None:
    """2026: 261 weekdays, of which five are holidays."""
    days = [dt.date(2026, 1, 1) + dt.timedelta(n) for n in range(365)]
    assert sum(map(is_bank_day, days)) == 256


def test_the_next_bank_day() -> None:
    """From Maundy Thursday's evening it is Easter's Tuesday."""
    assert next_bank_day(dt.date(2026, 4, 2)) == dt.date(2026, 4, 2)
    assert next_bank_day(dt.date(2026, 4, 3)) == dt.date(2026, 4, 7)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-09-30T12:59:59+00:00", "2026-09-30"),
        ("2026-09-30T13:00:00+00:00", "2026-10-01"),
        ("2026-09-30T22:30:00+00:00", "2026-10-01"),
        ("2026-10-02T13:00:00+00:00", "2026-10-05"),
        ("2026-04-02T13:00:00+00:00", "2026-04-07"),
        ("2026-01-15T13:59:59+00:00", "2026-01-15"),
    ],
)
def test_the_day_of_an_order(moment: str, day: str) -> None:
    """By the bank's own clock, summer and winter."""
    picked = THREE.pick_day(dt.datetime.fromisoformat(moment))
    assert picked == dt.date.fromisoformat(day)
    assert THREE.moment_of(picked) > dt.datetime.fromisoformat(moment)
