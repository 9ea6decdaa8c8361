"""What operations need to have read before they can be decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from catena.chains.definition import Step
from catena.chains.expressions import is_expression
from catena.chains.needs import named_accounts, named_entries, system_accounts
from catena.db.inbox import Message
from catena.journal.operations import (
    ChangeAccount,
    ChangeItem,
    CreateChain,
    OpenAccount,
    Operation,
    PostEntry,
    RefundEntry,
    ReverseEntry,
    RunChain,
    TakeNotice,
)
from catena.ledger.accounts import AccountStatus, system_account_id
from catena.ledger.entries import Draft, EntryType
from catena.money import ISO_CURRENCIES

__all__ = ["Needs", "named_assets"]

_CURRENCIES: Final = ("currency", "source_currency", "destination_currency")


def named_assets(steps: Iterable[Step]) -> Iterator[str]:
    """The codes of the ledger's own assets that steps name; '' where lines are yet to be computed,
    which nobody knows: what has no code makes the journal read all that there are.
    """
    for step in steps:
        lines = step.inputs.get("lines")
        if lines is not None and is_expression(lines):
            yield ""
        for row in (step.inputs, *lines) if isinstance(lines, list) else (step.inputs,):
            for name in _CURRENCIES:
                code = row.get(name)
                if code is not None and isinstance(code, str) and code not in ISO_CURRENCIES:
                    yield code


class Needs:
    """Accounts, references, chains, items, and what entries and accounts are corrected or changed.

    `undoing`: chains that may be rolled back. `closed`: accounts that are to be closed. `assets`:
    codes of the ledger's own.
    """

    __slots__ = (
        "accounts",
        "assets",
        "chains",
        "changed",
        "closed",
        "corrected",
        "items",
        "messages",
        "notices",
        "references",
        "undoing",
    )

    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self.references: set[tuple[EntryType, str]] = set()
        self.corrected: set[str] = set()
        self.changed: set[str] = set()
        self.closed: set[str] = set()
        self.chains: set[str] = set()
        self.undoing: set[str] = set()
        self.messages: list[Message] = []
        self.notices: set[tuple[str, str]] = set()
        self.assets: set[str] = set()
        self.items: set[str] = set()

    def update(self, others: Needs) -> None:
        """Add what others need."""
        self.accounts |= others.accounts
        self.references |= others.references
        self.corrected |= others.corrected
        self.changed |= others.changed
        self.closed |= others.closed
        self.chains |= others.chains
        self.undoing |= others.undoing
        self.messages += others.messages
        self.notices |= others.notices
        self.assets |= others.assets
        self.items |= others.items

    def add(self, operations: Sequence[Operation], ledger_id: str) -> None:
        """Add what these operations name."""
        for operation in operations:
            if isinstance(operation, PostEntry | ReverseEntry | RefundEntry):
                self._add_entry(operation.draft, ledger_id)
            elif isinstance(operation, OpenAccount):
                self.accounts.add(operation.profile.id)
            elif isinstance(operation, ChangeAccount):
                self._add_change(operation)
            elif isinstance(operation, CreateChain):
                steps = operation.definition.steps
                self.accounts.update(named_accounts(steps))
                self.accounts.update(system_accounts(steps, ledger_id))
                self.corrected.update(named_entries(steps))
                self.assets.update(named_assets(steps))
                claim = operation.definition.claim
                if claim is not None:
                    self.references.add((EntryType(claim.type), claim.reference))
                if operation.instead is not None:
                    self._add_entry(operation.instead.draft, ledger_id)
            elif isinstance(operation, RunChain):
                self._add_run(operation)
            elif isinstance(operation, TakeNotice):
                self._add_notice(operation)
            elif isinstance(operation, ChangeItem):
                self.items.add(operation.item)
                if operation.draft is not None:
                    self._add_entry(operation.draft, ledger_id)
            else:
                self.messages.append(operation.message)

    def _add_entry(self, draft: Draft, ledger_id: str) -> None:
        accounts = self.accounts
        for line in draft.lines:
            accounts.add(line.account)
        if draft.reference is not None:
            self.references.add((draft.type, draft.reference))
        if draft.corrects is not None:
            self.corrected.add(draft.corrects)
        for role, currency in draft.system:
            accounts.add(system_account_id(ledger_id, role, currency))

    def _add_change(self, operation: ChangeAccount) -> None:
        self.accounts.add(operation.account)
        self.changed.add(operation.account)
        if operation.change.fields.get("status") is AccountStatus.CLOSED:
            self.closed.add(operation.account)

    def _add_run(self, operation: RunChain) -> None:
        self.chains.add(operation.chain)
        if operation.stray is not None:
            self.chains.add(operation.stray[0])
        self.accounts.update(operation.accounts)
        self.corrected.update(operation.entries)
        if operation.undoes:
            self.undoing.add(operation.chain)

    def _add_notice(self, operation: TakeNotice) -> None:
        self.notices.add((operation.told.gateway, operation.told.id))
        if operation.chain is not None:
            self.chains.add(operation.chain)
            if operation.undoes:
                self.undoing.add(operation.chain)
        if operation.follow is not None:
            self.chains.add(operation.follow.id)
            self.accounts.update(operation.follow.accounts)

    def are_met(self, remembered: Mapping[str, object], assets: Mapping[str, int]) -> bool:
        """Whether they are nothing but accounts that are remembered, and assets that are known."""
        if not self.are_accounts:
            return False
        return self.accounts <= remembered.keys() and self.assets <= assets.keys()

    @property
    def are_accounts(self) -> bool:
        """Whether they are nothing but accounts, and assets."""
        return not (
            self.references
            or self.corrected
            or self.changed
            or self.chains
            or self.messages
            or self.notices
            or self.items
        )
