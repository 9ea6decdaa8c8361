"""Money that comes in by a bank: to whom it names, else to suspense until a person assigns it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from catena.ledger.accounts import system_account_id
from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.bank.running import BANK, Payer, View
from tests.flows.gateways import find_out

VIRTUAL = "DE02120300000000202051"
STRANGER = "CT" + "B" * 32


def until_posted(payer: Payer, wallet: str, amount: int) -> None:
    """Once the wallet has so much."""
    find_out(lambda: balance(payer.service, wallet), lambda found: found == (amount, 0))


def suspended(payer: Payer, amount: int) -> View:
    """What is in suspense with this amount, once there is something."""
    found = find_out(lambda: [one for one in payer.suspense() if one["amount"] == amount], bool)
    (one,) = found
    return one


def test_a_virtual_iban_says_whose_it_is(payer: Payer) -> None:
    """While it is the account's; then it is nobody's."""
    wallet = payer.funded()
    body = {"gateway": BANK, "iban": "DE02 1203 0000 0000 2020 51", "account_id": wallet}
    key = uuid4().hex
    made = payer.service.post("/v1/virtual_ibans", body, key=key)
    assert (made.status_code, made.json()["iban"]) == (201, VIRTUAL)
    again = payer.service.post("/v1/virtual_ibans", body, key=key)
    assert (again.json(), again.headers["idempotency-replayed"]) == (made.json(), "true")
    other = payer.service.post("/v1/virtual_ibans", body | {"account_id": payer.funded()}, key=key)
    assert other.json()["code"] == "idempotency_key_reused"
    assert payer.service.post("/v1/virtual_ibans", body).json()["code"] == "conflict"
    assert [one["iban"] for one in payer.service.read("/v1/virtual_ibans")["items"]] == [VIRTUAL]
    payer.bank.credit(5000, "IN-1", to=VIRTUAL, name="Ada L", iban="GB82WEST12345698765432")
    until_posted(payer, wallet, 5000)
    gone = payer.service.send("DELETE", f"/v1/virtual_ibans/{VIRTUAL}")
    assert gone.json()["account_id"] == wallet
    for none in (VIRTUAL, "%00", "x" * 300):
        assert payer.service.send("DELETE", f"/v1/virtual_ibans/{none}").status_code == 404
    payer.bank.credit(5001, "IN-2", to=VIRTUAL)
    suspended(payer, 5001)
    assert balance(payer.service, wallet) == (5000, 0)


def test_a_reference_says_whose_it_is(payer: Payer) -> None:
    """One that we have made, in a text that the bank has cut; and one of the caller's own."""
    wallet = payer.funded()
    made = payer.service.make("/v1/deposit_references", {"account_id": wallet})["reference"]
    assert made.startswith("RF")
    own = {"account_id": wallet, "reference": "wallet-4711"}
    assert payer.service.make("/v1/deposit_references", own)["reference"] == "WALLET4711"
    payer.bank.credit(1000, "IN-3", text=f"thank you {made[:4]} {made[4:]}")
    payer.bank.credit(1001, "IN-4", text="for wallet-4711 please")
    until_posted(payer, wallet, 2001)
    listed = payer.service.read("/v1/deposit_references")["items"]
    assert {one["reference"] for one in listed} == {made, "WALLET4711"}
    gone = payer.service.send("DELETE", f"/v1/deposit_references/{made}")
    assert gone.json()["account_id"] == wallet


def sum_suspense(payer: Payer) -> int:
    """What is in suspense, once the account has what the list has."""

    def read() -> tuple[int, int]:
        return payer.posted("suspense"), sum(one["amount"] for one in payer.suspense())

    return find_out(read, lambda both: both[0] == both[1])[0]


def test_what_names_nobody_is_listed_and_assigned_once(payer: Payer) -> None:
    """With who paid, masked; then it is the wallet's, and says who decided that and why."""
    before = sum_suspense(payer)
    payer.bank.credit(2000, "IN-5", name="Ada L", iban="GB82WEST12345698765432", text="hello")
    one = suspended(payer, 2000)
    assert (one["payer_name"], one["payer_iban"]) == ("Ada L", "GB82 **** 5432")
    assert one["text"] == "Ada L, GB82 **** 5432: hello"
    assert sum_suspense(payer) == before + 2000
    wallet = payer.funded()
    path = f"/v1/suspense/{one['id']}/assign"
    done = payer.service.post(path, {"account_id": wallet, "reason": "He has called"})
    entry = done.json()
    assert (done.status_code, entry["description"]) == (201, "He has called")
    assert entry["metadata"]["suspense_id"] == one["id"]
    assert entry["metadata"]["assigned_by"].startswith("key_")
    assert balance(payer.service, wallet) == (2000, 0)
    again = payer.service.post(path, {"account_id": wallet, "reason": "He has called again"})
    assert again.json()["id"] == entry["id"]
    other = {"account_id": payer.funded(), "reason": "It is hers"}
    assert payer.service.post(path, other).json()["code"] == "reference_conflict"
    assert balance(payer.service, wallet) == (2000, 0)
    assert sum_suspense(payer) == before
    assert one["id"] not in {each["id"] for each in payer.suspense()}


def test_an_assignment_that_is_reversed_is_on_the_list_again(payer: Payer) -> None:
    """The list has what the account has; it is assigned anew, and the first stays undone."""
    before = sum_suspense(payer)
    payer.bank.credit(2060, "IN-51", text="hello")
    one, wrong, right = suspended(payer, 2060), payer.funded(), payer.funded()
    path = f"/v1/suspense/{one['id']}/assign"
    for number, wallet in enumerate((wrong, wrong, right), 1):
        given = payer.service.make(path, {"account_id": wallet, "reason": f"Try {number}"})
        assert given["reference"] == one["id"] + ("" if number == 1 else f"#{number}")
        assert sum_suspense(payer) == before
        assert balance(payer.service, wallet) == (2060, 0)
        refunds = payer.service.post(f"/v1/entries/{given['id']}/refund", {"amount": 1})
        assert refunds.json()["code"] == "not_refundable"
        if wallet is right:
            break
        undone = payer.service.make(f"/v1/entries/{given['id']}/reverse", {})
        assert suspended(payer, 2060) == one
        assert sum_suspense(payer) == before + 2060
        back = payer.service.post(f"/v1/entries/{undone['id']}/reverse", {})
        assert back.json()["code"] == "assignment_undone"
    other = payer.service.post(path, {"account_id": wrong, "reason": "His after all"})
    assert other.json()["code"] == "reference_conflict"


def test_whoever_assigns_and_reverses_at_once_gives_it_once(payer: Payer) -> None:
    """Many do both for a while: the wallets never have more than came in, nor the list."""
    before = sum_suspense(payer)
    payer.bank.credit(2070, "IN-52", text="hello")
    one = suspended(payer, 2070)
    wallets = [payer.funded() for _ in range(4)]
    path = f"/v1/suspense/{one['id']}/assign"

    def work(wallet: str) -> None:
        for number in range(8):
            said = {"account_id": wallet, "reason": f"Mine, {number}"}
            given = payer.service.post(path, said)
            assert given.status_code in {201, 422, 409}, given.text
            if given.status_code == 201:
                gone = payer.service.post(f"/v1/entries/{given.json()['id']}/reverse", {})
                assert gone.status_code in {201, 422, 409}, gone.text

    with ThreadPoolExecutor(len(wallets)) as pool:
        list(pool.map(work, wallets))
    have = sum(balance(payer.service, wallet)[0] for wallet in wallets)
    assert have in {0, 2070}
    assert sum_suspense(payer) == before + 2070 - have


def test_no_entry_of_a_callers_passes_for_an_assignment(payer: Payer) -> None:
    """It would take the money off the list, and keep it from being assigned."""
    payer.bank.credit(2050, "IN-50", text="hello")
    one = suspended(payer, 2050)
    lines = [
        {"role": role, "side": side, "amount": 2050, "currency": "EUR"}
        for role, side in (("losses", "debit"), ("fees", "credit"))
    ]
    refused = payer.service.post("/v1/entries", {"lines": lines, "reference": one["id"]})
    assert refused.json()["errors"][0]["pointer"] == "/reference", refused.text
    plan = {"entry_type": "adjustment", "lines": lines, "reference": one["id"]}
    chain = {"steps": [{"name": "look", "type": "entry", "inputs": plan}]}
    payer.service.make("/v1/chains", chain)
    assert suspended(payer, 2050) == one
    body = {"account_id": payer.funded(), "reason": "He has called"}
    path = f"/v1/suspense/{one['id']}/assign"
    assert payer.service.post(path, body).status_code == 201


def test_what_an_account_does_not_take_stays_in_suspense(payer: Payer) -> None:
    """A refusal stores nothing: it can be assigned to another."""
    payer.bank.credit(2100, "IN-6", text="hello")
    one = suspended(payer, 2100)
    path = f"/v1/suspense/{one['id']}/assign"
    dollars = payer.service.open_account("USD")
    refused = payer.service.post(path, {"account_id": dollars, "reason": "a guess"})
    assert refused.json()["code"] == "currency_mismatch"
    assert suspended(payer, 2100) == one
    wallet = payer.funded()
    answer = payer.service.post(path, {"account_id": wallet, "reason": "the right one"})
    assert answer.status_code == 201
    assert balance(payer.service, wallet) == (2100, 0)


def test_money_for_a_closed_account_is_in_suspense(payer: Payer) -> None:
    """The reference is known, and the account takes nothing any more."""
    wallet = payer.funded()
    body = {"account_id": wallet, "reference": "CLOSED0001"}
    payer.service.make("/v1/deposit_references", body)
    closed = payer.service.post(f"/v1/accounts/{wallet}/close", {})
    assert closed.status_code == 200, closed.text
    payer.bank.credit(2200, "IN-7", text="CLOSED0001")
    suspended(payer, 2200)


def test_what_nobody_takes_is_listed_without_account_numbers(payer: Payer) -> None:
    """What came in cannot be booked: a person sees who paid, masked, and books it by hand."""
    account = f"/v1/accounts/{system_account_id(payer.ledger, f'clearing.{BANK}', 'EUR')}"
    assert payer.service.patch(account, {"status": "blocked"}).status_code == 200
    iban = "GB82WEST12345698765432"
    payer.bank.credit(2250, "IN-9", name="Ada L", iban=iban, text=f"from {iban}")
    assert find_out(lambda: payer.alarms().get("credit_refused"), bool)
    assert payer.service.patch(account, {"status": "active"}).status_code == 200
    found = payer.service.get("/v1/notices")
    (one,) = found.json()["items"]
    assert one["notice"]["details"]["debtor_iban"] == "GB82 **** 5432"
    assert one["notice"]["text"] == "Ada L, GB82 **** 5432: from GB82 **** 5432"
    assert iban not in found.text
    lines = [
        {"role": role, "side": side, "amount": 2250, "currency": "EUR"}
        for role, side in ((f"clearing.{BANK}", "debit"), ("losses", "credit"))
    ]
    payer.service.make("/v1/entries", {"lines": lines, "description": "Nobody's"})


def test_what_the_bank_takes_back_is_out_of_suspense(payer: Payer) -> None:
    """Nobody knows which credit it was: a person says who has to give it back."""
    payer.bank.take_back(2300, "BACK-1")
    one = suspended(payer, -2300)
    wallet = payer.funded(3000)
    path = f"/v1/suspense/{one['id']}/assign"
    body = {"account_id": wallet, "reason": "It was credited to this account in May"}
    assert payer.service.post(path, body).status_code == 201
    assert balance(payer.service, wallet) == (700, 0)


def test_a_return_of_what_we_never_sent_is_in_suspense(payer: Payer) -> None:
    """It is listed, too: somebody uses our account, or our books are older than the bank's."""
    payer.bank.come_back(STRANGER, 2400)
    suspended(payer, 2400)
    assert payer.alarms()["unknown_order"]["about"] == STRANGER


def test_the_examples_of_requests_work(payer: Payer, contract: Contract) -> None:
    """Those of the document, with an account and a payment that are there."""
    payer.bank.credit(2500, "IN-8", text="hello")
    places = {"iban": "DE89370400440532013000", "suspense_id": suspended(payer, 2500)["id"]}
    payer.bank.say("CFEXAMPLE", "")
    alarm = find_out(lambda: payer.alarms().get("unknown_message"), bool)
    assert alarm is not None
    places["alarm_id"] = alarm["id"]
    wallet = payer.funded()
    sent = set()
    for method, path, _, operation in contract.operations:
        if (
            not re.search(r"/(virtual_ibans|deposit_references|suspense|bank_alarms)", path)
            or method == "GET"
        ):
            continue
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        body = content.get("example")
        if body is not None:
            body = {**body, "account_id": wallet} if "account_id" in body else body
        head = {"Idempotency-Key": uuid4().hex} if body else {}
        answer = payer.service.send(method, path.format(**places), body, headers=head)
        assert answer.status_code in {200, 201}, f"{method} {path}: {answer.text}"
        if "deposit_references" in path:
            places["reference"] = answer.json()["reference"]
        sent.add(operation["operationId"])
    assert len(sent) == 6


def test_names_are_checked(payer: Payer) -> None:
    """An IBAN that is none, an account that is not there, a bank of no such name."""
    wallet = payer.funded()
    good = {"gateway": BANK, "iban": "FI2112345600000785", "account_id": wallet}
    for wrong, place in (
        ({"iban": "DE88370400440532013000"}, "/iban"),
        ({"gateway": "nobank"}, "/gateway"),
        ({"account_id": "acct_" + "0" * 32}, "/account_id"),
        ({"account_id": payer.service.open_account("USD")}, "/account_id"),
    ):
        answer = payer.service.post("/v1/virtual_ibans", good | wrong)
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [place]
    short = {"account_id": wallet, "reference": "A-1"}
    assert payer.service.post("/v1/deposit_references", short).status_code == 422
