"""Approvals that come after somebody has said that nothing was done: made good, never dropped."""

from __future__ import annotations

import pytest

from tests.chain_bodies import balance
from tests.flows.cases import AMOUNT
from tests.flows.gateways import Shop, View, card, find_out, to_bank

HOUR = 3600
STRAY = "late_approval"


def give_up(shop: Shop, thing: View, step: str) -> View:
    """Somebody says that nothing was done; gives how it ended."""
    shop.until_step(thing, step, "unknown")
    told = {"reason": "the bank knows nothing"}
    path = f"/v1/chains/{thing['chain_id']}/steps/{step}/mark-refused"
    assert shop.service.post(path, told).status_code == 200
    return shop.until(thing, "failed")


@pytest.mark.parametrize("capture", ["automatic", "manual"])
def test_a_charge_that_was_done_after_all_is_given_back(shop: Shop, capture: str) -> None:
    """By a chain of its own, once, however often it is told."""
    before, wallet = shop.books(), shop.funded()
    shop.break_next("/v1/charges", "dropped_after", 1, "POST")
    shop.break_next("/v1/charges", method="GET")
    deposit = shop.pay_in(wallet, AMOUNT, card(webhooks="late"), capture=capture)
    give_up(shop, deposit, "charge")
    shop.mend()
    shop.advance(HOUR)
    (stray,) = find_out(
        lambda: shop.chains(STRAY, deposit["chain_id"]),
        lambda found: [one["state"] for one in found] == ["completed"],
    )
    event = told_of(shop, deposit)
    assert shop.sandbox.post(f"/v1/events/{event['id']}/resend").status_code == 200
    assert [one["id"] for one in shop.chains(STRAY, deposit["chain_id"])] == [stray["id"]]
    counts = shop.counts(deposit["chain_id"], stray["id"])
    wanted = {"authorisation": 1} if capture == "manual" else {"charge": 1, "refund": 1}
    assert counts == wanted
    assert balance(shop.service, wallet) == (0, 0)
    shop.check_since(before, 0, 0, 0, 0, 0)


def told_of(shop: Shop, thing: View) -> View:
    """The event with a key of this chain."""
    query = {"limit": "1000"}
    events: list[View] = []
    while True:
        page = shop.sandbox.get("/v1/events", params=query).json()
        events += page["data"]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    return next(one for one in events if (one["data"]["key"] or "").startswith(thing["chain_id"]))


def test_a_payout_that_was_made_after_all_waits_for_a_person(shop: Shop) -> None:
    """It cannot be undone: it is seen, and the wallet keeps what it has until somebody decides."""
    wallet = shop.funded(AMOUNT)
    shop.break_next("/v1/payouts", "dropped_after", 1, "POST")
    shop.break_next("/v1/payouts", method="GET")
    withdrawal = shop.pay_out(wallet, AMOUNT, to_bank(webhooks="late"))
    give_up(shop, withdrawal, "payout")
    shop.mend()
    assert balance(shop.service, wallet) == (AMOUNT, 0)
    shop.advance(HOUR)
    (stray,) = find_out(lambda: shop.chains(STRAY, withdrawal["chain_id"]), bool)
    assert stray["state"] == "executing"
    assert shop.counts(withdrawal["chain_id"]) == {"payout": 1}
    shop.apart -= AMOUNT  # what was paid out nobody has booked so far


def test_a_refusal_that_nobody_waits_for_changes_nothing(shop: Shop) -> None:
    """It says again what somebody had said."""
    before, wallet = shop.books(), shop.funded()
    shop.break_next("/v1/charges", "dropped_after", 1, "POST")
    shop.break_next("/v1/charges", method="GET")
    deposit = shop.pay_in(wallet, AMOUNT, card("tok_declined_lost_card", webhooks="late"))
    give_up(shop, deposit, "charge")
    shop.mend()
    shop.advance(HOUR)
    assert shop.chains(STRAY, deposit["chain_id"]) == []
    shop.check_since(before, 0, 0, 0, 0, 0)
