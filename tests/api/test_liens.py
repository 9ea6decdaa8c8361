"""Liens over HTTP: reserved for a running chain, extended, released; why money cannot be spent."""

from __future__ import annotations

from typing import Any

from tests.chain_bodies import balance, keep, make_chain, pay, states, wait
from tests.contract import read_problem
from tests.server import Api

WHY = {"reason": "because"}


def test_an_account_says_why_its_money_cannot_be_spent(service: Api) -> None:
    """Each open lien with its chain, step and what remains; together they are what is reserved."""
    al, bo = service.open_account(funded=1000), service.open_account()
    first = make_chain(
        service,
        keep("one", al, 300, expires_seconds=3600, on_expiry="continue"),
        pay("part", al, bo, 100, depends_on=["one"]),
        wait("w"),
        type="purchase",
    )
    make_chain(service, keep("two", al, 50), wait("w"))
    found = service.read(f"/v1/accounts/{al}/liens")
    assert (found["posted"], found["reserved"], found["available"]) == (900, 250, 650)
    assert sum(lien["remaining"] for lien in found["items"]) == found["reserved"]
    lien = found["items"][0]
    assert {
        name: lien[name]
        for name in ("chain_id", "chain_type", "chain_state", "step", "state", "kind", "drawn")
    } == {
        "chain_id": first["id"],
        "chain_type": "purchase",
        "chain_state": "executing",
        "step": "one",
        "state": "active",
        "kind": "reserve",
        "drawn": 100,
    }
    assert lien["expires_at"] is not None
    assert lien["id"] == first["steps"][0]["lien_id"]
    assert service.read(f"/v1/liens/{lien['id']}") == lien
    proceeds = service.read(f"/v1/accounts/{bo}/liens")
    assert (proceeds["posted"], proceeds["available"]) == (100, 0)
    assert proceeds["items"][0]["kind"] == "proceeds"
    assert proceeds["items"][0]["id"] in first["steps"][1]["proceeds"]
    page = service.read(f"/v1/accounts/{al}/liens", limit=1)
    rest = service.read(f"/v1/accounts/{al}/liens", limit=1, cursor=page["next"])
    assert page["items"] + rest["items"] == found["items"]
    of_chain = service.read(f"/v1/chains/{first['id']}/liens")["items"]
    assert {each["id"] for each in of_chain} == {lien["id"], proceeds["items"][0]["id"]}
    spent = service.post("/v1/transfers", pay("", al, bo, 651)["inputs"])
    assert read_problem(spent)["code"] == "insufficient_funds"


def test_a_chain_may_spend_what_is_available_and_its_pool(service: Api) -> None:
    """Virtual balances: of every account that it names, of one, and beside a balance."""
    al, bo = service.open_account(funded=1000), service.open_account()
    chain = make_chain(service, keep("k", al, 300), pay("p", al, bo, 100), wait("w"))
    make_chain(service, keep("k", al, 50), wait("w"))
    path = f"/v1/chains/{chain['id']}/virtual-balances"
    found = {item["account_id"]: item for item in service.read(path)["items"]}
    assert (found[al]["available"], found[al]["pool"], found[al]["virtual"]) == (650, 200, 850)
    assert (found[bo]["available"], found[bo]["pool"], found[bo]["virtual"]) == (0, 100, 100)
    assert service.read(path, account_id=al)["items"] == [found[al]]
    seen = service.read(f"/v1/accounts/{al}/balance", chain_id=chain["id"])
    assert (seen["pool"], seen["virtual"], seen["reserved"]) == (200, 850, 250)
    assert "pool" not in service.read(f"/v1/accounts/{al}/balance")
    assert service.get(path, account_id="acct_" + "0" * 32).status_code == 404
    answer = service.get(f"/v1/accounts/{al}/balance", chain_id="cte_" + "0" * 32)
    assert answer.status_code == 404


def test_funds_are_reserved_for_a_running_chain(service: Api) -> None:
    """At once, or refused and the chain is as it was; extended and released by steps of its own."""
    al, bo = service.open_account(funded=1000), service.open_account()
    chain = make_chain(service, wait("w"), pay("p", al, bo, 10))
    path = f"/v1/chains/{chain['id']}/liens"
    answer = service.post(path, {"account_id": al, "amount": 400}, key="r")
    assert answer.status_code == 201, answer.text
    lien = answer.json()
    assert (lien["state"], lien["remaining"], lien["expires_at"]) == ("active", 400, None)
    assert answer.headers["location"] == f"/v1/liens/{lien['id']}"
    assert service.read(f"/v1/liens/{lien['id']}") == lien
    assert balance(service, al) == (1000, 400)
    before = service.read(f"/v1/chains/{chain['id']}")
    frozen = service.open_account(funded=5)
    service.patch(f"/v1/accounts/{frozen}", {"status": "frozen"})
    clearing = service.read("/v1/accounts", role="clearing", currency="USD")["items"][0]["id"]
    for body, code in (
        ({"account_id": al, "amount": 601}, "insufficient_funds"),
        ({"account_id": frozen, "amount": 1}, "account_frozen"),
        ({"account_id": clearing, "amount": 1}, "no_floor"),
        ({"account_id": "acct_" + "0" * 32, "amount": 1}, "invalid_chain"),
    ):
        refused = service.post(path, body)
        problem = read_problem(refused)
        assert (refused.status_code, problem["code"]) == (422, code), problem
    assert service.read(f"/v1/chains/{chain['id']}") == before
    extended = service.post(f"/v1/liens/{lien['id']}/extend", {"expires_seconds": 60})
    assert extended.status_code == 200, extended.text
    assert extended.json()["expires_at"] is None  # it does not expire, and is not made to
    assert service.read(f"/v1/liens/{lien['id']}") == extended.json()
    timed = service.make(path, {"account_id": al, "amount": 1, "expires_seconds": 60})
    for seconds in (3600, 1):
        extended = service.post(f"/v1/liens/{timed['id']}/extend", {"expires_seconds": seconds})
        assert extended.status_code == 200, extended.text
        assert extended.json()["expires_at"] > timed["expires_at"]
    assert service.read(f"/v1/liens/{timed['id']}") == extended.json()
    service.post(f"/v1/liens/{timed['id']}/release", {})
    released = service.post(f"/v1/liens/{lien['id']}/release", {})
    assert (released.json()["state"], released.json()["released"]) == ("released", 400)
    assert balance(service, al) == (1000, 0)
    again = service.post(f"/v1/liens/{lien['id']}/release", {})
    problem = read_problem(again)
    assert (again.status_code, problem["code"]) == (409, "lien_not_open")
    assert (problem["lien_id"], problem["chain_id"]) == (lien["id"], chain["id"])
    assert service.post(path, {"account_id": al, "amount": 400}, key="r").content == answer.content


def test_funds_are_declared_on_a_chain_that_has_not_started(service: Api) -> None:
    """A lien in `created` reserves nothing until its chain starts."""
    al = service.open_account(funded=1000)
    opened = service.make("/v1/chains", {"start": False})
    path = f"/v1/chains/{opened['id']}"
    lien = service.make(f"{path}/liens", {"account_id": al, "amount": 400})
    assert lien["state"] == "created"
    assert service.read(f"/v1/liens/{lien['id']}") == lien
    assert balance(service, al) == (1000, 0)
    service.post(f"{path}/steps", {"steps": [wait("w")]})
    started = service.post(f"{path}/start", {}).json()
    assert states(started)["reserve_1"] == "completed"
    assert balance(service, al) == (1000, 400)
    assert service.read(f"/v1/liens/{lien['id']}")["state"] == "active"


def test_proceeds_and_held_chains_keep_their_liens(service: Api) -> None:
    """Only a reservation ends early, and not while its chain begins nothing."""
    al, bo = service.open_account(funded=1000), service.open_account()
    chain = make_chain(service, keep("k", al, 5), pay("p", al, bo, 100), wait("w"))
    liens = service.read(f"/v1/chains/{chain['id']}/liens")["items"]
    proceeds = next(lien for lien in liens if lien["kind"] == "proceeds")
    answer = service.post(f"/v1/liens/{proceeds['id']}/release", {})
    assert read_problem(answer)["code"] == "lien_not_open"
    kept = make_chain(service, keep("k", al, 5), wait("w"))
    hold = {"seconds": 60, "then": "resume", "reason": "r"}
    service.post(f"/v1/chains/{kept['id']}/hold", hold)
    lien = kept["steps"][0]["lien_id"]
    for path, body in (
        (f"/v1/liens/{lien}/release", {}),
        (f"/v1/chains/{kept['id']}/liens", {"account_id": al, "amount": 1}),
    ):
        answer = service.post(path, body)
        assert (answer.status_code, read_problem(answer)["code"]) == (409, "chain_held")


def test_a_chains_liens_are_told_in_the_order_in_which_they_were_made(service: Api) -> None:
    """Whatever their ids are, and page by page."""
    al = service.open_account(funded=1000)
    chain = make_chain(service, wait("w"))
    path = f"/v1/chains/{chain['id']}/liens"
    made = [
        service.make(path, {"account_id": al, "amount": amount})["id"] for amount in range(1, 8)
    ]
    assert [lien["id"] for lien in service.read(path)["items"]] == made
    page, found = service.read(path, limit=3), []
    while page["next"]:
        found += page["items"]
        page = service.read(path, limit=3, cursor=page["next"])
    assert [lien["id"] for lien in (*found, *page["items"])] == made


def test_a_lien_of_another_ledger_is_not_there(service: Api) -> None:
    """Whatever is asked of it, or of its account."""
    al = service.open_account(funded=1000)
    chain = make_chain(service, keep("k", al, 5), wait("w"))
    lien = chain["steps"][0]["lien_id"]
    other = service.client(ledger=service.make_ledger())
    reads: list[Any] = [
        other.get(f"/v1/liens/{lien}"),
        other.get(f"/v1/accounts/{al}/liens"),
        other.get(f"/v1/chains/{chain['id']}/liens"),
        other.post(f"/v1/liens/{lien}/release", {}),
        other.post(f"/v1/liens/{lien}/extend", {"expires_seconds": 5}),
        other.post(f"/v1/chains/{chain['id']}/liens", {"account_id": al, "amount": 1}),
    ]
    assert [answer.status_code for answer in reads] == [404] * len(reads)


def test_an_ended_chain_takes_no_liens(service: Api) -> None:
    """All of its own have ended with it."""
    al, bo = service.open_account(funded=1000), service.open_account()
    chain = make_chain(service, keep("k", al, 5), wait("w"), pay("p", al, bo, 2))
    service.post(f"/v1/chains/{chain['id']}/signals/w", {})
    liens = service.read(f"/v1/chains/{chain['id']}/liens")["items"]
    assert [(lien["state"], lien["remaining"]) for lien in liens] == [("released", 0)]
    assert (liens[0]["drawn"], liens[0]["released"]) == (2, 3)
    answer = service.post(f"/v1/chains/{chain['id']}/liens", {"account_id": al, "amount": 1})
    assert (answer.status_code, read_problem(answer)["code"]) == (409, "chain_ended")
    assert service.read(f"/v1/accounts/{al}/liens")["items"] == []
