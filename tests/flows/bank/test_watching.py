"""What keeps a bank's money from moving is told while it lasts, and no longer."""

from __future__ import annotations

import pytest

from catena.ledger.accounts import system_account_id
from tests.chain_bodies import balance
from tests.flows.bank.running import BANK, Payer, View
from tests.flows.gateways import find_out


def open_ones(payer: Payer, kind: str) -> dict[str, View]:
    """What open alarms of a kind say, by what they are about."""
    items = payer.service.read("/v1/bank_alarms", limit=200)["items"]
    return {one["about"]: one["details"] for one in items if one["kind"] == kind}


@pytest.mark.parametrize("role", ["suspense", "holding", f"clearing.{BANK}"])
@pytest.mark.parametrize("status", ["frozen", "blocked"])
def test_an_account_that_is_closed_off_is_told(payer: Payer, role: str, status: str) -> None:
    """Before money meets it; every time, until it is active again."""
    before = len(payer.suspense())
    payer.bank.credit(100, f"IN-{role}-{status}", text="so that all of them are there")
    find_out(lambda: len(payer.suspense()), lambda count: count > before)
    account = system_account_id(payer.ledger, role, "EUR")
    for _ in range(2):
        changed = payer.service.patch(f"/v1/accounts/{account}", {"status": status})
        assert changed.status_code == 200, changed.text
        told = find_out(lambda: open_ones(payer, "account_closed_off"), bool)
        assert told == {role: {"account_id": account, "status": status}}
        payer.service.patch(f"/v1/accounts/{account}", {"status": "active"})
        find_out(lambda: open_ones(payer, "account_closed_off"), lambda found: not found)


def test_a_bank_that_is_out_of_reach_is_told(payer: Payer) -> None:
    """It gives nothing and takes nothing; once it does, that has ended by itself."""
    wallet = payer.funded(1000)
    payer.bank.user = "somebody else"
    payout = payer.pay(wallet, 700)
    told = find_out(lambda: open_ones(payer, "out_of_reach"), lambda found: len(found) == 2)
    (file,) = [one for one in payer.files() if one["state"] == "sealed"]
    assert told.keys() == {BANK, file["message_id"]}
    assert {one["code"] for one in told.values()} == {"http_401"}
    payer.bank.user = ""
    find_out(lambda: open_ones(payer, "out_of_reach"), lambda found: not found)
    payer.bank.book(payer.until_sent(payout))
    payer.until(payout)
    assert balance(payer.service, wallet) == (300, 0)
    over = payer.service.read("/v1/bank_alarms", acknowledged="true", limit=200)["items"]
    ended = {one["acknowledged"]["by"] for one in over if one["kind"] == "out_of_reach"}
    assert ended == {"catena"}
