"""A month of business through the service and its sandbox: seeded, and with all that goes wrong.

The sandbox's clock is what passes; a day of it is a wave of orders and some seconds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any, Final
from uuid import uuid4

from catena.clock import system_clock
from tests.flows.gateways import GATEWAY, Shop, View, card, find_out, to_bank

__all__ = ["reconcile", "trade", "write_statement"]

_TOKENS: Final = (
    *["tok_approved"] * 8,
    *["tok_pending_approved"] * 3,
    "tok_pending_declined",
    "tok_declined_card_declined",
    "tok_dispute_lost",
    "tok_dispute_won",
    "tok_refund_fails",
    "tok_500_after",
)
_ACCOUNTS: Final = (
    *["acct_paid"] * 4,
    *["acct_pending_paid"] * 2,
    "acct_rejected",
    "acct_pending_rejected",
    "acct_fails_after_paid",
    "acct_500_after",
)
_AT_ONCE: Final = 4
_BLOCKED: Final = 0.05
"""Share of deposits to a wallet that is blocked before they are there: charged, and given back."""

_PASS_SECONDS: Final = 25
"""Between two waves: whatever is pending is decided, and a dispute opens."""

_SUBJECTS: Final = {
    "refund_returned": "refund",
    "payout_returned": "payout",
    "dispute_returned": "dispute",
}
"""What the sandbox's statement calls otherwise than a plain one."""

_HEADER: Final = ("id", "at", "subject", "amount", "currency", "fee", "reference", "about")


def trade(shop: Shop, seed: int, days: int, orders: int) -> None:
    """So many orders on each of so many days, and wait until all of them have ended."""
    dice = Random(seed)
    wallets = [shop.funded(50_000) for _ in range(5)]
    done: list[View] = []
    for _ in range(days):
        asked = [_draw(shop, dice, wallets, done) for _ in range(orders)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            begun = [thing for thing in pool.map(lambda ask: ask(), asked) if thing is not None]
            list(pool.map(lambda thing: shop.until_step(thing, _first(thing), *_TOLD), begun))
            shop.advance(_PASS_SECONDS)
            done += pool.map(shop.until, begun)
    for _ in range(3):  # disputes are closed, refunds come back
        shop.advance(_PASS_SECONDS)
    find_out(shop.books, lambda books: books.holding == 0)


_TOLD: Final = ("waiting", "completed", "failed", "compensated", "skipped", "pending")


def _first(thing: View) -> str:
    return {"dep": "charge", "wdr": "payout", "rfd": "refund"}[thing["id"].partition("_")[0]]


def _draw(
    shop: Shop, dice: Random, wallets: list[str], done: list[View]
) -> Callable[[], View | None]:
    """The next order, to be given; None comes of a refund that is refused."""
    amount = dice.choice([1000, 1999, dice.randrange(100, 20_000)])
    kind = dice.choice(["in"] * 5 + ["out"] * 3 + ["back"])
    paid = [one for one in done if one["id"].startswith("dep_") and one["state"] == "completed"]
    if kind == "back" and paid:
        deposit = dice.choice(paid)
        return partial(_refund, shop, deposit, max(1, deposit["amount"] // dice.choice([1, 2, 3])))
    if kind == "out":
        means = to_bank(dice.choice(_ACCOUNTS))
        return partial(shop.pay_out, dice.choice(wallets), amount, means)
    if dice.random() < _BLOCKED:
        return partial(_pay_in_vain, shop, amount)
    return partial(shop.pay_in, dice.choice(wallets), amount, card(dice.choice(_TOKENS)))


def _pay_in_vain(shop: Shop, amount: int) -> View:
    wallet = shop.service.open_account()
    deposit = shop.pay_in(wallet, amount, card("tok_pending_approved"))
    assert shop.service.patch(f"/v1/accounts/{wallet}", {"status": "blocked"}).status_code == 200
    return deposit


def _refund(shop: Shop, deposit: View, amount: int) -> View | None:
    answer = shop.command(deposit, "refunds", amount=amount)
    return answer.json() if answer.status_code in (201, 202) else None


def write_statement(shop: Shop) -> list[dict[str, Any]]:
    """The sandbox's statement as rows of a plain file; amounts in cents."""
    rows: list[dict[str, Any]] = []
    query = {"limit": "1000"}
    while True:
        page = shop.sandbox.get("/v1/statement", params=query).json()
        for line in page["data"]:
            told = {
                name: line[name] for name in ("id", "at", "amount", "fee", "reference", "about")
            }
            rows.append({**told, "subject": _SUBJECTS.get(line["type"], line["type"])})
        if page["next"] is None:
            return rows
        query["after"] = page["next"]


def reconcile(shop: Shop, rows: list[dict[str, Any]], gateway: str = GATEWAY) -> Any:  # noqa: ANN401  # any JSON
    """Send these rows and reconcile until both sides have had their window; gives the run."""
    lines = [",".join(_HEADER)]
    for row in rows:
        cents = {name: f"{row[name] / 100:.2f}" for name in ("amount", "fee")}
        told = {**row, **cents, "currency": "USD"}
        lines.append(",".join(told[name] or "" for name in _HEADER))
    answer = shop.service.send(
        "POST",
        "/v1/statements",
        content="\n".join(lines).encode(),
        headers={"Content-Type": "text/csv", "Idempotency-Key": uuid4().hex},
        params={"gateway": gateway},
    )
    assert answer.status_code == 201, answer.text
    until = (system_clock() + dt.timedelta(days=0.9)).isoformat()
    return shop.service.make("/v1/reconciliations", {"gateway": gateway, "until": until})
