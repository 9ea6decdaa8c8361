"""What follows when a gateway takes back what it had said: money that left, or that came back.

Each is a chain of ledger steps. What left is booked whole in the commit that takes the notice in;
what came is booked there, and given to whom it belongs in the next. A wallet gives what it has;
what it lacks is a loss, or in suspense while nobody knows. What is nobody's wallet's is there, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from catena.chains.chain import Chain
from catena.chains.definition import Definition, Need, Step
from catena.flows.deposit import CREDIT, DEPOSIT
from catena.flows.lines import HOLDING, OURS, move, received, sent
from catena.flows.refund import REFUND
from catena.flows.withdrawal import WITHDRAWAL
from catena.ledger.accounts import (
    Account,
    AccountStatus,
    SystemRole,
    clearing_of,
    system_account_id,
)

__all__ = [
    "CAME_BACK",
    "GIVEN_BACK",
    "PAID_LATE",
    "SUSPEND",
    "TAKEN_BACK",
    "WON_BACK",
    "Moved",
    "came_back",
    "came_in",
    "out_of_suspense",
    "taken_back",
    "touched_by",
    "wallet_of",
    "won_back",
]

CAME_BACK: Final = f"{OURS}returned"
TAKEN_BACK: Final = f"{OURS}chargeback"
WON_BACK: Final = f"{OURS}chargeback_won"
GIVEN_BACK: Final = f"{OURS}refunded"
"""By somebody else than us, at the gateway."""
CAME_IN: Final = f"{OURS}credit"
PAID_LATE: Final = f"{OURS}paid_late"
"""What was declined, so that the wallet has its money back."""

SUSPEND: Final = "suspend"
"""The step that puts money into suspense, or takes it out of there, in whichever chain it is."""

_LOSSES: Final = str(SystemRole.LOSSES)
_SUSPENSE: Final = str(SystemRole.SUSPENSE)


class Moved(NamedTuple):
    """Money that a gateway has moved by itself: what it calls that, how much (minor units), and
    what a person is told of it. `about`: the chain that had moved it before.
    """

    gateway: str
    reference: str
    amount: int
    currency: str
    text: str
    about: str | None


def wallet_of(chain: Chain) -> str | None:
    """Whose money the chain moves; None where it moves none, or that is not for us to say."""
    type, metadata = chain.definition.type, chain.definition.metadata or {}
    if chain.failure is not None:
        return None
    if type == DEPOSIT:
        found = chain.steps[CREDIT].definition.inputs["account_id"]
    elif type == WITHDRAWAL:
        found = chain.steps["debit"].definition.inputs["account_id"]
    elif type == REFUND:
        found = metadata["account_id"]
    else:
        return None
    return str(found)


def touched_by(moved: Moved, wallet: str | None, ledger_id: str) -> list[str]:
    """The accounts that a reaction may post to: read before, it is booked in the same commit."""
    roles = (clearing_of(moved.gateway), HOLDING, _LOSSES, _SUSPENSE)
    found = [system_account_id(ledger_id, role, moved.currency) for role in roles]
    return [*found, wallet] if wallet else found


def came_back(moved: Moved, wallet: str | None, accounts: Mapping[str, Account]) -> Definition:
    """What had been paid out is with us again: it is the wallet's, or in suspense."""
    first = _received(moved)
    return _define(moved, CAME_BACK, first, _give(moved, wallet, moved.amount, accounts))


def taken_back(
    moved: Moved,
    wallet: str | None,
    accounts: Mapping[str, Account],
    type: str = TAKEN_BACK,
    in_air: int = 0,
) -> Definition:
    """What had been charged is the payer's again: out of the wallet as far as it goes.

    `in_air`: what refunds have taken out of it that are not decided yet (minor units). As much of
    what it lacks is no loss so far: refused, they give it to the wallet again. A person will know.
    """
    account = accounts.get(wallet or "")
    there = 0
    fits = account is not None and account.currency == moved.currency
    if account is not None and fits and account.status is AccountStatus.ACTIVE:
        there = max(0, min(account.available or 0, moved.amount))
    steps = []
    if account is not None and there:
        inputs = {
            "account_id": account.id,
            "amount": there,
            "currency": moved.currency,
            "through": "holding",
            "description": moved.text,
        }
        steps.append(Step("claw_back", "withdrawal", inputs))
    doubtful = min(moved.amount - there, in_air)
    if doubtful:
        steps.append(move(SUSPEND, _SUSPENSE, HOLDING, doubtful, moved.currency))
    lost = moved.amount - there - doubtful
    if lost:
        steps.append(move("lose", _LOSSES, HOLDING, lost, moved.currency))
    needs = tuple(Need(step.name) for step in steps)
    last = sent(
        "sent", moved.gateway, moved.amount, moved.currency, needs, reference=moved.reference
    )
    return _define(moved, type, *steps, last)


def won_back(
    moved: Moved, before: Chain, accounts: Mapping[str, Account], type: str = WON_BACK
) -> Definition:
    """It is ours after all: who had paid for it (`before`: what `taken_back` gave) has the money
    again, the wallet first, then suspense.
    """
    steps = {"received": _received(moved)}
    left, needs = moved.amount, (Need("received"),)
    clawed, doubtful = before.steps.get("claw_back"), before.steps.get(SUSPEND)
    suspended = 0
    if clawed is not None:
        inputs = clawed.definition.inputs
        amount = min(left, inputs["amount"])
        left -= amount
        give = _give(moved, inputs["account_id"], amount, accounts)
        suspended = amount if give.name == SUSPEND else 0
        steps[give.name] = give
    if doubtful is not None and left:
        amount = min(left, doubtful.definition.inputs["lines"][0]["amount"])
        left -= amount
        whole = suspended + amount  # with what a wallet cannot take, in one step of this name
        steps[SUSPEND] = move(SUSPEND, HOLDING, _SUSPENSE, whole, moved.currency, needs)
    if left:
        steps["regain"] = move("regain", HOLDING, _LOSSES, left, moved.currency, needs)
    return _define(moved, type, *steps.values())


def came_in(moved: Moved, wallet: str | None, accounts: Mapping[str, Account]) -> Definition:
    """Money that nobody had asked for: it is the wallet's that it names, or in suspense."""
    return _define(moved, CAME_IN, _received(moved), _give(moved, wallet, moved.amount, accounts))


def out_of_suspense(moved: Moved, type: str) -> Definition:
    """Money has left, and it is not for us to say whose it was: a person will."""
    first = move(SUSPEND, _SUSPENSE, HOLDING, moved.amount, moved.currency)
    needs = (Need(SUSPEND),)
    last = sent(
        "sent", moved.gateway, moved.amount, moved.currency, needs, reference=moved.reference
    )
    return _define(moved, type, first, last)


def _received(moved: Moved) -> Step:
    """It is a fact, so it is the pivot: whatever follows is tried until it is done."""
    return received(
        "received",
        moved.gateway,
        moved.amount,
        moved.currency,
        reference=moved.reference,
        pivot=True,
    )


def _give(moved: Moved, wallet: str | None, amount: int, accounts: Mapping[str, Account]) -> Step:
    account = accounts.get(wallet or "")
    needs = (Need("received"),)
    fits = account is not None and account.currency == moved.currency
    if account is None or not fits or account.status is AccountStatus.CLOSED:
        return move(SUSPEND, HOLDING, _SUSPENSE, amount, moved.currency, needs)
    inputs: dict[str, Any] = {
        "account_id": account.id,
        "amount": amount,
        "currency": moved.currency,
        "through": "holding",
        "description": moved.text,
    }
    return Step("give", "deposit", inputs, needs)


def _define(moved: Moved, type: str, *steps: Step) -> Definition:
    metadata = {
        "gateway": moved.gateway,
        "about": moved.about,
        "gateway_reference": moved.reference,
    }
    return Definition(steps, type, moved.about, moved.text, metadata)
