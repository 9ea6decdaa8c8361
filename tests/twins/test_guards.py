"""Where the rules are broken, the database refuses; where its guards are gone, verify tells."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from tests.postgres import Database
from tests.scribe import connect_as_owner
from tests.twins.planting import Replacement, planted


class Guarded(NamedTuple):
    """A rule that is broken, what the database has against it, and what verify says without that.

    `lines`: of wallets a and b, of which a has 10; by account and side, minor units.
    """

    wrong: str
    broken: Replacement
    lines: list[tuple[str, str, int]]
    guard: str
    findings: set[str]


GUARDED = [
    Guarded(
        "an entry that does not balance",
        Replacement(
            "catena.ledger.entries",
            "if any(balance_by_currency(draft.lines).values()):",
            "if False:",
        ),
        [("a", "debit", 5), ("b", "credit", 6)],
        "DROP TRIGGER balanced ON lines",
        {"ledger_balance", "entry_balance"},
    ),
    Guarded(
        "a wallet below its floor",
        Replacement("catena.ledger.entries", "posted - account.reserved < floor", "False"),
        [("a", "debit", 11), ("b", "credit", 11)],
        "ALTER TABLE balances DROP CONSTRAINT no_overdraft",
        {"floors"},
    ),
    Guarded(
        "an amount that is not positive",
        Replacement("catena.ledger.entries", "if amount <= 0:", "if False:"),
        [("a", "debit", 0), ("b", "credit", 0)],
        "ALTER TABLE lines DROP CONSTRAINT lines_amount_check",
        {"line_amounts"},
    ),
]


@pytest.mark.parametrize("guarded", GUARDED, ids=lambda guarded: guarded.wrong)
async def test_the_database_and_verify_stand_behind_the_rules(
    guarded: Guarded, database: Database
) -> None:
    """A process with a broken rule cannot write what must not be; if it could, it is found."""
    with planted([guarded.broken]), capture_logs():
        writers: Any = import_module("tests.journal.writers")
        async with writers.open_writer(database.service_dsn) as writer:
            accounts = dict(zip("ab", await writer.open_wallets(2, balance=10), strict=True))
            entry = _make_entry(guarded.lines, accounts)
            assert writers.tell(await writer.send([entry])) == "internal_error"
            assert await writer.posted(accounts["a"]) == 10
            await writers.prove(database, writer.ledger)
            async with connect_as_owner(database) as owner:
                await owner.execute(guarded.guard)
            assert writers.tell(await writer.send([entry])) == "posted"
            verify: Any = import_module("catena.db.verify")
            async with writer.pool.acquire() as connection:
                findings = await verify.verify(connection, writer.ledger)
            assert {finding.check for finding in findings} == guarded.findings


def _make_entry(lines: list[tuple[str, str, int]], accounts: dict[str, str]) -> object:
    """A free entry, made of the twin's own parts."""
    journal: Any = import_module("catena.journal")
    entries: Any = import_module("catena.ledger.entries")
    side: Any = import_module("catena.ledger.accounts").Side
    parts = [entries.Line(accounts[one], side(to), amount, "USD") for one, to, amount in lines]
    return journal.PostEntry(entries.Draft(entries.EntryType.ADJUSTMENT, parts))
