"""Hledger recomputes a random book of 20,000 entries: every balance equal, every assertion true."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from catena.db.export import Dates, Format
from tests.books import CURRENCIES
from tests.oracles.books import (
    STORED,
    OracleBook,
    export,
    query,
    read_hledger_balances,
    run_hledger,
)

pytestmark = [pytest.mark.oracle("hledger"), pytest.mark.xdist_group("big book")]

EXPONENTS = {currency.code: currency.exponent for currency in CURRENCIES}
BEFORE = """
SELECT account_id, sum(CASE WHEN is_debit THEN amount ELSE -amount END) FROM lines
 WHERE ledger_id = $1 AND effective_at < $2 GROUP BY account_id"""


def in_minor_units(balances: dict[str, tuple[Decimal, str]]) -> dict[str, int]:
    """Whole numbers, as they are stored."""
    return {
        account: int(amount.scaleb(EXPONENTS[commodity]))
        for account, (amount, commodity) in balances.items()
    }


def leave_out_zeros(totals: dict[str, int]) -> dict[str, int]:
    """Hledger says nothing of accounts that stand at nothing."""
    return {account: total for account, total in totals.items() if total}


@pytest.mark.parametrize("dates", Dates)
async def test_every_balance_is_equal(big_book: OracleBook, dates: Dates) -> None:
    """Hledger accepts the book with its assertions, and its balances are those we stored."""
    journal = await export(big_book, Format.HLEDGER, dates)
    assert journal.count("\n    ; id: ent_") >= 20_000
    checked = run_hledger(journal, "check", "--strict")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    balances = in_minor_units(read_hledger_balances(journal))
    assert balances == leave_out_zeros(await query(big_book, STORED))
    assert len(balances) > 100


@pytest.mark.parametrize("dates", Dates)
async def test_balances_of_the_past_are_equal(big_book: OracleBook, dates: Dates) -> None:
    """Backdated entries count from their effective dates, by either way of writing dates."""
    journal = await export(big_book, Format.HLEDGER, dates)
    secondary = ["--date2"] if dates is Dates.RECORDED else []
    midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for days in (0, 100, 2000):
        moment = midnight - dt.timedelta(days=days)
        found = read_hledger_balances(journal, *secondary, "--end", f"{moment:%Y-%m-%d}")
        assert in_minor_units(found) == leave_out_zeros(await query(big_book, BEFORE, moment))
        assert found != {}
