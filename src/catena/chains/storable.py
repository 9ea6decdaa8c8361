"""Which values a history can keep: those that the database takes, and JSON writes as they were.

Invariant: what passes here never fails at its commit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from catena.settings import LIMITS

__all__ = ["is_storable", "is_text", "keep_result"]


def is_text(value: object) -> bool:
    """A text that the database can keep: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str) or "\x00" in value:
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def is_storable(value: object, depth: int = LIMITS.result_depth, *, floats: bool = False) -> bool:
    """JSON of texts, whole numbers and truths, and of `floats`; `depth` levels of it at most."""
    if isinstance(value, (Mapping, list, tuple)):
        parts: Iterable[object] = value
        if isinstance(value, Mapping):
            if not all(map(is_text, value)):
                return False
            parts = value.values()
        return depth > 0 and all(is_storable(part, depth - 1, floats=floats) for part in parts)
    if isinstance(value, float):
        return floats and math.isfinite(value)
    return value is None or isinstance(value, (bool, int)) or is_text(value)


def keep_result(result: object) -> dict[str, Any]:
    """What can be kept of a result from outside: None for a value that cannot, or that is too much
    beside those before it.
    """
    kept: dict[str, Any] = {}
    left = LIMITS.result_bytes
    for name, value in result.items() if isinstance(result, Mapping) else ():
        if not is_text(name):
            continue
        left -= len(name.encode())
        size = _measure(value)
        fits = size <= left and is_storable(value, floats=True)
        kept[name] = value if fits else None
        left -= int(size) if fits else 0
        if left < 0:
            return {}
    return kept


def _measure(value: object) -> float:
    """Bytes of JSON; no end of it for what is none."""
    try:
        return len(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError):
        return math.inf
