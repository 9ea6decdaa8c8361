"""Matching both sides of a gateway's account: pure, deterministic, and linear in the lines.

Invariant: every line stands in one finding or in none that is judged; findings that match differ by
nothing. In this order: what adjusting entries settled, equal references, cut references, files,
totals under one reference, amounts where a reference is missing. The rest stands alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from catena.gateways.contract import StatementLine
from catena.reconciliation.findings import Finding, How, Kind, add_differences
from catena.reconciliation.groups import match_batches, match_group
from catena.reconciliation.lines import (
    BookLine,
    Folded,
    M,
    Movement,
    Terms,
    is_fee,
    is_matched,
    sort_lines,
)
from catena.reconciliation.pairing import pair_cut, pair_equal

__all__ = ["Carried", "Earlier", "Fees", "OpenItem", "Reconciliation", "reconcile"]


class OpenItem(NamedTuple):
    """The lines of a discrepancy that is still on the work list."""

    id: str
    ours: tuple[BookLine, ...]
    theirs: tuple[StatementLine, ...]


class Carried(NamedTuple):
    """What an earlier run left open: lines in transit, discrepancies, fees that nobody has booked.

    `fees` in minor units by currency. What was accepted is not here: it is never looked at again.
    """

    ours: tuple[BookLine, ...] = ()
    theirs: tuple[StatementLine, ...] = ()
    items: tuple[OpenItem, ...] = ()
    fees: Mapping[str, int] = {}

    def differences(self) -> dict[str, int]:
        """Theirs less ours over its lines, by currency in minor units."""
        lines = [Finding(Kind.MATCHED, How.NOTHING, self.ours, self.theirs)]
        lines += [Finding(Kind.MATCHED, How.NOTHING, item.ours, item.theirs) for item in self.items]
        return add_differences(lines)


class Earlier(NamedTuple):
    """Lines from before reconciliation of the gateway began: halves of later lines, or nobody's
    business. They are never judged by themselves.
    """

    ours: tuple[BookLine, ...] = ()
    theirs: tuple[StatementLine, ...] = ()


class Fees(NamedTuple):
    """What the gateway took for itself in one currency, in minor units; positive: from us."""

    carried: int = 0
    taken: int = 0
    booked: int = 0

    @property
    def to_book(self) -> int:
        """What its statements say it has taken and our books do not say yet."""
        return self.carried + self.taken - self.booked


class Reconciliation(NamedTuple):
    """What was found on these terms. `fees` by currency.

    `new_ours` and `new_theirs`: the lines of this run, fees too, without what is earlier.
    `lead_in`: what earlier lines explain of the balances at the beginning: theirs less ours, by
    currency in minor units. `earlier`: those whose other half may still come. `unjudged`: how many
    of them had none.
    """

    terms: Terms
    findings: tuple[Finding, ...]
    earlier: tuple[Finding, ...]
    fees: Mapping[str, Fees]
    new_ours: tuple[BookLine, ...]
    new_theirs: tuple[StatementLine, ...]
    lead_in: Mapping[str, int]
    unjudged: int


def reconcile(
    ours: Iterable[BookLine],
    theirs: Iterable[StatementLine],
    terms: Terms,
    carried: Carried = Carried(),  # noqa: B008  # it cannot change
    earlier: Earlier = Earlier(),  # noqa: B008  # nor can it
) -> Reconciliation:
    """Hold the new lines of both sides, and what earlier runs left open, against each other.

    A line whose id was there before, in these or in what was carried, is not taken again.
    """
    known_ours = {line.id: line for line in carried.ours}
    known_theirs = {line.id: line for line in carried.theirs}
    for item in carried.items:
        known_ours.update((line.id, line) for line in item.ours)
        known_theirs.update((line.id, line) for line in item.theirs)
    new_ours = {line.id: line for line in ours if line.id not in known_ours}
    new_theirs = {line.id: line for line in theirs if line.id not in known_theirs}
    all_ours = (*known_ours.values(), *new_ours.values(), *earlier.ours)
    all_theirs = (*known_theirs.values(), *new_theirs.values(), *earlier.theirs)
    sides = _Sides(
        sort_lines(filter(is_matched, all_ours)), sort_lines(filter(is_matched, all_theirs))
    )
    _take_adjusted(sides, carried.items)
    _match_references(sides, terms)
    _match_what_is_left(sides, terms)
    early = _Early(earlier)
    findings = tuple(_label_items(early.judge(sides.found), carried.items))
    return Reconciliation(
        terms=terms,
        findings=findings,
        earlier=tuple(early.waiting),
        fees=_add_fees(new_ours.values(), new_theirs.values(), carried.fees),
        new_ours=tuple(new_ours.values()),
        new_theirs=tuple(new_theirs.values()),
        lead_in=early.lead_in,
        unjudged=early.unjudged,
    )


class _Sides:
    """What is not matched yet, in order of time, and what was found so far."""

    def __init__(self, ours: list[BookLine], theirs: list[StatementLine]) -> None:
        self.ours = ours
        self.theirs = theirs
        self.found: list[Finding] = []
        self.folded = Folded()

    def fold(self, line: Movement) -> str | None:
        """Its reference, folded."""
        return self.folded[line.reference]

    def take(self, findings: Iterable[Finding]) -> None:
        """Add these findings; their lines are no longer open."""
        our_ids: set[str] = set()
        their_ids: set[str] = set()
        for finding in findings:
            self.found.append(finding)
            our_ids.update(line.id for line in finding.ours)
            their_ids.update(line.id for line in finding.theirs)
        self._leave(our_ids, their_ids)

    def take_pairs(self, pairs: Iterable[tuple[BookLine, StatementLine]], how: How) -> None:
        """Add findings of one line of either side that match."""
        our_ids: set[str] = set()
        their_ids: set[str] = set()
        for ours, theirs in pairs:
            self.found.append(Finding(Kind.MATCHED, how, (ours,), (theirs,)))
            our_ids.add(ours.id)
            their_ids.add(theirs.id)
        self._leave(our_ids, their_ids)

    def _leave(self, our_ids: set[str], their_ids: set[str]) -> None:
        if our_ids:
            self.ours = [line for line in self.ours if line.id not in our_ids]
        if their_ids:
            self.theirs = [line for line in self.theirs if line.id not in their_ids]


def _take_adjusted(sides: _Sides, items: Sequence[OpenItem]) -> None:
    """Items whose adjusting entries make up the difference, whatever their references say."""
    settling: dict[str, list[BookLine]] = defaultdict(list)
    for line in sides.ours:
        if line.settles is not None:
            settling[line.settles].append(line)
    settled = []
    for item in items:
        own = {line.id for line in item.ours}
        entries = [line for line in settling.get(item.id, ()) if line.id not in own]
        finding = Finding(Kind.MATCHED, How.ADJUSTED, (*item.ours, *entries), item.theirs)
        if entries and not any(finding.differences().values()):
            settled.append(finding)
    sides.take(settled)


def _match_references(sides: _Sides, terms: Terms) -> None:
    """Line by line: references as they stand, then folded, then cut."""
    as_it_stands = pair_equal(
        sides.ours,
        sides.theirs,
        lambda line: line.reference,
        lambda line: line.reference,
        terms.window,
    )
    named = (pair for pair in as_it_stands if sides.fold(pair[0]) is not None)
    sides.take_pairs(named, How.REFERENCE)
    if not sides.ours or not sides.theirs:
        return
    folded = pair_equal(sides.ours, sides.theirs, sides.fold, sides.fold, terms.window)
    sides.take_pairs(folded, How.REFERENCE)

    our_keys = {sides.fold(line) for line in sides.ours}
    their_keys = {sides.fold(line) for line in sides.theirs}
    least = terms.cut_characters
    cut_there = pair_cut(
        _list_strange(sides.theirs, sides.folded, our_keys),
        _list_strange(sides.ours, sides.folded, their_keys),
        least,
        terms.window,
    )
    sides.take_pairs(((ours, theirs) for theirs, ours in cut_there), How.CUT_REFERENCE)
    cut_here = pair_cut(
        _list_strange(sides.ours, sides.folded, their_keys),
        _list_strange(sides.theirs, sides.folded, our_keys),
        least,
        terms.window,
    )
    sides.take_pairs(cut_here, How.CUT_REFERENCE)


def _list_strange(
    lines: Iterable[M], folded: Folded, known: Container[str | None]
) -> list[tuple[str, M]]:
    """Lines with a reference that the other side does not have as it is, and that folded."""
    return [
        (key, line)
        for line in lines
        if (key := folded[line.reference]) is not None and key not in known
    ]


def _match_what_is_left(sides: _Sides, terms: Terms) -> None:
    """Files, totals under one reference, amounts; what then is left stands alone."""
    sides.take(match_batches(sides.ours, sides.theirs, terms, sides.folded))
    our_groups: dict[str, list[BookLine]] = defaultdict(list)
    their_groups: dict[str, list[StatementLine]] = defaultdict(list)
    for our_line in sides.ours:
        if (key := sides.fold(our_line)) is not None:
            our_groups[key].append(our_line)
    for line in sides.theirs:
        if (key := sides.fold(line)) is not None:
            their_groups[key].append(line)
    sides.take(
        finding
        for key in dict.fromkeys((*our_groups, *their_groups))
        for finding in match_group(our_groups.get(key, ()), their_groups.get(key, ()), terms)
    )
    for ours_nameless, theirs_nameless in ((True, True), (False, True), (True, False)):
        pairs = pair_equal(
            [line for line in sides.ours if (sides.fold(line) is None) is ours_nameless],
            [line for line in sides.theirs if (sides.fold(line) is None) is theirs_nameless],
            lambda _: True,
            lambda _: True,
            terms.window,
        )
        sides.take_pairs(pairs, How.AMOUNT)
    _leave_alone(sides, terms)


def _leave_alone(sides: _Sides, terms: Terms) -> None:
    """What stands alone is missing on the other side, or in transit while it may still come."""
    if not sides.ours and not sides.theirs:
        return
    here: set[tuple[str | None, str, int]] = set()
    there: set[tuple[str | None, str, int]] = set()
    for finding in sides.found:
        if finding.kind is Kind.MATCHED:
            here.update((sides.fold(line), line.currency, line.amount) for line in finding.ours)
            there.update((sides.fold(line), line.currency, line.amount) for line in finding.theirs)

    def tell(line: Movement, matched: Container[tuple[str | None, str, int]]) -> How:
        key = sides.fold(line)
        is_repeated = key is not None and (key, line.currency, line.amount) in matched
        return How.REPEATED if is_repeated else How.NOTHING

    alone = [
        Finding(Kind.MISSING_THERE, tell(line, here), (line,), (), terms.wait(line.at))
        for line in sides.ours
    ]
    alone += [
        Finding(Kind.MISSING_HERE, tell(line, there), (), (line,), terms.wait(line.at))
        for line in sides.theirs
    ]
    sides.take(alone)


class _Early:
    """What becomes of earlier lines.

    `lead_in`: theirs less ours of those that are half of something later, by currency.
    """

    def __init__(self, earlier: Earlier) -> None:
        self._ours = {line.id for line in earlier.ours}
        self._theirs = {line.id for line in earlier.theirs}
        self.lead_in: dict[str, int] = {}
        self.waiting: list[Finding] = []
        self.unjudged = 0

    def judge(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Those with a line that is not early."""
        if not self._ours and not self._theirs:
            yield from findings
            return
        for finding in findings:
            ours = tuple(line for line in finding.ours if line.id in self._ours)
            theirs = tuple(line for line in finding.theirs if line.id in self._theirs)
            early = len(ours) + len(theirs)
            if early == len(finding.ours) + len(finding.theirs):
                if finding.is_in_transit:
                    self.waiting.append(finding)
                else:
                    self.unjudged += early
                continue
            if early:
                part = finding._replace(ours=ours, theirs=theirs)
                for currency, amount in part.differences().items():
                    self.lead_in[currency] = self.lead_in.get(currency, 0) + amount
            yield finding


def _label_items(findings: Iterable[Finding], items: Sequence[OpenItem]) -> Iterator[Finding]:
    """Say of each finding which items of the work list its lines were in."""
    item_of_ours = {line.id: item.id for item in items for line in item.ours}
    item_of_theirs = {line.id: item.id for item in items for line in item.theirs}
    for finding in findings:
        ids = {item_of_ours[line.id] for line in finding.ours if line.id in item_of_ours}
        ids |= {item_of_theirs[line.id] for line in finding.theirs if line.id in item_of_theirs}
        yield finding._replace(items=tuple(sorted(ids))) if ids else finding


def _add_fees(
    ours: Iterable[BookLine], theirs: Iterable[StatementLine], carried: Mapping[str, int]
) -> dict[str, Fees]:
    """By currency: what was left to book, what was taken since, and what was booked since."""
    taken: dict[str, int] = defaultdict(int)
    booked: dict[str, int] = defaultdict(int)
    for line in theirs:
        if line.fee or is_fee(line):
            taken[line.currency] += line.fee - (line.amount if is_fee(line) else 0)
    for our_line in ours:
        if is_fee(our_line):
            booked[our_line.currency] -= our_line.amount
    return {
        currency: Fees(carried.get(currency, 0), taken.get(currency, 0), booked.get(currency, 0))
        for currency in sorted({*carried, *taken, *booked})
    }
