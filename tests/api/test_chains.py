"""Chains over HTTP: made, run, read and listed; and who is not shown them."""

from __future__ import annotations

from typing import Any

from tests.api.chain_states import wait_until
from tests.chain_bodies import balance, keep, make_chain, pay, states, wait
from tests.contract import read_problem
from tests.server import ORDINARY, Api, RunningApi, took_hot_road

WHY = {"reason": "because"}


def test_a_chain_of_the_books_alone_is_done_when_it_is_answered(service: Api) -> None:
    """201, completed, with the entry of each step; the entries say whose they are."""
    al, bo = service.open_account(funded=1000), service.open_account()
    answer = service.post(
        "/v1/chains",
        {
            "type": "purchase",
            "reference": "o-1",
            "metadata": {"z": 1, "a": "x"},
            "steps": [keep("hold", al, 300), pay("pay", al, bo, {"cel": "steps.hold.amount"})],
        },
    )
    assert answer.status_code == 201, answer.text
    chain = answer.json()
    assert chain["state"] == "completed"
    assert chain["progress"] == {"done": 2, "total": 2}
    assert answer.headers["location"] == f"/v1/chains/{chain['id']}"
    assert (balance(service, al), balance(service, bo)) == ((700, 0), (300, 0))
    entry = service.read(f"/v1/entries/{chain['steps'][1]['entry_id']}")
    assert (entry["chain_id"], entry["step"]) == (chain["id"], "pay")
    assert service.read(f"/v1/chains/{chain['id']}") == chain
    transfer = service.make("/v1/transfers", pay("", al, bo, 1)["inputs"])
    assert "chain_id" not in transfer


def test_both_roads_make_the_same_chain(service: Api) -> None:
    """The protocol's own and the framework's; who prefers to wait takes the second."""
    al, bo = service.open_account(funded=1000), service.open_account()
    body = {"steps": [keep("hold", al, 300), pay("pay", al, bo, {"cel": "steps.hold.amount"})]}
    plain = service.post("/v1/chains", body)
    assert took_hot_road(plain)
    headers = [("Idempotency-Key", "ordinary"), *ORDINARY]
    ordinary = service.send("POST", "/v1/chains", body, headers=headers)
    assert not took_hot_road(ordinary)
    wait = {"Idempotency-Key": "waits", "Prefer": "wait=1"}
    assert not took_hot_road(service.send("POST", "/v1/chains", body, headers=wait))
    assert plain.status_code == ordinary.status_code == 201
    for name in ("state", "progress", "failure", "type", "transitions"):
        assert plain.json()[name] == ordinary.json()[name]
    bad = {"steps": [keep("hold", "acct_" + "0" * 32, 1)]}
    told = [service.post("/v1/chains", bad).json()]
    headers = [("Idempotency-Key", "bad"), *ORDINARY]
    told.append(service.send("POST", "/v1/chains", bad, headers=headers).json())
    assert told[0]["errors"] == told[1]["errors"]


def test_a_refused_run_leaves_nothing_but_its_chain(service: Api) -> None:
    """201: a chain in rolled_back that says which step was refused, and why."""
    al, bo = service.open_account(funded=100), service.open_account()
    chain = service.make("/v1/chains", {"steps": [pay("one", al, bo, 60), pay("two", al, bo, 60)]})
    assert chain["state"] == "rolled_back"
    assert chain["failure"]["code"] == "insufficient_funds"
    assert (chain["failure"]["step"], chain["failure"]["account_id"]) == ("two", al)
    assert states(chain) == {"one": "skipped", "two": "failed"}
    assert balance(service, al) == (100, 0)


def test_every_type_of_the_books_is_a_step(service: Api) -> None:
    """One chain with a step of each type that posts: each has its entry, and all are undone."""
    al, bo = service.open_account(funded=10_000), service.open_account()
    eu = service.open_account("EUR")
    entry = service.make("/v1/transfers", pay("", al, bo, 500)["inputs"])["id"]
    usd = {"currency": "USD", "amount": 100}
    fee = [{"type": "fixed", "name": "f", "amount": 5}]
    lines = [
        {"account_id": al, "side": "debit", "amount": {"cel": "7"}, "currency": "USD"},
        {"account_id": bo, "side": "credit", "amount": 7, "currency": "USD"},
    ]
    steps: list[dict[str, Any]] = [
        {"name": "a", "type": "deposit", "inputs": {"account_id": al, **usd, "fees": fee}},
        {
            "name": "b",
            "type": "withdrawal",
            "inputs": {"account_id": al, **usd, "through": "holding"},
        },
        {"name": "c", "type": "fee", "inputs": {"account_id": al, **usd, "description": "x"}},
        {
            "name": "d",
            "type": "exchange",
            "inputs": {
                "source_account_id": al,
                "destination_account_id": eu,
                "source_currency": "USD",
                "destination_currency": "EUR",
                "rate": "0.9",
                "source_amount": 100,
            },
        },
        {"name": "e", "type": "entry", "inputs": {"lines": lines, "entry_type": "transfer"}},
        {"name": "f", "type": "reversal", "inputs": {"entry_id": entry}},
        wait("w"),
    ]
    chain = make_chain(service, *steps)
    assert states(chain) == {**dict.fromkeys("abcdef", "completed"), "w": "waiting"}
    assert all("entry_id" in step for step in chain["steps"][:-1])
    undone = service.post(f"/v1/chains/{chain['id']}/cancel", WHY).json()
    assert undone["state"] == "rolled_back"
    assert (undone["failure"]["code"], undone["failure"]["detail"]) == ("cancelled", "because")
    assert all("undo_entry_id" in step for step in undone["steps"][:-1])
    assert [balance(service, id) for id in (al, bo, eu)] == [(9500, 0), (500, 0), (0, 0)]


def test_what_is_undone_or_given_up_is_not_done(service: Api) -> None:
    """Steps that stand count, and one that its condition skipped; a chain and its card agree."""
    al, bo = service.open_account(funded=100), service.open_account()
    steps = [pay("a", al, bo, 1), pay("b", al, bo, 1, when="false"), wait("w"), wait("x")]
    chain = make_chain(service, *steps)
    assert chain["progress"] == {"done": 2, "total": 4}
    undone = service.post(f"/v1/chains/{chain['id']}/cancel", WHY).json()
    assert (undone["state"], undone["progress"]) == ("rolled_back", {"done": 1, "total": 4})
    (card,) = service.read("/v1/chains")["items"]
    assert card["progress"] == undone["progress"]
    refused = make_chain(service, pay("a", al, bo, 1), pay("b", al, bo, 1000))
    assert (states(refused), refused["progress"]["done"]) == ({"a": "skipped", "b": "failed"}, 0)


def test_a_chain_waits_for_its_signal(service: Api, other_process: RunningApi) -> None:
    """202 while it goes on; the payload is there for what follows; the first answer is repeated."""
    al, bo = service.open_account(funded=1000), service.open_account()
    amount = {"cel": "int(steps.approval.payload.amount)"}
    body = {"steps": [keep("hold", al, 300), wait("approval"), pay("pay", al, bo, amount)]}
    first = service.post("/v1/chains", body, key="k")
    assert first.status_code == 202, first.text
    id = first.json()["id"]
    assert states(first.json()) == {"hold": "completed", "approval": "waiting", "pay": "pending"}
    assert balance(service, al) == (1000, 300)
    signal = {"payload": {"amount": 120}}
    answer = service.post(f"/v1/chains/{id}/signals/approval", signal, key="s")
    assert (answer.status_code, answer.json()["state"]) == (200, "completed")
    assert (balance(service, al), balance(service, bo)) == ((880, 0), (120, 0))
    for client in (service, service.speak(service.key.secret, api=other_process)):
        again = client.post("/v1/chains", body, key="k")
        assert (again.status_code, again.content) == (202, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        told = client.post(f"/v1/chains/{id}/signals/approval", signal, key="s")
        assert told.content == answer.content


def test_a_group_is_done_when_its_steps_are(service: Api) -> None:
    """Its steps are named after it, what depends on it waits for all of them; when is theirs."""
    al, bo = service.open_account(funded=1000), service.open_account()
    group = {
        "name": "both",
        "type": "chain",
        "steps": [pay("one", al, bo, 1), wait("two", depends_on=[])],
    }
    skipped = {**group, "name": "never", "when": "1 > 2", "depends_on": []}
    chain = make_chain(service, group, pay("last", al, bo, 5), skipped)
    assert states(chain) == {
        "both.one": "completed",
        "both.two": "waiting",
        "both": "pending",
        "last": "pending",
        "never.one": "skipped",
        "never.two": "skipped",
        "never": "completed",
    }
    done = service.post(f"/v1/chains/{chain['id']}/signals/both.two", {}).json()
    assert (done["state"], balance(service, bo)) == ("completed", (6, 0))


def test_a_chain_of_another_ledger_is_not_there(service: Api) -> None:
    """Whatever is asked of it."""
    chain = make_chain(service, wait("w"))
    other = service.client(ledger=service.make_ledger())
    path = f"/v1/chains/{chain['id']}"
    for read in ("", "/history", "/progress", "/liens", "/virtual-balances"):
        assert other.get(path + read).status_code == 404, read
    for verb in ("/cancel", "/resume", "/compensate", "/steps/w/skip"):
        answer = other.post(path + verb, WHY)
        assert (answer.status_code, read_problem(answer)["code"]) == (404, "unknown_chain")
    assert other.read("/v1/chains")["items"] == []


def test_an_account_that_a_running_chain_names_is_not_closed(service: Api) -> None:
    """Nor is an entry of it reversed by others; when it has ended, both are as ever."""
    al, bo, empty = service.open_account(funded=9), service.open_account(), service.open_account()
    last = pay("last", al, empty, 1)
    chain = make_chain(service, pay("one", al, bo, 5), wait("w"), last)
    answer = service.post(f"/v1/accounts/{empty}/close", {})
    assert (answer.status_code, read_problem(answer)["code"]) == (409, "account_in_use")
    entry = f"/v1/entries/{chain['steps'][0]['entry_id']}"
    for verb in ("reverse", "refund"):
        answer = service.post(f"{entry}/{verb}", {})
        assert (answer.status_code, read_problem(answer)["code"]) == (409, "chain_running")
    service.post(f"/v1/chains/{chain['id']}/cancel", WHY)
    assert service.post(f"/v1/accounts/{empty}/close", {}).status_code == 200


def test_an_account_that_an_expression_gives_is_named_once_it_was_posted_to(service: Api) -> None:
    """Before that nobody knows it: it can be closed, and then its step is refused."""
    al, bo, cy = service.open_account(funded=9), service.open_account(), service.open_account()
    steps = [pay("there", al, bo, 5), pay("back", bo, al, 5), wait("w"), pay("last", al, cy, 1)]
    steps[0]["inputs"]["destination_account_id"] = {"cel": f"'{bo}'"}
    steps[1]["inputs"]["source_account_id"] = {"cel": f"'{bo}'"}
    steps[3]["inputs"]["destination_account_id"] = {"cel": f"'{cy}'"}
    path = f"/v1/chains/{make_chain(service, *steps)['id']}"
    wait_until(service, path, "w", "waiting")
    answer = service.post(f"/v1/accounts/{bo}/close", {})
    assert (answer.status_code, read_problem(answer)["code"]) == (409, "account_in_use")
    assert service.post(f"/v1/accounts/{cy}/close", {}).status_code == 200
    service.post(f"{path}/signals/w", {})
    with service.http.stream("GET", f"{path}/progress") as events:
        assert "rolled_back" in events.read().decode()
    failure = service.read(path)["failure"]
    assert (failure["code"], failure["step"]) == ("account_closed", "last")
    assert service.post(f"/v1/accounts/{bo}/close", {}).status_code == 200


def test_chains_are_listed_newest_first_by_what_they_have_in_common(service: Api) -> None:
    """By state, type, reference, account, time and whether they are parked; page by page."""
    al, bo = service.open_account(funded=1000), service.open_account()
    made = []
    for number in range(7):
        steps = [pay("p", al, bo, 1)] if number % 2 else [wait("w")]
        body = {"steps": steps, "type": f"kind{number % 3}", "reference": f"r{number % 2}"}
        made.append(service.post("/v1/chains", body).json())
    ids = [chain["id"] for chain in reversed(made)]

    def listed(**query: Any) -> list[str]:  # noqa: ANN401  # any parameters
        found: list[str] = []
        page = service.read("/v1/chains", **query)
        while True:
            found += [item["id"] for item in page["items"]]
            if page["next"] is None:
                return found
            page = service.read("/v1/chains", **query, cursor=page["next"])

    assert listed() == listed(limit=2) == ids
    assert listed(state="executing", limit=1) == ids[0::2]
    assert listed(state="completed") == ids[1::2]
    assert listed(state=["completed", "executing"]) == ids
    assert listed(type="kind1") == [c["id"] for c in reversed(made) if c["type"] == "kind1"]
    assert listed(reference="r1", limit=1) == listed(account_id=al) == ids[1::2]
    assert listed(account_id=bo, state="executing") == []
    assert listed(parked=True) == []
    assert listed(parked=False) == ids
    assert listed(start=made[3]["created_at"]) == ids[:4]
    assert listed(end=made[3]["created_at"], limit=1) == ids[4:]
    item = service.read("/v1/chains", limit=1)["items"][0]
    assert {name: made[-1][name] for name in item} == item


def test_prefer_wait_answers_when_the_chain_has_ended(service: Api) -> None:
    """Or after the seconds, as it stands. The key remembers the first answer; who waits again has
    the chain as it stands by then.
    """
    chain_body = {"steps": [{"name": "w", "type": "wait", "inputs": {"seconds": 0.3}}]}
    headers = {"Idempotency-Key": "k", "Prefer": "respond-async, wait=30"}
    answer = service.send("POST", "/v1/chains", chain_body, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (201, "completed")
    assert answer.headers["preference-applied"] == "wait"
    again = service.send("POST", "/v1/chains", chain_body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["state"]) == (202, "executing")
    again = service.send("POST", "/v1/chains", chain_body, headers=headers)
    assert (again.status_code, again.json()) == (201, answer.json())
    assert again.headers["idempotency-replayed"] == "true"
    headers = {"Idempotency-Key": "l", "Prefer": "wait=0"}
    answer = service.send("POST", "/v1/chains", {"steps": [wait("w")]}, headers=headers)
    assert answer.status_code == 202
    path = f"/v1/chains/{answer.json()['id']}/signals/other"
    headers = {"Idempotency-Key": "m", "Prefer": "wait=1"}
    answer = service.send("POST", path, {}, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (202, "executing")
    assert answer.headers["preference-applied"] == "wait"
