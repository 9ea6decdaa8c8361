"""What the naive chains are made of: steps as they were asked for, answers, and their state.

Invariant: knows nothing of `catena.chains`. Time is in whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

__all__ = ["FIRST", "LONGEST", "Asked", "NaiveStep", "Plan", "Told"]

LONGEST: Final = 60.0
"""No backoff is longer."""

FIRST: Final = 2.0
"""The longest wait after a first attempt, of a step with more than one."""


class Plan(NamedTuple):
    """A step as it was asked for. `needs`: names, and whether it is enough that it is accepted.

    `amount`: a constant, or another step and what is added to its amount. `when`: what is asked of
    which step: ("completed", step), ("ok", step), ("more", step).
    """

    name: str
    kind: str
    needs: tuple[tuple[str, bool], ...] = ()
    source: str = ""
    target: str = ""
    amount: int | tuple[str, int] = 0
    lien: str | None = None
    pool_only: bool = False
    when: tuple[str, str] | None = None
    attempts: int = 1
    timeout: int | None = None
    seconds: int | None = None
    goes_on: bool = False
    expiry: str = "fail"
    undoes: bool = False
    pivot: bool = False


class Told(NamedTuple):
    """A partner's answer."""

    outcome: str
    result: dict[str, Any]
    permanent: bool = True


class Asked(NamedTuple):
    """A call that is made: for what, under which key of its chain."""

    step: str
    direction: str
    attempt: int
    key: tuple[str, str, int]


@dataclass
class NaiveStep:
    """A step, and what has become of it."""

    plan: Plan
    state: str = "pending"
    attempt: int = 0
    round: int = 1
    since: int = 1
    undo_attempt: int = 0
    undo_round: int = 1
    tries: int = 0
    unheard: int = 0
    called: bool = False
    accepted: bool = False
    parked: bool = False
    resolved: bool = False
    due: float | None = None
    over: float | None = None
    deadline: float | None = None
    result: dict[str, Any] = field(default_factory=dict)
    seq: int = 0

    @property
    def is_done(self) -> bool:
        """What depends on it may go on."""
        return self.state in ("completed", "skipped")

    @property
    def is_out(self) -> bool:
        """A partner may be acting."""
        return self.plan.kind == "call" and self.state in ("executing", "waiting", "unknown")

    def dispatch(self, now: float) -> None:
        """Its time begins to run when it is first dispatched."""
        self.state = "executing"
        if self.deadline is None and self.plan.timeout is not None:
            self.deadline = now + self.plan.timeout

    def backoff(self) -> float:
        """The longest that its policy waits after so many attempts."""
        first = 1.0 if self.plan.attempts == 1 else FIRST
        return min(LONGEST, first * 2.0 ** (self.attempt - 1))

    def put_off(self, due: float | None, *, parked: bool = False) -> None:
        """It is tried again, or waits for an operator."""
        self.state, self.called, self.parked, self.due = "pending", False, parked, due
