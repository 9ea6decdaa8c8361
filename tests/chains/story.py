"""One chain and its books, told step by step: each act is a commit, and is read back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from catena.chains import answers, calls, machine
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Step
from catena.chains.history import Event, Failure
from catena.chains.step_types import Answer, Call, Direction, Outcome
from catena.chains.validator import find_flaws
from tests.chains.books import LEDGER, MemoryBooks, wallet
from tests.chains.checks import describe
from tests.chains.shapes import CATALOGUE, A, B

__all__ = [
    "APPROVED",
    "CANCEL",
    "DECLINED",
    "FORWARD",
    "LATER",
    "LOOK_UP",
    "LOST",
    "NOT_FOUND",
    "PENDING",
    "UNDO",
    "Story",
    "roll_back",
]

FORWARD: Final = Direction.FORWARD
LOOK_UP: Final = Direction.LOOK_UP
CANCEL: Final = Direction.CANCEL
UNDO: Final = Direction.UNDO

APPROVED: Final = Answer(Outcome.APPROVED, {"amount": 2})
DECLINED: Final = Answer(Outcome.DECLINED, code="no", detail="because")
LATER: Final = Answer(Outcome.DECLINED, code="busy", permanent=False)
LOST: Final = Answer(Outcome.UNKNOWN)
NOT_FOUND: Final = Answer(Outcome.NOT_FOUND)
PENDING: Final = Answer(Outcome.PENDING, {"amount": 1})


class Story:
    """A chain on two wallets, A with 10 cents and B with none."""

    def __init__(self, *steps: Step, check: bool = True, **rest: Any) -> None:  # noqa: ANN401  # what else a Definition has
        self.books = MemoryBooks({A: wallet(A, 10), B: wallet(B)}, CATALOGUE)
        self.chain = Chain("cte_" + "c" * 32)
        if check:
            assert find_flaws(steps, CATALOGUE, LEDGER) == []
        definition = Definition(steps, **rest)
        self.do(machine.create, definition, "ada")
        if not definition.open:
            self.do(machine.start, "ada")

    def do(
        self,
        act: Callable[..., Any],
        /,
        *told: Any,  # noqa: ANN401  # what the act is told
        **named: Any,  # noqa: ANN401  # as above
    ) -> Any:  # noqa: ANN401  # what it gives
        """One commit; gives what the act gives."""
        self.books.begin()
        value = act(self.chain, self.books, *told, **named)
        decided = describe(self.chain)
        self.chain = self.books.commit(self.chain)
        assert describe(self.chain) == decided
        return value

    def wait(self, seconds: float) -> Story:
        """Let time pass, and let the clock speak."""
        self.books.now += dt.timedelta(seconds=seconds)
        self.do(machine.run)
        return self

    def begin(self, step: str) -> Call:
        """Take the call that is due."""
        call = self.do(calls.begin, step)
        assert isinstance(call, Call)
        return call

    def call(self, step: str, found: Answer = APPROVED) -> Call:
        """Take the call that is due, and have it answered."""
        call = self.begin(step)
        assert self.answer(call, found)
        return call

    def answer(self, call: Call, found: Answer) -> bool:
        """Answer a call."""
        return bool(self.do(answers.answer, call.step, call.direction, call.attempt, found))

    def due(self) -> Mapping[str, Direction]:
        """The calls that are due, now or later."""
        found = calls.due_calls(self.chain, self.books.now, CATALOGUE)
        return {due.step: due.direction for due in found}

    def timer(self) -> float | None:
        """Seconds until the clock has something to say."""
        moment = calls.due_timer(self.chain)
        return None if moment is None else (moment - self.books.now).total_seconds()

    @property
    def state(self) -> str:
        """What the chain is doing."""
        return str(self.chain.state)

    def states(self) -> dict[str, str]:
        """What each step is doing."""
        return {name: str(run.state) for name, run in self.chain.steps.items()}

    def money(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What A and B have posted and reserved."""
        a, b = self.books.accounts[A], self.books.accounts[B]
        return (a.posted, a.reserved), (b.posted, b.reserved)

    def events(self) -> Sequence[Event]:
        """Everything that has happened."""
        return [event for record in self.chain.history for event in record.events]


def roll_back(*steps: Step) -> Story:
    """A chain whose outside steps were approved, and which is being rolled back."""
    story = Story(*steps)
    for step in steps:
        if step.type == "call":
            story.call(step.name)
    story.do(machine.cancel, Failure("cancelled"), None)
    assert story.state == "rolling_back"
    return story
