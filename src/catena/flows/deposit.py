"""A deposit by way of a gateway: charge, and credit the wallet when the gateway has the money.

Or before: `early`, when it has taken the charge; then the wallet's funds are under lien until the
money is there, and only this chain could spend them. `manual`: authorise now, capture later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Definition, Need, Retry, Step
from catena.chains.states import ChainState, StepState
from catena.flows.lines import OURS, received

__all__ = [
    "AUTHORISE",
    "CAPTURE",
    "CREDIT",
    "DEPOSIT",
    "DepositState",
    "DepositTerms",
    "captured_of",
    "charge_of",
    "define_deposit",
    "state_of_deposit",
]

DEPOSIT: Final = f"{OURS}deposit"
"""The type of its chains."""

CAPTURE: Final = "capture"
"""The signal that has what was authorised captured; its payload says the `amount`."""

AUTHORISE: Final = "gateway.authorise"
"""The type of a step that has money set aside, and moves none."""

CREDIT: Final = "credit"
"""The step that credits the wallet."""

_GIVE_BACK: Final[Mapping[str, Any]] = {"type": "give_back"}
_TRIES: Final = Retry(5, first_seconds=0.5, cap_seconds=30.0)
"""For what a gateway refuses for now: too many requests, or its own trouble."""


class DepositTerms(NamedTuple):
    """What is asked for. Amounts in minor units; `fees` as the step `deposit` takes them.

    `expires_seconds`: how long the payer, or who captures, may take.
    """

    gateway: str
    account: str
    amount: int
    currency: str
    method: Mapping[str, Any]
    note: str | None = None
    fees: Sequence[Mapping[str, Any]] = ()
    manual: bool = False
    early: bool = False
    expires_seconds: float | None = None
    reference: str | None = None
    description: str | None = None
    metadata: Mapping[str, Any] | None = None


class DepositState(StrEnum):
    """How far it is."""

    PENDING = "pending"
    """The gateway is at work, or what it does is not known yet."""
    ACTION_NEEDED = "action_needed"
    """The payer must do something: `action` says what."""
    AUTHORISED = "authorised"
    """The money is set aside, and waits to be captured."""
    COMPLETED = "completed"
    FAILING = "failing"
    """What was done is being undone."""
    FAILED = "failed"
    CANCELLED = "cancelled"


def define_deposit(terms: DepositTerms, assess: Sequence[Step] = ()) -> Definition:
    """The chain of a deposit. `assess`: steps that come before the charge, and may stop it."""
    asked: dict[str, Any] = {
        "gateway": terms.gateway,
        "amount": terms.amount,
        "currency": terms.currency,
        "method": terms.method,
    }
    if terms.note is not None:
        asked["note"] = terms.note
    kind = AUTHORISE if terms.manual else "gateway.charge"
    steps = [
        *assess,
        Step(
            "charge",
            kind,
            asked,
            tuple(Need(step.name) for step in assess),
            retry=_TRIES,
            timeout_seconds=terms.expires_seconds,
            compensation=_GIVE_BACK,
        ),
    ]
    taken = "charge"
    if terms.manual:
        taken = "take"
        steps += _capture(terms)
    amount: object = {"cel": f"steps.{taken}.amount"} if terms.manual else terms.amount
    reference = {"cel": f"steps.{taken}.reference"}
    steps.append(
        received(
            "received", terms.gateway, amount, terms.currency, (Need(taken),), reference=reference
        )
    )
    credit: dict[str, Any] = {
        "account_id": terms.account,
        "amount": amount,
        "currency": terms.currency,
        "through": "holding",
        "fees": list(terms.fees) or None,
        "reference": terms.reference,
        "description": terms.description,
        "metadata": terms.metadata,
    }
    inputs = {name: value for name, value in credit.items() if value is not None}
    need = Need("charge", accepted=True) if terms.early else Need("received")
    steps.append(Step(CREDIT, "deposit", inputs, (need,)))
    return Definition(steps, DEPOSIT, terms.reference, terms.description, terms.metadata)


def _capture(terms: DepositTerms) -> list[Step]:
    """Wait for somebody to say so, and capture."""
    inputs = {
        "gateway": terms.gateway,
        "charge": {"cel": "steps.charge.reference"},
        "amount": {"cel": "steps.go.payload.amount"},
        "currency": terms.currency,
    }
    wait = Step(
        "go",
        "wait",
        {"signal": CAPTURE},
        (Need("charge"),),
        timeout_seconds=terms.expires_seconds,
    )
    capture = Step(
        "take",
        "gateway.capture",
        inputs,
        (Need("go"),),
        retry=_TRIES,
        compensation=_GIVE_BACK,
    )
    return [wait, capture]


def charge_of(chain: Chain) -> StepRun:
    """The step that took the money: what a refund gives back."""
    return chain.steps["take" if _is_manual(chain) else "charge"]


def _is_manual(chain: Chain) -> bool:
    """Whether it was authorised first. The names of steps do not tell: a caller may add some."""
    return chain.steps["charge"].definition.type == AUTHORISE


def captured_of(chain: Chain) -> int | None:
    """What the gateway has taken, in minor units: what it was asked for. None: nothing yet."""
    taken = charge_of(chain)
    if not taken.seq:
        return None
    amount: int = (taken.inputs or taken.definition.inputs)["amount"]
    return amount


def state_of_deposit(chain: Chain) -> DepositState:
    """How far it is."""
    failure = chain.failure
    if failure is not None:
        if chain.state is not ChainState.ROLLED_BACK:
            return DepositState.FAILING
        cancelled = failure.code == "cancelled"
        return DepositState.CANCELLED if cancelled else DepositState.FAILED
    if chain.state is ChainState.COMPLETED:
        return DepositState.COMPLETED
    charge = chain.steps["charge"]
    if _is_manual(chain) and chain.steps["go"].state is StepState.WAITING:
        return DepositState.AUTHORISED
    acts = charge.state is StepState.WAITING and charge.result.get("action") is not None
    return DepositState.ACTION_NEEDED if acts else DepositState.PENDING
