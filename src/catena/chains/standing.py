"""What only the books tell of steps: accounts that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from catena.chains.definition import Step
from catena.chains.needs import named_accounts
from catena.chains.validator import Flaw
from catena.ledger.accounts import Account, AccountStatus

__all__ = ["find_unusable"]


def find_unusable(steps: Iterable[Step], accounts: Mapping[str, Account]) -> Iterator[Flaw]:
    """The steps that name accounts which are not there, or are closed."""
    steps = list(steps)
    if all(_is_usable(accounts.get(id)) for id in named_accounts(steps)):
        return
    for step in steps:
        for id in named_accounts([step]):
            account = accounts.get(id)
            if account is None:
                yield Flaw(step.name, "inputs", "The ledger has no such account.")
            elif account.status is AccountStatus.CLOSED:
                yield Flaw(step.name, "inputs", "The account is closed.")


def _is_usable(account: Account | None) -> bool:
    return account is not None and account.status is not AccountStatus.CLOSED
