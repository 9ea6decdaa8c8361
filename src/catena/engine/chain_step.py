"""The step type `chain.start`: a chain of its own, in this ledger or another.

Its id follows from the call's key, so that however often it is called there is one chain. It is
approved when that chain is completed and declined when it is rolled back; until then it is looked
up. What undoes it is another chain that its compensation declares, or its cancellation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from catena.chains import machine
from catena.chains.definition import Definition, read_definition, read_step
from catena.chains.expressions import Kind, find_expressions
from catena.chains.history import Failure
from catena.chains.refusals import ChainRefused, Command, refuse
from catena.chains.states import CHAIN_ENDS, ChainState
from catena.chains.step_types import (
    Answer,
    Call,
    Catalogue,
    Direction,
    Fault,
    Input,
    Outcome,
    StepType,
)
from catena.chains.validator import find_flaws
from catena.db.load_chains import load_chain_states
from catena.ids import CHAIN, derive_within
from catena.journal import CreateChain, RunChain

if TYPE_CHECKING:
    from catena.chains.books import Books
    from catena.chains.chain import Chain
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.journal import Journal

__all__ = ["ChainStep"]

_CANCEL: Final = {"type": "cancel"}
_ASKING: Final = frozenset({Direction.LOOK_UP, Direction.UNDO_LOOK_UP})
_UNDOING: Final = frozenset({Direction.UNDO, Direction.UNDO_LOOK_UP})


class ChainStep:
    """Starts chains through the journal. It is given its parts when those are there: `attach`."""

    type = StepType(
        "chain.start",
        {
            "ledger_id": Input(Kind.STRING, required=False, constant=True),
            "chain": Input(Kind.ANY),
        },
        {"chain_id": Kind.STRING, "state": Kind.STRING},
        undoes=True,
    )

    def __init__(self) -> None:
        self._catalogue = Catalogue()
        self._pool: Pool
        self._journal: Journal
        self._find_ledger: Callable[[str], Awaitable[Ledger | None]]

    def attach(
        self,
        catalogue: Catalogue,
        pool: Pool,
        journal: Journal,
        find_ledger: Callable[[str], Awaitable[Ledger | None]],
    ) -> None:
        """Give it what it works with. `find_ledger`: by its id."""
        self._catalogue, self._pool, self._journal = catalogue, pool, journal
        self._find_ledger = find_ledger

    def check(
        self, inputs: Mapping[str, Any], compensation: Mapping[str, Any] | None, ledger_id: str
    ) -> Iterator[Fault]:
        """Why a step cannot ask for this."""
        # What expressions of ours give in it is known only when it is started.
        plan, there = inputs.get("chain"), inputs.get("ledger_id") or ledger_id
        whole = not find_expressions(plan)
        yield from self._check_plan("inputs/chain", plan, there, whole=whole)
        if compensation is None or compensation == _CANCEL:
            return
        if compensation.keys() == {"chain"}:
            yield from self._check_plan("compensation/chain", compensation["chain"], there)
        else:
            text = 'The compensation is a `chain` to start, or {"type": "cancel"}.'
            yield Fault("compensation", text)

    def _check_plan(
        self, part: str, plan: object, ledger_id: str, *, whole: bool = True
    ) -> Iterator[Fault]:
        try:
            definition = _read_plan(plan)
        except (KeyError, TypeError, AttributeError):
            yield Fault(part, "The chain to start is not one.")
            return
        if whole:
            for flaw in find_flaws(definition.steps, self._catalogue, ledger_id):
                yield Fault(part, f"In the chain to start, {flaw.step}: {flaw.text}")

    async def call(self, call: Call) -> Answer:
        """Start the chain, look it up, or cancel it."""
        words = (call.compensation if call.direction in _UNDOING else call.inputs) or {}
        ledger = await self._find_ledger(call.inputs.get("ledger_id") or call.ledger)
        if ledger is None:
            return Answer(Outcome.DECLINED, code="unknown_ledger")
        cancels = call.direction is Direction.CANCEL or words == _CANCEL
        if cancels:
            child = str(call.result["chain_id"])
            if call.direction not in _ASKING:
                await self._cancel(ledger, child, call.chain)
        else:
            child = derive_within(CHAIN, call.chain, call.key)
            if call.direction not in _ASKING:
                refused = await self._start(ledger, child, words, call)
                if refused is not None:
                    return refused
        async with self._pool.acquire() as connection:
            states = await load_chain_states(connection, ledger.number, [child])
        undone = words == _CANCEL
        return _read_state(child, states.get(child), undone=undone)

    async def _start(
        self, ledger: Ledger, child: str, words: Mapping[str, Any], call: Call
    ) -> Answer | None:
        """Make the chain, once; the refusal, when there will be none."""
        try:
            definition = _read_plan(words["chain"])
        except (KeyError, TypeError, AttributeError):
            return Answer(Outcome.DECLINED, code="invalid_chain", detail="It is no chain.")
        flaws = find_flaws(definition.steps, self._catalogue, ledger.id)
        if flaws:
            return Answer(Outcome.DECLINED, code="invalid_chain", detail=flaws[0].text)
        result = await self._journal.ask(
            ledger,
            CreateChain(child, definition, call.chain),
            key=_digest(call.key),
            payload=_digest(json.dumps(words, sort_keys=True)),
        )
        if isinstance(result, ChainRefused):
            return Answer(Outcome.DECLINED, code=result.code.code, detail=result.code.title)
        return None

    async def _cancel(self, ledger: Ledger, child: str, by: str) -> None:
        """Have it rolled back; one that has ended, or is past its pivot, goes on as it is."""

        def cancel(chain: Chain, books: Books) -> ChainRefused | None:
            refused = refuse(chain, Command.CANCEL)
            if refused is None:
                machine.cancel(chain, books, Failure("cancelled", "by the chain above it"), by)
            return refused

        await self._journal.ask(ledger, RunChain(child, cancel))


def _read_state(child: str, state: ChainState | None, *, undone: bool) -> Answer:
    """What the chain's state means. `undone`: it is to be rolled back."""
    if state is None:
        return Answer(Outcome.NOT_FOUND)
    result = {"chain_id": child, "state": str(state)}
    if state not in CHAIN_ENDS:
        return Answer(Outcome.PENDING, result)
    wanted = ChainState.ROLLED_BACK if undone else ChainState.COMPLETED
    if state is wanted:
        return Answer(Outcome.APPROVED, result)
    return Answer(Outcome.DECLINED, result, f"chain_{state}")


def _read_plan(plan: Any) -> Definition:  # noqa: ANN401  # any JSON
    steps = tuple(read_step(row) for row in plan["steps"])
    return replace(read_definition({"type": "chain", **plan}), steps=steps)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
