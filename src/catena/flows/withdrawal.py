"""A withdrawal by way of a gateway: out of the wallet, then paid out; refused, it is given back.

The payout is the pivot: before it the withdrawal can be cancelled, behind it nothing fails. Money
that comes back later is another chain's (`returned`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from catena.chains.chain import Chain
from catena.chains.definition import Definition, Need, Retry, Step
from catena.chains.states import ChainState
from catena.flows.lines import OURS, sent

__all__ = [
    "WITHDRAWAL",
    "WithdrawalState",
    "WithdrawalTerms",
    "define_withdrawal",
    "state_of_withdrawal",
]

WITHDRAWAL: Final = f"{OURS}withdrawal"
"""The type of its chains."""

_TRIES: Final = Retry(20, first_seconds=0.5, cap_seconds=3600.0)
"""Hours altogether: a bank may refuse it until somebody has filled the account."""


class WithdrawalTerms(NamedTuple):
    """What is asked for. Minor units; `total`: the amount, and the fees that come on top of it."""

    gateway: str
    account: str
    amount: int
    total: int
    currency: str
    method: Mapping[str, Any]
    note: str | None = None
    fees: Sequence[Mapping[str, Any]] = ()
    reference: str | None = None
    description: str | None = None
    metadata: Mapping[str, Any] | None = None


class WithdrawalState(StrEnum):
    """How far it is."""

    PENDING = "pending"
    """It is on its way, or whether it is not known yet."""
    COMPLETED = "completed"
    FAILING = "failing"
    FAILED = "failed"
    CANCELLED = "cancelled"


def define_withdrawal(terms: WithdrawalTerms, assess: Sequence[Step] = ()) -> Definition:
    """The chain of a withdrawal. `assess`: steps that come before the money leaves its wallet,
    where a lien holds it, and may stop that.
    """
    reserve = {"account_id": terms.account, "amount": terms.total, "currency": terms.currency}
    debit: dict[str, Any] = {
        "account_id": terms.account,
        "amount": terms.amount,
        "currency": terms.currency,
        "through": "holding",
        "lien": "reserve",
        "fees": list(terms.fees) or None,
        "reference": terms.reference,
        "description": terms.description,
        "metadata": terms.metadata,
    }
    payout: dict[str, Any] = {
        "gateway": terms.gateway,
        "amount": terms.amount,
        "currency": terms.currency,
        "method": terms.method,
    }
    if terms.note is not None:
        payout["note"] = terms.note
    steps = (
        Step("reserve", "lien.reserve", reserve),
        *assess,
        Step(
            "debit",
            "withdrawal",
            {name: value for name, value in debit.items() if value is not None},
            (Need("reserve"), *(Need(step.name) for step in assess)),
        ),
        Step("payout", "gateway.payout", payout, (Need("debit"),), retry=_TRIES, pivot=True),
        sent(
            "sent",
            terms.gateway,
            terms.amount,
            terms.currency,
            (Need("payout"),),
            reference={"cel": "steps.payout.reference"},
        ),
    )
    return Definition(steps, WITHDRAWAL, terms.reference, terms.description, terms.metadata)


def state_of_withdrawal(chain: Chain) -> WithdrawalState:
    """How far it is."""
    failure = chain.failure
    if failure is None:
        completed = chain.state is ChainState.COMPLETED
        return WithdrawalState.COMPLETED if completed else WithdrawalState.PENDING
    if chain.state is not ChainState.ROLLED_BACK:
        return WithdrawalState.FAILING
    cancelled = failure.code == "cancelled"
    return WithdrawalState.CANCELLED if cancelled else WithdrawalState.FAILED
