"""A refund of a deposit, whole or in part: out of the wallet first, then back to who paid.

The wallet's part is a refund of the deposit's own entry, so that all refunds of it together never
exceed it, whoever asks for them at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from catena.chains.definition import Definition, Need, Retry, Step
from catena.flows.lines import OURS, sent

__all__ = ["REFUND", "RefundTerms", "define_refund"]

REFUND: Final = f"{OURS}refund"
"""The type of its chains; their reference is the deposit's chain."""

_TRIES: Final = Retry(20, first_seconds=0.5, cap_seconds=60.0)


class RefundTerms(NamedTuple):
    """What is asked for. `deposit`: its chain; `account` the wallet, `entry` what credited it;
    `charge`: what the gateway calls what is given back. Minor units. `reference`: the caller's.
    """

    gateway: str
    deposit: str
    account: str
    entry: str
    charge: str
    amount: int
    currency: str
    note: str | None = None
    reference: str | None = None


def define_refund(terms: RefundTerms) -> Definition:
    """The chain of a refund."""
    wallet: dict[str, object] = {"entry_id": terms.entry, "amount": terms.amount}
    metadata = {"deposit_id": terms.deposit, "account_id": terms.account}
    if terms.reference is not None:
        wallet["reference"] = metadata["reference"] = terms.reference
    back = Step("give_back", "refund", wallet)
    inputs: dict[str, object] = {
        "gateway": terms.gateway,
        "charge": terms.charge,
        "amount": terms.amount,
        "currency": terms.currency,
    }
    if terms.note is not None:
        inputs["note"] = terms.note
    refund = Step(
        "refund", "gateway.refund", inputs, (Need("give_back"),), retry=_TRIES, pivot=True
    )
    out = sent(
        "sent",
        terms.gateway,
        terms.amount,
        terms.currency,
        (Need("refund"),),
        reference={"cel": "steps.refund.reference"},
    )
    return Definition([back, refund, out], REFUND, terms.deposit, metadata=metadata)
