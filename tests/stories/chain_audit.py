"""Holds chains against what was wanted of them, and the partner's deeds against the chains.

Invariant: how a chain ended is read from the API, what the partner did is asked of the partner, and
balances are read from the tables: each witness by itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from catena.clock import monotonic
from catena.db.installation import list_ledgers
from catena.db.verify import verify
from catena.ids import ACCOUNT, CHAIN
from tests.stories.bank import PATIENCE_SECONDS, Bank, connected
from tests.stories.chain_orders import ChainOrder
from tests.stories.chain_partner import Effects
from tests.stories.wire import Wire

__all__ = ["check_chain_books", "check_chains", "end_chains", "read_chains"]

Chain = Mapping[str, Any]

_ALIVE: Final = "&".join(
    f"state={state}"
    for state in ("created", "validated", "executing", "held", "failed", "rolling_back")
)
_STEPS_AT_END: Final = {
    "completed": {"completed"},
    "rolled_back": {"compensated", "failed", "pending", "skipped"},
}
_BALANCES: Final = "SELECT account_id, credits - debits AS posted, reserved FROM balances"
_CHAINS: Final = "SELECT chain_id, reference FROM chains WHERE type = 'story'"


async def end_chains(wire: Wire, seconds: float) -> float:
    """Wait until every chain has ended or is parked, for so long at most; gives how long it took.

    Raises AssertionError that names some of those which have not (I10).
    """
    started = monotonic()
    while True:
        reply = await wire.get(f"/v1/chains?{_ALIVE}&parked=false&limit=5")
        assert reply.status == 200, reply.body
        waited = monotonic() - started
        if not reply.content["items"]:
            return waited
        if waited > seconds:
            ids = [item["id"] for item in reply.content["items"]]
            raise AssertionError([(await wire.get(f"/v1/chains/{id}")).content for id in ids])
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), PATIENCE_SECONDS)


async def read_chains(wires: Sequence[Wire], orders: Sequence[ChainOrder]) -> dict[str, Chain]:
    """Every chain that was acknowledged, by its order's key. Raises AssertionError if one is not
    there.
    """
    found: dict[str, Chain] = {}

    async def read(wire: Wire, some: Sequence[ChainOrder]) -> None:
        for order in some:
            reply = await wire.get(f"/v1/chains/{order.chain}")
            assert reply.status == 200, (order.key, order.chain, reply.body)
            found[order.key] = reply.content

    async with asyncio.TaskGroup() as readers:
        for number, wire in enumerate(wires):
            readers.create_task(read(wire, orders[number :: len(wires)]))
    return found


def check_chains(
    orders: Sequence[ChainOrder], chains: Mapping[str, Chain], effects: Effects
) -> Counter[str]:
    """Each ended as it had to, and the partner did for it what it says, once; gives the ends."""
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    for order in orders:
        chain = chains[order.key]
        failure = chain["failure"]["code"] if chain["failure"] else ""
        ends[f"{order.shape} {chain['state']} {failure}".strip()] += 1
        wrong += [f"{order.key} {order.chain}: {what}" for what in _judge(order, chain, effects)]
    known = {order.chain for order in orders}
    strangers = [key for key in effects.effects if key.split(".")[0] not in known]
    assert wrong == [], wrong[:10]
    assert strangers == [], "the partner acted for chains that nobody ordered"
    assert max(effects.effects.values()) == 1
    return ends


def _judge(order: ChainOrder, chain: Chain, effects: Effects) -> list[str]:
    """What is wrong with a chain, in words."""
    wrong = []
    failure = chain["failure"]["code"] if chain["failure"] else None
    if chain["state"] == "completed":
        if order.must_fail:
            wrong.append("completed, and could not be")
    elif chain["state"] != "rolled_back":
        wrong.append(f"ended as {chain['state']}, parked: {chain['parked']}")
    elif failure not in order.fails:
        wrong.append(f"failed for {chain['failure']}")
    for step in chain["steps"] if chain["state"] in _STEPS_AT_END else ():
        if step["type"] == "http":
            wrong += _judge_step(order, chain, step, effects)
    return wrong


def _judge_step(
    order: ChainOrder, chain: Chain, step: Mapping[str, Any], effects: Effects
) -> list[str]:
    """What is wrong with the partner's part in a step."""
    id, name, state = str(order.chain), step["name"], step["state"]
    done, undone = effects.of(id, name, "forward"), effects.of(id, name, "undo")
    expected = {"completed": (1, 0), "compensated": (1, 1)}.get(state, (0, 0))
    wrong = []
    if (done, undone) != expected:
        wrong.append(f"{name} is {state}, and was done {done} times and undone {undone} times")
    if state not in _STEPS_AT_END[chain["state"]]:
        wrong.append(f"{name} is {state} in a chain that is {chain['state']}")
    return wrong


async def check_chain_books(
    dsn: str, bank: Bank, orders: Sequence[ChainOrder], chains: Mapping[str, Chain]
) -> None:
    """The books are proven; each order has one chain; the wallets hold what was posted and what
    completed chains declared, and nothing is reserved.
    """
    async with connected(dsn) as connection:
        (ledger,) = await list_ledgers(connection)  # type: ignore[arg-type]
        findings = await verify(connection, ledger)  # type: ignore[arg-type]
        balances = await connection.fetch(_BALANCES)
        made = await connection.fetch(_CHAINS)
    assert findings == [], findings[:5]
    assert Counter(row["reference"] for row in made) == Counter(order.key for order in orders)
    stored = {row["reference"]: CHAIN + row["chain_id"].hex for row in made}
    assert stored == {order.key: order.chain for order in orders}
    expected = dict(bank.opening)
    moves = [(move.source, move.destination, move.amount) for move, _ in bank.posted]
    for order in orders:
        moves += order.moves if chains[order.key]["state"] == "completed" else ()
    for source, destination, amount in moves:
        expected[source] -= amount
        expected[destination] += amount
    posted = {ACCOUNT + row["account_id"].hex: row["posted"] for row in balances}
    assert {id: posted[id] for id in expected} == expected
    assert sum(expected.values()) == sum(bank.opening.values())
    assert all(expected[id] >= floor for id, floor in bank.floors.items())
    assert [row for row in balances if row["reserved"]] == []
