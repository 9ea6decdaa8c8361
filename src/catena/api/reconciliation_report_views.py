"""A reconciliation's report as data: the sheets of a page for people, for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from catena.api.reconciliation_views import ItemId, Signed
from catena.api.views import Minor, Moment
from catena.reconciliation.findings import How, Kind
from catena.reconciliation.report_csv import name_references
from catena.reconciliation.sentences import describe
from catena.reconciliation.sheets import Listed, Report, Sheet
from catena.reconciliation.work import State

__all__ = ["ReportView", "view_report"]


class MovedView(Struct, frozen=True):
    """The movements of one kind."""

    kind: str
    lines: int
    amount: Signed


class MatchedView(Struct, frozen=True):
    """What was put together in one way."""

    how: How
    our_lines: int
    their_lines: int
    amount: Signed


class ListedView(Struct, frozen=True):
    """What is in transit, open or accepted, in one currency, and what it means."""

    item_id: ItemId | None
    state: State | None
    kind: Kind
    at: Moment
    age_days: int
    ours: Signed
    theirs: Signed
    difference: Signed
    references: str
    meaning: str
    advice: str
    reason: str


class SheetView(Struct, frozen=True):
    """One currency of a report."""

    currency: str
    books_opening: Signed
    books_moved: Sequence[MovedView]
    books_closing: Signed
    statement_opening: Signed
    statement_moved: Sequence[MovedView]
    fees_withheld: Minor
    statement_closing: Signed
    fees_carried: Minor
    fees_taken: Minor
    fees_booked: Minor
    fees_to_book: Minor
    matched: Sequence[MatchedView]
    in_transit: Sequence[ListedView]
    open: Sequence[ListedView]
    accepted: Sequence[ListedView]
    difference: Signed
    unexplained: Signed


class ReportView(Struct, frozen=True):
    """A run's report, as it was when the run was made."""

    gateway: str
    begins: Moment
    until: Moment
    made_at: Moment
    explained: bool
    sheets: Sequence[SheetView]


def view_report(report: Report) -> ReportView:
    """The report as data."""
    sheets = [_view_sheet(sheet) for sheet in report.sheets]
    return ReportView(
        report.gateway, report.begins, report.until, report.made_at, report.is_explained, sheets
    )


def _view_sheet(sheet: Sheet) -> SheetView:
    return SheetView(
        sheet.currency,
        sheet.books_opening,
        [MovedView(*one) for one in sheet.books_moved],
        sheet.books_closing,
        sheet.statement_opening,
        [MovedView(*one) for one in sheet.statement_moved],
        sheet.fees_withheld,
        sheet.statement_closing,
        sheet.carried_fees,
        sheet.fees_taken,
        sheet.fees_booked,
        sheet.fees_to_book,
        [MatchedView(*one) for one in sheet.matched],
        _view_listed(sheet.in_transit),
        _view_listed(sheet.open),
        _view_listed(sheet.accepted),
        sheet.difference,
        sheet.unexplained,
    )


def _view_listed(listed: Iterable[Listed]) -> list[ListedView]:
    return [
        ListedView(
            one.item,
            one.state,
            one.finding.kind,
            one.finding.at,
            one.age_days,
            one.ours,
            one.theirs,
            one.difference,
            name_references(one.finding),
            *describe(one),
            one.reason,
        )
        for one in listed
    ]
