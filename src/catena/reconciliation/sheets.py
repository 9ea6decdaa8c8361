"""The figures of a report, one sheet a currency: how both sides went from opening to closing.

Invariant: the difference at the end is what is in transit, on the work list, accepted, and not
booked of fees; whatever else it is stands there as unexplained, and is never left out.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from catena.reconciliation.findings import Finding, How, Kind
from catena.reconciliation.lines import BookLine
from catena.reconciliation.matching import Carried, Fees, Reconciliation
from catena.reconciliation.work import State, WorkItem

__all__ = ["Balances", "Listed", "Matched", "Moved", "Report", "Sheet", "build_report"]


class Balances(NamedTuple):
    """Balances of one currency in minor units; what is there for us is positive.

    `books`: of the clearing account. `statement_closing`: as the statement says it, None where it
    says nothing: then it is the opening balance and the lines.
    """

    books_opening: int
    books_closing: int
    statement_opening: int
    statement_closing: int | None = None


class Moved(NamedTuple):
    """The movements of one kind: how many lines, and their sum in minor units."""

    kind: str
    lines: int
    amount: int


class Matched(NamedTuple):
    """What was put together in one way: lines of either side, and their sum in minor units."""

    how: How
    our_lines: int
    their_lines: int
    amount: int


class Listed(NamedTuple):
    """A finding in one currency. Amounts in minor units; `item`: of the work list, where it is.

    `difference` is theirs less ours. `state`: None while it is in transit.
    """

    finding: Finding
    ours: int
    theirs: int
    age_days: int
    item: str | None = None
    state: State | None = None
    reason: str = ""

    @property
    def difference(self) -> int:
        """Theirs less ours."""
        return self.theirs - self.ours


class Sheet(NamedTuple):
    """One currency. All amounts in minor units; `fees_taken` and the like are positive."""

    currency: str
    books_opening: int
    books_moved: tuple[Moved, ...]
    books_closing: int
    statement_opening: int
    statement_moved: tuple[Moved, ...]
    fees_withheld: int
    statement_closing: int
    carried_fees: int
    fees_taken: int
    fees_booked: int
    opening_explained: int
    matched: tuple[Matched, ...]
    in_transit: tuple[Listed, ...]
    open: tuple[Listed, ...]
    accepted: tuple[Listed, ...]

    @property
    def fees_to_book(self) -> int:
        """Taken, and not in our books."""
        return self.carried_fees + self.fees_taken - self.fees_booked

    @property
    def opening_unexplained(self) -> int:
        """What the difference at the beginning was, beyond what was known to be open."""
        return self.statement_opening - self.books_opening - self.opening_explained

    @property
    def difference(self) -> int:
        """By how much the statement ends above our books."""
        return self.statement_closing - self.books_closing

    @property
    def unexplained(self) -> int:
        """The difference less all that is listed. Nothing, if all is well."""
        listed = (*self.in_transit, *self.open, *self.accepted)
        return self.difference - sum(one.difference for one in listed) + self.fees_to_book

    @property
    def books_gap(self) -> int:
        """By how much our closing balance is above the opening one and the lines."""
        moved = sum(one.amount for one in self.books_moved)
        return self.books_closing - self.books_opening - moved

    @property
    def statement_gap(self) -> int:
        """By how much the statement's closing balance is above its opening one and its lines."""
        moved = sum(one.amount for one in self.statement_moved) - self.fees_withheld
        return self.statement_closing - self.statement_opening - moved


class Report(NamedTuple):
    """A run over one gateway, for people. Sheets in the order of their currencies' codes."""

    gateway: str
    begins: dt.datetime
    until: dt.datetime
    made_at: dt.datetime
    sheets: tuple[Sheet, ...]

    @property
    def is_explained(self) -> bool:
        """Whether nothing is unexplained in any currency."""
        return not any(sheet.unexplained for sheet in self.sheets)


def build_report(
    gateway: str,
    begins: dt.datetime,
    carried: Carried,
    found: Reconciliation,
    work: Iterable[WorkItem],
    balances: Mapping[str, Balances],
    made_at: dt.datetime,
) -> Report:
    """`begins`: of this run's period. `carried` went into it; `work` is the list after it, with all
    that was ever accepted; `balances` by currency, nothing where there was none.
    """
    items = [item for item in work if item.state is not State.CLEARED]
    facts = _Facts(carried, found, items)
    currencies = {*balances, *found.fees, *facts.moved_here, *facts.moved_there}
    currencies.update(currency for one in facts.listed for currency in one)
    nothing = Balances(0, 0, 0)
    sheets = [
        facts.make_sheet(currency, balances.get(currency, nothing))
        for currency in sorted(currencies)
    ]
    return Report(gateway, begins, found.terms.until, made_at, tuple(sheets))


class _Facts:
    """What a run found, added up by currency."""

    def __init__(self, carried: Carried, found: Reconciliation, items: list[WorkItem]) -> None:
        self.listed = _list_findings(found, items)
        self.moved_here = _add_up((one.currency, one.type, one.amount) for one in found.new_ours)
        self.moved_there = _add_up(
            (line.currency, line.subject, line.amount) for line in found.new_theirs
        )
        self._matched = _add_matched(found.findings)
        self._explained = _explain_opening(carried, found, items)
        self._fees = found.fees
        self._withheld: dict[str, int] = defaultdict(int)
        for line in found.new_theirs:
            self._withheld[line.currency] += line.fee

    def make_sheet(self, currency: str, known: Balances) -> Sheet:
        """The sheet of one currency."""
        there = self.moved_there.get(currency, ())
        withheld = self._withheld[currency]
        closing = known.statement_closing
        if closing is None:
            closing = known.statement_opening + sum(one.amount for one in there) - withheld
        fees = self._fees.get(currency, Fees())
        rows = [one[currency] for one in self.listed if currency in one]
        return Sheet(
            currency=currency,
            books_opening=known.books_opening,
            books_moved=self.moved_here.get(currency, ()),
            books_closing=known.books_closing,
            statement_opening=known.statement_opening,
            statement_moved=there,
            fees_withheld=withheld,
            statement_closing=closing,
            carried_fees=fees.carried,
            fees_taken=fees.taken,
            fees_booked=fees.booked,
            opening_explained=self._explained.get(currency, 0),
            matched=self._matched.get(currency, ()),
            in_transit=tuple(one for one in rows if one.state is None),
            open=tuple(one for one in rows if _is_open(one)),
            accepted=tuple(one for one in rows if one.state is State.ACCEPTED),
        )


def _is_open(one: Listed) -> bool:
    return one.state is not None and one.state is not State.ACCEPTED


def _list_findings(found: Reconciliation, items: Iterable[WorkItem]) -> list[dict[str, Listed]]:
    """What is in transit, and what is on the work list, by currency; the oldest first."""
    until = found.terms.until
    listed = [_list_one(finding, until) for finding in found.findings if finding.is_in_transit]
    listed += [
        _list_one(item.finding, until, item) for item in items if not item.finding.is_in_transit
    ]
    return sorted(listed, key=lambda one: _order(next(iter(one.values())).finding))


def _order(finding: Finding) -> tuple[dt.datetime, str]:
    return finding.at, finding.lines[0].id


def _list_one(
    finding: Finding, until: dt.datetime, item: WorkItem | None = None
) -> dict[str, Listed]:
    ours: dict[str, int] = defaultdict(int)
    theirs: dict[str, int] = defaultdict(int)
    for our_line in finding.ours:
        ours[our_line.currency] += our_line.amount
    for line in finding.theirs:
        theirs[line.currency] += line.amount
    return {
        currency: Listed(
            finding,
            ours[currency],
            theirs[currency],
            max((until - finding.at).days, 0),
            item.id if item else None,
            item.state if item else None,
            item.changes[-1].reason if item else "",
        )
        for currency in sorted({*ours, *theirs})
    }


def _add_up(lines: Iterable[tuple[str, str, int]]) -> dict[str, tuple[Moved, ...]]:
    """By currency: the movements of each kind, in the order of their names."""
    sums: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for currency, kind, amount in lines:
        total = sums[currency][kind]
        total[0] += 1
        total[1] += amount
    return {
        currency: tuple(Moved(str(kind), *kinds[kind]) for kind in sorted(kinds))
        for currency, kinds in sums.items()
    }


def _add_matched(findings: Iterable[Finding]) -> dict[str, tuple[Matched, ...]]:
    sums: dict[str, dict[How, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
    for finding in findings:
        if finding.kind is Kind.MATCHED:
            for line in finding.lines:
                total = sums[line.currency][finding.how]
                if isinstance(line, BookLine):
                    total[0] += 1
                    total[2] += line.amount
                else:
                    total[1] += 1
    return {
        currency: tuple(Matched(how, *ways[how]) for how in How if how in ways)
        for currency, ways in sums.items()
    }


def _explain_opening(
    carried: Carried, found: Reconciliation, items: Iterable[WorkItem]
) -> dict[str, int]:
    """What was known at the beginning to be open: carried lines, old acceptances, fees, lead-in."""
    explained = defaultdict(int, carried.differences())
    for currency, amount in carried.fees.items():
        explained[currency] -= amount
    for currency, amount in found.lead_in.items():
        explained[currency] += amount
    judged = {_identify(finding) for finding in found.findings if finding.is_open}
    for item in items:
        if item.state is State.ACCEPTED and _identify(item.finding) not in judged:
            for currency, amount in item.finding.differences().items():
                explained[currency] += amount
    return explained


def _identify(finding: Finding) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(line.id for line in finding.ours), tuple(line.id for line in finding.theirs)
