"""The sandbox gateway on the rig: magic values bring everything about, its clock passes the time.

The sandbox can do all that the contract speaks of; nothing here is skipped for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from catena.clock import Clock, system_clock
from catena.gateways.contract import Capability, Gateway
from catena.gateways.sandbox import connect
from catena.ids import new_id
from catena.outside.client import OutsideClient
from catena.outside.signing import parse_secret, sign
from catena.settings import Settings
from tests.gateways.contract import Rig, Wish
from tests.gateways.receiver import Receiver
from tests.sandbox.running import Play, RunningSandbox, listening, speaking

__all__ = ["SandboxRig", "run_sandbox_rig"]

_TOKENS: Final[Mapping[Wish, str]] = {
    Wish.APPROVES: "tok_approved",
    Wish.DECLINES: "tok_declined_lost_card",
    Wish.DECLINES_NOW: "tok_declined_issuer_unavailable",
    Wish.PENDS: "tok_pending_approved",
    Wish.PENDS_DECLINES: "tok_pending_declined",
    Wish.WAITS: "tok_pending",
    Wish.ACTS: "tok_action",
    Wish.LOSES_ANSWER: "tok_dropped_after",
    Wish.LOSES_REQUEST: "tok_dropped_before",
    Wish.COMES_LATER: "tok_429",
    Wish.BREAKS: "tok_500",
    Wish.DISPUTED: "tok_disputed",
    Wish.REFUND_FAILS: "tok_refund_fails",
    Wish.REPEATS_WEBHOOKS: "tok_approved",
    Wish.REORDERS_WEBHOOKS: "tok_approved",
}
_ACCOUNTS: Final[Mapping[Wish, str]] = {
    Wish.APPROVES: "acct_paid",
    Wish.DECLINES: "acct_rejected_account_unknown",
    Wish.DECLINES_NOW: "acct_rejected_bank_unavailable",
    Wish.PENDS: "acct_pending_paid",
    Wish.PENDS_DECLINES: "acct_pending_rejected",
    Wish.WAITS: "acct_pending",
    Wish.LOSES_ANSWER: "acct_dropped_after",
    Wish.LOSES_REQUEST: "acct_dropped_before",
    Wish.COMES_LATER: "acct_429",
    Wish.BREAKS: "acct_500",
    Wish.FAILS: "acct_fails_after_paid",
    Wish.REPEATS_WEBHOOKS: "acct_paid",
    Wish.REORDERS_WEBHOOKS: "acct_paid",
}
_MANNERS: Final = {
    Wish.REPEATS_WEBHOOKS: {"webhooks": "duplicated"},
    Wish.REORDERS_WEBHOOKS: {"webhooks": "reordered"},
}
_LONG_SECONDS: Final = 60
_DAY_SECONDS: Final = 86_400


@dataclass
class SandboxRig(Rig):
    """The sandbox, and one connection to it."""

    play: Play
    hooks: Receiver
    client: OutsideClient
    secret: str = field(repr=False)
    clock: Clock = system_clock
    currency: str = "EUR"
    gateway: Gateway = field(init=False)

    def __post_init__(self) -> None:
        """Connect."""
        self.gateway = self._connect()

    def _connect(self, *, url: str | None = None, api_key: str | None = None) -> Gateway:
        running = self.play.running
        return connect(
            "sandbox",
            url=url or running.address,
            api_key=api_key or running.api_key,
            webhook_secret=self.secret,
            client=self.client,
            clock=self.clock,
        )

    def method(self, capability: Capability, wish: Wish) -> Mapping[str, Any] | None:
        """By token or account."""
        if capability is Capability.PAYOUT:
            kind, name, word = "bank", "account", _ACCOUNTS.get(wish)
        else:
            kind, name, word = "card", "token", _TOKENS.get(wish)
        return word and {"type": kind, name: word, **_MANNERS.get(wish, {})}  # type: ignore[return-value]

    async def pass_time(self) -> None:
        """On its own clock."""
        await self.play.advance(_LONG_SECONDS)

    async def finish_action(self, reference: str) -> None:
        """By its API."""
        await self.play.do(f"/v1/charges/{reference}/act", approve=True)

    async def forget_keys(self) -> None:
        """After a day of its clock."""
        await self.play.advance(_DAY_SECONDS)

    async def count_effects(self, key: str) -> int:
        """By its audit."""
        return sum((await self.play.count(key)).values())

    def sign(self, body: bytes) -> Mapping[str, str]:
        """With the secret of our endpoint."""
        return sign(parse_secret(self.secret), new_id("evt_"), self.clock(), body)

    def unreachable(self) -> Gateway:
        """At a port where nobody listens."""
        return self._connect(url="http://127.0.0.1:9")

    def stranger(self) -> Gateway:
        """With another key."""
        return self._connect(api_key="sbx_unknown")


@asynccontextmanager
async def run_sandbox_rig(running: RunningSandbox) -> AsyncIterator[SandboxRig]:
    """A connection to this sandbox, whose events we hear."""
    async with (
        OutsideClient(Settings(allow_private_addresses=True)) as client,
        speaking(running) as play,
        listening(play) as (hooks, endpoint),
    ):
        yield SandboxRig(play, hooks, client, endpoint["secret"])
