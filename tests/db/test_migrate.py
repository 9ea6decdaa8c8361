"""Migrations, and what the schema refuses: to the service, and to its own owner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from catena.clock import system_clock
from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import OWNER, SERVICE
from catena.db.installation import list_ledgers
from catena.db.migrate import list_migrations, migrate
from catena.db.pool import open_pool
from catena.db.read.balances import read_balance_at
from catena.db.verify import verify
from catena.db.write import KeyRow, WriteSet, write
from catena.errors import MigrationFailed
from catena.ids import ACCOUNT
from catena.journal import Journal
from catena.ledger.accounts import Account, AccountType, Side
from catena.ledger.entries import Draft, EntryType, Line
from catena.settings import Settings
from tests.postgres import Database
from tests.scribe import Scribe, connect_as_owner, open_ledger

NAMES = [migration.name for migration in list_migrations()]

STORY = (Path(__file__).parent / "first_version.sql").read_text(encoding="utf-8")
WALLET = f"{ACCOUNT}0193a0f0000070008000000000000001"


@pytest.fixture
async def blank(postgres_server: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A database without a schema."""
    name = f"blank_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_server.admin_dsn)
    await admin.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
    yield Database(name, postgres_server.dsn(OWNER, name), postgres_server.dsn(SERVICE, name))
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def dump(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of the books, by table."""
    async with connect_as_owner(database) as owner:
        tables = await owner.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'catena'::regnamespace"
            " AND relkind = 'r' AND relname <> 'schema_migrations' ORDER BY relname"
        )
        return {
            table["relname"]: [
                json.loads(row["row"])
                for row in await owner.fetch(
                    f"SELECT to_jsonb(t) AS row FROM {table['relname']} t ORDER BY t::text"  # noqa: S608
                )
            ]
            for table in tables
        }


# --- from nothing, and from each version -------------------------------------------------------


async def test_an_empty_database_gets_everything_once(blank: Database) -> None:
    """The first run applies every migration in order, the next one nothing."""
    assert await migrate(blank.owner_dsn) == NAMES
    assert await migrate(blank.owner_dsn) == []


@pytest.mark.parametrize("version", range(1, len(NAMES)))
async def test_a_book_survives_every_upgrade(blank: Database, version: int) -> None:
    """From each earlier version on, a book keeps its rows as they were, is proven right, tells its
    past, and goes on being written.
    """
    assert await migrate(blank.owner_dsn, up_to=version) == NAMES[:version]
    async with connect_as_owner(blank) as owner:
        await owner.execute(STORY)
    before = await dump(blank)
    assert await migrate(blank.owner_dsn) == NAMES[version:]
    after = await dump(blank)
    for table, rows in before.items():
        for old, new in zip(rows, after[table], strict=True):
            assert old.items() <= new.items()
    settings = Settings(database_connections=2)
    pool = await open_pool(settings, blank.service_dsn)
    journal = Journal(pool, settings, system_clock)
    try:
        async with pool.acquire() as connection:
            [ledger] = await list_ledgers(connection)
            scribe = Scribe(pool, journal, ledger)
            entry = await scribe.post(scribe.deposit(WALLET, 7))
            assert entry.position == 4
            for moment, posted in ((None, 507), (entry.recorded_at, 507)):
                found = await read_balance_at(
                    connection, ledger.number, WALLET, effective_at=moment
                )
                assert found is not None
                assert found.posted == posted
            assert await verify(connection, ledger) == []
    finally:
        await journal.close()
        await pool.close()


# --- the runner --------------------------------------------------------------------------------


async def test_two_runners_take_turns(blank: Database) -> None:
    """Of two runners at the same moment one applies everything, and the other, when its turn comes,
    finds nothing to do.
    """
    results = await asyncio.gather(migrate(blank.owner_dsn), migrate(blank.owner_dsn))
    assert sorted(results) == [[], NAMES]


async def test_a_second_runner_waits_for_the_first(blank: Database) -> None:
    """While a runner is held up, the next one stands behind it instead of working beside it."""
    await migrate(blank.owner_dsn, up_to=1)
    async with connect_as_owner(blank) as owner:
        async with owner.transaction():
            await owner.execute("LOCK TABLE schema_migrations")
            runners = [asyncio.create_task(migrate(blank.owner_dsn)) for _ in range(2)]
            waiting: set[str] = set()
            async with asyncio.timeout(60):
                while waiting != {"relation", "advisory"}:
                    rows = await owner.fetch(
                        "SELECT l.locktype FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                        " WHERE NOT l.granted AND d.datname = current_database()"
                    )
                    waiting = {row["locktype"] for row in rows}
            assert not any(runner.done() for runner in runners)
        assert sorted(await asyncio.gather(*runners)) == [[], NAMES[1:]]


async def test_an_edited_migration_is_refused(blank: Database) -> None:
    """A migration whose text is not what ran here stops the runner, before it changes anything."""
    await migrate(blank.owner_dsn, up_to=1)
    async with connect_as_owner(blank) as owner:
        await owner.execute("UPDATE schema_migrations SET checksum = 'another'")
    with pytest.raises(MigrationFailed, match="0001_ledger was edited"):
        await migrate(blank.owner_dsn)
    async with connect_as_owner(blank) as owner:
        assert await owner.fetchval("SELECT count(*) FROM schema_migrations") == 1


async def test_a_newer_database_is_refused(database: Database) -> None:
    """A database that a later version of Catena has migrated is left alone."""
    async with connect_as_owner(database) as owner:
        await owner.execute(
            "INSERT INTO schema_migrations (number, name, checksum) VALUES (9999, 'later', '')"
        )
    with pytest.raises(MigrationFailed, match="newer version"):
        await migrate(database.owner_dsn)


async def test_a_migration_runs_whole_or_not_at_all(blank: Database) -> None:
    """One that fails half-way leaves nothing behind, and runs when the obstacle is gone."""
    async with connect_as_owner(blank) as owner:
        await owner.execute("CREATE SCHEMA catena")
        await owner.execute("CREATE TABLE catena.lines ()")
        with pytest.raises(MigrationFailed, match="0001_ledger failed"):
            await migrate(blank.owner_dsn)
        assert await owner.fetchval("SELECT to_regclass('catena.accounts')") is None
        assert await owner.fetchval("SELECT count(*) FROM catena.schema_migrations") == 0
        await owner.execute("DROP TABLE catena.lines")
    assert await migrate(blank.owner_dsn) == NAMES


# --- what the database refuses -----------------------------------------------------------------


@pytest.mark.parametrize("table", ["entries", "lines", "events", "account_revisions"])
async def test_facts_are_append_only_even_to_their_owner(database: Database, table: str) -> None:
    """No row of them is updated, deleted or truncated, whoever asks."""
    async with open_ledger(database) as scribe:
        await scribe.post(scribe.deposit(await scribe.open(), 5))
    async with connect_as_owner(database) as owner:
        rows = await owner.fetch(f"SELECT * FROM {table}")  # noqa: S608
        assert rows
        for statement in (
            f"UPDATE {table} SET position = position",  # noqa: S608
            f"DELETE FROM {table}",  # noqa: S608
            f"TRUNCATE {table}",
        ):
            with pytest.raises(asyncpg.PostgresError, match="append-only") as refused:
                await owner.execute(statement)
            assert refused.value.sqlstate == "CT101"
        assert await owner.fetch(f"SELECT * FROM {table}") == rows  # noqa: S608


LINE = """
INSERT INTO lines (ledger_id, account_id, number, position, amount, debits, credits, effective_at,
                   recorded_at, ordinal, is_debit, currency)
SELECT 1, gen_random_uuid(), 1, 1, amount, 0, 0, now(), now(), ordinal, amount_is_debit, currency
  FROM (VALUES {}) AS l (ordinal, amount_is_debit, amount, currency)"""


@pytest.mark.parametrize(
    ("lines", "balanced"),
    [
        ("(1, true, 5, 'USD'), (2, false, 5, 'USD')", True),
        ("(1, true, 5, 'USD'), (2, false, 2, 'USD'), (3, false, 3, 'USD')", True),
        ("(1, true, 5, 'USD'), (2, false, 4, 'USD')", False),
        ("(1, true, 5, 'USD'), (2, false, 5, 'EUR')", False),
        ("(1, true, 5, 'USD')", False),
        ("(1, true, 5, 'USD'), (2, false, 5, 'USD'), (3, true, 1, 'EUR')", False),
    ],
)
async def test_an_unbalanced_entry_is_refused_even_to_the_owner(
    database: Database, lines: str, *, balanced: bool
) -> None:
    """Lines are inserted only with debits equal to credits in each currency of their entry."""
    async with connect_as_owner(database) as owner:
        insert = LINE.format(lines)
        if balanced:
            assert await owner.execute(insert) == f"INSERT 0 {lines.count('(')}"
            return
        with pytest.raises(asyncpg.PostgresError, match="does not balance") as refused:
            await owner.execute(insert)
        assert refused.value.sqlstate == "CT102"
        assert await owner.fetchval("SELECT count(*) FROM lines") == 0


async def test_the_journal_cannot_write_what_does_not_balance(database: Database) -> None:
    """Were the rules in Python wrong, the commit would fail as a whole: no balance has moved, and
    no number is taken.
    """
    async with open_ledger(database) as scribe:
        account = await scribe.open()
        await scribe.post(scribe.deposit(account, 5))
        before = await dump(database)
        lines = [
            Line(scribe.clearing, Side.DEBIT, 4, "USD"),
            Line(account, Side.CREDIT, 3, "USD"),
        ]
        work = WriteSet()
        offset = work.add_entry(Draft(EntryType.DEPOSIT, lines), None)
        touched = [
            Account(
                scribe.clearing,
                AccountType.ASSET,
                "USD",
                floor=None,
                debits=9,
                line_count=2,
                version=2,
            ),
            Account(account, AccountType.LIABILITY, "USD", credits=8, line_count=2, version=2),
        ]
        for ordinal, (line, changed) in enumerate(zip(lines, touched, strict=True), 1):
            work.add_line(offset, ordinal, line, changed, None)
        work.keys.append(KeyRow(uuid4().hex, uuid4().hex, offset, None))
        async with scribe.pool.acquire() as connection:
            with pytest.raises(asyncpg.PostgresError, match="does not balance"):
                await write(connection, scribe.number, work, touched)
        assert await dump(database) == before


BANKING = (
    *("bank_alarms", "bank_files", "bank_inbox", "bank_lines", "bank_orders", "bank_statements"),
    *("bank_turns", "deposit_references", "suspense_undone", "virtual_ibans"),
)
GRANTED = {
    ("api_keys", "INSERT"),
    ("api_keys", "UPDATE"),
    *((name, "INSERT") for name in BANKING),
    ("bank_alarms", "UPDATE"),
    ("bank_files", "UPDATE"),
    ("bank_inbox", "UPDATE"),
    ("bank_orders", "UPDATE"),
    ("bank_turns", "UPDATE"),
    ("deposit_references", "DELETE"),
    ("idempotency", "DELETE"),
    ("installation", "INSERT"),
    ("ledgers", "INSERT"),
    ("ledgers", "UPDATE"),
    ("positions", "INSERT"),
    ("suspense_undone", "UPDATE"),
    ("virtual_ibans", "DELETE"),
    ("reconciliation_findings", "INSERT"),
    ("reconciliation_keys", "INSERT"),
    ("reconciliations", "INSERT"),
    ("statement_imports", "INSERT"),
    ("statement_lines", "INSERT"),
}


async def test_the_service_has_no_right_to_write_money(database: Database) -> None:
    """What its role may write is listed here and holds no money; it may read everything else, make
    nothing, and of the journal's functions run the two that are its road.
    """
    async with open_ledger(database) as scribe, scribe.pool.acquire() as service:
        rows = await service.fetch(
            "SELECT c.relname, p.name FROM pg_class c,"
            " unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES'])"
            " AS p (name) WHERE c.relnamespace = 'catena'::regnamespace AND c.relkind = 'r'"
            " AND (has_table_privilege(c.oid, p.name)"
            "      OR p.name IN ('INSERT', 'UPDATE', 'REFERENCES')"
            "      AND has_any_column_privilege(c.oid, p.name))"
        )
        assert {(row["relname"], row["name"]) for row in rows} == GRANTED
        assert await service.fetchval(
            "SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = 'ledgers'::regclass"
            " AND attnum > 0 AND has_column_privilege(attrelid, attnum, 'UPDATE')"
        ) == ["assets"]
        assert not await service.fetchval("SELECT has_schema_privilege('catena', 'CREATE')")
        functions = await service.fetch(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'catena'::regnamespace"
            " AND proname LIKE 'journal%' AND has_function_privilege(oid, 'EXECUTE')"
        )
        assert {row["proname"] for row in functions} == {
            "journal_lock",
            "journal_lock_chains",
            "journal_write",
        }


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO entries SELECT * FROM entries",
        "UPDATE entries SET description = 'x'",
        "INSERT INTO lines SELECT * FROM lines",
        "UPDATE lines SET amount = amount + 1",
        "DELETE FROM lines",
        "UPDATE balances SET credits = credits + 1",
        "INSERT INTO balances SELECT * FROM balances",
        "UPDATE positions SET position = 0",
        "UPDATE accounts SET user_id = 'x'",
        "SELECT journal_open_accounts(1, '[]')",
        "INSERT INTO chains SELECT * FROM chains",
        "UPDATE chains SET state = 'completed'",
        "DELETE FROM chain_accounts",
        "UPDATE liens SET remaining = 0",
        "DELETE FROM liens",
        "UPDATE work SET fence = fence + 1",
        "DELETE FROM work",
        "SELECT journal_check_chains(1, '{}')",
        "SELECT journal_write_chains(1, 0, now(), '{}')",
        "UPDATE statement_lines SET amount = 0",
        "DELETE FROM reconciliations",
        "UPDATE reconciliation_items SET state = 'cleared'",
        "INSERT INTO reconciliation_changes SELECT * FROM reconciliation_changes",
        "SELECT journal_write_items(1, '', 0, 0, now(), '{}')",
        "UPDATE bank_files SET content = ''",
        "UPDATE bank_orders SET iban = ''",
        "DELETE FROM bank_inbox",
        "ALTER TABLE lines DISABLE TRIGGER ALL",
        "SET ROLE catena_owner",
    ],
)
async def test_the_service_is_refused(database: Database, statement: str) -> None:
    """The service posts through the journal, and by no other statement."""
    async with open_ledger(database) as scribe:
        entry = await scribe.post(scribe.deposit(await scribe.open(), 5))
        assert entry.position == 2
        async with scribe.pool.acquire() as service:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(statement)
