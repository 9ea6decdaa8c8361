"""Takes in what a bank says: of orders to their chains, of money that came in to whose it is.

Invariant: the order's state and the alarm are stored first, then the chain is told; whoever does it
again after a crash does the same, and the journal takes each notice in once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from catena.chains.calls import read_key
from catena.chains.states import StepState
from catena.chains.step_types import Outcome
from catena.db.bank import OrderRow, load_file_orders, load_orders, move_orders
from catena.db.bank_alarms import Alarm
from catena.db.notices import load_notices
from catena.db.read.chains import read_chain
from catena.flows.bank.standing import AlarmKind, Verdict, divide_batch, judge
from catena.flows.credit import find_owner, take_credit
from catena.gateways.contract import Notice, Subject

if TYPE_CHECKING:
    from catena.flows.bank.rail import Rail

__all__ = ["WAVE", "take_notices"]

WAVE: Final = 200
"""Notices that are taken in at once, at most; no two of them are of one order."""


async def take_notices(rail: Rail, notices: Iterable[Notice], since: str) -> None:
    """Take these in, in their order. `since`: digits of the id of what told them.

    Raises CatenaError where one could not be: all of them are to be taken in again then.
    """
    for wave in _divide(notices):
        plain = [notice for notice in wave if not notice.details.get("batch")]
        for batch in (notice for notice in wave if notice.details.get("batch")):
            plain += await _open_batch(rail, batch)
        credits = [notice for notice in plain if notice.subject is Subject.CREDIT]
        about = [notice for notice in plain if notice.subject is not Subject.CREDIT]
        strangers = await _take_orders(rail, about, since)
        await _gather(_take_credit(rail, notice, since) for notice in (*credits, *strangers))


def _divide(notices: Iterable[Notice]) -> Iterator[list[Notice]]:
    """Waves in which each order is spoken of once."""
    wave: list[Notice] = []
    names: set[str] = set()
    for notice in notices:
        name = notice.reference or notice.id
        batch = bool(notice.details.get("batch"))
        if wave and (len(wave) >= WAVE or name in names or batch):
            yield wave
            wave, names = [], set()
        wave.append(notice)
        names.add(name)
        if batch:  # what it speaks of is not known yet
            yield wave
            wave, names = [], set()
    if wave:
        yield wave


async def _gather(work: Iterable[Awaitable[object]]) -> None:
    """Do all of it at once; raises the first error when all have ended."""
    for found in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found


async def _open_batch(rail: Rail, batch: Notice) -> list[Notice]:
    """What a block that was booked as one says of its orders; where it does not fit, an alarm."""
    block = batch.about or ""
    async with rail.pool.acquire() as connection:
        found = await load_file_orders(
            connection, rail.ledger.number, rail.name, block.rpartition("-")[0]
        )
    orders = [order for order in found if order.block_id == block]
    notices = divide_batch(orders, batch) if orders else None
    if notices is None:
        kind = AlarmKind.BATCH_DIFFERS if orders else AlarmKind.UNKNOWN_ORDER
        told = {"count": batch.details.get("count"), "amount": batch.amount}
        await rail.raise_alarms([rail.alarm(kind, block, currency=batch.currency, **told)])
    return notices or []


async def _take_orders(rail: Rail, notices: Sequence[Notice], since: str) -> list[Notice]:
    """Take in what is said of orders; gives what came back of orders that are none of ours."""
    names = {notice.reference for notice in notices if notice.reference is not None}
    if not names:
        return []
    async with rail.pool.acquire() as connection:
        found = await load_orders(connection, rail.ledger.number, rail.name, names)
    orders = {order.end_to_end_id: order for order in found}
    verdicts: list[tuple[Notice, OrderRow, Verdict]] = []
    strangers, alarms = [], []
    for notice in notices:
        order = orders.get(notice.reference or "")
        if order is None:
            alarms.append(_complain(rail, AlarmKind.UNKNOWN_ORDER, notice))
            if notice.outcome is Outcome.DECLINED and notice.details.get("moved"):
                strangers.append(notice)
            continue
        verdict = judge(order, notice)
        if verdict.tells and await _is_done(rail, notice, order):
            verdict = Verdict(alarm=AlarmKind.REJECTED_AFTER_PAID)
        verdicts.append((notice, order, verdict))
        if verdict.alarm is not None:
            alarms.append(_complain(rail, verdict.alarm, notice, order))
    await rail.raise_alarms(alarms)
    moves = [
        (order, verdict.state, verdict.code, notice.id)
        for notice, order, verdict in verdicts
        if verdict.state is not None
    ]
    if moves:
        async with rail.pool.acquire() as connection:
            moved = await move_orders(connection, rail.ledger.number, rail.name, moves)
        if len(moved) < len(moves):  # a delivery has just been refused, or somebody reads it, too
            return await _take_orders(rail, notices, since)
    await _tell(rail, [verdict.tells for _, _, verdict in verdicts])
    return strangers


async def _is_done(rail: Rail, notice: Notice, order: OrderRow) -> bool:
    """Whether the chain counts as paid what is rejected, since a person has said so."""
    if notice.outcome is not Outcome.DECLINED or notice.details.get("moved"):
        return False
    key = read_key(order.key)
    if key is None:
        return False
    async with rail.pool.acquire() as connection:
        chain = await read_chain(connection, rail.ledger.number, key.chain)
    run = chain.steps.get(key.step) if chain is not None else None
    return run is not None and run.state is StepState.COMPLETED


def _complain(rail: Rail, kind: AlarmKind, notice: Notice, order: OrderRow | None = None) -> Alarm:
    key = None if order is None else read_key(order.key)
    return rail.alarm(
        kind,
        notice.reference or notice.id,
        notice=notice.id,
        amount=notice.amount,
        currency=notice.currency,
        code=notice.code,
        told_by=notice.details.get("told_by"),
        **({} if key is None else {"chain_id": key.chain}),
    )


async def _tell(rail: Rail, tells: Sequence[Sequence[Notice]]) -> None:
    """Tell each order's chain, in its order, what it has not been told."""
    ids = [(rail.name, notice.id) for each in tells for notice in each]
    if not ids:
        return
    async with rail.pool.acquire() as connection:
        heard = await load_notices(connection, rail.ledger.number, ids)
    known = {id for id, one in heard.items() if one.chain is not None and one.began is None}
    await _gather(
        _tell_one(rail, [one for one in each if (rail.name, one.id) not in known]) for each in tells
    )


async def _tell_one(rail: Rail, notices: Sequence[Notice]) -> None:
    for notice in notices:
        await rail.intake.take(rail.ledger, rail.name, notice)


async def _take_credit(rail: Rail, notice: Notice, since: str) -> None:
    """Money that came in, or is taken back: to its owner, else to suspense."""
    if not notice.amount:
        return
    owner = await find_owner(rail.pool, rail.ledger, rail.name, notice)
    journal = rail.intake.journal
    taken = await take_credit(journal, rail.ledger, rail.name, notice, wallet=owner, since=since)
    if taken.chain is None and owner is not None:  # the wallet does not take it
        taken = await take_credit(journal, rail.ledger, rail.name, notice, wallet=None, since=since)
    if taken.chain is None:
        await rail.raise_alarms([_complain(rail, AlarmKind.CREDIT_REFUSED, notice)])
