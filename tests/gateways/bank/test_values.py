"""Amounts are exact or refused; days and moments are read as banks write them."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.gateways.bank.reading import Unreadable
from catena.gateways.bank.values import at_midnight, read_amount, read_day, read_id, read_moment
from catena.money import format_amount, iso_currency

AMOUNTS = {
    ("1180.00", "EUR"): 118000,
    ("1180", "EUR"): 118000,
    ("1180.5", "EUR"): 118050,
    ("0001.10000", "EUR"): 110,
    (".5", "EUR"): 50,
    ("5.", "EUR"): 500,
    ("0", "EUR"): 0,
    ("0.00", "EUR"): 0,
    ("7", "JPY"): 7,
    ("7.00", "JPY"): 7,
    ("1.234", "KWD"): 1234,
}


@pytest.mark.parametrize(("text", "currency"), AMOUNTS)
def test_amounts(text: str, currency: str) -> None:
    """Any decimal that is exact in minor units."""
    assert read_amount(text, currency) == AMOUNTS[text, currency]


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("", "EUR"),
        (".", "EUR"),
        ("1.001", "EUR"),
        ("0.5", "JPY"),
        ("-1", "EUR"),
        ("1e3", "EUR"),
        ("1,00", "EUR"),
        ("1", "XXX"),
        ("1", ""),
        ("99999999999999999999", "EUR"),
        ("\u0661", "EUR"),
    ],
)
def test_bad_amounts(text: str, currency: str) -> None:
    """Nothing is rounded, and nothing guessed."""
    with pytest.raises(Unreadable) as refused:
        read_amount(text, currency)
    assert refused.value.code == "amount"


@given(st.integers(0, 2**63 - 1), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_amounts_come_back(amount: int, currency: str) -> None:
    """What is written is read."""
    assert read_amount(format_amount(amount, iso_currency(currency)), currency) == amount


@pytest.mark.parametrize("text", ["2026-10-01", "2026-10-01+02:00", "2026-10-01T23:59:59Z"])
def test_days(text: str) -> None:
    """A day is the bank's own, whatever its zone."""
    assert read_day(text) == dt.date(2026, 10, 1)


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-10-01T09:00:00Z", 9),
        ("2026-10-01T09:00:00+02:00", 7),
        ("2026-10-01T09:00:00", 9),
        ("2026-10-01T09:00:00.000000+00:00", 9),
    ],
)
def test_moments(text: str, hour: int) -> None:
    """Without a zone it is UTC."""
    assert read_moment(text) == dt.datetime(2026, 10, 1, hour, tzinfo=dt.UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01"])
def test_bad_dates(text: str) -> None:
    """What is no date refuses the file."""
    for read in (read_day, read_moment):
        with pytest.raises(Unreadable) as refused:
            read(text)
        assert refused.value.code == "date"


def test_midnight() -> None:
    """A day begins in UTC."""
    assert at_midnight(dt.date(2026, 1, 2)) == dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_moments_outside_of_the_calendar(text: str) -> None:
    """Their own zone has them, and UTC does not."""
    with pytest.raises(Unreadable, match="none"):
        read_moment(text)


def test_ids() -> None:
    """One that nobody could list refuses the file."""
    assert read_id("S" * 140) == "S" * 140
    with pytest.raises(Unreadable, match="140") as refused:
        read_id("S" * 141)
    assert refused.value.code == "id"
