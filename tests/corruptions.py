"""A small story in a ledger, and every way in which its rows can be spoiled, as a table.

Invariant: the story is written by the journal; what spoils it is SQL by a superuser, past all
guards. Each row of the table says which rows of the books a proof must name, and no others.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import uuid4

import pytest

from catena.clock import system_clock
from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import ADMIN, OWNER, SERVICE
from catena.db.installation import Ledger
from catena.db.verify import Finding, Kind
from catena.journal import PostEntry
from catena.ledger.exchange import quote
from catena.ledger.operations import draft_exchange
from catena.money import Rate, iso_currency
from tests.postgres import Database, ask
from tests.scribe import Scribe, open_ledger

__all__ = [
    "CORRUPTIONS",
    "Corruption",
    "Spoiled",
    "Story",
    "copy_database",
    "drop_database",
    "name_row",
    "spoil",
    "spoiled",
    "written_story",
]


class Story(NamedTuple):
    """A ledger, and the names of its accounts (to their ids) and entries (to their positions)."""

    ledger: Ledger
    accounts: dict[str, str]
    entries: dict[str, int]


class Spoiled(NamedTuple):
    """A database with the story in it, for a test to spoil; `admin_dsn` is past all guards."""

    story: Story
    database: Database
    admin_dsn: str


async def write_story(database: Database) -> Story:
    """Two wallets in USD and one in EUR, and one entry or two of each kind."""
    async with open_ledger(database) as scribe:
        accounts = {
            name: await scribe.open(currency=currency, name=name)
            for name, currency in (("ann", "USD"), ("bob", "USD"), ("eve", "EUR"))
        }
        entries = await _write_entries(scribe, accounts)
        accounts["clearing"] = scribe.clearing
        await scribe.change(accounts["ann"], name="Ann")
        entries["last"] = (await scribe.post(scribe.transfer(*_pair(accounts), 1))).position
        return Story(scribe.ledger, accounts, entries)


async def _write_entries(scribe: Scribe, accounts: dict[str, str]) -> dict[str, int]:
    ann, bob = _pair(accounts)
    deposit = await scribe.post(scribe.deposit(ann, 1000))
    transfer = await scribe.post(scribe.transfer(ann, bob, 300, reference="rent"))
    second = await scribe.post(scribe.transfer(ann, bob, 200))
    quoted = quote(100, iso_currency("USD"), iso_currency("EUR"), Rate(9, 10))
    exchange = await scribe.post(
        PostEntry(draft_exchange(scribe.ledger.id, ann, accounts["eve"], quoted))
    )
    refund = await scribe.refund(transfer, 100)
    reversal = await scribe.reverse(second)
    again = await scribe.reverse(reversal)
    a_year_ago = system_clock() - dt.timedelta(days=365)
    late = await scribe.post(scribe.transfer(bob, ann, 5, effective_at=a_year_ago))
    undone = await scribe.post(scribe.transfer(ann, bob, 7))
    undoing = await scribe.reverse(undone)
    entries = {
        "deposit": deposit,
        "transfer": transfer,
        "second": second,
        "exchange": exchange,
        "refund": refund,
        "reversal": reversal,
        "again": again,
        "late": late,
        "undone": undone,
        "undoing": undoing,
    }
    return {name: entry.position for name, entry in entries.items()}


def _pair(accounts: dict[str, str]) -> tuple[str, str]:
    return accounts["ann"], accounts["bob"]


class Corruption(NamedTuple):
    """How the rows are spoiled, and what a proof names: `check row`, as `name_row` writes it.

    In the SQL, {ann} is an account's uuid, {last} an entry's position, {ledger} the ledger's
    number. `seen_by`: the programs that must refuse the export.
    """

    name: str
    sql: str
    findings: set[str]
    seen_by: tuple[str, ...] = ()


PROGRAMS: Final = ("hledger", "bean-check")

_EXTRA_LINES: Final = """
INSERT INTO lines SELECT ledger_id, account_id, number + 1, position + 1, amount, {totals},
                         effective_at, recorded_at, ordinal, is_debit, currency
                    FROM lines WHERE position = {{last}}"""

_EXTRA_ENTRY: Final = """
INSERT INTO entries SELECT ledger_id, position + 1, {id}, type, effective_at,
                           recorded_at FROM entries WHERE position = {{last}};"""

CORRUPTIONS: Final = (
    Corruption(
        "an amount is changed",
        "UPDATE lines SET amount = amount + 1 WHERE position = {transfer} AND ordinal = 1",
        {
            "entry_balance transfer",
            "ledger_balance ledger",
            "running_totals ann/2",
            "balance_sums ann",
        },
        PROGRAMS,
    ),
    Corruption(
        "a whole entry gets another amount",
        "UPDATE lines SET amount = amount + 1 WHERE position = {transfer}",
        {
            "running_totals ann/2",
            "running_totals bob/1",
            "balance_sums ann",
            "balance_sums bob",
        },
        PROGRAMS,
    ),
    Corruption(
        "a line is deleted",
        "DELETE FROM lines WHERE position = {second} AND ordinal = 1",
        {
            "entry_balance second",
            "entry_lines second",
            "ledger_balance ledger",
            "correction_lines reversal",
            "line_numbers ann/4",
            "running_totals ann/4",
            "balance_sums ann",
        },
        PROGRAMS,
    ),
    Corruption(
        "an entry loses its lines",
        "DELETE FROM lines WHERE position = {last}",
        {"entry_lines last", "balance_sums ann", "balance_sums bob"},
        PROGRAMS,
    ),
    Corruption(
        "an entry is deleted, its lines stay",
        "DELETE FROM entries WHERE position = {last}",
        {"positions last", "line_entry ann/11", "line_entry bob/9", "keys key 18"},
        PROGRAMS,
    ),
    Corruption(
        "a balance is changed",
        "UPDATE balances SET credits = credits + 1 WHERE account_id = {ann}",
        {"balance_sums ann"},
        PROGRAMS,
    ),
    Corruption(
        "both sides of a balance are changed",
        "UPDATE balances SET debits = debits + 1, credits = credits + 1 WHERE account_id = {ann}",
        {"balance_sums ann"},
    ),
    Corruption(
        "a balance forgets a line",
        "UPDATE balances SET line_count = line_count - 1 WHERE account_id = {ann}",
        {"balance_sums ann"},
    ),
    Corruption(
        "a line is moved to another account",
        "UPDATE lines SET account_id = {bob}, number = 10 WHERE position = {last} AND ordinal = 1",
        {"line_order bob/10", "running_totals bob/10", "balance_sums ann", "balance_sums bob"},
        PROGRAMS,
    ),
    Corruption(
        "a line is moved to an account that is not there",
        "UPDATE lines SET account_id = gen_random_uuid(), number = 1, debits = amount, credits = 0"
        " WHERE position = {last} AND ordinal = 1",
        {"line_account stranger/1", "balance_sums ann"},
        PROGRAMS,
    ),
    Corruption(
        "an entry is doubled",
        _EXTRA_ENTRY.format(id="entry_id") + _EXTRA_LINES.format(totals="debits, credits"),
        {
            "positions position 19",
            "entry_ids position 19",
            "running_totals ann/12",
            "running_totals bob/10",
            "balance_sums ann",
            "balance_sums bob",
        },
        PROGRAMS,
    ),
    Corruption(
        "an entry is forged, with the right totals and balances",
        _EXTRA_ENTRY.format(  # noqa: S608  # this table is where SQL is injected from
            id="(left(entry_id::text, 24) || to_hex(x'800000000000'::bigint + 19))::uuid"
        )
        + _EXTRA_LINES.format(
            totals="debits + CASE WHEN is_debit THEN 1 ELSE 0 END,"
            " credits + CASE WHEN is_debit THEN 0 ELSE 1 END"
        )
        + """;
        UPDATE balances SET debits = debits + 1, line_count = 12 WHERE account_id = {ann};
        UPDATE balances SET credits = credits + 1, line_count = 10 WHERE account_id = {bob}""",
        {"positions position 19"},
    ),
    Corruption(
        "an entry gets another currency",
        "UPDATE lines SET currency = 'EUR' WHERE position = {last}",
        {"line_account ann/11", "line_account bob/9"},
        PROGRAMS,
    ),
    Corruption(
        "a running total is changed",
        "UPDATE lines SET debits = debits + 1 WHERE account_id = {ann} AND number = 3",
        {"running_totals ann/3"},
        ("hledger",),
    ),
    Corruption(
        "the last running total is changed",
        "UPDATE lines SET debits = debits + 1 WHERE account_id = {ann} AND number = 11",
        {"running_totals ann/11"},
        PROGRAMS,
    ),
    Corruption(
        "both running totals are changed",
        "UPDATE lines SET debits = debits + 1, credits = credits + 1"
        " WHERE account_id = {ann} AND number = 3",
        {"running_totals ann/3"},
    ),
    Corruption(
        "a line skips a number",
        "UPDATE lines SET number = 12 WHERE account_id = {ann} AND number = 11",
        {"line_numbers ann/12"},
    ),
    Corruption(
        "lines swap numbers",
        """
        UPDATE lines SET number = -1 WHERE account_id = {ann} AND number = 2;
        UPDATE lines SET number = 2 WHERE account_id = {ann} AND number = 3;
        UPDATE lines SET number = 3 WHERE account_id = {ann} AND number = -1""",
        {"line_order ann/3", "running_totals ann/2", "running_totals ann/3"},
    ),
    Corruption(
        "the lines of an entry have one ordinal",
        "UPDATE lines SET ordinal = 1 WHERE position = {last}",
        {"entry_lines last"},
    ),
    Corruption(
        "an entry has one line, of nothing",
        """
        ALTER TABLE lines DROP CONSTRAINT lines_amount_check;
        DELETE FROM lines WHERE position = {last} AND ordinal = 2;
        UPDATE lines SET amount = 0, debits = debits - 1 WHERE position = {last};
        UPDATE balances SET debits = debits - 1 WHERE account_id = {ann};
        UPDATE balances SET credits = credits - 1, line_count = 8 WHERE account_id = {bob}""",
        {"entry_lines last", "line_amounts ann/11"},
    ),
    Corruption(
        "an entry is recorded late, after what follows it",
        "UPDATE entries SET recorded_at = recorded_at + interval '1 hour'"
        " WHERE position = {deposit}",
        {
            "position_order position 5",
            "line_entry ann/1",
            "line_entry clearing/1",
            "ledger_counter ledger",
        },
    ),
    Corruption(
        "a line is recorded before those that precede it",
        "UPDATE lines SET recorded_at = recorded_at - interval '1 hour'"
        " WHERE account_id = {ann} AND number = 3",
        {"line_order ann/3", "line_entry ann/3"},
    ),
    Corruption(
        "an entry counts from the future",
        """
        ALTER TABLE entries DROP CONSTRAINT never_in_the_future;
        UPDATE entries SET effective_at = recorded_at + interval '1 hour' WHERE position = {last};
        UPDATE lines SET effective_at = recorded_at + interval '1 hour' WHERE position = {last}""",
        {"entry_dates last"},
    ),
    Corruption(
        "a line has another date than its entry",
        "UPDATE lines SET effective_at = effective_at - interval '1 hour'"
        " WHERE position = {last} AND ordinal = 2",
        {"line_entry bob/9"},
    ),
    Corruption(
        "the counter runs ahead",
        "UPDATE positions SET position = position + 1",
        {"positions position 19"},
    ),
    Corruption(
        "the counter falls back",
        "UPDATE positions SET position = position - 1",
        {"positions last"},
    ),
    Corruption(
        "the counter is lost",
        "DELETE FROM positions",
        {"ledger_counter ledger"},
    ),
    Corruption(
        "the last commit is dated back",
        "UPDATE positions SET recorded_at = recorded_at - interval '1 hour'",
        {"ledger_counter ledger"},
    ),
    Corruption(
        "an entry stands outside the positions",
        "UPDATE entries SET position = 0 WHERE position = {last};"
        "UPDATE lines SET position = 0 WHERE position = {last}",
        {
            "positions position 0",
            "positions last",
            "position_order position 1",
            "entry_ids position 0",
            "line_order ann/11",
            "line_order bob/9",
            "keys key 18",
        },
    ),
    Corruption(
        "an entry has another's id",
        "UPDATE entries SET entry_id = (SELECT entry_id FROM entries WHERE position = {deposit})"
        " WHERE position = {last}",
        {"entry_ids last"},
    ),
    Corruption(
        "an event has another's id",
        "UPDATE events SET event_id = (SELECT event_id FROM events WHERE position = 2)"
        " WHERE position = 1",
        {"event_ids position 1"},
    ),
    Corruption(
        "an event takes an entry's position",
        "UPDATE events SET position = {last} WHERE position = 3",
        {
            "positions position 3",
            "positions last",
            "position_order last",
            "event_ids last",
            "revision_events eve/1",
            "event_revisions last",
            "keys key 3",
        },
    ),
    Corruption(
        "an event is deleted",
        "DELETE FROM events WHERE position = 1",
        {"positions position 1", "revision_events ann/1", "keys key 1"},
    ),
    Corruption(
        "an event tells of another account",
        "UPDATE events SET subject = {bob} WHERE position = 1",
        {"revision_events ann/1", "event_revisions position 1"},
    ),
    Corruption(
        "a revision is deleted",
        "DELETE FROM account_revisions WHERE account_id = {ann} AND revision = 1",
        {"revision_numbers ann/2", "revision_current ann", "event_revisions position 1"},
    ),
    Corruption(
        "a revision is changed",
        "UPDATE account_revisions SET name = 'Mallory' WHERE account_id = {bob}",
        {"revision_current bob"},
    ),
    Corruption(
        "an account is renamed past its revisions",
        "UPDATE accounts SET name = 'Mallory' WHERE account_id = {bob}",
        {"revision_current bob"},
    ),
    Corruption(
        "a floor is lowered past its account's revisions",
        "UPDATE balances SET floor = -100 WHERE account_id = {ann}",
        {"revision_current ann"},
    ),
    Corruption(
        "a balance is below its floor",
        """
        ALTER TABLE balances DROP CONSTRAINT no_overdraft;
        UPDATE balances SET floor = 505 WHERE account_id = {ann};
        UPDATE account_revisions SET floor = 505 WHERE account_id = {ann} AND revision = 2""",
        {"floors ann"},
    ),
    Corruption(
        "something is reserved for nobody",
        "UPDATE balances SET reserved = 1 WHERE account_id = {ann}",
        {"reserved ann", "reserves ann"},
    ),
    Corruption(
        "a balance grows on the wrong side",
        """
        ALTER TABLE balances DROP CONSTRAINT no_overdraft;
        UPDATE balances SET sign = 1 WHERE account_id = {ann}""",
        {"account_balance ann"},
    ),
    Corruption(
        "an account is closed with money in it",
        """
        ALTER TABLE balances DROP CONSTRAINT closed_is_empty;
        UPDATE balances SET status = 'closed' WHERE account_id = {ann};
        UPDATE account_revisions SET status = 'closed' WHERE account_id = {ann} AND revision = 2""",
        {"closed_accounts ann"},
    ),
    Corruption(
        "an account is deleted",
        "DELETE FROM accounts WHERE account_id = {eve}",
        {"account_balance eve", "line_account eve/1", "revision_events eve/1"},
        PROGRAMS,
    ),
    Corruption(
        "a balance is deleted",
        "DELETE FROM balances WHERE account_id = {eve}",
        {"account_balance eve", "revision_current eve"},
    ),
    Corruption(
        "a reversal in force is forgotten",
        "UPDATE corrections SET reversal = NULL WHERE position = {undone}",
        {"corrections undone"},
    ),
    Corruption(
        "the row of a reversal in force is deleted",
        "DELETE FROM corrections WHERE position = {undone}",
        {"corrections undone"},
    ),
    Corruption(
        "a reversal that was undone is in force",
        "UPDATE corrections SET reversal = {reversal} WHERE position = {second}",
        {"corrections second"},
    ),
    Corruption(
        "two reversals are in force",
        "UPDATE entries SET corrects = {second} WHERE position = {again}",
        {"corrections second", "corrections reversal", "correction_lines again"},
    ),
    Corruption(
        "a reversal has other lines than its entry",
        """
        UPDATE lines SET amount = 8, debits = debits + CASE WHEN is_debit THEN 1 ELSE 0 END,
                         credits = credits + CASE WHEN is_debit THEN 0 ELSE 1 END
         WHERE position = {undoing};
        UPDATE lines SET debits = debits + CASE WHEN account_id = {bob} THEN 1 ELSE 0 END,
                         credits = credits + CASE WHEN account_id = {ann} THEN 1 ELSE 0 END
         WHERE position = {last};
        UPDATE balances SET debits = debits + 1 WHERE account_id = {bob};
        UPDATE balances SET credits = credits + 1 WHERE account_id = {ann}""",
        {"correction_lines undoing"},
    ),
    Corruption(
        "a refund is forgotten",
        "UPDATE corrections SET refunded = 0, shares = NULL WHERE position = {transfer}",
        {"corrections transfer"},
    ),
    Corruption(
        "a refund is split in another way",
        'UPDATE entries SET details = \'{{"refund": {{"shares": [99, 101]}}}}\''
        " WHERE position = {refund}",
        {"correction_lines refund", "corrections transfer"},
    ),
    Corruption(
        "more is refunded than was paid",
        "UPDATE corrections SET refunded = 301, shares = '[301, 301]' WHERE position = {transfer}",
        {"corrections transfer", "refunds transfer"},
    ),
    Corruption(
        "an entry is refunded and reversed",
        """
        ALTER TABLE corrections DROP CONSTRAINT one_or_the_other;
        UPDATE corrections SET reversal = {undoing} WHERE position = {transfer}""",
        {"corrections transfer", "refunds transfer"},
    ),
    Corruption(
        "a reversal corrects what is not there",
        "UPDATE entries SET corrects = 5 WHERE position = {undoing}",
        {
            "corrected_entries undoing",
            "correction_lines undoing",
            "corrections undone",
            "corrections position 5",
        },
    ),
    Corruption(
        "a reversal corrects itself",
        "UPDATE entries SET corrects = position WHERE position = {undoing}",
        {"corrected_entries undoing", "correction_lines undoing", "corrections undone"},
    ),
    Corruption(
        "a reversal is called a transfer",
        "UPDATE entries SET type = 'transfer' WHERE position = {undoing}",
        {"corrected_entries undoing", "corrections undone"},
    ),
    Corruption(
        "a key answers with what is not there",
        "UPDATE idempotency SET first = 99 WHERE first = {last}",
        {"keys key 99"},
    ),
    Corruption(
        "a key answers an exception with what is not there",
        'UPDATE idempotency SET exceptions = \'{{"0": {{"offset": 7}}}}\' WHERE first = {last}',
        {"keys key 25"},
    ),
    Corruption(
        "a key has no answer",
        "UPDATE idempotency SET first = NULL WHERE first = {last}",
        {"keys key"},
    ),
    Corruption(
        "a key's exceptions are no exceptions",
        "UPDATE idempotency SET exceptions = '[1]' WHERE first = {last}",
        {"keys key"},
    ),
)


def name_row(story: Story, finding: Finding) -> str:
    """A finding as the table writes it: the check, and the row by its name in the story."""
    accounts = {id: name for name, id in story.accounts.items()}
    entries = {position: name for name, position in story.entries.items()}
    row = entries.get(finding.position or 0, f"position {finding.position}")
    match finding.kind:
        case Kind.LEDGER:
            row = "ledger"
        case Kind.ACCOUNT | Kind.BALANCE:
            row = accounts[str(finding.id)]
        case Kind.LINE | Kind.REVISION:
            row = f"{accounts.get(str(finding.id), 'stranger')}/{finding.number}"
        case Kind.KEY:
            row = "key" if finding.position is None else f"key {finding.position}"
        case _:
            pass
    return f"{finding.check} {row}"


def spoil(book: Spoiled, corruption: Corruption) -> None:
    """Change the rows, past triggers and rights."""
    accounts = {name: f"'{id[-32:]}'" for name, id in book.story.accounts.items()}
    sql = corruption.sql.format(**accounts, **book.story.entries)
    ask(
        book.admin_dsn,
        "SET search_path = catena; SET session_replication_role = replica; " + sql,
        "SELECT 1",
    )


@pytest.fixture(scope="session")
def written_story(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[tuple[Database, Story]]:
    """A database that holds the story, for copying, and the story."""
    database = copy_database(postgres_server, migrated_template)
    yield database, asyncio.run(write_story(database))
    drop_database(postgres_server, database)


@pytest.fixture
def spoiled(
    postgres_server: EmbeddedPostgres, written_story: tuple[Database, Story]
) -> Iterator[Spoiled]:
    """A copy of the story for the test to spoil."""
    template, story = written_story
    database = copy_database(postgres_server, template.name)
    yield Spoiled(story, database, postgres_server.dsn(ADMIN, database.name))
    drop_database(postgres_server, database)


def copy_database(server: EmbeddedPostgres, template: str) -> Database:
    """A new database, as the template is. Nobody may be connected to that."""
    name = f"book_{uuid4().hex}"
    copy = f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER} STRATEGY file_copy"
    ask(server.admin_dsn, copy)
    return Database(name, server.dsn(OWNER, name), server.dsn(SERVICE, name))


def drop_database(server: EmbeddedPostgres, database: Database) -> None:
    """Drop what `copy_database` made."""
    ask(server.admin_dsn, f"DROP DATABASE {database.name} WITH (FORCE)")
