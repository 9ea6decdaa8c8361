"""Which values a history can keep: those that the database takes, and JSON writes as they were.

Invariant: what passes here never fails at its commit.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["is_storable", "is_text"]


def is_text(value: object) -> bool:
    """A text that the database can keep: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str) or "\x00" in value:
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def is_storable(value: object) -> bool:
    """JSON of texts, whole numbers and truths."""
    if isinstance(value, Mapping):
        return all(is_text(name) and is_storable(inner) for name, inner in value.items())
    if isinstance(value, list):
        return all(map(is_storable, value))
    return value is None or isinstance(value, (bool, int)) or is_text(value)
