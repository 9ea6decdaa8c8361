"""Folds a chain's history anew, event by event, and notes what must not be in it.

Invariant: judges each event by the chain as it stood before it; whatever a broken history holds, it
never raises. What the rows beside the history must be is said in `verify_chains`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family, Step
from catena.chains.expiry import may_expire
from catena.chains.fold import apply_event, replay_event
from catena.chains.history import Event
from catena.chains.states import ChainState, StepState
from catena.ids import EVENT, LIEN, POSITION_MAX, derive_within
from catena.liens.liens import Lien, LienKind, LienState

__all__ = ["Commit", "Fold", "Wrong", "declared_liens", "fold_history"]


class Commit(NamedTuple):
    """An event of the ledger that tells of a chain, as it is stored."""

    position: int
    id: str
    at: dt.datetime
    type: str
    data: str


class Wrong(NamedTuple):
    """Something that must not be: which claim it breaks, at which of the chain's events."""

    check: str
    number: int
    position: int
    expected: str
    found: str


class _Broken(Exception):
    """From here on the history says nothing."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found


class Fold:
    """A chain as far as its history could be folded.

    `seen`: the liens that were open or declared at the end of a commit, and since when.
    `is_whole`: the history was folded to its end.
    """

    def __init__(self, id: str) -> None:
        self.chain = Chain(id)
        self.seen: dict[str, dt.datetime] = {}
        self.wrong: list[Wrong] = []
        self.is_whole = True
        self._position = 0

    def note(self, check: str, expected: str, found: str) -> None:
        """A claim does not hold, at the event that comes next."""
        number = self.chain.number + 1
        self.wrong.append(Wrong(check, number, self._position, expected, found))

    def break_off(self, commit: Commit, expected: str, found: str) -> None:
        """Note why the history cannot be folded any further."""
        self.is_whole = False
        self._position = commit.position
        self.note("chain_history", expected, found)

    def take(self, commit: Commit) -> None:
        """Fold what one event of the ledger tells."""
        chain, self._position = self.chain, commit.position
        data = json.loads(commit.data)
        first, events = data["first"], [Event(*event) for event in data["events"]]
        if first != chain.number + 1:
            raise _Broken(f"event {chain.number + 1}", f"{first}")
        if not events:
            raise _Broken("what happened", "nothing")
        for event in events:
            _judge(self, event)
            apply_event(chain, event, commit.at, EVENT + commit.id)
            replay_event(chain, event, commit.at)
        if commit.type != f"chain.{chain.state}":
            told = f"an event chain.{chain.state}"
            self.wrong.append(
                Wrong("chain_history", chain.number, commit.position, told, commit.type)
            )

    def see_liens(self, at: dt.datetime) -> None:
        """A commit has ended: what is open now has a row from then on."""
        for lien in (*self.chain.pool.liens.values(), *declared_liens(self.chain)):
            if lien.is_open or lien.state is LienState.CREATED:
                self.seen.setdefault(lien.id, at)


def fold_history(id: str, commits: Sequence[Commit]) -> Fold:
    """Fold it as far as it goes; several of its events may have been committed together."""
    fold = Fold(id)
    before: Commit | None = None
    for commit in commits:
        if before is not None and _batch_of(before) != _batch_of(commit):
            fold.see_liens(before.at)
        try:
            fold.take(commit)
        except _Broken as broken:
            fold.break_off(commit, broken.expected, broken.found)
            return fold
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it is what is looked for
            fold.break_off(commit, "what can be folded", f"{type(error).__name__}: {error}")
            return fold
        before = commit
    if before is not None:
        fold.see_liens(before.at)
    return fold


def _batch_of(commit: Commit) -> int:
    """What the ids of one commit of the database share: all but the position."""
    return int(commit.id, 16) // (POSITION_MAX + 1)


def declared_liens(chain: Chain) -> Iterator[Lien]:
    """The liens of a chain that was opened which are declared, and not yet reserved."""
    if not chain.definition.open:
        return
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


# --- what may happen when ----------------------------------------------------------------------


def _judge(fold: Fold, event: Event) -> None:
    chain = fold.chain
    if chain.is_ended:
        fold.note("chain_history", "nothing after its end", _name(event))
    if chain.number == 0 and (event.step or event.to != ChainState.CREATED):
        raise _Broken("created first", _name(event))
    if event.step:
        run = chain.steps[event.step]
        _judge_call(fold, run, event)
        judge_step = _STEP_JUDGES.get(event.to)
        if judge_step is not None:
            judge_step(fold, run, event.data)
    else:
        judge_chain = _CHAIN_JUDGES.get(event.to)
        if judge_chain is not None:
            judge_chain(fold, event.data)


def _name(event: Event) -> str:
    return f"{event.step or 'the chain'} {event.to}"


def _posts(step: Step) -> bool:
    """Whether undoing it is a matter of the books."""
    return step.family is Family.LEDGER or step.type == "lien.reserve"


def _judge_call(fold: Fold, run: StepRun, event: Event) -> None:
    """A call is made while the chain may make it, and counts one more (I7, I12)."""
    data, undoes = event.data, event.to not in (StepState.EXECUTING, StepState.PENDING)
    if "attempt" in data:
        attempt, state = data["attempt"], fold.chain.state
        wanted = ChainState.ROLLING_BACK if undoes else ChainState.EXECUTING
        following = (run.undo_attempt if undoes else run.attempt) + 1
        if attempt != following or state is not wanted:
            expected = f"{run.name}: attempt {following} while {wanted}"
            fold.note("chain_calls", expected, f"attempt {attempt} while {state}")
    if "round" in data:
        following = (run.undo_round if undoes else run.round) + 1
        if data["round"] != following:
            fold.note("chain_calls", f"{run.name}: round {following}", f"round {data['round']}")


def _judge_completed(fold: Fold, run: StepRun, data: Mapping[str, Any]) -> None:
    chain, step = fold.chain, run.definition
    if data["seq"] != chain.seq + 1:
        expected = f"{run.name} as number {chain.seq + 1} of the commit sequence"
        fold.note("chain_order", expected, f"{data['seq']}")
    if step.family in _OF_BOOKS and chain.state is not ChainState.EXECUTING:
        fold.note("chain_calls", f"{run.name} done while executing", f"{chain.state}")
    _judge_entry(fold, run, data)
    if step.type == "lien.reserve":
        ids = [row[0] for row in data.get("liens", ())]
        if ids != [data.get("lien")]:
            fold.note("chain_draws", f"{run.name}: its lien, {data.get('lien')}", f"{ids}")
    _judge_draws(fold, run, data)


_OF_BOOKS: Final = (Family.LEDGER, Family.LIEN)


def _judge_entry(fold: Fold, run: StepRun, data: Mapping[str, Any]) -> None:
    """A step that posts says how far behind the event its entry stands; no other does."""
    entry = data.get("entry")
    if run.definition.family is not Family.LEDGER:
        if entry is not None:
            fold.note("chain_history", f"{run.name}: no entry", f"{entry}")
    elif type(entry) is not int or entry < 1:
        fold.note("chain_history", f"{run.name}: an entry after the event", f"{entry}")


def _judge_draws(fold: Fold, run: StepRun, data: Mapping[str, Any]) -> None:
    """What is drawn was there; what is made is new; what ends early is a reservation."""
    liens, step = fold.chain.pool.liens, run.definition
    drawn: dict[str, int] = {}
    for id, amount in data.get("draws", ()):
        lien = liens.get(id)
        there = lien.remaining - drawn.get(id, 0) if lien is not None and lien.is_open else 0
        if not 0 < amount <= there:
            fold.note("chain_draws", f"{run.name} draws 1 to {there} on {id}", f"{amount}")
        drawn[id] = drawn.get(id, 0) + amount
    for id, _, kind, amount, _ in data.get("liens", ()):
        wanted = LienKind.PROCEEDS if step.family is Family.LEDGER else LienKind.RESERVE
        if id in liens or amount < 1 or kind != wanted:
            told = f"{kind} of {amount}, {id}"
            fold.note("chain_draws", f"{run.name} makes a new lien of {wanted}", told)
    if step.type in ("lien.extend", "lien.release"):
        lien = liens[data["lien"]]
        if not lien.may_end_early:
            told = f"{lien.kind}, {lien.state}"
            fold.note("chain_draws", f"{run.name} is of an open reservation", told)


def _judge_compensating(fold: Fold, run: StepRun, data: Mapping[str, Any]) -> None:
    del data
    chain = fold.chain
    if chain.pivot_is_past:
        fold.note("chain_pivot", "only forward", f"{run.name} is undone")
    if chain.state is not ChainState.ROLLING_BACK:
        fold.note("chain_order", f"{run.name} undone while rolling back", f"{chain.state}")


def _judge_compensated(fold: Fold, run: StepRun, data: Mapping[str, Any]) -> None:
    if not _posts(run.definition):
        return
    later = [r.name for r in fold.chain.committed() if _posts(r.definition) and r.seq > run.seq]
    if later:
        fold.note("chain_order", f"{', '.join(later)} undone before", f"{run.name} is undone")
    _judge_entry(fold, run, data)


def _judge_steps(fold: Fold, data: Mapping[str, Any]) -> None:
    names = [*fold.chain.steps, *(row["name"] for row in data["steps"])]
    if len({*names}) < len(names):
        raise _Broken("each step once", ", ".join(names))
    pivots = [row["name"] for row in data["steps"] if row.get("pivot")]
    if fold.chain.pivot is not None:
        pivots.insert(0, fold.chain.pivot.name)
    if len(pivots) > 1:
        fold.note("chain_pivot", "one pivot at most", ", ".join(pivots))


def _judge_failed(fold: Fold, data: Mapping[str, Any]) -> None:
    del data
    if fold.chain.pivot_is_past or fold.chain.pivot_is_out:
        fold.note("chain_pivot", "no failure from the pivot's dispatch on", "failed")


def _judge_rolling_back(fold: Fold, data: Mapping[str, Any]) -> None:
    del data
    out = [run.name for run in fold.chain.steps.values() if run.is_out]
    if out:
        fold.note("chain_order", "nothing undone while a call is out", ", ".join(out))


def _judge_chain_completed(fold: Fold, data: Mapping[str, Any]) -> None:
    del data
    left = [run.name for run in fold.chain.steps.values() if not run.is_done]
    if left:
        fold.note("chain_ends", "every step completed or skipped", ", ".join(left))


def _judge_rolled_back(fold: Fold, data: Mapping[str, Any]) -> None:
    del data
    left = [run.name for run in fold.chain.committed() if _needs_undo(run.definition)]
    if left:
        fold.note("chain_ends", "every step undone", ", ".join(left))


def _needs_undo(step: Step) -> bool:
    return _posts(step) or step.compensation not in (None, {"type": "none"})


def _judge_expiry(fold: Fold, data: Mapping[str, Any]) -> None:
    lien = fold.chain.pool.liens[data["lien"]]
    if not may_expire(fold.chain, lien):
        told = f"{lien.kind}, {lien.state}, of a chain that is {fold.chain.state}"
        fold.note("chain_draws", "a lien that may expire", told)


_STEP_JUDGES: Final[Mapping[str, Callable[[Fold, StepRun, Mapping[str, Any]], None]]] = {
    StepState.COMPLETED: _judge_completed,
    StepState.COMPENSATING: _judge_compensating,
    StepState.COMPENSATED: _judge_compensated,
}

_CHAIN_JUDGES: Final[Mapping[str, Callable[[Fold, Mapping[str, Any]], None]]] = {
    ChainState.CREATED: _judge_steps,
    "appended": _judge_steps,
    ChainState.FAILED: _judge_failed,
    ChainState.ROLLING_BACK: _judge_rolling_back,
    ChainState.COMPLETED: _judge_chain_completed,
    ChainState.ROLLED_BACK: _judge_rolled_back,
    "lien_expired": _judge_expiry,
}
