"""Pages of an account's lines, by recorded and by effective date, against slow recomputation."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest

from catena.db.pool import Connection
from catena.db.read.history import read_history
from catena.db.read.statements import read_statement
from catena.ledger.accounts import Side
from catena.ledger.entries import EntryType
from catena.ledger.statements import LineQuery, Page
from tests.naive import NaiveLine, read_naively
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger, write_at_random

BEGIN = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
FOREVER = dt.datetime(2900, 1, 1, tzinfo=dt.UTC)
READERS: dict[str, Any] = {"recorded_at": read_history, "effective_at": read_statement}


async def turn_pages(
    connection: Connection,
    scribe: Scribe,
    account: str,
    order: str,
    query: LineQuery,
    *,
    limit: int = 7,
    look_at: int = 1000,
    fixed: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Page[Any]]:
    """Every page, one after the other; the place between two goes through JSON, as a cursor's."""
    read = READERS[order]
    place = None
    while True:
        page = await read(
            connection, scribe.number, account, query, place, limit=limit, look_at=look_at, **fixed
        )
        assert page is not None
        assert len(page.items) <= limit
        yield page
        if page.next is None:
            return
        place = type(page.next)(*json.loads(json.dumps(page.next)))


def rows_of(pages: Iterable[Page[Any]]) -> list[tuple[int, int]]:
    """Number and balance of every item."""
    return [(item.number, item.balance) for page in pages for item in page.items]


@pytest.fixture
async def scribe(database: Database) -> AsyncIterator[Scribe]:
    """Who writes in a ledger of the test's own."""
    async with open_ledger(database) as scribe:
        yield scribe


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", READERS)
async def test_pages_agree_with_slow_recomputation(
    database: Database, scribe: Scribe, order: str, seed: int
) -> None:
    """In each order and direction, over any range, and as known at any moment, the pages hold
    every line once with what was posted after it, and say what was posted before and after all.
    """
    rng = random.Random(seed)
    account = await scribe.open()
    await write_at_random(scribe, account, seed)
    naive = await read_naively(database, scribe.number, account)
    moments = [BEGIN, FOREVER, *naive.moments()]
    opened = naive.lines[0].recorded_at
    async with scribe.pool.acquire() as connection:
        for turn in range(25):
            start, end = sorted(rng.choices(moments, k=2)) if turn else (BEGIN, FOREVER)
            known_at = max(rng.choice(moments), opened) if order == "effective_at" else FOREVER
            known = naive.known_at(known_at)
            query = LineQuery(start, end, descending=turn % 2 == 1)
            fixed = {"known_at": known_at} if order == "effective_at" else {}
            pages = [
                page
                async for page in turn_pages(
                    connection, scribe, account, order, query, limit=rng.randint(1, 30), fixed=fixed
                )
            ]
            expected = known.rows(order, start, end)
            assert rows_of(pages) == (expected[::-1] if query.descending else expected)
            assert {(page.opening, page.closing) for page in pages} == {
                (known.posted_before(order, start), known.posted_before(order, end))
            }


@pytest.mark.parametrize("descending", [False, True], ids=["upwards", "downwards"])
@pytest.mark.parametrize("order", READERS)
async def test_filters_choose_lines_and_leave_their_balances(
    database: Database, scribe: Scribe, order: str, *, descending: bool
) -> None:
    """A filtered history has the lines of matching entries only, each with the balance that all
    lines make, however few lines a page may look at.
    """
    account = await scribe.open()
    await write_at_random(scribe, account, 7)
    naive = await read_naively(database, scribe.number, account)
    references = sorted({line.reference for line in naive.lines if line.reference})
    assert len(references) > 3
    cases: list[tuple[LineQuery, Callable[[NaiveLine], bool]]] = [
        (LineQuery(types=[EntryType.DEPOSIT]), lambda line: line.type == "deposit"),
        (
            LineQuery(types=[EntryType.REVERSAL, EntryType.FEE]),
            lambda line: line.type == "reversal",
        ),
        (LineQuery(metadata='{"k": 1}'), lambda line: line.metadata.get("k") == 1),
        (LineQuery(metadata="{}"), lambda _: True),
        (
            LineQuery(types=[EntryType.TRANSFER], metadata='{"k": 2}'),
            lambda line: line.type == "transfer" and line.metadata.get("k") == 2,
        ),
        (
            LineQuery(types=[EntryType.DEPOSIT], reference=references[0]),
            lambda line: line.type == "deposit" and line.reference == references[0],
        ),
        *((LineQuery(reference=reference), partial(_bears, reference)) for reference in references),
        (LineQuery(reference="nobody's"), lambda _: False),
    ]
    dates = sorted(getattr(line, order) for line in naive.lines)
    async with scribe.pool.acquire() as connection:
        for (query, matches), (start, end), (limit, look_at) in itertools.product(
            cases,
            [(BEGIN, FOREVER), (dates[len(dates) // 4], dates[3 * len(dates) // 4])],
            [(1, 10), (5, 1000)],
        ):
            wanted = query._replace(start=start, end=end, descending=descending)
            pages = [
                page
                async for page in turn_pages(
                    connection, scribe, account, order, wanted, limit=limit, look_at=look_at
                )
            ]
            chosen = {line.number for line in naive.lines if matches(line)}
            expected = [row for row in naive.rows(order, start, end) if row[0] in chosen]
            assert rows_of(pages) == (expected[::-1] if descending else expected)


def _bears(reference: str, line: NaiveLine) -> bool:
    return line.reference == reference


@pytest.mark.parametrize("descending", [False, True], ids=["upwards", "downwards"])
@pytest.mark.parametrize("order", READERS)
async def test_pages_are_stable_while_others_post(
    database: Database, scribe: Scribe, order: str, *, descending: bool
) -> None:
    """Lines that are posted between two pages, dated now or back, change no later page."""
    account = await scribe.open()
    await write_at_random(scribe, account, 3)
    before = await read_naively(database, scribe.number, account)
    query = LineQuery(descending=descending)
    pages = []
    async with scribe.pool.acquire() as connection:
        async for page in turn_pages(connection, scribe, account, order, query, limit=10):
            pages.append(page)
            dates = [None, *(line.effective_at for line in before.lines[:: len(pages)])]
            await scribe.post(*(scribe.deposit(account, 1, effective_at=date) for date in dates))
    expected = before.rows(order, BEGIN, FOREVER)
    assert rows_of(pages) == (expected[::-1] if descending else expected)
    assert {page.closing for page in pages} == {before.posted_before(order, FOREVER)}


async def test_a_page_may_be_short_while_more_remains(scribe: Scribe) -> None:
    """A filtered page looks at so many lines and no more: what it did not come to is left to the
    next page.
    """
    account = await scribe.open()
    await scribe.post(scribe.deposit(account, 1))
    await scribe.submit([scribe.transfer(account, account, 1) for _ in range(40)])
    query = LineQuery(types=[EntryType.DEPOSIT], descending=True)
    async with scribe.pool.acquire() as connection:
        for order in READERS:
            sizes = [
                len(page.items)
                async for page in turn_pages(
                    connection, scribe, account, order, query, limit=5, look_at=20
                )
            ]
            assert sizes == [0, 0, 0, 0, 1]


async def test_an_item_is_the_line_with_its_entry(scribe: Scribe) -> None:
    """An entry that touches the account twice is there twice, once for each line, and says which
    reversal is in force.
    """
    account = await scribe.open()
    await scribe.post(scribe.deposit(account, 50, description="first"))
    entry = await scribe.post(scribe.transfer(account, account, 20, reference="twice"))
    reversal = await scribe.reverse(entry)
    async with scribe.pool.acquire() as connection:
        for read in READERS.values():
            page = await read(connection, scribe.number, account, LineQuery(), limit=10, look_at=10)
            assert page is not None
            assert page.currency == "USD"
            assert [(item.side, item.amount, item.balance) for item in page.items] == [
                (Side.CREDIT, 50, 50),
                (Side.DEBIT, 20, 30),
                (Side.CREDIT, 20, 50),
                (Side.CREDIT, 20, 70),
                (Side.DEBIT, 20, 50),
            ]
            assert page.items[0].entry.description == "first"
            reversed_entry = entry._replace(reversed_by=reversal.id)
            assert [item.entry for item in page.items[1:3]] == [reversed_entry] * 2


async def test_only_what_was_there_has_a_history(database: Database, scribe: Scribe) -> None:
    """An account of another ledger has none, nor one at a moment before it was opened."""
    account = await scribe.open()
    entry = await scribe.post(scribe.deposit(account, 1))
    early = entry.recorded_at - dt.timedelta(days=1)
    async with open_ledger(database) as other, scribe.pool.acquire() as connection:
        for number, known_at, found in (
            (scribe.number, None, True),
            (scribe.number, entry.recorded_at, True),
            (scribe.number, early, False),
            (other.number, None, False),
        ):
            page = await read_statement(
                connection, number, account, LineQuery(), known_at=known_at, limit=5, look_at=5
            )
            assert (page is not None) == found
        assert (
            await read_history(connection, other.number, account, LineQuery(), limit=5, look_at=5)
            is None
        )
