"""How far the time of a webhook's signature may be from ours: an option of a gateway that signs."""

from __future__ import annotations

import datetime as dt
from typing import Final

from catena.errors import SetupError

__all__ = ["TOLERANCE_SECONDS", "read_tolerance"]

TOLERANCE_SECONDS: Final = 300
"""Before or after; a replay is refused beyond it."""

_MOST_SECONDS: Final = 3600


def read_tolerance(seconds: object) -> dt.timedelta:
    """The option `webhook_tolerance_seconds`. Raises SetupError."""
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int)
        or not 1 <= seconds <= _MOST_SECONDS
    ):
        raise SetupError(f"`webhook_tolerance_seconds` is a number from 1 to {_MOST_SECONDS}.")
    return dt.timedelta(seconds=seconds)
