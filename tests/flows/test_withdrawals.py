"""Withdrawals by way of a gateway: paid out once, or the wallet has its money again."""

from __future__ import annotations

from typing import Final

import pytest

from tests.chain_bodies import balance
from tests.flows.cases import AMOUNT, Case, Script, check_case
from tests.flows.gateways import LONG, Shop, View, to_bank
from tests.flows.test_deposits import DECIDED, FEE, HOUR, MANNERS, NOTHING, WIRES

FUNDED: Final = 1500
LEFT: Final = FUNDED - AMOUNT
PAID: Final = {"payout": 1}
RETURNED: Final = {"payout": 1, "payout_returned": 1}
CODES: Final = ("account_blocked", "account_closed", "account_unknown", "name_mismatch")


def later(seconds: float) -> Script:
    """Once the gateway has taken it, so much time passes there; meanwhile the wallet lacks it."""

    def script(shop: Shop, withdrawal: View) -> None:
        shop.until_step(withdrawal, "payout", "waiting")
        assert balance(shop.service, withdrawal["account_id"]) == (LEFT, 0)
        shop.advance(seconds)

    return script


def paid(name: str, method: str, script: Script | None = None, **more: object) -> Case:
    """A row of a payout that is made."""
    told = {"wallet": LEFT, "funded": FUNDED, "counts": PAID, **more}
    return Case(name, method, script=script, **told)  # type: ignore[arg-type]


def refused(name: str, method: str, script: Script | None = None, **more: object) -> Case:
    """A row of one that is not: the wallet has its money again."""
    told = {"state": "failed", "wallet": FUNDED, "counts": NOTHING, **more}
    return paid(name, method, script, **told)


def cancel(shop: Shop, withdrawal: View) -> None:
    """Somebody does not want it any more, and is heard."""
    assert shop.command(withdrawal, "cancel", reason="asked twice").status_code == 200


def cancel_in_pause(shop: Shop, withdrawal: View) -> None:
    """The gateway has refused it for now, and it waits for its next try."""
    shop.until_step(withdrawal, "payout", "pending")
    cancel(shop, withdrawal)


def cancel_out(seconds: float) -> Script:
    """It is with the gateway, which decides later."""

    def script(shop: Shop, withdrawal: View) -> None:
        shop.until_step(withdrawal, "payout", "waiting")
        cancel(shop, withdrawal)
        assert shop.read(withdrawal)["state"] == "pending"
        shop.advance(seconds)

    return script


def stop_there(shop: Shop, withdrawal: View) -> None:
    """It is cancelled here, and then at the gateway's own pages."""
    step = shop.until_step(withdrawal, "payout", "waiting")
    cancel(shop, withdrawal)
    shop.ask(f"/v1/payouts/{step['result']['reference']}/cancel")


CASES: Final = [
    paid("paid", "acct_paid"),
    paid("paid later", "acct_pending_paid", later(DECIDED)),
    refused("rejected later", "acct_pending_rejected", later(DECIDED), code="account_closed"),
    refused("rejected", "acct_rejected", code="account_closed"),
    *(refused(f"rejected {code}", f"acct_rejected_{code}", code=code) for code in CODES),
    refused(
        "refused for now, and cancelled",
        "acct_rejected_bank_unavailable",
        cancel_in_pause,
        state="cancelled",
    ),
    refused("cancelled there", "acct_pending", stop_there, state="cancelled"),
    refused(
        "cancelled while out, rejected",
        "acct_pending_rejected",
        cancel_out(DECIDED),
        state="cancelled",
    ),
    paid("cancelled while out, paid", "acct_pending_paid", cancel_out(DECIDED)),
    *(paid(f"answered {wire}", f"acct_{wire}") for wire in WIRES),
    *(
        paid(f"webhooks {manner}, paid", "acct_paid", more={"webhooks": manner})
        for manner in MANNERS
    ),
    *(
        paid(
            f"webhooks {manner}, paid later",
            "acct_pending_paid",
            later(DECIDED),
            more={"webhooks": manner},
        )
        for manner in MANNERS
    ),
    *(
        refused(
            f"webhooks {manner}, rejected later",
            "acct_pending_rejected",
            later(DECIDED),
            more={"webhooks": manner},
        )
        for manner in MANNERS
    ),
    *(
        paid(f"webhooks {manner}, {wire}", f"acct_{wire}", more={"webhooks": manner})
        for manner in MANNERS
        for wire in (WIRES if LONG else ("dropped_after",))
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_withdrawal(shop: Shop, case: Case) -> None:
    """What has left the wallet was paid out, once; else it is there again."""
    check_case(shop, case)


def test_a_withdrawal_with_a_fee_that_fails_costs_nothing(shop: Shop) -> None:
    """The fee comes on top, and back with the rest."""
    fees = shop.posted("fees")
    terms = {"fees": [FEE]}
    check_case(shop, refused("fee back", "acct_rejected", terms=terms))
    assert shop.posted("fees") == fees
    clearing = -AMOUNT
    check_case(shop, paid("fee", "acct_paid", terms=terms, wallet=LEFT - 30, clearing=clearing))
    assert shop.posted("fees") == fees + 30


def test_a_payout_that_is_undecided_is_stopped(shop: Shop) -> None:
    """Cancelled while it waits for its bank: the gateway is asked to stop it, and it never goes."""
    before, wallet = shop.books(), shop.funded(FUNDED)
    withdrawal = shop.pay_out(wallet, AMOUNT, to_bank("acct_pending", webhooks="none"))
    shop.until_step(withdrawal, "payout", "waiting")
    shop.command(withdrawal, "cancel", reason="Not wanted any more")
    shop.until(withdrawal, "cancelled")
    assert balance(shop.service, wallet) == (FUNDED, 0)
    assert shop.counts(withdrawal["chain_id"]) == NOTHING
    shop.advance(HOUR)
    shop.check_since(before, 0, 0, 0, 0, 0)


# --- money that comes back ----------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["", "duplicated", "reordered", "late", "forged"])
def test_a_payout_that_comes_back(shop: Shop, manner: str) -> None:
    """The withdrawal is what it was; another chain gives the wallet its money again, once."""
    before, wallet = shop.books(), shop.funded(FUNDED)
    method = to_bank("acct_fails_after_paid", webhooks=manner)
    withdrawal = shop.pay_out(wallet, AMOUNT, method)
    assert shop.until(withdrawal)["state"] == "completed"
    assert balance(shop.service, wallet) == (LEFT, 0)
    shop.advance(DECIDED)
    shop.advance(HOUR)
    shop.check_since(before, 0, 0, 0, 0, 0)
    assert balance(shop.service, wallet) == (FUNDED, 0)
    assert shop.read(withdrawal)["state"] == "completed"
    (returned,) = shop.chains("gateway.returned", withdrawal["chain_id"])
    assert returned["state"] == "completed"
    assert shop.counts(withdrawal["chain_id"]) == RETURNED
    shop.check_since(before, 0, 0, 0, 0, 0)


def test_what_comes_back_for_a_closed_wallet_is_in_suspense(shop: Shop) -> None:
    """Whose it is somebody has to find out: it is listed, and given to another wallet of his."""
    before, wallet = shop.books(), shop.funded(AMOUNT)
    withdrawal = shop.pay_out(wallet, AMOUNT, to_bank("acct_fails_after_paid"))
    shop.until(withdrawal, "completed")
    assert shop.service.post(f"/v1/accounts/{wallet}/close", {}).status_code == 200
    shop.advance(DECIDED)
    shop.check_since(before, 0, 0, 0, AMOUNT, 0)
    (returned,) = shop.chains("gateway.returned", withdrawal["chain_id"])
    items = shop.service.read("/v1/suspense", limit=200)["items"]
    (one,) = (one for one in items if one["chain_id"] == returned["id"])
    assert (one["amount"], one["gateway"]) == (AMOUNT, "sandbox")
    assert one["gateway_reference"] == shop.read(withdrawal)["gateway_reference"]
    other = {"account_id": shop.funded(0), "reason": "He has opened another"}
    shop.service.make(f"/v1/suspense/{one['id']}/assign", other)
    shop.check_since(before, 0, 0, 0, 0, 0)


def test_a_payout_that_came_back_before_anybody_heard_of_it(shop: Shop) -> None:
    """Its answer was lost, and nobody could ask until it had failed: it was never paid for us."""

    def script(shop: Shop, withdrawal: View) -> None:
        shop.until_step(withdrawal, "payout", "unknown")
        shop.advance(DECIDED)
        shop.mend()

    shop.break_next("/v1/payouts", "dropped_after", 1, "POST")
    shop.break_next("/v1/payouts", method="GET")
    more = {"webhooks": "none"}
    case = refused("unheard", "acct_fails_after_paid", script, counts=RETURNED, more=more)
    check_case(shop, case)
