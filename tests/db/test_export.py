"""Exports: what each program is given, and that no text of a caller's breaks out of its place."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.db.export import Dates, Format, export_ledger
from catena.db.export.beancount import BeancountStyle
from catena.db.export.hledger import HledgerStyle
from catena.db.export.rows import AccountRow, BalanceRow, EntryRow, LineRow
from catena.db.installation import Ledger
from catena.db.pool import Connection, open_pool
from catena.money import Currency, iso_currency
from catena.settings import Settings
from tests.books import NASTY_TEXTS, write_book
from tests.corruptions import Corruption, Spoiled, spoil
from tests.postgres import Database

USD, JPY, POINTS = iso_currency("USD"), iso_currency("JPY"), Currency("PTS2", 0)
NOON = dt.datetime(2026, 3, 4, 12, 0, 0, 5, tzinfo=dt.UTC)
EARLIER = dt.datetime(2026, 1, 31, 23, 59, 59, tzinfo=dt.UTC)

ENTRY = EntryRow(
    id="ent_1",
    position=42,
    type="refund",
    effective_at=EARLIER,
    recorded_at=NOON,
    description="Rent; see note",
    reference="R:1",
    metadata='{"note": "a, b", "n": 1}',
    details=None,
    corrects="ent_0",
    lines=[
        LineRow("acct_a", "asset", 12550, -50, USD),
        LineRow("acct_b", "liability", -12550, -12550, USD),
    ],
)

IN_HLEDGER = """\
2026-03-04=2026-01-31 (42) Rent see note
    ; id: ent_1
    ; type: refund
    ; recorded: 2026-03-04T12:00:00.000005+00:00
    ; effective: 2026-01-31T23:59:59+00:00
    ; corrects: ent_0
    ; description: "Rent; see note"
    ; reference: "R\\u003a1"
    ; metadata: {"note": "a\\u002c b", "n": 1}
    asset:acct_a  125.50 USD = -0.50 USD
    liability:acct_b  -125.50 USD = -125.50 USD

"""
IN_BEANCOUNT = """\
2026-03-04 * "Rent; see note"
  id: "ent_1"
  position: "42"
  type: "refund"
  recorded: "2026-03-04T12:00:00.000005+00:00"
  effective: "2026-01-31T23:59:59+00:00"
  corrects: "ent_0"
  reference: "R:1"
  metadata: "{\\"note\\": \\"a, b\\", \\"n\\": 1}"
  Assets:Acct-a  125.50 USD
  Liabilities:Acct-b  -125.50 USD

"""


def test_an_entry_by_recorded_date() -> None:
    """Both dates are kept; hledger is given the running total of each line."""
    assert HledgerStyle().write_entry(ENTRY, Dates.RECORDED) == IN_HLEDGER
    assert BeancountStyle().write_entry(ENTRY, Dates.RECORDED) == IN_BEANCOUNT


def test_an_entry_by_effective_date() -> None:
    """The effective date stands alone, and without running totals, which would not hold."""
    by_effective_date = re.sub(r" = -.*", "", IN_HLEDGER).replace("2026-03-04=", "", 1)
    assert HledgerStyle().write_entry(ENTRY, Dates.EFFECTIVE) == by_effective_date
    by_effective_date = IN_BEANCOUNT.replace("2026-03-04", "2026-01-31", 1)
    assert BeancountStyle().write_entry(ENTRY, Dates.EFFECTIVE) == by_effective_date


def test_one_date_where_both_are_the_same() -> None:
    """An entry that counts from the day on which it was recorded has one date."""
    entry = ENTRY._replace(effective_at=NOON)
    assert HledgerStyle().write_entry(entry, Dates.RECORDED).startswith("2026-03-04 (42) ")


@pytest.mark.parametrize(
    ("currency", "amount", "in_hledger", "in_beancount"),
    [
        (USD, -5, "0.00 USD = -0.05 USD", "-0.05 ~ 0 USD"),
        (JPY, 5, "0 JPY = 5 JPY", "5 ~ 0 JPY"),
        (POINTS, 7, '0 "PTS2" = 7 "PTS2"', "7 ~ 0 PTS2"),
        (iso_currency("BHD"), 1, "0.000 BHD = 0.001 BHD", "0.001 ~ 0 BHD"),
        (
            Currency("WEI", 18),
            -(2**63) + 1,
            "0.000000000000000000 WEI = -9.223372036854775807 WEI",
            "-9.223372036854775807 ~ 0 WEI",
        ),
    ],
)
def test_a_balance(currency: Currency, amount: int, in_hledger: str, in_beancount: str) -> None:
    """Balances are exact in every currency; beancount asserts at the start of the day after."""
    balance = BalanceRow("acct_a", "revenue", dt.date(2026, 12, 31), amount, currency)
    assert HledgerStyle().write_balance(balance) == (
        f"2026-12-31 Stored balance\n    revenue:acct_a  {in_hledger}\n\n"
    )
    assert BeancountStyle().write_balance(balance) == (
        f"2027-01-01 balance Income:Acct-a  {in_beancount}\n"
    )


def test_heads() -> None:
    """Each commodity is declared with its decimal places."""
    assert HledgerStyle().write_head("Main\n; x", [USD, JPY, POINTS]) == (
        '; Main x\n\ndecimal-mark .\ncommodity 1.00 USD\ncommodity 1. JPY\ncommodity 1. "PTS2"\n\n'
    )
    assert BeancountStyle().write_head('The "main" one', [USD]) == (
        'option "title" "The \\"main\\" one"\n\n1970-01-01 commodity USD\n  exponent: "2"\n\n'
    )


def test_accounts() -> None:
    """An account is declared by type and id, with what people know it by."""
    account = AccountRow("acct_a", "expense", USD, NOON.date(), "losses", None, "type:A")
    assert HledgerStyle().write_account(account) == (
        'account expense:acct_a\n    ; role: losses\n    ; name: "type\\u003aA"\n\n'
    )
    assert BeancountStyle().write_account(account) == (
        '2026-03-04 open Expenses:Acct-a USD\n  id: "acct_a"\n  role: "losses"\n'
        '  name: "type:A"\n\n'
    )


def nasty_entry(text: str) -> EntryRow:
    """An entry with this text wherever a caller can put one."""
    metadata = json.dumps({text: [text, {"x": text}]}, ensure_ascii=False)
    return ENTRY._replace(description=text, reference=text, metadata=metadata)


HLEDGER_SHAPE = (
    r"2026-03-04=2026-01-31 \(42\) [^;\n]+",
    r"    ; id: ent_1",
    r"    ; type: refund",
    r"    ; recorded: [-0-9T:.+]+",
    r"    ; effective: [-0-9T:.+]+",
    r"    ; corrects: ent_0",
    r'    ; description: "[^:,\[\]]*"',
    r'    ; reference: "[^:,\[\]]*"',
    r'    ; metadata: \{"[^:,\[\]]*": \["[^:,\[\]]*", \{"x": "[^:,\[\]]*"\}\]\}',
    r"    asset:acct_a  125.50 USD = -0.50 USD",
    r"    liability:acct_b  -125.50 USD = -125.50 USD",
    "",
    "",
)
HLEDGER_SHAPE_PLAIN = tuple(line for line in HLEDGER_SHAPE if "description" not in line)
STRING = r'"(?:[^"\\]|\\[nrt"\\])*"'
BEANCOUNT_SHAPE = (
    rf"2026-03-04 \* {STRING}",
    *(rf"  {key}: {STRING}" for key in ("id", "position", "type", "recorded", "effective")),
    *(rf"  {key}: {STRING}" for key in ("corrects", "reference", "metadata")),
    r"  Assets:Acct-a  125.50 USD",
    r"  Liabilities:Acct-b  -125.50 USD",
    "",
    "",
)
# What PostgreSQL can hold as text: no NUL and no half of a surrogate pair.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


BREAKS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
UNESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def check_shape(text: str, shape: tuple[str, ...]) -> None:
    """Every line is of its pattern, and there are no more lines."""
    for line, pattern in zip(text.split("\n"), shape, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


@given(text=TEXTS | st.sampled_from(NASTY_TEXTS))
def test_no_text_breaks_out_in_hledger(text: str) -> None:
    """Whatever a caller wrote stays in its comment, with nothing in it that hledger reads."""
    written = HledgerStyle().write_entry(nasty_entry(text), Dates.RECORDED)
    assert not BREAKS.search(written)
    shape = HLEDGER_SHAPE if "; description: " in written else HLEDGER_SHAPE_PLAIN
    check_shape(written, shape)
    assert json.loads(written.split("; reference: ")[1].split("\n")[0]) == text
    metadata = written.split("; metadata: ")[1].split("\n")[0]
    assert json.loads(metadata) == {text: [text, {"x": text}]}


@given(text=TEXTS | st.sampled_from(NASTY_TEXTS))
def test_no_text_breaks_out_in_beancount(text: str) -> None:
    """Whatever a caller wrote stays in its string, and is read back as it was."""
    written = BeancountStyle().write_entry(nasty_entry(text), Dates.RECORDED)
    check_shape(written, BEANCOUNT_SHAPE)
    quoted = written.split("  reference: ")[1].split("\n")[0]
    read = re.sub(r"\\(.)", lambda found: UNESCAPED.get(found[1], found[1]), quoted[1:-1])
    assert read == text


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[Connection]:
    """A connection as the service has them."""
    pool = await open_pool(Settings(), dsn)
    async with pool.acquire() as connection:
        yield connection
    await pool.close()


async def export(dsn: str, ledger: Ledger, target: Format, dates: Dates = Dates.RECORDED) -> str:
    """The whole journal."""
    async with connect(dsn) as connection:
        parts = [part async for part in export_ledger(connection, ledger, target, dates)]
    return "".join(parts)


POSTING = re.compile(r"(?m)^    (\w+:acct_\w+)  (-?[\d.]+) (\S+)(?: = (-?[\d.]+) (\S+))?$")
BEAN_POSTING = re.compile(r"(?m)^  (\w+:Acct-\w+)  (-?[\d.]+) (\w+)$")
BEAN_BALANCE = re.compile(r"(?m)^(\S+) balance (\w+:Acct-\w+)  (-?[\d.]+) ~ 0 (\w+)$")


async def read_balances(dsn: str, ledger: Ledger) -> dict[str, int]:
    """What is stored: debits less credits, in minor units, by the id of the account."""
    async with connect(dsn) as connection:
        rows = await connection.fetch(
            "SELECT account_id, debits - credits AS total FROM balances WHERE ledger_id = $1",
            ledger.number,
        )
    return {row["account_id"].hex: row["total"] for row in rows}


def in_minor_units(totals: Mapping[str, Decimal], codes: Mapping[str, str]) -> dict[str, int]:
    """Totals by account, scaled by the places of their commodities, by the id of the account."""
    exponents = {"BTC": 8, "PTS2": 0, "WEI": 18, "JPY": 0, "ISK": 0, "BHD": 3, "KWD": 3, "CLF": 4}
    return {
        re.split("[_-]", name)[1]: int(total.scaleb(exponents.get(codes[name], 2)))
        for name, total in totals.items()
    }


@pytest.mark.parametrize("dates", Dates)
async def test_a_book_for_hledger(database: Database, dates: Dates) -> None:
    """Postings add up to every assertion as they come, and the last ones are what is stored."""
    dsn = database.service_dsn
    ledger = await write_book(dsn, seed=5, entries=700)
    text = await export(dsn, ledger, Format.HLEDGER, dates)
    totals: dict[str, Decimal] = defaultdict(Decimal)
    codes: dict[str, str] = {}
    asserted = 0
    for name, amount, code, total, _ in POSTING.findall(text):
        totals[name] += Decimal(amount)
        codes[name] = code.strip('"')
        if total:
            asserted += 1
            assert totals[name] == Decimal(total), name
    assert in_minor_units(totals, codes) == await read_balances(dsn, ledger)
    assert asserted == (len(totals) if dates is Dates.EFFECTIVE else len(POSTING.findall(text)))
    positions = [int(found) for found in re.findall(r"(?m)^\d[-=\d]+ \((\d+)\) ", text)]
    assert positions == sorted(set(positions))
    assert len(positions) >= 700


@pytest.mark.parametrize("dates", Dates)
async def test_a_book_for_beancount(database: Database, dates: Dates) -> None:
    """Every account is opened once, before its lines, and asserted in the end as it is stored."""
    dsn = database.service_dsn
    ledger = await write_book(dsn, seed=6, entries=300)
    text = await export(dsn, ledger, Format.BEANCOUNT, dates)
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for name, amount, _ in BEAN_POSTING.findall(text):
        totals[name] += Decimal(amount)
    balances = BEAN_BALANCE.findall(text)
    codes = {name: code for _, name, _, code in balances}
    assert {name: Decimal(amount) for _, name, amount, _ in balances if name in totals} == totals
    stored = {name: Decimal(amount) for _, name, amount, _ in balances}
    assert in_minor_units(stored, codes) == await read_balances(dsn, ledger)
    opened = dict(re.findall(r"(?m)^\S+ open (\S+) (\w+)$", text))
    assert opened == codes
    assert len(re.findall(r"(?m)^\S+ open ", text)) == len(opened)


async def test_a_running_total_for_each_day(spoiled: Spoiled) -> None:
    """Beancount is given each account's total at the end of each day on which it had a line."""
    yesterday = Corruption(
        "",
        "UPDATE entries SET recorded_at = recorded_at - interval '1 day',"
        " effective_at = effective_at - interval '1 day' WHERE position <= {transfer};"
        " UPDATE lines SET recorded_at = recorded_at - interval '1 day'"
        " WHERE position <= {transfer}",
        set(),
    )
    await asyncio.to_thread(spoil, spoiled, yesterday)
    text = await export(spoiled.database.service_dsn, spoiled.story.ledger, Format.BEANCOUNT)
    ann = f"Liabilities:Acct-{spoiled.story.accounts['ann'][5:]}"
    of_ann = sorted(
        {(day, amount) for day, name, amount, _ in BEAN_BALANCE.findall(text) if name == ann}
    )
    assert [amount for _, amount in of_ann] == ["-7.00", "-5.04"]


async def test_progress_is_told(spoiled: Spoiled) -> None:
    """Progress counts positions, up to the last."""
    steps: list[tuple[int, int]] = []

    def note(_part: str, done: int, total: int) -> None:
        steps.append((done, total))

    async with connect(spoiled.database.service_dsn) as connection:
        ledger = spoiled.story.ledger
        journal = export_ledger(connection, ledger, Format.HLEDGER, Dates.RECORDED, note)
        assert [part async for part in journal] != []
    last = spoiled.story.entries["last"]
    assert steps == [(0, last), (spoiled.story.entries["deposit"], last), (last, last)]
