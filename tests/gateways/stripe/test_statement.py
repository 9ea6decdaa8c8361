"""Statements: every movement on the balance, whole and in order, or none."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from catena.errors import Unavailable
from catena.gateways.contract import Gateway, StatementLine, Subject
from tests.gateways.stripe.running import AT, Proxy
from tests.gateways.stripe.shapes import (
    ABOUT,
    balance_line,
    charge,
    dispute,
    error,
    listing,
    refund,
)

PATH = "/v1/balance_transactions"
DAY = dt.timedelta(days=1)


async def read(stripe: Gateway, first: dt.datetime = AT - DAY, end: dt.datetime = AT) -> Any:  # noqa: ANN401  # lines
    """The statement of a day."""
    assert stripe.read_statement is not None
    return list(await stripe.read_statement(first, end))


async def test_lines_come_oldest_first_from_every_page(stripe: Gateway, proxy: Proxy) -> None:
    """Stripe lists the newest first, page by page; a statement is told as it happened."""
    newest = balance_line("txn_3", "refund", -600, source=refund())
    middle = balance_line("txn_2", "charge", 1099, fee=46, source=charge(), description="Order 7")
    oldest = balance_line("txn_1", "stripe_fee", -200)
    proxy.answers("GET", PATH, listing(newest, middle, more=True))
    proxy.answers("GET", PATH, listing(oldest))
    assert await read(stripe) == [
        StatementLine("txn_1", Subject.FEE, -200, 0, "EUR", None, AT, "stripe_fee"),
        StatementLine("txn_2", Subject.CHARGE, 1099, 46, "EUR", ABOUT, AT, "Order 7"),
        StatementLine(
            "txn_3", Subject.REFUND, -600, 0, "EUR", "re_3PayRefund", AT, "refund", ABOUT
        ),
    ]
    first, second = proxy.heard()
    assert first["form"] == [
        ("limit", "100"),
        ("created[gte]", str(int((AT - DAY).timestamp()))),
        ("created[lt]", str(int(AT.timestamp()))),
        ("expand[]", "data.source"),
    ]
    assert second["form"] == [*first["form"], ("starting_after", "txn_2")]


KINDS: list[tuple[str, str, int, Any, Subject, str | None]] = [
    ("payment", "charge", 5, charge(), Subject.CHARGE, ABOUT),
    ("payment", "charge", 5, charge(payment_intent=None), Subject.CHARGE, "ch_3PayCharge"),
    ("charge", "charge", 5, "ch_7", Subject.CHARGE, "ch_7"),
    ("refund_failure", "refund_failure", 5, refund(), Subject.REFUND, "re_3PayRefund"),
    ("refund", "partial_capture_reversal", -5, refund(), Subject.CAPTURE, "re_3PayRefund"),
    ("adjustment", "dispute", -5, dispute(), Subject.DISPUTE, "du_3PayDispute"),
    ("adjustment", "dispute_reversal", 5, "du_7", Subject.DISPUTE, "du_7"),
    ("payout", "payout", -5, "po_1", Subject.PAYOUT, "po_1"),
    ("payout_failure", "payout_reversal", 5, "po_1", Subject.PAYOUT, "po_1"),
    ("a_new_type", "other_adjustment", 5, None, Subject.CREDIT, None),
    ("a_new_type", "other_adjustment", -5, None, Subject.FEE, None),
]


@pytest.mark.parametrize(("type", "category", "amount", "source", "subject", "reference"), KINDS)
async def test_a_line_speaks_of(
    stripe: Gateway,
    proxy: Proxy,
    type: str,  # Stripe's words
    category: str,
    amount: int,
    source: Any,  # noqa: ANN401  # an object, its id, or none
    subject: Subject,
    reference: str | None,
) -> None:
    """A movement of each type is one line; one that we do not know is a line, too."""
    line = balance_line("txn_1", type, amount, reporting_category=category, source=source)
    proxy.answers("GET", PATH, listing(line))
    (read_line,) = await read(stripe)
    assert (read_line.subject, read_line.reference) == (subject, reference)


@pytest.mark.parametrize(
    ("source", "about"),
    [
        (refund(), ABOUT),
        (refund(payment_intent={"id": ABOUT}), ABOUT),
        (refund(payment_intent=None), "ch_3PayCharge"),
        ("re_7", None),
        (charge(), None),
        (dispute(), None),
    ],
    ids=["refund", "expanded", "of_a_plain_charge", "not_expanded", "charge", "dispute"],
)
async def test_a_refund_names_its_charge(
    stripe: Gateway,
    proxy: Proxy,
    source: Any,  # noqa: ANN401  # an object or its id
    about: str | None,
) -> None:
    """By the name that the charge's own line has: what a chain undoes is found by that."""
    proxy.answers("GET", PATH, listing(balance_line("txn_1", "refund", -5, source=source)))
    (line,) = await read(stripe)
    assert line.about == about


async def test_neighbouring_periods_share_no_second(stripe: Gateway, proxy: Proxy) -> None:
    """A period that ends within a second and the next one, which begins there, meet in one."""
    within = AT + dt.timedelta(milliseconds=300)
    proxy.answers("GET", PATH, listing(), times=2)
    await read(stripe, AT - DAY, within)
    await read(stripe, within, AT + DAY)
    before, after = (dict(one["form"]) for one in proxy.heard())
    assert before["created[lt]"] == after["created[gte]"]


async def test_a_period_without_time_is_empty(stripe: Gateway, proxy: Proxy) -> None:
    """Nothing is asked about no time at all."""
    assert await read(stripe, AT, AT) == []
    assert proxy.heard() == []


BROKEN: list[tuple[str, int, Any]] = [
    ("it broke", 500, error()),
    ("our key is not in force", 401, error()),
    ("it is no list", 200, {"object": "list"}),
    ("it does not say whether it ends", 200, {"data": [], "object": "list"}),
    ("its page has no last line", 200, listing(more=True)),
    ("a line is none", 200, {**listing(), "data": ["txn_1"]}),
    ("a line does not add up", 200, listing({**balance_line("txn_1", "charge", 5), "net": 4})),
    ("a line has no amount", 200, listing({**balance_line("txn_1", "charge", 5), "amount": "5"})),
    ("a line has half an ISK", 200, listing(balance_line("txn_1", "charge", 5, currency="isk"))),
]


@pytest.mark.parametrize(
    ("status", "body"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
async def test_a_statement_that_is_not_whole_is_none(
    stripe: Gateway,
    proxy: Proxy,
    status: int,
    body: Any,  # noqa: ANN401  # any JSON
) -> None:
    """A statement that lacks a line would show differences that there are none."""
    proxy.answers("GET", PATH, body, status)
    with pytest.raises(Unavailable):
        await read(stripe)


async def test_a_list_that_repeats_itself_is_none(stripe: Gateway, proxy: Proxy) -> None:
    """Pages that begin again would be read for ever."""
    proxy.answers("GET", PATH, listing(balance_line("txn_1", "charge", 5), more=True), times=2)
    with pytest.raises(Unavailable):
        await read(stripe)
