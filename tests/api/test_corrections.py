"""Reversals and refunds over HTTP."""

from __future__ import annotations

import pytest

from catena.settings import Settings
from tests.chain_bodies import make_chain, wait
from tests.contract import read_problem
from tests.server import Api


def pay(service: Api, al: str, bo: str, amount: int, **more: object) -> str:
    """A transfer; gives its entry's id."""
    body = {"source_account_id": al, "destination_account_id": bo, "amount": amount}
    id: str = service.make("/v1/transfers", {**body, "currency": "USD", **more})["id"]
    return id


def test_a_reversal_mirrors_the_whole_entry(service: Api) -> None:
    """Each line stands on the other side; both entries point at each other."""
    al, bo = service.open_account(funded=1000), service.open_account()
    fee = {"type": "fixed", "name": "flat", "amount": 9}
    paid = service.read(f"/v1/entries/{pay(service, al, bo, 100, fees=[fee])}")
    answer = service.post(f"/v1/entries/{paid['id']}/reverse", {"description": "Booked twice"})
    reversal = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/entries/{reversal['id']}"
    opposite = {"debit": "credit", "credit": "debit"}
    assert reversal["lines"] == [{**ln, "side": opposite[ln["side"]]} for ln in paid["lines"]]
    assert (reversal["type"], reversal["corrects"]) == ("reversal", paid["id"])
    assert reversal["description"] == "Booked twice"
    assert service.read(f"/v1/entries/{paid['id']}") == {**paid, "reversed_by": reversal["id"]}
    assert service.read_posted(al, bo) == [1000, 0]


def test_one_reversal_is_in_force_and_may_be_undone(service: Api) -> None:
    """A second one is refused, until the first is itself reversed: then the entry is open again."""
    al, bo = service.open_account(funded=1000), service.open_account()
    paid = pay(service, al, bo, 100)
    reversal = service.make(f"/v1/entries/{paid}/reverse", {})["id"]
    for path in (f"/v1/entries/{paid}/reverse", f"/v1/entries/{paid}/refund"):
        again = service.post(path, {})
        assert (again.status_code, read_problem(again)["code"]) == (409, "already_reversed")
    service.make(f"/v1/entries/{reversal}/reverse", {})
    assert service.read_posted(al, bo) == [900, 100]
    assert service.read(f"/v1/entries/{paid}")["reversed_by"] is None
    service.make(f"/v1/entries/{paid}/reverse", {})
    assert service.read_posted(al, bo) == [1000, 0]


def test_refunds_in_parts_never_exceed_the_entry(service: Api) -> None:
    """Every line shares in proportion, the parts add up to each line, and no unit more."""
    al, bo = service.open_account(funded=1000), service.open_account()
    fee = {"type": "fixed", "name": "flat", "amount": 9, "paid_by": "destination"}
    paid = pay(service, al, bo, 100, fees=[fee])  # al 100; bo 91, fees 9
    (fees,) = service.read("/v1/accounts", role="fees")["items"]
    given = []
    for amount in (33, 33):
        refund = service.make(f"/v1/entries/{paid}/refund", {"amount": amount})
        assert (refund["type"], refund["corrects"]) == ("refund", paid)
        assert refund["lines"][0] == {
            "account_id": al,
            "side": "credit",
            "amount": amount,
            "currency": "USD",
        }
        given.append([line["amount"] for line in refund["lines"]])
    assert all(parts[0] == sum(parts[1:]) for parts in given)
    over = service.post(f"/v1/entries/{paid}/refund", {"amount": 35})
    assert (over.status_code, read_problem(over)["code"]) == (422, "refund_exceeds_entry")
    reverse = service.post(f"/v1/entries/{paid}/reverse", {})
    assert (reverse.status_code, read_problem(reverse)["code"]) == (409, "already_refunded")
    rest = service.make(f"/v1/entries/{paid}/refund", {})
    assert rest["lines"][0]["amount"] == 34
    assert service.read_posted(al, bo, fees["id"]) == [1000, 0, 0]
    for body in ({}, {"amount": 1}):
        done = service.post(f"/v1/entries/{paid}/refund", body)
        assert (done.status_code, read_problem(done)["code"]) == (422, "refund_exceeds_entry")


def test_a_reversed_refund_can_be_refunded_again(service: Api) -> None:
    """Reversing a refund takes it back, and leaves that much to refund."""
    al, bo = service.open_account(funded=1000), service.open_account()
    paid = pay(service, al, bo, 100)
    refund = service.make(f"/v1/entries/{paid}/refund", {"amount": 60})["id"]
    assert service.read_posted(al, bo) == [960, 40]
    service.make(f"/v1/entries/{refund}/reverse", {})
    assert service.read_posted(al, bo) == [900, 100]
    service.make(f"/v1/entries/{paid}/refund", {"amount": 100})
    assert service.read_posted(al, bo) == [1000, 0]


def test_what_cannot_be_refunded(service: Api) -> None:
    """An entry of two currencies, and a correction, have no amount to give back in part."""
    al, euros = service.open_account(funded=1000), service.open_account("EUR")
    exchange = service.make(
        "/v1/exchanges",
        {
            "source_account_id": al,
            "destination_account_id": euros,
            "source_currency": "USD",
            "destination_currency": "EUR",
            "rate": "1",
            "source_amount": 100,
        },
    )["id"]
    reversal = service.make(f"/v1/entries/{exchange}/reverse", {})["id"]
    bo = service.open_account()
    refund = service.make(f"/v1/entries/{pay(service, al, bo, 5)}/refund", {"amount": 1})["id"]
    for id in (reversal, refund):
        answer = service.post(f"/v1/entries/{id}/refund", {"amount": 1})
        assert (answer.status_code, read_problem(answer)["code"]) == (422, "not_refundable")
    assert service.read_posted(al, euros) == [1000 - 5 + 1, 0]


def test_a_correction_obeys_floors_too(service: Api) -> None:
    """What was spent meanwhile cannot be taken back, and nothing is written."""
    al, bo = service.open_account(funded=100), service.open_account()
    paid = pay(service, al, bo, 100)
    service.make("/v1/withdrawals", {"account_id": bo, "amount": 60, "currency": "USD"})
    for path, body in (("reverse", {}), ("refund", {}), ("refund", {"amount": 41})):
        answer = service.post(f"/v1/entries/{paid}/{path}", body)
        problem = read_problem(answer)
        assert (answer.status_code, problem["code"]) == (422, "insufficient_funds")
        assert problem["account_id"] == bo
    service.make(f"/v1/entries/{paid}/refund", {"amount": 40})
    assert service.read_posted(al, bo) == [40, 0]


@pytest.mark.parametrize("way", ["reverse", "refund"])
def test_entries_that_are_not_there(service: Api, way: str) -> None:
    """An unknown entry is 404, even one whose id hides a real position; a malformed id is 422."""
    al, bo = service.open_account(funded=10), service.open_account()
    paid = pay(service, al, bo, 1)
    forged = paid[:4] + ("0" if paid[4] != "0" else "1") + paid[5:]
    for id, status, code in (
        (forged, 404, "unknown_entry"),
        ("ent_" + "f" * 32, 404, "unknown_entry"),
        ("ent_12", 422, "invalid_id"),
        (al, 422, "invalid_id"),
    ):
        answer = service.post(f"/v1/entries/{id}/{way}", {})
        assert (answer.status_code, read_problem(answer)["code"]) == (status, code)
    assert service.read_posted(al, bo) == [9, 1]


@pytest.mark.parametrize(
    ("way", "body"),
    [
        ("refund", {"amount": 0}),
        ("refund", {"amount": "5"}),
        ("refund", {"amount": 2**63}),
        ("refund", {"currency": "USD"}),
        ("reverse", {"amount": 5}),
        ("reverse", {"reference": ""}),
    ],
)
def test_a_correction_that_makes_no_sense(service: Api, way: str, body: dict[str, object]) -> None:
    """Amounts are positive, and a reversal takes none."""
    al, bo = service.open_account(funded=10), service.open_account()
    paid = pay(service, al, bo, 5)
    before = service.count_rows()
    answer = service.post(f"/v1/entries/{paid}/{way}", body)
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "invalid_request")
    assert service.count_rows() == before


def test_a_correction_has_a_reference_of_its_own(service: Api) -> None:
    """Repeated, it answers with the first correction, though the entry is corrected by then."""
    al, bo = service.open_account(funded=10), service.open_account()
    paid = pay(service, al, bo, 5)
    for way, body in (("refund", {"amount": 2, "reference": "r"}), ("refund", {"reference": "s"})):
        first = service.make(f"/v1/entries/{paid}/{way}", body)
        assert service.make(f"/v1/entries/{paid}/{way}", body) == first
    other = pay(service, al, bo, 1)
    answer = service.post(f"/v1/entries/{other}/refund", {"amount": 2, "reference": "r"})
    assert (answer.status_code, read_problem(answer)["code"]) == (409, "reference_conflict")
    assert service.read_posted(al, bo) == [9, 1]


def test_reversals_of_reversals_have_an_end(service: Api) -> None:
    """Each turns the balance back and forth; past the depth that is set, a new entry is needed."""
    al, bo = service.open_account(funded=10), service.open_account()
    id, depth = pay(service, al, bo, 5), 0
    while (answer := service.post(f"/v1/entries/{id}/reverse", {})).status_code == 201:
        id, depth = answer.json()["id"], depth + 1
        assert service.read_posted(bo) == [0 if depth % 2 else 5]
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "correction_too_deep")
    assert depth == 1 + Settings().correction_depth


@pytest.mark.parametrize("verb", ["reverse", "refund"])
def test_a_chain_undoes_no_correction(service: Api, verb: str) -> None:
    """What that had undone would be open to others, and undone twice by a rollback."""
    al, bo = service.open_account(funded=1000), service.open_account(funded=1000)
    paid = pay(service, al, bo, 100)
    undone = service.make(f"/v1/entries/{paid}/{verb}", {})["id"]
    again = {"name": "again", "type": "reversal", "inputs": {"entry_id": undone}}
    chain = make_chain(service, again, wait("w"))
    assert (chain["state"], chain["failure"]["code"]) == ("rolled_back", "correction_in_chain")
    assert service.read_posted(al, bo) == [1000, 1000]


def test_an_entry_that_a_chain_has_reversed_is_its_own(service: Api) -> None:
    """Until it ends nobody else undoes the entry, or its reversal; then all is as it left it."""
    al, bo = service.open_account(funded=1000), service.open_account()
    paid = pay(service, al, bo, 100)
    step = {"name": "back", "type": "reversal", "inputs": {"entry_id": paid}}
    chain = make_chain(service, step, wait("w"))
    reversal = service.read(f"/v1/entries/{paid}")["reversed_by"]
    for path, code in (
        (f"/v1/entries/{paid}/reverse", "already_reversed"),
        (f"/v1/entries/{paid}/refund", "already_reversed"),
        (f"/v1/entries/{reversal}/reverse", "chain_running"),
    ):
        answer = service.post(path, {})
        assert (answer.status_code, read_problem(answer)["code"]) == (409, code)
    service.post(f"/v1/chains/{chain['id']}/cancel", {"reason": "Not so"})
    assert service.read_posted(al, bo) == [900, 100]
    service.make(f"/v1/entries/{paid}/reverse", {})
    assert service.read_posted(al, bo) == [1000, 0]
