"""Everything that the decisions of one commit read, and which accounts they touched."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from catena.chains.states import CHAIN_ENDS
from catena.db.inbox import Message, Received
from catena.db.load import ClaimRow, ReferenceRow
from catena.db.notices import Heard
from catena.db.reconciliation_rows import ItemCard
from catena.db.write import WriteSet
from catena.ids import position_of
from catena.journal.cards import Cards, ChainFound, ChainMoved, OpenChains
from catena.ledger.accounts import (
    Account,
    open_system_account,
    system_account_id,
)
from catena.ledger.corrections import (
    PENDING,
    Correction,
    draft_correction,
    record_correction,
    sum_refunded,
)
from catena.ledger.entries import Draft, Entry, Line, refuse_entry
from catena.ledger.refusals import Refusal, RefusalCode
from catena.ledger.terms import Profile

if TYPE_CHECKING:
    from catena.chains.chain import Chain
    from catena.chains.definition import Claim
    from catena.chains.states import ChainState
    from catena.db.installation import Ledger
    from catena.journal.operations import ItemChanged, Taken

__all__ = ["Book", "Claimed", "Decided"]


class Decided:
    """An operation that will be committed: a new entry, account, change or message, at `offset`."""

    __slots__ = ("content", "offset", "value")

    def __init__(
        self, offset: int, value: Draft | Profile | Taken | ItemChanged, content: str | None = None
    ) -> None:
        self.offset = offset
        self.value = value
        self.content = content


class Claimed(NamedTuple):
    """A chain of this commit that bears a reference: the operation that made it."""

    content: str
    moved: ChainMoved


class Book:
    """The rows of one commit, as its decisions leave them.

    `sought` are the accounts that were looked for; `named` those that a chain names which ran when
    it was read, with the chain.
    `inbox`: messages that were taken in before, and who was given them; `messages` those that wait
    for a chain; `notices`: what gateways had said before; `items`: of reconciliation's work list.
    `claimants`: chains that bear references, as they were read.
    `chain_states` are those of chains whose entries are corrected by others. `room`: calls that
    this commit may still begin.
    """

    __slots__ = (
        "accounts",
        "assets",
        "cards",
        "chain_states",
        "chains",
        "claimants",
        "corrections",
        "entries",
        "inbox",
        "items",
        "ledger_id",
        "messages",
        "named",
        "notices",
        "now",
        "opened",
        "profiles",
        "references",
        "room",
        "sought",
        "touched",
    )

    def __init__(self, ledger: Ledger, accounts: dict[str, Account], cards: Cards) -> None:
        self.ledger_id = ledger.id
        self.assets = ledger.assets
        self.cards = cards
        self.room = cards.room()
        self.now = dt.datetime.min.replace(tzinfo=dt.UTC)
        self.accounts = accounts
        self.sought: set[str] = set()
        self.named: set[tuple[str, str]] = set()
        self.touched: dict[str, Account] = {}
        self.entries: dict[str, Entry] = {}
        self.corrections: dict[str, Correction] = {}
        self.references: dict[tuple[str, str], ReferenceRow | Decided | ClaimRow | Claimed] = {}
        self.claimants: dict[str, Chain] = {}
        self.profiles: dict[str, Profile] = {}
        self.opened: set[str] = set()
        self.chains = OpenChains()
        self.inbox: dict[tuple[str, str], Received] = {}
        self.messages: dict[str, list[Message]] = {}
        self.notices: dict[tuple[str, str], Heard] = {}
        self.items: dict[str, ItemCard] = {}
        self.chain_states: dict[str, ChainState] = {}

    def find_reference(self, draft: Draft) -> ReferenceRow | Decided | Refusal | None:
        """What bears the draft's reference already, if it is the same; None: nothing does."""
        if draft.reference is None:
            return None
        found = self.references.get((draft.type, draft.reference))
        if found is None:
            return None
        if isinstance(found, ClaimRow | Claimed) or found.content != draft.content:
            return Refusal(RefusalCode.REFERENCE_CONFLICT)
        return found

    def find_claimant(self, claim: Claim) -> ChainFound | ChainMoved | Refusal | None:
        """The chain that has claimed the same; None: nothing bears the reference."""
        taken = self.references.get((claim.type, claim.reference))
        if taken is None:
            return None
        if isinstance(taken, ReferenceRow | Decided) or taken.content != claim.content:
            return Refusal(RefusalCode.REFERENCE_CONFLICT)
        if isinstance(taken, Claimed):
            return taken.moved._replace(made=None)
        return ChainFound(self.claimants[taken.chain])

    def refuse(self, draft: Draft, amount: int | None) -> Refusal | None:
        """Why this entry could not be posted now; `amount` minor units of a refund, or all."""
        if draft.corrects is not None:
            correction = self.correct(draft, amount)
            if isinstance(correction, Refusal):
                return correction
            draft = correction
        for role, currency in draft.system:
            self.ensure_system_account(role, currency)
        refusal = refuse_entry(draft, self.accounts, self.now)
        if refusal is not None:
            self.touch(draft.lines)
        self.drop_unused(draft)
        return refusal

    def is_in_use(self, account: str) -> bool:
        """Whether a chain names the account that runs as this commit leaves it."""
        if any(opened.names(account) for opened in self.chains.all()):
            return True
        ran = {chain for named, chain in self.named if named == account}
        return any((found := self.chains.find(id)) is None or not found.is_ended for id in ran)

    def touch(self, lines: Sequence[Line]) -> None:
        """Have the accounts version-checked: the decision read them, even if only to refuse."""
        for line in lines:
            account = self.accounts.get(line.account)
            if account is not None:
                self.touched[line.account] = account

    def touch_corrected(self, entry: Entry) -> None:
        """What undoes an entry only changes along with accounts of its lines: they stand for it."""
        at: Entry | None = entry
        while at is not None:
            self.touch(at.lines)
            at = self.entries.get(at.corrects or "")

    def ensure_system_account(self, role: str, currency: str) -> None:
        """Have a system account at hand that an operation may use for the first time."""
        account = open_system_account(self.ledger_id, role, currency)
        self.accounts.setdefault(account.id, account)

    def drop_unused(self, draft: Draft) -> None:
        """A system account is there from its first line on: nothing else may find it before."""
        for role, currency in draft.system:
            id = system_account_id(self.ledger_id, role, currency)
            account = self.accounts.get(id)
            if account is not None and not account.version and not account.line_count:
                del self.accounts[id]
                self.touched.pop(id, None)

    def correct(self, draft: Draft, amount: int | None = None) -> Draft | Refusal:
        """The draft of a reversal or refund with its lines; `amount` minor units, or all."""
        entry = self.entries.get(draft.corrects or "")
        if entry is None:
            return Refusal(RefusalCode.UNKNOWN_ENTRY)
        self.touch_corrected(entry)
        if not self._may_correct(entry):
            return Refusal(RefusalCode.CHAIN_RUNNING)
        return draft_correction(draft, entry, self.entries, self.corrections, amount)

    def _may_correct(self, entry: Entry) -> bool:
        """An entry of a running chain is corrected by that chain alone."""
        if entry.chain is None:
            return True
        opened = self.chains.find(entry.chain)
        state = opened.chain.state if opened is not None else self.chain_states.get(entry.chain)
        return state in CHAIN_ENDS

    def record_correction(self, draft: Draft, work: WriteSet, offset: int) -> None:
        """Note what `correct` gave, now that it is posted at `offset`, and have it written."""
        entry = self.entries[draft.corrects or ""]
        record_correction(draft, entry, self.entries, self.corrections)
        self.note_corrections(work, offset)

    def note_corrections(self, work: WriteSet, offset: int) -> None:
        """Have the corrections written that the entry at `offset` changed."""
        for correction in self.corrections.values():
            if not correction.changed:
                continue
            reversal = correction.reversal
            pending = reversal == PENDING
            work.add_rest(
                "corrections",
                {
                    "position": position_of(correction.entry),
                    "reversal": None if pending or reversal is None else position_of(reversal),
                    "reversal_offset": offset if pending else None,
                    "refunded": sum_refunded(self.entries[correction.entry], correction.shares),
                    "shares": correction.shares or None,
                    "version": correction.version,
                },
            )
            correction.version += 1
            correction.changed = False
