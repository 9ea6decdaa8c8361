"""Chains over HTTP: made, told, read and listed; what they refuse, and what a key remembers."""

from __future__ import annotations

from typing import Any

import pytest

from catena.settings import LIMITS
from tests.api.chain_states import wait_until
from tests.chain_bodies import balance, keep, make_chain, pay, states, wait
from tests.contract import read_problem
from tests.server import ORDINARY, Api, RunningApi, took_hot_road

NOBODY = "acct_" + "0" * 32
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


def test_an_opened_chain_takes_steps_and_starts(service: Api) -> None:
    """It does nothing until it is started; then it is as one that was made whole."""
    al, bo = service.open_account(funded=1000), service.open_account()
    opened = service.make("/v1/chains", {"start": False, "reference": "o"})
    assert (opened["state"], opened["steps"]) == ("created", [])
    path = f"/v1/chains/{opened['id']}"
    steps = [keep("hold", al, 100), pay("pay", al, bo, 60)]
    more = service.post(f"{path}/steps", {"steps": steps})
    assert (more.status_code, states(more.json())) == (200, {"hold": "pending", "pay": "pending"})
    assert balance(service, al) == (1000, 0)
    done = service.post(f"{path}/start", {})
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    assert balance(service, bo) == (60, 0)
    again = service.post(f"{path}/start", {})
    assert (again.status_code, read_problem(again)["code"]) == (409, "chain_ended")


def test_a_running_chain_takes_steps_under_its_lock(service: Api) -> None:
    """They depend on what is there; what cannot be is refused whole, with pointers."""
    al, bo = service.open_account(funded=1000), service.open_account()
    chain = make_chain(service, keep("hold", al, 100), wait("w"))
    path = f"/v1/chains/{chain['id']}/steps"
    fits = pay("pay", al, bo, {"cel": "steps.hold.amount"}, depends_on=["hold"])
    answer = service.post(path, {"steps": [fits]})
    assert (answer.status_code, states(answer.json())["pay"]) == (202, "completed")
    flaws: list[tuple[dict[str, Any], str]] = [
        (fits, "/steps/0/name"),
        (pay("x", al, bo, 1, depends_on=["nobody"]), "/steps/0/depends_on"),
        (pay("x", al, NOBODY, 1), "/steps/0/inputs"),
        (pay("x", al, bo, {"cel": "steps.w.payload"}), "/steps/0/inputs/amount"),
    ]
    for number, (bad, pointer) in enumerate(flaws):
        answer = service.post(path, {"steps": [bad]}, key=f"k{number}")
        problem = read_problem(answer)
        assert (answer.status_code, problem["code"]) == (422, "invalid_chain"), problem
        assert pointer in {error["pointer"] for error in problem["errors"]}
        again = service.post(path, {"steps": [bad]}, key=f"k{number}")
        assert read_problem(again)["errors"] == problem["errors"]
    assert len(service.read(f"/v1/chains/{chain['id']}")["steps"]) == 3


def test_an_expression_that_does_not_compile_is_explained(service: Api) -> None:
    """Where and what, and which names there are: they are the caller's own."""
    al, bo = service.open_account(), service.open_account()
    first, second = pay("one", al, bo, 1), pay("two", al, bo, 1, when="steps.one.amont > 0")
    answer = service.post("/v1/chains", {"steps": [first, second]})
    (error,) = read_problem(answer)["errors"]
    assert error["pointer"] == "/steps/1/when"
    said = "The expression does not compile: no such name at 1:10; before this step there are: "
    assert error["detail"].startswith(said + "steps.one.amount, ")


BAD_STEPS: dict[str, tuple[dict[str, Any], str]] = {
    "no such step": ({"depends_on": ["x"]}, "/steps/1/depends_on"),
    "itself": ({"depends_on": ["two"]}, "/steps/1/depends_on"),
    "a name twice": ({"name": "one"}, "/steps/1/name"),
    "a word of CEL": ({"name": "while"}, "/steps/1/name"),
    "an expression of another type": (
        {"inputs": {"amount": {"cel": "'x'"}}},
        "/steps/1/inputs/amount",
    ),
    "an expression that does not compile": ({"when": "1 +"}, "/steps/1/when"),
    "a later step's result": (
        {"inputs": {"amount": {"cel": "steps.three.amount"}}},
        "/steps/1/inputs/amount",
    ),
    "the same account twice": ({"inputs": {"destination_account_id": None}}, "/steps/1/inputs"),
    "an unknown account": ({"inputs": {"source_account_id": NOBODY}}, "/steps/1/inputs"),
    "a lien of nobody's": ({"inputs": {"lien": "three"}}, "/steps/1/inputs/lien"),
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_a_flaw_is_told_where_it_is(service: Api, name: str) -> None:
    """422 invalid_chain with a pointer to the step's part, in a group too; no chain is made."""
    al, bo = service.open_account(funded=100), service.open_account()
    change, pointer = BAD_STEPS[name]
    good = pay("two", al, bo, 1)
    inputs = {**good["inputs"], **change.get("inputs", {})}
    if inputs["destination_account_id"] is None:
        inputs["destination_account_id"] = al
    bad = {**good, **change, "inputs": inputs}
    last = pay("three", al, bo, 1, depends_on=[])
    before = service.count_rows()
    answer = service.post("/v1/chains", {"steps": [pay("one", al, bo, 1), bad, last]})
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid_chain"), problem
    assert pointer in {error["pointer"] for error in problem["errors"]}, problem
    if name == "a name twice":
        return
    steps = [pay("one", al, bo, 1), {**bad, "depends_on": change.get("depends_on", [])}, last]
    answer = service.post("/v1/chains", {"steps": [{"name": "g", "type": "chain", "steps": steps}]})
    places = {error["pointer"] for error in read_problem(answer)["errors"]}
    assert pointer.replace("/steps", "/steps/0/steps") in places or name == "a lien of nobody's"
    after = service.count_rows()
    assert {**after, "keys": 0} == {**before, "keys": 0}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"steps": []}, "/steps"),
        ({"steps": [{"name": "w", "type": "wait"}] * 101}, "/steps"),
        ({"steps": [{"name": "W", "type": "wait"}]}, "/steps/0/name"),
        ({"steps": [{"name": "w", "type": "wait", "pivot": True}]}, "/steps/0/pivot"),
        ({"steps": [{"name": "w", "type": "transfer"}]}, "/steps/0/inputs"),
        (
            {"steps": [{"name": "w", "type": "wait", "inputs": {"seconds": 0}}]},
            "/steps/0/inputs/seconds",
        ),
        ({"steps": [keep("k", NOBODY, 0)]}, "/steps/0/inputs/amount"),
        ({"steps": [keep("k", "al", 5)]}, "/steps/0/inputs/account_id"),
        ({"steps": [pay("p", NOBODY, NOBODY, {"cel": 5})]}, "/steps/0/inputs/amount/cel"),
        (
            {"steps": [pay("p", NOBODY, NOBODY, 1, retry={"attempts": 101})]},
            "/steps/0/retry/attempts",
        ),
        (
            {"steps": [{"name": "h", "type": "http", "inputs": {"body": 1.5}}]},
            "/steps/0/inputs/body",
        ),
        ({"timeout_seconds": 10**9, "steps": [wait("w")]}, "/timeout_seconds"),
        ({"start": "no", "steps": [wait("w")]}, "/start"),
    ],
)
def test_a_body_that_cannot_be_is_told_where(service: Api, body: object, pointer: str) -> None:
    """422 invalid_request with a pointer, through groups and kinds of values; nothing is stored."""
    before = service.count_rows()
    answer = service.post("/v1/chains", body)
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid_request"), problem
    assert pointer in {error["pointer"] for error in problem["errors"]}, problem
    assert service.count_rows() == before


def test_a_currency_that_the_ledger_lacks_is_unknown(service: Api) -> None:
    """Of a step, as of a transfer."""
    step = pay("p", NOBODY, NOBODY[:-1] + "1", 5)
    step["inputs"]["currency"] = "XXQ"
    answer = service.post("/v1/chains", {"steps": [step]})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "unknown_currency")


def test_a_caller_needs_the_scope_of_each_step(service: Api) -> None:
    """In groups too; without it nothing is stored, and the scope is named."""
    al, bo = service.open_account(funded=100), service.open_account()
    http = {"name": "h", "type": "http", "inputs": {"url": "https://x.example"}, "pivot": True}
    table: list[tuple[dict[str, Any], str]] = [
        (pay("p", al, bo, 1), "transfers:write"),
        (keep("k", al, 1), "liens:write"),
        (http, "chains:call"),
        ({"name": "g", "type": "chain", "steps": [pay("p", al, bo, 1)]}, "transfers:write"),
    ]
    writer = service.client("chains:write")
    before = service.count_rows()
    for step, scope in table:
        answer = writer.post("/v1/chains", {"steps": [step]})
        assert (answer.status_code, read_problem(answer)["code"]) == (403, "forbidden")
        assert scope in answer.json()["detail"]
    assert service.count_rows() == before
    assert writer.post("/v1/chains", {"steps": [wait("w")]}).status_code == 202


def test_a_held_chain_begins_nothing_until_it_is_told(service: Api) -> None:
    """Signals are kept; resuming lets them act; rejecting rolls back."""
    al, bo = service.open_account(funded=1000), service.open_account()
    for end, state in (("resume", "completed"), ("reject", "rolled_back")):
        chain = make_chain(service, pay("one", al, bo, 1), wait("w"), pay("two", al, bo, 2))
        path = f"/v1/chains/{chain['id']}"
        hold = {"seconds": 60, "then": "reject", "reason": "look"}
        held = service.post(f"{path}/hold", hold)
        assert (held.status_code, held.json()["state"]) == (200, "held")
        assert held.json()["hold"]["reason"] == "look"
        told = service.post(f"{path}/signals/w", {}).json()
        assert (told["state"], states(told)["two"]) == ("held", "pending")
        for wrong, code in (("hold", "chain_held"), ("start", "chain_started")):
            body = hold if wrong == "hold" else {}
            answer = service.post(f"{path}/{wrong}", body)
            problem = read_problem(answer)
            assert (answer.status_code, problem["code"]) == (409, code)
            assert problem["chain_id"] == chain["id"]
        assert service.post(f"{path}/{end}", WHY).json()["state"] == state
        again = service.post(f"{path}/{end}", WHY)
        assert read_problem(again)["code"] == "chain_ended"
    assert balance(service, bo) == (3, 0)


def test_what_a_chain_cannot_be_told_is_refused(service: Api, other_process: RunningApi) -> None:
    """409 with its own code, for each state; and the same again under the same key."""
    al, bo = service.open_account(funded=1000), service.open_account()
    opened = service.make("/v1/chains", {"start": False, "steps": [wait("w")]})
    running = make_chain(service, wait("w"))
    past = make_chain(service, pay("p", al, bo, 1, pivot=True), wait("w"))
    ended = make_chain(service, pay("p", al, bo, 1))
    hold = {"seconds": 60, "then": "resume", "reason": "r"}
    table: list[tuple[dict[str, Any], str, object, str]] = [
        (opened, "hold", hold, "chain_not_started"),
        (opened, "resume", WHY, "chain_not_started"),
        (opened, "compensate", WHY, "chain_not_started"),
        (running, "start", {}, "chain_started"),
        (running, "resume", WHY, "chain_not_held"),
        (running, "steps/x/retry", WHY, "unknown_step"),
        (running, "steps/w/retry", WHY, "step_not_parked"),
        (past, "cancel", WHY, "pivot_passed"),
        (past, "compensate", WHY, "pivot_passed"),
        (ended, "cancel", WHY, "chain_ended"),
        (ended, "signals/w", {}, "chain_ended"),
        (ended, "steps", {"steps": [wait("x")]}, "chain_ended"),
        ({"id": "cte_" + "0" * 32}, "cancel", WHY, "unknown_chain"),
    ]
    twin = service.speak(service.key.secret, api=other_process)
    for chain, verb, body, code in table:
        path = f"/v1/chains/{chain['id']}/{verb}"
        status = 404 if code.startswith("unknown") else 409
        first, again = (client.post(path, body, key=path + code) for client in (service, twin))
        for answer in (first, again):
            problem = read_problem(answer)
            assert (answer.status_code, problem["code"]) == (status, code), path
            assert problem["chain_id"] == chain["id"]
        assert again.headers["idempotency-replayed"] == "true"


def test_a_chain_keeps_no_end_of_signals(service: Api) -> None:
    """What nobody waits for is shown, and refused from some number on; never what ends a wait."""
    chain = make_chain(service, wait("w"))
    path = f"/v1/chains/{chain['id']}/signals"
    assert chain["signals"] == []
    for number in range(LIMITS.chain_signals):
        kept = service.post(f"{path}/other", {})
        assert (kept.status_code, kept.json()["signals"]) == (202, ["other"] * (number + 1))
    refused = service.post(f"{path}/other", {})
    assert (refused.status_code, read_problem(refused)["code"]) == (409, "too_many_signals")
    assert service.post(f"{path}/w", {}).json()["state"] == "completed"


def test_a_chain_is_not_held_for_ever_and_again(service: Api) -> None:
    """It is refused from some number on; the chain can be ended all the same."""
    path = f"/v1/chains/{make_chain(service, wait('w'))['id']}"
    body = {"seconds": 60, "then": "resume", "reason": "r"}
    for _ in range(LIMITS.chain_holds):
        assert service.post(f"{path}/hold", body).status_code == 200
        assert service.post(f"{path}/resume", {"reason": "r"}).status_code == 202
    refused = service.post(f"{path}/hold", body)
    assert (refused.status_code, read_problem(refused)["code"]) == (409, "too_many_holds")
    assert service.post(f"{path}/cancel", {"reason": "r"}).json()["state"] == "rolled_back"


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
    """Or after the seconds, as it stands; the key remembers the first answer all the same."""
    chain_body = {"steps": [{"name": "w", "type": "wait", "inputs": {"seconds": 0.3}}]}
    headers = {"Idempotency-Key": "k", "Prefer": "respond-async, wait=30"}
    answer = service.send("POST", "/v1/chains", chain_body, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (201, "completed")
    assert answer.headers["preference-applied"] == "wait"
    again = service.send("POST", "/v1/chains", chain_body, headers=headers)
    assert (again.status_code, again.json()["state"]) == (202, "executing")
    headers = {"Idempotency-Key": "l", "Prefer": "wait=0"}
    answer = service.send("POST", "/v1/chains", {"steps": [wait("w")]}, headers=headers)
    assert answer.status_code == 202
    path = f"/v1/chains/{answer.json()['id']}/signals/other"
    headers = {"Idempotency-Key": "m", "Prefer": "wait=1"}
    answer = service.send("POST", path, {}, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (202, "executing")
    assert answer.headers["preference-applied"] == "wait"
