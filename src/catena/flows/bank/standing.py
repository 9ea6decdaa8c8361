"""What a bank's word does to an order: how far it is then, and what its chain is to be told.

Invariant: a word that was acted upon before is acted upon again, so that a crash in between loses
nothing; one that contradicts what is booked moves nothing, and a person is told. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from catena.chains.step_types import Outcome
from catena.db.bank import OrderRow, OrderState
from catena.gateways.bank.reasons import Standing
from catena.gateways.contract import Notice

__all__ = ["AlarmKind", "Verdict", "divide_batch", "judge"]


class AlarmKind(StrEnum):
    """What a person has to look at."""

    NAME_REUSED = "name_reused"
    """A file has come under the name of another one: it was not read."""
    UNREADABLE = "unreadable_file"
    """A file cannot be read; its `code` says why. It stays stored as it came."""
    STUCK = "stuck_file"
    """A file can be read and not be taken in, which is our fault: it is tried again, and what came
    after it waits."""
    UNKNOWN_MESSAGE = "unknown_message"
    """A status report is about a file that is none of ours."""
    UNKNOWN_ORDER = "unknown_order"
    """What looks like an order of ours is none, or is in another file than a report says."""
    OTHER_ACCOUNT = "other_account"
    """Statements of an account that is not this gateway's: they are passed over."""
    GAP = "gap"
    """A statement is not whole, or does not follow upon the one before."""
    AMOUNT_DIFFERS = "amount_differs"
    """The bank has booked another amount than was ordered: its chain waits for a person."""
    BATCH_DIFFERS = "batch_differs"
    """A block was booked as one, and its count or sum is not that of our open orders."""
    REJECTED_AFTER_PAID = "rejected_after_paid"
    """Only a return brings money back: nothing was done."""
    PAID_AFTER_DECLINED = "paid_after_declined"
    """The wallet has its money back, and the bank has paid all the same: out of suspense."""
    RETURNED_AFTER_DECLINED = "returned_after_declined"
    """What it had never paid comes back."""
    PAID_TWICE = "paid_twice"
    """A second debit has the name of an order, or of a block: nothing was done about it."""
    RETURNED_TWICE = "returned_twice"
    """An order has come back a second time: nothing was done about it."""
    ACCOUNT_CLOSED_OFF = "account_closed_off"
    """An account that the bank's money goes through is frozen, blocked or closed: `about` is its
    role. It ends when it is active again."""
    OUT_OF_REACH = "out_of_reach"
    """The bank gives no files, or takes none of ours, for `bank_silence_seconds`: `about` is the
    gateway or the file. It ends when it does."""
    CREDIT_REFUSED = "credit_refused"
    """Money came in that could be booked neither to a wallet nor to suspense."""


class Verdict(NamedTuple):
    """What follows from a word. `tells`: what the chain is told, in this order; `state` and `code`
    of the order from now on, None: as it was.
    """

    tells: Sequence[Notice] = ()
    state: OrderState | None = None
    code: str = ""
    alarm: AlarmKind | None = None


_UNDECIDED: Final = frozenset({OrderState.OPEN, OrderState.SEALED, OrderState.ACCEPTED})
_NOTHING: Final = Verdict()


def judge(order: OrderRow, notice: Notice) -> Verdict:
    """What follows from a notice about an order."""
    notice = notice._replace(key=order.key)
    moved = bool(notice.details.get("moved"))
    match notice.outcome:
        case Outcome.APPROVED:
            return _judge_paid(order, notice)
        case Outcome.DECLINED if moved:
            return _judge_returned(order, notice)
        case Outcome.DECLINED:
            return _judge_rejected(order, notice)
        case _:
            accepts = notice.details.get("standing") in (Standing.ACCEPTED, Standing.SETTLED)
            if accepts and order.state is OrderState.SEALED:
                return Verdict((), OrderState.ACCEPTED, notice.code)
            return _NOTHING


def _judge_paid(order: OrderRow, notice: Notice) -> Verdict:
    if order.state is OrderState.DECLINED:
        return Verdict((notice,), OrderState.PAID, "", AlarmKind.PAID_AFTER_DECLINED)
    if order.state in _UNDECIDED:
        differs = notice.amount not in (None, order.amount) or (
            notice.currency not in (None, order.currency)
        )
        alarm = AlarmKind.AMOUNT_DIFFERS if differs else None
        return Verdict((notice,), OrderState.PAID, alarm or "", alarm)
    return Verdict((notice,)) if order.told_by == notice.id else _NOTHING


def _judge_returned(order: OrderRow, notice: Notice) -> Verdict:
    """What comes back was paid, whether or not a statement has said so yet.

    Where one has said another amount, the chain still waits: it is told of what was ordered, before
    it hears of what came back.
    """
    if notice.amount == 0:
        return _NOTHING  # no money has come
    differs = order.code == AlarmKind.AMOUNT_DIFFERS
    paid = Notice(
        f"paid:{order.end_to_end_id}" + (":returned" if differs else ""),
        notice.subject,
        Outcome.APPROVED,
        notice.at,
        key=order.key,
        reference=order.end_to_end_id,
        amount=order.amount,
        currency=order.currency,
        details={"told_by": notice.id, "moved": True},
    )
    if order.state is OrderState.DECLINED:
        return Verdict(alarm=AlarmKind.RETURNED_AFTER_DECLINED)
    if order.state is OrderState.RETURNED:
        return Verdict((paid, notice)) if order.told_by == notice.id else _NOTHING
    return Verdict((paid, notice), OrderState.RETURNED, order.code if differs else notice.code)


def _judge_rejected(order: OrderRow, notice: Notice) -> Verdict:
    if order.state in _UNDECIDED:
        return Verdict((notice,), OrderState.DECLINED, notice.code)
    if order.state is OrderState.DECLINED:
        return Verdict((notice,)) if order.told_by == notice.id else _NOTHING
    return Verdict(alarm=AlarmKind.REJECTED_AFTER_PAID)


def divide_batch(orders: Iterable[OrderRow], notice: Notice) -> list[Notice] | None:
    """What a block that was booked as one says of each of its orders; None: it does not fit them.

    It fits if its count (where it says one) and its sum are those of the orders that are undecided;
    where none is any more, it was heard before.
    """
    orders = list(orders)
    open_ones = [order for order in orders if order.state in _UNDECIDED]
    if open_ones:
        count = notice.details.get("count")
        sums = sum(order.amount for order in open_ones), {order.currency for order in open_ones}
        if count not in (None, len(open_ones)) or sums != (notice.amount, {notice.currency}):
            return None
    return [
        notice._replace(
            id=f"paid:{order.end_to_end_id}",
            reference=order.end_to_end_id,
            about=None,
            amount=order.amount,
            currency=order.currency,
        )
        for order in open_ones or [one for one in orders if one.state is OrderState.PAID]
    ]
