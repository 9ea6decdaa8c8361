"""What operations need to have read before they can be decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from catena.journal.pieces import ChangeAccount, OpenAccount, Operation
from catena.ledger.accounts import system_account_id
from catena.ledger.entries import EntryType

__all__ = ["Needs"]


class Needs:
    """Accounts, references, and the entries and accounts that are corrected or changed."""

    __slots__ = ("accounts", "changed", "corrected", "references")

    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self.references: set[tuple[EntryType, str]] = set()
        self.corrected: set[str] = set()
        self.changed: set[str] = set()

    def add(self, operations: Sequence[Operation], ledger_id: str) -> None:
        """Add what these operations name."""
        accounts = self.accounts
        for operation in operations:
            if isinstance(operation, OpenAccount):
                accounts.add(operation.profile.id)
                continue
            if isinstance(operation, ChangeAccount):
                accounts.add(operation.account)
                self.changed.add(operation.account)
                continue
            draft = operation.draft
            for line in draft.lines:
                accounts.add(line.account)
            if draft.reference is not None:
                self.references.add((draft.type, draft.reference))
            if draft.corrects is not None:
                self.corrected.add(draft.corrects)
            for role, currency in draft.system or ():
                accounts.add(system_account_id(ledger_id, role, currency))

    def are_met(self, remembered: Mapping[str, object]) -> bool:
        """Whether they are nothing but accounts that are remembered."""
        if self.references or self.corrected or self.changed:
            return False
        return self.accounts <= remembered.keys()
