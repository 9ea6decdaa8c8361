"""What is written of a chain besides its events: its card, liens, work, and where it is found.

Invariant: all of it follows from the chain's history alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from catena.chains.calls import due_calls, due_timer
from catena.chains.chain import Chain
from catena.chains.needs import adapter_of, named_accounts, references_of
from catena.chains.states import StepState
from catena.ids import LIEN, derive_within
from catena.liens.liens import Lien, LienKind, LienState

if TYPE_CHECKING:
    from catena.journal.cards import Cards, OpenChain

__all__ = [
    "DUE_NOW",
    "accounts_of",
    "correlations_of",
    "describe_card",
    "describe_lien",
    "describe_liens",
    "describe_places",
    "describe_work",
    "liens_of",
]

DUE_NOW: Final = "-infinity"
"""Due at once, whatever the clocks of this process and of the database say."""

_NEVER: Final = "infinity"


def describe_card(opened: OpenChain) -> dict[str, Any]:
    """The chain's card: where it stands."""
    chain = opened.chain
    return {
        "chain_id": chain.id[-32:],
        "before": opened.read,
        "events": chain.number,
        "state": chain.state,
        "type": chain.definition.type,
        "reference": chain.definition.reference,
        "parked": next(chain.parked(), None) is not None,
        "steps": len(chain.steps),
        "done": chain.count_done(),
        "offset": opened.offset,
    }


def correlations_of(chain: Chain) -> set[str]:
    """What its waits wait for."""
    return {
        run.correlation
        for run in chain.steps.values()
        if run.correlation is not None and run.state is StepState.WAITING
    }


def accounts_of(chain: Chain) -> set[str]:
    """The accounts that its steps name, and those of its liens."""
    steps = (run.definition for run in chain.steps.values())
    return {*named_accounts(steps), *(lien.account for lien in chain.pool.liens.values())}


def liens_of(chain: Chain) -> Iterator[Lien]:
    """The chain's liens, and those that are declared on a chain that was opened."""
    yield from chain.pool.liens.values()
    if chain.definition.open:
        for run in chain.steps.values():
            inputs = run.definition.inputs
            account, amount = inputs.get("account_id"), inputs.get("amount")
            if run.definition.type != "lien.reserve" or run.lien is not None:
                continue
            if isinstance(account, str) and isinstance(amount, int):
                id = derive_within(LIEN, chain.id, run.name, account)
                lien = Lien(id, chain.id, run.name, account, LienKind.RESERVE, amount)
                if chain.is_ended:
                    lien.state, lien.released = LienState.RELEASED, amount
                yield lien


def describe_lien(lien: Lien) -> dict[str, Any]:
    """A lien's row."""
    return {
        "lien_id": lien.id[-32:],
        "chain_id": lien.chain[-32:],
        "step": lien.step,
        "account_id": lien.account[-32:],
        "kind": lien.kind,
        "state": lien.state,
        "amount": lien.amount,
        "remaining": lien.remaining,
        "drawn": lien.drawn,
        "released": lien.released,
        "taken_back": lien.taken_back,
        "expires_at": lien.expires_at.isoformat() if lien.expires_at else None,
    }


def describe_places(opened: OpenChain) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where the chain is found: by accounts, by names and references, and by what it waits for."""
    id = opened.chain.id[-32:]
    for account in (accounts_of(opened.chain) | opened.posted) - opened.named:
        yield "chain_accounts", {"account_id": account[-32:], "chain_id": id}
    for gateway, reference, step in references_of(opened.chain) - opened.references:
        row = {"gateway": gateway, "reference": reference, "chain_id": id, "step": step}
        yield "references", row
    for correlation in opened.waiting ^ correlations_of(opened.chain):
        waits = correlation not in opened.waiting
        yield "correlations", {"chain_id": id, "correlation": correlation, "waits": waits}
    claim = opened.chain.definition.claim
    if claim is not None and not opened.read:
        yield "claims", {**claim._asdict(), "chain_id": id}


def describe_liens(opened: OpenChain) -> Iterator[dict[str, Any]]:
    """The liens that have changed; one that was born and ended within this commit is no row.

    A time that was set in this commit counts from it, in microseconds.
    """
    for lien in liens_of(opened.chain):
        row = describe_lien(lien)
        before = opened.stored.get(lien.id)
        declared = lien.state is LienState.CREATED
        if row != before and (before is not None or lien.is_open or declared):
            if lien.expires_at is not None and (
                before is None or row["expires_at"] != before["expires_at"]
            ):
                row["expires_in"] = (lien.expires_at - opened.now) // dt.timedelta(microseconds=1)
            yield row


def describe_work(opened: OpenChain, cards: Cards) -> Iterator[dict[str, Any]]:
    """The work that is no longer as it was read. What somebody else holds is left to them."""
    chain, now = opened.chain, opened.now
    due: dict[str, str] = {}
    if not chain.is_ended:
        for call in due_calls(chain, now, cards.catalogue):
            due[call.step] = call.at.isoformat() if call.at is not None else DUE_NOW
        timer = due_timer(chain)
        if opened.blocked or correlations_of(chain) - opened.waiting:
            due[""] = DUE_NOW  # what it needs, or waits for, is read in the next commit
        elif timer is not None:
            due[""] = timer.isoformat()
    begun = {began.call.step for began in opened.begun}
    for step in {**opened.work, **due}:
        row = opened.work.get(step)
        lease = opened.taken.get(step)
        told: dict[str, Any] = {"chain_id": chain.id[-32:], "step": step}
        told["before"] = None if row is None else row.fence
        told["fence"] = opened.fence_of(step) if step in begun or row is None else row.fence
        if row is None:
            told["adapter"] = _adapter_of(chain, step)
        if row is not None and chain.is_ended:
            yield told
        elif lease is not None:
            until = now + dt.timedelta(seconds=lease)
            yield {**told, "due_at": until.isoformat(), "leased": True}
        elif row is None:
            yield {**told, "due_at": due[step], "leased": False}
        elif step in opened.taken or not (row.leased and step in due):
            at = due.get(step, _NEVER)
            if step in opened.taken or at != row.due_at:
                yield {**told, "due_at": at, "leased": False}


def _adapter_of(chain: Chain, step: str) -> str:
    """What it takes to do the step's work; for the clock's nothing."""
    if not step:
        return ""
    definition = chain.steps[step].definition
    return adapter_of(definition.type, definition.inputs)
