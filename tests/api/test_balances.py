"""Balances over HTTP: now, as the ledger knew them, and as they took effect."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.chain_bodies import keep, make_chain, wait
from tests.contract import read_problem
from tests.server import Api

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
MICROSECOND = dt.timedelta(microseconds=1)


def deposit(service: Api, account: str, amount: int, **more: object) -> dict[str, Any]:
    """A deposit; gives its entry."""
    body = {"account_id": account, "amount": amount, "currency": "USD", **more}
    entry: dict[str, Any] = service.make("/v1/deposits", body)
    return entry


def test_a_balance_says_what_it_is_as_of(service: Api) -> None:
    """Posted with its totals, reserved, available above the floor, position and version."""
    al = service.open_account(floor=-70)
    deposit(service, al, 500)
    service.make("/v1/withdrawals", {"account_id": al, "amount": 120, "currency": "USD"})
    last = service.make("/v1/deposits", {"account_id": al, "amount": 20, "currency": "USD"})
    assert service.read(f"/v1/accounts/{al}/balance") == {
        "account_id": al,
        "ledger_id": service.ledger,
        "currency": "USD",
        "posted": 400,
        "debits": 120,
        "credits": 520,
        "reserved": 0,
        "floor": -70,
        "available": 470,
        "position": last["position"],
        "version": 4,
        "recorded_at": last["recorded_at"],
    }


def test_every_type_shows_its_normal_side(service: Api) -> None:
    """Assets and expenses grow by debits, the others by credits; without a floor, no available."""
    ids = {
        type: service.open_account(type=type, floor=None)
        for type in ("asset", "expense", "liability", "equity", "revenue")
    }
    for type, id in ids.items():
        other = ids["equity" if type != "equity" else "revenue"]
        lines = [
            {"account_id": id, "side": "debit", "amount": 10, "currency": "USD"},
            {"account_id": other, "side": "credit", "amount": 10, "currency": "USD"},
        ]
        before = service.read(f"/v1/accounts/{id}/balance")
        service.make("/v1/entries", {"lines": lines})
        after = service.read(f"/v1/accounts/{id}/balance")
        grown = 10 if type in {"asset", "expense"} else -10
        assert after["posted"] - before["posted"] == grown, type
        assert (after["floor"], after["available"]) == (None, None)


def test_a_balance_is_current_for_whoever_reads_after_an_answer(service: Api) -> None:
    """Each read shows everything that was acknowledged before it."""
    al, bo = service.open_account(funded=50), service.open_account()
    for moved in range(1, 51):
        move = {"source_account_id": al, "destination_account_id": bo, "amount": 1}
        entry = service.make("/v1/transfers", {**move, "currency": "USD"})
        balance = service.read(f"/v1/accounts/{bo}/balance")
        assert (balance["posted"], balance["position"]) == (moved, entry["position"])


def test_as_it_was_recorded(service: Api) -> None:
    """At a moment, that moment included; what was learned later does not count."""
    al = service.open_account(floor=-5)
    account = service.read(f"/v1/accounts/{al}")
    first = deposit(service, al, 100)
    second = deposit(service, al, 10, effective_at=EARLY)
    service.patch(f"/v1/accounts/{al}", {"floor": -50})
    path = f"/v1/accounts/{al}/balance"
    before = service.read(path, recorded_at=account["created_at"])
    assert (before["posted"], before["position"], before["floor"]) == (0, 0, -5)
    then = service.read(path, recorded_at=first["recorded_at"])
    assert then == {
        "account_id": al,
        "ledger_id": service.ledger,
        "currency": "USD",
        "posted": 100,
        "debits": 0,
        "credits": 100,
        "reserved": 0,
        "floor": -5,
        "available": 105,
        "position": first["position"],
        "version": None,
        "recorded_at": first["recorded_at"],
    }
    just_before = dt.datetime.fromisoformat(second["recorded_at"]) - MICROSECOND
    assert service.read(path, recorded_at=just_before.isoformat())["posted"] == 100
    assert service.read(path, recorded_at=second["recorded_at"])["posted"] == 110
    later = service.read(path, recorded_at="2999-01-01T00:00:00Z")
    assert (later["posted"], later["floor"], later["available"]) == (110, -50, 160)
    assert second["recorded_at"] < later["recorded_at"] < "2999", "what is known now, as of now"


def test_as_it_took_effect(service: Api) -> None:
    """Backdated lines count from their effective date; reserved and floor have none."""
    al = service.open_account()
    now = deposit(service, al, 100)
    deposit(service, al, 10, effective_at=LATE)
    deposit(service, al, 1, effective_at=EARLY)
    path = f"/v1/accounts/{al}/balance"
    for moment, posted in {
        "0001-01-01T00:00:00Z": 0,
        "2025-12-31T23:59:59.999999Z": 0,
        EARLY: 1,
        "2026-01-01T02:00:00+02:00": 1,
        "2026-01-01T01:59:59+02:00": 0,
        LATE: 11,
        now["effective_at"]: 111,
        "9999-12-31T23:59:59Z": 111,
    }.items():
        balance = service.read(path, effective_at=moment)
        assert balance["posted"] == posted, moment
        assert (balance["reserved"], balance["floor"], balance["available"]) == (None, None, None)


def test_what_was_known_then_of_what_had_taken_effect_by_then(service: Api) -> None:
    """Both moments together: a correction that came later is not in an earlier report."""
    al = service.open_account()
    known = deposit(service, al, 100, effective_at=EARLY)
    deposit(service, al, 10, effective_at=EARLY)
    path = f"/v1/accounts/{al}/balance"
    moments = {"effective_at": LATE, "recorded_at": known["recorded_at"]}
    assert service.read(path, **moments)["posted"] == 100
    assert service.read(path, effective_at=LATE)["posted"] == 110


def test_before_it_was_opened_there_is_no_balance(service: Api) -> None:
    """By recorded time an account begins when it is opened."""
    al = service.open_account()
    answer = service.get(f"/v1/accounts/{al}/balance", recorded_at=EARLY)
    assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", ["recorded_at", "effective_at"])
@pytest.mark.parametrize(
    "moment",
    [
        "",
        "yesterday",
        "1767225600",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:01Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\0",
    ],
)
def test_what_is_no_moment(service: Api, name: str, moment: str) -> None:
    """A moment is RFC 3339 with an offset, within the calendar of UTC."""
    al = service.open_account()
    answer = service.get(f"/v1/accounts/{al}/balance", **{name: moment})
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid_request")
    assert [error["pointer"] for error in problem["errors"]] == [f"/query/{name}"]
    assert service.get(f"/v1/accounts/{al}/balance", at=EARLY).status_code == 422


def test_what_was_reserved_at_a_moment_is_known(service: Api) -> None:
    """With each change of it: what is reserved, released in part, and given back at the end."""
    al = service.open_account(funded=1000)
    path = f"/v1/accounts/{al}/balance"
    moments = [service.read(path)["recorded_at"]]
    chain = make_chain(service, keep("one", al, 70), keep("two", al, 30), wait("w"))
    moments.append(chain["updated_at"])
    liens = service.read(f"/v1/chains/{chain['id']}/liens")["items"]
    (two,) = [lien["id"] for lien in liens if lien["step"] == "two"]
    service.post(f"/v1/liens/{two}/release", {})
    moments.append(service.read(path)["recorded_at"])
    ended = service.post(f"/v1/chains/{chain['id']}/cancel", {"reason": "Enough"}).json()
    moments.append(ended["updated_at"])
    found = [service.read(path, recorded_at=moment) for moment in moments]
    assert [(one["reserved"], one["available"]) for one in found] == [
        (0, 1000),
        (100, 900),
        (70, 930),
        (0, 1000),
    ]
    assert service.read(path)["reserved"] == 0
