"""The inbox: kept at once, applied behind, and by the sweep where this process does not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from catena.chains.step_types import Answer, Outcome
from catena.db.installation import Ledger
from catena.db.notices import Told
from catena.errors import CatenaError
from catena.flows.inbox import Inbox, Receipt
from catena.flows.notices import describe_notice
from catena.flows.sweep import Sweep
from catena.gateways.contract import Notice, Subject
from catena.settings import Settings
from tests.flows.desk import APPROVED, AT, GATEWAY, MONEY, Desk, deposit_of
from tests.postgres import Database
from tests.scribe import connect_as_owner


@dataclass
class Clerk:
    """Has an inbox over a desk, and sees what is applied."""

    desk: Desk
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Condition = field(default_factory=asyncio.Condition)
    applied: list[str] = field(default_factory=list)
    trouble: Exception | None = None
    begun: int = 0

    async def apply(self, ledger: Ledger, told: Told) -> bool:
        """Once the gate is open."""
        self.begun += 1
        await self.gate.wait()
        try:
            if self.trouble is not None:
                raise self.trouble
            return await self.desk.intake.apply(ledger, told)
        finally:
            async with self.told:
                self.applied.append(told.id)
                self.told.notify_all()

    def open(self, **settings: Any) -> Inbox:  # noqa: ANN401  # its fields
        """An inbox with these settings."""
        return Inbox(self.desk.scribe.journal, self.apply, Settings(**settings))

    async def until_applied(self, count: int) -> None:
        """Once so many were."""
        async with asyncio.timeout(10), self.told:
            await self.told.wait_for(lambda: len(self.applied) >= count)


@pytest.fixture
def clerk(desk: Desk) -> Clerk:
    """With the gate shut."""
    return Clerk(desk)


def said(*ids: str, **more: Any) -> list[Notice]:  # noqa: ANN401  # its fields
    """What a gateway says of a charge."""
    return [Notice(id, Subject.CHARGE, APPROVED, AT, **more) for id in ids]


async def test_it_is_kept_before_it_is_applied(clerk: Clerk) -> None:
    """The answer does not wait for what comes of it; the same again is kept once, applied once."""
    desk, inbox = clerk.desk, clerk.open()
    chain = await desk.make(deposit_of(await desk.scribe.open()))
    waiting = await desk.call(chain.id, "charge", Answer(Outcome.PENDING, {"reference": "ch_1"}))
    notices = said("evt_1", key=f"{chain.id}.charge.forward.1", reference="ch_1", **MONEY)
    assert await inbox.take(desk.scribe.ledger, GATEWAY, notices) == Receipt(1, 0)
    assert await inbox.take(desk.scribe.ledger, GATEWAY, notices) == Receipt(0, 1)
    assert (await desk.read(chain.id)).steps["charge"].state is waiting.steps["charge"].state
    assert await desk.listed() == ["evt_1"]
    clerk.gate.set()
    await clerk.until_applied(2)
    await inbox.close()
    assert await desk.listed() == []
    assert (await desk.read(chain.id)).state == "completed"
    assert await inbox.take(desk.scribe.ledger, GATEWAY, notices) == Receipt(0, 1)
    assert clerk.applied == ["evt_1", "evt_1"]


async def test_a_webhook_is_kept_whole_or_not_at_all(clerk: Clerk) -> None:
    """One that says two things is one commit; one that says nothing is none."""
    desk, inbox = clerk.desk, clerk.open()
    assert await inbox.take(desk.scribe.ledger, GATEWAY, []) == Receipt(0, 0)
    twice = said("a", "b", "a", reference="ch_9")
    assert await inbox.take(desk.scribe.ledger, GATEWAY, twice) == Receipt(2, 1)
    await desk.scribe.journal.close()
    with pytest.raises(CatenaError):
        await inbox.take(desk.scribe.ledger, GATEWAY, said("c"))
    await inbox.close()
    assert await desk.listed() == ["a", "b"]


async def test_it_holds_so_many_and_no_more(clerk: Clerk) -> None:
    """Those beyond are taken up by the sweep, and so are those that it lets go of at its end."""
    desk, inbox = clerk.desk, clerk.open(notice_queue_items=2, notice_hands=1)
    await inbox.take(desk.scribe.ledger, GATEWAY, said(*"abcde", reference="ch_9"))
    clerk.gate.set()
    await clerk.until_applied(2)
    await inbox.take(desk.scribe.ledger, GATEWAY, said("f", reference="ch_9"))
    await clerk.until_applied(3)
    assert clerk.applied == ["a", "b", "f"]
    clerk.gate.clear()
    await inbox.take(desk.scribe.ledger, GATEWAY, said("g", "h", reference="ch_9"))
    await inbox.close()
    assert clerk.applied == ["a", "b", "f"]
    assert await desk.listed() == list("abcdefgh")
    found: list[str] = []

    async def apply(_: Ledger, told: Told) -> bool:
        found.append(told.id)
        return False

    await Sweep(desk.scribe.pool, apply, 100).go(desk.scribe.ledger)
    assert found == list("abcdefgh")


async def test_what_comes_is_kept_before_what_came_is_applied(
    clerk: Clerk, database: Database
) -> None:
    """Each webhook that is being kept takes a hand from those that apply; a quarter stay."""
    ledger, inbox = clerk.desk.scribe.ledger, clerk.open(notice_hands=8)
    async with connect_as_owner(database) as owner, owner.transaction():
        await owner.execute("LOCK TABLE positions")
        coming = [
            asyncio.create_task(inbox.take(ledger, GATEWAY, said(f"new {n}", reference="ch_9")))
            for n in range(7)
        ]
        await asyncio.sleep(0)
        for one in said(*"abcdefghij", reference="ch_9"):
            inbox._put(ledger, Told(GATEWAY, one.id, one.subject, describe_notice(one)))
        await asyncio.sleep(0)
        assert clerk.begun == 2
        clerk.gate.set()
        await clerk.until_applied(10)
        clerk.gate.clear()
    await asyncio.gather(*coming)
    for _ in range(7):
        await asyncio.sleep(0)
    assert clerk.begun == 17
    clerk.gate.set()
    await clerk.until_applied(17)
    await inbox.close()


@pytest.mark.parametrize("trouble", [RuntimeError("odd"), ConnectionResetError("lost")])
async def test_a_hand_goes_on_whatever_goes_wrong(clerk: Clerk, trouble: Exception) -> None:
    """What could not be applied stays listed, and the next one is taken up."""
    desk, inbox = clerk.desk, clerk.open(notice_hands=1)
    clerk.trouble = trouble
    clerk.gate.set()
    await inbox.take(desk.scribe.ledger, GATEWAY, said("a", "b", reference="ch_9"))
    await clerk.until_applied(2)
    await inbox.close()
    assert await desk.listed() == ["a", "b"]


async def test_who_asked_may_be_gone(clerk: Clerk) -> None:
    """What is committed stays, and is applied."""
    desk, inbox = clerk.desk, clerk.open()
    clerk.gate.set()
    asking = asyncio.create_task(
        inbox.take(desk.scribe.ledger, GATEWAY, said("a", reference="ch_9"))
    )
    await asyncio.sleep(0)
    asking.cancel()
    await clerk.until_applied(1)
    await inbox.close()
    assert await desk.listed() == ["a"]
