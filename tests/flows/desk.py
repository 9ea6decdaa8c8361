"""A desk where a test hands in notices, over a ledger of its own; the gateway's calls it answers
itself.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from catena.chains.answers import answer
from catena.chains.calls import begin
from catena.chains.chain import Chain
from catena.chains.definition import Definition
from catena.chains.step_types import Answer, Call, Catalogue, Direction, Outcome
from catena.db.notices import list_notices
from catena.engine.stray import StrayStep
from catena.flows.deposit import DepositTerms, define_deposit
from catena.flows.notices import Intake
from catena.gateways.contract import Gateway, Notice, Subject
from catena.gateways.registry import Gateways
from catena.gateways.steps import gateway_steps
from catena.ids import CHAIN, new_id, random_fraction
from catena.journal import ChainResult, CreateChain, NoticeTaken
from catena.journal.cards import Cards
from tests.scribe import Scribe

__all__ = [
    "APPROVED",
    "AT",
    "DECLINED",
    "GATEWAY",
    "MONEY",
    "UNMATCHED",
    "Desk",
    "approval",
    "deposit_of",
    "make_cards",
]

AT: Final = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
GATEWAY: Final = "sandbox"
MONEY: Final = {"amount": 100, "currency": "USD"}
APPROVED, DECLINED = Outcome.APPROVED, Outcome.DECLINED
UNMATCHED: Final = NoticeTaken(None, None)


def make_cards() -> Cards:
    """With the gateways' step types, whose calls the tests answer themselves."""
    known = Gateways()
    known.add("ldg", Gateway(name=GATEWAY, kind="test", acts={}, look_ups={}))
    return Cards(Catalogue([*gateway_steps(known), StrayStep()]), random_fraction, 15, 10)


@dataclass
class Desk:
    """Takes notices in, over a ledger of the test's own."""

    scribe: Scribe
    intake: Intake
    told: int = 0

    async def take(self, subject: Subject, outcome: Outcome, **said: Any) -> NoticeTaken:  # noqa: ANN401  # fields of a notice
        """A fresh notice, of the `gateway` or of ours; what becomes of it."""
        self.told += 1
        gateway = said.pop("gateway", GATEWAY)
        notice = Notice(f"evt_{self.told}", subject, outcome, AT, **said)
        return await self.intake.take(self.scribe.ledger, gateway, notice)

    async def make(self, definition: Definition) -> Chain:
        """A chain of ours."""
        made = CreateChain(new_id(CHAIN), definition)
        (result,) = (await self.scribe.submit([made])).results
        assert isinstance(result, ChainResult), result
        assert result.chain is not None
        return result.chain

    async def call(
        self, chain: str, step: str, found: Answer, direction: Direction = Direction.FORWARD
    ) -> Chain:
        """A step's call is made, and answered."""
        begun = await self.scribe.run(chain, partial(begin, step=step))
        assert isinstance(begun.value, Call), begun.chain
        told = partial(
            answer, step=step, direction=direction, attempt=begun.value.attempt, found=found
        )
        result = await self.scribe.run(chain, told)
        assert result.chain is not None
        return result.chain

    async def read(self, chain: str) -> Chain:
        """A chain as it is."""
        result = await self.scribe.run(chain, lambda *_: None)
        found = await self.intake._read(self.scribe.ledger, chain)
        assert found is not None, result
        return found

    async def deposit(self, wallet: str, **terms: object) -> Chain:
        """A deposit whose charge is approved."""
        chain = await self.make(deposit_of(wallet, **terms))
        return await self.call(chain.id, "charge", approval("ch_1"))

    async def listed(self) -> list[str]:
        """The notices that nobody knows what to do with."""
        async with self.scribe.pool.acquire() as connection:
            found = await list_notices(connection, self.scribe.number, after=None, limit=100)
        return [one.told.id for one in found]


def deposit_of(wallet: str, **terms: Any) -> Definition:  # noqa: ANN401  # more of its terms
    """A deposit of 100."""
    return define_deposit(DepositTerms(GATEWAY, wallet, 100, "USD", {"token": "t"}, **terms))


def approval(reference: str) -> Answer:
    """The gateway has done it, and calls it so."""
    return Answer(APPROVED, {"reference": reference, **MONEY})
