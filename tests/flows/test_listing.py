"""Lists of deposits and withdrawals, and what is told of them besides their own states."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import pytest

from tests.flows.gateways import Shop, View, card, find_out, to_bank
from tests.flows.test_captures import MANUAL

AMOUNT: Final = 1000
HOUR: Final = 3600


def wallet_of(shop: Shop, user: str, amount: int = 0) -> str:
    """A wallet of this user's."""
    body = {"currency": "USD", "user_id": user}
    wallet: str = shop.service.make("/v1/accounts", body)["id"]
    if amount:
        deposit = {"account_id": wallet, "amount": amount, "currency": "USD"}
        shop.service.make("/v1/deposits", deposit)
    return wallet


def listed(shop: Shop, path: str, **wanted: object) -> list[View]:
    """All pages, by small ones."""
    items: list[View] = []
    query: dict[str, Any] = {"limit": 2, **wanted}
    while True:
        page = shop.service.read(path, **query)
        items += page["items"]
        if page["next"] is None:
            return items
        query["cursor"] = page["next"]


def test_deposits_are_found_by_what_they_are(shop: Shop) -> None:
    """By wallet, user, state, gateway, reference and time, the newest first, as each is read."""
    user, reference = uuid4().hex, uuid4().hex
    one, other = wallet_of(shop, user), wallet_of(shop, user)
    earner = wallet_of(shop, uuid4().hex)
    fee = [{"type": "fixed", "name": "desk", "amount": 1, "account_id": one}]
    made = [
        shop.pay_in(one, AMOUNT, card(), reference=reference),
        shop.pay_in(other, AMOUNT, card("tok_declined_lost_card")),
        shop.pay_in(one, AMOUNT, card(), **MANUAL),
        shop.pay_in(other, AMOUNT, card(), **MANUAL),
        shop.pay_in(earner, AMOUNT, card(), fees=fee),
    ]
    states = ("completed", "failed", "authorised", "authorised", "completed")
    for thing, state in zip(made, states, strict=True):
        shop.until(thing, state)
    assert shop.command(made[3], "cancel", reason="not wanted").status_code == 200
    shop.until(made[3], "cancelled")
    *own, foreign = (shop.read(thing) for thing in made)

    def found(**wanted: object) -> list[View]:
        return listed(shop, "/v1/deposits", **wanted)

    assert found(user_id=user) == own[::-1]
    assert found(account_id=one) == [own[2], own[0]]
    assert found(account_id=one, user_id=foreign["id"]) == []
    assert found(user_id=user, state="completed") == [own[0]]
    assert found(user_id=user, state="failed") == [own[1]]
    assert found(user_id=user, state=["authorised", "cancelled"]) == own[:1:-1]
    assert found(user_id=user, state="failing") == []
    assert found(reference=reference) == [own[0]]
    assert found(reference=reference, account_id=other) == []
    assert found(account_id=other, gateway="sandbox") == [own[3], own[1]]
    assert found(account_id=other, gateway="stripe") == []
    assert found(user_id=user, start=own[2]["created_at"]) == own[:1:-1]
    assert found(user_id=user, end=own[2]["created_at"]) == own[1::-1]
    assert found(start=own[0]["created_at"]) == [foreign, *own[::-1]]
    assert found(state="completed", start=own[0]["created_at"]) == [foreign, own[0]]
    assert listed(shop, "/v1/withdrawals", user_id=user) == []


def test_withdrawals_are_found_by_what_they_are(shop: Shop) -> None:
    """As deposits are."""
    user, reference = uuid4().hex, uuid4().hex
    wallet = wallet_of(shop, user, 5000)
    done = shop.until(shop.pay_out(wallet, AMOUNT, to_bank(), reference=reference), "completed")
    refused = shop.until(shop.pay_out(wallet, AMOUNT, to_bank("acct_rejected")), "failed")
    for wanted, items in (
        ({"user_id": user}, [refused, done]),
        ({"account_id": wallet, "state": "completed"}, [done]),
        ({"account_id": wallet, "state": ["failed", "pending"]}, [refused]),
        ({"reference": reference}, [done]),
    ):
        assert listed(shop, "/v1/withdrawals", **wanted) == items
    assert listed(shop, "/v1/deposits", user_id=user) == []


@pytest.mark.parametrize("query", [{"state": "gone"}, {"start": "2026-02-01T00:00:00Z"}])
def test_what_no_list_takes(shop: Shop, query: dict[str, str]) -> None:
    """It is said which."""
    more = {"end": "2026-01-01T00:00:00Z"} if "start" in query else {}
    answer = shop.service.get("/v1/deposits", **query, **more)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_dispute_is_told_of(shop: Shop) -> None:
    """What the payer's bank has taken is no more to be refunded, until it is won."""
    deposit = shop.until(shop.pay_in(shop.funded(), AMOUNT, card()), "completed")
    assert (deposit["refunded"], deposit["disputed"], deposit["refundable"]) == (0, 0, AMOUNT)
    dispute = shop.ask("/v1/disputes", charge=deposit["gateway_reference"], amount=400)
    told = find_out(lambda: shop.read(deposit), lambda one: one["disputed"] == 400)
    assert (told["refunded"], told["refundable"]) == (0, 600)
    shop.ask(f"/v1/disputes/{dispute['id']}/close", outcome="won")
    told = find_out(lambda: shop.read(deposit), lambda one: one["disputed"] == 0)
    assert (told["refunded"], told["refundable"]) == (0, AMOUNT)


def test_what_is_taken_back_by_hand_is_no_more_to_be_refunded(shop: Shop) -> None:
    """The deposit's own entry says so."""
    deposit = shop.until(shop.pay_in(shop.funded(), AMOUNT, card()), "completed")
    path = f"/v1/entries/{deposit['entry_id']}"
    shop.service.make(f"{path}/refund", {"amount": 100})
    told = shop.read(deposit)
    assert (told["refunded"], told["refundable"]) == (100, 900)
    other = shop.until(shop.pay_in(shop.funded(), AMOUNT, card()), "completed")
    shop.service.make(f"/v1/entries/{other['entry_id']}/reverse", {})
    told = shop.read(other)
    assert (told["refunded"], told["refundable"]) == (0, 0)
    answer = shop.command(other, "refunds")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_reversed")
    moved = {"account_id": told["account_id"], "amount": AMOUNT + 100, "currency": "USD"}
    shop.service.make("/v1/deposits", {**moved, "through": "holding"})  # nothing stays there


def test_entries_of_chains_are_found_by_their_references(shop: Shop) -> None:
    """Those of several may share one; each is found once, with those by hand, in pages."""
    reference, wallet = uuid4().hex, shop.funded()
    shop.until(shop.pay_in(wallet, AMOUNT, card(), reference=reference), "completed")
    step = {"account_id": wallet, "amount": 1, "currency": "USD", "reference": reference}
    for _ in range(3):
        steps = [{"name": "top_up", "type": "deposit", "inputs": step}]
        shop.service.make("/v1/chains", {"steps": steps})
    transfer = {"source_account_id": wallet, "destination_account_id": shop.funded()}
    by_hand = {**transfer, "amount": 1, "currency": "USD", "reference": reference}
    last = shop.service.make("/v1/transfers", by_hand)["id"]
    items = listed(shop, "/v1/entries", reference=reference)
    assert [one["type"] for one in items] == ["transfer", *["deposit"] * 4]
    assert (items[0]["id"], len({one["id"] for one in items})) == (last, 5)
    upwards = listed(shop, "/v1/entries", reference=reference, order="ascending")
    assert upwards == items[::-1]
    deposits = listed(shop, "/v1/entries", reference=reference, type="deposit")
    assert deposits == items[1:]
    assert listed(shop, "/v1/entries", reference=reference, type="fee") == []
