"""Our adapter keeps the contract of gateways against localstripe, as far as localstripe can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

import pytest

from tests.gateways import test_contract, test_contract_notices, test_contract_statement
from tests.gateways.contract import Rig
from tests.oracles.stripe_rig import run_stripe_rig
from tests.oracles.stripe_street import Localstripe, run_localstripe

pytestmark = [pytest.mark.oracle("localstripe"), pytest.mark.xdist_group("localstripe")]

CANNOT: Final[Mapping[str, str]] = {
    "test_a_charge_is_refunded_in_parts": "localstripe gives back more than was charged",
    "test_a_webhook_decides": "of a failed intent the adapter only says that it is time to ask,"
    " and localstripe does not tell that it was canceled",
    "test_a_moment_is_in_one_period": "localstripe lists all that it has ever booked",
}
"""Tests of the contract that are not run here, and why."""


def take(suite: ModuleType) -> dict[str, Any]:
    """The tests of the contract that are run."""
    tests = {name: test for name, test in vars(suite).items() if name.startswith("test_")}
    return {name: test for name, test in tests.items() if name not in CANNOT}


SUITES: Final = (test_contract, test_contract_notices, test_contract_statement)
for suite in SUITES:
    globals().update(take(suite))


def test_every_exception_is_of_the_contract() -> None:
    """What is left out is in the contract."""
    assert CANNOT.keys() <= {name for suite in SUITES for name in vars(suite)}


@pytest.fixture(scope="module")
def street() -> Iterator[Localstripe]:
    """Localstripe and the proxy."""
    with run_localstripe() as street:
        yield street


@pytest.fixture
async def rig(street: Localstripe) -> AsyncIterator[Rig]:
    """Our adapter, connected to them."""
    async with run_stripe_rig(street) as rig:
        yield rig
