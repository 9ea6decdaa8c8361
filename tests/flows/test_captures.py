"""Deposits that are authorised first: captured whole or in part, let go, or lost to time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tests.chain_bodies import balance
from tests.flows.cases import AMOUNT, Case, Script, check_case
from tests.flows.gateways import LONG, Shop, View, card, find_out
from tests.flows.test_deposits import DECIDED, MANNERS, NOTHING, WIRES, later

WEEK: Final = 7 * 86_400
MANUAL: Final = {"capture": "manual"}
SET_ASIDE: Final = {"authorisation": 1}
TAKEN: Final = {"authorisation": 1, "capture": 1}
GIVEN_BACK: Final = {**TAKEN, "refund": 1}


def capture(amount: int | None = None, *, seconds: float = 0) -> Script:
    """Once it is set aside, somebody takes it or a part; it is authorised after so long there."""

    def script(shop: Shop, deposit: View) -> None:
        if seconds:
            shop.until_step(deposit, "charge", "waiting")
            shop.advance(seconds)
        waits = shop.until(deposit, "authorised")
        assert (waits["captured"], waits["amount"]) == (None, AMOUNT)
        answer = shop.command(deposit, "capture", amount=amount)
        assert answer.status_code == 200, answer.text

    return script


def cancel(shop: Shop, deposit: View) -> None:
    """Nobody wants it any more."""
    shop.until(deposit, "authorised")
    assert shop.command(deposit, "cancel", reason="sold out").status_code == 200


def expire(shop: Shop, deposit: View) -> None:
    """A week passes there before anybody takes it."""
    shop.until(deposit, "authorised")
    shop.advance(WEEK)


def release(shop: Shop, deposit: View) -> None:
    """Somebody lets it go at the gateway's own pages."""
    waits = shop.until(deposit, "authorised")
    shop.ask(f"/v1/charges/{waits['gateway_reference']}/cancel")


def block_and(then: Script) -> Script:
    """The wallet can take nothing any more when it is captured."""

    def script(shop: Shop, deposit: View) -> None:
        shop.until(deposit, "authorised")
        shop.service.patch(f"/v1/accounts/{deposit['account_id']}", {"status": "blocked"})
        then(shop, deposit)

    return script


def by(act: str, wire: str) -> dict[str, object]:
    """How requests for an act about it are answered."""
    return {"wires": {act: wire}}


def manual(
    name: str,
    method: str = "tok_approved",
    script: Callable[[Shop, View], object] | None = None,
    **more: object,
) -> Case:
    """A row of a deposit that is captured by hand."""
    terms = {**MANUAL, **more.pop("terms", {})}  # type: ignore[dict-item]
    return Case(name, method, script=script, terms=terms, **{"counts": TAKEN, **more})  # type: ignore[arg-type]


def ended(
    name: str, state: str, script: Script, method: str = "tok_approved", **more: object
) -> Case:
    """A row of a deposit of which nothing is taken."""
    return manual(name, method, script, state=state, wallet=0, **{"counts": SET_ASIDE, **more})


SOME_WIRES: Final = WIRES if LONG else ("dropped_before", "dropped_after", "429", "500_after")

CASES: Final = [
    manual("captured whole", script=capture()),
    manual("captured in part", script=capture(300), wallet=300),
    manual("authorised later", "tok_pending_approved", capture(300, seconds=DECIDED), wallet=300),
    ended(
        "declined later",
        "failed",
        later(DECIDED),
        "tok_pending_declined",
        counts=NOTHING,
    ),
    ended("declined", "failed", lambda *_: None, "tok_declined_lost_card", counts=NOTHING),
    ended("cancelled before capture", "cancelled", cancel),
    ended("nobody captures it", "failed", lambda *_: None, terms={"expires_seconds": 1}),
    ended("expired at the gateway", "failed", expire, code="authorisation_expired"),
    ended("let go at the gateway", "failed", release, code="released"),
    ended("its capture is refused", "failed", capture(), "tok_capture_refused"),
    ended("captured, and given back", "failed", block_and(capture()), counts=GIVEN_BACK),
    ended("a part captured, and given back", "failed", block_and(capture(300)), counts=GIVEN_BACK),
    *(
        manual(
            f"capture answered {wire}", script=capture(300), wallet=300, more=by("capture", wire)
        )
        for wire in SOME_WIRES
    ),
    *(
        manual(f"authorisation answered {wire}", f"tok_{wire}", capture(300), wallet=300)
        for wire in SOME_WIRES
    ),
    *(
        ended(f"cancellation answered {wire}", "cancelled", cancel, more=by("cancel", wire))
        for wire in SOME_WIRES
    ),
    *(
        ended(
            f"refund answered {wire}",
            "failed",
            block_and(capture(300)),
            counts=GIVEN_BACK,
            more=by("refund", wire),
        )
        for wire in SOME_WIRES
    ),
    *(
        manual(
            f"webhooks {manner}",
            "tok_pending_approved",
            capture(300, seconds=DECIDED),
            wallet=300,
            more={"webhooks": manner},
        )
        for manner in MANNERS
    ),
    *(
        ended(f"expired, webhooks {manner}", "failed", expire, more={"webhooks": manner})
        for manner in MANNERS
        if manner not in ("late", "none")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_authorised_deposit(shop: Shop, case: Case) -> None:
    """The wallet has what was captured; the rest the payer keeps."""
    check_case(shop, case)


def test_a_capture_of_what_the_gateway_has_let_go_unheard(shop: Shop) -> None:
    """Nobody was told that it has expired; the capture is refused, and the deposit ends."""

    def script(shop: Shop, deposit: View) -> None:
        expire(shop, deposit)
        capture()(shop, deposit)

    check_case(shop, ended("unheard", "failed", script, more={"webhooks": "none"}))


def test_a_capture_of_more_than_was_authorised_is_refused(shop: Shop) -> None:
    """And so is one of what is not authorised, or is captured."""
    wallet = shop.funded()
    deposit = shop.pay_in(wallet, AMOUNT, card(), **MANUAL)
    shop.until(deposit, "authorised")
    assert shop.command(deposit, "capture", amount=AMOUNT + 1).status_code == 422
    assert shop.command(deposit, "capture", amount=AMOUNT).status_code == 200
    done = shop.until(deposit)
    assert (done["state"], done["captured"]) == ("completed", AMOUNT)
    answer = shop.command(deposit, "capture", amount=1)
    assert answer.status_code == 409
    assert shop.counts(deposit["chain_id"]) == TAKEN
    assert balance(shop.service, wallet) == (AMOUNT, 0)


def test_a_capture_at_the_gateway_that_we_did_not_ask_for_is_listed(shop: Shop) -> None:
    """Somebody has taken it there, and nobody knows what the wallet is to have of it."""
    wallet = shop.funded()
    deposit = shop.pay_in(wallet, AMOUNT, card(), **MANUAL)
    name = shop.until(deposit, "authorised")["gateway_reference"]
    taken = shop.ask(f"/v1/charges/{name}/capture", amount=400)
    shop.apart += 400
    (listed,) = find_out(
        lambda: [one for one in shop.unmatched() if one["notice"]["reference"] == taken["id"]],
        bool,
    )
    assert (listed["subject"], listed["notice"]["amount"]) == ("capture", 400)
    assert balance(shop.service, wallet) == (0, 0)


def test_what_a_payer_had_to_approve_is_captured(shop: Shop) -> None:
    """Authorised once the payer has acted, and captured as any other."""
    wallet = shop.funded()
    deposit = shop.until(shop.pay_in(wallet, 1000, card("tok_action"), **MANUAL), "action_needed")
    shop.ask(f"/v1/charges/{deposit['gateway_reference']}/act", approve=True)
    shop.until(deposit, "authorised")
    shop.command(deposit, "capture", amount=300)
    assert shop.until(deposit)["state"] == "completed"
    assert balance(shop.service, wallet) == (300, 0)
    assert shop.counts(deposit["chain_id"]) == TAKEN


def test_steps_of_a_callers_own_are_not_taken_for_ours(shop: Shop) -> None:
    """One that is charged at once is neither authorised nor captured by what it is given."""
    deposit = shop.pay_in(shop.funded(), AMOUNT, card("tok_pending_approved"))
    shop.until_step(deposit, "charge", "waiting")
    steps: list[View] = [{"name": name, "type": "wait", "inputs": {}} for name in ("go", "take")]
    path = f"/v1/chains/{deposit['chain_id']}"
    assert shop.service.post(f"{path}/steps", {"steps": steps}).status_code == 202
    assert shop.read(deposit)["state"] == "pending"
    assert shop.command(deposit, "capture").json()["code"] == "not_authorised"
    for step in steps:
        shop.service.post(f"{path}/signals/{step['name']}", {})
    shop.advance(DECIDED)
    ended = shop.until(deposit)
    assert (ended["state"], ended["captured"], ended["refundable"]) == ("completed", AMOUNT, AMOUNT)
