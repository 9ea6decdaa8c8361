"""What a person says a gateway has done of which nobody hears: books and views stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx2
import pytest

from tests.chain_bodies import balance
from tests.flows.cases import AMOUNT
from tests.flows.gateways import Shop, View, card, to_bank
from tests.flows.test_refunds import check_wallet, paid_in

NAMED: Final = {"reference": "told by telephone"}
WRONG: Final[list[Mapping[str, Any]]] = [
    {},
    {**NAMED, "amount": AMOUNT - 1},
    {**NAMED, "currency": "EUR"},
    {"amount": AMOUNT, "currency": "USD"},
]


def lost(shop: Shop, kind: str) -> tuple[View, str]:
    """One of which nobody says what became of it, and its step."""
    deposit = paid_in(shop) if kind == "refunds" else None
    shop.break_next(f"/v1/{kind}", "dropped_before", 1, "POST")
    shop.break_next(f"/v1/{kind}", method="GET")
    if deposit is not None:
        made, step = shop.refund(deposit), "refund"
    elif kind == "charges":
        made, step = shop.pay_in(shop.funded(), AMOUNT, card(webhooks="none")), "charge"
    else:
        made, step = shop.pay_out(shop.funded(AMOUNT), AMOUNT, to_bank(webhooks="none")), "payout"
    shop.until_step(made, step, "unknown")
    return made, step


def say(shop: Shop, made: View, step: str, told: Mapping[str, Any]) -> httpx2.Response:
    """Say that it was done."""
    path = f"/v1/chains/{made['chain_id']}/steps/{step}/mark-done"
    return shop.service.post(path, {"result": dict(told), "reason": "They have confirmed it"})


@pytest.mark.parametrize("kind", ["charges", "payouts", "refunds"])
def test_what_was_done_has_a_name_and_is_what_was_asked_for(shop: Shop, kind: str) -> None:
    """Else what follows could not be booked; the rest is known, and the chain goes to its end."""
    made, step = lost(shop, kind)
    for told in WRONG:
        answer = say(shop, made, step, told)
        assert (answer.status_code, answer.json()["code"]) == (422, "result_mismatch")
    assert say(shop, made, step, NAMED).status_code == 200
    shop.mend()
    ended = shop.until(made)
    assert (ended["state"], ended["gateway_reference"]) == ("completed", NAMED["reference"])
    shop.apart += {"charges": -AMOUNT}.get(kind, AMOUNT)  # it was never done, and is in the books
    if kind == "charges":
        assert (ended["captured"], ended["refundable"]) == (AMOUNT, AMOUNT)
        assert shop.service.read("/v1/deposits", limit=1)["items"] == [ended]
        check_wallet(shop, ended, AMOUNT)
    elif kind == "payouts":
        assert balance(shop.service, ended["account_id"]) == (0, 0)
