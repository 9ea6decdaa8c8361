"""Waits: for a signal, or for a time; what came early is kept, and what is late is decided once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catena.chains.books import Books
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family, Step
from catena.chains.history import Failure
from catena.chains.outcomes import fail_step, finish_step, park
from catena.chains.states import StepState

__all__ = ["awaits", "begin_wait", "deliver_signals", "expire_wait", "find_wait", "signal_of"]


def begin_wait(chain: Chain, books: Books, wait: StepRun, inputs: Mapping[str, Any]) -> None:
    """Wait from now on; a signal that is there already ends it at once.

    With a correlation, what came for it before is a signal too: who keeps the inbox delivers it.
    """
    seconds, correlation = inputs.get("seconds"), inputs.get("correlation")
    chain.note(books.now, wait.name, StepState.EXECUTING)
    told = {"seconds": seconds, "correlation": correlation}
    chain.note(books.now, wait.name, StepState.WAITING, **told)
    deliver_signals(chain, books)


def signal_of(step: Step) -> str | None:
    """The signal that a wait waits for: the one it names, else its own name; None for a time."""
    if "seconds" in step.inputs:
        return None
    name: str = step.inputs.get("signal") or step.name
    return name


def find_wait(chain: Chain, correlation: str) -> StepRun | None:
    """The step that waits for a message of this correlation."""
    for step in chain.steps.values():
        if step.state is StepState.WAITING and step.correlation == correlation:
            return step
    return None


def awaits(chain: Chain, signal: str) -> bool:
    """Whether a step waits for this signal now."""
    return any(
        step.definition.family is Family.WAIT
        and step.state is StepState.WAITING
        and signal_of(step.definition) == signal
        for step in chain.steps.values()
    )


def deliver_signals(chain: Chain, books: Books) -> None:
    """Give each signal that is kept to the wait that it is for; the first one to the first."""
    for step in chain.steps.values():
        if step.definition.family is Family.WAIT and step.state is StepState.WAITING:
            wanted = signal_of(step.definition)
            for name, payload in chain.signals:
                if name == wanted:
                    finish_step(chain, books, step, {"payload": payload}, signal=name)
                    break


def expire_wait(chain: Chain, books: Books, wait: StepRun) -> None:
    """What the clock says to a wait: its time has come, or it has waited too long."""
    now, step = books.now, wait.definition
    if wait.due_at is not None and wait.due_at <= now:
        finish_step(chain, books, wait, {"payload": None})
    elif wait.deadline is not None and wait.deadline <= now:
        failure = Failure("wait_timed_out", step=wait.name)
        if step.goes_on:
            finish_step(chain, books, wait, {"payload": None}, why="timed_out")
        elif chain.pivot_is_past:
            park(chain, books, wait, failure)
        else:
            fail_step(chain, books, wait, failure)
