"""The bank as a gateway: what it takes joins a file, what cannot be sent never does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from catena.chains.step_types import Answer, Outcome
from catena.gateways.bank.gateway import connect
from catena.gateways.bank.orders import PayoutOrder
from catena.gateways.bank.references import end_to_end_id
from catena.gateways.contract import Capability, Gateway, Order, StatementLine

AT = dt.datetime(2026, 9, 30, 9, tzinfo=dt.UTC)
METHOD = {"type": "iban", "iban": "DE89 3704 0044 0532 0130 00", "name": "Jörg"}


class Book:
    """What an engine keeps: the orders that it was given."""

    def __init__(self) -> None:
        self.orders: dict[str, PayoutOrder] = {}

    async def collect(self, order: PayoutOrder) -> Answer:
        """Take an order once."""
        kept = self.orders.setdefault(order.key, order)
        return Answer(Outcome.PENDING, {"reference": kept.end_to_end_id})

    async def look_up(self, key: str) -> Answer:
        """What has become of it."""
        if key not in self.orders:
            return Answer(Outcome.NOT_FOUND)
        return Answer(Outcome.PENDING, {"reference": self.orders[key].end_to_end_id})

    async def read_statement(self, first: dt.datetime, end: dt.datetime) -> Sequence[StatementLine]:
        """Nothing was booked."""
        assert first < end
        return ()

    def gateway(self) -> Gateway:
        """The gateway over it."""
        return connect(
            "bank",
            collect=self.collect,
            look_up=self.look_up,
            read_statement=self.read_statement,
            pick_day=lambda moment: moment.date() + dt.timedelta(days=1),
        )


def order(method: Mapping[str, Any] = METHOD, **more: Any) -> Order:  # noqa: ANN401  # any field
    """A payout."""
    made = Order("k1", 1000, "EUR", method, None, "for you", "cte_1", "pay", AT, 10.0)
    return made._replace(**more)


async def test_an_order_is_taken() -> None:
    """Once for its key, and it is pending under its EndToEndId."""
    book = Book()
    pay = book.gateway().acts[Capability.PAYOUT]
    look = book.gateway().look_ups[Capability.PAYOUT]
    assert (await look(order())).outcome is Outcome.NOT_FOUND
    answers = {str(await pay(order(repeats=repeats))) for repeats in (False, True)}
    assert answers == {str(await look(order()))}
    assert book.orders == {
        "k1": PayoutOrder(
            "k1",
            end_to_end_id("k1"),
            1000,
            "EUR",
            "Jörg",
            "DE89370400440532013000",
            dt.date(2026, 10, 1),
            None,
            "for you",
        )
    }


async def test_what_a_method_can_say() -> None:
    """A BIC, and what the payee reads: a creditor reference however it is written."""
    book = Book()
    method = {**METHOD, "bic": "COBADEFF", "remittance": "RF18 5390 0754 7034"}
    answer = await book.gateway().acts[Capability.PAYOUT](order(method))
    assert answer.outcome is Outcome.PENDING
    assert book.orders["k1"][7:] == ("COBADEFF", "RF18539007547034")


FAULTS: dict[str, dict[str, Any]] = {
    "type is iban": {"type": "card"},
    "no more than": {"pin": "1"},
    "iban is no IBAN": {"iban": "DE88370400440532013000"},
    "name is empty": {"name": ""},
    "name is a text": {"name": 7},
    "bic is no BIC": {"bic": "x"},
    "remittance has more": {"remittance": "x" * 141},
}


@pytest.mark.parametrize("said", FAULTS)
async def test_a_method_that_is_none(said: str) -> None:
    """It is declined for good, before anything is kept; the reason repeats nothing."""
    book = Book()
    gateway = book.gateway()
    method = METHOD | FAULTS[said]
    assert [said in fault for fault in gateway.check(Capability.PAYOUT, method)] == [True]
    answer = await gateway.acts[Capability.PAYOUT](order(method))
    assert (answer.outcome, answer.code, answer.permanent) == (
        Outcome.DECLINED,
        "order_refused",
        True,
    )
    assert said in answer.detail
    assert book.orders == {}


@pytest.mark.parametrize(
    "more", [{"currency": "USD"}, {"amount": 0}, {"note": "王"}], ids=lambda more: str(*more)
)
async def test_an_order_that_cannot_be_sent(more: dict[str, Any]) -> None:
    """Nor is one whose amount, currency or text SEPA does not carry."""
    book = Book()
    answer = await book.gateway().acts[Capability.PAYOUT](order(**more))
    assert (answer.outcome, answer.code) == (Outcome.DECLINED, "order_refused")
    assert book.orders == {}


async def test_what_it_can_do() -> None:
    """Payouts and statements; it has no webhook, and no opinion on what it cannot do."""
    gateway = Book().gateway()
    assert gateway.capabilities == {Capability.PAYOUT, Capability.STATEMENT}
    assert list(gateway.check(Capability.CHARGE, {})) == []
    assert gateway.read_statement is not None
    assert await gateway.read_statement(AT, AT + dt.timedelta(days=1)) == ()
