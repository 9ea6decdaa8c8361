"""Histories of chains over HTTP: page by page, and as a stream that can be taken up again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.chain_bodies import keep, make_chain, pay, wait
from tests.contract import Contract, read_events, read_problem
from tests.postgres import Database
from tests.server import Api, make_key, run_api

WHY = {"reason": "because"}


def read_history(service: Api, chain: str, **query: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # any parameters
    """Every event of a chain, page by page."""
    path = f"/v1/chains/{chain}/history"
    page = service.read(path, **query)
    found: list[dict[str, Any]] = page["items"]
    while page["next"]:
        page = service.read(path, **query, cursor=page["next"])
        found += page["items"]
    return found


def test_a_history_tells_every_transition(service: Api) -> None:
    """Numbered without a gap, with its time and who asked; the same whatever the pages."""
    al, bo = service.open_account(funded=1000), service.open_account()
    chain = make_chain(service, keep("k", al, 300), pay("p", al, bo, 100), wait("w"))
    done = service.post(f"/v1/chains/{chain['id']}/cancel", WHY).json()
    history = read_history(service, chain["id"])
    assert [event["number"] for event in history] == list(range(1, done["transitions"] + 1))
    assert read_history(service, chain["id"], limit=1) == history
    assert read_history(service, chain["id"], limit=4) == history
    told = [(event.get("step"), event["event"]) for event in history]
    (_, second, _) = history[0]["data"]["steps"]
    assert second["depends_on"] == [{"step": "k", "phase": "completed"}]
    assert told[:3] == [(None, "created"), (None, "validated"), (None, "executing")]
    assert told[-1] == (None, "rolled_back")
    assert told.index(("p", "compensated")) < told.index(("k", "compensated"))
    failed = next(event for event in history if event["event"] == "failed")
    assert (failed["by"], failed["data"]["detail"]) == (service.key.id, "because")
    paid = next(e for e in history if (e.get("step"), e["event"]) == ("p", "completed"))
    assert paid["data"]["entry_id"] == done["steps"][1]["entry_id"]
    assert paid["data"]["draws"] == [{"lien_id": done["steps"][0]["lien_id"], "amount": 100}]
    assert service.get(f"/v1/chains/cte_{'0' * 32}/history").status_code == 404


def test_progress_is_taken_up_where_it_was_left(service: Api) -> None:
    """One event for each number of the history; a stream of an ended chain ends."""
    chain = make_chain(service, wait("w"))
    service.post(f"/v1/chains/{chain['id']}/signals/w", {})
    path = f"/v1/chains/{chain['id']}/progress"
    events = read_events(service.get(path).text)
    assert [event["data"] for event in events] == read_history(service, chain["id"])
    assert [event["id"] for event in events] == [str(e["data"]["number"]) for e in events]
    rest = service.send("GET", path, headers={"Last-Event-ID": "4"})
    assert rest.headers["content-type"] == "text/event-stream"
    assert read_events(rest.text) == events[4:]
    answer = service.send("GET", path, headers={"Last-Event-ID": "x"})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "invalid_request")
    assert service.get(f"/v1/chains/cte_{'0' * 32}/progress").status_code == 404


def test_progress_tells_what_happens_as_it_happens(service: Api) -> None:
    """Whoever follows sees the end that somebody else brings about."""
    chain = make_chain(service, wait("w"))
    path = f"/v1/chains/{chain['id']}/progress"
    with ThreadPoolExecutor() as threads, service.http.stream("GET", path) as answer:
        lines = answer.iter_lines()
        seen = next(line for line in lines if '"waiting"' in line)
        told = threads.submit(service.client().post, f"/v1/chains/{chain['id']}/signals/w", {})
        last = [line for line in lines if line.startswith("data: ")][-1]
        assert told.result().json()["state"] == "completed"
    assert '"event":"waiting"' in seen
    assert '"event":"completed"' in last


@pytest.fixture
def strict_service(database: Database, contract: Contract) -> Any:  # noqa: ANN401  # of a generator
    """A process that serves one stream at once, and is never silent for long."""
    settings = {"progress_streams": 1, "heartbeat_seconds": 0.1}
    with run_api(database.service_dsn, **settings) as api:
        service = Api(api, database, make_key(database.service_dsn), contract)
        yield service
        service.close()


def test_streams_are_bounded_and_have_a_heartbeat(strict_service: Api) -> None:
    """One too many is 503; a silent one sends comments; both end when the process stops."""
    chain = make_chain(strict_service, wait("w"))
    path = f"/v1/chains/{chain['id']}/progress"
    with strict_service.http.stream("GET", path) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line == ":") == ":"
        refused = strict_service.client().get(path)
        assert (refused.status_code, read_problem(refused)["code"]) == (503, "overloaded")
        strict_service.api.process.terminate()
        assert all(line in {"", ":"} for line in lines)
