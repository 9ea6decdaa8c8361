"""The partners: the outside world, which acts once for each key, forgets nothing and keeps count.

Invariant: what it has said about a key it says again; a key that it never saw it says it never saw.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from catena.chains.expressions import Kind
from catena.chains.step_types import Answer, Call, Direction, Input, Outcome, StepType

__all__ = ["Behaviour", "Partner"]


class Behaviour(StrEnum):
    """What it does with a key that it sees for the first time."""

    APPROVE = "approve"
    DECLINE = "decline"
    LATER = "later"
    """It declines for now."""
    PEND = "pend"
    """It will have approved when it is asked again, or again and again."""
    PEND_DECLINE = "pend_decline"
    PEND_LATER = "pend_later"
    PEND_LONG = "pend_long"
    """It stays undecided until it is asked to give up, and gives up then."""
    PEND_STUBBORN = "pend_stubborn"
    """As PEND_LONG, but it approves when it is asked to give up."""
    LOSE = "lose"
    """The call is lost on its way: it never saw the key."""
    ACT_UNHEARD = "act_unheard"
    """It approves, and its answer is lost."""
    PEND_UNHEARD = "pend_unheard"
    DECLINE_UNHEARD = "decline_unheard"


_B = Behaviour
_ENDS: Final[Mapping[Behaviour, Outcome]] = {
    _B.APPROVE: Outcome.APPROVED,
    _B.ACT_UNHEARD: Outcome.APPROVED,
    _B.PEND: Outcome.APPROVED,
    _B.PEND_STUBBORN: Outcome.APPROVED,
    _B.PEND_UNHEARD: Outcome.APPROVED,
    _B.DECLINE: Outcome.DECLINED,
    _B.DECLINE_UNHEARD: Outcome.DECLINED,
    _B.LATER: Outcome.DECLINED,
    _B.PEND_DECLINE: Outcome.DECLINED,
    _B.PEND_LATER: Outcome.DECLINED,
    _B.PEND_LONG: Outcome.DECLINED,
}
_PENDING: Final = frozenset(
    {_B.PEND, _B.PEND_DECLINE, _B.PEND_LATER, _B.PEND_LONG, _B.PEND_STUBBORN, _B.PEND_UNHEARD}
)
_FOR_NOW: Final = frozenset({_B.LATER, _B.PEND_LATER})
_UNHEARD: Final = frozenset({_B.LOSE, _B.ACT_UNHEARD, _B.PEND_UNHEARD, _B.DECLINE_UNHEARD})
_ENDLESS: Final = frozenset({_B.PEND_LONG, _B.PEND_STUBBORN})
_ASKING: Final = frozenset({Direction.LOOK_UP, Direction.UNDO_LOOK_UP})
_UNDOING: Final = frozenset({Direction.UNDO, Direction.UNDO_LOOK_UP})


@dataclass(slots=True)
class _Case:
    """What became of a key. `asks`: how often it is asked until it decides; 0: it has."""

    end: Behaviour
    asks: int


@dataclass(slots=True)
class Partner:
    """Everybody outside. `scripts`: what becomes of new keys, by step and direction ("charge",
    "charge undo"), one after the other, then approval. `effects` counts what it did, by chain, step
    and "forward" or "undo"; `said` its answers. `refused_undos`: chains of which an undo was
    refused for good.
    """

    random: random.Random
    scripts: Mapping[str, Sequence[Behaviour]] = field(default_factory=dict)
    effects: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    refused_undos: set[str] = field(default_factory=set)
    _cases: dict[str, _Case] = field(default_factory=dict)
    _used: Counter[tuple[str, str]] = field(default_factory=Counter)

    type = StepType("call", {"x": Input(Kind.ANY, required=False)}, {"ok": Kind.BOOL}, undoes=True)

    def check(self, inputs: object, compensation: object, ledger_id: str) -> tuple[()]:
        """Anything can be asked for."""
        del inputs, compensation, ledger_id
        return ()

    def act(self, call: Call) -> Answer:
        """Take a call, and answer it."""
        answer = self._answer(call)
        self.said[f"{call.direction} {answer.outcome}"] += 1
        return answer

    def _answer(self, call: Call) -> Answer:
        case = self._cases.get(call.key)
        if case is None and call.direction in (*_ASKING, Direction.CANCEL):
            return Answer(Outcome.NOT_FOUND)
        if case is None:
            behaviour = self._next(call)
            if behaviour is _B.LOSE:
                return Answer(Outcome.UNKNOWN, code="lost")
            asks = self.random.randint(1, 3) if behaviour in _PENDING else 0
            case = self._cases[call.key] = _Case(behaviour, asks)
            if not asks:
                self._decide(call, case)
            if behaviour in _UNHEARD:
                return Answer(Outcome.UNKNOWN, code="unheard")
        elif case.asks and call.direction is Direction.CANCEL:
            if case.end is not _B.PEND_STUBBORN:
                case.end = _B.PEND_DECLINE
            case.asks = 0
            self._decide(call, case)
        elif case.asks and call.direction in _ASKING and case.end not in _ENDLESS:
            case.asks -= 1
            if not case.asks:
                self._decide(call, case)
        return self._say(call, case)

    def _next(self, call: Call) -> Behaviour:
        name = f"{call.step} undo" if call.direction in _UNDOING else call.step
        script, used = self.scripts.get(name, ()), self._used[call.chain, name]
        self._used[call.chain, name] += 1
        return script[used] if used < len(script) else _B.APPROVE

    def _decide(self, call: Call, case: _Case) -> None:
        if _ENDS[case.end] is Outcome.APPROVED:
            way = "undo" if call.direction in _UNDOING else "forward"
            self.effects[call.chain, call.step, way] += 1

    def _say(self, call: Call, case: _Case) -> Answer:
        """What became of the key. That it was refused is certain to those who ask about it."""
        if case.asks:
            return Answer(Outcome.PENDING)
        if _ENDS[case.end] is Outcome.APPROVED:
            return Answer(Outcome.APPROVED, {"ok": True})
        asked = call.direction in (*_ASKING, Direction.CANCEL)
        permanent = asked or case.end not in _FOR_NOW
        if permanent and call.direction in _UNDOING:
            self.refused_undos.add(call.chain)
        return Answer(Outcome.DECLINED, code="declined", permanent=permanent)
