"""Twins whose commits are broken, in Python or in SQL: each is caught by a test of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from catena.db.embedded import EmbeddedPostgres
from tests.postgres import Database
from tests.scribe import connect_as_owner
from tests.twins.planting import Replacement, plant_in_database, planted

ATTEMPT, BOOK, COMMIT, DECIDE = (
    f"catena.journal.{module}" for module in ("attempt", "book", "commit", "decide")
)
WRITE, ANSWERS = "catena.db.write", "catena.journal.answers"
SQL_WRITE, SQL_REST = "journal_write", "journal_write_facts"
TWO, GROUP, LOST, AHEAD = (
    f"tests.journal.test_{name}:"
    for name in ("two_writers", "group_commit", "lost_commits", "ahead")
)
CLAIMS = "tests.journal.test_claims:"
LONGEST_SECONDS = 60.0


class Twin(NamedTuple):
    """What is wrong with it, the check that notices, and where it differs."""

    wrong: str
    check: str
    replacements: list[Replacement]
    arguments: dict[str, Any] = {}  # noqa: RUF012  # never changed
    sql: Sequence[str] = ()


_SUMS = """
       AND b.debits = u.debits - u.more_debits AND b.credits = u.credits - u.more_credits
       AND b.line_count = u.lines - u.more_lines"""
NO_SUMS = Replacement(SQL_WRITE, _SUMS, "")
"""Without this guard what is remembered wrongly reaches the books."""
NO_VERSIONS = Replacement(
    SQL_WRITE,
    f"b.account_id = u.account_id AND b.version = u.version{_SUMS};",
    "b.account_id = u.account_id;",
)
POSITION_FIRST = [
    Replacement(
        SQL_WRITE,
        "    touched bigint;\nBEGIN\n",
        """    touched bigint;
BEGIN
    SELECT min(number) - 1, clock_timestamp() INTO base, at
      FROM (SELECT nextval('twin_positions') AS number FROM generate_series(1, p_count)) AS taken;
""",
    ),
    Replacement(SQL_WRITE, "SELECT p.position, p.recorded_at INTO base, at", "PERFORM p.position"),
    Replacement(SQL_WRITE, "SET position = base + p_count,", "SET"),
]
KEYS_APART = [
    Replacement(WRITE, "*_columns(work.keys, _KEY_COLUMNS)", "*_columns([], _KEY_COLUMNS)"),
    Replacement(
        WRITE,
        "    assert row is not None",
        """    count = work.count
    keys = [key._replace(offset=key.offset and key.offset - count) for key in work.keys]
    with telling_stale():
        await connection.fetchrow(
            _WRITE, ledger, numbering.high, numbering.low - 2**64, 0,
            *_columns([], _BALANCE_COLUMNS), *_columns([], _ENTRY_COLUMNS),
            *_columns([], _LINE_COLUMNS), *_columns(keys, _KEY_COLUMNS), None,
        )
    assert row is not None""",
    ),
]
REFUNDS_UNLOCKED = [
    Replacement(
        SQL_REST,
        "AND k.position = undone.position AND k.version = undone.version;",
        "AND k.position = undone.position;",
    ),
    Replacement(
        ATTEMPT,
        "            for entry in book.entries.values():\n",
        "            book.corrections = await load_corrections(connection, number, book.entries)\n"
        "            for entry in book.entries.values():\n",
    ),
    Replacement(
        ATTEMPT,
        "        if needs.corrected:\n            book.corrections = ",
        "        if False:\n            book.corrections = ",
    ),
]

TWINS = [
    Twin(
        "writes over what another wrote",
        TWO + "test_what_another_changed_is_decided_again",
        [NO_VERSIONS],
    ),
    Twin(
        "checks a floor against what it remembers",
        TWO + "test_no_floor_is_broken_by_two",
        [NO_VERSIONS],
        sql=[
            # Without the versions, these two guards still stand in its way.
            "ALTER TABLE lines DROP CONSTRAINT lines_pkey",
            "ALTER TABLE balances DROP CONSTRAINT no_overdraft",
        ],
    ),
    Twin(
        "refuses for old news",
        TWO + "test_a_refusal_is_decided_again_too",
        [
            Replacement(
                DECIDE,
                "    book.touch(draft.lines)\n    if refusal is not None:\n",
                "    if refusal is None:\n        book.touch(draft.lines)\n    else:\n",
            )
        ],
    ),
    Twin(
        "refuses a correction for old news",
        TWO + "test_a_correction_is_refused_for_what_is_so_now",
        [Replacement(BOOK, "            self.touch(at.lines)\n", "")],
    ),
    Twin(
        "counts refunds without a lock",
        TWO + "test_a_hot_entry_starves_nobody",
        REFUNDS_UNLOCKED,
    ),
    Twin(
        "numbers a commit before it has its locks",
        TWO + "test_a_commit_that_waits_is_not_passed_by",
        POSITION_FIRST,
        sql=["CREATE SEQUENCE twin_positions"],
    ),
    Twin(
        "lets a key have two effects",
        TWO + "test_one_key_is_one_effect",
        [Replacement(SQL_WRITE, "IF touched <> cardinality(k_key) THEN", "IF false THEN")],
    ),
    Twin(
        "records a key in another transaction",
        LOST + "test_every_kind_of_piece",
        KEYS_APART,
        {"fate": "UNANSWERED", "locking": False},
    ),
    Twin(
        "takes a lost commit for one that failed",
        LOST + "test_a_database_that_stays_away",
        [Replacement(COMMIT, "piece.in_doubt |= attempt.sent", "pass")],
        {"fate": "UNANSWERED"},
    ),
    Twin(
        "opens an account again when the answer was lost",
        LOST + "test_every_kind_of_piece",
        [
            Replacement(
                DECIDE,
                "if profile.id in book.accounts or profile.id in book.opened:",
                "if profile.id in book.opened:",
            )
        ],
        {"fate": "UNANSWERED", "locking": False},
    ),
    Twin(
        "remembers what was never committed",
        GROUP + "test_a_replay_changes_nothing_for_its_neighbours",
        [
            Replacement(COMMIT, "            self.accounts.pop(id, None)\n", "            pass\n"),
            NO_SUMS,
        ],
    ),
    Twin(
        "remembers what a failed commit did to accounts that nobody had named",
        "tests.journal.test_notices:test_a_chain_that_begins_in_vain_leaves_nothing_behind",
        [Replacement(ATTEMPT, " | self._book.touched.keys()", ""), NO_SUMS],
    ),
    Twin(
        "writes totals that its lines do not add up to",
        TWO + "test_what_is_remembered_wrongly_is_never_written",
        [NO_SUMS],
        {"wrong": "credits"},
    ),
    Twin(
        "fails a whole commit for one piece",
        GROUP + "test_only_the_culprit_fails",
        [Replacement(COMMIT, "if len(pieces) == 1:", "if pieces:")],
        {"description": "boom", "place": 17},
    ),
    Twin(
        "keeps what was decided ahead of a commit that failed",
        AHEAD + "test_what_was_decided_ahead_of_a_failure_is_decided_again",
        [Replacement(COMMIT, "        self._undone()\n        for id", "        for id"), NO_SUMS],
    ),
    Twin(
        "decides the second half of a commit over what comes after it",
        AHEAD + "test_halves_of_a_commit_come_before_what_was_decided_ahead",
        [Replacement(COMMIT, "        self._undone()  # they", "        # they"), NO_SUMS],
    ),
    Twin(
        "takes back a neighbour's entry with its own",
        GROUP + "test_a_refused_piece_takes_back_only_its_own",
        [Replacement(DECIDE, "if offset > before:", "if True:")],
    ),
    Twin(
        "forgets references within a commit",
        GROUP + "test_a_refused_piece_takes_back_only_its_own",
        [Replacement(BOOK, "if found is None:", "if found is None or isinstance(found, Decided):")],
    ),
    Twin(
        "forgets claims within a commit",
        CLAIMS + "test_one_claim_in_one_commit",
        [Replacement(BOOK, "if taken is None:", "if taken is None or isinstance(taken, Claimed):")],
    ),
    Twin(
        "gives up where another process has claimed the same",
        CLAIMS + "test_one_claim_is_one_chain",
        [Replacement(WRITE, '        "claims_pkey",\n', "")],
    ),
    Twin(
        "keeps the corrections of a piece that was refused",
        GROUP + "test_a_refused_piece_undoes_no_correction",
        [Replacement(DECIDE, "book.corrections = undone_by", "pass")],
    ),
    Twin(
        "answers a replay with what has become of the entry",
        GROUP + "test_a_repeated_reference_says_that_its_entry_was_reversed",
        [Replacement(ANSWERS, "._replace(reversed_by=reversed_by)", "")],
    ),
    Twin(
        "holds a new floor against what was posted before",
        GROUP + "test_a_lowered_floor_holds_for_what_follows",
        [Replacement(SQL_WRITE, "AND c.floor < b.floor", "AND false")],
    ),
]


async def check(
    name: str, database: Database, server: EmbeddedPostgres, arguments: dict[str, Any]
) -> None:
    """Run a test of the journal, as it is imported now."""
    module, _, member = name.partition(":")
    test: Any = getattr(import_module(module), member)
    values = dict(arguments)
    if "fate" in values:
        values["fate"] = import_module("tests.journal.proxy").Fate[values["fate"]]
    fixtures = {"database": database, "postgres_server": server}
    needed = test.__code__.co_varnames[: test.__code__.co_argcount]
    values |= {name: value for name, value in fixtures.items() if name in needed}
    with capture_logs() as logs:
        if "logs" in needed:
            values["logs"] = logs
        async with asyncio.timeout(LONGEST_SECONDS):
            await test(**values)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.wrong)
async def test_a_twin_is_caught(
    twin: Twin, database: Database, postgres_server: EmbeddedPostgres
) -> None:
    """The check that passes on the real one fails on the twin."""
    in_python = [one for one in twin.replacements if one.where.startswith("catena.")]
    in_sql = [one for one in twin.replacements if one not in in_python]
    async with connect_as_owner(database) as owner:
        for statement in twin.sql:
            await owner.execute(statement)
    for replacement in in_sql:
        await plant_in_database(database, replacement)
    with planted(in_python), pytest.raises(AssertionError):
        await check(twin.check, database, postgres_server, twin.arguments)


@pytest.mark.parametrize("name", sorted({twin.check for twin in TWINS}))
async def test_the_checks_pass_on_the_real_one(
    name: str, database: Database, postgres_server: EmbeddedPostgres
) -> None:
    """Imported anew without a change, it passes: it is the change that is caught."""
    arguments = next(twin.arguments for twin in TWINS if twin.check == name)
    with planted([]):
        await check(name, database, postgres_server, arguments)
