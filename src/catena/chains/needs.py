"""Which accounts and entries a chain's steps name, as far as that is known before they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from catena.chains.definition import Family, Step
from catena.chains.expressions import Broken
from catena.chains.resolve import resolve_inputs
from catena.ids import ACCOUNT, is_id
from catena.ledger.accounts import SystemRole, parse_role, system_account_id

if TYPE_CHECKING:
    from catena.chains.chain import Chain
    from catena.chains.step_types import Catalogue

__all__ = [
    "CORRECTING",
    "UNDOES_LATE",
    "adapter_of",
    "name_adapter",
    "named_accounts",
    "named_entries",
    "references_of",
    "system_accounts",
    "wanted_accounts",
]

_ACCOUNTS: Final = frozenset(
    {"account_id", "source_account_id", "destination_account_id", "fee_account_id"}
)
_LISTS: Final = frozenset({"lines", "fees"})


def named_accounts(steps: Iterable[Step]) -> list[str]:
    """The accounts that the steps name by their ids: callers' accounts, as a rule."""
    found: list[str] = []
    for step in steps:
        if step.family in _OF_BOOKS:
            _add_named(step.inputs, found)
    return found


_OF_BOOKS: Final = frozenset({Family.LEDGER, Family.LIEN})


def _add_named(inputs: Mapping[str, Any], found: list[str]) -> None:
    for name, value in inputs.items():
        if name in _ACCOUNTS:
            if isinstance(value, str) and _is_account(value):
                found.append(value)
        elif name in _LISTS and isinstance(value, (list, tuple)):
            for row in value:
                if isinstance(row, dict):
                    _add_named({"account_id": row.get("account_id")}, found)


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
        elif step.type == "entry":
            yield from _roles_of(inputs.get("lines"), ledger_id)
        elif isinstance(currency, str):
            if step.type in ("deposit", "withdrawal"):
                through = parse_role(inputs.get("through", SystemRole.CLEARING))
                yield system_account_id(ledger_id, through, currency)
            if _earns(step.type, inputs):
                yield system_account_id(ledger_id, SystemRole.FEES, currency)


def _roles_of(lines: Any, ledger_id: str) -> Iterator[str]:  # noqa: ANN401  # lines or an expression
    if isinstance(lines, (list, tuple)):
        for row in lines:
            if row.get("role"):
                yield system_account_id(ledger_id, parse_role(row["role"]), row["currency"])


def _earns(type: str, inputs: Mapping[str, Any]) -> bool:
    """Whether the ledger's own account earns a fee of the step's: one that names no other.

    To need one that nobody has used would have every commit look for it.
    """
    if type == "fee":
        return inputs.get("fee_account_id") is None
    fees = inputs.get("fees") or ()
    return any(isinstance(fee, dict) and fee.get("account_id") is None for fee in fees)


def named_entries(steps: Iterable[Step]) -> Iterator[str]:
    """The entries that the steps reverse or refund."""
    return (step.inputs["entry_id"] for step in steps if step.type in CORRECTING)


CORRECTING: Final = frozenset({"reversal", "refund"})
"""The step types that correct an entry which is not their chain's own."""


def adapter_of(type: str, inputs: Mapping[str, Any]) -> str:
    """What a worker must have to make a step's calls: its type, or the gateway that it names."""
    if type == UNDOES_LATE:
        return adapter_of(inputs["type"], inputs["inputs"])
    gateway = inputs.get("gateway")
    return name_adapter(gateway) if type.startswith("gateway.") and gateway else type


UNDOES_LATE: Final = "late_approval.undo"
"""The step type that has another step's call undone; its `type` and `inputs` are of that one."""


def name_adapter(gateway: str) -> str:
    """What a worker has that knows the gateway with this name."""
    return f"gateway:{gateway}"


def references_of(chain: Chain) -> set[tuple[str, str, str]]:
    """What gateways call what its steps asked of them: gateway, reference, step."""
    return {
        (gateway, reference, run.name)
        for run in chain.steps.values()
        if isinstance(reference := run.result.get("reference"), str)
        and isinstance(gateway := run.definition.inputs.get("gateway"), str)
    }


def wanted_accounts(chain: Chain, ledger_id: str, catalogue: Catalogue) -> set[str]:
    """Every account that the chain may read or change next, of its liens too.

    One that an expression names is known when what it depends on is done.
    """
    steps = [run.definition for run in chain.steps.values()]
    named = named_accounts(steps)
    wanted = {*system_accounts(steps, ledger_id)}
    wanted.update(lien.account for lien in chain.pool.liens.values())
    for run in chain.steps.values():
        step = run.definition
        if step.family not in _OF_BOOKS or run.is_done:
            continue
        if chain.meets(step.needs):
            inputs = resolve_inputs(chain, step, catalogue)
            if not isinstance(inputs, Broken):
                _add_named(inputs, named)
    return wanted.union(named)
