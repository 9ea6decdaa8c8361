"""Previews over HTTP: a chain played dry says what it would do, and nothing is written."""

from __future__ import annotations

from typing import Any

from tests.chain_bodies import balance, keep, make_chain, pay, wait
from tests.contract import read_problem
from tests.server import Api


def preview(service: Api, *steps: dict[str, Any], **more: object) -> Any:  # noqa: ANN401  # any JSON
    """What would become of these steps."""
    answer = service.send("POST", "/v1/chains/preview", {"steps": list(steps), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_preview_says_what_the_chain_would_do(service: Api) -> None:
    """Each step's virtual balances and state are those of the chain that is then made."""
    al, bo = service.open_account(funded=1000), service.open_account()
    steps = [
        keep("k", al, 300),
        wait("w"),
        pay("one", al, bo, {"cel": "int(steps.w.payload.n)"}, when="steps.w.payload.n > 5"),
        pay("two", bo, al, 20),
    ]
    before = service.count_rows()
    found = preview(service, *steps, assume={"w": {"payload": {"n": 100}}})
    assert service.count_rows() == before
    assert (found["state"], found["refused"], found["unknown"]) == ("completed", None, ["one"])
    by_name = {step["name"]: step for step in found["steps"]}
    assert by_name["k"]["balances"] == [
        {
            "account_id": al,
            "currency": "USD",
            "posted": 1000,
            "reserved": 300,
            "available": 700,
            "pool": 300,
            "virtual": 1000,
        }
    ]
    stood = {each["account_id"]: each for each in by_name["one"]["balances"]}
    assert (stood[al]["pool"], stood[al]["virtual"]) == (200, 900)
    assert (stood[bo]["available"], stood[bo]["virtual"]) == (0, 100)
    stood = {each["account_id"]: each for each in by_name["two"]["balances"]}
    assert (stood[al]["virtual"], stood[bo]["virtual"]) == (920, 80)
    chain = make_chain(service, *steps)
    path = f"/v1/chains/{chain['id']}/signals/w"
    assert service.post(path, {"payload": {"n": 100}}).json()["state"] == found["state"]
    assert (balance(service, al), balance(service, bo)) == ((920, 0), (80, 0))


def test_a_preview_says_what_is_missing_and_who_would_be_refused(service: Api) -> None:
    """What must come from outside at most, and by how much it is not there now."""
    al, bo = service.open_account(funded=100), service.open_account()
    steps = [pay("first", al, bo, 80), pay("back", bo, al, 60), pay("more", al, bo, 90)]
    found = preview(service, *steps)
    assert found["state"] == "rolled_back"
    assert found["refused"]["step"] == "more"
    assert (found["refused"]["code"], found["refused"]["account_id"]) == ("insufficient_funds", al)
    (funding,) = found["funding"]
    assert funding == {
        "account_id": al,
        "currency": "USD",
        "needed": 110,
        "available": 100,
        "missing": 10,
    }
    states = {step["name"]: step["state"] for step in found["steps"]}
    assert states == {"first": "skipped", "back": "skipped", "more": "failed"}
    service.make("/v1/deposits", {"account_id": al, "amount": 10, "currency": "USD"})
    found = preview(service, *steps)
    assert (found["state"], found["funding"][0]["missing"]) == ("completed", 0)


def test_partners_are_assumed_to_approve(service: Api) -> None:
    """With what is assumed of them; a step that misses it says so, and is not refused."""
    al, bo = service.open_account(funded=100), service.open_account()
    call = {
        "name": "check",
        "type": "http",
        "inputs": {"url": "https://partner.example/check"},
        "compensation": {"type": "none"},
    }
    last = pay("pay", al, bo, {"cel": "int(steps.check.body.amount)"})
    found = preview(service, call, last, assume={"check": {"body": {"amount": 7}}})
    assert found["state"] == "completed"
    assert found["steps"][1]["balances"][0]["posted"] == 93
    found = preview(service, call, last)
    assert (found["state"], found["refused"], found["failure"]) == ("executing", None, None)
    assert [step["state"] for step in found["steps"]] == ["completed", "pending"]
    sentence = "It depends on what check gives: say it in `assume`."
    assert [step.get("unknown") for step in found["steps"]] == [None, sentence]
    answer = service.send("POST", "/v1/chains/preview", {"steps": [call], "assume": {"nobody": {}}})
    assert read_problem(answer)["errors"][0]["pointer"] == "/assume"


def test_a_preview_reverses_an_entry_that_is_there(service: Api) -> None:
    """Its accounts are read with it; one that is not there is refused."""
    al, bo = service.open_account(funded=100), service.open_account()
    entry = service.make("/v1/transfers", pay("", al, bo, 30)["inputs"])["id"]
    step = {"name": "back", "type": "reversal", "inputs": {"entry_id": entry}}
    found = preview(service, step)
    stood = {each["account_id"]: each["posted"] for each in found["steps"][0]["balances"]}
    assert (found["state"], stood) == ("completed", {al: 100, bo: 0})
    step["inputs"] = {"entry_id": "ent_" + "0" * 32}
    assert preview(service, step)["refused"]["code"] == "unknown_entry"


def test_a_preview_finds_the_flaws_that_a_chain_would_have(service: Api) -> None:
    """422 with the same pointers, those that only the books tell among them."""
    al, bo = service.open_account(funded=100), service.open_account()
    nobody = "acct_" + "0" * 32
    for steps, pointer in (
        ([pay("p", al, nobody, 1)], "/steps/0/inputs"),
        ([pay("p", al, bo, 1, depends_on=["x"])], "/steps/0/depends_on"),
        ([pay("p", al, bo, 1, pivot=True), pay("q", al, bo, 1)], "/steps/1/inputs"),
    ):
        dry = service.send("POST", "/v1/chains/preview", {"steps": steps})
        made = service.post("/v1/chains", {"steps": steps})
        problem = read_problem(dry)
        assert (dry.status_code, problem["code"]) == (422, "invalid_chain")
        assert problem["errors"] == read_problem(made)["errors"]
        assert problem["errors"][0]["pointer"] == pointer
