"""Reconciliation as the API shows it: statements, runs and their reports, and the work list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from catena.api.bodies import id_pattern
from catena.api.views import ChainId, EntryId, LedgerId, Minor, Moment
from catena.db.reconciliation_rows import ImportRow, ItemRow, RunRow
from catena.gateways.contract import StatementLine, Subject
from catena.ids import IMPORT, ITEM, RUN
from catena.journal import ItemChanged
from catena.ledger.accounts import Side
from catena.ledger.entries import EntryType
from catena.reconciliation.adjustments import Settling, propose
from catena.reconciliation.findings import How, Kind
from catena.reconciliation.lines import BookLine
from catena.reconciliation.settling import Seen
from catena.reconciliation.work import State

__all__ = [
    "ItemChangeView",
    "ItemDetailView",
    "ItemId",
    "ItemList",
    "ItemView",
    "RunList",
    "RunView",
    "Signed",
    "StatementList",
    "StatementView",
    "view_change",
    "view_item",
    "view_item_in_full",
    "view_run",
    "view_statement",
]

ItemId = Annotated[str, Meta(pattern=id_pattern(ITEM))]
RunId = Annotated[str, Meta(pattern=id_pattern(RUN))]
StatementId = Annotated[str, Meta(pattern=id_pattern(IMPORT))]
Signed = Annotated[int, Meta(description="Minor units; positive: to us.")]
_Who = Annotated[str, Meta(description="A key's id, a command's user, or what did it by itself.")]


class StatementView(Struct, frozen=True):
    """A statement that was taken in. What it covers is complete until just before the end."""

    id: StatementId
    ledger_id: LedgerId
    gateway: str
    covers_from: Moment
    covers_until: Moment
    lines: Annotated[int, Meta(description="That were new.")]
    repeated: Annotated[int, Meta(description="That were there before, just the same.")]
    by: _Who
    received_at: Moment


class StatementList(Struct, frozen=True):
    """Statements, the newest first."""

    items: Sequence[StatementView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class FiguresView(Struct, frozen=True):
    """One currency. The difference is what is listed, less the fees to book; else unexplained."""

    currency: str
    books_opening: Signed
    books_closing: Signed
    statement_opening: Signed
    statement_closing: Signed
    lead_in: Annotated[
        int, Meta(description="What the statement began with beside our books, as is known now.")
    ]
    difference: Annotated[int, Meta(description="By how much the statement ends above our books.")]
    in_transit: Signed
    open: Signed
    accepted: Signed
    fees_to_book: Annotated[int, Meta(description="Taken by the gateway, and not in our books.")]
    unexplained: Annotated[int, Meta(description="Nothing, if all is well.")]


class CountsView(Struct, frozen=True):
    """What a run looked at and found."""

    ours: Annotated[int, Meta(description="New lines of our clearing accounts.")]
    theirs: Annotated[int, Meta(description="New lines of statements.")]
    matched: int
    in_transit: Annotated[int, Meta(description="The other half may still come.")]
    open: Annotated[int, Meta(description="Items that somebody has to look at.")]
    opened: int
    cleared: int
    reopened: int
    unjudged: Annotated[int, Meta(description="Lines from before reconciliation began.")]


class RunView(Struct, frozen=True):
    """A run: a gateway's statements held against our clearing accounts."""

    id: RunId
    ledger_id: LedgerId
    gateway: str
    number: Annotated[int, Meta(description="Of the gateway's runs, from 1.")]
    position: Annotated[int, Meta(description="Our lines up to here were read.")]
    begins: Moment
    until: Annotated[Moment, Meta(description="Both sides are complete just before it.")]
    explained: Annotated[bool, Meta(description="Nothing is unexplained in any currency.")]
    counts: CountsView
    figures: Sequence[FiguresView]
    by: _Who
    made_at: Moment


class RunList(Struct, frozen=True):
    """Runs, the newest first."""

    items: Sequence[RunView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class DifferenceView(Struct, frozen=True):
    """By how much a statement is above our books in one currency."""

    amount: Signed
    currency: str


class ItemView(Struct, frozen=True):
    """A discrepancy on the work list."""

    id: ItemId
    ledger_id: LedgerId
    gateway: str
    state: State
    kind: Kind
    how: How
    differences: Sequence[DifferenceView]
    opened_at: Moment
    changed_at: Moment


class ItemList(Struct, frozen=True):
    """Items of the work list, the oldest first."""

    items: Sequence[ItemView]
    next: Annotated[str | None, Meta(description="Null on the last page.")]


class OurLineView(Struct, frozen=True):
    """A line of our clearing account."""

    entry_id: EntryId
    type: EntryType
    amount: Signed
    currency: str
    reference: str | None
    at: Moment
    chain_id: ChainId | None
    step: str | None


class TheirLineView(Struct, frozen=True):
    """A line of a statement; the amount is before the fee."""

    id: str
    subject: Subject
    amount: Signed
    fee: Minor
    currency: str
    reference: str | None
    at: Moment
    text: str
    about: Annotated[str | None, Meta(description="Of what gives a charge back: that charge.")]


class RoleLineView(Struct, frozen=True):
    """A line by the role of its account."""

    role: str
    side: Side
    amount: Minor
    currency: str


class ProposalView(Struct, frozen=True):
    """An entry that would settle an item."""

    settling: Settling
    type: EntryType
    lines: Sequence[RoleLineView]


class ItemChangeView(Struct, frozen=True):
    """A change of an item, and why."""

    item_id: ItemId
    state: State
    at: Moment
    by: _Who
    reason: str
    entry_id: Annotated[EntryId | None, Meta(description="That was to settle it.")]


class ItemDetailView(ItemView, frozen=True):
    """A discrepancy with its lines, what would settle it, and all that was done about it."""

    ours: Sequence[OurLineView]
    theirs: Sequence[TheirLineView]
    proposals: Sequence[ProposalView]
    changes: Sequence[ItemChangeView]


def view_statement(row: ImportRow, ledger_id: str) -> StatementView:
    """The statement as the API shows it."""
    return StatementView(
        row.id,
        ledger_id,
        row.gateway,
        row.covers_from,
        row.covers_until,
        row.lines,
        row.repeated,
        row.who,
        row.received_at,
    )


def view_run(row: RunRow, ledger_id: str) -> RunView:
    """The run as the API shows it."""
    figures = [FiguresView(currency, **one) for currency, one in sorted(row.figures.items())]
    return RunView(
        row.id,
        ledger_id,
        row.gateway,
        row.number,
        row.position,
        row.begins,
        row.until,
        not any(one.unexplained for one in figures),
        CountsView(**row.counts),
        figures,
        row.who,
        row.made_at,
    )


def view_item(row: ItemRow, ledger_id: str) -> ItemView:
    """The item as lists show it."""
    return ItemView(*_describe(row, ledger_id))


def _describe(
    row: ItemRow, ledger_id: str
) -> tuple[str, str, str, State, Kind, How, list[DifferenceView], dt.datetime, dt.datetime]:
    differences = [DifferenceView(amount, code) for code, amount in sorted(row.differences.items())]
    kind, how, times = Kind(row.kind), How(row.how), (row.opened_at, row.changed_at)
    return row.id, ledger_id, row.gateway, State(row.state), kind, how, differences, *times


def view_item_in_full(seen: Seen, ledger_id: str) -> ItemDetailView:
    """The item with all that is known of it."""
    row, item = seen
    finding = item.finding
    proposals = propose(finding, row.gateway) if item.is_looked_at else ()
    return ItemDetailView(
        *_describe(row, ledger_id),
        [_view_ours(line) for line in finding.ours],
        [_view_theirs(line) for line in finding.theirs],
        [
            ProposalView(one.settling, one.type, [RoleLineView(*line) for line in one.lines])
            for one in proposals
        ],
        [
            ItemChangeView(row.id, one.state, one.at, one.who, one.reason, one.entry)
            for one in item.changes
        ],
    )


def _view_ours(line: BookLine) -> OurLineView:
    amount, reference = (line.amount, line.currency), (line.reference, line.at)
    return OurLineView(line.entry, line.type, *amount, *reference, line.chain, line.step)


def _view_theirs(line: StatementLine) -> TheirLineView:
    return TheirLineView(*line)


def view_change(changed: ItemChanged) -> ItemChangeView:
    """What was decided about an item without an entry."""
    assert changed.at is not None  # noqa: S101  # it is recorded
    state = State(changed.state)
    return ItemChangeView(changed.item, state, changed.at, changed.who, changed.reason, None)
