"""Holds the books against what the bank was told: nothing lost, doubled, torn or out of order.

Invariant: it reads the tables, never the service, and computes every figure by itself.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

import asyncpg

from catena.db.installation import list_ledgers
from catena.db.verify import verify
from catena.ids import ACCOUNT, ENTRY
from tests.stories.bank import Bank, Told, connected
from tests.stories.processes import ApiProcess

__all__ = ["check_books", "check_replays", "watch_snapshots"]

_ENTRIES: Final = """
SELECT e.position, e.entry_id, e.description, c.description AS reverses, l.amount,
       array_agg(l.account_id ORDER BY l.is_debit DESC) AS accounts, count(*) AS lines
  FROM entries e
  JOIN lines l ON l.ledger_id = e.ledger_id AND l.position = e.position
  LEFT JOIN entries c ON c.ledger_id = e.ledger_id AND c.position = e.corrects
 WHERE e.type <> 'deposit'
 GROUP BY e.position, e.entry_id, e.description, c.description, l.amount
 ORDER BY e.position"""
_HISTORY: Final = """
SELECT account_id, position, credits - debits AS posted FROM lines ORDER BY account_id, number"""
_BALANCES: Final = "SELECT account_id, credits - debits AS posted, floor FROM balances"
_NUMBERED: Final = """
SELECT p.position,
       (SELECT count(*) FROM entries e WHERE e.position > $1)
     + (SELECT count(*) FROM events v WHERE v.position > $1) AS added,
       (SELECT count(*) FROM lines l WHERE l.position > $1) AS lines
  FROM positions p"""

_ASKERS: Final = 4


class _Stored(NamedTuple):
    """An entry as it must be stored."""

    mark: str
    id: str
    source: str
    destination: str
    amount: int
    reverses: str | None


async def watch_snapshots(dsn: str, bank: Bank, done: asyncio.Event) -> int:
    """Read all balances on one snapshot after another; gives how many were read.

    On each the money is constant, no floor is broken, and the numbering has no gap.
    """
    total, snapshots = sum(bank.opening.values()), 0
    async with connected(dsn) as connection:
        seen = await connection.fetchval("SELECT position FROM positions")
        while not done.is_set():
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                balances = await connection.fetch(_BALANCES)
                numbered = await connection.fetchrow(_NUMBERED, seen)
            posted = {ACCOUNT + row["account_id"].hex: row["posted"] for row in balances}
            assert sum(posted[id] for id in bank.opening) == total
            assert sum(posted.values()) == 0
            assert all(posted[id] >= floor for id, floor in bank.floors.items())
            assert numbered is not None
            assert numbered["position"] - seen == numbered["added"]
            assert numbered["lines"] == 2 * numbered["added"]
            seen, snapshots = numbered["position"], snapshots + 1
    return snapshots


async def check_replays(
    bank: Bank, processes: Sequence[ApiProcess], draw: random.Random, keys: int
) -> None:
    """So many keys at random, and all that were sent more than once, get their first answer."""
    again = [told for told in bank.told.values() if told.sendings > 1]
    asked = [*again, *draw.sample(list(bank.told.values()), min(keys, len(bank.told)))]

    async def ask(process: ApiProcess, part: Sequence[Told]) -> None:
        wire = bank.speak_to(process)
        for told in part:
            reply = await bank.send(told.order, wire)
            assert bank.record(told.order, reply)
            assert reply.replayed

    askers = len(processes) * _ASKERS
    async with asyncio.TaskGroup() as group:
        for number in range(askers):
            process = processes[number % len(processes)]
            group.create_task(ask(process, asked[number::askers]))


async def check_books(dsn: str, bank: Bank) -> None:
    """Every posted move stands in the books once, every refused one is absent, all else is right.

    Every order must have been answered.
    """
    assert [key for key, told in bank.told.items() if told.first is None] == []
    async with connected(dsn) as connection:
        entries = await connection.fetch(_ENTRIES)
        history = await connection.fetch(_HISTORY)
        balances = await connection.fetch(_BALANCES)
        (ledger,) = await list_ledgers(connection)  # type: ignore[arg-type]
        findings = await verify(connection, ledger)  # type: ignore[arg-type]
    assert findings == []
    _check_entries(bank, entries)
    _check_balances(bank, balances)
    _check_floors(bank, history)
    _check_reversals(bank, entries)
    _check_refusals(bank, history)


def _check_entries(bank: Bank, rows: Sequence[asyncpg.Record]) -> None:
    stored = Counter(
        _Stored(
            row["description"],
            ENTRY + row["entry_id"].hex,
            ACCOUNT + row["accounts"][0].hex,
            ACCOUNT + row["accounts"][1].hex,
            row["amount"],
            row["reverses"],
        )
        for row in rows
    )
    told = Counter(
        _Stored(move.mark, entry, move.source, move.destination, move.amount, told.order.reverses)
        for told in bank.told.values()
        for move, entry in zip(told.order.moves, told.entries, strict=True)
        if entry is not None
    )
    assert all(row["lines"] == 2 for row in rows)
    assert list(stored - told)[:5] == [], "posted, and nobody was told so"
    assert list(told - stored)[:5] == [], "told, and not posted"


def _check_balances(bank: Bank, rows: Sequence[asyncpg.Record]) -> None:
    expected = dict(bank.opening)
    for move, _ in bank.posted:
        expected[move.source] -= move.amount
        expected[move.destination] += move.amount
    posted = {ACCOUNT + row["account_id"].hex: row["posted"] for row in rows}
    assert {id: posted[id] for id in expected} == expected


def _check_floors(bank: Bank, history: Sequence[asyncpg.Record]) -> None:
    """No account was below its floor after any line that it ever had."""
    below = [
        row
        for row in history
        if row["posted"] < bank.floors.get(ACCOUNT + row["account_id"].hex, -(2**63))
    ]
    assert below == []


class _Curve:
    """What a figure was from which position on."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.values: list[int] = []

    def add(self, position: int, value: int) -> None:
        """From this position on it was so."""
        self.positions.append(position)
        self.values.append(value)

    def during(self, after: int, until: int) -> Sequence[int]:
        """All that it was from `after` to before `until`."""
        start = max(0, bisect_right(self.positions, after) - 1)
        return self.values[start : max(start + 1, bisect_left(self.positions, until))]


def _check_reversals(bank: Bank, entries: Sequence[asyncpg.Record]) -> None:
    """An entry is reversed only while it is in force; with it goes what it reversed, or comes back.

    Each reversal that was refused for that found its entry out of force, or would have put another
    out of force that was so already.
    """
    undoes = {row["description"]: row["reverses"] for row in entries}
    out_of_force: dict[str, _Curve] = defaultdict(_Curve)
    for row in entries:
        for depth, undone in enumerate(_list_undone(row["reverses"], undoes)):
            goes = depth % 2 == 0
            assert not goes or out_of_force[undone].values[-1:] != [1], f"{undone} is out already"
            out_of_force[undone].add(row["position"], int(goes))
    for told, until in _each_refused(bank, "already_reversed"):
        would_go = _list_undone(told.order.reverses, undoes)[::2]
        assert any(1 in out_of_force[mark].during(told.after, until) for mark in would_go), told


def _list_undone(mark: str | None, undoes: Mapping[str, str | None]) -> list[str]:
    """The entry, what it reverses, what that reverses, and so on."""
    marks = []
    while mark is not None:
        marks.append(mark)
        mark = undoes[mark]
    return marks


def _check_refusals(bank: Bank, history: Sequence[asyncpg.Record]) -> None:
    """Each move that was refused for want of funds lacked them at some moment of its time."""
    curves: dict[str, _Curve] = defaultdict(_Curve)
    for row in history:
        curves[ACCOUNT + row["account_id"].hex].add(row["position"], row["posted"])
    for told, until in _each_refused(bank, "insufficient_funds"):
        (move,) = told.order.moves
        least = min(curves[move.source].during(told.after, until))
        assert least - move.amount < bank.floors[move.source], told


def _each_refused(bank: Bank, code: str) -> Iterator[tuple[Told, int]]:
    """The single moves that were refused so, with the position at which their time had ended.

    A move's time is from the last position that was told before it was sent to the first one of
    all that was sent after its answer.
    """
    later = sorted(
        (told.sent, min(told.positions)) for told in bank.told.values() if told.positions
    )
    sendings = [sent for sent, _ in later]
    firsts = [*accumulate((first for _, first in reversed(later)), min)][::-1]
    for told in bank.told.values():
        if told.refused and len(told.order.moves) == 1 and _code(told) == code:
            following = bisect_right(sendings, told.answered)
            yield told, [*firsts[following : following + 1], 2**63][0]


def _code(told: Told) -> Any:  # noqa: ANN401  # any JSON
    assert told.first is not None
    return told.first.content["code"]
