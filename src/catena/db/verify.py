"""Proves a ledger's books from their lines alone, and chains from their histories: recomputes them
and names every row that disagrees.

Invariant: one snapshot, nothing written, and memory that does not grow with the book: its checks
run over ranges of it, and what they find is streamed. Never mends anything.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from catena.db.snapshot import cut_positions, join_ends, reading_whole_book, stream
from catena.db.verify_chains import CLAIM, CLAIMS, find_wrong_chains
from catena.ids import ACCOUNT, CHAIN, ENTRY, EVENT, IMPORT, ITEM, LIEN, RUN

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
"""Positions, lines or events of chains that one query looks at, roughly: what a sort in memory
holds."""

_UUID_MAX: Final = 2**128 - 1


class Scope(StrEnum):
    """What a check goes over."""

    LEDGER = "ledger"
    POSITIONS = "positions"
    ACCOUNTS = "accounts"
    CHAINS = "chains"


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
    CHAIN = "chain"
    LIEN = "lien"
    WORK = "work"
    MESSAGE = "message"
    STATEMENT = "statement"
    RUN = "run"
    ITEM = "item"


_PREFIXES: Final = {
    Kind.ENTRY: ENTRY,
    Kind.CORRECTION: ENTRY,
    Kind.EVENT: EVENT,
    Kind.LINE: ACCOUNT,
    Kind.ACCOUNT: ACCOUNT,
    Kind.BALANCE: ACCOUNT,
    Kind.REVISION: ACCOUNT,
    Kind.KEY: "",
    Kind.CHAIN: CHAIN,
    Kind.LIEN: LIEN,
    Kind.WORK: CHAIN,
    Kind.MESSAGE: "",
    Kind.STATEMENT: IMPORT,
    Kind.RUN: RUN,
    Kind.ITEM: ITEM,
}


class Check(NamedTuple):
    """What must hold (`claim`), and the query or the function that gives the rows which are wrong.

    Several names: several claims; then each row says which `check` failed, and may say its `kind`.
    """

    name: str
    scope: Scope
    kind: Kind
    claim: str
    sql: str = ""
    find: Callable[..., AsyncIterable[Mapping[str, Any]]] | None = None

    def look(
        self, connection: Connection, ledger: int, *ends: object
    ) -> AsyncIterable[Mapping[str, Any] | asyncpg.Record]:
        """The rows that are wrong within these ends."""
        if self.find is not None:
            return self.find(connection, ledger, *ends)
        return stream(connection, self.sql, ledger, *ends)


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that is not as it must be.

    `id` names the entry, event, account, chain, lien or ledger, in hex the idempotency key; a
    correction has its corrected entry's id, a line its account's, with `number`, work its chain's.
    A chain's `number` is that of its event. `expected` and `found` are words for people, which name
    a message; amounts in them are minor units.
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
    `range_rows`: positions, lines or events that one query looks at, roughly. It changes what is
    found only where many positions are missing: a gap is named once in each range.
    """
    async with reading_whole_book(connection):
        ranges: dict[Scope, Sequence[tuple[object, ...]]] = {
            Scope.LEDGER: [()],
            Scope.POSITIONS: await cut_positions(connection, ledger.number, range_rows),
            Scope.ACCOUNTS: await _cut(connection, _ACCOUNTS, ledger.number, range_rows),
            Scope.CHAINS: await _cut(connection, _CHAINS, ledger.number, range_rows),
        }
        done, total = 0, sum(len(ranges[check.scope]) for check in CHECKS)
        for check in CHECKS:
            for ends in ranges[check.scope]:
                report(check.name, done, total)
                async for row in check.look(connection, ledger.number, *ends):
                    yield _describe(check, ledger, row)
                done += 1
        report("", total, total)


def _describe(check: Check, ledger: Ledger, row: Mapping[str, Any] | asyncpg.Record) -> Finding:
    kind = Kind(row.get("kind", check.kind))
    if kind is Kind.LEDGER:
        id: str | None = ledger.id
    else:
        id = _PREFIXES[kind] + row["id"].hex if row["id"] else None
    name = row.get("check", check.name)
    return Finding(name, kind, id, row["number"], row["position"], row["expected"], row["found"])


_ACCOUNTS: Final = """
SELECT DISTINCT ON (part) id
  FROM (SELECT account_id AS id, div(sum(line_count + 1) OVER (ORDER BY account_id), $2) AS part
          FROM balances WHERE ledger_id = $1) AS parts
 WHERE part > 0 ORDER BY part, id"""

_CHAINS: Final = """
SELECT DISTINCT ON (part) id
  FROM (SELECT chain_id AS id,
               div(sum(events + 1::bigint) OVER (ORDER BY chain_id), $2) AS part
          FROM chains WHERE ledger_id = $1) AS parts
 WHERE part > 0 ORDER BY part, id"""


async def _cut(
    connection: Connection, sql: str, ledger: int, rows: int
) -> Sequence[tuple[object, ...]]:
    """Every id there can be, in ranges that should have about so many rows of what it counts."""
    starts = [row["id"].int for row in await connection.fetch(sql, ledger, rows)]
    return [(UUID(int=low), UUID(int=high)) for low, high in join_ends(0, starts, _UUID_MAX)]


def _read_checks(file: str) -> Iterator[Check]:
    text = (resources.files("catena.db") / file).read_text("utf-8")
    for part in text.split("\n-- check: ")[1:]:
        head, _, rest = part.partition("\n")
        match = _HEAD.fullmatch(head)
        if match is None:
            raise ValueError(f"{file}: {head}")
        comment = [line[3:] for line in rest.splitlines() if line.startswith("-- ")]
        yield Check(
            match["name"], Scope(match["scope"]), Kind(match["kind"]), " ".join(comment), rest
        )


_HEAD: Final = re.compile(r"(?P<name>[\w, ]+) over (?P<scope>\w+) names (?P<kind>\w+)")

CHECKS: Final = (
    *_read_checks("verify.sql"),
    *_read_checks("verify_chains.sql"),
    *_read_checks("verify_reconciliation.sql"),
    Check(CLAIMS, Scope.CHAINS, Kind.CHAIN, CLAIM, find=find_wrong_chains),
)
"""Every check, in the order in which they run."""
