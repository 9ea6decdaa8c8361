"""Files of the bank's, read and taken in whole: what they say of orders, money and themselves.

Invariant: nothing is taken in of a file that cannot be read to its end; a file is read until all of
it is taken in, in the order in which they came. Reading is done beside the loop, some at a time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from catena.db.bank import load_file_orders
from catena.db.bank_alarms import Alarm
from catena.db.bank_inbox import (
    BankFile,
    BankLine,
    StatementRow,
    Turn,
    count_statements,
    fail_file,
    find_before,
    find_repeated,
    finish_file,
    next_unread,
    store_lines,
)
from catena.db.pool import is_lost
from catena.errors import CatenaError
from catena.flows.bank.standing import AlarmKind
from catena.flows.bank.taking import take_notices
from catena.gateways.bank.accounts import mask_iban, tidy_iban
from catena.gateways.bank.bookings import Booking, StatementEnd, read_bookings
from catena.gateways.bank.camt import Kind, Statement
from catena.gateways.bank.gaps import Closing, GapCode, close_statement, find_gaps
from catena.gateways.bank.limits import ID_CHARACTERS_MAX
from catena.gateways.bank.pacs004 import read_pacs004
from catena.gateways.bank.pain002 import notices_of_report, read_pain002
from catena.gateways.bank.reading import Unreadable, cut, read_pieces
from catena.gateways.contract import Notice, StatementLine, Subject

if TYPE_CHECKING:
    from catena.flows.bank.rail import Rail

__all__ = ["read_files"]

_SLICE: Final = 200
"""Parts of a file that are read at once: a few milliseconds, in which nothing else runs."""

_KEPT_BYTES: Final = 2_097_152
"""A file up to this size is read once, and kept in memory; a larger one twice, to know its end
before anything is taken in.
"""

_T = TypeVar("_T")

_log = structlog.get_logger(__name__)


async def read_files(rail: Rail, turn: Turn) -> int:
    """Take in what is stored and not read, the oldest first; gives how many files that were."""
    read = 0
    while True:
        async with rail.pool.acquire() as connection:
            file = await next_unread(connection, rail.ledger.number, rail.name)
        if file is None:
            return read
        try:
            taken = await _Reading(rail, turn, file).take_in()
        except Unreadable as error:
            await _give_up(rail, file, error)
        except Exception as error:
            await _complain(rail, file, error)
            raise
        else:
            if not taken:
                return read
            _log.info("bank_file_read", gateway=rail.name, file=file.name)
        read += 1


async def _give_up(rail: Rail, file: BankFile, error: Unreadable) -> None:
    """It stays stored as it came, and a person is told."""
    alarm = rail.alarm(AlarmKind.UNREADABLE, file.name, code=error.code, text=str(error))
    await rail.raise_alarms([alarm])
    async with rail.pool.acquire() as connection:
        await fail_file(connection, rail.ledger.number, rail.name, file.name, error.code)


async def _complain(rail: Rail, file: BankFile, error: Exception) -> None:
    """It is tried again and again, and those behind it wait: a person is told, unless it passes."""
    transient = isinstance(error, CatenaError) and error.transient
    if not transient and not is_lost(error):
        alarm = rail.alarm(AlarmKind.STUCK, file.name, error=type(error).__name__)
        await rail.raise_alarms([alarm])


async def _slices(parts: Iterable[_T]) -> AsyncIterator[list[_T]]:
    """The parts, some at a time; they are made in a thread."""
    rest = iter(parts)
    while found := await asyncio.to_thread(_take_some, rest):
        yield found


def _take_some(rest: Iterator[_T]) -> list[_T]:
    return list(islice(rest, _SLICE))


class _Reading:
    """One file being taken in."""

    def __init__(self, rail: Rail, turn: Turn, file: BankFile) -> None:
        self._rail = rail
        self._turn = turn
        self._file = file
        self._statements: list[StatementRow] = []
        self._alarms: list[Alarm] = []

    async def take_in(self) -> bool:
        """Take it in, and remember that it is; False: others have. Raises Unreadable."""
        content, rail = self._file.content, self._rail
        name, _ = next(read_pieces(cut(content), ()))
        if name.startswith("pain.002."):
            await self._take_report(content)
        elif name.startswith("pacs.004."):
            await self._take_notices(await asyncio.to_thread(list, read_pacs004(cut(content))))
        else:
            await self._take_bookings(content)
        async with rail.pool.acquire() as connection:
            done = await finish_file(
                connection,
                rail.ledger.number,
                rail.name,
                self._file.name,
                self._turn,
                self._statements,
                self._alarms,
            )
        if done:
            rail.log_alarms(self._alarms)
        return done

    async def _take_notices(self, notices: Sequence[Notice]) -> None:
        await take_notices(self._rail, notices, self._file.id)

    async def _take_report(self, content: bytes) -> None:
        """What became of a file, and of the orders in it."""
        report = await asyncio.to_thread(read_pain002, cut(content))
        rail = self._rail
        async with rail.pool.acquire() as connection:
            orders = await load_file_orders(
                connection, rail.ledger.number, rail.name, report.message_id or ""
            )
        if not orders:
            about = report.message_id or report.id
            told = {"report": report.id, "status": report.status, "code": report.code}
            self._alarms.append(rail.alarm(AlarmKind.UNKNOWN_MESSAGE, about, **told))
            return
        blocks = {order.end_to_end_id: order.block_id or "" for order in orders}
        for one in report.orders:
            if one.end_to_end_id not in blocks:
                told = {"report": report.id, "status": one.status, "code": one.code}
                about = one.end_to_end_id[:ID_CHARACTERS_MAX]
                self._alarms.append(rail.alarm(AlarmKind.UNKNOWN_ORDER, about, **told))
        notices = await asyncio.to_thread(list, notices_of_report(report, blocks))
        for at in range(0, len(notices), _SLICE):
            await self._take_notices(notices[at : at + _SLICE])

    async def _take_bookings(self, content: bytes) -> None:
        """Statements and notifications; those of other accounts are passed over."""
        kept: list[Statement | Booking | StatementEnd] = []
        keeps = len(content) <= _KEPT_BYTES
        async for parts in _slices(read_bookings(cut(content))):
            kept += parts if keeps else ()
        again = kept if keeps else read_bookings(cut(content))
        taker = _Bookings(self._rail, self._file.name, self._alarms, self._statements)
        async for parts in _slices(again):
            for part in parts:
                await taker.take(part)
            await self._take_notices(taker.empty())
            await taker.store()


class _Bookings:
    """What a file of bookings has said so far, and what is still to be done about it."""

    def __init__(
        self, rail: Rail, file: str, alarms: list[Alarm], statements: list[StatementRow]
    ) -> None:
        self._rail = rail
        self._file = file
        self._alarms = alarms
        self._statements = statements
        self._ours = False
        self._notices: list[Notice] = []
        self._lines: list[BankLine] = []

    async def take(self, part: Statement | Booking | StatementEnd) -> None:
        """The next part of the file."""
        if isinstance(part, Statement):
            self._ours = tidy_iban(part.account) in self._rail.options.numbers
            if not self._ours:
                about = mask_iban(part.account)
                self._alarms.append(self._rail.alarm(AlarmKind.OTHER_ACCOUNT, about))
        elif not self._ours:
            return
        elif isinstance(part, Booking):
            self._notices += part.notices
            self._lines += (_line(line, part) for line in part.lines)
        elif part.statement.kind is Kind.STATEMENT:
            await self._close(part)

    def empty(self) -> list[Notice]:
        """What was not given before."""
        notices, self._notices = self._notices, []
        return notices

    async def store(self) -> None:
        """Store the lines so far, and see which orders of theirs have such a line already."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        rail = self._rail
        place = rail.ledger.number, rail.name
        orders = {one.reference for one in lines if one.reference and one.subject == Subject.PAYOUT}
        async with rail.pool.acquire() as connection:
            await store_lines(connection, *place, self._file, lines)
            repeated = await find_repeated(connection, *place, orders)
        for one in repeated:
            kind = AlarmKind.PAID_TWICE if one.is_debit else AlarmKind.RETURNED_TWICE
            told = {"lines": one.lines, "total": one.total}
            self._alarms.append(rail.alarm(kind, one.reference, **told))

    async def _close(self, end: StatementEnd) -> None:
        """Hold a statement against itself and the one before it, whatever their order here."""
        row, rail = _row(end), self._rail
        place = rail.ledger.number, rail.name
        async with rail.pool.acquire() as connection:
            known = await find_before(connection, *place, row)
            count = await count_statements(connection, *place, row.account)
        here = [one for one in self._statements if one.account == row.account]
        before = _pick_before(row, [*here, *([known] if known else [])])
        statement = end.statement
        closing = None if before is None else _closing(before)
        gaps = find_gaps(closing, statement, end.net, end.entries)
        about = f"{statement.id}/{statement.page}"
        for gap in gaps:
            alarm = rail.alarm(
                AlarmKind.GAP,
                f"{about}:{gap.code}",
                code=gap.code,
                proof=gap.is_proof,
                expected=gap.expected,
                found=gap.found,
                account=mask_iban(row.account),
                statement=statement.id,
                electronic=statement.electronic,
            )
            self._alarms.append(alarm)
        if all(gap.code is not GapCode.REPEATED for gap in gaps):
            self._statements.append(row._replace(number=count + len(here) + 1))


def _row(end: StatementEnd) -> StatementRow:
    """A statement as it is remembered, without its number."""
    statement = end.statement
    return StatementRow(
        tidy_iban(statement.account),
        statement.id,
        statement.page,
        statement.is_last,
        statement.electronic,
        statement.legal,
        close_statement(statement).balance,
        statement.currency,
        end.entries,
        statement.created_at,
        0,
    )


def _pick_before(row: StatementRow, known: Sequence[StatementRow]) -> StatementRow | None:
    """The same statement, if it is there; else the last of those that are not younger."""

    def rank(one: StatementRow) -> tuple[bool, dt.datetime, int]:
        return one[1:3] == row[1:3] and one[6:9] == row[6:9], one.created_at, one.number

    older = [one for one in known if one.created_at <= row.created_at or one[1:3] == row[1:3]]
    return max(older, key=rank, default=None)


def _closing(row: StatementRow) -> Closing:
    return Closing(
        row.statement_id,
        row.page,
        row.is_last,
        row.electronic,
        row.legal,
        row.balance,
        row.created_at,
    )


def _line(line: StatementLine, booking: Booking) -> BankLine:
    """A line as it is stored; of a block that was booked as one, the block is its reference."""
    reference = line.reference
    batches = [one.payment_id for one in booking.entry.batches if one.payment_id]
    if reference is None and not booking.entry.details and len(batches) == 1:
        reference = batches[0]
    return BankLine(
        line.id, line.subject, line.amount, line.currency, reference, line.at, line.text
    )
