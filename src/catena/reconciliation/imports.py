"""Statements are taken in: each once, and each of its lines once.

Invariant: the same file again is the first one; a statement that says of a line what it did not say
before is not taken in at all. What it covers without a gap is what a run can judge.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from catena.db.reconciliation import (
    find_import,
    find_last_import,
    load_their_lines,
    reading_at_once,
    was_done,
)
from catena.db.reconciliation_rows import Asker, ImportRow, TheirLine
from catena.db.reconciliation_write import save_import, save_key
from catena.db.write import Stale
from catena.errors import InvalidInput, Overloaded
from catena.gateways.contract import StatementLine
from catena.ids import IMPORT, IdSource
from catena.ledger.accounts import clearing_of
from catena.ledger.entries import EFFECTIVE_AGE_MAX
from catena.money import ISO_CURRENCIES, Currency, define_asset
from catena.reconciliation.lines import AHEAD
from catena.reconciliation.past import read_theirs
from catena.reconciliation.reports import Reading, read_plain, read_stripe
from catena.reconciliation.statements import sort_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from catena.clock import Clock
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.settings import Settings

__all__ = ["SHAPES", "Imported", "Span", "Statement", "currencies_of", "digest_lines", "take_in"]

SHAPES: Final[Mapping[str, Callable[[bytes, Reading], list[StatementLine]]]] = {
    "plain": read_plain,
    "stripe": read_stripe,
}
"""How files of each shape are read."""

_LEAST: Final = dt.timedelta(microseconds=1)


class Span(NamedTuple):
    """The time that a statement covers: from the first moment until just before the second."""

    begins: dt.datetime | None = None
    ends: dt.datetime | None = None


class Statement(NamedTuple):
    """A statement as it came: `digest` of what it says; `balances` at its end, where it says them,
    in minor units by currency.
    """

    gateway: str
    lines: Sequence[StatementLine]
    digest: bytes
    span: Span = Span()
    balances: Mapping[str, int] = {}


class Imported(NamedTuple):
    """A statement that is stored. `again`: it was, before; `replayed`: so was this very request."""

    row: ImportRow
    again: bool
    replayed: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it is stored just now."""
        return not (self.again or self.replayed)


def currencies_of(ledger: Ledger) -> dict[str, Currency]:
    """Those that a ledger knows, by code."""
    own = {code: define_asset(code, exponent) for code, exponent in ledger.assets.items()}
    return {**ISO_CURRENCIES, **own}


def digest_lines(lines: Sequence[StatementLine], span: Span) -> bytes:
    """Of what a gateway has answered: the same for the same lines of the same time."""
    return hashlib.sha256(msgspec.json.encode([span, lines])).digest()


async def take_in(
    pool: Pool,
    settings: Settings,
    clock: Clock,
    new_id: IdSource,
    ledger: Ledger,
    told: Statement,
    asker: Asker,
) -> Imported:
    """Store a statement, whose lines have been checked, unless it is there.

    Raises InvalidInput for a span that cannot be, Conflict for lines that have changed, or
    IdempotencyKeyReused.
    """
    _check_gateway(told.gateway)
    id = asker.name(IMPORT, ledger.id, new_id)
    ids = [line.id for line in told.lines]
    for _ in range(settings.commit_attempts):
        async with reading_at_once(pool) as connection:
            replayed = await was_done(connection, ledger.number, asker)
            before = await find_import(connection, ledger.number, told.gateway, told.digest)
            last = await find_last_import(connection, ledger.number, told.gateway)
            known = await load_their_lines(connection, ledger.number, told.gateway, ids=ids)
        if before is not None:
            try:
                if not replayed:
                    await save_key(pool, ledger.number, asker)
            except Stale:
                continue
            return Imported(before, before.id != id, replayed)
        now = clock()
        sorted_out = sort_out(told.lines, {line.id: line for line in read_theirs(known)})
        span = _cover(told, None if last is None else last.covers_until)
        _check_span(*span, now)
        row = ImportRow(
            told.gateway,
            1 if last is None else last.number + 1,
            id,
            told.digest,
            *span,
            len(sorted_out.fresh),
            sorted_out.repeated,
            told.balances,
            asker.who,
            now,
        )
        try:
            lines = [TheirLine._make(line) for line in sorted_out.fresh]
            await save_import(pool, ledger.number, asker, row, lines)
        except Stale:
            continue
        return Imported(row, again=False)
    raise Overloaded("Others send statements of this gateway, too; try again.")


def _check_gateway(name: str) -> None:
    try:
        clearing_of(name)
    except ValueError:
        raise InvalidInput(fields=[("/gateway", "No gateway is called so.")]) from None


def _check_span(begins: dt.datetime, ends: dt.datetime, now: dt.datetime) -> None:
    """A run judges up to where statements reach, and none goes back behind the last: what says
    that it knows of years to come would be the last that is ever judged.
    """
    if now - EFFECTIVE_AGE_MAX <= begins and ends <= now + AHEAD:
        return
    raise InvalidInput(
        f"A statement covers a time of the last {EFFECTIVE_AGE_MAX.days} days, until tomorrow at"
        " most.",
        fields=[("/covers_from", "With all of its lines."), ("/covers_until", "Likewise.")],
    )


def _cover(told: Statement, before: dt.datetime | None) -> tuple[dt.datetime, dt.datetime]:
    """What it covers: what it says, else from where the last one ended to its last line."""
    times = [line.at for line in told.lines]
    begins, ends = told.span
    if begins is None:
        if not times:
            raise InvalidInput("A statement without lines says what time it covers.")
        first = min(times)
        begins = first.replace(hour=0, minute=0, second=0, microsecond=0)
        if before is not None and before <= first:
            begins = before
    if ends is None:
        ends = max([begins, *times]) + _LEAST
    if begins > ends or any(not begins <= at < ends for at in times):
        raise InvalidInput(
            "A statement covers the time of all of its lines.",
            fields=[("/covers_until", "From its first line on until behind its last one.")],
        )
    return begins, ends
