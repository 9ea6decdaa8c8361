"""What stands in Stripe's JSON, read with care: a part of another kind is as good as none.

Invariant: nothing here raises for what it is given, and a text that cannot be kept is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

__all__ = [
    "NOTHING",
    "Object",
    "list_of",
    "number_of",
    "part_of",
    "read",
    "reference_of",
    "text_of",
]

Object = Mapping[str, Any]
"""A JSON object of Stripe's."""

NOTHING: Final[Object] = {}

_TEXT_CHARACTERS: Final = 5_000
"""Longest text that is taken; their own longest is 5,000 (a URL)."""


def read(content: bytes) -> Object:
    """The JSON object that these bytes are; none for any other. Fractions are texts in it."""
    try:
        found = json.loads(content.decode(), parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return NOTHING
    return found if isinstance(found, dict) else NOTHING


def text_of(source: Object, *names: str) -> str:
    """The first of these that is a text which can be kept; an empty one for none."""
    for name in names:
        value = source.get(name)
        if isinstance(value, str) and value and _can_be_kept(value):
            return value
    return ""


def _can_be_kept(text: str) -> bool:
    """No control characters in it, NUL above all, and no half of a surrogate pair."""
    if len(text) > _TEXT_CHARACTERS or any(letter < " " for letter in text):
        return False
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def number_of(source: Object, name: str) -> int | None:
    """This whole number, if it is one of 64 bits."""
    value = source.get(name)
    fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return value if fits else None


def part_of(source: Object, *names: str) -> Object:
    """The object that stands there, along these names; an empty one for none."""
    found: Object = source
    for name in names:
        inner = found.get(name)
        found = inner if isinstance(inner, dict) else NOTHING
    return found


def list_of(source: Object, name: str) -> Sequence[Object]:
    """The objects in this list."""
    value = source.get(name)
    items: Iterator[Any] = iter(value) if isinstance(value, list) else iter(())
    return [item for item in items if isinstance(item, dict)]


def reference_of(source: Object, name: str) -> str:
    """The id of another object, which stands there whole where it was expanded."""
    return text_of(source, name) or text_of(part_of(source, name), "id")
