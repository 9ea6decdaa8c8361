"""Holds: funds authorised now, captured in parts or whole, voided, expired; over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.chain_states import wait_until
from tests.chain_bodies import balance, keep, make_chain
from tests.contract import read_problem
from tests.server import Api


def authorise(service: Api, account: str, amount: int = 500, **more: object) -> dict[str, Any]:
    """A hold in dollars for a week."""
    body = {"account_id": account, "amount": amount, "currency": "USD", "expires_seconds": 604800}
    hold: dict[str, Any] = service.make("/v1/holds", {**body, **more})
    return hold


def test_a_hold_is_captured_in_parts_and_the_rest_given_back(service: Api) -> None:
    """Each capture is the receiver's at once; the final one ends the hold and frees the rest."""
    al, shop = service.open_account(funded=1000), service.open_account()
    hold = authorise(service, al, destination_account_id=shop, reference="r", metadata={"a": 1})
    assert (hold["state"], hold["remaining"]) == ("authorised", 500)
    assert balance(service, al) == (1000, 500)
    path = f"/v1/holds/{hold['id']}"
    assert service.read(path) == hold
    part = service.post(f"{path}/capture", {"amount": 200}, key="c")
    assert part.status_code == 200, part.text
    assert part.json()["state"] == "partly_captured"
    assert (balance(service, al), balance(service, shop)) == ((800, 300), (200, 0))
    last = service.post(f"{path}/capture", {"amount": 100, "final": True}).json()
    assert (last["state"], last["captured"], last["remaining"]) == ("captured", 300, 0)
    assert [capture["amount"] for capture in last["captures"]] == [200, 100]
    assert (balance(service, al), balance(service, shop)) == ((700, 0), (300, 0))
    again = service.post(f"{path}/capture", {"amount": 200}, key="c")
    assert again.content == part.content
    chain = service.read(f"/v1/chains/{last['chain_id']}")
    assert (chain["type"], chain["state"]) == ("hold", "completed")


def test_all_that_is_left_is_captured_without_an_amount(service: Api) -> None:
    """And with nothing left the hold is over."""
    al, shop = service.open_account(funded=1000), service.open_account()
    path = f"/v1/holds/{authorise(service, al)['id']}"
    done = service.post(f"{path}/capture", {"destination_account_id": shop}).json()
    assert (done["state"], done["captured"]) == ("captured", 500)
    assert (balance(service, al), balance(service, shop)) == ((500, 0), (500, 0))
    ended = service.post(f"{path}/capture", {"destination_account_id": shop})
    assert (ended.status_code, read_problem(ended)["code"]) == (409, "hold_ended")
    void = service.post(f"{path}/void", {})
    assert (void.status_code, read_problem(void)["code"]) == (409, "hold_ended")


@pytest.mark.parametrize("captured", [0, 200])
def test_a_void_undoes_a_hold_or_completes_it(service: Api, captured: int) -> None:
    """Before the first capture nothing was taken; after it what was captured stays."""
    al, shop = service.open_account(funded=1000), service.open_account()
    path = f"/v1/holds/{authorise(service, al, destination_account_id=shop)['id']}"
    if captured:
        service.post(f"{path}/capture", {"amount": captured})
    done = service.post(f"{path}/void", {"reason": "Sold out"})
    assert done.status_code == 200, done.text
    assert done.json()["state"] == ("captured" if captured else "voided")
    assert balance(service, al) == (1000 - captured, 0)
    assert balance(service, shop) == (captured, 0)
    chain = service.read(f"/v1/chains/{done.json()['chain_id']}")
    assert chain["state"] == ("completed" if captured else "rolled_back")


@pytest.mark.parametrize("captured", [0, 200])
def test_the_timer_ends_a_hold_as_a_void_does(service: Api, captured: int) -> None:
    """It is noticed by whoever comes first; a worker does, and `Prefer: wait` sees it."""
    al, shop = service.open_account(funded=1000), service.open_account()
    hold = authorise(service, al, destination_account_id=shop, expires_seconds=1)
    path = f"/v1/holds/{hold['id']}"
    if captured:
        assert service.post(f"{path}/capture", {"amount": captured}).status_code == 200
    stream = service.http.stream("GET", f"/v1/chains/{hold['chain_id']}/progress")
    with stream as answer:
        assert "completed" in answer.read().decode()
    done = service.read(path)
    assert done["state"] == ("captured" if captured else "expired")
    assert (balance(service, al), balance(service, shop)) == (
        (1000 - captured, 0),
        (captured, 0),
    )


def test_a_capture_that_cannot_be_leaves_the_hold_as_it_was(service: Api) -> None:
    """Too much, to nobody, to an account that takes nothing: refused, and then it is captured."""
    al, shop = service.open_account(funded=1000), service.open_account()
    blocked = service.open_account()
    service.patch(f"/v1/accounts/{blocked}", {"status": "blocked"})
    hold = authorise(service, al)
    path = f"/v1/holds/{hold['id']}"
    table: list[tuple[dict[str, Any], int, str]] = [
        ({"destination_account_id": shop, "amount": 501}, 422, "lien_too_small"),
        ({"amount": 5}, 422, "invalid_request"),
        ({"destination_account_id": blocked, "amount": 5}, 422, "account_blocked"),
        ({"destination_account_id": "acct_" + "0" * 32, "amount": 5}, 422, "invalid_chain"),
        (
            {"destination_account_id": service.open_account("EUR"), "amount": 5},
            422,
            "currency_mismatch",
        ),
    ]
    for body, status, code in table:
        answer = service.post(f"{path}/capture", body)
        assert (answer.status_code, read_problem(answer)["code"]) == (status, code), answer.text
        assert service.read(path) == hold
    more = service.post(f"{path}/capture", table[0][0])
    assert more.json()["detail"] == "Capture at most what remains: 500 minor units."
    body = {"destination_account_id": shop, "amount": 500}
    assert service.post(f"{path}/capture", body).json()["state"] == "captured"


def test_a_hold_that_does_not_fit_is_refused(service: Api) -> None:
    """It is there, refused, with the reason; so is one in another currency than the account's."""
    al = service.open_account(funded=100)
    hold = authorise(service, al, 101)
    assert (hold["state"], hold["failure"]["code"]) == ("refused", "insufficient_funds")
    hold = authorise(service, al, 1, currency="EUR")
    assert (hold["state"], hold["failure"]["code"]) == ("refused", "currency_mismatch")
    assert balance(service, al) == (100, 0)


def test_only_what_debits_lessen_is_held(service: Api) -> None:
    """A capture debits: of an account that grows by debits nothing would be spent."""
    cash = service.open_account(type="asset", floor=0)
    lines = [
        {"account_id": cash, "side": "debit", "amount": 1000, "currency": "USD"},
        {"role": "holding", "side": "credit", "amount": 1000, "currency": "USD"},
    ]
    service.make("/v1/entries", {"lines": lines})
    hold = authorise(service, cash, 100)
    assert (hold["state"], hold["failure"]["code"]) == ("refused", "not_reservable")
    assert balance(service, cash) == (1000, 0)


@pytest.mark.parametrize("currency", ["JPY", "EUR"])
def test_a_capture_says_the_currency_of_its_lien(service: Api, currency: str) -> None:
    """Another one is refused, and nothing is posted."""
    al, bo = service.open_account(funded=1000), service.open_account()
    take = {**capture("keep", 50, bo), "pivot": True}
    take["inputs"]["currency"] = currency
    chain = make_chain(service, keep("keep", al, 100), take)
    assert (chain["state"], chain["failure"]["code"]) == ("rolled_back", "currency_mismatch")
    assert (balance(service, al), balance(service, bo)) == ((1000, 0), (0, 0))


def test_a_hold_of_which_nothing_was_captured_is_not_captured(service: Api) -> None:
    """Its chain is told to close before any capture: what was authorised is given back."""
    al = service.open_account(funded=1000)
    hold = authorise(service, al)
    closed = service.post(f"/v1/chains/{hold['chain_id']}/signals/close", {})
    assert closed.json()["state"] == "completed", closed.text
    done = service.read(f"/v1/holds/{hold['id']}")
    assert (done["state"], done["captured"], done["captures"]) == ("voided", 0, [])
    assert balance(service, al) == (1000, 0)


def capture(lien: str, amount: object, receiver: object, **told: Any) -> dict[str, Any]:  # noqa: ANN401
    """A capture that is the chain's pivot, as somebody appends it past the routes of holds."""
    inputs = {"lien": lien, "amount": amount, "destination_account_id": receiver, "currency": "USD"}
    return {"name": "mine", "type": "capture", "inputs": inputs, "pivot": True, **told}


def test_what_was_computed_is_told_as_it_came_out(service: Api) -> None:
    """A capture that somebody appended to a hold's chain, its amount and receiver expressions."""
    al, shop = service.open_account(funded=1000), service.open_account()
    hold = authorise(service, al, destination_account_id=shop)
    to = {"cel": f"'{shop}'"}
    step = capture("authorise", {"cel": "1 + 1"}, to, depends_on=["authorise"])
    chain, path = f"/v1/chains/{hold['chain_id']}", f"/v1/holds/{hold['id']}"
    answer = service.post(f"{chain}/steps", {"steps": [step]})
    assert answer.status_code == 202, answer.text
    wait_until(service, chain, "mine", "completed")
    seen = service.read(path)
    assert (seen["state"], seen["captured"], seen["remaining"]) == ("partly_captured", 2, 498)
    (made,) = seen["captures"]
    assert (made["step"], made["amount"], made["destination_account_id"]) == ("mine", 2, shop)
    done = service.post(f"{path}/void", {}).json()
    assert (done["state"], done["captured"]) == ("captured", 2)
    assert (balance(service, al), balance(service, shop)) == ((998, 0), (2, 0))


def test_a_capture_of_another_lien_is_none_of_the_hold(service: Api) -> None:
    """Past it the hold is captured and voided as ever."""
    al, bo, shop = (service.open_account(funded=1000) for _ in range(3))
    hold = authorise(service, al, destination_account_id=shop)
    other = {"name": "other", "type": "lien.reserve", "inputs": {"account_id": bo, "amount": 9}}
    steps = [other, capture("other", 7, shop, depends_on=["authorise", "other"])]
    answer = service.post(f"/v1/chains/{hold['chain_id']}/steps", {"steps": steps})
    assert answer.status_code == 202, answer.text
    path = f"/v1/holds/{hold['id']}"
    seen = service.read(path)
    assert (seen["state"], seen["captured"], seen["captures"]) == ("authorised", 0, [])
    done = service.post(f"{path}/void", {}).json()
    assert (done["state"], done["captured"]) == ("voided", 0)
    assert (balance(service, al), balance(service, shop)) == ((1000, 0), (1007, 0))


def test_a_chain_that_is_no_hold_is_not_found(service: Api) -> None:
    """Whichever id is asked for; and nobody else makes a chain of this type."""
    al = service.open_account(funded=100)
    wait = {"name": "w", "type": "wait"}
    chain = service.post("/v1/chains", {"steps": [wait]}).json()
    for id in (chain["id"][4:], "0" * 32):
        for answer in (
            service.get(f"/v1/holds/hold_{id}"),
            service.post(f"/v1/holds/hold_{id}/capture", {"amount": 5}),
            service.post(f"/v1/holds/hold_{id}/void", {}),
        ):
            assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found")
    plan = {"type": "hold", "steps": [wait]}
    answer = service.post("/v1/chains", plan)
    assert read_problem(answer)["errors"][0]["pointer"] == "/type"
    far = {"name": "far", "type": "chain.start", "inputs": {"chain": plan}}
    for told, where in (
        ({"pivot": True}, "inputs"),
        ({"inputs": {"chain": {"steps": [wait]}}, "compensation": {"chain": plan}}, "compensation"),
    ):
        answer = service.post("/v1/chains", {"steps": [{**far, **told}]})
        (error,) = read_problem(answer)["errors"]
        assert error["pointer"] == f"/steps/0/{where}/chain/type"
    other = service.client(ledger=service.make_ledger())
    hold = authorise(service, al, 10)
    assert other.get(f"/v1/holds/{hold['id']}").status_code == 404
    assert other.post(f"/v1/holds/{hold['id']}/void", {}).status_code == 404
