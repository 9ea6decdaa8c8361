"""Where the time of day comes from.

Everything that needs the time is given a `Clock`; no other module reads one.
Money's own times (`recorded_at`) are read by the database, under its locks.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

__all__ = ["Clock", "monotonic", "system_clock"]

Clock = Callable[[], dt.datetime]


def system_clock() -> dt.datetime:
    """The current moment in UTC, with microseconds."""
    return dt.datetime.now(dt.UTC)


def monotonic() -> float:
    """Seconds that only grow, for measuring waits; they say nothing about the time of day."""
    return time.monotonic()
