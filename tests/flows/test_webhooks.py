"""A campaign of webhooks: repeated, shuffled, held back, forged, between the calls they answer.

Invariant: each thing that the gateway says is taken in once. CATENA_LONG=1: 10,000 deliveries.
"""

from __future__ import annotations

import json
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import pytest

from catena.clock import system_clock
from catena.db.embedded import EmbeddedPostgres
from catena.outside.signing import parse_secret, sign
from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.gateways import LONG, Shop, View, card, find_out, make_database, run_shop, to_bank
from tests.postgres import ask

DELIVERIES: Final = 10_000 if LONG else 300
AT_ONCE: Final = 4
AMOUNT: Final = 1000
TOKENS: Final = (
    "tok_approved",
    "tok_pending_approved",
    "tok_pending_declined",
    "tok_declined_lost_card",
    "tok_500_after",
    "tok_dropped_after",
    "tok_dispute_won",
    "tok_dispute_lost",
    "tok_refund_fails",
)
ACCOUNTS: Final = ("acct_paid", "acct_pending_paid", "acct_fails_after_paid", "acct_500_after")
FORGERIES: Final = ("stranger", "altered", "stale", "unsigned")


@pytest.fixture(scope="module")
def campaign(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    contract: Contract,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """A service whose sandbox has nobody to send its events to: the test carries them."""
    place = tmp_path_factory.mktemp("campaign")
    with (
        make_database(postgres_server, migrated_template) as database,
        run_shop(database, contract, place) as shop,
    ):
        for endpoint in shop.sandbox.get("/v1/webhook_endpoints").json()["data"]:
            shop.sandbox.delete(f"/v1/webhook_endpoints/{endpoint['id']}")
        yield shop
        shop.prove()


@dataclass
class Courier:
    """Carries the sandbox's events to the service, badly."""

    shop: Shop
    draw: random.Random
    after: str = ""
    waiting: list[View] = field(default_factory=list)
    seen: dict[str, View] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)

    def collect(self) -> None:
        """Take up what the sandbox has said meanwhile: each several times, in some order."""
        while True:
            query = {"limit": "1000"} | ({"after": self.after} if self.after else {})
            page = self.shop.sandbox.get("/v1/events", params=query).json()
            for event in page["data"]:
                self.after = event["id"]
                self.seen[event["id"]] = event
                self.waiting += [event] * self.draw.choice((1, 1, 2, 3))
            if page["next"] is None:
                break
        self.draw.shuffle(self.waiting)

    def carry(self, http: httpx2.Client, *, whole: bool = False) -> None:
        """Deliver most of what waits, with forgeries between; the rest comes later."""
        count = len(self.waiting) if whole else len(self.waiting) * 2 // 3
        batch = [self.waiting.pop() for _ in range(count)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for status in pool.map(lambda event: self.deliver(http, event, ""), batch):
                assert status == 200
                self.tally["true"] += 1
            forged = self.draw.sample(batch, len(batch) // 4)
            ways = [self.draw.choice(FORGERIES) for _ in forged]
            for status in pool.map(lambda *it: self.deliver(http, *it), forged, ways):
                assert status == 403
                self.tally["forged"] += 1

    def deliver(self, http: httpx2.Client, event: View, forgery: str) -> int:
        """Send one; gives the status of its answer."""
        told = {name: event[name] for name in ("id", "type", "created", "data")}
        if forgery == "stranger":
            told["id"] = f"evt_{secrets.token_hex(8)}"
        body = json.dumps({"object": "event", **told}).encode()
        secret = self.shop.secret if forgery != "stranger" else f"whsec_{'A' * 43}="
        at = system_clock()
        if forgery == "stale":
            at = at.replace(year=at.year - 1)
        headers = {**sign(parse_secret(secret), told["id"], at, body)}
        if forgery == "altered":
            body = body.replace(b'"amount": ', b'"amount": 9', 1)
        if forgery == "unsigned":
            headers = {}
        headers["content-type"] = "application/json"
        return http.post(self.shop.hooks, content=body, headers=headers).status_code


def make_some(shop: Shop, draw: random.Random, made: list[View]) -> None:
    """Some deposits and withdrawals, and refunds of what is there."""
    for _ in range(4):
        wallet = shop.funded()
        made.append(shop.pay_in(wallet, AMOUNT, card(draw.choice(TOKENS))))
    made.append(shop.pay_out(shop.funded(AMOUNT), 700, to_bank(draw.choice(ACCOUNTS))))
    deposits = [one for one in made if one["id"].startswith("dep_")]
    for deposit in draw.sample(deposits, min(2, len(deposits))):
        answer = shop.command(deposit, "refunds", amount=100)
        if answer.status_code in (201, 202):
            made.append(answer.json())


def test_every_webhook_is_taken_in_once(campaign: Shop) -> None:
    """However it comes; what is forged never is. In the end every flow is where it must be."""
    shop, draw, made = campaign, random.Random(4), list[View]()
    courier = Courier(shop, draw)
    before = shop.books()
    with httpx2.Client(timeout=30) as http, ThreadPoolExecutor(1) as maker:
        while courier.tally["true"] < DELIVERIES:
            making = maker.submit(make_some, shop, random.Random(draw.random()), made)
            while not making.done():  # while calls are out, what they did is told already
                courier.collect()
                courier.carry(http)
            making.result()
            if draw.random() < 0.5:
                shop.advance(draw.choice((5, 10, 20)))
        shop.advance(60)
        courier.collect()
        courier.carry(http, whole=True)
        ends = [shop.until(one) for one in made]
        shop.advance(60)
        courier.collect()
        courier.carry(http, whole=True)
    find_out(shop.unmatched, lambda found: not found)
    check_each(shop, ends)
    moved = shop.total() - before.statement
    find_out(
        lambda: shop.books().since(before),
        lambda now: (now.clearing, now.holding) == (moved, 0),
    )
    count_rows(shop, courier)


def check_each(shop: Shop, ends: list[View]) -> None:
    """Nothing was done twice, and no wallet has anything that is kept back."""
    audit: dict[str, dict[str, int]] = shop.sandbox.get("/v1/audit").json()["data"]
    assert all(count == 1 for counts in audit.values() for count in counts.values())
    for one in ends:
        if "account_id" in one:
            assert balance(shop.service, one["account_id"])[1] == 0


def count_rows(shop: Shop, courier: Courier) -> None:
    """There is a row for each thing that was said, and none for what was forged."""
    text = ask(shop.database.owner_dsn, "SELECT json_agg(id)::text FROM catena.notices")
    rows: list[Any] = json.loads(str(text))
    told = {id.removesuffix(".taken") for id in rows}
    assert told <= courier.seen.keys()
    assert told == courier.seen.keys()
    assert len(rows) == len(set(rows))
