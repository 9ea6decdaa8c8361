"""A run: what both sides have said since the last one, held against each other and stored.

Invariant: a run, what it found and the work list that it leaves are one commit, made of a past that
nobody has changed meanwhile; else it is made again. Nothing here posts.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from catena.db.read.reconciliation import read_run
from catena.db.reconciliation import reading_at_once, was_done
from catena.db.reconciliation_rows import Asker, FindingRow, ImportRow, ItemRow, RunRow
from catena.db.reconciliation_write import save_run
from catena.db.write import Stale
from catena.errors import Conflict, InvalidInput, Overloaded
from catena.gateways.contract import OF_CHARGES, StatementLine
from catena.ids import ITEM, RUN, IdSource, derive_id
from catena.reconciliation.findings import Finding, Kind
from catena.reconciliation.lines import AHEAD, BookLine, Folded, Terms, is_fee
from catena.reconciliation.matching import Carried, Earlier, Reconciliation, reconcile
from catena.reconciliation.past import Past, load_past
from catena.reconciliation.sheets import Balances, Report, build_report
from catena.reconciliation.work import State, Update, WorkItem, update_work

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.settings import Settings

__all__ = ["NO_STATEMENT", "Made", "make_run", "read_report"]

NO_STATEMENT: Final = "There is no statement of this gateway yet."


class Made(NamedTuple):
    """A run that was stored, and its report. `replayed`: by this very request, before."""

    run: RunRow
    report: Report
    replayed: bool = False


class _Maker(NamedTuple):
    """Who makes which run of what, and when."""

    gateway: str
    id: str
    who: str
    now: dt.datetime


class _Outcome(NamedTuple):
    """What a run comes to."""

    found: Reconciliation
    update: Update
    report: Report


async def make_run(
    pool: Pool,
    settings: Settings,
    clock: Clock,
    new_id: IdSource,
    ledger: Ledger,
    gateway: str,
    asker: Asker,
    until: dt.datetime | None = None,
) -> Made:
    """Reconcile a gateway with all that is there. `until`: both sides are complete up to then; left
    out, up to where its statements cover the time without a gap.

    Raises Conflict without a statement, InvalidInput for an `until` that cannot be, or
    IdempotencyKeyReused.
    """
    id = asker.name(RUN, ledger.id, new_id)
    window = dt.timedelta(days=settings.reconciliation_days)
    for _ in range(settings.commit_attempts):
        async with reading_at_once(pool) as connection:
            if await was_done(connection, ledger.number, asker):
                before = await read_run(connection, ledger.number, id)
                assert before is not None  # noqa: S101  # one commit with its key
                return Made(before.row, read_report(before.report), replayed=True)
            past = await load_past(connection, ledger, gateway, window, settings.correction_depth)
        if past is None:
            raise Conflict(NO_STATEMENT)
        now = clock()
        terms = Terms(_end(past, until, now), window, settings.cut_characters)
        maker = _Maker(gateway, id, asker.who, now)
        made, rows = await asyncio.to_thread(_make, past, terms, maker)
        try:
            await save_run(pool, ledger.number, asker, made.run, *rows)
        except Stale:
            continue
        return made
    raise Overloaded("Others reconcile this gateway, too; try again.")


def read_report(text: str) -> Report:
    """A report as it was stored."""
    return msgspec.json.decode(text, type=Report)


def _end(past: Past, wanted: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    before = past.begins if past.previous is None else past.previous.until
    if wanted is None:
        return _reach(before, past.imports)
    if not before <= wanted <= now + AHEAD:
        raise InvalidInput(
            "Both sides are complete until a moment that is not before the last run's, nor later"
            " than tomorrow.",
            fields=[("/until", f"From {before.isoformat()} on.")],
        )
    return wanted


def _reach(start: dt.datetime, imports: Iterable[ImportRow]) -> dt.datetime:
    """Up to where statements cover the time without a gap."""
    end = start
    for told in sorted(imports, key=lambda told: told.covers_from):
        if told.covers_from > end:
            break
        end = max(end, told.covers_until)
    return end


_Rows = Sequence[Mapping[str, Any]]


def _make(
    past: Past, terms: Terms, maker: _Maker
) -> tuple[Made, tuple[str, list[FindingRow], _Rows, _Rows]]:
    """All that is work of our own: in a thread, so that others are answered meanwhile."""
    outcome = _find(past, terms, maker.gateway, maker.now)
    run = _describe(past, outcome, maker)
    report = msgspec.json.encode(outcome.report).decode()
    return Made(run, outcome.report), (report, *_list_rows(past, outcome, run))


def _find(past: Past, terms: Terms, gateway: str, now: dt.datetime) -> _Outcome:
    """Match, bring the work list up to date, and draw the figures."""
    number = 1 if past.previous is None else past.previous.number + 1
    found = reconcile(*_name_by_charge(past, terms))
    update = update_work(past.work, found, gateway, now)
    update = update._replace(
        # What was found, cleared and is found again is another item.
        items=tuple(
            item
            if item.id in past.rows
            else item._replace(id=derive_id(ITEM, gateway, number, item.id))
            for item in update.items
        )
    )
    looked_at = {item.id for item in update.items}
    work = [*update.items, *(item for item in past.work if item.id not in looked_at)]
    begins = past.begins if past.previous is None else past.previous.until
    balances = _find_balances(past, found)
    report = build_report(gateway, begins, past.carried, found, work, balances, now)
    return _Outcome(found, update, report)


def _name_by_charge(
    past: Past, terms: Terms
) -> tuple[Sequence[BookLine], Sequence[StatementLine], Terms, Carried, Earlier]:
    """What there is to reconcile, where a refund that our books do not have goes by its charge: a
    chain that undoes what it charged reverses that entry, or has posted neither; and a capture of
    less than was held is one entry. They have it when they know its name for money that went the
    same way: what comes back of it later is another.
    """
    carried, earlier, folded = past.carried, past.earlier, Folded()
    ours = [*past.ours, *carried.ours, *(line for it in carried.items for line in it.ours)]
    ours += earlier.ours
    known = {(folded[line.reference], line.amount > 0) for line in ours}

    def name(line: StatementLine) -> StatementLine:
        if line.about is None or line.subject not in OF_CHARGES:
            return line
        is_known = (folded[line.reference], line.amount > 0) in known
        return line if is_known else line._replace(reference=line.about)

    items = tuple(item._replace(theirs=tuple(map(name, item.theirs))) for item in carried.items)
    carried = carried._replace(theirs=tuple(map(name, carried.theirs)), items=items)
    earlier = earlier._replace(theirs=tuple(map(name, earlier.theirs)))
    return past.ours, [name(line) for line in past.theirs], terms, carried, earlier


def _find_balances(past: Past, found: Reconciliation) -> dict[str, Balances]:
    """From where the last run ended. The first takes both sides to begin with the same; it and
    later ones learn from earlier lines in how far they did not.
    """
    stated: Mapping[str, int] = {}
    for told in past.imports:
        if told.covers_until == found.terms.until:
            stated = {**stated, **told.balances}
    moved: dict[str, int] = {}
    for line in found.new_ours:
        moved[line.currency] = moved.get(line.currency, 0) + line.amount
    before = {} if past.previous is None else past.previous.figures
    currencies = {*past.accounts, *before, *found.lead_in}
    currencies.update(line.currency for line in found.new_theirs)
    balances = {}
    for currency in currencies:
        account, last = past.accounts.get(currency), before.get(currency)
        closing = 0 if account is None else account.posted
        if last is not None:
            opening, there = last["books_closing"], last["statement_closing"]
        elif past.previous is not None:
            opening = there = 0
        else:
            opening = there = closing - moved.get(currency, 0)
        there += found.lead_in.get(currency, 0)
        balances[currency] = Balances(opening, closing, there, stated.get(currency))
    return balances


def _name_fees(found: Reconciliation, previous: RunRow | None, id: str) -> str:
    """The run by which the next booking of fees goes: the same until a run has read that booking,
    so that there is one, however late it comes and whichever of the runs it is for.
    """
    if previous is None:
        return id
    is_booked = any(is_fee(line) and line.reference == previous.fees_run for line in found.new_ours)
    return id if is_booked else previous.fees_run


def _describe(past: Past, outcome: _Outcome, maker: _Maker) -> RunRow:
    found, update, report = outcome
    previous = past.previous
    counts = {
        "ours": len(found.new_ours),
        "theirs": len(found.new_theirs),
        "matched": sum(one.kind is Kind.MATCHED for one in found.findings),
        "in_transit": sum(one.is_in_transit for one in found.findings),
        "open": sum(item.is_looked_at for item in update.items),
        "opened": update.opened,
        "cleared": update.cleared,
        "reopened": update.reopened,
        "unjudged": found.unjudged,
    }
    figures = {
        sheet.currency: {
            "books_opening": sheet.books_opening,
            "books_closing": sheet.books_closing,
            "statement_opening": sheet.statement_opening,
            "statement_closing": sheet.statement_closing,
            "lead_in": found.lead_in.get(sheet.currency, 0),
            "difference": sheet.difference,
            "in_transit": sum(one.difference for one in sheet.in_transit),
            "open": sum(one.difference for one in sheet.open),
            "accepted": sum(one.difference for one in sheet.accepted),
            "fees_to_book": sheet.fees_to_book,
            "unexplained": sheet.unexplained,
        }
        for sheet in report.sheets
    }
    return RunRow(
        maker.gateway,
        1 if previous is None else previous.number + 1,
        maker.id,
        past.position,
        {currency: row.lines for currency, row in past.accounts.items()},
        past.imports_read,
        past.begins,
        report.begins,
        found.terms.until,
        found.terms.window,
        found.terms.cut_characters,
        counts,
        figures,
        _name_fees(found, previous, maker.id),
        maker.who,
        maker.now,
    )


def _list_rows(past: Past, outcome: _Outcome, run: RunRow) -> tuple[list[FindingRow], _Rows, _Rows]:
    """What is to be stored: findings, items, changes."""
    before = {item.id: item for item in past.work}
    item_of: dict[tuple[str, str], str] = {}
    items, changes = [], []
    for item in outcome.update.items:
        if item.state is not State.CLEARED:
            item_of[_name(item.finding)] = item.id
        items.append(_describe_item(item, before.get(item.id), past.rows.get(item.id), run.number))
        known = len(before[item.id].changes) if item.id in before else 0
        changes += [
            {
                "item_id": item.id[-32:],
                "number": number,
                "state": change.state,
                "who": change.who,
                "reason": change.reason,
            }
            for number, change in enumerate(item.changes[known:], known + 1)
        ]
    findings = [
        _describe_finding(one, None if one.kind is Kind.MATCHED else item_of.get(_name(one)))
        for one in outcome.found.findings
    ]
    findings += [_describe_finding(one, None, is_earlier=True) for one in outcome.found.earlier]
    return findings, items, changes


def _describe_finding(one: Finding, item: str | None, *, is_earlier: bool = False) -> FindingRow:
    ours, theirs = [line.id for line in one.ours], [line.id for line in one.theirs]
    return FindingRow(one.kind, one.how, ours, theirs, one.waits_until, item, is_earlier)


def _name(finding: Finding) -> tuple[str, str]:
    """No two findings of a run begin with the same line."""
    return ("o", finding.ours[0].id) if finding.ours else ("t", finding.theirs[0].id)


def _describe_item(
    item: WorkItem, before: WorkItem | None, row: ItemRow | None, run: int
) -> dict[str, Any]:
    """`changed`: of what was there; then its finding is this run's."""
    moved = item.state is not State.CLEARED and (
        before is None or _identify(item.finding) != _identify(before.finding)
    )
    differs = before is not None and len(item.changes) != len(before.changes)
    return {
        "item_id": item.id[-32:],
        "version": 0 if row is None else row.version,
        "state": item.state,
        "kind": item.finding.kind,
        "how": item.finding.how,
        "differences": {
            code: amount for code, amount in item.finding.differences().items() if amount
        },
        "run": run if moved else None,
        "changes": len(item.changes),
        "changed": moved or differs,
    }


def _identify(finding: Finding) -> tuple[object, ...]:
    ours = tuple(line.id for line in finding.ours)
    theirs = tuple(line.id for line in finding.theirs)
    return finding.kind, finding.how, finding.waits_until, ours, theirs
