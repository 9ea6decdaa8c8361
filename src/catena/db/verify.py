"""Proves a ledger's books: recomputes them from the lines alone and names every row that disagrees.

Invariant: one snapshot, nothing written, and memory that does not grow with the book: the checks
of `verify.sql` run over ranges of it, and what they find is streamed. Never mends anything.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from catena.db.snapshot import cut_positions, join_ends, reading_whole_book, stream
from catena.ids import ACCOUNT, ENTRY, EVENT

if TYPE_CHECKING:
    import asyncpg

    from catena.db.installation import Ledger
    from catena.db.pool import Connection

__all__ = [
    "CHECKS",
    "RANGE_ROWS",
    "Check",
    "Finding",
    "Kind",
    "Report",
    "Scope",
    "find_disagreements",
    "verify",
]

Report = Callable[[str, int, int], None]
"""Told of the progress: the check that is next, steps done, and steps in all."""

RANGE_ROWS: Final = 500_000
"""Positions or lines that one query looks at, roughly: what a sort in memory holds."""

_UUID_MAX: Final = 2**128 - 1


class Scope(StrEnum):
    """What a check goes over."""

    LEDGER = "ledger"
    POSITIONS = "positions"
    ACCOUNTS = "accounts"


class Kind(StrEnum):
    """The kind of row that a finding names."""

    LEDGER = "ledger"
    POSITION = "position"
    ENTRY = "entry"
    EVENT = "event"
    LINE = "line"
    ACCOUNT = "account"
    BALANCE = "balance"
    REVISION = "revision"
    CORRECTION = "correction"
    KEY = "key"


_PREFIXES: Final = {
    Kind.ENTRY: ENTRY,
    Kind.CORRECTION: ENTRY,
    Kind.EVENT: EVENT,
    Kind.LINE: ACCOUNT,
    Kind.ACCOUNT: ACCOUNT,
    Kind.BALANCE: ACCOUNT,
    Kind.REVISION: ACCOUNT,
    Kind.KEY: "",
}


class Check(NamedTuple):
    """One query of `verify.sql`; `claim` says what must hold. Several names: several claims."""

    name: str
    scope: Scope
    kind: Kind
    claim: str
    sql: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that is not as it must be.

    `id` names the entry, event, account or ledger, in hex the idempotency key; a correction has its
    corrected entry's id, and a line its account's, with `number`. `expected` and `found` are words
    for people; amounts in them are minor units.
    """

    check: str
    kind: Kind
    id: str | None
    number: int | None
    position: int | None
    expected: str
    found: str


def ignore_progress(check: str, done: int, total: int) -> None:
    """Report to nobody."""


async def verify(
    connection: Connection, ledger: Ledger, report: Report = ignore_progress
) -> list[Finding]:
    """Everything that `find_disagreements` finds. An empty list: the books are proven."""
    return [finding async for finding in find_disagreements(connection, ledger, report)]


async def find_disagreements(
    connection: Connection,
    ledger: Ledger,
    report: Report = ignore_progress,
    range_rows: int = RANGE_ROWS,
) -> AsyncIterator[Finding]:
    """Every row of the ledger that disagrees with its lines, check by check.

    Reads one snapshot, so it may run while money moves; it holds back vacuum meanwhile.
    `range_rows`: positions or lines that one query looks at, roughly. It changes what is found only
    where many positions are missing: a gap is named once in each range.
    """
    async with reading_whole_book(connection):
        ranges: dict[Scope, Sequence[tuple[object, ...]]] = {
            Scope.LEDGER: [()],
            Scope.POSITIONS: await cut_positions(connection, ledger.number, range_rows),
            Scope.ACCOUNTS: await _cut_accounts(connection, ledger.number, range_rows),
        }
        done, total = 0, sum(len(ranges[check.scope]) for check in CHECKS)
        for check in CHECKS:
            for ends in ranges[check.scope]:
                report(check.name, done, total)
                async for row in stream(connection, check.sql, ledger.number, *ends):
                    yield _describe(check, ledger, row)
                done += 1
        report("", total, total)


def _describe(check: Check, ledger: Ledger, row: asyncpg.Record) -> Finding:
    if check.kind is Kind.LEDGER:
        id: str | None = ledger.id
    else:
        id = _PREFIXES[check.kind] + row["id"].hex if row["id"] else None
    name = row.get("check", check.name)
    return Finding(
        name, check.kind, id, row["number"], row["position"], row["expected"], row["found"]
    )


async def _cut_accounts(
    connection: Connection, ledger: int, rows: int
) -> Sequence[tuple[object, ...]]:
    """Every account there can be, in ranges that should have about so many lines."""
    found = await connection.fetch(
        """
        SELECT DISTINCT ON (part) account_id
          FROM (SELECT account_id,
                       div(sum(line_count + 1) OVER (ORDER BY account_id), $2) AS part
                  FROM balances WHERE ledger_id = $1) AS parts
         WHERE part > 0 ORDER BY part, account_id""",
        ledger,
        rows,
    )
    starts = [row["account_id"].int for row in found]
    return [(UUID(int=low), UUID(int=high)) for low, high in join_ends(0, starts, _UUID_MAX)]


def _read_checks() -> Iterator[Check]:
    text = (resources.files("catena.db") / "verify.sql").read_text("utf-8")
    for part in text.split("\n-- check: ")[1:]:
        head, _, rest = part.partition("\n")
        match = _HEAD.fullmatch(head)
        if match is None:
            raise ValueError(f"verify.sql: {head}")
        comment = [line[3:] for line in rest.splitlines() if line.startswith("-- ")]
        yield Check(
            match["name"], Scope(match["scope"]), Kind(match["kind"]), " ".join(comment), rest
        )


_HEAD: Final = re.compile(r"(?P<name>[\w, ]+) over (?P<scope>\w+) names (?P<kind>\w+)")

CHECKS: Final = tuple(_read_checks())
"""Every check, in the order in which they run."""
