"""Deposits by way of a gateway: charged once, credited when the money is there, undone whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.chain_bodies import balance
from tests.flows.cases import AMOUNT, Case, check_case
from tests.flows.gateways import GATEWAY, LONG, Shop, View, card, to_bank

DECIDED: Final = 10
HOUR: Final = 3600
DAY: Final = 86_400
NOTHING: Final[dict[str, int]] = {}


def later(seconds: float, step: str = "charge") -> Callable[[Shop, View], None]:
    """Once the gateway has taken it, so much time passes there."""

    def script(shop: Shop, deposit: View) -> None:
        shop.until_step(deposit, step, "waiting", "completed")
        shop.advance(seconds)

    return script


def act(*, approve: bool) -> Callable[[Shop, View], None]:
    """The payer, who is told where, says yes or no."""

    def script(shop: Shop, deposit: View) -> None:
        asked = shop.until(deposit, "action_needed")
        assert asked["action"]["url"].endswith(asked["gateway_reference"])
        shop.ask(f"/v1/charges/{asked['gateway_reference']}/act", approve=approve)

    return script


def forget(shop: Shop, deposit: View) -> None:
    """Nobody can ask until the gateway has forgotten the key."""
    shop.until_step(deposit, "charge", "unknown")
    shop.advance(DAY)
    shop.mend()


def failed(name: str, method: str, code: str | None = None, **more: object) -> Case:
    """A row of a charge that is declined: nothing has moved."""
    return Case(name, method, "failed", 0, NOTHING, code=code, **more)  # type: ignore[arg-type]


CODES: Final = (
    "card_declined",
    "expired_card",
    "fraudulent",
    "incorrect_cvc",
    "insufficient_funds",
    "limit_exceeded",
    "lost_card",
)
FOR_NOW: Final = ("issuer_unavailable", "processing_error", "try_again_later")
WIRES: Final = (
    "timeout_before",
    "timeout_after",
    "dropped_before",
    "dropped_after",
    "429",
    "500",
    "500_after",
    "slow",
)
MANNERS: Final = ("duplicated", "reordered", "late", "forged", "none")

CASES: Final = [
    Case("approved", "tok_approved"),
    Case("approved later", "tok_pending_approved", script=later(DECIDED)),
    failed("declined later", "tok_pending_declined", "insufficient_funds", script=later(DECIDED)),
    *(failed(f"declined {code}", f"tok_declined_{code}", code) for code in CODES),
    *(
        failed(f"declined for now {code}", f"tok_declined_{code}", code)
        for code in (FOR_NOW if LONG else FOR_NOW[:1])
    ),
    Case("the payer acts", "tok_action", script=act(approve=True)),
    failed("the payer says no", "tok_action", "action_declined", script=act(approve=False)),
    failed("the payer never acts", "tok_action", "action_expired", script=later(HOUR)),
    failed("the payer is too late", "tok_action", terms={"expires_seconds": 1}),
    failed("pending for ever", "tok_pending", terms={"expires_seconds": 1}),
    failed("no answer ever", "tok_silent", terms={"expires_seconds": 2}),
    *(Case(f"answered {wire}", f"tok_{wire}") for wire in WIRES),
    *(
        Case(f"webhooks {manner}, approved", "tok_approved", more={"webhooks": manner})
        for manner in MANNERS
    ),
    *(
        Case(
            f"webhooks {manner}, approved later",
            "tok_pending_approved",
            script=later(DECIDED),
            more={"webhooks": manner},
        )
        for manner in MANNERS
    ),
    *(
        failed(
            f"webhooks {manner}, declined later",
            "tok_pending_declined",
            script=later(DECIDED),
            more={"webhooks": manner},
        )
        for manner in MANNERS
    ),
    *(
        Case(f"webhooks {manner}, {wire}", f"tok_{wire}", more={"webhooks": manner})
        for manner in MANNERS
        for wire in (WIRES if LONG else ("dropped_after",))
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_deposit(shop: Shop, case: Case) -> None:
    """The wallet has what the gateway took, which is done once or not at all."""
    check_case(shop, case)


EARLY: Final = {"credit": "accepted"}


def nobody_else(shop: Shop, deposit: View) -> None:
    """While the money is on its way the wallet has it, and nobody can spend it."""
    shop.until_step(deposit, "credit", "completed")
    assert shop.read(deposit)["state"] == "pending"
    assert balance(shop.service, deposit["account_id"]) == (AMOUNT, AMOUNT)
    shop.advance(DECIDED)


EARLY_CASES: Final = [
    Case("approved", "tok_approved", terms=EARLY),
    Case("approved later", "tok_pending_approved", terms=EARLY, script=nobody_else),
    failed("declined later", "tok_pending_declined", terms=EARLY, script=nobody_else),
    failed("declined", "tok_declined_lost_card", terms=EARLY),
    failed("the payer never acts", "tok_action", terms={**EARLY, "expires_seconds": 1}),
    Case("answered dropped_after", "tok_dropped_after", terms=EARLY),
]


@pytest.mark.parametrize("case", EARLY_CASES, ids=lambda case: case.name)
def test_a_deposit_that_is_credited_before_the_money_is_there(shop: Shop, case: Case) -> None:
    """Nobody can spend it until it is; what is declined is taken back."""
    check_case(shop, case)


def test_a_deposit_whose_key_is_forgotten(shop: Shop) -> None:
    """It is found by its key, however late it is asked for, and not charged again."""
    shop.break_next("/v1/charges", method="GET")
    check_case(
        shop, Case("forgotten", "tok_dropped_after", script=forget, more={"webhooks": "none"})
    )


def test_a_deposit_that_is_asked_for_again_after_its_key_is_forgotten(shop: Shop) -> None:
    """It had never come, as the gateway's list says: then it is sent again."""
    shop.break_next("/v1/charges", method="GET")
    check_case(shop, Case("never came", "tok_dropped_before", script=forget))


FEE: Final = {"type": "fixed", "name": "card fee", "amount": 30}


def test_a_deposit_with_a_fee(shop: Shop) -> None:
    """The wallet has the rest."""
    before, fees = shop.books(), shop.posted("fees")
    wallet = shop.funded()
    deposit = shop.pay_in(wallet, AMOUNT, card(), fees=[FEE], reference="order-1")
    assert shop.until(deposit)["state"] == "completed"
    assert balance(shop.service, wallet) == (AMOUNT - 30, 0)
    assert shop.posted("fees") - fees == 30
    shop.check_since(before, AMOUNT, 0, 0, 0, AMOUNT)


def test_the_same_key_is_one_deposit(shop: Shop) -> None:
    """The second request is answered as the first."""
    wallet = shop.funded()
    body = {
        "gateway": "sandbox",
        "account_id": wallet,
        "amount": AMOUNT,
        "currency": "USD",
        "method": card(),
    }
    key = f"same-{wallet}"
    first, second = (shop.service.post("/v1/deposits", body, key=key).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert shop.until(first)["state"] == "completed"
    assert shop.counts(first["chain_id"]) == {"charge": 1}


def test_a_deposit_that_the_wallet_cannot_take_is_given_back(shop: Shop) -> None:
    """It was blocked while the payer was away; the payer has the money again."""

    def block(shop: Shop, deposit: View) -> None:
        asked = shop.until(deposit, "action_needed")
        shop.service.patch(f"/v1/accounts/{deposit['account_id']}", {"status": "blocked"})
        shop.ask(f"/v1/charges/{asked['gateway_reference']}/act", approve=True)

    counts = {"charge": 1, "refund": 1}
    check_case(shop, Case("blocked", "tok_action", "failed", 0, counts, script=block))


def test_a_cancelled_deposit_that_the_gateway_stops(shop: Shop) -> None:
    """While it is undecided it is stopped there; nothing has moved."""

    def cancel(shop: Shop, deposit: View) -> None:
        shop.until(deposit, "action_needed")
        assert shop.command(deposit, "cancel", reason="gone").status_code == 200

    check_case(shop, Case("cancelled", "tok_action", "cancelled", 0, NOTHING, script=cancel))


def test_what_fits_no_deposit_is_refused_before_anything_is_done(shop: Shop) -> None:
    """A gateway that there is not, a method that it does not take, terms that contradict."""
    wallet = shop.funded()
    body = {"account_id": wallet, "amount": 5, "currency": "USD", "method": card()}
    wrong = [
        {**body, "gateway": "nobody"},
        {**body, "gateway": "sandbox", "method": {"type": "card"}},
        {**body, "gateway": "sandbox", "method": card("4242 4242 4242 4242")},
        {**body, "gateway": "sandbox", "capture": "manual", "credit": "accepted"},
        {**body, "gateway": "sandbox", "through": "holding"},
        body,
    ]
    for one in wrong:
        answer = shop.service.post("/v1/deposits", one)
        assert answer.status_code == 422, (one, answer.text)
    assert balance(shop.service, wallet) == (0, 0)


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"method": {"cel": "1 + 1"}}, "A `method` is a constant: it has no `cel` in it."),
        (
            {"method": card(wires={"cel": "chain.id"})},
            "A `method` is a constant: it has no `cel` in it.",
        ),
        (
            {"method": card(), "capture": "manual", "credit": "accepted"},
            "What is captured later is credited when it is received.",
        ),
    ],
)
def test_terms_that_cannot_be(shop: Shop, terms: dict[str, Any], sentence: str) -> None:
    """They are refused in plain words, before anything is made."""
    body = {"gateway": GATEWAY, "account_id": shop.funded(), "amount": 1, "currency": "USD"}
    answer = shop.service.post("/v1/deposits", body | terms)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "", "detail": sentence}]


@pytest.mark.parametrize(
    ("path", "method", "payer", "wallet"),
    [
        ("/v1/deposits", card(), "source", "destination"),
        ("/v1/withdrawals", to_bank(), "destination", "source"),
    ],
)
def test_the_wallet_pays_the_fees(
    shop: Shop, path: str, method: dict[str, Any], payer: str, wallet: str
) -> None:
    """Who is behind the gateway would pay or get another amount than it is asked for."""
    fee = {"type": "fixed", "name": "desk", "amount": 30, "paid_by": payer}
    body = {"gateway": GATEWAY, "account_id": shop.funded(2000), "amount": 1000, "currency": "USD"}
    answer = shop.service.post(path, {**body, "method": method, "fees": [fee]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_fee")
    assert answer.json()["errors"][0]["pointer"] == "/fees/0/paid_by"
    said = shop.service.post(path, {**body, "method": method, "fees": [{**fee, "paid_by": wallet}]})
    assert shop.until(said.json())["state"] == "completed"
