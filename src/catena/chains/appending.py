"""Steps that are appended to a chain which is there: judged under its lock, refused whole.

Invariant: a refused append changes nothing. What a caller asks for one step by one (`append_tried`)
is tried dry first, so that a reservation or capture which does not fit never fails its chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Step
from catena.chains.history import Failure
from catena.chains.machine import append
from catena.chains.needs import named_accounts
from catena.chains.preview import find_refused
from catena.chains.refusals import ChainRefusal, ChainRefused, Command, refuse
from catena.chains.standing import find_unusable
from catena.chains.states import ChainState
from catena.chains.validator import Flaw, find_appended_flaws
from catena.ledger.refusals import Refusal, RefusalCode
from catena.settings import LIMITS

__all__ = ["append_steps", "append_tried", "name_step"]


def append_steps(
    chain: Chain, books: Books, *, steps: Sequence[Step], by: str | None
) -> ChainRefused | None:
    """Append steps and run on, or say why not."""
    refused = _judge(chain, books, steps)
    if refused is None:
        _append(chain, books, steps, by)
    return refused


def append_tried(
    chain: Chain, books: Books, *, step: Step, by: str | None
) -> ChainRefused | Refusal | None:
    """Append a step that can be done now, or say why it cannot."""
    refused = _judge(chain, books, [step])
    if refused is not None:
        return refused
    if chain.state is ChainState.EXECUTING:
        failure = find_refused(chain, books, step)
        if failure is not None:
            return _refuse(chain, step, failure)
    _append(chain, books, [step], by)
    return None


def _judge(chain: Chain, books: Books, steps: Sequence[Step]) -> ChainRefused | None:
    refused = refuse(chain, Command.APPEND)
    if refused is not None:
        return refused
    flaws = find_appended_flaws(chain, steps, books)
    flaws += find_unusable(steps, books.accounts)
    if len(chain.steps) + len(steps) > LIMITS.chain_steps:
        text = f"A chain has {LIMITS.chain_steps} steps at most."
        flaws.append(Flaw(steps[0].name, "name", text))
    if flaws:
        return ChainRefused(ChainRefusal.INVALID_CHAIN, chain.id, flaws=flaws)
    return None


def _append(chain: Chain, books: Books, steps: Sequence[Step], by: str | None) -> None:
    append(chain, books, steps, by)
    if not chain.is_ended:
        # None of them may be closed at this very moment.
        for account in named_accounts(steps):
            books.account(account)


_LEDGER: Final = {code.code: code for code in RefusalCode}
_CHAINS: Final = {code.code: code for code in ChainRefusal}


def _refuse(chain: Chain, step: Step, failure: Failure) -> ChainRefused | Refusal:
    """A step's failure as the refusal of who asked for it."""
    if not failure.code:
        return ChainRefused(ChainRefusal.CHAIN_NOT_RUNNING, chain.id)
    if failure.code in _LEDGER:
        return Refusal(_LEDGER[failure.code], failure.account)
    if failure.code in _CHAINS:
        return ChainRefused(_CHAINS[failure.code], chain.id, account=failure.account)
    flaw = Flaw(step.name, "inputs", failure.detail or failure.code)
    return ChainRefused(ChainRefusal.INVALID_CHAIN, chain.id, flaws=[flaw])


def name_step(chain: Chain, verb: str) -> str:
    """A name that no step of the chain has yet."""
    number = len(chain.steps) + 1
    while f"{verb}_{number}" in chain.steps:
        number += 1
    return f"{verb}_{number}"
