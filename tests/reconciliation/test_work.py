"""The work list and the entries that settle its items."""

from __future__ import annotations

import json

import pytest

from catena.errors import Conflict, InvalidInput
from catena.gateways.contract import Subject
from catena.ledger.accounts import Side, parse_role, system_account_id
from catena.ledger.entries import EntryType, balance_by_currency
from catena.reconciliation.adjustments import (
    Settling,
    check_reason,
    draft_entry,
    propose,
    propose_fees,
)
from catena.reconciliation.findings import Finding, How, Kind
from catena.reconciliation.lines import BookLine
from catena.reconciliation.matching import Carried, Reconciliation
from catena.reconciliation.work import (
    TRANSITIONS,
    Change,
    State,
    WorkItem,
    accept_item,
    carry_on,
    reopen_item,
    resolve_item,
    update_work,
)
from tests.reconciliation.lines import brief, day, ours, run, theirs

CHANGE = Change(State.OPEN, day(30), "user_1", " Looked at. ", entry="ent_9")


def find(here: list[BookLine], *there: tuple[int, Subject, str]) -> Finding:
    """The one finding of ours and of lines of theirs under the same reference."""
    lines = [
        theirs(f"x{place}", "pi_1", amount, subject=subject, currency=currency)
        for place, (amount, subject, currency) in enumerate(there)
    ]
    (finding,) = run(here, lines).findings
    return finding


CHARGE, DISPUTE = Subject.CHARGE, Subject.DISPUTE
PROPOSALS = [
    ([], [(50, CHARGE, "EUR")], ["park: clearing.bank debit 50 EUR, suspense credit 50 EUR"]),
    ([], [(-50, CHARGE, "EUR")], ["park: clearing.bank credit 50 EUR, suspense debit 50 EUR"]),
    (
        [],
        [(-50, DISPUTE, "EUR")],
        [
            "write_off: clearing.bank credit 50 EUR, losses debit 50 EUR",
            "park: clearing.bank credit 50 EUR, suspense debit 50 EUR",
        ],
    ),
    (
        [50],
        [],
        [
            "write_off: clearing.bank credit 50 EUR, losses debit 50 EUR",
            "park: clearing.bank credit 50 EUR, suspense debit 50 EUR",
        ],
    ),
    ([-50], [], ["park: clearing.bank debit 50 EUR, suspense credit 50 EUR"]),
    (
        [50],
        [(48, CHARGE, "EUR")],
        [
            "write_off: clearing.bank credit 2 EUR, losses debit 2 EUR",
            "park: clearing.bank credit 2 EUR, suspense debit 2 EUR",
            "gateway_fee: clearing.bank credit 2 EUR, gateway_fees debit 2 EUR",
        ],
    ),
    ([50], [(51, CHARGE, "EUR")], ["park: clearing.bank debit 1 EUR, suspense credit 1 EUR"]),
    (
        [50],
        [(55, CHARGE, "USD")],
        [
            (
                "exchange: clearing.bank credit 50 EUR, fx debit 50 EUR,"
                " clearing.bank debit 55 USD, fx credit 55 USD"
            )
        ],
    ),
    ([50], [(50, CHARGE, "EUR")], []),
]


@pytest.mark.parametrize(("here", "there", "proposed"), PROPOSALS)
def test_proposals(
    here: list[int], there: list[tuple[int, Subject, str]], proposed: list[str]
) -> None:
    """Each kind of discrepancy has entries that settle it; they balance, and name real roles."""
    finding = find([ours("a", "pi_1", amount) for amount in here], *there)
    found = propose(finding, "bank")
    said = []
    for proposal in found:
        lines = ", ".join(
            f"{one.role} {one.side} {one.amount} {one.currency}" for one in proposal.lines
        )
        said.append(f"{proposal.settling}: {lines}")
        assert all(parse_role(line.role) == line.role for line in proposal.lines)
        draft = draft_entry(proposal, "ldg_1", "rec_1", "because")
        assert not any(balance_by_currency(draft.lines).values())
    assert said == proposed


def test_the_entry_of_a_proposal() -> None:
    """It is posted once: its reference is the item's; the reason is what it says."""
    (proposal,) = propose(find([], (50, CHARGE, "EUR")), "bank")
    draft = draft_entry(proposal, "ldg_1", "rec_1", "unknown payer")
    assert (draft.type, draft.reference, draft.description) == (
        EntryType.ADJUSTMENT,
        "rec_1",
        "unknown payer",
    )
    assert draft.lines[0].account == system_account_id("ldg_1", "clearing.bank", "EUR")
    assert set(draft.system) == {("clearing.bank", "EUR"), ("suspense", "EUR")}
    assert json.loads(draft.metadata or "") == {"reconciles": "rec_1", "settling": Settling.PARK}


def test_fees_are_proposed_in_every_currency() -> None:
    """Taken: an expense; given back: less of one; none: no entry."""
    proposal = propose_fees({"EUR": 30, "USD": -2, "CHF": 0}, "bank")
    assert proposal is not None
    assert proposal.type is EntryType.FEE
    assert [(line.role, line.side, line.amount) for line in proposal.lines] == [
        ("clearing.bank", Side.CREDIT, 30),
        ("gateway_fees", Side.DEBIT, 30),
        ("clearing.bank", Side.DEBIT, 2),
        ("gateway_fees", Side.CREDIT, 2),
    ]
    assert propose_fees({"EUR": 0}, "bank") is None


@pytest.mark.parametrize("reason", ["", "  ", " - ", "x" * 11])
def test_reasons_are_mandatory(reason: str) -> None:
    """A reason says something, and not endlessly."""
    with pytest.raises(InvalidInput):
        check_reason(reason, 10)
    assert check_reason(" why ", 10) == "why"


def open_item() -> WorkItem:
    """An item that was just found."""
    (item,) = update_work([], run([], [theirs("x", "pi_1", 50)]), "bank", day(20)).items
    return item


def test_changes_keep_to_the_table() -> None:
    """Every state is reached, and nothing else is possible from it."""
    opened = open_item()
    resolved = resolve_item(opened, CHANGE, 100)
    assert resolved.changes[-1] == CHANGE._replace(state=State.RESOLVED, reason="Looked at.")
    accepted = accept_item(opened, CHANGE, 100)
    assert accepted.changes[-1].entry is None
    reopened = reopen_item(accepted, CHANGE, 100)
    assert accept_item(reopened, CHANGE, 100).state is State.ACCEPTED
    assert reopen_item(resolved, CHANGE, 100).state is State.REOPENED
    assert opened.opened_at == day(20)
    for decide, item in (
        (resolve_item, accepted),
        (accept_item, resolved),
        (reopen_item, opened),
    ):
        with pytest.raises(Conflict):
            decide(item, CHANGE, 100)
    with pytest.raises(InvalidInput):
        accept_item(opened, CHANGE._replace(reason=""), 100)
    assert TRANSITIONS[State.CLEARED] == frozenset()
    assert TRANSITIONS.keys() == {*State}


def test_an_item_is_reported_once() -> None:
    """The next runs find the same item, and clear it when the other half comes."""
    found = run([], [theirs("x", "pi_1", 50)], 20)
    update = update_work([], found, "bank", day(20))
    assert (update.opened, update.cleared) == (1, 0)
    carried = carry_on(found, update.items)
    assert [item.id for item in carried.items] == [update.items[0].id]

    again = run([], [], 30, carried)
    second = update_work(update.items, again, "bank", day(30))
    assert second.opened == 0
    assert [item.changes for item in second.items] == [item.changes for item in update.items]
    assert second.items[0].finding.theirs == update.items[0].finding.theirs

    last = run([ours("a", "pi_1", 50, 3)], [], 40, carry_on(again, second.items))
    third = update_work(second.items, last, "bank", day(40))
    assert [item.state for item in third.items] == [State.CLEARED]
    assert third.cleared == 1
    assert carry_on(last, third.items) == Carried()


def test_a_duplicate_is_still_called_one_later() -> None:
    """What a run knew of a line that stands alone is kept, though its twin is matched and gone."""
    twins = [theirs("x", "pi_1", 50), theirs("y", "pi_1", 50, 2)]
    found = run([ours("a", "pi_1", 50)], twins, 20)
    update = update_work([], found, "bank", day(20))
    again = run([], [], 30, carry_on(found, update.items))
    (item,) = update_work(update.items, again, "bank", day(30)).items
    assert [one.how for one in again.findings] == [How.NOTHING]
    assert item.finding.how is How.REPEATED


def settle(amount: int, entry: str) -> tuple[WorkItem, Reconciliation]:
    """An item that was resolved with that entry, after a run that sees a line of `amount`."""
    found = run([], [theirs("x", "pi_1", 50)], 20)
    (item,) = update_work([], found, "bank", day(20)).items
    item = resolve_item(item, CHANGE, 100)
    line = ours(entry, item.id, amount, 21, type=EntryType.ADJUSTMENT, settles=item.id)
    again = run([line], [], 30, carry_on(found, [item]))
    return item, again


def test_a_resolution_counts_when_the_books_bear_it_out() -> None:
    """The entry that makes up the difference clears the item; until it is seen, it waits."""
    item, found = settle(50, "ent_9")
    assert brief(found) == {("matched", "adjusted", "ent_9", "x")}
    (cleared,) = update_work([item], found, "bank", day(30)).items
    assert cleared.state is State.CLEARED
    unseen = run([], [], 30, carry_on(found, [item]))
    (waiting,) = update_work([item], unseen, "bank", day(30)).items
    assert waiting.state is State.RESOLVED


def test_a_resolution_that_falls_short_is_reopened() -> None:
    """What is left over differs under the same item."""
    found = run([ours("a", "pi_1", 60)], [theirs("x", "pi_1", 50)], 20)
    (item,) = update_work([], found, "bank", day(20)).items
    item = resolve_item(item, CHANGE, 100)
    line = ours("ent_9", "pi_1", -9, 12, type=EntryType.ADJUSTMENT, settles=item.id)
    more = ours("ent_8", "pi_1", -1, 12)
    short = run([line._replace(amount=9)], [], 40, carry_on(found, [item]))
    (reopened,) = update_work([item], short, "bank", day(40)).items
    assert reopened.state is State.REOPENED
    cleared = run([line, more], [], 40, carry_on(found, [item]))
    assert add(cleared) == 0


def add(found: Reconciliation) -> int:
    """What is open after it, all together."""
    return sum(sum(one.differences().values()) for one in found.findings)


def test_items_that_become_one_go_on_as_one() -> None:
    """Two halves that had an item each differ together later; one goes on, one says where."""
    found = run([ours("a", "pi_1", 60, 1)], [theirs("x", "pi_2", 50, 1)], 20)
    update = update_work([], found, "bank", day(20))
    assert update.opened == 2
    first, second = update.items
    both = Finding(
        Kind.DIFFERING_AMOUNT,
        How.REFERENCE,
        first.finding.ours,
        second.finding.theirs,
        items=(first.id, second.id),
    )
    after = update_work(update.items, found._replace(findings=(both,)), "bank", day(30))
    assert [(item.state, item.changes[-1].reason) for item in after.items] == [
        (State.OPEN, "Found."),
        (State.CLEARED, "Goes on in another item."),
    ]


def test_an_item_that_falls_apart_becomes_two() -> None:
    """Both parts stay on the list: one under its id, the other under an id of its own."""
    found = run([ours("a", "pi_1", 60)], [theirs("x", "pi_1", 50)], 20)
    (item,) = update_work([], found, "bank", day(20)).items
    whole = item.finding._replace(items=(item.id,))
    parts = (
        whole._replace(kind=Kind.MISSING_THERE, theirs=()),
        whole._replace(kind=Kind.MISSING_HERE, ours=()),
    )
    after = update_work([item], found._replace(findings=parts), "bank", day(30))
    assert [one.finding for one in after.items] == list(parts)
    assert after.items[0].id == item.id != after.items[1].id
    assert after.opened == 1


def test_what_is_accepted_is_not_looked_at() -> None:
    """Its lines are no part of the next run, and it is no part of the list that a run changes."""
    found = run([], [theirs("x", "pi_1", 50)], 20)
    (item,) = update_work([], found, "bank", day(20)).items
    accepted = accept_item(item, CHANGE, 100)
    assert carry_on(found, [accepted]) == Carried()
    assert update_work([accepted], run([], []), "bank", day(30)).items == ()


def test_what_is_in_transit_is_carried_once() -> None:
    """Lines of an item that wait again for a part are carried by the item alone."""
    found = run([ours("a", "pi_1", 60, 1)], [], 10)
    (item,) = update_work([], found, "bank", day(10)).items
    again = run([], [theirs("x", "pi_1", 50, 9.5)], 10, carry_on(found, [item]))
    update = update_work([item], again, "bank", day(10))
    assert [one.is_in_transit for one in again.findings] == [True]
    carried = carry_on(again, update.items)
    assert (carried.ours, carried.theirs, len(carried.items)) == ((), (), 1)
