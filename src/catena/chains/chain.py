"""A chain and its steps as their history has made them.

Invariant: nothing changes a chain but an event (`note`), and every event is one of `fold`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from catena.chains.definition import Definition, Family, Need, Step
from catena.chains.fold import apply_event, replay_event
from catena.chains.history import Event, Failure, IllegalMove, Record
from catena.chains.states import CHAIN_ENDS, ChainState, StepState
from catena.ids import ENTRY, id_beside
from catena.liens.pool import Draw, Pool

__all__ = ["Chain", "StepRun"]

_OUT: Final = frozenset({StepState.EXECUTING, StepState.WAITING, StepState.UNKNOWN})
_DONE: Final = frozenset({StepState.COMPLETED, StepState.SKIPPED})
_COMMITTED: Final = frozenset(
    {StepState.COMPLETED, StepState.COMPENSATING, StepState.COMPENSATION_UNKNOWN}
)


@dataclass(slots=True, eq=False)
class StepRun:
    """A step, and what has become of it. Times are the database's.

    `attempt` counts calls, `round` the keys under which they were made, `since` is the first
    call of this round, made at `first_at`; `undo_since` and `undo_first_at` are the undo's.
    `dropped`: it was skipped because the chain failed. `called`: a call is out, or its maker is
    gone; it is over at `over_at`.
    `due_at`: when it is tried or asked again; `tries` counts how often it was asked, `unheard`
    how often in a row that told nothing. `parked`: it waits for an operator. `accepted`: the
    partner has taken this round's call. `inputs`: what its expressions gave. `entry`: the id of
    the entry that it posted; `undone_by` that of the reversal. `lien`: the one that it made,
    extended or released; `proceeds` those that its credits made. `seq`: its number in the
    chain's commit sequence, from 1.
    """

    definition: Step
    state: StepState = StepState.PENDING
    attempt: int = 0
    round: int = 1
    since: int = 1
    undo_attempt: int = 0
    undo_round: int = 1
    undo_since: int = 1
    tries: int = 0
    unheard: int = 0
    called: bool = False
    accepted: bool = False
    parked: bool = False
    due_at: dt.datetime | None = None
    over_at: dt.datetime | None = None
    first_at: dt.datetime | None = None
    undo_first_at: dt.datetime | None = None
    deadline: dt.datetime | None = None
    inputs: Mapping[str, Any] | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    undo_failure: Failure | None = None
    dropped: bool = False
    seq: int = 0
    entry: str | None = None
    undone_by: str | None = None
    draws: Sequence[Draw] = ()
    proceeds: Sequence[str] = ()
    lien: str | None = None
    correlation: str | None = None

    @property
    def name(self) -> str:
        """Its name within the chain."""
        return self.definition.name

    @property
    def is_done(self) -> bool:
        """Whether what depends on it may go on."""
        return self.state in _DONE

    @property
    def is_accepted(self) -> bool:
        """Whether the partner has taken it, if not more."""
        return self.is_done or (self.state is StepState.WAITING and self.is_out)

    @property
    def is_out(self) -> bool:
        """Whether a partner may be acting, so that nothing may be undone."""
        return self.state in _OUT and self.definition.family is Family.OUTSIDE


_CHAIN_MOMENTS: Final = (
    "created_at",
    "updated_at",
    "ended_at",
    "expires_at",
    "held_at",
    "held_until",
)
_STEP_MOMENTS: Final = ("due_at", "over_at", "first_at", "undo_first_at", "deadline")


class Chain:
    """A chain as its history has made it. `new`: events that are decided and not committed.

    `number`: of its last event, gapless. `seq`: of the last step that committed. `pending_failure`:
    what takes effect when the pivot is refused. `signals` are kept until a wait takes them.
    `holds`: how often it was held.
    """

    def __init__(self, id: str, history: Sequence[Record] = ()) -> None:
        self.id = id
        self.history = list(history)
        self._fold()

    def _fold(self) -> None:
        self.new: list[Event] = []
        self.state = ChainState.CREATED
        self.number = 0
        self.seq = 0
        self.definition = Definition(())
        self.steps: dict[str, StepRun] = {}
        self.pool = Pool()
        self.created_at: dt.datetime  # set by the first event, as the next is
        self.updated_at: dt.datetime
        self.ended_at: dt.datetime | None = None
        self.expires_at: dt.datetime | None = None
        self.held_at: dt.datetime | None = None
        self.held_until: dt.datetime | None = None
        self.hold: Mapping[str, Any] = {}
        self.holds = 0
        self.failure: Failure | None = None
        self.pending_failure: Failure | None = None
        self.signals: list[tuple[str, Any]] = []
        self.pivot: StepRun | None = None
        for record in self.history:
            if record.first != self.number + 1:
                raise IllegalMove(
                    f"event {record.first} of {self.id} does not follow {self.number}"
                )
            for event in record.events:
                apply_event(self, event, record.at, record.id)
                replay_event(self, event, record.at)

    def add_step(self, step: Step) -> None:
        """A step of its definition, or one that is appended."""
        run = self.steps[step.name] = StepRun(step)
        if step.pivot:
            self.pivot = run

    def place(self, steps: Sequence[Step]) -> Sequence[Step]:
        """The steps as they are appended: once the pivot was dispatched, they come after it."""
        pivot = self.pivot
        if pivot is None or not (self.pivot_is_out or self.pivot_is_past):
            return steps
        need = Need(pivot.name)
        return [replace(step, needs=(*step.needs, need)) for step in steps]

    # --- deciding ------------------------------------------------------------------------------

    def note(self, at: dt.datetime, step: str, to: str, /, **data: Any) -> None:  # noqa: ANN401  # any JSON
        """Decide an event: it happens, and waits to be committed. None is left out."""
        event = Event(step, to, {name: value for name, value in data.items() if value is not None})
        apply_event(self, event, at, None)
        self.new.append(event)

    def rewind(self, count: int, at: dt.datetime) -> None:
        """Drop all but the first `count` events that are not committed."""
        kept = self.new[:count]
        self._fold()
        for event in kept:
            apply_event(self, event, at, None)
            replay_event(self, event, at)
            self.new.append(event)

    def commit(self, at: dt.datetime, id: str) -> Self:
        """The chain as it is read back once what is new is committed."""
        record = Record(at, id, self.number - len(self.new) + 1, tuple(self.new))
        return type(self)(self.id, [*self.history, record])

    def settle(self, decided_at: dt.datetime, at: dt.datetime, id: str) -> None:
        """Be what `commit` gives, for a chain whose whole history is new: at a third of the cost.

        All its times were counted from when it was decided, and move to when it was committed.
        """
        if not self.new:
            return  # it is that already
        late = at - decided_at
        _move(self, _CHAIN_MOMENTS, late)
        for run in self.steps.values():
            _move(run, _STEP_MOMENTS, late)
        for lien in self.pool.liens.values():
            _move(lien, ("expires_at",), late)
        for event in self.new:
            distance = event.data.get("entry")
            if distance is not None:
                self.steps[event.step].entry = id_beside(ENTRY, id, distance)
        self.history = [Record(at, id, 1, tuple(self.new))]
        self.new = []

    # --- reading -------------------------------------------------------------------------------

    def count_done(self) -> int:
        """How many of its steps are done and stand; one that its condition skipped is done."""
        return sum(run.is_done and not run.dropped for run in self.steps.values())

    @property
    def is_ended(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in CHAIN_ENDS

    @property
    def pivot_is_out(self) -> bool:
        """Whether the pivot is dispatched and not decided: until then the chain cannot fail."""
        return self.pivot is not None and self.pivot.is_out

    @property
    def pivot_is_past(self) -> bool:
        """Whether the pivot is done, so that the chain only goes forward."""
        return self.pivot is not None and self.pivot.state is StepState.COMPLETED

    def meets(self, needs: Iterable[Need]) -> bool:
        """Whether all of these are done, or accepted where that is enough."""
        for need in needs:
            step = self.steps[need.step]
            if not (step.is_accepted if need.accepted else step.is_done):
                return False
        return True

    def committed(self) -> Sequence[StepRun]:
        """The steps that are committed and not undone, the last one first."""
        done = (run for run in self.steps.values() if run.state in _COMMITTED)
        return sorted(done, key=lambda run: -run.seq)

    def parked(self) -> Iterator[StepRun]:
        """The steps that wait for an operator."""
        return (run for run in self.steps.values() if run.parked)


def _move(holder: object, moments: Iterable[str], late: dt.timedelta) -> None:
    """Move the times that it holds."""
    for name in moments:
        moment = getattr(holder, name)
        if moment is not None:
            setattr(holder, name, moment + late)
