"""Orders leave: a file is sealed in one commit, and its bytes are delivered until the bank answers.

Invariant: a message id and its bytes are stored before anybody sends them, and only they are sent;
no transaction is open while a file is on its way, and what became of it counts under its fence.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog

from catena.chains.states import CHAIN_ENDS, ChainState
from catena.chains.step_types import Outcome
from catena.db.bank import (
    FileState,
    OpenOrders,
    OrderRow,
    OrderState,
    SealedFile,
    claim_file,
    load_file_orders,
    lock_open_orders,
    move_orders,
    settle_file,
    store_file,
    sum_open_orders,
)
from catena.flows.bank.rail import CANCELLED
from catena.flows.bank.taking import take_notices
from catena.flows.bank.watching import note_delivery
from catena.gateways.bank.orders import FileHeader, PayoutOrder, check_order
from catena.gateways.bank.pain001 import block_ids, build_pain001
from catena.gateways.bank.reasons import find_reason
from catena.gateways.bank.references import message_id
from catena.gateways.bank.transport import Delivered, Delivery
from catena.gateways.contract import Notice, Subject
from catena.ids import BANK_FILE, new_id

if TYPE_CHECKING:
    from catena.flows.bank.rail import Rail
    from catena.gateways.bank.options import BankOptions

__all__ = ["deliver_due", "is_due", "seal_due", "seal_now"]

_AGAIN_SECONDS: Final = 2.0
_AGAIN_MAX_SECONDS: Final = 900.0
"""Pauses until the same bytes are sent again: they double, from the first up to the second."""

_OVER: Final = CHAIN_ENDS | {ChainState.FAILED, ChainState.ROLLING_BACK}
"""States of chains that want nothing paid: a person has said what became of the payout."""

_log = structlog.get_logger(__name__)


def is_due(waiting: OpenOrders, options: BankOptions, now: dt.datetime) -> bool:
    """Whether a file should be sealed: by count, by age, or because a cut-off is near."""
    if not options.file_orders:
        return False
    if waiting.orders >= options.file_orders:
        return True
    if (now - waiting.oldest).total_seconds() >= options.file_seconds:
        return True
    lead = dt.timedelta(seconds=options.cutoff_lead_seconds)
    return now >= options.cutoff.moment_of(waiting.first_day) - lead


async def seal_due(rail: Rail) -> int:
    """Seal what is due; gives how many files that made."""
    sealed = 0
    while True:
        async with rail.pool.acquire() as connection:
            waiting = await sum_open_orders(connection, rail.ledger.number, rail.name)
        if waiting is None or not is_due(waiting, rail.options, rail.clock()):
            return sealed
        if not await seal_now(rail):
            return sealed
        sealed += 1


async def seal_now(rail: Rail) -> SealedFile | None:
    """Seal what waits into one file; None: nothing does, or others are at it."""
    id, ledger = new_id(BANK_FILE), rail.ledger.number
    async with rail.pool.acquire() as connection, connection.transaction():
        rows = await lock_open_orders(connection, ledger, rail.name, rail.options.file_orders)
        kept, moves = [], []
        for row, chain_state in rows:
            order = _order(row)
            if chain_state in _OVER:
                moves.append((row, OrderState.DECLINED, CANCELLED, CANCELLED))
            elif any(check_order(order)):  # as when it came: another version did that
                moves.append((row, OrderState.DECLINED, "order_refused", "order_refused"))
            else:
                kept.append(order)
        if moves:
            await move_orders(connection, ledger, rail.name, moves)
        if not kept:
            return None
        file, blocks = await asyncio.to_thread(_build, id, kept, rail.options, rail.clock())
        await store_file(connection, ledger, rail.name, file, blocks)
    _log.info("bank_file_sealed", gateway=rail.name, file=file.message_id, orders=file.orders)
    return file


def _order(row: OrderRow) -> PayoutOrder:
    return PayoutOrder(
        row.key,
        row.end_to_end_id,
        row.amount,
        row.currency,
        row.name,
        row.iban,
        row.requested_on,
        row.bic,
        row.remittance,
    )


def _build(
    id: str, orders: Sequence[PayoutOrder], options: BankOptions, now: dt.datetime
) -> tuple[SealedFile, dict[str, str]]:
    """The file, and the payment block of each order by its EndToEndId."""
    name = message_id(id)
    header = FileHeader(name, now, options.debtor.name, options.debtor)
    content = build_pain001(header, orders, options.version)
    file = SealedFile(
        id,
        name,
        len(orders),
        sum(order.amount for order in orders),
        orders[0].currency,
        now,
        FileState.SEALED,
        "",
        "",
        0,
        now,
        0,
        content,
    )
    return file, block_ids(name, orders)


async def deliver_due(rail: Rail) -> int:
    """Deliver what is due; gives how many files that were."""
    delivered = 0
    lease = rail.settings.bank_lease_seconds
    while True:
        async with rail.pool.acquire() as connection:
            file = await claim_file(connection, rail.ledger.number, rail.name, lease)
        if file is None:
            return delivered
        if file.state is FileState.REFUSING:
            await _refuse(rail, file)
        else:
            found = await rail.road.deliver(file.message_id, file.content)
            await _settle(rail, file, found)
        delivered += 1


async def _settle(rail: Rail, file: SealedFile, found: Delivered) -> None:
    """Store what became of a delivery."""
    state = {
        Delivery.TAKEN: FileState.TAKEN,
        Delivery.REFUSED: FileState.REFUSING,
        Delivery.UNKNOWN: FileState.SEALED,
    }[found.outcome]
    again = min(_AGAIN_MAX_SECONDS, _AGAIN_SECONDS * 2.0 ** min(file.tries - 1, 16))
    again = 0.0 if state is FileState.REFUSING else again
    async with rail.pool.acquire() as connection:
        settled = await settle_file(
            connection,
            rail.ledger.number,
            rail.name,
            file,
            state,
            code=found.code,
            text=found.text,
            again_seconds=again,
        )
    code = found.code if state is FileState.SEALED else ""
    await note_delivery(rail, file.message_id, file.sealed_at, code)
    told = {"gateway": rail.name, "file": file.message_id, "code": found.code, "tries": file.tries}
    tell, known = _log.warning, "bank_file_not_taken"
    if found.outcome is Delivery.TAKEN:
        tell, known = _log.info, "bank_file_taken"
    tell(known, outcome=found.outcome, settled=settled, **told)


async def _refuse(rail: Rail, file: SealedFile) -> None:
    """Decline every order of a file that was refused; whoever is killed in between, another does it
    again.
    """
    async with rail.pool.acquire() as connection:
        orders = await load_file_orders(connection, rail.ledger.number, rail.name, file.message_id)
    notices = [
        Notice(
            f"refused:{order.end_to_end_id}",
            Subject.PAYOUT,
            Outcome.DECLINED,
            rail.clock(),
            reference=order.end_to_end_id,
            code=file.code,
            text=file.text,
            details={"told_by": "delivery", "message_id": file.message_id, "moved": False},
            permanent=find_reason(file.code).permanent,
        )
        for order in orders
    ]
    await take_notices(rail, notices, file.id)
    async with rail.pool.acquire() as connection:
        await settle_file(
            connection,
            rail.ledger.number,
            rail.name,
            file,
            FileState.REFUSED,
            code=file.code,
            text=file.text,
        )
