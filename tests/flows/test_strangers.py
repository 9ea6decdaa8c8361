"""Gateways that somebody does not know: a process, or another ledger."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from catena.ids import ACCOUNT, new_id
from tests.chain_bodies import balance, make_chain, wait
from tests.commands import call
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


def test_what_nobody_takes_is_shown(database: Database, contract: Contract, tmp_path: Path) -> None:
    """The step says what it waits for and since when; lists, metrics and a command show it. It is
    over when a process comes that knows the gateway.
    """
    needs = f"gateway:{GATEWAY}"
    with town(database, contract, tmp_path) as (shop, begin):
        deposit = shop.pay_in(shop.funded(), AMOUNT, card())
        waiting = make_chain(shop.service, wait("never"))["id"]
        hanging = find_out(lambda: shop.step(deposit, "charge"), lambda step: "overdue" in step)
        assert hanging["overdue"]["needs"] == needs

        def listed(**more: object) -> list[str]:
            page = shop.service.read("/v1/chains", overdue=True, **more)
            return [chain["id"] for chain in page["items"]]

        assert listed() == listed(state="executing") == [deposit["chain_id"]]
        assert listed(reference="other") == []
        assert shop.service.read("/v1/chains", overdue=False)["items"][0]["id"] == waiting
        place = f'ledger="{shop.ledger}"'
        metrics = shop.service.get("/metrics").text
        assert f'catena_work_overdue{{{place},needs="{needs}"}} 1.0' in metrics
        assert f"catena_chains_parked{{{place}}} 0.0" in metrics
        since = re.search(r"catena_work_overdue_since_seconds{[^}]+} (\S+)", metrics)
        assert since is not None
        moment = dt.datetime.fromisoformat(hanging["overdue"]["since"])
        assert float(since[1]) == pytest.approx(moment.timestamp(), abs=0.001)
        settings = {"database_url": database.service_dsn, "overdue_seconds": 0.5}
        told = asyncio.run(call("gateways", data_dir=tmp_path / "none", settings=settings))
        assert (told.code, told.out) == (0, "")
        assert f"{shop.ledger}: 1 steps are overdue" in told.err
        assert f"Start one that knows {needs};" in told.err
        unsent = shop.pay_in(shop.funded(), AMOUNT, card())
        shop.command(unsent, "cancel", reason="nobody sends it")
        assert shop.until(unsent)["state"] == "cancelled"
        with alive(begin("worker")):
            assert shop.until(deposit)["state"] == "completed"
        assert "overdue" not in shop.step(deposit, "charge")
        assert listed() == []
        assert "catena_work_overdue{" not in shop.service.get("/metrics").text


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
