"""One program stands where Stripe would for all tests of a worker; each finds it forgetful."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from catena.gateways.contract import Gateway
from tests.gateways.stripe.running import Proxy, connected, run_proxy

__all__ = ["proxy", "running_proxy", "stripe"]


@pytest.fixture(scope="session")
def running_proxy() -> Iterator[Proxy]:
    """The program."""
    with run_proxy() as proxy:
        yield proxy


@pytest.fixture
def proxy(running_proxy: Proxy) -> Iterator[Proxy]:
    """The program, which has heard nothing; every rule that a test makes must be for something."""
    running_proxy.reset()
    yield running_proxy
    assert running_proxy.left() == []


@pytest.fixture
async def stripe(proxy: Proxy) -> AsyncIterator[Gateway]:
    """Our gateway, connected to it."""
    async with connected(proxy.url) as gateway:
        yield gateway
