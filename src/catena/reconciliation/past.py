"""What a run goes on from: both sides' new lines, what was left open, and the work list.

Invariant: all of it is read as it was at one moment. Our lines are read by their numbers, so that
none is missed, however far back it is dated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from catena.db.load import load_corrected
from catena.db.reconciliation import (
    count_before,
    find_last_import,
    find_last_run,
    load_alive,
    load_changes,
    load_clearing,
    load_imports,
    load_item_findings,
    load_our_lines,
    load_position,
    load_their_lines,
    load_waiting,
)
from catena.db.reconciliation_rows import (
    ClearingRow,
    FindingRow,
    ImportRow,
    ItemRow,
    OurLine,
    RunRow,
    TheirLine,
)
from catena.gateways.contract import StatementLine, Subject
from catena.ids import ITEM, find_first
from catena.ledger.accounts import clearing_of
from catena.ledger.entries import Entry, EntryType
from catena.reconciliation.findings import Finding, How, Kind
from catena.reconciliation.lines import BookLine, M
from catena.reconciliation.matching import Carried, Earlier, OpenItem
from catena.reconciliation.work import Change, State, WorkItem

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.pool import Connection

__all__ = ["Past", "load_past", "load_work", "read_ours", "read_theirs"]


class Past(NamedTuple):
    """What is there before a run. `begins`: of reconciliation. `accounts` by currency.

    `imports`: what covers anything behind the last run; `imports_read`: the number of the last one
    that there is; `ours` and `theirs`: new lines, apart from what is `earlier`; `rows`: of the
    items of `work`, which are all that are not cleared.
    """

    previous: RunRow | None
    begins: dt.datetime
    position: int
    accounts: Mapping[str, ClearingRow]
    imports: Sequence[ImportRow]
    imports_read: int
    ours: Sequence[BookLine]
    theirs: Sequence[StatementLine]
    earlier: Earlier
    carried: Carried
    work: Sequence[WorkItem]
    rows: Mapping[str, ItemRow]


async def load_past(
    connection: Connection, ledger: Ledger, gateway: str, window: dt.timedelta, depth: int
) -> Past | None:
    """What there is of a gateway; None before its first statement. `depth`: of corrections."""
    number = ledger.number
    previous = await find_last_run(connection, number, gateway)
    imports = await load_imports(
        connection, number, gateway, None if previous is None else previous.until
    )
    if previous is None and not imports:
        return None
    accounts = await load_clearing(connection, number, clearing_of(gateway))
    if previous is not None:
        begins = previous.origin
        read = {
            row.account: previous.lines_read.get(currency, 0) for currency, row in accounts.items()
        }
    else:
        begins = min(told.covers_from for told in imports)
        read = {
            row.account: await count_before(connection, number, row, begins - window)
            for row in accounts.values()
        }
    stored = await load_our_lines(connection, number, behind=read)
    if previous is None:
        stored = [row for row in stored if row.at >= begins - window]
    ours = await read_ours(connection, number, stored, depth)
    behind = 0 if previous is None else previous.imports_read
    last = await find_last_import(connection, number, gateway)
    theirs = read_theirs(await load_their_lines(connection, number, gateway, behind=behind))
    rows = await load_alive(connection, number, gateway)
    work, waiting, early = await _load_open(connection, ledger, gateway, previous, rows, depth)
    # What we book after the first run is news, however far back it is dated: the balances that
    # both sides began with did not have it.
    early_ours, ours = _split(ours, begins if previous is None else None)
    early_theirs, theirs = _split(theirs, begins)
    looked_at = [item for item in work if item.is_looked_at]
    fees = {} if previous is None else previous.figures
    return Past(
        previous,
        begins,
        await load_position(connection, number),
        accounts,
        imports,
        0 if last is None else last.number,
        ours,
        theirs,
        Earlier(
            (*early_ours, *(line for one in early for line in one.ours)),
            (*early_theirs, *(line for one in early for line in one.theirs)),
        ),
        Carried(
            ours=tuple(line for one in waiting for line in one.ours),
            theirs=tuple(line for one in waiting for line in one.theirs),
            items=tuple(OpenItem(it.id, it.finding.ours, it.finding.theirs) for it in looked_at),
            fees={code: to_book for code, one in fees.items() if (to_book := one["fees_to_book"])},
        ),
        work,
        {row.id: row for row in rows},
    )


def _split(lines: Iterable[M], begins: dt.datetime | None) -> tuple[list[M], list[M]]:
    """Those from before the beginning, where that counts, and the others."""
    early: list[M] = []
    new: list[M] = []
    for line in lines:
        (early if begins is not None and line.at < begins else new).append(line)
    return early, new


async def _load_open(
    connection: Connection,
    ledger: Ledger,
    gateway: str,
    previous: RunRow | None,
    rows: Sequence[ItemRow],
    depth: int,
) -> tuple[list[WorkItem], list[Finding], list[Finding]]:
    """The work list, what the last run left in transit beside it, and what it left of earlier."""
    left = []
    if previous is not None:
        found = await load_waiting(connection, ledger.number, gateway, previous.number)
        left = [row for row in found if row.item is None]
    waiting, early = [
        await _load_findings(connection, ledger.number, gateway, rows, depth)
        for rows in (
            [row for row in left if not row.is_earlier],
            [row for row in left if row.is_earlier],
        )
    ]
    return await load_work(connection, ledger.number, gateway, rows, depth), waiting, early


async def load_work(
    connection: Connection, ledger: int, gateway: str, rows: Sequence[ItemRow], depth: int
) -> list[WorkItem]:
    """These items with their lines and changes. `depth`: of corrections."""
    told = {row.item: row for row in await load_item_findings(connection, ledger, rows)}
    findings = await _load_findings(
        connection, ledger, gateway, [told[row.id] for row in rows], depth
    )
    changes = await load_changes(connection, ledger, [row.id for row in rows])
    return [
        WorkItem(
            row.id,
            finding._replace(kind=Kind(row.kind), how=How(row.how)),
            tuple(
                Change(State(one.state), one.at, one.who, one.reason, one.entry)
                for one in changes[row.id]
            ),
        )
        for row, finding in zip(rows, findings, strict=True)
    ]


async def _load_findings(
    connection: Connection, ledger: int, gateway: str, rows: Sequence[FindingRow], depth: int
) -> list[Finding]:
    our_ids = {id for row in rows for id in row.ours}
    their_ids = {id for row in rows for id in row.theirs}
    stored = await load_our_lines(connection, ledger, ids=our_ids)
    ours = {line.id: line for line in await read_ours(connection, ledger, stored, depth)}
    lines = await load_their_lines(connection, ledger, gateway, ids=their_ids)
    theirs = {line.id: line for line in read_theirs(lines)}
    return [
        Finding(
            Kind(row.kind),
            How(row.how),
            tuple(ours[id] for id in row.ours),
            tuple(theirs[id] for id in row.theirs),
            row.waits_until,
        )
        for row in rows
    ]


def read_theirs(rows: Iterable[TheirLine]) -> list[StatementLine]:
    """Lines of a statement as they came in."""
    subjects = {str(subject): subject for subject in Subject}
    return [StatementLine(row[0], subjects[row[1]], *row[2:]) for row in rows]


async def read_ours(
    connection: Connection, ledger: int, rows: Sequence[OurLine], depth: int
) -> list[BookLine]:
    """Our lines as they are matched: what reverses an entry goes by that entry's reference."""
    corrected = {row.corrects for row in rows if row.corrects is not None}
    known = await load_corrected(connection, ledger, corrected, depth) if corrected else {}
    types = {str(type): type for type in EntryType}
    return [_read_line(row, types[row.type], known) for row in rows]


def _read_line(row: OurLine, type: EntryType, known: Mapping[str, Entry]) -> BookLine:
    reference = row.reference
    if row.corrects is not None:
        root = _find_root(row.corrects, known)
        if type is EntryType.REVERSAL or reference is None:
            reference = root.reference
        if root.type is EntryType.FEE:
            type = EntryType.FEE
    return BookLine(
        row.id,
        type,
        row.amount,
        row.currency,
        reference,
        row.at,
        row.batch if row.amount < 0 else None,
        row.chain,
        row.step,
        find_first(ITEM, reference),
    )


def _find_root(id: str, known: Mapping[str, Entry]) -> Entry:
    """The entry at the bottom of what was corrected."""
    entry = known[id]
    while entry.corrects is not None and entry.corrects in known:
        entry = known[entry.corrects]
    return entry
