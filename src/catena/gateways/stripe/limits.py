"""What Stripe remembers, and how much is asked of it: each with a name and a unit.

Invariant: what is Stripe's own rule says so, and where it stands in Stripe's documentation.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

__all__ = [
    "CLOCK_SKEW",
    "KEY_AGE_MAX",
    "PAGES_LATE",
    "PAGES_SOON",
    "PAGE_OBJECTS",
    "PROMPTLY",
    "STATEMENT_CALL_SECONDS",
]

KEY_AGE_MAX: Final = dt.timedelta(hours=23)
"""Longest time after a key's first use in which it is sent without asking first what it has done.
Stripe may forget a key that is 24 hours old, and would then act again ("Idempotent requests").
"""

CLOCK_SKEW: Final = dt.timedelta(minutes=5)
"""How far apart Stripe's clock and ours may be, at most."""

PROMPTLY: Final = dt.timedelta(minutes=5)
"""Nearly all that a key does is done this soon after its first use, so it is sought there first."""

PAGE_OBJECTS: Final = 100
"""Objects of one page of a list: the most that Stripe gives ("Pagination")."""

PAGES_SOON: Final = 5
"""Pages that are read in search of a key that Stripe remembers, at most: the key can tell, too."""

PAGES_LATE: Final = 100
"""The same of a key that may be forgotten; then it is unknown what became of it."""

STATEMENT_CALL_SECONDS: Final = 30.0
"""How long one page of a statement may take."""
