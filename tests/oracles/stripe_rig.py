"""Our adapter and localstripe on the rig of the contract: faults are the proxy's.

localstripe cannot bring about what `method` says None to; what it does wrongly is listed where the
contract is run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from catena.clock import Clock, system_clock
from catena.gateways.contract import Capability, Gateway
from catena.gateways.stripe import connect
from catena.outside.client import OutsideClient
from catena.settings import Settings
from tests.gateways.contract import Rig, Wish
from tests.gateways.receiver import Receiver, run_receiver
from tests.gateways.stripe.running import API_KEY, SECRET, VERSION
from tests.gateways.stripe.signing import sign
from tests.oracles.stripe_street import Localstripe

__all__ = ["StripeRig", "run_stripe_rig"]

_CREATE: Final = "/v1/payment_intents"
_STORM: Final = {"error": {"type": "api_error", "code": "rate_limit", "message": "Storm."}}
_TAKEN: Final = frozenset({"succeeded", "requires_capture", "processing"})

_FAULTS: Final[Mapping[Wish, Callable[[Localstripe], None]]] = {
    Wish.LOSES_ANSWER: lambda street: street.proxy.rule("POST", _CREATE, "lose"),
    Wish.LOSES_REQUEST: lambda street: street.proxy.rule("POST", _CREATE, "drop"),
    Wish.COMES_LATER: lambda street: street.proxy.answers("POST", _CREATE, _STORM, 429),
    Wish.BREAKS: lambda street: street.proxy.answers("POST", _CREATE, _STORM, 500),
}
"""What the proxy does to the next charge."""

_GOOD: Final = "4242424242424242"
_CARDS: Final[Mapping[Wish, str]] = {
    **dict.fromkeys((*_FAULTS, Wish.APPROVES, Wish.REPEATS_WEBHOOKS), _GOOD),
    Wish.DECLINES: "4000000000000341",
    Wish.WAITS: "4000002760003184",
}
"""Stripe's test cards."""


@dataclass
class StripeRig(Rig):
    """localstripe, and one connection to it."""

    street: Localstripe
    hooks: Receiver
    client: OutsideClient
    clock: Clock = system_clock
    currency: str = "EUR"
    gateway: Gateway = field(init=False)

    def __post_init__(self) -> None:
        """Connect."""
        self.gateway = self._connect()

    def _connect(self, url: str = "", api_key: str = API_KEY) -> Gateway:
        return connect(
            "stripe",
            api_key=api_key,
            webhook_secrets=[SECRET],
            api_base=url or self.street.proxy.url,
            api_version=VERSION,
            client=self.client,
            clock=self.clock,
        )

    def method(self, capability: Capability, wish: Wish) -> Mapping[str, Any] | None:
        """By test cards and accounts of Stripe's, and by faults of the next request."""
        if wish in _FAULTS:
            _FAULTS[wish](self.street)
        if wish is Wish.REPEATS_WEBHOOKS:
            self.street.send_hooks_to(self.hooks.url, "again")
        if wish in _CARDS:
            return {"payment_method": self.street.make_card(_CARDS[wish])}
        if wish is Wish.PENDS_DECLINES and capability is Capability.CHARGE:
            account = self.street.make_debit("DE62370400440532013001")
            return {"type": "sepa_debit", "payment_method": account, "mandate": "mandate_1"}
        return None

    async def pass_time(self) -> None:
        """Until no debit is on its way any more: half a second."""
        async with asyncio.timeout(20):
            while any(
                one["status"] == "processing"
                for one in await asyncio.to_thread(self.street.list_intents)
            ):
                continue

    async def finish_action(self, reference: str) -> None:
        """The payer says yes."""
        self.street.authenticate(reference, success=True)

    async def forget_keys(self) -> None:
        """The proxy forgets them."""
        self.street.proxy.forget()

    async def count_effects(self, key: str) -> int:
        """By localstripe's own books."""
        charges = self.street.list_intents(catena_key=key)
        captures = self.street.list_intents(catena_capture_key=key)
        refunds = len(self.street.list_refunds(key))
        return sum(one["status"] in _TAKEN for one in [*charges, *captures]) + refunds

    def sign(self, body: bytes) -> Mapping[str, str]:
        """With the secret of our endpoint."""
        return {"stripe-signature": sign(body, SECRET, at=self.clock())}

    def unreachable(self) -> Gateway:
        """At a port where nobody listens."""
        return self._connect(url="http://127.0.0.1:9")

    def stranger(self) -> Gateway:
        """With a key that localstripe refuses."""
        return self._connect(api_key="rk_test_unknown")


@asynccontextmanager
async def run_stripe_rig(street: Localstripe) -> AsyncIterator[StripeRig]:
    """A connection to localstripe, whose webhooks we hear."""
    street.proxy.reset()
    async with (
        OutsideClient(Settings(allow_private_addresses=True)) as client,
        run_receiver() as hooks,
    ):
        for name in ("ours", "again"):  # nobody listens at the second one, if nobody wants it
            street.send_hooks_to(hooks.url if name == "ours" else "http://127.0.0.1:9", name)
        yield StripeRig(street, hooks, client)
