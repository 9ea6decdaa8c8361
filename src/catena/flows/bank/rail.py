"""A bank account at work: its orders as a gateway's payouts, and what its processes share.

Invariant: an order is stored once before anybody is told that it is pending, and what its chain is
answered is what has become of it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog

from catena.chains.calls import read_key
from catena.chains.step_types import Answer, Outcome
from catena.db.bank import OrderRow, OrderState, collect_order, find_order, move_orders
from catena.db.bank_alarms import Alarm, end_alarms, raise_alarms
from catena.db.bank_inbox import list_lines
from catena.db.pool import is_lost
from catena.db.read.chains import read_chain
from catena.flows.bank.standing import AlarmKind
from catena.gateways.bank.gateway import connect
from catena.gateways.bank.reasons import find_reason
from catena.gateways.bank.references import end_to_end_id
from catena.gateways.bank.values import at_midnight
from catena.gateways.contract import Gateway, StatementLine, Subject
from catena.ids import BANK_ALARM, new_id

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.flows.notices import Intake
    from catena.gateways.bank.options import BankOptions
    from catena.gateways.bank.orders import PayoutOrder
    from catena.gateways.bank.transport import BankTransport
    from catena.settings import Settings

__all__ = ["CANCELLED", "Rail"]

CANCELLED: Final = "cancelled"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rail:
    """One bank account of a ledger. `wake`: there may be something to do."""

    name: str
    ledger: Ledger
    options: BankOptions
    road: BankTransport
    pool: Pool
    intake: Intake
    settings: Settings
    clock: Clock
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def connect(self) -> Gateway:
        """The account as a gateway."""
        return connect(
            self.name,
            collect=lambda order: _answer(self.collect(order)),
            look_up=lambda key: _answer(self.look_up(key)),
            read_statement=self.read_statement,
            pick_day=self.options.cutoff.pick_day,
        )

    async def collect(self, order: PayoutOrder) -> Answer:
        """Have it join the next file."""
        wanted = OrderRow(
            order.end_to_end_id,
            order.key,
            order.amount,
            order.currency,
            order.name,
            order.iban,
            order.requested_on,
            order.bic,
            order.remittance,
        )
        parts = read_key(order.key)
        if parts is not None and parts.round > 1:  # a person may have refused the one before
            await self._call_off(
                await self._find(f"{order.key.rpartition('.')[0]}.{parts.round - 1}")
            )
        chain = None if parts is None else parts.chain
        async with self.pool.acquire() as connection:
            stored = await collect_order(connection, self.ledger.number, self.name, wanted, chain)
        if stored[1:9] != wanted[1:9]:  # a key's calls are all the same
            return Answer(Outcome.UNKNOWN, code="order_differs")
        self.wake.set()
        return _tell(stored)

    async def look_up(self, key: str) -> Answer:
        """What has become of the order with this key."""
        order = await self._find(key)
        if order is not None and order.state is OrderState.OPEN and await self._is_called_off(key):
            await self._call_off(order)
            order = await self._find(key)
        return Answer(Outcome.NOT_FOUND) if order is None else _tell(order)

    async def _find(self, key: str) -> OrderRow | None:
        async with self.pool.acquire() as connection:
            return await find_order(connection, self.ledger.number, self.name, end_to_end_id(key))

    async def _call_off(self, order: OrderRow | None) -> None:
        """Have an order that is in no file so far never be in one."""
        if order is None or order.state is not OrderState.OPEN:
            return
        moves = [(order, OrderState.DECLINED, CANCELLED, CANCELLED)]
        async with self.pool.acquire() as connection:
            await move_orders(connection, self.ledger.number, self.name, moves)

    async def _is_called_off(self, key: str) -> bool:
        """Whether its chain would rather not have it paid, if it is not too late."""
        parts = read_key(key)
        if parts is None:
            return False
        async with self.pool.acquire() as connection:
            chain = await read_chain(connection, self.ledger.number, parts.chain)
        return chain is not None and chain.pending_failure is not None

    async def read_statement(self, start: dt.datetime, end: dt.datetime) -> Sequence[StatementLine]:
        """What the bank's statements say was booked, as far as they have been read: from the
        beginning of the first day on, for a day's lines have no other moment.
        """
        day = at_midnight(start.astimezone(dt.UTC).date())
        async with self.pool.acquire() as connection:
            lines = await list_lines(connection, self.ledger.number, self.name, day, end)
        return [
            StatementLine(
                one.id,
                Subject(one.subject),
                one.amount,
                0,
                one.currency,
                one.reference,
                one.at,
                one.text,
            )
            for one in lines
        ]

    def alarm(self, kind: AlarmKind, about: str, **details: Any) -> Alarm:  # noqa: ANN401  # any JSON
        """An alarm about something; there is one of a kind for each thing."""
        return Alarm(self.name, f"{kind}:{about}", kind, about, details, new_id(BANK_ALARM))

    async def raise_alarms(self, alarms: Sequence[Alarm]) -> None:
        """Have them listed, and log those that are new."""
        if not alarms:
            return
        async with self.pool.acquire() as connection:
            fresh = await raise_alarms(connection, self.ledger.number, alarms)
        self.log_alarms([one for one in alarms if one.name in fresh])

    async def end_alarms(self, kind: AlarmKind, abouts: Sequence[str]) -> None:
        """What alarms of this kind told about these is over."""
        names = [f"{kind}:{about}" for about in abouts]
        async with self.pool.acquire() as connection:
            await end_alarms(connection, self.ledger.number, self.name, names)

    def log_alarms(self, alarms: Sequence[Alarm]) -> None:
        """Log them."""
        for one in alarms:
            _log.error("bank_alarm", gateway=one.gateway, kind=one.kind, about=one.about)


async def _answer(found: Awaitable[Answer]) -> Answer:
    """What was found; where the database was lost, nobody knows, and it is asked again."""
    try:
        return await found
    except Exception as error:
        if not is_lost(error):
            raise
        return Answer(Outcome.UNKNOWN, code="database_lost")


def _tell(order: OrderRow) -> Answer:
    """What has become of an order, as its chain is told."""
    result = {
        "reference": order.end_to_end_id,
        "amount": order.amount,
        "currency": order.currency,
    }
    match order.state:
        case OrderState.PAID if order.code == AlarmKind.AMOUNT_DIFFERS:
            return Answer(Outcome.UNKNOWN, code=order.code)  # a person says what is to be done
        case OrderState.PAID | OrderState.RETURNED:
            return Answer(Outcome.APPROVED, result)
        case OrderState.DECLINED:
            code, reason = order.code or "declined", find_reason(order.code)
            text = "" if code == CANCELLED else reason.meaning
            return Answer(Outcome.DECLINED, result, code, text, permanent=reason.permanent)
        case _:
            return Answer(Outcome.PENDING, result)
