"""What a bank's word does to an order: every word, in every state that an order can have."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.chains.step_types import Outcome
from catena.db.bank import OrderRow, OrderState
from catena.flows.bank.standing import AlarmKind, Verdict, divide_batch, judge
from catena.gateways.contract import Notice, Subject

AT = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
DAY = dt.date(2026, 10, 1)
NAME = "CT" + "A" * 32
KEY = f"cte_{'0' * 32}.payout.forward.1"


def order(state: OrderState, told_by: str | None = None, name: str = NAME) -> OrderRow:
    """An order that is so far."""
    return OrderRow(name, KEY, 700, "EUR", "Ada", "DE", DAY, None, "", state, "", told_by, "B-1")


def notice(id: str, outcome: Outcome, amount: int | None = 700, **details: object) -> Notice:
    """A word about it."""
    return Notice(
        id,
        Subject.PAYOUT,
        outcome,
        AT,
        reference=NAME,
        amount=amount,
        currency="EUR",
        details=details,
    )


PAID = notice(f"paid:{NAME}", Outcome.APPROVED, moved=True)
RETURNED = notice(f"returned:{NAME}", Outcome.DECLINED, moved=True)
REJECTED = notice("R1", Outcome.DECLINED, moved=False)
ACCEPTED = notice("R2", Outcome.PENDING, moved=False, standing="accepted")
RECEIVED = notice("R3", Outcome.PENDING, moved=False, standing="pending")
S, K = OrderState, AlarmKind

ROWS = [
    (S.OPEN, PAID, [PAID.id], S.PAID, None),
    (S.SEALED, PAID, [PAID.id], S.PAID, None),
    (S.ACCEPTED, PAID, [PAID.id], S.PAID, None),
    (S.PAID, PAID, [], None, None),
    (S.RETURNED, PAID, [], None, None),
    (S.DECLINED, PAID, [PAID.id], S.PAID, K.PAID_AFTER_DECLINED),
    (S.SEALED, RETURNED, [PAID.id, RETURNED.id], S.RETURNED, None),
    (S.PAID, RETURNED, [PAID.id, RETURNED.id], S.RETURNED, None),
    (S.RETURNED, RETURNED, [], None, None),
    (S.DECLINED, RETURNED, [], None, K.RETURNED_AFTER_DECLINED),
    (S.SEALED, REJECTED, [REJECTED.id], S.DECLINED, None),
    (S.ACCEPTED, REJECTED, [REJECTED.id], S.DECLINED, None),
    (S.DECLINED, REJECTED, [], None, None),
    (S.PAID, REJECTED, [], None, K.REJECTED_AFTER_PAID),
    (S.RETURNED, REJECTED, [], None, K.REJECTED_AFTER_PAID),
    (S.SEALED, ACCEPTED, [], S.ACCEPTED, None),
    (S.SEALED, RECEIVED, [], None, None),
    (S.PAID, ACCEPTED, [], None, None),
    (S.DECLINED, ACCEPTED, [], None, None),
]


@pytest.mark.parametrize(
    ("state", "told", "tells", "after", "alarm"),
    ROWS,
    ids=[f"{row[0]} {row[1].id.partition(':')[0]}" for row in ROWS],
)
def test_each_word_in_each_state(
    state: OrderState,
    told: Notice,
    tells: list[str],
    after: OrderState | None,
    alarm: AlarmKind | None,
) -> None:
    """It moves the order, tells its chain, or has a person look."""
    verdict = judge(order(state), told)
    assert [one.id for one in verdict.tells] == tells
    assert {one.key for one in verdict.tells} <= {KEY}
    assert (verdict.state, verdict.alarm) == (after, alarm)


@pytest.mark.parametrize("told", [PAID, RETURNED, REJECTED], ids=["paid", "returned", "rejected"])
def test_what_was_acted_upon_is_told_again(told: Notice) -> None:
    """A crash came between the order's state and its chain: the same word has the same effect."""
    first = judge(order(S.SEALED), told)
    assert first.state is not None
    again = judge(order(first.state, told.id), told)
    assert [one.id for one in again.tells] == [one.id for one in first.tells]
    assert (again.state, again.alarm) == (None, None)


def test_another_amount_is_seen() -> None:
    """It is paid all the same: the money has left."""
    verdict = judge(order(S.SEALED), PAID._replace(amount=699))
    assert (verdict.state, verdict.alarm) == (S.PAID, K.AMOUNT_DIFFERS)


def test_a_return_of_another_amount_completes_the_payout_first() -> None:
    """By a word that the chain has not had, whoever has to tell it again after a crash."""
    paid = order(S.PAID)._replace(code=K.AMOUNT_DIFFERS)
    first = judge(paid, RETURNED._replace(amount=650))
    told = paid._replace(state=S.RETURNED, code=first.code, told_by=RETURNED.id)
    for verdict in (first, judge(told, RETURNED._replace(amount=650))):
        assert [one.amount for one in verdict.tells] == [700, 650]
        assert verdict.tells[0].id != PAID.id


def test_a_return_of_nothing_is_none() -> None:
    """No money has come back."""
    assert judge(order(S.PAID), RETURNED._replace(amount=0)) == Verdict()


def test_a_block_speaks_of_its_orders() -> None:
    """If its count and its sum are those of the open ones; without a count the sum decides."""
    names = [f"CT{letter * 32}" for letter in "ABC"]
    orders = [order(S.SEALED, name=names[0]), order(S.ACCEPTED, name=names[1])]
    orders.append(order(S.DECLINED, name=names[2]))
    batch = notice("paid:B-1", Outcome.APPROVED, 1400, batch=True, count=2)
    found = divide_batch(orders, batch)
    assert found is not None
    assert [(one.id, one.amount) for one in found] == [(f"paid:{name}", 700) for name in names[:2]]
    assert divide_batch(orders, batch._replace(details={"batch": True})) == [
        one._replace(details={"batch": True}) for one in found
    ]
    assert divide_batch(orders, batch._replace(amount=1401)) is None
    assert divide_batch(orders, batch._replace(currency="USD")) is None
    assert divide_batch(orders, batch._replace(details={"count": 3})) is None
    paid = [one._replace(state=S.PAID) for one in orders[:2]]
    assert len(divide_batch(paid, batch) or ()) == 2
