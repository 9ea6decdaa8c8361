"""What we rely on in a gateway, whichever it is; test_contract.py holds every adapter to it.

A key acts once, and finds its order. Approved and declined are certain, all else is unknown or
pending, and decided some day. What it says by webhook is signed, and what it says when asked. Its
statement lists what it did. Promises go with what it can and what it defers. A `Rig` tries it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

from catena.clock import Clock
from catena.gateways.contract import Capability, Gateway
from tests.gateways.receiver import Receiver

__all__ = ["Rig", "Wish"]


class Wish(Enum):
    """What a method of payment is to bring about."""

    APPROVES = "approved at once"
    DECLINES = "declined for good"
    DECLINES_NOW = "declined for now"
    PENDS = "pending, approved when time has passed"
    PENDS_DECLINES = "pending, declined when time has passed"
    WAITS = "pending until it is cancelled"
    ACTS = "the payer must act, and says yes when asked"
    LOSES_ANSWER = "done, and the first answer is lost; then in order"
    LOSES_REQUEST = "not done, the first request is lost; then in order"
    COMES_LATER = "not done, the first request is told to come later; then in order"
    BREAKS = "not done, the first request is answered 500; then in order"
    DISPUTED = "approved, disputed when time has passed"
    REFUND_FAILS = "approved; its refunds are, and fail when time has passed"
    FAILS = "approved, and comes back when time has passed"
    REPEATS_WEBHOOKS = "approved; webhooks come several times"
    REORDERS_WEBHOOKS = "approved; what was before comes after, when time has passed"


class Rig(Protocol):
    """A gateway that is running, as a process of its own, with an adapter connected to it.

    What it cannot bring about it says by None; a test that needs it is skipped, and says so.
    """

    gateway: Gateway
    clock: Clock
    currency: str
    hooks: Receiver
    """Hears what the gateway sends to us."""

    def method(self, capability: Capability, wish: Wish) -> Mapping[str, Any] | None:
        """A method for `Order.method` that brings this about; for a charge or a payout."""

    async def pass_time(self) -> None:
        """Let so much time pass that what is pending is decided, and told."""

    async def finish_action(self, reference: str) -> None:
        """Let the payer who must act say yes."""

    async def forget_keys(self) -> None:
        """Let the gateway forget its keys, as after a long time, if it ever does."""

    async def count_effects(self, key: str) -> int:
        """How often the gateway really acted for this key, by its own books."""

    def sign(self, body: bytes) -> Mapping[str, str] | None:
        """The headers with which the gateway would send such a body now."""

    def unreachable(self) -> Gateway:
        """The same adapter, connected to where nobody listens."""

    def stranger(self) -> Gateway:
        """The same adapter, with a key that the gateway does not know."""
