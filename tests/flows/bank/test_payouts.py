"""Payouts by a bank: paid, rejected, refused, returned, silent; the money is where it must be."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from tests.chain_bodies import balance
from tests.flows.bank.double import CLOSED
from tests.flows.bank.running import Payer, View
from tests.flows.gateways import find_out
from tests.gateways.bank.bank_files import element, statement


def returned(payer: Payer, payout: View) -> View:
    """The chain of what came back of a payout, once there is one."""
    about = payout["chain_id"]
    (chain,) = find_out(
        lambda: payer.service.read("/v1/chains", type="gateway.returned", reference=about)["items"],
        bool,
    )
    found: View = chain
    return found


def test_a_payout_is_paid_when_it_is_booked(payer: Payer) -> None:
    """Not when it is accepted; then the withdrawal is complete, and the bank has that much less."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.until_read()
    assert payer.read(payout)["state"] == "pending"
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    assert balance(payer.service, wallet) == (300, 0)
    file = payer.files()[-1]
    assert (file["state"], file["orders"], file["total"]) == ("taken", 1, 700)


def test_what_is_rejected_comes_back_to_the_wallet(payer: Payer) -> None:
    """The withdrawal fails with the bank's reason, and nothing was booked."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700, CLOSED)
    ended = payer.until(payout)
    assert (ended["state"], ended["failure"]["code"]) == ("failed", "ac04")
    assert balance(payer.service, wallet) == (1000, 0)


def test_what_is_rejected_for_now_is_ordered_again(payer: Payer) -> None:
    """Under another name, until somebody has filled the account; it is paid once."""
    payer.bank.is_short = True
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    find_out(lambda: [*payer.bank.rejected.values()], lambda codes: codes.count("AM04") > 1)
    payer.bank.is_short = False
    assert balance(payer.service, wallet) == (300, 0)
    name = find_out(
        lambda: payer.read(payout)["gateway_reference"], lambda found: found in payer.bank.payments
    )
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    assert balance(payer.service, wallet) == (300, 0)


def test_another_amount_is_for_a_person(payer: Payer) -> None:
    """Neither the notice nor a look-up completes the payout; somebody says that it is done."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.payments[name] = replace(payer.bank.payments[name], amount=699)
    payer.bank.book(name)
    chain = f"/v1/chains/{payout['chain_id']}"

    def asked() -> list[View]:
        events = payer.service.read(f"{chain}/history", limit=200)["items"]
        return [one for one in events if "amount_differs" in str(one)]

    find_out(asked, bool)
    assert payer.alarms()["amount_differs"]["about"] == name
    assert payer.read(payout)["state"] == "pending"
    told = {"reference": name, "amount": 700, "currency": "EUR"}
    body = {"reason": "The bank owes us the cent", "result": told}
    payer.command(payout, "steps/payout/mark-done", body)
    assert payer.until(payout)["state"] == "completed"
    assert balance(payer.service, wallet) == (300, 0)
    payer.bank.standing -= 1  # which reconciliation finds


def test_a_second_debit_of_an_order_is_seen(payer: Payer) -> None:
    """And a second return; a statement that tells of the first once more is no news."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.book(name)
    payer.until(payout)
    payer.bank.book(name)
    payer.until_read()
    payer.bank.standing += 700
    assert not {"paid_twice", "returned_twice"} & payer.alarms().keys()
    payer.bank.close([payer.bank.debit(payer.bank.payments[name], ref="another")], -700)
    payer.until_read()
    alarm = payer.alarms()["paid_twice"]
    assert (alarm["about"], alarm["details"]) == (name, {"lines": 2, "total": -1400})
    most = replace(payer.bank.payments[name], amount=2**63 - 1)
    debits = (payer.bank.debit(most, ref=f"most {number}") for number in range(2))
    payer.bank.put(statement(*debits, id="MOST"))
    payer.until_read()
    payer.bank.give_back(name)
    returned(payer, payout)
    payer.bank.give_back(name, 699)
    payer.until_read()
    assert payer.alarms()["returned_twice"]["about"] == name
    assert balance(payer.service, wallet) == (1000, 0)
    payer.bank.standing += 700 - 699  # the second ones are in no books: reconciliation finds them


def test_a_file_that_is_refused_fails_its_orders(payer: Payer) -> None:
    """As a whole, with the bank's reason."""
    payer.bank.refuses = True
    wallet = payer.funded(1000)
    ended = payer.until(payer.pay(wallet, 700))
    payer.bank.refuses = False
    assert (ended["state"], ended["failure"]["code"]) == ("failed", "ff01")
    assert balance(payer.service, wallet) == (1000, 0)
    assert payer.files()[-1]["state"] == "refused"


def test_a_lost_answer_has_the_same_bytes_sent_again(payer: Payer) -> None:
    """The bank says that it was there before: it is taken, not failed, and paid once."""
    payer.bank.stuck = {"POST payments"}
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    before = len(payer.bank.received)
    payer.bank.stuck = set()
    find_out(lambda: payer.files()[-1], lambda file: file["state"] == "taken")
    assert payer.files()[-1]["code"] == "DUPL"
    again = payer.bank.received[before - 1 :]
    assert len(again) >= 2
    assert len(set(again)) == 1
    assert payer.read(payout)["state"] == "pending"
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    assert payer.bank.made[name] == 1


def test_what_is_returned_days_later_is_the_wallets(payer: Payer) -> None:
    """By a chain of its own; the withdrawal stays complete."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    payer.bank.give_back(name)
    assert returned(payer, payout)["state"] == "completed"
    assert balance(payer.service, wallet) == (1000, 0)
    assert payer.read(payout)["state"] == "completed"


def test_a_return_less_charges(payer: Payer) -> None:
    """The wallet has what came back."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.book(name)
    payer.until(payout)
    payer.bank.give_back(name, 650)
    returned(payer, payout)
    assert balance(payer.service, wallet) == (950, 0)


def test_a_return_proves_that_it_was_paid(payer: Payer) -> None:
    """It comes first: the payout is completed, and has come back; its statement is no news."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.give_back(name)
    returned(payer, payout)
    assert payer.read(payout)["state"] == "completed"
    payer.bank.book(name)
    payer.until_read()
    assert balance(payer.service, wallet) == (1000, 0)
    assert "unknown_order" not in payer.alarms()


def test_a_rejection_of_what_is_booked_gives_nothing_back(payer: Payer) -> None:
    """Only a return does: it is listed."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.book(name)
    payer.until(payout)
    payer.bank.reject(name)
    payer.until_read()
    assert payer.alarms()["rejected_after_paid"]["about"] == name
    assert balance(payer.service, wallet) == (300, 0)


def test_a_payment_of_what_was_rejected_is_seen(payer: Payer) -> None:
    """The wallet has its money back, and the bank has paid: our books have that out of suspense,
    listed and with the withdrawal it is of, until the wallet gives it, or it comes back.
    """
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.until_read()
    payer.bank.reject(name)
    assert payer.until(payout)["state"] == "failed"
    payer.bank.book(name)
    payer.until_read()
    alarm = payer.alarms()["paid_after_declined"]
    assert (alarm["about"], alarm["details"]["chain_id"]) == (name, payout["chain_id"])
    (late,) = payer.service.read("/v1/chains", type="gateway.paid_late")["items"]
    assert (late["reference"], late["state"]) == (payout["chain_id"], "completed")
    (listed,) = payer.suspense()
    assert (listed["amount"], listed["gateway_reference"]) == (-700, name)
    assert listed["chain_id"] == late["id"]
    assert (balance(payer.service, wallet), payer.posted("suspense")) == ((1000, 0), -700)
    payer.bank.give_back(name)
    payer.until_read()
    find_out(
        lambda: [one["amount"] for one in payer.suspense()], lambda found: found == [-700, 700]
    )
    assert (balance(payer.service, wallet), payer.posted("suspense")) == ((1000, 0), 0)
    before = payer.posted("losses")
    for one in payer.suspense():
        lost = {"role": "losses", "reason": "Paid by mistake, and given back"}
        payer.service.make(f"/v1/suspense/{one['id']}/assign", lost)
    assert (payer.suspense(), payer.posted("losses")) == ([], before)


def test_silence_is_waited_out(payer: Payer) -> None:
    """No report comes: it stays pending and visible, and the statement decides."""
    payer.bank.speaks = False
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.speaks = True

    def asked(chain: View) -> bool:
        events = [step for step in chain["steps"] if step["name"] == "payout"]
        return bool(events[0]["state"] == "waiting")

    chain = f"/v1/chains/{payout['chain_id']}"
    find_out(lambda: payer.service.read(chain), asked)
    find_out(lambda: payer.files()[-1], lambda file: file["state"] == "taken")
    assert payer.read(payout)["state"] == "pending"
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"


def test_a_block_that_is_booked_as_one(payer: Payer) -> None:
    """It pays all its orders if count and sum are theirs; else it is listed, and pays none."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    block = payer.bank.payments[name].block
    payer.bank.book_block(block, 2, 700)
    payer.until_read()
    assert payer.alarms()["batch_differs"]["about"] == block
    assert payer.read(payout)["state"] == "pending"
    payer.bank.standing += 700
    payer.bank.book_block(block, 1, 700)
    assert payer.until(payout)["state"] == "completed"
    payer.bank.book_block(block, 1, 700)  # told once more
    payer.until_read()
    payer.bank.standing += 700
    assert balance(payer.service, wallet) == (300, 0)


def test_a_statement_that_leaves_something_out(payer: Payer) -> None:
    """Its balances prove it, by how much."""
    payer.until_read()
    payer.bank.close([], 0, missing=222)
    payer.until_read()
    payer.bank.standing += 222
    found = [
        one
        for one in payer.service.read("/v1/bank_alarms", limit=200)["items"]
        if one["kind"] == "gap" and one["details"]["code"] == "entries"
    ]
    (gap,) = found
    assert gap["details"]["proof"] is True
    assert gap["details"]["found"] - gap["details"]["expected"] == 222


def test_statements_that_come_late_or_again_prove_nothing(payer: Payer) -> None:
    """Each is held against the one before it by its own time, however they come."""
    payer.until_read()

    def gaps() -> list[View]:
        listed = payer.service.read("/v1/bank_alarms", limit=200)["items"]
        return [one["details"] for one in listed if one["kind"] == "gap"]

    bank = payer.bank
    first = bank.close([], 0, at="2026-10-20T00:00:00Z")
    payer.until_read()
    known = len(gaps())
    with bank.lock:
        bank.close([], 0, at="2026-10-21T00:00:00Z")
        bank.close([], 0, at="2026-10-22T00:00:00Z")
        late, early = [*bank.mailbox.items()][-2:]
        del bank.mailbox[late[0]]
        bank.mailbox[late[0]] = late[1]
        assert [*bank.mailbox][-2:] == [early[0], late[0]]
    payer.until_read()
    bank.put(first, "again")
    bank.number -= 1
    bank.close([], 0, at="2026-10-23T00:00:00Z")
    payer.until_read()
    assert [one["code"] for one in gaps()[known:]] == ["number", "repeated"]


def test_a_file_that_cannot_be_read_is_in_nobodys_way(payer: Payer) -> None:
    """It is listed with why, and what comes after it is read."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    bad = payer.bank.put(b"<Document/>")
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    alarm = payer.alarms()["unreadable_file"]
    assert (alarm["about"], alarm["details"]["code"]) == (bad, "not_iso20022")


def test_a_file_that_is_too_large_is_in_nobodys_way(payer: Payer) -> None:
    """It stays with the bank and is listed, and what comes after it is read."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    large = payer.bank.put(b" " * 5_000_000)
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    listed = payer.service.read("/v1/bank_alarms", limit=200)["items"]
    assert {one["details"]["code"] for one in listed if one["about"] == large} == {
        "answer_too_large"
    }
    assert [*payer.bank.mailbox] == [large]
    payer.bank.mailbox.clear()


def test_a_name_that_is_none_is_in_nobodys_way(payer: Payer) -> None:
    """It is listed as it can be shown, and what comes after it is read."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.put(b"<Document/>", "my \0 statement")
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    listed = payer.service.read("/v1/bank_alarms", limit=200)["items"]
    assert [one["about"] for one in listed if one["details"].get("code") == "name_refused"] == [
        "my \\x00 statement"
    ]
    payer.bank.mailbox.clear()


def test_other_content_under_a_known_name_is_not_taken_for_it(payer: Payer) -> None:
    """Nobody is told that it is stored, and a person sees it."""
    payer.until_read()
    payer.bank.close([], 0)
    name = next(iter(payer.bank.mailbox), "")
    payer.until_read()
    payer.bank.put(b"something else", name or "file-00001")
    find_out(lambda: payer.alarms().get("name_reused"), bool)
    assert (name or "file-00001") in payer.bank.mailbox
    payer.bank.mailbox.clear()


def test_a_report_on_an_order_of_another_file(payer: Payer) -> None:
    """It says nothing of that order, and is listed."""
    wallet = payer.funded(1000)
    first, second = payer.pay(wallet, 100), payer.pay(wallet, 200)
    names = [payer.until_sent(payout) for payout in (first, second)]
    payer.until_read()
    ids = [payer.bank.payments[name].block.rpartition("-")[0] for name in names]
    stranger = names[1] if ids[0] != ids[1] else "CT" + "C" * 32
    said = element("OrgnlEndToEndId", stranger) + element("TxSts", "RJCT")
    block = element("OrgnlPmtInfId", payer.bank.payments[names[0]].block)
    payer.bank.say(ids[0], block + element("TxInfAndSts", said))
    payer.until_read()
    assert payer.alarms()["unknown_order"]["about"] == stranger
    payer.bank.book(*names)
    for payout in (first, second):
        assert payer.until(payout)["state"] == "completed"


def test_a_report_on_what_is_not_ours(payer: Payer) -> None:
    """It is listed, once: until somebody says what was done, and when it says something new."""
    payer.bank.say("CFOTHER", "")
    payer.until_read()
    alarm = payer.alarms()["unknown_message"]
    assert (alarm["about"], alarm["acknowledged"]) == ("CFOTHER", None)
    path, body = f"/v1/bank_alarms/{alarm['id']}/acknowledge", {"reason": "The bank was wrong"}
    key = uuid4().hex
    done = payer.service.post(path, body, key=key)
    assert done.status_code == 200, done.text
    said = done.json()["acknowledged"]
    assert (said["reason"], said["by"][:4]) == ("The bank was wrong", "key_")
    again = payer.service.post(path, body, key=key)
    assert (again.json(), again.headers["idempotency-replayed"]) == (done.json(), "true")
    assert payer.service.post(path, body).json()["code"] == "conflict"
    other = payer.service.post(path, {"reason": "I was"}, key=key)
    assert other.json()["code"] == "idempotency_key_reused"
    nothing = payer.service.post(path.replace(alarm["id"], f"alm_{'0' * 32}"), body)
    assert nothing.json()["code"] == "not_found"
    assert "unknown_message" not in payer.alarms()
    listed = payer.service.read("/v1/bank_alarms", acknowledged=True)["items"]
    assert [one for one in listed if one["kind"] == "unknown_message"] == [done.json()]
    payer.bank.say("CFOTHER", "")
    payer.until_read()
    assert payer.alarms()["unknown_message"]["id"] == alarm["id"]


def test_a_return_of_another_amount_than_was_ordered(payer: Payer) -> None:
    """The bank has booked less than was ordered, and a part of that came back: the wallet has that
    part, and no more.
    """
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.payments[name] = replace(payer.bank.payments[name], amount=699)
    payer.bank.book(name)
    payer.until_read()
    assert payer.alarms()["amount_differs"]["about"] == name
    payer.bank.give_back(name, 650)
    returned(payer, payout)
    assert payer.read(payout)["state"] == "completed"
    assert balance(payer.service, wallet) == (950, 0)
    payer.bank.standing -= 1  # which reconciliation finds


def test_a_return_of_nothing_gives_nothing_back(payer: Payer) -> None:
    """Whatever it is, no money has come: the payout stays paid."""
    wallet = payer.funded(1000)
    payout = payer.pay(wallet, 700)
    name = payer.until_sent(payout)
    payer.bank.book(name)
    payer.until(payout)
    payer.bank.give_back(name, 0)
    payer.until_read()
    assert payer.read(payout)["state"] == "completed"
    assert balance(payer.service, wallet) == (300, 0)
    payer.bank.give_back(name)
    returned(payer, payout)
    assert balance(payer.service, wallet) == (1000, 0)
