"""Which entries would settle a discrepancy: proposals for a person, who chooses and gives a reason.

Invariant: a proposal moves the clearing account by exactly the difference, so that the next run
finds both sides equal; debits equal credits in each currency. Nothing here posts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from catena.errors import InvalidInput
from catena.gateways.contract import Subject
from catena.ledger.accounts import Side, SystemRole, clearing_of, system_account_id
from catena.ledger.entries import Draft, EntryType, Line
from catena.reconciliation.findings import Finding, Kind

__all__ = [
    "Proposal",
    "ProposedLine",
    "Settling",
    "check_reason",
    "draft_entry",
    "propose",
    "propose_fees",
]


class Settling(StrEnum):
    """What a proposal says about the difference."""

    PARK = "park"
    """Nobody knows yet whose it is: suspense, until it is found out."""
    WRITE_OFF = "write_off"
    """It is lost."""
    GATEWAY_FEE = "gateway_fee"
    """The gateway has kept it for itself."""
    EXCHANGE = "exchange"
    """The gateway has exchanged it."""


class ProposedLine(NamedTuple):
    """One line by the role of its account; `amount` in minor units, more than zero."""

    role: str
    side: Side
    amount: int
    currency: str


class Proposal(NamedTuple):
    """An entry that would settle a discrepancy."""

    settling: Settling
    type: EntryType
    lines: tuple[ProposedLine, ...]


_AGAINST: Final = {
    Settling.PARK: SystemRole.SUSPENSE,
    Settling.WRITE_OFF: SystemRole.LOSSES,
    Settling.GATEWAY_FEE: SystemRole.GATEWAY_FEES,
    Settling.EXCHANGE: SystemRole.FX,
}


def propose(finding: Finding, gateway: str) -> tuple[Proposal, ...]:
    """What would settle it, the most likely first; nothing where the money is right."""
    differences = {currency: amount for currency, amount in finding.differences().items() if amount}
    if not differences:
        return ()
    return tuple(
        Proposal(
            settling,
            EntryType.ADJUSTMENT,
            tuple(_move(differences, clearing_of(gateway), _AGAINST[settling])),
        )
        for settling in _list_settlings(finding, differences)
    )


def propose_fees(fees: Mapping[str, int], gateway: str) -> Proposal | None:
    """The entry for what the gateway took for itself, by currency in minor units; None for none.

    Fees are booked from the statement: its lines are gross, and are matched as such.
    """
    differences = {currency: -amount for currency, amount in fees.items() if amount}
    if not differences:
        return None
    lines = _move(differences, clearing_of(gateway), SystemRole.GATEWAY_FEES)
    return Proposal(Settling.GATEWAY_FEE, EntryType.FEE, tuple(lines))


def _list_settlings(finding: Finding, differences: Mapping[str, int]) -> Iterator[Settling]:
    if finding.kind is Kind.DIFFERING_CURRENCY:
        yield Settling.EXCHANGE
        return
    less = all(amount < 0 for amount in differences.values())
    taken_back = any(line.subject is Subject.DISPUTE for line in finding.theirs)
    if less and (finding.kind is not Kind.MISSING_HERE or taken_back):
        yield Settling.WRITE_OFF
    yield Settling.PARK
    if less and finding.kind is Kind.DIFFERING_AMOUNT:
        yield Settling.GATEWAY_FEE


def _move(differences: Mapping[str, int], clearing: str, against: str) -> Iterator[ProposedLine]:
    """More there than here: clearing Dr; less: clearing Cr."""
    for currency, amount in sorted(differences.items()):
        side = Side.DEBIT if amount > 0 else Side.CREDIT
        yield ProposedLine(clearing, side, abs(amount), currency)
        yield ProposedLine(str(against), side.opposite, abs(amount), currency)


def check_reason(reason: str, longest: int) -> str:
    """`reason` without space around it, if it says something. Raises InvalidInput."""
    reason = reason.strip()
    if not any(map(str.isalnum, reason)) or len(reason) > longest:
        raise InvalidInput(
            f"A reason is needed, of {longest} characters at most.",
            fields=[("/reason", "Say why, for whoever audits the books.")],
        )
    return reason


def draft_entry(proposal: Proposal, ledger_id: str, item: str, reason: str) -> Draft:
    """The entry of a proposal, to be posted by the journal; `reason` has been checked.

    Its reference is the item's id (for fees, a run's): so it is posted once, whoever tries again.
    """
    lines = [
        Line(system_account_id(ledger_id, line.role, line.currency), *line[1:])
        for line in proposal.lines
    ]
    return Draft(
        proposal.type,
        lines,
        description=reason,
        reference=item,
        metadata=json.dumps({"reconciles": item, "settling": proposal.settling}),
        system={(line.role, line.currency) for line in proposal.lines},
    )
