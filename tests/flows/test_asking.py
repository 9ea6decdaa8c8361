"""Asking for deposits, withdrawals and refunds: what is refused before anybody is called, what is
asked for twice, and what its reference keeps from being done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final
from uuid import uuid4

import httpx2
import pytest

from catena.ledger.accounts import system_account_id
from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.gateways import (
    GATEWAY,
    Shop,
    View,
    card,
    find_out,
    hear,
    make_ledger,
    speaking,
    to_bank,
    write_gateways,
)
from tests.flows.test_captures import MANUAL
from tests.postgres import Database
from tests.sandbox.running import run_sandbox
from tests.server import Client, make_key, run_api

AMOUNT: Final = 1000
FUNDED: Final = 5000
NOBODY: Final = f"acct_{'0' * 32}"

Means = Mapping[str, Any]
WAYS: Final = [
    pytest.param("/v1/deposits", card(), id="deposit"),
    pytest.param("/v1/withdrawals", to_bank(), id="withdrawal"),
]


def body_of(wallet: str, method: Means, **more: object) -> dict[str, Any]:
    """What is asked for."""
    told = {"gateway": GATEWAY, "account_id": wallet, "amount": AMOUNT, "currency": "USD"}
    return {**told, "method": method, **more}


def calls(shop: Shop) -> int:
    """What the sandbox was ever asked to do, and did."""
    return len(shop.sandbox.get("/v1/audit").json()["data"])


# --- refused before anybody is called ------------------------------------------------------------


def euros(shop: Shop) -> str:
    """A wallet of another currency."""
    return shop.service.open_account("EUR")


def with_status(status: str) -> Callable[[Shop], str]:
    """Makes a wallet that takes less than others."""

    def make(shop: Shop) -> str:
        wallet = shop.funded(0 if status == "closed" else FUNDED)
        if status == "closed":
            assert shop.service.post(f"/v1/accounts/{wallet}/close", {}).status_code == 200
        else:
            path = f"/v1/accounts/{wallet}"
            assert shop.service.patch(path, {"status": status}).status_code == 200
        return wallet

    return make


def with_ceiling(shop: Shop) -> str:
    """A wallet that may not have so much."""
    body = {"currency": "USD", "user_id": "small", "ceiling": AMOUNT - 1}
    wallet: str = shop.service.make("/v1/accounts", body)["id"]
    return wallet


def poor(shop: Shop) -> str:
    """A wallet with too little."""
    return shop.funded(AMOUNT - 1)


REFUSED: Final = [
    pytest.param(*way.values, wallet, id=f"{way.id}-{name}")
    for name, wallet, ways in (
        ("unknown", lambda _: NOBODY, WAYS),
        ("currency", euros, WAYS),
        ("closed", with_status("closed"), WAYS),
        ("blocked", with_status("blocked"), WAYS),
        ("frozen", with_status("frozen"), WAYS[1:]),
        ("ceiling", with_ceiling, WAYS[:1]),
        ("poor", poor, WAYS[1:]),
    )
    for way in ways
]


@pytest.mark.parametrize(("path", "method", "wallet"), REFUSED)
def test_what_the_wallet_cannot_take_is_refused_at_once(
    shop: Shop, path: str, method: Means, wallet: Callable[[Shop], str]
) -> None:
    """Just as the operation by hand is, and the gateway is asked for nothing."""
    id, before = wallet(shop), calls(shop)
    by_hand = {"account_id": id, "amount": AMOUNT, "currency": "USD"}
    problems = []
    for body in (by_hand, body_of(id, method)):
        answer = shop.service.post(path, body)
        problem = answer.json()
        problems.append((answer.status_code, problem["code"], problem["account_id"]))
    assert problems[0] == problems[1]
    assert problems[0][2] == id
    assert calls(shop) == before
    assert shop.service.read("/v1/chains", account_id=id)["items"] == []


@pytest.mark.parametrize(("path", "method"), WAYS)
def test_an_account_that_only_goes_by_hand_refuses_nothing(
    shop: Shop, path: str, method: Means
) -> None:
    """What a gateway moves goes through its own clearing account, and through holding."""
    wallet = shop.funded(FUNDED)
    clearing = f"/v1/accounts/{system_account_id(shop.ledger, 'clearing', 'USD')}"
    assert shop.service.patch(clearing, {"status": "blocked"}).status_code == 200
    by_hand = {"account_id": wallet, "amount": AMOUNT, "currency": "USD"}
    assert shop.service.post(path, by_hand).json()["code"] == "account_blocked"
    made = shop.service.post(path, body_of(wallet, method)).json()
    assert shop.service.patch(clearing, {"status": "active"}).status_code == 200
    assert shop.until(made)["state"] == "completed"


def test_who_earns_a_fee_must_be_there(shop: Shop) -> None:
    """Else the card would be charged, and given back."""
    before, wallet = calls(shop), shop.funded()
    fee = {"type": "fixed", "name": "desk", "amount": 1, "account_id": NOBODY}
    answer = shop.service.post("/v1/deposits", body_of(wallet, card(), fees=[fee]))
    assert (answer.json()["code"], answer.json()["account_id"]) == ("unknown_account", NOBODY)
    nothing = {"type": "percentage", "name": "desk", "rate": "0", "account_id": NOBODY}
    answer = shop.service.post("/v1/deposits", body_of(wallet, card(), fees=[nothing]))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_chain")
    assert answer.json()["detail"].startswith("The deposit cannot be made")
    assert calls(shop) == before


def test_a_capture_that_its_fees_exceed_is_refused(shop: Shop) -> None:
    """Before anything is taken; a larger one goes."""
    fee = {"type": "fixed", "name": "desk", "amount": 300}
    deposit = shop.pay_in(shop.funded(), AMOUNT, card(), fees=[fee], **MANUAL)
    shop.until(deposit, "authorised")
    answer = shop.command(deposit, "capture", amount=299)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_fee")
    assert answer.json()["errors"][0]["pointer"] == "/amount"
    assert shop.command(deposit, "capture", amount=301).status_code == 200
    assert shop.until(deposit)["state"] == "completed"
    assert balance(shop.service, deposit["account_id"]) == (1, 0)


def test_refusals_speak_of_what_was_asked_for(shop: Shop) -> None:
    """Who has made no chain hears of none."""
    deposit = shop.until(shop.pay_in(shop.funded(), AMOUNT, card()), "completed")
    withdrawal = shop.pay_out(deposit["account_id"], AMOUNT, to_bank())
    ended = shop.until(withdrawal, "completed")
    for thing, what in ((deposit, "deposit"), (ended, "withdrawal")):
        problem = shop.command(thing, "cancel", reason="too late").json()
        assert (problem["code"], problem["chain_id"]) == ("chain_ended", thing["chain_id"])
        assert problem["detail"].startswith(f"The {what} has come to its end")
        assert "chain" not in problem["detail"]


# --- the same key ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "method"), WAYS)
def test_who_asks_again_can_wait_again(shop: Shop, path: str, method: Means) -> None:
    """The same key repeats the first answer; with `Prefer: wait` it is as it stands by then."""
    body, key = body_of(shop.funded(FUNDED), method), uuid4().hex
    first = shop.service.post(path, body, key=key)
    assert (first.status_code, first.json()["state"]) == (202, "pending")
    headers = {"Idempotency-Key": key, "Prefer": "wait=30"}
    waited = shop.service.send("POST", path, body, headers=headers)
    assert (waited.status_code, waited.json()["state"]) == (201, "completed")
    assert waited.json()["id"] == first.json()["id"]
    assert waited.headers["idempotency-replayed"] == "true"
    assert waited.headers["preference-applied"] == "wait"
    again = shop.service.post(path, body, key=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert sum(shop.counts(first.json()["chain_id"]).values()) == 1


# --- the same reference ---------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "method"), WAYS)
def test_a_reference_is_for_one_of_its_type(shop: Shop, path: str, method: Means) -> None:
    """The same content is answered with the first, as it is by now; another is refused, and so is
    one by hand.
    """
    wallet, reference = shop.funded(FUNDED), uuid4().hex
    body = body_of(wallet, method, reference=reference)
    first = shop.service.post(path, body)
    assert first.status_code == 202
    ended = shop.until(first.json())
    key = uuid4().hex
    for replayed in (None, "true"):
        again = shop.service.post(path, body, key=key)
        assert (again.status_code, again.json()) == (201, ended)
        assert again.headers["location"] == first.headers["location"]
        assert again.headers.get("idempotency-replayed") == replayed
    by_hand = {"account_id": wallet, "amount": AMOUNT, "currency": "USD", "reference": reference}
    for other in ({**body, "amount": AMOUNT + 1}, by_hand):
        answer = shop.service.post(path, other)
        assert (answer.status_code, answer.json()["code"]) == (409, "reference_conflict")
    assert sum(shop.counts(ended["chain_id"]).values()) == 1
    entries = shop.service.read("/v1/entries", reference=reference)["items"]
    assert [entry["id"] for entry in entries] == [ended["entry_id"]]


def test_a_reference_tells_what_has_become_of_it_since(shop: Shop) -> None:
    """Whoever asks for it again, be the key a new one or not."""
    body, key = body_of(shop.funded(), card(), reference=uuid4().hex), uuid4().hex
    deposit = shop.until(shop.service.post("/v1/deposits", body).json(), "completed")
    for given, refunded in ((300, 300), (500, 800)):
        shop.until(shop.refund(deposit, given), "completed")
        answer = shop.service.post("/v1/deposits", body, key=key)
        assert (answer.status_code, answer.json()) == (201, shop.read(deposit))
        assert answer.json()["refunded"] == refunded


def test_a_reference_by_hand_is_taken_for_gateways(shop: Shop) -> None:
    """One ledger, one type, one reference."""
    wallet, reference = shop.funded(), uuid4().hex
    by_hand = {"account_id": wallet, "amount": AMOUNT, "currency": "USD", "reference": reference}
    shop.service.make("/v1/deposits", by_hand)
    before = calls(shop)
    answer = shop.service.post("/v1/deposits", body_of(wallet, card(), reference=reference))
    assert (answer.status_code, answer.json()["code"]) == (409, "reference_conflict")
    assert calls(shop) == before
    shop.until(shop.pay_out(wallet, 1, to_bank(), reference=reference), "completed")


def test_a_deposit_that_failed_keeps_its_reference(shop: Shop) -> None:
    """It says what became of it; one that was refused before it was made has taken none."""
    wallet, reference = shop.funded(), uuid4().hex
    refused = body_of(NOBODY, card(), reference=reference)
    assert shop.service.post("/v1/deposits", refused).json()["code"] == "unknown_account"
    body = body_of(wallet, card("tok_declined_lost_card"), reference=reference)
    failed = shop.until(shop.service.post("/v1/deposits", body).json(), "failed")
    again = shop.service.post("/v1/deposits", body)
    assert (again.status_code, again.json()) == (201, failed)


def test_a_reference_of_a_refund(shop: Shop) -> None:
    """One refund, however often it is asked for; it is not another deposit's."""
    deposit, other = (shop.until(shop.pay_in(shop.funded(), AMOUNT, card())) for _ in "ab")
    reference = uuid4().hex
    asked = [shop.command(deposit, "refunds", amount=300, reference=reference) for _ in "abc"]
    (id,) = {answer.json()["id"] for answer in asked}
    refund = shop.until(asked[0].json())
    assert (refund["id"], refund["state"], refund["reference"]) == (id, "completed", reference)
    answer = shop.command(other, "refunds", amount=300, reference=reference)
    assert (answer.status_code, answer.json()["code"]) == (409, "reference_conflict")
    told = shop.read(deposit)
    assert (told["refunded"], told["refundable"]) == (300, 700)
    assert balance(shop.service, deposit["account_id"]) == (700, 0)
    whole = {"reference": uuid4().hex}
    rest = shop.until(shop.command(deposit, "refunds", **whole).json(), "completed")
    again = shop.command(deposit, "refunds", **whole)
    assert (again.status_code, again.json()) == (201, rest)


@pytest.fixture(scope="module")
def two(
    flows_database: Database, contract: Contract, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shop, Client]]:
    """A shop, and another process that serves the same ledger."""
    ledger, key = make_ledger(flows_database), make_key(flows_database.service_dsn)
    dsn = flows_database.service_dsn
    with run_sandbox("--stopped") as sandbox:
        variables, secret = write_gateways(tmp_path_factory.mktemp("two"), ledger, sandbox)
        with run_api(dsn, **variables) as one, run_api(dsn, **variables) as other:
            clients = [Client(api.address, key.secret, ledger, contract) for api in (one, other)]
            with (
                closing(clients[0].http),
                closing(clients[1].http),
                speaking(sandbox) as http,
            ):
                shop = Shop(clients[0], http, flows_database, ledger, secret)
                hear(shop, one)
                yield shop, clients[1]
                shop.prove()


@pytest.mark.parametrize("again", range(3))
@pytest.mark.parametrize("rival", ["nobody", "another amount", "by hand"])
def test_one_reference_is_one_charge_whoever_asks(
    two: tuple[Shop, Client], rival: str, again: int
) -> None:
    """Many at once, by way of two processes, with keys of their own: the first has it."""
    del again
    shop, other = two
    wallet, reference = shop.funded(), uuid4().hex
    body = body_of(wallet, card(), reference=reference)
    by_hand = {name: body[name] for name in ("account_id", "amount", "currency", "reference")}
    rivals = {"nobody": body, "another amount": {**body, "amount": 1}, "by hand": by_hand}

    def ask(number: int) -> httpx2.Response:
        client = (shop.service, other)[number % 4 // 2]
        return client.post("/v1/deposits", body if number % 2 else rivals[rival])

    with ThreadPoolExecutor(12) as pool:
        asked = list(pool.map(ask, range(12)))
    taken: list[View] = [answer.json() for answer in asked if answer.status_code in (201, 202)]
    refused = [answer.json()["code"] for answer in asked if answer.status_code == 409]
    (id,) = {one["id"] for one in taken}
    assert len(taken) == (12 if rival == "nobody" else 6)
    assert refused == ["reference_conflict"] * (12 - len(taken))
    chains = shop.service.read("/v1/chains", account_id=wallet)["items"]
    if id.startswith("ent_"):
        assert (chains, balance(shop.service, wallet)) == ([], (AMOUNT, 0))
        return
    ended = find_out(lambda: shop.read(taken[0]), lambda one: one["state"] == "completed")
    assert [chain["id"] for chain in chains] == [ended["chain_id"]]
    assert shop.counts(ended["chain_id"]) == {"charge": 1}
    assert balance(shop.service, wallet) == (ended["amount"], 0)
