"""Entries between the platform's own accounts, as steps of flows.

What a gateway holds for us is its clearing account; money on its way between that and a wallet is
in holding. docs/guides/gateways.md draws the entries of each path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from catena.chains.definition import Need, Step
from catena.ledger.accounts import SystemRole, clearing_of

__all__ = ["HOLDING", "OURS", "move", "received", "sent"]

HOLDING: Final = str(SystemRole.HOLDING)

OURS: Final = "gateway."
"""The types of the flows' chains begin so; no chain that a caller makes does."""


def move(
    name: str,
    debit: str,
    credit: str,
    amount: object,
    currency: str,
    needs: Sequence[Need] = (),
    *,
    reference: object = None,
    pivot: bool = False,
) -> Step:
    """A step that debits one role's account and credits another's.

    `amount` in minor units, or an expression; `reference` is what the gateway calls it, by which
    reconciliation finds the entry.
    """
    inputs: dict[str, Any] = {
        "lines": [
            {"role": debit, "side": "debit", "amount": amount, "currency": currency},
            {"role": credit, "side": "credit", "amount": amount, "currency": currency},
        ],
        "entry_type": "transfer",
    }
    if reference is not None:
        inputs["reference"] = reference
    return Step(name, "entry", inputs, needs, pivot=pivot)


def received(  # one argument a word of the step
    name: str,
    gateway: str,
    amount: object,
    currency: str,
    needs: Sequence[Need] = (),
    *,
    reference: object = None,
    pivot: bool = False,
) -> Step:
    """The gateway has money for us."""
    role = clearing_of(gateway)
    return move(name, role, HOLDING, amount, currency, needs, reference=reference, pivot=pivot)


def sent(
    name: str,
    gateway: str,
    amount: object,
    currency: str,
    needs: Sequence[Need] = (),
    *,
    reference: object = None,
    pivot: bool = False,
) -> Step:
    """The gateway has given money away for us."""
    role = clearing_of(gateway)
    return move(name, HOLDING, role, amount, currency, needs, reference=reference, pivot=pivot)
