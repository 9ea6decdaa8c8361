"""Hledger and beancount recompute a month of business by gateways: every balance, and of what the
gateways hold for us it is what they say themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from catena.db.embedded import EmbeddedPostgres
from catena.db.export import Dates, Format
from tests.contract import Contract
from tests.flows.gateways import LONG
from tests.oracles.books import (
    STORED,
    export,
    prove,
    query,
    read_asserted_balances,
    read_hledger_balances,
    run_bean_check,
    run_hledger,
)
from tests.oracles.gateway_month import Month, run_month

pytestmark = pytest.mark.xdist_group("gateway month")


@pytest.fixture(scope="module")
def month(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    contract: Contract,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Month]:
    """Both gateways have done their month, and nothing is on its way."""
    place = tmp_path_factory.mktemp("month")
    days, orders = (30, 100) if LONG else (4, 8)
    with run_month(postgres_server, migrated_template, contract, place, days, orders) as month:
        yield month


def check_expected(month: Month, balances: dict[str, int]) -> None:
    """They have what the gateways say, and more than that: wallets, fees and losses."""
    expected = month.expected()
    found = {account: balances.get(account, 0) for account in expected}
    assert found == expected
    assert sum(map(bool, expected.values())) == 4  # all but the two of holding
    assert len(balances) > len(expected)


@pytest.mark.oracle("hledger")
@pytest.mark.parametrize("dates", Dates)
async def test_hledger_agrees(month: Month, dates: Dates) -> None:
    """With every balance that we have stored, and with what the gateways say."""
    journal = await export(month.book, Format.HLEDGER, dates)
    checked = run_hledger(journal, "check", "--strict")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout + checked.stderr == ""
    balances = {
        account: int(amount.scaleb(2))
        for account, (amount, _) in read_hledger_balances(journal).items()
    }
    stored = await query(month.book, STORED)
    assert balances == {account: total for account, total in stored.items() if total}
    check_expected(month, balances)
    assert await prove(month.book) == []


@pytest.mark.oracle("bean-check")
@pytest.mark.parametrize("dates", Dates)
async def test_beancount_agrees(month: Month, dates: Dates, tmp_path: Path) -> None:
    """With every balance that we have stored, each of which it is told, and with the gateways'."""
    journal = await export(month.book, Format.BEANCOUNT, dates)
    checked = run_bean_check(journal, tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout + checked.stderr == ""
    asserted = {
        account: int(Decimal(amount).scaleb(2))
        for account, amount, _ in read_asserted_balances(journal)
    }
    assert asserted == await query(month.book, STORED)
    check_expected(month, asserted)
