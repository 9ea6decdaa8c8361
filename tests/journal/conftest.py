"""What every test of the journal has: the journal's log as data, not as text."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

__all__ = ["logs"]


@pytest.fixture(autouse=True)
def logs() -> Iterator[Sequence[MutableMapping[str, Any]]]:
    """What was logged during the test."""
    with capture_logs() as entries:
        yield entries
