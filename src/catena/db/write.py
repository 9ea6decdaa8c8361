"""What one commit writes, as columns, and the one statement that writes it.

Invariant: `journal_write` (as the last of the migrations has it) is the only road on which money
is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg
import msgspec

from catena.ids import Numbering
from catena.ledger.accounts import Account, Side

if TYPE_CHECKING:
    from catena.db.pool import Connection
    from catena.ledger.entries import Draft, Line

__all__ = ["KeyRow", "KeyTaken", "Mark", "Stale", "WriteSet", "telling_stale", "write"]

_STALE: Final = ("CT001", "40001", "40P01", "55P03")
"""SQLSTATEs after which deciding again, under locks, can succeed."""

_DECIDE_AGAIN: Final = frozenset(
    {
        "never_in_the_future",
        "entries_by_reference",
        "accounts_by_role",
        "claims_pkey",
        "inbox_pkey",
        "notices_pkey",
    }
)
"""Constraints that fail when someone else was first, or when the clocks differ."""


class Stale(Exception):  # an answer of the database, not an error of ours
    """A row that the decision read has changed: decide again."""


class KeyTaken(Exception):
    """An idempotency key of the batch is in use or answered already."""


@contextmanager
def telling_stale() -> Iterator[None]:
    """Turn the driver's errors after which deciding again can succeed into Stale or KeyTaken.

    A lock that was not had in time is one of them, in a read under locks as in the write.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        if error.sqlstate == "CT002":
            raise KeyTaken from error
        if error.sqlstate in _STALE or getattr(error, "constraint_name", None) in _DECIDE_AGAIN:
            raise Stale from error
        raise


class KeyRow(NamedTuple):
    """An idempotency key to be claimed. `offset`: of the first position, `exceptions`: JSON."""

    key: str
    payload: str
    offset: int | None
    exceptions: str | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A point to rewind a write set to."""

    entries: int
    lines: int
    count: int
    rest: dict[str, int]


class WriteSet:
    """The columns of one commit, filled as pieces are decided. Offsets count from 1."""

    __slots__ = ("count", "entries", "keys", "lines", "numbering", "rest")

    def __init__(self) -> None:
        self.numbering = Numbering()
        self.count = 0
        self.entries: list[tuple[Any, ...]] = []
        self.lines: list[tuple[Any, ...]] = []
        self.keys: list[KeyRow] = []
        self.rest: dict[str, list[Mapping[str, object]]] = {}

    def is_empty(self) -> bool:
        """Whether there is nothing to write but the accounts that were read."""
        return not (self.count or self.keys or self.rest)

    def next_offset(self) -> int:
        """Take the next number of this commit."""
        self.count += 1
        return self.count

    def add_entry(self, draft: Draft, corrects: int | None) -> int:
        """Append an entry; gives its offset. `corrects` is a position."""
        offset = self.next_offset()
        self.entries.append(
            (
                offset,
                draft.type,
                draft.effective_at,
                corrects,
                draft.description,
                draft.reference,
                draft.content if draft.reference is not None else None,
                draft.metadata,
                draft.details,
                *(
                    _NO_CHAIN
                    if draft.chain is None
                    else (draft.chain[4:], draft.step, draft.is_undo)
                ),
            )
        )
        return offset

    def add_line(
        self,
        offset: int,
        ordinal: int,
        line: Line,
        account: Account,
        effective_at: dt.datetime | None,
    ) -> None:
        """Append a line of the entry at `offset`, with its account as it stands after it."""
        self.lines.append(
            (
                line.account[5:],
                account.line_count,
                offset,
                line.amount,
                account.debits,
                account.credits,
                ordinal,
                line.side is Side.DEBIT,
                line.currency,
                effective_at,
            )
        )

    def add_rest(self, kind: str, row: Mapping[str, object]) -> None:
        """Append a row of what is rare: opened, changed, corrections, events, or of
        chains: chains, chain_accounts, liens and work; of items, what was decided.
        """
        self.rest.setdefault(kind, []).append(row)

    def mark(self) -> Mark:
        """Remember this point."""
        rest = {kind: len(rows) for kind, rows in self.rest.items()}
        return Mark(len(self.entries), len(self.lines), self.count, rest)

    def rewind(self, mark: Mark) -> None:
        """Drop what was appended after the mark."""
        del self.entries[mark.entries :]
        del self.lines[mark.lines :]
        self.count = mark.count
        self.rest = {kind: self.rest[kind][:length] for kind, length in mark.rest.items() if length}


# Numbers, ids and names travel as array literals, which PostgreSQL reads four times as fast as the
# driver encodes arrays; columns that are rare, and NULL as a whole, as arrays.
_WRITE: Final = """
SELECT base, at FROM journal_write(
    $1, $2, $3, $4,
    $5::text::uuid[], $6::text::bigint[], $7::text::bigint[], $8::text::bigint[],
    $9::text::bigint[], $10::text::bigint[],
    $11::text::bigint[], $12::text::bigint[], $13::text::bigint[],
    $14::text::integer[], $15::text::text[], $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26::text::uuid[], $27::text::bigint[], $28::text::integer[], $29::text::bigint[],
    $30::text::bigint[], $31::text::bigint[], $32::text::integer[], $33::text::boolean[],
    $34::text::text[], $35,
    $36::text::uuid[], $37::text::uuid[], $38::text::integer[], $39,
    $40)"""

_Column = Sequence[Any]


def _numbers(column: _Column) -> str:
    """Numbers or booleans as an array literal."""
    return "{" + str(list(column))[1:-1].replace("None", "NULL") + "}"


def _names(column: _Column) -> str:
    """Ids, codes of currencies or other words that need no escapes, as an array literal."""
    return '{"' + '","'.join(column) + '"}' if column else "{}"


def _zeros(column: _Column) -> str | None:
    """Numbers as an array literal; nothing but zeros as NULL."""
    return _numbers(column) if any(column) else None


def _rare(column: _Column) -> _Column | None:
    """A column of nothing but None as NULL, which costs nothing to send."""
    return None if column and column.count(None) == len(column) else column


_ENTRY_COLUMNS: Final = (_numbers, _names, *[_rare] * 10)
_LINE_COLUMNS: Final = (_names, *[_numbers] * 7, _names, _rare)
_KEY_COLUMNS: Final = (_names, _names, _numbers, _rare)
_BALANCE_COLUMNS: Final = (_names, *[_numbers] * 3, _zeros, *[_numbers] * 4)

_NO_CHAIN: Final = (None, None, None)
_NO_LINES: Final = (0, 0, 0)


async def write(
    connection: Connection, ledger: int, work: WriteSet, touched: Iterable[Account]
) -> tuple[int, dt.datetime]:
    """Write and, outside a transaction, commit. Gives the position before it and its recorded_at.

    `touched` are the accounts as decided, each with the version that was read (0: opened here);
    they are locked in the order of their ids. Raises Stale, KeyTaken, or the driver's error.
    """
    accounts = sorted(touched, key=lambda account: account.id)
    sums = _sum_lines(work.lines)
    balances = [
        (
            a.id[5:],
            a.version or 1,
            a.debits,
            a.credits,
            a.reserved,
            a.line_count,
            *sums.get(a.id[5:], _NO_LINES),
        )
        for a in accounts
    ]
    numbering = work.numbering
    with telling_stale():
        row = await connection.fetchrow(
            _WRITE,
            ledger,
            numbering.high,
            numbering.low - 2**64,  # its top bit is the UUID's variant, so SQL's bigint is negative
            work.count,
            *_columns(balances, _BALANCE_COLUMNS),
            *_columns(work.entries, _ENTRY_COLUMNS),
            *_columns(work.lines, _LINE_COLUMNS),
            *_columns(work.keys, _KEY_COLUMNS),
            msgspec.json.encode(work.rest).decode() if work.rest else None,
        )
    assert row is not None  # noqa: S101  # a function with OUT parameters gives one row
    return row["base"], row["at"]


def _sum_lines(lines: Iterable[tuple[Any, ...]]) -> dict[str, list[int]]:
    """Debits, credits and the count of the lines of each account (hex). Found from the lines alone:
    the database compares them with the totals, which decisions have kept.
    """
    sums: dict[str, list[int]] = {}
    for account, _, _, amount, _, _, _, is_debit, *_ in lines:
        found = sums.get(account)
        if found is None:
            found = sums[account] = [0, 0, 0]
        found[0 if is_debit else 1] += amount
        found[2] += 1
    return sums


def _columns(
    rows: Sequence[tuple[Any, ...]], forms: Sequence[Callable[[_Column], object]]
) -> Iterator[object]:
    """Rows as columns, each in its form."""
    columns = zip(*rows, strict=True) if rows else [()] * len(forms)
    return (form(column) for form, column in zip(forms, columns, strict=True))
