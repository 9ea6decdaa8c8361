"""What a chain's history is made of: events, their commits, and why chains and steps fail.

Invariant: plain data, as it is stored; what an event does is said in `fold`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Event", "Failure", "IllegalMove", "Record"]


class Event(NamedTuple):
    """What happened: to the chain (`step` empty) or to one of its steps.

    `to` is a state, or a note: what happened without changing a state. A time in `data` is in
    seconds after the event's commit.
    """

    step: str
    to: str
    data: Mapping[str, Any] = {}


class Record(NamedTuple):
    """The events of one commit: when, under which event's id, and the first one's number."""

    at: dt.datetime
    id: str | None
    first: int
    events: Sequence[Event]


class Failure(NamedTuple):
    """Why a chain or a step failed, or will when the pivot is refused."""

    code: str
    detail: str = ""
    step: str | None = None
    account: str | None = None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Failure:
        """A failure from an event's data."""
        return cls(
            data.get("code", ""), data.get("detail", ""), data.get("step"), data.get("account")
        )

    def describe(self) -> dict[str, Any]:
        """A failure as an event's data, without what is not known."""
        named = zip(self._fields, self, strict=True)
        return {name: value for name, value in named if value}


class IllegalMove(Exception):
    """An event that the tables of states do not have: a defect of ours, never of a caller."""
