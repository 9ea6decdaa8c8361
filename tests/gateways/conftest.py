"""The gateways that are held to the contract, each on its rig."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import pytest

from tests.gateways.contract import Rig
from tests.gateways.sandbox_rig import run_sandbox_rig
from tests.sandbox.running import sandbox

__all__ = ["rig", "sandbox"]

RIGS: Final[dict[str, Callable[[Any], AbstractAsyncContextManager[Rig]]]] = {
    "sandbox": run_sandbox_rig,
}
"""By the name of a fixture that runs the gateway: how a rig is made of what it gives."""


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A gateway, running, with an adapter connected to it."""
    async with RIGS[request.param](request.getfixturevalue(request.param)) as rig:
        yield rig
