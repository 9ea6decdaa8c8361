"""Where a simulated process can be struck, and by what."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["CALL", "PLACES", "Crash", "Fate", "place_of"]

CALL: Final = "call"
"""The place of an outside call; every other is a statement."""

# The first whose text a statement holds; what stands first would else be taken for another.
_STATEMENTS: Final = (
    ("FROM work_claim(", "claim"),
    ("FROM ledgers l", "find due"),
    ("SELECT DISTINCT adapter FROM work", "find left"),
    ("FROM journal_write(", "write"),
    ("journal_lock_chains(", "lock chains"),
    ("array_agg(e.event_id", "load chains"),
    ("SELECT clock_timestamp()", "read now"),
    ("FROM journal_lock(", "lock accounts"),
    ("FROM balances b", "load accounts"),
    ("FROM idempotency", "load keys"),
    ("WITH RECURSIVE", "load corrected"),
    ("SELECT k.position", "load corrections"),
    ("SELECT e.position", "load entries"),
    ("SELECT l.position", "load lines"),
    ("FROM events", "load events"),
    ("SELECT chain_id, state FROM chains", "load states"),
)

PLACES: Final = (*(place for _, place in _STATEMENTS), "begin", "commit", CALL)
"""Every place."""


class Fate(StrEnum):
    """What becomes of a statement or a call, and of the process that makes it."""

    DIES_BEFORE = "dies_before"
    """The process is gone before it is sent: its connections, its memory, its tasks."""
    DIES_AFTER = "dies_after"
    """It was carried out, and the process is gone before it hears of that."""
    CUT_BEFORE = "cut_before"
    """The connection dies before it is sent; the process lives on."""
    CUT_AFTER = "cut_after"
    """It was carried out, and the answer is lost; the process lives on."""
    STALLS = "stalls"
    """The process stands still until the others have done all that can be done at this moment."""
    SLEEPS = "sleeps"
    """It stands still for longer than its lease, then acts as if nothing had happened: a zombie."""


class Crash(NamedTuple):
    """The fate of the n-th statement or call at a place, counted from 1."""

    place: str
    number: int
    fate: Fate

    def __str__(self) -> str:
        return f"{self.place}#{self.number}:{self.fate}"

    @classmethod
    def read(cls, text: str) -> Crash:
        """A crash from its text. Raises ValueError."""
        where, _, fate = text.rpartition(":")
        place, _, number = where.rpartition("#")
        if place not in PLACES:
            raise ValueError(f"A crash is at one of {', '.join(PLACES)}.")
        return cls(place, int(number), Fate(fate))


def place_of(statement: str) -> str:
    """The place of a statement by its text. Raises LookupError for one that nobody has named."""
    for text, place in _STATEMENTS:
        if text in statement:
            return place
    raise LookupError(f"A statement without a name: {statement}")
