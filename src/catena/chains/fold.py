"""What each event does to a chain: its history, folded, is its state.

Invariant: every transition is one of `states`. What an event does to liens happens when the machine
decides it (`liens.pool`), and again when the event is read back (`replay_event`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.chains.definition import Family, read_definition, read_step
from catena.chains.history import Event, Failure, IllegalMove
from catena.chains.states import CHAIN_ENDS, ChainState, StepState, may_follow
from catena.ids import ENTRY, id_beside
from catena.liens.liens import Lien, LienKind, LienState
from catena.liens.pool import Draw

if TYPE_CHECKING:
    from catena.chains.chain import Chain, StepRun

__all__ = ["apply_event", "replay_event"]


class Told(NamedTuple):
    """What an event says, when it was committed, and under which id; None while it is not."""

    data: Mapping[str, Any]
    at: dt.datetime
    id: str | None

    def after(self, seconds: float | None) -> dt.datetime | None:
        """The moment that is so many seconds after the commit."""
        return None if seconds is None else self.at + dt.timedelta(seconds=seconds)

    def due(self) -> dt.datetime | None:
        """The moment that the event names; None where it names none."""
        return self.after(self.data.get("seconds"))

    def entry(self) -> str | None:
        """The id of the entry that was posted beside the event."""
        distance = self.data.get("entry")
        return None if distance is None or self.id is None else id_beside(ENTRY, self.id, distance)


def apply_event(chain: Chain, event: Event, at: dt.datetime, id: str | None) -> None:
    """What happened becomes the chain's state. Raises IllegalMove."""
    told = Told(event.data, at, id)
    chain.number += 1
    if event.step:
        run = chain.steps[event.step]
        after = _STEP_STATES.get(event.to)
        if after is not None:
            _check(run.state, after, chain, run)
            run.state, run.called, run.due_at = after, False, None
        _STEP_EVENTS[event.to](chain, run, told)
    else:
        state = _CHAIN_STATES.get(event.to)
        if state is not None and chain.number > 1:
            _check(chain.state, state, chain)
            chain.state = state
        _CHAIN_EVENTS[event.to](chain, told)
    chain.updated_at = at


def _check(
    before: ChainState | StepState,
    after: ChainState | StepState,
    chain: Chain,
    run: StepRun | None = None,
) -> None:
    if not may_follow(before, after):
        where = chain.id if run is None else f"{chain.id}, {run.name}"
        raise IllegalMove(f"{where}: {before} to {after}")


# --- what happens to the chain ----------------------------------------------------------------


def _create(chain: Chain, told: Told) -> None:
    chain.created_at = told.at
    chain.definition = read_definition(told.data)
    _append(chain, told)


def _append(chain: Chain, told: Told) -> None:
    for row in told.data["steps"]:
        chain.add_step(read_step(row))


def _execute(chain: Chain, told: Told) -> None:
    """It begins, or a hold is over: then its deadlines move by the length of the hold."""
    if chain.held_at is None:
        chain.expires_at = told.after(chain.definition.timeout_seconds)
        return
    length = told.at - chain.held_at
    if chain.expires_at is not None:
        chain.expires_at += length
    for run in chain.steps.values():
        if run.deadline is not None:
            run.deadline += length
        # A partner was asked, and a refused call backed off, while the chain was held.
        if run.due_at is not None and run.definition.family is Family.WAIT:
            run.due_at += length
    for lien in chain.pool.liens.values():
        if lien.expires_at is not None:
            lien.expires_at += length
    _end_hold(chain)


def _hold(chain: Chain, told: Told) -> None:
    chain.held_at = told.at
    chain.held_until = told.due()
    chain.hold = told.data
    chain.holds += 1


def _end_hold(chain: Chain) -> None:
    chain.held_at = chain.held_until = None
    chain.hold = {}


def _fail(chain: Chain, told: Told) -> None:
    _end_hold(chain)
    _record_failure(chain, told)
    chain.failure, chain.pending_failure = chain.pending_failure, None


def _complete(chain: Chain, told: Told) -> None:
    chain.ended_at = told.at


def _roll_back(chain: Chain, told: Told) -> None:
    chain.ended_at = told.at
    if told.data:
        chain.failure = Failure.read(told.data)


def _record_failure(chain: Chain, told: Told) -> None:
    chain.pending_failure = Failure.read(told.data)
    for run in chain.steps.values():
        if run.state is StepState.WAITING and run.is_out:
            run.due_at = told.at  # the partner is asked to cancel


def _void_failure(chain: Chain, told: Told) -> None:
    del told
    chain.pending_failure = None


def _keep_signal(chain: Chain, told: Told) -> None:
    chain.signals.append((told.data["name"], told.data.get("payload")))


def _only_tell(chain: Chain, told: Told) -> None:
    """The event changes nothing but what `apply_event` or `replay_event` does."""


_CHAIN_EVENTS: Final[Mapping[str, Callable[[Chain, Told], None]]] = {
    ChainState.CREATED: _create,
    ChainState.VALIDATED: _only_tell,
    ChainState.EXECUTING: _execute,
    ChainState.HELD: _hold,
    ChainState.COMPLETED: _complete,
    ChainState.FAILED: _fail,
    ChainState.ROLLING_BACK: _only_tell,
    ChainState.ROLLED_BACK: _roll_back,
    "appended": _append,
    "failure_recorded": _record_failure,
    "failure_voided": _void_failure,
    "signal": _keep_signal,
    "lien_expired": _only_tell,
}
"""What happens to a chain, by state or note."""


# --- what happens to a step -------------------------------------------------------------------


def _start_step(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    if "attempt" in told.data:
        run.attempt = told.data["attempt"]
        if run.attempt == run.since:
            run.first_at = told.at
        run.called = True
        run.over_at = told.due()
    run.inputs = told.data.get("inputs", run.inputs)
    if run.deadline is None:
        run.deadline = told.after(run.definition.timeout_seconds)


def _wait(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.tries = run.unheard = 0
    run.parked = False
    run.accepted = True
    run.due_at = told.due()
    run.result = told.data.get("result", run.result)
    run.correlation = told.data.get("correlation")


def _lose(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.tries = run.unheard = 0
    run.parked = False
    run.failure = Failure.read(told.data)
    run.due_at = told.due()


def _lose_undo(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.tries = run.unheard = 0
    run.parked = False
    run.undo_failure = Failure.read(told.data)
    run.due_at = told.due()


def _put_off(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    if "round" in told.data:
        run.round = told.data["round"]
        run.since = run.attempt + 1
        run.accepted = False
    run.failure = Failure.read(told.data)
    run.due_at = told.due()
    run.parked = told.data.get("parked", False)


def _complete_step(chain: Chain, run: StepRun, told: Told) -> None:
    data = told.data
    run.seq = chain.seq = data["seq"]
    run.result = data.get("result", {})
    run.failure = None
    run.parked = False
    run.entry = told.entry()
    run.draws = [Draw(*draw) for draw in data.get("draws", ())]
    run.proceeds = [row[0] for row in data.get("liens", ()) if row[2] == LienKind.PROCEEDS]
    run.lien = data.get("lien")
    if "signal" in data:
        names = [name for name, _ in chain.signals]
        del chain.signals[names.index(data["signal"])]
    if "extended" in data:
        lien, later = chain.pool.liens[data["lien"]], told.after(data["extended"])
        # What expires later than that goes on to, and what never does never will.
        if lien.expires_at is not None and later is not None:
            lien.expires_at = max(lien.expires_at, later)


def _fail_step(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.failure = Failure.read(told.data)
    run.parked = False


def _skip(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.parked = False
    run.dropped = "by" not in told.data and told.data.get("why") in _DROPPED


_DROPPED: Final = frozenset({"chain_failed", "chain_cancelled", "run_refused"})
"""Why a step is skipped that its condition or an operator would not have."""


def _compensate(chain: Chain, run: StepRun, told: Told) -> None:
    if "attempt" in told.data:
        _ask_undo(chain, run, told)
    elif "seconds" in told.data:
        _refuse_undo(chain, run, told)


def _finish_undo(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.undo_failure = None
    run.parked = False
    run.undone_by = told.entry()


def _ask_undo(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.undo_attempt = told.data["attempt"]
    if run.undo_attempt == run.undo_since:
        run.undo_first_at = told.at
    run.called = True
    run.due_at = None
    run.over_at = told.due()


def _refuse_undo(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.called = False
    if "round" in told.data:
        run.undo_round = told.data["round"]
        run.undo_since = run.undo_attempt + 1
    run.undo_failure = Failure.read(told.data)
    run.parked = told.data.get("parked", False)
    run.due_at = None if run.parked else told.due()


def _stay_open(chain: Chain, run: StepRun, told: Told) -> None:
    """The partner was asked and has not decided, or what it said told nothing."""
    del chain
    run.tries += 1
    run.unheard = told.data.get("unheard", 0)
    run.parked = told.data.get("parked", False)
    if run.parked and run.state is StepState.COMPENSATION_UNKNOWN:
        run.undo_failure = Failure.read(told.data)
    elif run.parked:
        run.failure = Failure.read(told.data)
    run.due_at = told.due()


def _hurry(chain: Chain, run: StepRun, told: Told) -> None:
    """Its partner has something to say: it is asked at once, and often from then on."""
    del chain
    run.due_at = told.at
    run.tries = 0


def _unpark(chain: Chain, run: StepRun, told: Told) -> None:
    del chain
    run.parked = False
    run.due_at = told.at
    if run.state is StepState.PENDING:
        run.deadline = None
    run.tries = run.unheard = 0


_STEP_EVENTS: Final[Mapping[str, Callable[[Chain, StepRun, Told], None]]] = {
    StepState.PENDING: _put_off,
    StepState.EXECUTING: _start_step,
    StepState.WAITING: _wait,
    StepState.UNKNOWN: _lose,
    StepState.COMPLETED: _complete_step,
    StepState.FAILED: _fail_step,
    StepState.SKIPPED: _skip,
    StepState.COMPENSATING: _compensate,
    StepState.COMPENSATION_UNKNOWN: _lose_undo,
    StepState.COMPENSATED: _finish_undo,
    "asked": _ask_undo,
    "undo_refused": _refuse_undo,
    "still_open": _stay_open,
    "hurried": _hurry,
    "unparked": _unpark,
}
"""What happens to a step, by state or note."""

_STEP_STATES: Final[Mapping[str, StepState]] = {state: state for state in StepState}
_CHAIN_STATES: Final[Mapping[str, ChainState]] = {state: state for state in ChainState}


# --- what events do to liens, when they are read back -----------------------------------------


def replay_event(chain: Chain, event: Event, at: dt.datetime) -> None:
    """What the event did to the chain's liens when it was decided."""
    liens, data = chain.pool.liens, event.data
    if event.step:
        run = chain.steps[event.step]
        if event.to == StepState.COMPLETED:
            _replay_step(chain, run, data, at)
        elif event.to == StepState.COMPENSATED:
            _replay_undo(chain, run)
    elif event.to in CHAIN_ENDS:
        for lien in liens.values():
            lien.end()
    elif event.to == "lien_expired":
        liens[data["lien"]].end(LienState.EXPIRED)


def _replay_step(chain: Chain, run: StepRun, data: Mapping[str, Any], at: dt.datetime) -> None:
    liens = chain.pool.liens
    for draw in run.draws:
        liens[draw.lien].draw(draw.amount)
    for row in data.get("liens", ()):
        lien = _read_lien(row, chain.id, run.name, at)
        lien.activate()
        chain.pool.add(lien)
    if run.definition.type == "lien.release":
        liens[data["lien"]].end()


def _read_lien(row: Sequence[Any], chain: str, step: str, at: dt.datetime) -> Lien:
    id, account, kind, amount, seconds = row
    expires_at = None if seconds is None else at + dt.timedelta(seconds=seconds)
    return Lien(id, chain, step, account, LienKind(kind), amount, expires_at)


def _replay_undo(chain: Chain, run: StepRun) -> None:
    liens = chain.pool.liens
    for id in run.proceeds:
        liens[id].take_back()
    if run.lien is not None:
        liens[run.lien].end()
    for draw in reversed(run.draws):
        liens[draw.lien].refill(draw.amount)
