"""None invented, all found: months of made-up business, run by run, against what was put into them.

The oracle is the list of faults: it never looks at how lines are matched, and adds up balances
line by line.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import defaultdict
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catena.gateways.contract import StatementLine
from catena.ledger.accounts import Side, clearing_of
from catena.ledger.entries import EntryType
from catena.reconciliation.adjustments import Proposal, propose, propose_fees
from catena.reconciliation.findings import Finding, Kind
from catena.reconciliation.lines import BookLine
from catena.reconciliation.matching import Carried, Earlier, Reconciliation, reconcile
from catena.reconciliation.sheets import Balances, build_report
from catena.reconciliation.work import (
    Change,
    State,
    WorkItem,
    accept_item,
    carry_on,
    reopen_item,
    resolve_item,
    update_work,
)
from tests.reconciliation.business import Deal, Fault, Lines, Shape, draw_deals, number, write_lines
from tests.reconciliation.lines import BEGIN, WINDOW, day, make_terms

GATEWAY = "sandbox"
EXAMPLES = 400 if os.environ.get("CATENA_LONG") else 60

DEALS = st.lists(
    st.builds(
        Deal,
        name=st.just(""),
        shape=st.sampled_from(Shape),
        fault=st.sampled_from(Fault),
        amount=st.sampled_from([20, 100, 5000]) | st.integers(20, 500_000),
        currency=st.sampled_from(["EUR", "USD"]),
        hour=st.integers(0, 30 * 24),
        lag=st.integers(0, 24 * 4),
        delta=st.integers(1, 9) | st.integers(-9, -1),
        fee=st.integers(0, 50),
    ),
    max_size=25,
).map(number)
CUTS = st.lists(st.integers(1, 45), max_size=5, unique=True).map(lambda days: [*sorted(days), 60])


def list_ids(ours: Iterable[BookLine], theirs: Iterable[StatementLine]) -> list[str]:
    """The ids of both sides."""
    return [line.id for line in ours] + [line.id for line in theirs]


class Desk:
    """Runs a reconciliation period by period, and adds up both sides by hand."""

    def __init__(self, deals: list[Deal]) -> None:
        made = [(deal, write_lines(deal)) for deal in deals]
        self.deal_of = {
            id: deal for deal, lines in made for id in list_ids(lines.ours, lines.theirs)
        }
        self.ours = [line for _, lines in made for line in lines.ours]
        self.theirs = [line for _, lines in made for line in lines.theirs]
        self.work: dict[str, WorkItem] = {}
        self.carried = Carried()
        self.before = BEGIN
        self.found = reconcile([], [], make_terms(0))

    def run(self, until: float) -> Reconciliation:
        """The lines since the last run, and what it left open; then every invariant."""
        terms = make_terms(until)
        new = Lines(
            [line for line in self.ours if self.before <= line.at < terms.until],
            [line for line in self.theirs if self.before <= line.at < terms.until],
        )
        self.found = reconcile(new.ours, new.theirs, terms, self.carried)
        self.check_once(new)
        update = update_work(self.work.values(), self.found, GATEWAY, terms.until)
        self.work |= {item.id: item for item in update.items}
        self.check_balances(terms.until)
        self.before = terms.until
        self.carried = carry_on(self.found, self.work.values())
        return self.found

    def check_once(self, new: Lines) -> None:
        """Every line that goes in comes out in one finding, fees apart."""
        came_in = {line.id for line in new.ours if line.type is not EntryType.FEE}
        came_in |= {*list_ids([], new.theirs), *list_ids(self.carried.ours, self.carried.theirs)}
        for item in self.carried.items:
            came_in.update(list_ids(item.ours, item.theirs))
        came_out = [line.id for one in self.found.findings for line in one.lines]
        assert sorted(came_out) == sorted(came_in)

    def check_balances(self, until: dt.datetime) -> None:
        """Nothing is unexplained, at the beginning and at the end, in any currency."""
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for ours in self.ours:
            totals[ours.currency][0] += ours.amount * (ours.at < self.before)
            totals[ours.currency][1] += ours.amount * (ours.at < until)
        for theirs in self.theirs:
            net = theirs.amount - theirs.fee
            totals[theirs.currency][2] += net * (theirs.at < self.before)
            totals[theirs.currency][3] += net * (theirs.at < until)
        balances = {currency: Balances(*sums) for currency, sums in totals.items()}
        report = build_report(
            GATEWAY, self.before, self.carried, self.found, self.work.values(), balances, until
        )
        for sheet in report.sheets:
            assert (sheet.unexplained, sheet.opening_unexplained) == (0, 0)
            assert (sheet.books_gap, sheet.statement_gap) == (0, 0)

    def name_deal(self, finding: Finding) -> Deal:
        """The one deal that all of its lines are of."""
        (deal,) = {self.deal_of[line.id] for line in finding.lines if line.id in self.deal_of}
        return deal

    def post(self, proposal: Proposal, item: str, at: dt.datetime) -> None:
        """The lines of an entry on the clearing account."""
        for place, line in enumerate(proposal.lines):
            if line.role == clearing_of(GATEWAY):
                amount = line.amount if line.side is Side.DEBIT else -line.amount
                id = f"adj-{item}/{place}"
                self.ours.append(
                    BookLine(id, proposal.type, amount, line.currency, item, at, settles=item)
                )


def check_story(deals: list[Deal], cuts: list[int]) -> None:
    """Run it and hold every run against the faults."""
    desk = Desk(deals)
    opened: dict[str, int] = defaultdict(int)
    for until in cuts:
        before = set(desk.work)
        found = desk.run(until)
        for finding in found.findings:
            if finding.is_open:
                assert desk.name_deal(finding).verdict is not None, finding  # none invented
        for id in desk.work.keys() - before:
            opened[desk.name_deal(desk.work[id].finding).name] += 1
    kinds = {desk.name_deal(one).name: one.kind for one in desk.found.findings if one.is_open}
    open_items = {
        desk.name_deal(item.finding).name: item.finding.kind
        for item in desk.work.values()
        if item.state is State.OPEN
    }
    expected = {deal.name: deal.verdict for deal in deals if deal.verdict is not None}
    assert open_items == expected  # all found, and as what they are
    assert kinds.items() <= expected.items()
    assert all(count == 1 for count in opened.values())  # and each reported once
    assert not any(one.is_in_transit for one in desk.found.findings)


@settings(max_examples=EXAMPLES, deadline=None)
@given(DEALS, CUTS)
def test_none_invented_all_found(deals: list[Deal], cuts: list[int]) -> None:
    """Whatever the faults and whenever one looks: they are found, each once, and nothing else."""
    check_story(deals, cuts)


@pytest.mark.parametrize("seed", range(3))
def test_a_busy_month(seed: int) -> None:
    """Two thousand deals, one in twenty of them wrong, in five runs."""
    check_story(list(draw_deals(seed, 2_000, 0.05)), [7, 14, 21, 35, 60])


def test_an_honest_month() -> None:
    """Without faults nothing is ever open, whatever the day."""
    desk = Desk(list(draw_deals(7, 1_000, 0)))
    for until in range(1, 45):
        found = desk.run(until)
        assert [one for one in found.findings if one.is_open] == []
    assert desk.work == {}
    assert not any(one.is_in_transit for one in desk.found.findings)


@pytest.mark.parametrize("begins", [3, 11.5, 20])
def test_it_begins_in_the_middle_of_a_month(begins: float) -> None:
    """Whatever is on its way on the first day: nothing is ever invented, and what never comes of
    that is not judged.
    """
    honest = [deal for deal in draw_deals(5, 800, 0) if deal.shape in {Shape.CHARGE, Shape.CUT}]
    missing = [one for one in draw_deals(6, 500, 1) if one.verdict is Kind.MISSING_THERE]
    made = [(deal, write_lines(deal)) for deal in number(honest + missing)]
    ours = [line for _, lines in made for line in lines.ours]
    theirs = [line for _, lines in made for line in lines.theirs]
    begun = day(begins)
    earlier = Earlier(tuple(line for line in ours if begun - WINDOW <= line.at < begun))
    carried, work, before = Carried(), list[WorkItem](), begun
    unjudged = 0
    for passed in range(1, 45):
        terms = make_terms(begins + passed)
        found = reconcile(
            [line for line in ours if before <= line.at < terms.until],
            [line for line in theirs if before <= line.at < terms.until],
            terms,
            carried,
            earlier,
        )
        work += update_work(work, found, GATEWAY, terms.until).items
        unjudged += found.unjudged
        carried, before = carry_on(found, work), terms.until
        earlier = Earlier(tuple(line for one in found.earlier for line in one.ours))
    wrong = {line.id for deal, lines in made if deal.verdict for line in lines.ours}
    new = {line.id for line in ours if line.at >= begun}
    assert {line.id for item in work for line in item.finding.lines} == wrong & new
    assert unjudged > 0
    assert earlier == Earlier()


@settings(max_examples=EXAMPLES, deadline=None)
@given(DEALS, CUTS, st.integers(0, 2**32))
def test_people_settle_it(deals: list[Deal], cuts: list[int], seed: int) -> None:
    """Whatever is settled, accepted or reopened in between: balances stay explained, what was
    settled is cleared and stays so, and what was accepted is not looked at again.
    """
    dice = Random(seed)
    desk = Desk(deals)
    for until in [*cuts, 70, 80]:
        desk.run(until)
        fees = {currency: one.to_book for currency, one in desk.found.fees.items()}
        booking = propose_fees(fees, GATEWAY)
        if booking is not None and dice.random() < 0.7:
            desk.post(booking, f"fees-{until}", day(until))
        for item in list(desk.work.values()):
            desk.work[item.id] = act(desk, item, until, dice)
        desk.carried = carry_on(desk.found, desk.work.values())
    desk.run(90)
    desk.run(100)
    assert not {item.state for item in desk.work.values()} & {State.RESOLVED}
    open_again = {
        desk.name_deal(item.finding).fault
        for item in desk.work.values()
        if was_settled(item) and item.state is State.OPEN
    }
    assert open_again <= {Fault.LATE}


def was_settled(item: WorkItem) -> bool:
    """Whether somebody posted an entry for it."""
    return any(change.state is State.RESOLVED for change in item.changes)


def act(desk: Desk, item: WorkItem, until: float, dice: Random) -> WorkItem:
    """What a person makes of an item, by chance."""
    change = Change(State.OPEN, day(until), "user", "Looked at.")
    if item.state is State.ACCEPTED and dice.random() < 0.3:
        return reopen_item(item, change, 100)
    if item.state not in {State.OPEN, State.REOPENED} or item.finding.is_in_transit:
        return item
    proposals = propose(item.finding, GATEWAY)
    choice = dice.random()
    if proposals and choice < 0.5:
        desk.post(dice.choice(proposals), item.id, day(until))
        change = change._replace(entry=f"adj-{item.id}")
        return resolve_item(item, change, 100)
    return accept_item(item, change, 100) if choice < 0.8 else item
