"""kill -9 around every call to the gateway: nothing is done twice, and nothing is lost.

CATENA_LONG=1 kills at chance moments, too, many times.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from catena.gateways.registry import connection_id
from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.gateways import (
    GATEWAY,
    LONG,
    Shop,
    View,
    card,
    find_out,
    make_ledger,
    speaking,
    to_bank,
    write_gateways,
)
from tests.flows.test_captures import GIVEN_BACK, SET_ASIDE, TAKEN
from tests.flows.victims import Victim, alive
from tests.postgres import Database
from tests.sandbox.running import run_sandbox
from tests.server import Client, make_key

AMOUNT: Final = 1000
CHANCES: Final = 25 if LONG else 0
SETTINGS: Final[Mapping[str, object]] = {
    "call_seconds": 2.5,
    "lease_seconds": 3.0,
    "overdue_seconds": 0.5,
}
HOUR: Final = 3600


class Held(NamedTuple):
    """A flow whose call is out. `has`: what its wallet has at last; `counts` are the sandbox's."""

    thing: View
    step: str
    act: str
    wallet: str
    has: int
    state: str
    counts: Mapping[str, int]


def hold(act: str, wire: str) -> dict[str, Any]:
    """The call for this act goes so; where it is done and not answered, nobody tells of it."""
    if not wire:
        return {}
    return {"wires": {act: wire}, **({"webhooks": "none"} if wire == "timeout_after" else {})}


def charge(shop: Shop, wire: str) -> Held:
    """An automatic deposit."""
    wallet = shop.funded()
    deposit = shop.pay_in(wallet, AMOUNT, card(**hold("charge", wire)))
    return Held(deposit, "charge", "charge", wallet, AMOUNT, "completed", {"charge": 1})


def early(shop: Shop, wire: str) -> Held:
    """One that is credited as soon as it is taken."""
    wallet = shop.funded()
    means = card("tok_pending_approved", **hold("charge", wire))
    deposit = shop.pay_in(wallet, AMOUNT, means, credit="accepted")
    return Held(deposit, "charge", "", wallet, AMOUNT, "completed", {"charge": 1})


def capture(shop: Shop, wire: str) -> Held:
    """A part of what was authorised."""
    wallet = shop.funded()
    deposit = shop.pay_in(wallet, AMOUNT, card(**hold("capture", wire)), capture="manual")
    shop.until(deposit, "authorised")
    shop.command(deposit, "capture", amount=300)
    return Held(deposit, "take", "capture", wallet, 300, "completed", TAKEN)


def let_go(shop: Shop, wire: str) -> Held:
    """What was authorised, and nobody wants."""
    wallet = shop.funded()
    deposit = shop.pay_in(wallet, AMOUNT, card(**hold("cancel", wire)), capture="manual")
    shop.until(deposit, "authorised")
    shop.command(deposit, "cancel", reason="gone")
    return Held(deposit, "charge", "", wallet, 0, "cancelled", SET_ASIDE)


def undo(shop: Shop, wire: str) -> Held:
    """What was captured, and the wallet cannot take."""
    wallet = shop.funded()
    deposit = shop.pay_in(wallet, AMOUNT, card(**hold("refund", wire)), capture="manual")
    shop.until(deposit, "authorised")
    shop.service.patch(f"/v1/accounts/{wallet}", {"status": "blocked"})
    shop.command(deposit, "capture", amount=300)
    return Held(deposit, "take", "refund", wallet, 0, "failed", GIVEN_BACK)


def refund(shop: Shop, wire: str) -> Held:
    """Of a deposit that is completed."""
    wallet = shop.funded()
    deposit = shop.pay_in(wallet, AMOUNT, card(**hold("refund", wire)))
    given = shop.refund(shop.until(deposit, "completed"), 400)
    return Held(given, "refund", "refund", wallet, 600, "completed", {"refund": 1})


def payout(shop: Shop, wire: str) -> Held:
    """A withdrawal."""
    wallet = shop.funded(AMOUNT)
    withdrawal = shop.pay_out(wallet, 700, to_bank(**hold("payout", wire)))
    return Held(withdrawal, "payout", "payout", wallet, 300, "completed", {"payout": 1})


FLOWS: Final[tuple[Callable[[Shop, str], Held], ...]] = (
    charge,
    early,
    capture,
    let_go,
    undo,
    refund,
    payout,
)
OUT: Final = ("executing", "compensating", "unknown", "compensation_unknown")


@contextmanager
def town(database: Database, contract: Contract, place: Path) -> Iterator[tuple[Shop, Any]]:
    """A sandbox, an API that makes no calls, and what starts a process that does."""
    ledger, key = make_ledger(database), make_key(database.service_dsn)
    with run_sandbox("--stopped") as sandbox:
        settings, secret = write_gateways(place, ledger, sandbox)
        settings |= SETTINGS
        dsn = database.service_dsn
        api = Victim(dsn, settings, "serving", "serve", "--port", "0", "--no-work")
        with alive(api) as told, speaking(sandbox) as http:
            client = Client(told["address"], key.secret, ledger, contract)
            with closing(client.http):
                shop = Shop(client, http, database, ledger, secret)

                def begin(kind: str) -> Victim:
                    if kind == "worker":
                        return Victim(dsn, settings, "working", "worker")
                    return Victim(dsn, settings, "serving", "serve", "--port", "0")

                yield shop, begin


def listen(shop: Shop, address: str) -> None:
    """Webhooks go there, and nowhere else."""
    for endpoint in shop.sandbox.get("/v1/webhook_endpoints").json()["data"]:
        shop.sandbox.delete(f"/v1/webhook_endpoints/{endpoint['id']}")
    url = f"{address}/v1/webhooks/{connection_id(shop.ledger, GATEWAY)}"
    shop.ask("/v1/webhook_endpoints", url=url, secret=shop.secret)


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        ("service", "timeout_after"),
        pytest.param("worker", "timeout_after", marks=pytest.mark.long),
        pytest.param("worker", "timeout_before", marks=pytest.mark.long),
        pytest.param("service", "timeout_before", marks=pytest.mark.long),
    ],
)
def test_a_process_is_killed_while_it_calls(
    database: Database, contract: Contract, tmp_path: Path, wire: str, kind: str
) -> None:
    """Whether the gateway has acted by then or not; whoever comes next finds out."""
    with town(database, contract, tmp_path) as (shop, begin):
        before, victim = shop.books(), begin(kind)
        with alive(victim) as told:
            listen(shop, told.get("address", str(shop.service.http.base_url).rstrip("/")))
            held = [flow(shop, wire) for flow in FLOWS]
            for one in held:
                shop.until_step(one.thing, one.step, *OUT)
                if wire == "timeout_after" and one.act:
                    wait_done(shop, one)
            victim.kill()
            again = victim.start()
            if kind == "service":
                listen(shop, again["address"])
            end(shop, held)
        moved = sum(one.has for one in held) - AMOUNT
        shop.check_since(before, moved, 0, 0, 0, moved)
        shop.prove()


def wait_done(shop: Shop, held: Held) -> None:
    """Until the gateway has acted, whose answer nobody hears."""
    find_out(lambda: shop.counts(held.thing["chain_id"]), lambda counts: held.act in counts)


def end(shop: Shop, held: list[Held]) -> None:
    """All ends, as it must."""
    for one in held:
        if not one.act and one.has:
            shop.until_step(one.thing, one.step, "waiting", "completed")
            shop.advance(10)
        ended = shop.until(one.thing)
        assert (ended["state"], shop.counts(one.thing["chain_id"])) == (one.state, one.counts), one
        assert balance(shop.service, one.wallet) == (one.has, 0), one
    shop.advance(HOUR)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["worker", "service"])
def test_processes_are_killed_at_any_moment(
    database: Database, contract: Contract, tmp_path: Path, kind: str
) -> None:
    """Time and again, over flows that go on meanwhile, with every way of being answered."""
    draw = random.Random(kind)
    wires = ("", "slow", "timeout_before", "timeout_after", "500", "500_after", "dropped_after")
    with town(database, contract, tmp_path) as (shop, begin):
        before, victim = shop.books(), begin(kind)
        held: list[Held] = []
        with alive(victim) as told:
            address = told.get("address", str(shop.service.http.base_url).rstrip("/"))
            for _ in range(CHANCES):
                listen(shop, address)
                made = [flow(shop, draw.choice(wires)) for flow in draw.sample(FLOWS, 4)]
                held += made
                find_out(draw.random, lambda chance: chance < 0.2)
                victim.kill()
                address = victim.start().get("address", address)
            listen(shop, address)
            end(shop, held)
        moved = sum(one.has - (AMOUNT if one.act == "payout" else 0) for one in held)
        shop.check_since(before, moved, 0, 0, 0, moved)
        shop.prove()
