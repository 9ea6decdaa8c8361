"""Chargebacks: the payer takes a charge back by way of the bank, and what that costs whom."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import uuid4

import httpx2
import pytest

from catena.clock import system_clock
from catena.ledger.accounts import system_account_id
from catena.outside.signing import parse_secret, sign
from tests.chain_bodies import balance
from tests.flows.cases import AMOUNT
from tests.flows.gateways import Shop, View, card, find_out, to_bank
from tests.flows.test_captures import MANUAL
from tests.flows.test_refunds import blocked, check_wallet, paid_in

DISPUTED: Final = 20
CHARGEBACK: Final = "gateway.chargeback"
WON: Final = "gateway.chargeback_won"
MANNERS: Final = ("", "duplicated", "reordered", "forged")


def spend(shop: Shop, deposit: View, amount: int) -> None:
    """Withdraw so much of it."""
    shop.until(shop.pay_out(deposit["account_id"], amount, to_bank()), "completed")


@pytest.mark.parametrize("spent", [0, 300, AMOUNT])
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize(
    ("magic", "won"),
    [("tok_disputed", False), ("tok_dispute_lost", False), ("tok_dispute_won", True)],
)
def test_a_chargeback(shop: Shop, magic: str, manner: str, spent: int, *, won: bool) -> None:
    """The wallet gives what it has, what it lacks is a loss; both have it again if it is won."""
    before, deposit = shop.books(), paid_in(shop, magic, webhooks=manner)
    if spent:
        spend(shop, deposit, spent)
    shop.advance(DISPUTED)
    check_wallet(shop, deposit, 0)
    shop.check_since(before, -spent, 0, spent, 0, -spent)
    shop.advance(DISPUTED)
    check_wallet(shop, deposit, AMOUNT - spent if won else 0)
    moved = AMOUNT - spent if won else -spent
    shop.check_since(before, moved, 0, 0 if won else spent, 0, moved)
    assert len(shop.chains(CHARGEBACK, deposit["chain_id"])) == 1
    assert len(shop.chains(WON, deposit["chain_id"])) == won
    assert shop.read(deposit)["state"] == "completed"


def test_a_dispute_of_a_part(shop: Shop) -> None:
    """It costs that part; another is another."""
    before, deposit = shop.books(), paid_in(shop)
    name = deposit["gateway_reference"]
    first = shop.ask("/v1/disputes", charge=name, amount=300)
    find_out(lambda: shop.chains(CHARGEBACK, deposit["chain_id"]), bool)
    shop.ask("/v1/disputes", charge=name, amount=200)
    find_out(lambda: len(shop.chains(CHARGEBACK, deposit["chain_id"])), lambda count: count == 2)
    check_wallet(shop, deposit, 500)
    shop.ask(f"/v1/disputes/{first['id']}/close", outcome="won")
    find_out(lambda: shop.chains(WON, deposit["chain_id"]), bool)
    check_wallet(shop, deposit, 800)
    shop.check_since(before, 800, 0, 0, 0, 800)


def test_a_dispute_while_a_refund_is_in_the_air(shop: Shop) -> None:
    """It costs what the refund leaves: the payer has the charge back once, and nothing is lost."""
    before, deposit = shop.books(), paid_in(shop, "tok_refund_pending")
    refund = shop.refund(deposit, 400)
    shop.until_step(refund, "refund", "waiting")
    asked = {"charge": deposit["gateway_reference"], "amount": AMOUNT}
    assert shop.sandbox.post("/v1/disputes", json=asked).status_code == 422
    assert shop.ask("/v1/disputes", charge=deposit["gateway_reference"])["amount"] == 600
    find_out(lambda: shop.chains(CHARGEBACK, deposit["chain_id"]), bool)
    check_wallet(shop, deposit, 0)
    shop.check_since(before, 400, 400, 0, 0, 400)
    shop.advance(DISPUTED)
    assert shop.until(refund)["state"] == "completed"
    check_wallet(shop, deposit, 0)
    shop.check_since(before, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(("taken", "asked"), [(990, None), (990, 1), (400, 591)])
def test_what_was_taken_back_is_not_refunded(shop: Shop, taken: int, asked: int | None) -> None:
    """It is refused at once, though the wallet has as much; and a refund that was made before is
    what its key and its reference answer with.
    """
    deposit, body, key = paid_in(shop), {"amount": 10, "reference": uuid4().hex}, uuid4().hex
    shop.until(shop.pay_in(deposit["account_id"], AMOUNT, card()), "completed")
    path = f"/v1/deposits/{deposit['id']}/refunds"
    refund = shop.until(shop.service.post(path, body, key=key).json())
    shop.ask("/v1/disputes", charge=deposit["gateway_reference"], amount=taken)
    told = find_out(lambda: shop.read(deposit), lambda one: one["disputed"] == taken)
    assert told["refundable"] == AMOUNT - 10 - taken
    answer = shop.command(deposit, "refunds", amount=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "refund_exceeds_entry")
    assert "`refundable`" in answer.json()["detail"]
    assert len(shop.chains("gateway.refund", deposit["chain_id"])) == 1
    for again in (key, uuid4().hex):
        assert shop.service.post(path, body, key=again).json()["id"] == refund["id"]


def test_a_refund_that_fails_after_a_dispute_of_the_rest(shop: Shop) -> None:
    """What it had given is the wallet's again: the payer has only what was disputed."""
    before, deposit = shop.books(), paid_in(shop, "tok_refund_fails")
    refund = shop.until(shop.refund(deposit, 400))
    shop.ask("/v1/disputes", charge=deposit["gateway_reference"])
    find_out(lambda: shop.chains(CHARGEBACK, deposit["chain_id"]), bool)
    check_wallet(shop, deposit, 0)
    shop.advance(DISPUTED)
    find_out(lambda: shop.chains("gateway.returned", refund["chain_id"]), bool)
    check_wallet(shop, deposit, 400)
    shop.check_since(before, 400, 0, 0, 0, 400)


def test_a_dispute_of_what_was_captured(shop: Shop) -> None:
    """A deposit that was captured by hand is charged back as any other."""
    deposit = shop.pay_in(shop.funded(), AMOUNT, card(), **MANUAL)
    name = shop.until(deposit, "authorised")["gateway_reference"]
    shop.command(deposit, "capture", amount=300)
    shop.until(deposit, "completed")
    shop.ask("/v1/disputes", charge=name)
    find_out(lambda: shop.chains(CHARGEBACK, deposit["chain_id"]), bool)
    check_wallet(shop, deposit, 0)


def test_a_frozen_wallet_gives_nothing(shop: Shop) -> None:
    """What it holds is kept for whoever froze it; the chargeback is a loss, and won, none."""
    before, deposit = shop.books(), paid_in(shop, "tok_dispute_won")
    shop.service.patch(f"/v1/accounts/{deposit['account_id']}", {"status": "frozen"})
    shop.advance(DISPUTED)
    check_wallet(shop, deposit, AMOUNT)
    shop.check_since(before, 0, 0, AMOUNT, 0, 0)
    shop.advance(DISPUTED)
    shop.check_since(before, AMOUNT, 0, 0, 0, AMOUNT)


def test_what_is_under_lien_is_not_taken(shop: Shop) -> None:
    """It belongs to the chain that reserved it."""
    before, deposit = shop.books(), paid_in(shop, "tok_disputed")
    hold = {
        "account_id": deposit["account_id"],
        "destination_account_id": shop.funded(),
        "amount": 400,
        "currency": "USD",
        "expires_seconds": 600,
    }
    shop.service.make("/v1/holds", hold)
    shop.advance(DISPUTED)
    wallet = deposit["account_id"]
    find_out(lambda: balance(shop.service, wallet), lambda found: found == (400, 400))
    shop.check_since(before, 0, 0, 400, 0, 0)


def test_a_dispute_that_is_told_from_its_end(shop: Shop) -> None:
    """Won is heard before opened: it is listed until it can be told what to give back."""
    before = shop.books()
    deposit = paid_in(shop, webhooks="none")
    dispute = shop.ask("/v1/disputes", charge=deposit["gateway_reference"])
    shop.ask(f"/v1/disputes/{dispute['id']}/close", outcome="won")
    events = shop.sandbox.get("/v1/events", params={"about": dispute["id"]}).json()["data"]
    opened, won = events[0], events[-1]
    assert shop.sandbox.post(f"/v1/events/{won['id']}/resend").status_code == 200
    assert won["id"] in {one["id"] for one in shop.unmatched()}
    check_wallet(shop, deposit, AMOUNT)
    assert shop.sandbox.post(f"/v1/events/{opened['id']}/resend").status_code == 200
    find_out(lambda: shop.chains(WON, deposit["chain_id"]), bool)
    assert won["id"] not in {one["id"] for one in shop.unmatched()}
    check_wallet(shop, deposit, AMOUNT)
    shop.check_since(before, AMOUNT, 0, 0, 0, AMOUNT)


def test_a_dispute_of_a_charge_that_nobody_knows_yet(shop: Shop) -> None:
    """Nobody had heard of the charge: it is listed until the deposit is known, and then booked."""
    before = shop.books()
    shop.break_next("/v1/charges", "dropped_after", 1, "POST")
    shop.break_next("/v1/charges", method="GET")
    deposit = shop.pay_in(shop.funded(), AMOUNT, card("tok_disputed", webhooks="none"))
    shop.until_step(deposit, "charge", "unknown")
    shop.advance(DISPUTED)
    dispute = shop.sandbox.get("/v1/disputes").json()["data"][-1]
    (event,) = shop.sandbox.get("/v1/events", params={"about": dispute["id"]}).json()["data"]
    assert shop.sandbox.post(f"/v1/events/{event['id']}/resend").status_code == 200
    assert event["id"] in {one["id"] for one in shop.unmatched()}
    shop.mend()
    assert shop.until(deposit)["state"] == "completed"
    find_out(lambda: shop.chains(CHARGEBACK, deposit["chain_id"]), bool)
    check_wallet(shop, deposit, 0)
    shop.check_since(before, 0, 0, 0, 0, 0)


def test_a_stranger_is_nobodys(shop: Shop) -> None:
    """A charge and a dispute of somebody else at the same gateway are listed, page by page."""
    other = shop.ask("/v1/charges", amount=700, currency="USD", method=card("tok_approved"))
    dispute = shop.ask("/v1/disputes", charge=other["id"])
    names = {other["id"], dispute["id"]}

    def listed() -> set[str]:
        return {one["notice"]["reference"] for one in shop.unmatched()} & names

    assert find_out(listed, lambda found: found == names)
    page = shop.service.read("/v1/notices", limit=1)
    assert (len(page["items"]), page["next"] is not None) == (1, True)


def tell(shop: Shop, **told: object) -> tuple[int, str]:
    """What the service says to a webhook of a dispute that is lost, and the event's id."""
    id = f"evt_{uuid4().hex}"
    event = {"id": id, "type": "dispute.lost", "created": "2026-03-01T12:00:00Z"}
    thing = {"object": "dispute", "id": f"dp_{uuid4().hex}", "status": "lost", "currency": "USD"}
    body = json.dumps({**event, "data": {**thing, "amount": 1, **told}}).encode()
    headers = sign(parse_secret(shop.secret), id, system_clock(), body)
    return httpx2.post(shop.hooks, content=body, headers=headers).status_code, id


def test_a_dispute_in_a_currency_that_the_wallet_has_not(shop: Shop) -> None:
    """It is a loss, as what a wallet lacks is: nothing of another currency is taken from it."""
    deposit = paid_in(shop)
    assert tell(shop, about=deposit["gateway_reference"], amount=70, currency="EUR")[0] == 200
    (chain,) = find_out(lambda: shop.chains(CHARGEBACK, deposit["chain_id"]), bool)
    assert chain["state"] == "completed"
    id = system_account_id(shop.ledger, "losses", "EUR")
    assert shop.service.read(f"/v1/accounts/{id}/balance")["posted"] == 70
    told = shop.read(deposit)
    assert (told["disputed"], told["refundable"]) == (0, AMOUNT)
    check_wallet(shop, deposit, AMOUNT)


def test_a_dispute_of_what_no_wallet_ever_had(shop: Shop) -> None:
    """The charge was given back already: what the wallet has by now is not the payer's."""
    deposit = blocked(shop, "tok_approved")
    name = shop.until(deposit, "failed")["gateway_reference"]
    shop.service.patch(f"/v1/accounts/{deposit['account_id']}", {"status": "active"})
    shop.until(shop.pay_in(deposit["account_id"], AMOUNT, card()), "completed")
    before = shop.books()
    assert tell(shop, about=name, amount=AMOUNT)[0] == 200
    find_out(lambda: shop.chains(CHARGEBACK, deposit["chain_id"]), bool)
    check_wallet(shop, deposit, AMOUNT)
    shop.check_since(before, -AMOUNT, 0, AMOUNT, 0, 0)
    shop.apart += AMOUNT  # the sandbox would not have done that


def test_what_comes_to_nothing_is_listed(shop: Shop) -> None:
    """More than the books can hold was taken back: they say no, and a person sees the notice."""
    deposit = paid_in(shop)
    answer, id = tell(shop, about=deposit["gateway_reference"], amount=2**63 - 1)
    (chain,) = find_out(lambda: shop.chains(CHARGEBACK, deposit["chain_id"]), bool)
    assert (answer, chain["state"]) == (200, "rolled_back")
    assert id in {notice["id"] for notice in shop.unmatched()}
    check_wallet(shop, deposit, AMOUNT)


@pytest.mark.parametrize(
    "told",
    [
        {"amount": 0},
        {"amount": -5},
        {"amount": 2**70},
        {"currency": "QQQ"},
        {"id": "dp_\0"},
        {"id": "dp_" + "x" * 300},
        {"reason": {"code": "\0"}},
        {"action": {"url": "a\0b"}},
    ],
    ids=str,
)
def test_a_webhook_that_nobody_can_keep(shop: Shop, told: dict[str, Any]) -> None:
    """It is refused as unreadable; it is signed, so its sender has to know."""
    assert tell(shop, **told)[0] == 422
