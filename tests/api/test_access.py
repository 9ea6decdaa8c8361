"""Who may call: keys, scopes, and how soon a revoked key is refused."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest

from catena.auth.scopes import ALL_SCOPES, WIDER, Scope
from tests.contract import Contract, read_problem
from tests.server import (
    CREDENTIAL_CACHE_SECONDS,
    Api,
    Client,
    RunningApi,
    make_key,
    revoke,
)

ACCOUNT, ENTRY = "acct_" + "0" * 32, "ent_" + "0" * 32
CHAIN, LIEN = f"/v1/chains/cte_{'0' * 32}", f"/v1/liens/lien_{'0' * 32}"
HOLD = f"/v1/holds/hold_{'0' * 32}"
RUN, ITEM = f"/v1/reconciliations/run_{'0' * 32}", f"/v1/reconciliation_items/rec_{'0' * 32}"
DEPOSIT, WITHDRAWAL = f"/v1/deposits/dep_{'0' * 32}", f"/v1/withdrawals/wdr_{'0' * 32}"
REFUND = f"/v1/refunds/rfd_{'0' * 32}"
IBAN = "DE89370400440532013000"
WAIT = {"name": "w", "type": "wait"}
WHY = {"reason": "because"}
MOVE = {
    "source_account_id": ACCOUNT,
    "destination_account_id": ACCOUNT[:-1] + "1",
    "amount": 1,
    "currency": "USD",
}
ONE_SIDED = {"account_id": ACCOUNT, "amount": 1, "currency": "USD"}
EXCHANGE = {
    "source_account_id": ACCOUNT,
    "destination_account_id": ACCOUNT[:-1] + "1",
    "source_currency": "USD",
    "destination_currency": "EUR",
    "rate": "1",
    "source_amount": 1,
}
LINES = [
    {"account_id": ACCOUNT, "side": "debit", "amount": 1, "currency": "USD"},
    {"account_id": ACCOUNT[:-1] + "1", "side": "credit", "amount": 1, "currency": "USD"},
]

NEEDS: list[tuple[str, str, Any, Scope]] = [
    ("GET", "/v1/ledgers", None, Scope.LEDGERS_READ),
    ("GET", "/v1/ledgers/ldg_" + "0" * 32, None, Scope.LEDGERS_READ),
    ("POST", "/v1/ledgers", {"name": "x"}, Scope.LEDGERS_WRITE),
    ("PUT", f"/v1/ledgers/ldg_{'0' * 32}/assets/PTS", {"exponent": 0}, Scope.LEDGERS_WRITE),
    ("GET", "/v1/messages", None, Scope.CHAINS_READ),
    ("GET", "/v1/notices", None, Scope.CHAINS_READ),
    ("POST", "/v1/messages", {"id": "e", "correlation": "c"}, Scope.CHAINS_SIGNAL),
    ("GET", "/v1/accounts", None, Scope.ACCOUNTS_READ),
    ("GET", f"/v1/accounts/{ACCOUNT}", None, Scope.ACCOUNTS_READ),
    ("GET", f"/v1/accounts/{ACCOUNT}/balance", None, Scope.ACCOUNTS_READ),
    ("GET", f"/v1/accounts/{ACCOUNT}/entries", None, Scope.ACCOUNTS_READ),
    ("POST", "/v1/accounts", {"currency": "USD"}, Scope.ACCOUNTS_WRITE),
    ("PATCH", f"/v1/accounts/{ACCOUNT}", {"name": "x"}, Scope.ACCOUNTS_WRITE),
    ("POST", f"/v1/accounts/{ACCOUNT}/close", {}, Scope.ACCOUNTS_WRITE),
    ("GET", "/v1/entries", None, Scope.ENTRIES_READ),
    ("GET", f"/v1/entries/{ENTRY}", None, Scope.ENTRIES_READ),
    ("POST", "/v1/entries", {"lines": LINES}, Scope.ENTRIES_WRITE),
    ("POST", "/v1/deposits", ONE_SIDED, Scope.DEPOSITS_WRITE),
    ("POST", "/v1/withdrawals", ONE_SIDED, Scope.WITHDRAWALS_WRITE),
    *(("GET", path, None, Scope.ENTRIES_READ) for path in (DEPOSIT, WITHDRAWAL, REFUND)),
    *(
        ("GET", path, None, Scope.ENTRIES_READ)
        for path in ("/v1/deposits", "/v1/withdrawals", f"{DEPOSIT}/refunds")
    ),
    ("POST", f"{DEPOSIT}/capture", {}, Scope.DEPOSITS_WRITE),
    ("POST", f"{DEPOSIT}/cancel", WHY, Scope.DEPOSITS_WRITE),
    ("POST", f"{DEPOSIT}/refunds", {}, Scope.DEPOSITS_WRITE),
    ("POST", f"{WITHDRAWAL}/cancel", WHY, Scope.WITHDRAWALS_WRITE),
    ("POST", "/v1/transfers", MOVE, Scope.TRANSFERS_WRITE),
    ("POST", "/v1/exchanges", EXCHANGE, Scope.EXCHANGES_WRITE),
    ("POST", f"/v1/entries/{ENTRY}/reverse", {}, Scope.CORRECTIONS_WRITE),
    ("POST", f"/v1/entries/{ENTRY}/refund", {}, Scope.CORRECTIONS_WRITE),
    *(
        ("POST", "/v1/batches", {"mode": mode, "operations": [operation]}, scope)
        for mode in ("atomic", "each")
        for operation, scope in (
            ({"operation": "deposit", **ONE_SIDED}, Scope.DEPOSITS_WRITE),
            ({"operation": "withdrawal", **ONE_SIDED}, Scope.WITHDRAWALS_WRITE),
            ({"operation": "transfer", **MOVE}, Scope.TRANSFERS_WRITE),
            ({"operation": "exchange", **EXCHANGE}, Scope.EXCHANGES_WRITE),
            ({"operation": "entry", "lines": LINES}, Scope.ENTRIES_WRITE),
        )
    ),
    ("POST", "/v1/chains", {"steps": [WAIT]}, Scope.CHAINS_WRITE),
    ("POST", "/v1/chains/preview", {"steps": [WAIT]}, Scope.CHAINS_READ),
    *(("GET", f"{CHAIN}{path}", None, Scope.CHAINS_READ) for path in ("", "/history", "/progress")),
    ("GET", "/v1/chains", None, Scope.CHAINS_READ),
    *(
        ("POST", f"{CHAIN}/{verb}", body, scope)
        for verb, body, scope in (
            ("start", {}, Scope.CHAINS_WRITE),
            ("steps", {"steps": [WAIT]}, Scope.CHAINS_WRITE),
            ("cancel", WHY, Scope.CHAINS_WRITE),
            ("signals/w", {}, Scope.CHAINS_SIGNAL),
            ("hold", {"seconds": 1, "then": "resume", **WHY}, Scope.CHAINS_HOLD),
            ("resume", WHY, Scope.CHAINS_HOLD),
            ("reject", WHY, Scope.CHAINS_HOLD),
            ("steps/w/retry", WHY, Scope.CHAINS_OPERATE),
            ("steps/w/mark-done", WHY, Scope.CHAINS_OPERATE),
            ("steps/w/mark-refused", WHY, Scope.CHAINS_OPERATE),
            ("steps/w/skip", WHY, Scope.CHAINS_OPERATE),
            ("compensate", WHY, Scope.CHAINS_OPERATE),
            ("liens", {"account_id": ACCOUNT, "amount": 1}, Scope.LIENS_WRITE),
        )
    ),
    *(
        ("GET", path, None, Scope.LIENS_READ)
        for path in (
            f"{CHAIN}/liens",
            f"{CHAIN}/virtual-balances",
            LIEN,
            HOLD,
            f"/v1/accounts/{ACCOUNT}/liens",
        )
    ),
    ("POST", f"{LIEN}/extend", {"expires_seconds": 5}, Scope.LIENS_WRITE),
    ("POST", f"{LIEN}/release", {}, Scope.LIENS_WRITE),
    ("POST", "/v1/holds", {**ONE_SIDED, "expires_seconds": 5}, Scope.LIENS_WRITE),
    ("POST", f"{HOLD}/capture", {}, Scope.LIENS_WRITE),
    ("POST", f"{HOLD}/void", {}, Scope.LIENS_WRITE),
    *(
        ("GET", path, None, Scope.RECONCILIATION_READ)
        for path in (
            "/v1/statements",
            "/v1/reconciliations",
            RUN,
            f"{RUN}/report",
            "/v1/reconciliation_items",
            ITEM,
        )
    ),
    ("POST", "/v1/statements?gateway=sandbox", None, Scope.RECONCILIATION_RUN),
    ("POST", "/v1/reconciliations", {"gateway": "sandbox"}, Scope.RECONCILIATION_RUN),
    ("POST", f"{RUN}/book_fees", {}, Scope.RECONCILIATION_SETTLE),
    ("POST", f"{ITEM}/resolve", {"settling": "park", **WHY}, Scope.RECONCILIATION_SETTLE),
    ("POST", f"{ITEM}/accept", WHY, Scope.RECONCILIATION_SETTLE),
    ("POST", f"{ITEM}/reopen", WHY, Scope.RECONCILIATION_SETTLE),
    *(
        ("GET", f"/v1/{path}", None, Scope.BANK_READ)
        for path in (
            "bank_files",
            "bank_alarms",
            "suspense",
            "virtual_ibans",
            "deposit_references",
        )
    ),
    (
        "POST",
        "/v1/virtual_ibans",
        {"gateway": "housebank", "iban": IBAN, "account_id": ACCOUNT},
        Scope.BANK_WRITE,
    ),
    ("POST", "/v1/deposit_references", {"account_id": ACCOUNT}, Scope.BANK_WRITE),
    ("DELETE", f"/v1/virtual_ibans/{IBAN}", None, Scope.BANK_WRITE),
    ("DELETE", "/v1/deposit_references/RF57WALLET0000000001", None, Scope.BANK_WRITE),
    (
        "POST",
        f"/v1/suspense/susp_{'0' * 32}/assign",
        {"account_id": ACCOUNT, **WHY},
        Scope.SUSPENSE_WRITE,
    ),
    ("POST", f"/v1/bank_alarms/alm_{'0' * 32}/acknowledge", WHY, Scope.BANK_WRITE),
    ("GET", "/metrics", None, Scope.METRICS_READ),
]


OPEN = {("POST", "/v1/webhooks/{connection_id}")}
"""What needs no key: the gateway's signature is its credential."""


def ask(client: Client, method: str, path: str, body: object) -> Any:  # noqa: ANN401  # a response
    """Send with every header that the operation may want."""
    headers = {"Idempotency-Key": "k" + path, "If-Match": "*"}
    return client.send(method, path, body, headers=headers)


def test_every_operation_of_the_document_is_in_the_table(contract: Contract) -> None:
    """No operation is left out of the tests below, and none is open but what is signed."""
    for method, path, pattern, operation in contract.operations:
        if (method, path) in OPEN:
            assert operation["security"] == []
            continue
        assert any(
            name == method and pattern.fullmatch(row.partition("?")[0]) for name, row, *_ in NEEDS
        ), path
        assert operation["security"] == [{"api_key": []}]


@pytest.mark.parametrize("scope", ALL_SCOPES)
def test_an_operation_needs_its_scope_and_no_other(service: Api, scope: Scope) -> None:
    """Without its scope an operation is 403 and runs nothing; with it alone, or with the one that
    includes it, it is let through.
    """
    wider = WIDER.get(scope)
    others = service.client(*(other for other in ALL_SCOPES if other not in {scope, wider}))
    alone = service.client(scope)
    before = service.count_rows()
    for method, path, body, needed in NEEDS:
        if needed is scope:
            answer = ask(others, method, path, body)
            assert (answer.status_code, read_problem(answer)["code"]) == (403, "forbidden"), path
            assert scope in answer.json()["detail"]
    assert service.count_rows() == before
    for method, path, body, needed in NEEDS:
        if scope in {needed, WIDER.get(needed)}:
            assert ask(alone, method, path, body).status_code not in {401, 403}, path
        else:
            assert ask(alone, method, path, body).status_code == 403, path


def test_a_batch_needs_the_scope_of_each_of_its_operations(service: Api) -> None:
    """One operation without its scope, and nothing of the batch runs, nor is its key remembered."""
    al, bo = service.open_account(funded=10), service.open_account()
    transfers = service.client(Scope.TRANSFERS_WRITE)
    move = {"source_account_id": al, "destination_account_id": bo, "amount": 1, "currency": "USD"}
    both = [
        {"operation": "transfer", **move},
        {"operation": "deposit", "account_id": al, "amount": 1, "currency": "USD"},
    ]
    before = service.count_rows()
    for mode in ("atomic", "each"):
        answer = transfers.post("/v1/batches", {"mode": mode, "operations": both}, key="k")
        assert (answer.status_code, read_problem(answer)["code"]) == (403, "forbidden")
    assert service.count_rows() == before
    only = {"mode": "each", "operations": both[:1]}
    assert transfers.post("/v1/batches", only, key="k").status_code == 201


def test_a_webhook_is_let_in_by_its_signature_alone(service: Api) -> None:
    """No key opens the way of a gateway that is not there, and none is asked for."""
    path = f"/v1/webhooks/gw_{'0' * 32}"
    nobody = service.speak("")
    del nobody.http.headers["Authorization"]
    for client in (nobody, service):
        answer = client.send("POST", path, {})
        assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Bearer ctk_" + "A" * 43,
        "Bearer ctk_" + "é" * 43,
        "Basic Y3RrXzp4",
        "ctk_" + "A" * 43,
        "Bearer " + "x" * 10_000,
    ],
)
def test_without_a_key_in_force_everything_is_401(service: Api, header: str | None) -> None:
    """Each operation says how to authenticate, and stores nothing."""
    nobody = service.speak("")
    del nobody.http.headers["Authorization"]
    before = service.count_rows()
    for method, path, body, _ in NEEDS:
        sent = {} if header is None else {"Authorization": header}
        answer = nobody.send(method, path, body, headers={"Idempotency-Key": "k", **sent})
        assert (answer.status_code, read_problem(answer)["code"]) == (401, "unauthenticated"), path
        assert answer.headers["www-authenticate"] == 'Bearer realm="catena"'
    assert service.count_rows() == before


def test_a_key_works_however_its_scheme_is_written(service: Api) -> None:
    """The scheme's case does not matter, the key's does; two credentials are one too many."""
    key = make_key(service.database.service_dsn)
    client = service.speak(key.secret)
    for header, status in (
        (f"bearer {key.secret}", 200),
        (f"BEARER  {key.secret}", 200),
        (f"Bearer {key.secret.swapcase()}", 401),
    ):
        client.http.headers["Authorization"] = header
        assert client.get("/v1/accounts").status_code == status
    del client.http.headers["Authorization"]
    twice = [("Authorization", f"Bearer {key.secret}")] * 2
    answer = client.send("GET", "/v1/accounts", headers=twice)
    assert (answer.status_code, read_problem(answer)["code"]) == (400, "bad_request")


def test_a_revoked_key_is_refused_within_the_named_seconds(
    service: Api, other_process: RunningApi
) -> None:
    """On both roads: transfers and balances answered in the protocol, and the ordinary ones."""
    al, bo = service.open_account(funded=10_000), service.open_account()
    move = {"source_account_id": al, "destination_account_id": bo, "amount": 1, "currency": "USD"}
    for method, path, body in (
        ("GET", f"/v1/accounts/{al}", None),
        ("GET", f"/v1/accounts/{al}/balance", None),
        ("POST", "/v1/transfers", move),
    ):
        key = make_key(service.database.service_dsn)
        client = service.speak(key.secret, api=other_process)
        assert ask(client, method, path, body).status_code in {200, 201}
        revoke(service.database.service_dsn, key)
        revoked_at = monotonic()
        while (answer := ask(client, method, path, body)).status_code != 401:
            assert monotonic() - revoked_at < CREDENTIAL_CACHE_SECONDS + 0.5
        assert read_problem(answer)["code"] == "unauthenticated"
