"""The gateways that are held to the contract, each on its rig, each to what goes with what it can.

A test is marked with the promise that it is of: the capabilities that it speaks of, and whether it
is of those that are done when they are asked for, or of those that are deferred.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple

import pytest

from catena.gateways.contract import Capability
from tests.gateways.bank_rig import run_bank_rig, run_folder_rig
from tests.gateways.contract import Rig
from tests.gateways.sandbox_rig import run_sandbox_rig
from tests.sandbox.running import sandbox

__all__ = ["Candidate", "ground", "rig", "sandbox"]


class Candidate(NamedTuple):
    """A kind of gateway: what it can, and how a rig is made of what the fixture gives."""

    fixture: str
    run: Callable[[Any], AbstractAsyncContextManager[Rig]]
    can: frozenset[Capability]
    defers: frozenset[Capability] = frozenset()


_BANK: Final = Candidate(
    "database",
    run_bank_rig,
    frozenset({Capability.PAYOUT, Capability.STATEMENT}),
    defers=frozenset({Capability.PAYOUT}),
)
CANDIDATES: Final = {
    "sandbox": Candidate("sandbox", run_sandbox_rig, frozenset(Capability)),
    "bank": _BANK,
    "bank-folder": _BANK._replace(run=run_folder_rig),
}
"""By kind. What they are said to be able to is held against what they say themselves."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out promises that a gateway does not make: by its capabilities, and by nothing else."""
    out = [item for item in items if not _is_promised(item)]
    items[:] = [item for item in items if item not in out]
    if out:
        config.hook.pytest_deselected(items=out)


def _is_promised(item: pytest.Item) -> bool:
    marks = [*item.iter_markers("promise")]
    asked = getattr(item, "callspec", None)
    if not marks or asked is None or "ground" not in asked.params:
        return True
    of = CANDIDATES[asked.params["ground"]]
    spoken = {capability for mark in marks for capability in mark.args}
    spoken |= {value for value in asked.params.values() if isinstance(value, Capability)}
    at_once = {mark.kwargs["at_once"] for mark in marks if "at_once" in mark.kwargs}
    deferred = not of.defers.isdisjoint(spoken)
    return spoken <= of.can and (not at_once or at_once == {not deferred})


@pytest.fixture(params=CANDIDATES)
def ground(request: pytest.FixtureRequest) -> tuple[Candidate, Any]:
    """A kind of gateway, and what its rig is made of."""
    candidate = CANDIDATES[request.param]
    return candidate, request.getfixturevalue(candidate.fixture)


@pytest.fixture
async def rig(ground: tuple[Candidate, Any]) -> AsyncIterator[Rig]:
    """A gateway, running, with an adapter connected to it."""
    candidate, found = ground
    async with candidate.run(found) as rig:
        assert rig.gateway.capabilities == candidate.can
        assert rig.gateway.defers == candidate.defers
        yield rig
