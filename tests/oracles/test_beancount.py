"""Beancount recomputes a random book of 20,000 entries: every assertion of a balance is true."""

from __future__ import annotations

import random
import re
from decimal import Decimal
from pathlib import Path

import pytest

from catena.db.export import Dates, Format
from tests.books import CURRENCIES
from tests.oracles.books import (
    ASSERTED,
    STORED,
    OracleBook,
    export,
    query,
    read_asserted_balances,
    run_bean_check,
)

pytestmark = [pytest.mark.oracle("bean-check"), pytest.mark.xdist_group("big book")]


@pytest.mark.parametrize("dates", Dates)
async def test_every_balance_is_equal(big_book: OracleBook, dates: Dates, tmp_path: Path) -> None:
    """Beancount accepts the book, in which every account's stored balance is asserted."""
    journal = await export(big_book, Format.BEANCOUNT, dates)
    assert journal.count('\n  id: "ent_') >= 20_000
    checked = run_bean_check(journal, tmp_path)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    exponents = {currency.code: currency.exponent for currency in CURRENCIES}
    asserted = {
        account: int(Decimal(amount).scaleb(exponents[code]))
        for account, amount, code in read_asserted_balances(journal)
    }
    assert asserted == await query(big_book, STORED)


async def test_every_assertion_counts(big_book: OracleBook, tmp_path: Path) -> None:
    """One minor unit more in an assertion of each currency: those are refused, and no others."""
    journal = await export(big_book, Format.BEANCOUNT, Dates.EFFECTIVE)
    lines = journal.split("\n")
    pick = random.Random(7)
    expected = set()
    for currency in CURRENCIES:
        of_currency = [
            number
            for number, line in enumerate(lines)
            if " balance " in line and line.endswith(f" {currency.code}") and ASSERTED.match(line)
        ]
        number = pick.choice(of_currency)
        amount = ASSERTED.fullmatch(lines[number])
        assert amount is not None
        wrong = Decimal(amount[2]) + Decimal(1).scaleb(-currency.exponent)
        lines[number] = lines[number].replace(f"  {amount[2]} ", f"  {wrong:f} ")
        expected.add(number + 1)
    refused = run_bean_check("\n".join(lines), tmp_path)
    assert refused.returncode == 1
    named = re.findall(r"(?m)^\S+?:(\d+): +Balance failed", refused.stderr)
    assert {int(number) for number in named} == expected
