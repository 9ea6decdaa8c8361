"""Which accounts and entries a chain's steps name, as far as that is known before they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from catena.chains.definition import Family, Step
from catena.chains.expressions import Broken
from catena.chains.resolve import resolve_inputs
from catena.ids import ACCOUNT, is_id
from catena.ledger.accounts import SystemRole, system_account_id

if TYPE_CHECKING:
    from catena.chains.chain import Chain
    from catena.chains.step_types import Catalogue

__all__ = ["named_accounts", "named_entries", "system_accounts", "wanted_accounts"]

_ACCOUNTS: Final = (
    "account_id",
    "source_account_id",
    "destination_account_id",
    "fee_account_id",
)


def named_accounts(steps: Iterable[Step]) -> Iterator[str]:
    """The accounts that the steps name by their ids: callers' accounts, as a rule."""
    for step in steps:
        if step.family in (Family.LEDGER, Family.LIEN):
            yield from _named(step.inputs)


def _named(inputs: Mapping[str, Any]) -> Iterator[str]:
    for name in _ACCOUNTS:
        yield from _account(inputs.get(name))
    for rows in (inputs.get("lines"), inputs.get("fees")):
        if isinstance(rows, (list, tuple)):
            for row in rows:
                if isinstance(row, Mapping):
                    yield from _account(row.get("account_id"))


def _account(value: object) -> Iterator[str]:
    if isinstance(value, str) and _is_account(value):
        yield value


@lru_cache(maxsize=100_000)
def _is_account(text: str) -> bool:
    return is_id(ACCOUNT, text)


def system_accounts(steps: Iterable[Step], ledger_id: str) -> Iterator[str]:
    """The system accounts that the steps post to by their nature."""
    for step in steps:
        inputs = step.inputs
        currency = inputs.get("currency")
        if step.type == "exchange":
            for code in (inputs.get("source_currency"), inputs.get("destination_currency")):
                if isinstance(code, str):
                    yield system_account_id(ledger_id, SystemRole.FX, code)
        elif isinstance(currency, str):
            if step.type in ("deposit", "withdrawal"):
                through = SystemRole(inputs.get("through", SystemRole.CLEARING))
                yield system_account_id(ledger_id, through, currency)
            if step.type == "fee" or inputs.get("fees"):
                yield system_account_id(ledger_id, SystemRole.FEES, currency)


def named_entries(steps: Iterable[Step]) -> Iterator[str]:
    """The entries that the steps reverse."""
    return (step.inputs["entry_id"] for step in steps if step.type == "reversal")


def wanted_accounts(chain: Chain, ledger_id: str, catalogue: Catalogue) -> set[str]:
    """Every account that the chain may read or change next, of its liens too.

    One that an expression names is known when what it depends on is done.
    """
    steps = [run.definition for run in chain.steps.values()]
    wanted = {*named_accounts(steps), *system_accounts(steps, ledger_id)}
    wanted.update(lien.account for lien in chain.pool.liens.values())
    for run in chain.steps.values():
        step = run.definition
        if step.family not in (Family.LEDGER, Family.LIEN) or run.is_done:
            continue
        if chain.meets(step.needs):
            inputs = resolve_inputs(chain, step, catalogue)
            if not isinstance(inputs, Broken):
                wanted.update(_named(inputs))
    return wanted
