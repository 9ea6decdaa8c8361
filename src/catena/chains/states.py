"""The states of chains and steps, and every transition there is, as data.

The diagram in docs/reference/states.md is drawn from these tables, the database's constraints are
checked against them, and nothing else decides what may follow what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

__all__ = [
    "CHAIN_ENDS",
    "CHAIN_MOVES",
    "STEP_MOVES",
    "ChainState",
    "Move",
    "StepState",
    "may_follow",
    "render_states",
]


class ChainState(StrEnum):
    """What a chain is doing."""

    CREATED = "created"
    VALIDATED = "validated"
    EXECUTING = "executing"
    HELD = "held"
    COMPLETED = "completed"
    FAILED = "failed"
    """Nothing new is dispatched; calls that are out are waited for."""
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class StepState(StrEnum):
    """What a step is doing."""

    PENDING = "pending"
    EXECUTING = "executing"
    WAITING = "waiting"
    """Accepted by the partner, its outcome open; or a wait that has not come."""
    UNKNOWN = "unknown"
    """The partner may or may not have acted."""
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    COMPENSATING = "compensating"
    COMPENSATION_UNKNOWN = "compensation_unknown"
    COMPENSATED = "compensated"


class Move(NamedTuple):
    """A transition, and when it happens."""

    before: str
    after: str
    when: str


_C, _S = ChainState, StepState

CHAIN_MOVES: Final = (
    Move(_C.CREATED, _C.VALIDATED, "started: its definition is whole"),
    Move(_C.VALIDATED, _C.EXECUTING, "its first run begins"),
    Move(_C.CREATED, _C.ROLLED_BACK, "cancelled before it was started"),
    Move(_C.VALIDATED, _C.ROLLED_BACK, "cancelled before it was started"),
    Move(_C.EXECUTING, _C.HELD, "held by an assessment, an operator or the API"),
    Move(_C.HELD, _C.EXECUTING, "resumed"),
    Move(_C.EXECUTING, _C.COMPLETED, "every step is completed or skipped"),
    Move(_C.EXECUTING, _C.FAILED, "a step failed for good, a time ran out, or it was cancelled"),
    Move(_C.HELD, _C.FAILED, "rejected or cancelled while held"),
    Move(_C.FAILED, _C.ROLLING_BACK, "no call is out and no outcome unknown"),
    Move(_C.ROLLING_BACK, _C.ROLLED_BACK, "everything is undone"),
)
"""Every transition of a chain."""

STEP_MOVES: Final = (
    Move(_S.PENDING, _S.EXECUTING, "dispatched: what it depends on is done"),
    Move(_S.PENDING, _S.SKIPPED, "its condition is false, its chain failed, or by an operator"),
    Move(_S.EXECUTING, _S.WAITING, "the partner has taken it, or a wait has begun"),
    Move(_S.EXECUTING, _S.UNKNOWN, "no answer: the partner may have acted"),
    Move(_S.EXECUTING, _S.COMPLETED, "done"),
    Move(_S.EXECUTING, _S.FAILED, "refused for good"),
    Move(_S.EXECUTING, _S.PENDING, "refused for now: it is tried again"),
    Move(_S.WAITING, _S.COMPLETED, "the outcome came, or what was waited for"),
    Move(_S.WAITING, _S.FAILED, "the outcome is a refusal for good, or the time ran out"),
    Move(_S.WAITING, _S.UNKNOWN, "the partner no longer knows"),
    Move(_S.WAITING, _S.PENDING, "the outcome is a refusal for now"),
    Move(_S.WAITING, _S.SKIPPED, "a wait whose chain failed"),
    Move(_S.UNKNOWN, _S.PENDING, "nothing was done: it is called again"),
    Move(_S.UNKNOWN, _S.WAITING, "the partner has taken it"),
    Move(_S.UNKNOWN, _S.COMPLETED, "it was done"),
    Move(_S.UNKNOWN, _S.FAILED, "it was refused for good, or nothing was done and all is undone"),
    Move(_S.COMPLETED, _S.COMPENSATING, "its chain is rolled back"),
    Move(_S.COMPENSATING, _S.COMPENSATION_UNKNOWN, "no answer: the undo may have been done"),
    Move(_S.COMPENSATION_UNKNOWN, _S.COMPENSATING, "it is known again, or tried again"),
    Move(_S.COMPENSATING, _S.COMPENSATED, "undone"),
)
"""Every transition of a step. A retried step keeps its round until a refusal is certain."""

CHAIN_ENDS: Final = frozenset({ChainState.COMPLETED, ChainState.ROLLED_BACK})
"""Terminal states absorb."""

_Kind = TypeVar("_Kind", ChainState, StepState)


def _index(kind: type[_Kind], moves: Iterable[Move]) -> Mapping[_Kind, frozenset[_Kind]]:
    pairs = [(kind(move.before), kind(move.after)) for move in moves]
    return {state: frozenset(b for a, b in pairs if a is state) for state in kind}


_CHAIN_AFTER: Final = _index(ChainState, CHAIN_MOVES)
_STEP_AFTER: Final = _index(StepState, STEP_MOVES)


def may_follow(before: ChainState | StepState, after: ChainState | StepState) -> bool:
    """Whether the table has this transition."""
    if isinstance(before, ChainState):
        return after in _CHAIN_AFTER[before]
    return after in _STEP_AFTER[before]


# --- the page docs/reference/states.md --------------------------------------------------------

_OPENING: Final = """\
# States

Every transition that a chain and its steps can make. The service moves along these alone, the
database refuses any other state, and this page is drawn from the tables in `catena.chains.states`.
"""


def render_states() -> str:
    """The page docs/reference/states.md."""
    return "\n".join(
        [
            _OPENING,
            *_render("Chains", ChainState, CHAIN_MOVES),
            "",
            *_render("Steps", StepState, STEP_MOVES),
            "",
            "A completed step is at its end when its chain is. Parked is a mark on a pending or",
            "compensating step, or on one that is out and that nobody is told of: it waits for an",
            "operator.",
            "",
        ]
    )


def _render(title: str, kind: type[ChainState | StepState], moves: Iterable[Move]) -> Iterator[str]:
    moves = list(moves)
    yield from (f"## {title}", "", "```mermaid", "stateDiagram-v2")
    yield f"    [*] --> {moves[0].before}"
    yield from (f"    {move.before} --> {move.after}" for move in moves)
    left = {move.before for move in moves}
    yield from (f"    {state} --> [*]" for state in kind if state not in left)
    yield from ("```", "", "| from | to | when |", "| --- | --- | --- |")
    yield from (f"| {move.before} | {move.after} | {move.when} |" for move in moves)
