"""What people decide about the work list, as operations of the journal.

Invariant: the change of an item and the entry that settles it are one operation, and so one commit:
neither is ever there without the other. The next run looks whether the books bear it out.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.db.read.entries import find_entry_by_reference
from catena.db.read.reconciliation import read_item_row
from catena.db.reconciliation import find_last_run
from catena.errors import Conflict, InvalidInput
from catena.ids import name_again
from catena.journal import ChangeItem, PostEntry
from catena.ledger.entries import Draft, EntryType
from catena.reconciliation.adjustments import (
    Settling,
    check_reason,
    draft_entry,
    propose,
    propose_fees,
)
from catena.reconciliation.past import load_work
from catena.reconciliation.work import TRANSITIONS, State, WorkItem
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.pool import Connection
    from catena.db.reconciliation_rows import ItemRow, RunRow

__all__ = ["Seen", "decide_item", "fees_to_book", "read_item", "settle_item"]

NO_FEES: Final = "There is nothing to book: our books have all the fees that the run knows of."
BOOKED: Final = "An earlier run's fees were booked since this one was made; run again."


class Seen(NamedTuple):
    """An item as it was read."""

    row: ItemRow
    item: WorkItem


async def read_item(connection: Connection, ledger: int, id: str, depth: int) -> Seen | None:
    """An item with its lines and its history; read it at once. `depth`: of corrections."""
    row = await read_item_row(connection, ledger, id)
    if row is None:
        return None
    (item,) = await load_work(connection, ledger, row.gateway, [row], depth)
    return Seen(row, item)


def decide_item(id: str, state: State, who: str, reason: str) -> ChangeItem:
    """Accept or reopen an item. Raises InvalidInput without a reason."""
    told = check_reason(reason, LIMITS.text_characters)
    return ChangeItem(id, state, _list_before(state), who, told)


def settle_item(
    seen: Seen, settling: Settling, who: str, reason: str, ledger_id: str
) -> ChangeItem:
    """Settle an item by the entry of this proposal. Raises InvalidInput where there is none.

    Settled before and not reopened, the same again is the same entry.
    """
    told = check_reason(reason, LIMITS.text_characters)
    proposals = {one.settling: one for one in propose(seen.item.finding, seen.row.gateway)}
    if settling not in proposals:
        possible = ", ".join(proposals) or "none; accept it"
        raise InvalidInput(
            f"No entry settles it that way; possible: {possible}.",
            fields=[("/settling", "One of the item's proposals.")],
        )
    number = sum(change.state is State.RESOLVED for change in seen.item.changes)
    number += seen.item.state is not State.RESOLVED
    reference = name_again(seen.row.id, number)
    draft = draft_entry(proposals[settling], ledger_id, seen.row.id, told)
    draft = draft._replace(
        reference=reference, content=_fingerprint(reference, settling, told), free=False
    )
    return ChangeItem(
        seen.row.id,
        State.RESOLVED,
        _list_before(State.RESOLVED),
        who,
        told,
        draft,
        seen.row.version,
    )


def _list_before(state: State) -> frozenset[str]:
    """The states from which an item may become so."""
    return frozenset(before for before, after in TRANSITIONS.items() if state in after)


def _fingerprint(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


async def fees_to_book(connection: Connection, ledger: Ledger, run: RunRow) -> PostEntry:
    """The entry for the fees that a run found unbooked; once booked, that very entry. Of two runs
    with the same fees the journal posts one: they go by one reference.

    Raises Conflict when there are none, or another run has them too.
    """
    content, reference = _fingerprint(run.id, "fees"), run.fees_run
    found = await find_entry_by_reference(connection, ledger.number, EntryType.FEE, reference)
    if found is not None:
        if json.loads(found.entry.metadata or "{}").get("reconciles") != run.id:
            raise Conflict(BOOKED)
        lines = found.entry.lines
        return PostEntry(Draft(EntryType.FEE, lines, reference=reference, content=content))
    last = await find_last_run(connection, ledger.number, run.gateway)
    if last is None or last.number != run.number:
        raise Conflict("A later run has these fees, too: book those.")
    fees = {code: one["fees_to_book"] for code, one in run.figures.items()}
    proposal = propose_fees(fees, run.gateway)
    if proposal is None:
        raise Conflict(NO_FEES)
    text = f"Fees of {run.gateway} until {run.until:%Y-%m-%d}"
    draft = draft_entry(proposal, ledger.id, reference, text)
    metadata = json.dumps({"reconciles": run.id, "settling": proposal.settling})
    return PostEntry(draft._replace(content=content, metadata=metadata))
