"""What needs no ledger: health, metrics, the document's page and the pages of errors; and 503."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import uuid4

import httpx2
import pytest

from catena.db.embedded import EmbeddedPostgres
from tests.contract import Contract, read_problem
from tests.postgres import Database, ask
from tests.server import Api, RunningApi, make_key, run_api


@pytest.fixture
def small_api(database: Database) -> Iterator[RunningApi]:
    """A process of its own with a short queue and little patience."""
    with run_api(database.service_dsn, answer_seconds=1, queue_operations=10) as api:
        yield api


@pytest.fixture
def small_service(small_api: RunningApi, database: Database, contract: Contract) -> Iterator[Api]:
    """The service of that process."""
    service = Api(small_api, database, make_key(database.service_dsn), contract)
    yield service
    service.close()


def test_a_process_says_that_it_lives_and_is_ready(service: Api) -> None:
    """Without a credential, so that a load balancer can ask."""
    for path, status in (("/livez", "alive"), ("/readyz", "ready")):
        answer = httpx2.get(service.api.address + path)
        assert (answer.status_code, answer.json()) == (200, {"status": status})
        assert answer.headers["content-type"] == "application/json"


def test_metrics_count_what_was_committed(service: Api) -> None:
    """In Prometheus' format, by ledger; refusals and replays too."""
    al = service.open_account(funded=5)
    withdrawal = {"account_id": al, "amount": 9, "currency": "USD"}
    for _ in range(2):
        assert service.post("/v1/withdrawals", withdrawal, key="k").status_code == 422
    answer = service.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    line = re.compile(rf'^catena_journal_(\w+)\{{ledger="{service.ledger}"\}} (\S+)$', re.MULTILINE)
    counted = dict(line.findall(answer.text))
    assert {name: float(counted[name]) for name in counted if "seconds" not in name} == {
        "waiting": 0,
        "commits_total": 3,
        "operations_total": 3,
        "refused_total": 1,
        "replayed_total": 1,
        "stale_total": 0,
        "lost_total": 0,
    }
    assert "process_resident_memory_bytes" in answer.text


def test_the_page_of_the_document_asks_nobody_outside(service: Api) -> None:
    """Page, style and script come from the service itself; its bare address leads there."""
    root = httpx2.get(f"{service.api.address}/")
    assert (root.status_code, root.headers["location"]) == (307, "/docs")
    page = httpx2.get(f"{service.api.address}/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text.replace("<!--", "")
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(linked) == 3
    for path in linked:
        part = httpx2.get(service.api.address + path)
        assert part.status_code == 200
        assert part.headers["content-type"].startswith(("text/css", "text/javascript"))
        assert part.content
    assert '"/openapi.json"' in httpx2.get(f"{service.api.address}/docs/start.js").text
    for path in ("/docs/nothing.js", "/docs/..%2Fopenapi.json", "/docs/%00"):
        answer = service.send("GET", path)
        assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found")


def test_every_code_has_its_page(service: Api, contract: Contract) -> None:
    """A problem's `type` leads to a page that says what to do; other names lead nowhere."""
    for code, example in contract.document["components"]["examples"].items():
        page = service.http.get(example["value"]["type"])
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert code in page.text
        assert str(example["value"]["status"]) in page.text
    for name in ("nothing", "<script>", "%00", "..%2Flivez"):
        answer = service.send("GET", f"/errors/{name}")
        assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found")


def test_request_ids_differ_and_are_the_callers_to_quote(service: Api) -> None:
    """Every answer has its own, on every path."""
    paths = ("/livez", "/v1/accounts", "/nothing", "/docs", "/openapi.json", "/v1/ledgers")
    ids = [service.send("GET", path).headers["request-id"] for path in paths for _ in range(3)]
    assert len(set(ids)) == len(ids)


def test_what_is_too_much_at_once_may_be_tried_again(small_service: Api) -> None:
    """A full queue is 503 with Retry-After, and nothing half done; the key is as good as new."""
    al, bo = small_service.open_account(funded=100), small_service.open_account()
    move = {"source_account_id": al, "destination_account_id": bo, "amount": 1, "currency": "USD"}
    before = small_service.count_rows()
    for mode in ("atomic", "each"):
        many = {"mode": mode, "operations": [{"operation": "transfer", **move}] * 11}
        answer = small_service.post("/v1/batches", many, key="k")
        problem = read_problem(answer)
        assert (answer.status_code, problem["code"]) == (503, "overloaded")
        assert problem["retryable"] is True
        assert int(answer.headers["retry-after"]) > 0
    assert small_service.count_rows() == before
    few = {"mode": "atomic", "operations": [{"operation": "transfer", **move}] * 10}
    assert small_service.post("/v1/batches", few, key="k").status_code == 201


def test_without_its_database_a_process_lives_and_says_so(
    small_service: Api, database: Database, postgres_server: EmbeddedPostgres
) -> None:
    """Not ready, every request 503 and retryable; and once it is back, the same keys work."""
    al, bo = small_service.open_account(funded=100), small_service.open_account()
    move = {"source_account_id": al, "destination_account_id": bo, "amount": 1, "currency": "USD"}
    admin = postgres_server.admin_dsn
    ask(
        admin,
        f"ALTER DATABASE {database.name} CONNECTION LIMIT 0",
        f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"  # noqa: S608  # our name
        f" WHERE datname = '{database.name}'",
    )
    try:
        assert small_service.send("GET", "/livez").status_code == 200
        for method, path, body in (
            ("GET", "/readyz", None),
            ("GET", f"/v1/accounts/{al}", None),
            ("GET", f"/v1/accounts/{al}/balance", None),
            ("POST", "/v1/transfers", move),
            ("POST", "/v1/ledgers", {"name": "x"}),
        ):
            headers = {"Idempotency-Key": "k" if path != "/v1/ledgers" else uuid4().hex}
            answer = small_service.send(method, path, body, headers=headers)
            problem = read_problem(answer)
            assert (answer.status_code, problem["retryable"]) == (503, True), path
            assert problem["code"] in {"database_unavailable", "outcome_unknown"}
            assert int(answer.headers["retry-after"]) > 0
    finally:
        ask(admin, f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
    assert small_service.send("GET", "/readyz").status_code == 200
    answer = small_service.post("/v1/transfers", move, key="k")
    assert answer.status_code == 201
    assert small_service.read_posted(al, bo) == [99, 1]
