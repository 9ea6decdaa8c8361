"""Gateways that somebody does not know: a process, or another ledger."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from catena.ids import ACCOUNT, new_id
from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.gateways import GATEWAY, Shop, card, find_out, make_ledger
from tests.flows.test_crashes import town
from tests.flows.victims import Victim, alive
from tests.postgres import Database
from tests.server import Client, make_key

AMOUNT = 1000


def test_who_does_not_know_a_gateway_leaves_it_to_others(
    database: Database, contract: Contract, tmp_path: Path
) -> None:
    """It says so, touches nothing of it, and does what it can; who knows it finds all as it was."""
    with town(database, contract, tmp_path) as (shop, begin):
        stranger = Victim(database.service_dsn, {"poll_seconds": 0.05}, "working", "worker")
        with alive(stranger):
            wallet = shop.funded()
            deposit = shop.pay_in(wallet, AMOUNT, card())
            due = {"name": "pause", "type": "wait", "inputs": {"seconds": 1}}
            pause = shop.service.post("/v1/chains", {"steps": [due]}).json()
            path = f"/v1/chains/{pause['id']}"
            find_out(lambda: shop.service.read(path), lambda one: one["state"] == "completed")
            left = find_out(
                lambda: [line for line in stranger.log if "work_left_to_others" in line], bool
            )
            assert [json.loads(line)["adapter"] for line in left] == [f"gateway:{GATEWAY}"]
            assert (shop.step(deposit, "charge")["state"], deposit["state"]) == ("pending",) * 2
            with alive(begin("worker")):
                assert shop.until(deposit)["state"] == "completed"
        history = shop.service.read(f"/v1/chains/{deposit['chain_id']}/history")["items"]
        assert "unknown" not in json.dumps(history)
        assert balance(shop.service, wallet) == (AMOUNT, 0)


def test_a_gateway_is_of_one_ledger(
    shop: Shop, flows_database: Database, contract: Contract
) -> None:
    """To another it does not exist: nothing is begun that nobody could ever do."""
    ledger, key = make_ledger(flows_database), make_key(flows_database.service_dsn)
    address = str(shop.service.http.base_url).rstrip("/")
    asked = {"gateway": GATEWAY, "amount": AMOUNT, "currency": "USD", "method": card()}
    client = Client(address, key.secret, ledger, contract)
    with closing(client.http):
        deposit = client.post("/v1/deposits", {**asked, "account_id": new_id(ACCOUNT)})
        step = {
            "name": "pay",
            "type": "gateway.charge",
            "inputs": asked,
            "compensation": {"type": "give_back"},
        }
        chain = client.post("/v1/chains", {"steps": [step]})
    for answer, place in ((deposit, "/gateway"), (chain, "/steps/0/inputs/gateway")):
        assert answer.status_code == 422
        refused = {"pointer": place, "detail": "No gateway has this name."}
        assert refused in answer.json()["errors"], answer.text
