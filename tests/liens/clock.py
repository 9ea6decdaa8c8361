"""The moment at which everything here happens."""

from __future__ import annotations

import datetime as dt
from typing import Final

__all__ = ["NOW"]

NOW: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
