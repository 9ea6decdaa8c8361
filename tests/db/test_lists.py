"""Accounts and entries: one by one, and listed page by page."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from catena.db.pool import Connection
from catena.db.read.accounts import (
    AccountFilter,
    AccountRow,
    list_accounts,
    read_account,
)
from catena.db.read.entries import (
    EntryFilter,
    EntryRow,
    find_entry_by_reference,
    list_entries,
    read_entry,
)
from catena.ids import ACCOUNT, ENTRY, new_id
from catena.journal import OpenAccount
from catena.ledger.accounts import AccountStatus, AccountType, SystemRole
from catena.ledger.entries import EntryType
from catena.ledger.terms import Profile
from tests.postgres import Database
from tests.scribe import Scribe, make_profile, open_ledger


@pytest.fixture
async def scribe(database: Database) -> AsyncIterator[Scribe]:
    """Who writes in a ledger of the test's own."""
    async with open_ledger(database) as scribe:
        yield scribe


@pytest.fixture
async def connection(scribe: Scribe) -> AsyncIterator[Connection]:
    """A connection of the service."""
    async with scribe.pool.acquire() as connection:
        yield connection


async def collect_accounts(
    connection: Connection, ledger: int, wanted: AccountFilter, *, limit: int, look_at: int
) -> list[AccountRow]:
    """The accounts of all pages."""
    found: list[AccountRow] = []
    after = None
    while True:
        page = await list_accounts(
            connection, ledger, wanted, after=after, limit=limit, look_at=look_at
        )
        assert len(page.items) <= limit
        found += page.items
        if page.next is None:
            return found
        after = page.next


async def collect_entries(
    connection: Connection,
    ledger: int,
    wanted: EntryFilter,
    *,
    descending: bool,
    limit: int,
    look_at: int,
) -> list[EntryRow]:
    """The entries of all pages."""
    found: list[EntryRow] = []
    start = None
    while True:
        page = await list_entries(
            connection,
            ledger,
            wanted,
            start=start,
            descending=descending,
            limit=limit,
            look_at=look_at,
        )
        assert len(page.items) <= limit
        found += page.items
        if page.next is None:
            return found
        start = page.next


# --- accounts ----------------------------------------------------------------------------------


async def test_an_account_is_read_as_it_stands(
    database: Database, scribe: Scribe, connection: Connection
) -> None:
    """Its terms and revision are the last ones, its opening is remembered; in another ledger there
    is no such account.
    """
    profile = make_profile(user_id="u", name="n", metadata='{"a": 1}', floor=-5, ceiling=9)
    await scribe.submit([OpenAccount(profile)])
    changed = await scribe.change(profile.id, name="m", status=AccountStatus.FROZEN)
    expected = profile._replace(
        name="m", status=AccountStatus.FROZEN, revision=2, created_at=changed.created_at
    )
    assert await read_account(connection, scribe.number, profile.id) == AccountRow(
        expected, changed.updated_at
    )
    assert changed.created_at < changed.updated_at
    assert await read_account(connection, scribe.number, new_id(ACCOUNT)) is None
    async with open_ledger(database) as other:
        assert await read_account(connection, other.number, profile.id) is None


FILTERS: list[tuple[AccountFilter, Callable[[Profile], bool]]] = [
    (AccountFilter(), lambda _: True),
    (AccountFilter(user_id="u1"), lambda one: one.user_id == "u1"),
    (AccountFilter(user_id="nobody"), lambda _: False),
    (AccountFilter(currency="EUR"), lambda one: one.currency == "EUR"),
    (AccountFilter(type=AccountType.EXPENSE), lambda one: one.type == "expense"),
    (AccountFilter(status=AccountStatus.FROZEN), lambda one: one.status == "frozen"),
    (AccountFilter(role=SystemRole.CLEARING), lambda one: one.role == "clearing"),
    (AccountFilter(role=SystemRole.FEES), lambda _: False),
    (AccountFilter(metadata='{"k": {"rare": true}}'), lambda one: "rare" in one.metadata),
    (AccountFilter(metadata='{"common": 1}'), lambda one: '"common": 1' in one.metadata),
    (AccountFilter(metadata="{}"), lambda _: True),
    (
        AccountFilter(user_id="u2", currency="EUR", metadata='{"common": 1}'),
        lambda one: one.user_id == "u2" and one.currency == "EUR" and "common" in one.metadata,
    ),
    (
        AccountFilter(role=SystemRole.CLEARING, user_id="u1"),
        lambda _: False,
    ),
    (
        AccountFilter(type=AccountType.LIABILITY, metadata='{"k": {"rare": true}}'),
        lambda one: one.type == "liability" and "rare" in one.metadata,
    ),
    (
        AccountFilter(
            type=AccountType.EXPENSE,
            status=AccountStatus.ACTIVE,
            currency="USD",
            role=None,
            metadata='{"common": 1}',
        ),
        lambda one: (one.type, one.status, one.currency) == ("expense", "active", "USD"),
    ),
]


@pytest.mark.parametrize(("limit", "look_at"), [(1, 2), (3, 7), (50, 1000)])
async def test_accounts_are_listed_in_the_order_of_their_ids(
    database: Database, scribe: Scribe, connection: Connection, limit: int, look_at: int
) -> None:
    """All pages together hold each account that matches once, in the order of ids, however few
    accounts a page may look at, and none of another ledger.
    """
    profiles = [
        make_profile(
            user_id=(None, "u1", "u2")[n % 3],
            currency=("USD", "EUR")[n % 2],
            type=(AccountType.LIABILITY, AccountType.EXPENSE)[n % 5 == 0],
            status=(AccountStatus.ACTIVE, AccountStatus.FROZEN)[n % 7 == 0],
            metadata='{"common": 1, "k": {"rare": true}}' if n in (3, 30) else '{"common": 1}',
        )
        for n in range(40)
    ]
    await scribe.submit([OpenAccount(profile) for profile in profiles], atomic=False)
    await scribe.post(scribe.deposit(profiles[2].id, 5))
    async with open_ledger(database, "other") as other:
        await other.submit([OpenAccount(make_profile(metadata='{"k": {"rare": true}}'))])
    clearing = await read_account(connection, scribe.number, scribe.clearing)
    assert clearing is not None
    existing = [*profiles, clearing.profile]
    for wanted, matches in FILTERS:
        found = await collect_accounts(
            connection, scribe.number, wanted, limit=limit, look_at=look_at
        )
        assert [row.profile.id for row in found] == sorted(
            profile.id for profile in existing if matches(profile)
        )


async def test_rare_metadata_is_found_at_once(scribe: Scribe, connection: Connection) -> None:
    """An account with rare metadata is on the first page, however many stand before it; with other
    filters a page looks at so many accounts and no more.
    """
    await scribe.submit([OpenAccount(make_profile()) for _ in range(100)], atomic=False)
    last = await scribe.open(metadata='{"order": "A-1"}', name="last")
    page = await list_accounts(
        connection, scribe.number, AccountFilter(metadata='{"order": "A-1"}'), limit=5, look_at=20
    )
    assert [row.profile.id for row in page.items] == [last]
    assert page.next is None
    page = await list_accounts(
        connection, scribe.number, AccountFilter(currency="JPY"), limit=5, look_at=20
    )
    assert page.items == []
    assert page.next is not None


# --- entries -----------------------------------------------------------------------------------


async def test_an_entry_says_what_became_of_it(
    database: Database, scribe: Scribe, connection: Connection
) -> None:
    """It is read by its exact id or its reference, with the reversal in force and what was
    refunded; an id that was never given, and one of another ledger, finds nothing.
    """
    account = await scribe.open()
    first = await scribe.post(scribe.deposit(account, 100, reference="r"))
    other = await scribe.post(scribe.transfer(account, account, 30, reference="r"))
    refund = await scribe.refund(first, 40)
    reversal = await scribe.reverse(other)
    ledger = scribe.number
    assert await read_entry(connection, ledger, first.id) == (first, 40)
    reversed_entry = other._replace(reversed_by=reversal.id)
    assert await read_entry(connection, ledger, other.id) == (reversed_entry, 0)
    row = await read_entry(connection, ledger, refund.id)
    assert row is not None
    assert (row.entry.position, row.entry.corrects) == (refund.position, first.id)
    for type, expected in (
        (EntryType.DEPOSIT, (first, 40)),
        (EntryType.TRANSFER, (reversed_entry, 0)),
        (EntryType.FEE, None),
    ):
        assert await find_entry_by_reference(connection, ledger, type, "r") == expected
    stranger = ENTRY + "0" * 16 + first.id[-16:]
    assert await read_entry(connection, ledger, stranger) is None
    assert await read_entry(connection, ledger, ENTRY + "f" * 32) is None
    async with open_ledger(database) as empty:
        assert await read_entry(connection, empty.number, first.id) is None


async def test_entries_are_listed_in_the_order_of_their_positions(
    scribe: Scribe, connection: Connection
) -> None:
    """All pages together hold each entry that matches once, upwards or downwards, though accounts
    that were opened in between have taken numbers too.
    """
    account = await scribe.open()
    entries = []
    for serial in range(12):
        entries.append(
            await scribe.post(
                scribe.deposit(account, 7, reference=f"r{serial}")
                if serial % 3
                else scribe.transfer(account, account, 1, reference="r1")
                if serial == 3
                else scribe.deposit(account, 7)
            )
        )
        await scribe.submit([OpenAccount(make_profile()) for _ in range(serial)], atomic=False)
    for wanted, descending, (limit, look_at) in itertools.product(
        [
            EntryFilter(),
            EntryFilter([EntryType.DEPOSIT]),
            EntryFilter([EntryType.TRANSFER, EntryType.FEE]),
            EntryFilter([EntryType.FEE]),
            EntryFilter(reference="r1"),
            EntryFilter([EntryType.DEPOSIT], "r1"),
            EntryFilter(reference="none"),
        ],
        [False, True],
        [(1, 2), (4, 5), (50, 1000)],
    ):
        found = await collect_entries(
            connection,
            scribe.number,
            wanted,
            descending=descending,
            limit=limit,
            look_at=look_at,
        )
        expected = [
            entry
            for entry in entries
            if entry.type in (wanted.types or EntryType)
            and wanted.reference in (None, entry.reference)
        ]
        assert [row.entry for row in found] == (expected[::-1] if descending else expected)
