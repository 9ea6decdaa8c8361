"""Messages over HTTP: to whoever waits for them, once; what nobody waits for is listed."""

from __future__ import annotations

from tests.contract import read_problem
from tests.server import Api


def wait_for(correlation: str) -> dict[str, object]:
    """A chain that waits."""
    step = {"name": "paid", "type": "wait", "inputs": {"correlation": correlation}}
    return {"steps": [step]}


def test_a_message_finds_who_waits_for_it(service: Api) -> None:
    """Its payload is what the wait gives; sent again, it changes nothing, and its key tells the
    same again.
    """
    chain = service.post("/v1/chains", wait_for("invoice 7")).json()
    body = {"id": "e1", "correlation": "invoice 7", "payload": {"paid": 500}}
    told = service.post("/v1/messages", body, key="k1")
    assert (told.status_code, told.json()["chain_id"]) == (201, chain["id"])
    ended = service.read(f"/v1/chains/{chain['id']}")
    assert ended["state"] == "completed"
    assert ended["steps"][0]["result"] == {"payload": {"paid": 500}}
    again = service.post("/v1/messages", body)
    assert (again.status_code, again.json()["again"]) == (200, True)
    replayed = service.post("/v1/messages", body, key="k1")
    assert (replayed.status_code, replayed.json()) == (201, told.json())


def test_another_message_under_the_same_id_is_refused(service: Api) -> None:
    """409, and the first one counts; spacing and the order of names are no other message."""
    first = {"id": "e1", "correlation": "invoice 7", "payload": {"paid": 1, "by": "al"}}
    assert service.post("/v1/messages", first).status_code == 201
    for other in (
        {**first, "payload": {"paid": 2, "by": "al"}},
        {**first, "payload": {"paid": True, "by": "al"}},
        {**first, "correlation": "invoice 8"},
    ):
        answer = service.post("/v1/messages", other)
        assert (answer.status_code, read_problem(answer)["code"]) == (409, "message_conflict")
    same = {**first, "payload": {"by": "al", "paid": 1}}
    assert service.post("/v1/messages", same).json()["again"] is True
    assert [item["payload"] for item in service.read("/v1/messages")["items"]] == [first["payload"]]


def test_what_nobody_waits_for_is_listed_until_somebody_does(service: Api) -> None:
    """Page by page, the oldest first."""
    for number in range(3):
        body = {"id": f"e{number}", "correlation": f"invoice {number}"}
        assert service.post("/v1/messages", body).json()["chain_id"] is None
    page = service.read("/v1/messages", limit=2)
    assert [item["id"] for item in page["items"]] == ["e0", "e1"]
    rest = service.read("/v1/messages", limit=2, cursor=page["next"])
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (["e2"], None)
    headers = {"Idempotency-Key": "early", "Prefer": "wait=20"}
    chain = service.send("POST", "/v1/chains", wait_for("invoice 1"), headers=headers).json()
    assert service.read(f"/v1/chains/{chain['id']}")["state"] == "completed"
    left = [item["id"] for item in service.read("/v1/messages")["items"]]
    assert left == ["e0", "e2"]
