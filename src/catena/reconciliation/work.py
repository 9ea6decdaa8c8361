"""The work list: an item for each discrepancy, from the run that finds it to the one that clears.

Invariant: an item changes by the table alone, and each change says when, by whom and why. A
resolution counts when the books bear it out: the run that finds the difference gone clears it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from catena.errors import Conflict
from catena.ids import ITEM, derive_id
from catena.reconciliation.adjustments import check_reason
from catena.reconciliation.findings import Finding, How
from catena.reconciliation.matching import Carried, OpenItem, Reconciliation

__all__ = [
    "ITEM",
    "TRANSITIONS",
    "Change",
    "State",
    "Update",
    "WorkItem",
    "accept_item",
    "carry_on",
    "reopen_item",
    "resolve_item",
    "update_work",
]

RUN: Final = "reconciliation"
"""Who changes items when nobody does."""


class State(StrEnum):
    """How far the work on an item is."""

    OPEN = "open"
    """Somebody has to look at it."""
    RESOLVED = "resolved"
    """An adjusting entry was posted; the next run will see whether it makes up the difference."""
    ACCEPTED = "accepted"
    """The difference stays, for a reason; no run looks at its lines again."""
    REOPENED = "reopened"
    """It was resolved or accepted, and that was wrong."""
    CLEARED = "cleared"
    """Both sides agree: its lines are matched. For good."""


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    # An entry is posted, somebody lives with it, or the other half came by itself.
    State.OPEN: frozenset({State.RESOLVED, State.ACCEPTED, State.CLEARED}),
    # The next run finds the difference gone, or not; or the entry was the wrong one.
    State.RESOLVED: frozenset({State.CLEARED, State.REOPENED}),
    # It turns out that it has to be settled after all.
    State.ACCEPTED: frozenset({State.REOPENED}),
    State.REOPENED: frozenset({State.RESOLVED, State.ACCEPTED, State.CLEARED}),
    State.CLEARED: frozenset(),
}


class Change(NamedTuple):
    """One change of an item. `entry`: the adjusting entry's id, when it was resolved."""

    state: State
    at: dt.datetime
    who: str
    reason: str
    entry: str | None = None


class WorkItem(NamedTuple):
    """A discrepancy and what was done about it; `changes` from the first to the last."""

    id: str
    finding: Finding
    changes: tuple[Change, ...]

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.changes[-1].state

    @property
    def opened_at(self) -> dt.datetime:
        """When it was first found."""
        return self.changes[0].at

    @property
    def is_looked_at(self) -> bool:
        """Whether the next run takes its lines in."""
        return self.state in {State.OPEN, State.REOPENED, State.RESOLVED}


class Update(NamedTuple):
    """What a run makes of the work list: the items that it looked at, and new ones, as they are."""

    items: tuple[WorkItem, ...]
    opened: int
    cleared: int
    reopened: int


def _change(item: WorkItem, change: Change) -> WorkItem:
    if change.state not in TRANSITIONS[item.state]:
        raise Conflict(f"An item that is {item.state} cannot become {change.state}.")
    return item._replace(changes=(*item.changes, change))


def resolve_item(item: WorkItem, change: Change, longest: int) -> WorkItem:
    """An adjusting entry was posted for it. Raises InvalidInput without a reason, or Conflict."""
    return _decide(item, change._replace(state=State.RESOLVED), longest)


def accept_item(item: WorkItem, change: Change, longest: int) -> WorkItem:
    """The difference stays. Raises InvalidInput without a reason, or Conflict."""
    return _decide(item, change._replace(state=State.ACCEPTED, entry=None), longest)


def reopen_item(item: WorkItem, change: Change, longest: int) -> WorkItem:
    """It was not right. Raises InvalidInput without a reason, or Conflict.

    An adjusting entry is reversed apart: as long as it stands, the next run will clear the item.
    """
    return _decide(item, change._replace(state=State.REOPENED, entry=None), longest)


def _decide(item: WorkItem, change: Change, longest: int) -> WorkItem:
    return _change(item, change._replace(reason=check_reason(change.reason, longest)))


def update_work(
    work: Iterable[WorkItem], found: Reconciliation, gateway: str, at: dt.datetime
) -> Update:
    """The work list after a run, whose input was `carry_on` of the same list.

    An open finding goes on with the first item that its lines were in; further findings from the
    same item, and new ones, are items of their own. What is resolved and still differs is reopened,
    once the entry that was to settle it has been seen.
    """
    before = {item.id: item for item in work if item.is_looked_at}
    entries = {line.entry for finding in found.findings for line in finding.ours}
    going_on: dict[str, Finding] = {}
    new: list[WorkItem] = []
    for finding in found.findings:
        if not finding.is_open and not (finding.is_in_transit and finding.items):
            continue
        item_id = next((id for id in finding.items if id not in going_on), None)
        if item_id is None:
            lines = [line.id for line in finding.ours] + [line.id for line in finding.theirs]
            id = derive_id(ITEM, gateway, finding.kind, *lines)
            new.append(WorkItem(id, finding, (Change(State.OPEN, at, RUN, "Found."),)))
        else:
            going_on[item_id] = finding
    kept: list[WorkItem] = []
    joined = {id for finding in going_on.values() for id in finding.items}
    cleared = reopened = 0
    for item in before.values():
        held = going_on.get(item.id)
        if held is None:
            cleared += 1
            reason = "Goes on in another item." if item.id in joined else "Both sides agree now."
            kept.append(_change(item, Change(State.CLEARED, at, RUN, reason)))
            continue
        if held.how is How.NOTHING and held.kind is item.finding.kind:
            held = held._replace(how=item.finding.how)  # what its twin said, which is matched now
        item = item._replace(finding=held)  # noqa: PLW2901  # the same item, as found now
        if item.state is State.RESOLVED and item.changes[-1].entry in entries:
            reopened += 1
            change = Change(State.REOPENED, at, RUN, "The entry does not make up the difference.")
            item = _change(item, change)  # noqa: PLW2901
        kept.append(item)
    return Update((*kept, *new), len(new), cleared, reopened)


def carry_on(found: Reconciliation, work: Iterable[WorkItem]) -> Carried:
    """What the next run takes up: lines in transit, items that are not at rest, fees to book."""
    items = tuple(
        OpenItem(item.id, item.finding.ours, item.finding.theirs)
        for item in work
        if item.is_looked_at
    )
    held = {line.id for item in items for line in item.ours}
    held_there = {line.id for item in items for line in item.theirs}
    waiting = [finding for finding in found.findings if finding.is_in_transit]
    return Carried(
        ours=tuple(line for one in waiting for line in one.ours if line.id not in held),
        theirs=tuple(line for one in waiting for line in one.theirs if line.id not in held_there),
        items=items,
        fees={currency: fees.to_book for currency, fees in found.fees.items() if fees.to_book},
    )
