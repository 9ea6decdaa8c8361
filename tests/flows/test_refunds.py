"""Refunds of deposits: whole, in parts, too much, at once, at the gateway's own pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

import pytest

from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.cases import AMOUNT
from tests.flows.gateways import LONG, Shop, View, card, find_out
from tests.flows.test_captures import MANUAL
from tests.flows.test_deposits import DECIDED, HOUR, MANNERS, WIRES
from tests.postgres import Database
from tests.server import Client, make_key

ONCE: Final = {"refund": 1}
OUTSIDE: Final = "gateway.refunded"


def paid_in(shop: Shop, magic: str = "tok_approved", **more: object) -> View:
    """A deposit that is completed."""
    deposit = shop.pay_in(shop.funded(), AMOUNT, card(magic, **more))
    return shop.until(deposit, "completed")


def check_wallet(shop: Shop, deposit: View, amount: int) -> None:
    """The deposit's wallet has so much, and nothing of it is kept back."""
    find_out(lambda: balance(shop.service, deposit["account_id"]), lambda now: now == (amount, 0))


@pytest.mark.parametrize("parts", [[None], [400], [400, 600], [1, 2, 3, 994]])
def test_a_refund_whole_and_in_parts(shop: Shop, parts: list[int | None]) -> None:
    """The payer has it again, and the wallet has it no more."""
    before, deposit = shop.books(), paid_in(shop)
    refunds = [shop.until(shop.refund(deposit, part)) for part in parts]
    assert {one["state"] for one in refunds} == {"completed"}
    left = AMOUNT - sum(one["amount"] for one in refunds)
    check_wallet(shop, deposit, left)
    assert all(shop.counts(one["chain_id"]) == ONCE for one in refunds)
    shop.check_since(before, left, 0, 0, 0, left)


def test_a_refund_of_a_part_that_was_captured(shop: Shop) -> None:
    """Left out, its amount is what was captured."""
    deposit = shop.pay_in(shop.funded(), AMOUNT, card(), **MANUAL)
    shop.until(deposit, "authorised")
    shop.command(deposit, "capture", amount=300)
    refund = shop.until(shop.refund(shop.until(deposit, "completed")))
    assert (refund["state"], refund["amount"]) == ("completed", 300)
    check_wallet(shop, deposit, 0)


def test_more_than_the_deposit_is_not_refunded(shop: Shop) -> None:
    """Nor more than the wallet has; nobody asks the gateway for it, and nothing is made."""
    deposit = paid_in(shop)
    assert shop.until(shop.refund(deposit, 700))["state"] == "completed"
    for amount in (301, AMOUNT + 1):
        answer = shop.command(deposit, "refunds", amount=amount)
        assert (answer.status_code, answer.json()["code"]) == (422, "refund_exceeds_entry")
    poor = paid_in(shop)
    shop.until(shop.pay_out(poor["account_id"], 800, {"type": "bank", "account": "acct_paid"}))
    assert shop.command(poor, "refunds", amount=201).json()["code"] == "insufficient_funds"
    assert len(shop.chains("gateway.refund", deposit["chain_id"])) == 1
    assert not shop.chains("gateway.refund", poor["chain_id"])
    check_wallet(shop, deposit, 300)
    check_wallet(shop, poor, 200)


def test_what_is_left_is_refunded(shop: Shop) -> None:
    """An amount that is left out is what was not refunded yet, here or at the gateway."""
    deposit = paid_in(shop)
    shop.until(shop.refund(deposit, 300), "completed")
    shop.ask("/v1/refunds", charge=deposit["gateway_reference"], amount=200)
    find_out(lambda: shop.chains(OUTSIDE, deposit["chain_id"]), bool)
    told = find_out(lambda: shop.read(deposit), lambda one: one["refunded"] == 500)
    assert (told["disputed"], told["refundable"]) == (0, 500)
    rest = shop.until(shop.refund(deposit))
    assert (rest["state"], rest["amount"]) == ("completed", 500)
    told = shop.read(deposit)
    assert (told["refunded"], told["refundable"]) == (AMOUNT, 0)
    answer = shop.command(deposit, "refunds")
    assert (answer.status_code, answer.json()["code"]) == (422, "refund_exceeds_entry")
    check_wallet(shop, deposit, 0)
    listed = shop.service.read(f"/v1/deposits/{deposit['id']}/refunds", limit=1)
    assert (listed["items"], listed["next"] is None) == ([rest], False)


def test_refunds_at_once_never_exceed_the_deposit(shop: Shop) -> None:
    """Whoever is first has it; the rest are refused by the books, not by the gateway."""
    before, deposit = shop.books(), paid_in(shop)
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda _: shop.command(deposit, "refunds", amount=300), range(8)))
    made = [answer.json() for answer in asked if answer.status_code == 202]
    refused = [answer.json()["code"] for answer in asked if answer.status_code == 422]
    assert {shop.until(one)["state"] for one in made} == {"completed"}
    assert (len(made), refused) == (3, ["refund_exceeds_entry"] * 5)
    check_wallet(shop, deposit, 100)
    shop.check_since(before, 100, 0, 0, 0, 100)


def test_what_is_not_completed_is_not_refunded(shop: Shop) -> None:
    """A deposit that is on its way is cancelled, and one that failed has given all back."""
    deposit = shop.pay_in(shop.funded(), AMOUNT, card("tok_declined_lost_card"))
    shop.until(deposit, "failed")
    assert shop.command(deposit, "refunds").status_code == 409


def test_a_refund_that_is_decided_later(shop: Shop) -> None:
    """Until then it is on its way, and the wallet lacks it."""
    deposit = paid_in(shop, "tok_refund_pending")
    refund = shop.refund(deposit, 400)
    shop.until_step(refund, "refund", "waiting")
    check_wallet(shop, deposit, 600)
    shop.advance(DECIDED)
    assert shop.until(refund)["state"] == "completed"
    assert shop.counts(refund["chain_id"]) == ONCE


def test_a_refund_that_is_declined(shop: Shop) -> None:
    """The wallet has it again, and another can be asked for."""
    before, deposit = shop.books(), paid_in(shop, "tok_refund_declined")
    refund = shop.until(shop.refund(deposit, 400))
    assert (refund["state"], refund["failure"]["code"]) == ("failed", "refund_refused")
    check_wallet(shop, deposit, AMOUNT)
    shop.check_since(before, AMOUNT, 0, 0, 0, AMOUNT)


@pytest.mark.parametrize("manner", ["", "duplicated", "reordered", "late"])
def test_a_refund_that_fails_after_it_had_succeeded(shop: Shop, manner: str) -> None:
    """The money came back: it is the wallet's, once."""
    before, deposit = shop.books(), paid_in(shop, "tok_refund_fails", webhooks=manner)
    refund = shop.until(shop.refund(deposit, 400))
    assert refund["state"] == "completed"
    shop.advance(DECIDED)
    shop.advance(HOUR)
    check_wallet(shop, deposit, AMOUNT)
    assert shop.read(refund)["state"] == "completed"
    assert len(shop.chains("gateway.returned", refund["chain_id"])) == 1
    told = shop.read(deposit)  # the payer has nothing of it; the card did not take that part
    assert (told["refunded"], told["refundable"]) == (0, AMOUNT - 400)
    assert shop.command(deposit, "refunds", amount=AMOUNT).json()["code"] == "refund_exceeds_entry"
    shop.check_since(before, AMOUNT, 0, 0, 0, AMOUNT)


@pytest.mark.parametrize("wire", WIRES)
def test_a_refund_however_it_is_answered(shop: Shop, wire: str) -> None:
    """The payer has it once."""
    before, deposit = shop.books(), paid_in(shop, wires={"refund": wire})
    refund = shop.until(shop.refund(deposit, 400))
    assert refund["state"] == "completed"
    assert shop.counts(refund["chain_id"]) == ONCE
    check_wallet(shop, deposit, 600)
    shop.check_since(before, 600, 0, 0, 0, 600)


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("wire", WIRES if LONG else WIRES[3:4])
def test_a_refund_however_it_is_told(shop: Shop, manner: str, wire: str) -> None:
    """Nothing is done twice for it."""
    deposit = paid_in(shop, webhooks=manner, wires={"refund": wire})
    refund = shop.until(shop.refund(deposit, 400))
    assert (refund["state"], shop.counts(refund["chain_id"])) == ("completed", ONCE)
    shop.advance(HOUR)
    check_wallet(shop, deposit, 600)


# --- at the gateway, without us -------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["", "duplicated", "late"])
def test_a_refund_made_at_the_gateway(shop: Shop, manner: str) -> None:
    """The wallet gives what it has, once; what it lacks is a loss."""
    before, deposit = shop.books(), paid_in(shop, webhooks=manner)
    withdrawn = shop.pay_out(deposit["account_id"], 700, {"type": "bank", "account": "acct_paid"})
    shop.until(withdrawn)
    shop.ask("/v1/refunds", charge=deposit["gateway_reference"], amount=400)
    shop.advance(HOUR)
    find_out(lambda: shop.chains(OUTSIDE, deposit["chain_id"]), bool)
    check_wallet(shop, deposit, 0)
    shop.check_since(before, -100, 0, 100, 0, -100)
    assert len(shop.chains(OUTSIDE, deposit["chain_id"])) == 1


@pytest.mark.parametrize("manner", ["", "duplicated"])
def test_a_refund_made_at_the_gateway_that_fails(shop: Shop, manner: str) -> None:
    """Who had paid for it has the money again: the wallet first, then the losses."""
    before, deposit = shop.books(), paid_in(shop, "tok_refund_fails", webhooks=manner)
    shop.until(shop.pay_out(deposit["account_id"], 700, {"type": "bank", "account": "acct_paid"}))
    shop.ask("/v1/refunds", charge=deposit["gateway_reference"], amount=400)
    find_out(lambda: shop.chains(OUTSIDE, deposit["chain_id"]), bool)
    shop.advance(DECIDED)
    find_out(shop.books, lambda now: now.since(before).losses == 0)
    check_wallet(shop, deposit, 300)
    shop.check_since(before, 300, 0, 0, 0, 300)


def test_a_refund_made_at_the_gateway_that_is_undecided_or_refused(shop: Shop) -> None:
    """Nothing has moved, and nothing is booked; a refusal is listed for a person."""
    before = shop.books()
    slow, refused = paid_in(shop, "tok_refund_pending"), paid_in(shop, "tok_refund_declined")
    shop.ask("/v1/refunds", charge=slow["gateway_reference"], amount=400)
    headers = {"Idempotency-Key": refused["id"]}
    body = {"charge": refused["gateway_reference"], "amount": 400}
    assert shop.sandbox.post("/v1/refunds", json=body, headers=headers).status_code == 402
    find_out(lambda: told_of(shop, refused), bool)
    shop.check_since(before, 2 * AMOUNT, 0, 0, 0, 2 * AMOUNT)
    shop.advance(DECIDED)
    find_out(lambda: shop.chains(OUTSIDE, slow["chain_id"]), bool)
    check_wallet(shop, slow, 600)
    check_wallet(shop, refused, AMOUNT)


def told_of(shop: Shop, deposit: View) -> list[View]:
    """The listed notices about this deposit's charge."""
    name = deposit["gateway_reference"]
    return [one for one in shop.unmatched() if one["notice"].get("about") == name]


# --- undoing a deposit is a refund, too -----------------------------------------------------------


def blocked(shop: Shop, magic: str, then: Callable[[Shop, View], object] | None = None) -> View:
    """A deposit that the gateway has, and the wallet cannot take."""
    more = {"webhooks": "none"} if then is None else {}
    shop.break_next("/v1/charges", "dropped_after", 1, "POST")
    shop.break_next("/v1/charges", method="GET")
    deposit = shop.pay_in(shop.funded(), AMOUNT, card(magic, **more))
    shop.until_step(deposit, "charge", "unknown", "completed")
    shop.service.patch(f"/v1/accounts/{deposit['account_id']}", {"status": "blocked"})
    shop.mend()
    return deposit


def test_an_undo_that_is_refused_for_good_waits_for_a_person(shop: Shop) -> None:
    """It is seen, and somebody who has given the money back by other means says so."""
    deposit = blocked(shop, "tok_refund_declined")
    step = find_out(lambda: shop.step(deposit, "charge"), lambda one: "parked" in one)
    assert (step["state"], shop.read(deposit)["state"]) == ("compensating", "failing")
    parked = shop.service.read("/v1/chains", parked="true", limit=200)["items"]
    assert deposit["chain_id"] in {one["id"] for one in parked}
    assert {"retry", "mark-done"} <= set(step["actions"])
    path = f"/v1/chains/{deposit['chain_id']}/steps/charge"
    told = {"reason": "asked the bank again"}
    assert shop.service.post(f"{path}/retry", told).status_code == 202
    find_out(lambda: shop.step(deposit, "charge"), lambda one: "parked" in one)
    done = {"reason": "given back by transfer"}
    assert shop.service.post(f"{path}/mark-done", done).status_code in (200, 202)
    assert shop.until(deposit)["state"] == "failed"
    assert shop.counts(deposit["chain_id"]) == {"charge": 1}
    shop.apart += AMOUNT  # what was given back by other means the gateway still has


def test_an_undo_that_fails_after_it_had_succeeded_is_in_suspense(shop: Shop) -> None:
    """The payer's money is with us: no wallet's, until somebody finds another way."""
    before = shop.books()
    deposit = blocked(shop, "tok_refund_fails")
    assert shop.until(deposit)["state"] == "failed"
    shop.check_since(before, 0, 0, 0, 0, 0)
    (refund,) = shop.sandbox.get("/v1/refunds").json()["data"][-1:]
    shop.advance(DECIDED)
    events = shop.sandbox.get("/v1/events", params={"about": refund["id"]}).json()["data"]
    shop.check_since(before, 0, 0, 0, 0, AMOUNT)
    again = shop.sandbox.post(f"/v1/events/{events[-1]['id']}/resend")
    assert again.status_code == 200
    shop.check_since(before, AMOUNT, 0, 0, AMOUNT, AMOUNT)
    check_wallet(shop, deposit, 0)
    items = shop.service.read("/v1/suspense", limit=200)["items"]
    (one,) = (one for one in items if one["gateway_reference"] == refund["id"])
    assert one["amount"] == AMOUNT


@pytest.mark.parametrize(("scopes", "status"), [((), 403), (("chains:call",), 202)])
def test_who_may_refund(
    shop: Shop, flows_database: Database, contract: Contract, scopes: Sequence[str], status: int
) -> None:
    """A refund sends money away, so it takes what any call to a gateway does."""
    deposit = paid_in(shop)
    key = make_key(flows_database.service_dsn, ("deposits:write", *scopes))
    address = str(shop.service.http.base_url).rstrip("/")
    client = Client(address, key.secret, shop.ledger, contract)
    with closing(client.http):
        answer = client.post(f"/v1/deposits/{deposit['id']}/refunds", {"amount": 1})
    assert answer.status_code == status
    if status == 202:
        shop.until(answer.json(), "completed")
