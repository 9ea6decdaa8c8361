"""Chains of several shapes that are wanted of a bank, and how each is brought to be.

Invariant: an order keeps its key until it is answered, so that a lost answer makes no second chain;
what came of it is held against what was wanted by chain_audit.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

from tests.chain_bodies import keep, wait
from tests.stories.bank import CURRENCY, ORDER_SECONDS, PATIENCE_SECONDS, Bank
from tests.stories.wire import Reply, Wire

__all__ = [
    "SHAPES",
    "ChainOrder",
    "Shape",
    "draw_order",
    "insist_on_chain",
    "make_sender",
    "order_call",
    "order_calls_at_once",
]

_WORDS: Final = ("approve", "approve", "approve", "lost", "slow", "later", "deaf")
_UNDOS: Final = ("approve", "approve", "lost", "later", "deaf", "slow")
_PATIENT: Final = {"attempts": 10, "first_seconds": 0.1, "cap_seconds": 1.0}
_TELLING_SECONDS: Final = 3.0
_WAIT_SECONDS: Final = 3.0

Step = dict[str, Any]


@dataclass(slots=True)
class ChainOrder:
    """A chain that is wanted. `fails`: the codes for which it may fail; empty: it may not.

    `must_fail`: it may not be completed. `signals`: how often its wait is told. `moves`: source,
    destination and amount of what it declares. `chain`: its id, once it is known.
    """

    key: str
    shape: str
    steps: Sequence[Step]
    moves: Sequence[tuple[str, str, int]]
    fails: frozenset[str]
    must_fail: bool = False
    signals: int = 0
    chain: str | None = None

    @property
    def body(self) -> Mapping[str, object]:
        """What creates it."""
        return {"type": "story", "reference": self.key, "steps": list(self.steps)}


Shape = Callable[[str, Sequence[str], random.Random, str], ChainOrder]
"""Makes an order of a key, wallets, chance, and the partner's address."""

_POOR: Final = frozenset({"insufficient_funds"})


def _transfer(name: str, move: tuple[str, str, int], **inputs: object) -> Step:
    source, destination, amount = move
    told = {"source_account_id": source, "destination_account_id": destination, "amount": amount}
    return {"name": name, "type": "transfer", "inputs": {**told, "currency": CURRENCY, **inputs}}


def _call(name: str, url: str, word: str, undo: str = "", **more: object) -> Step:
    """A call that the partner answers as the word says; without an `undo` it is the pivot."""
    undoing = {"compensation": {"url": f"{url}/{undo}/undo_{name}"}} if undo else {"pivot": True}
    inputs = {"url": f"{url}/{word}/{name}", "body": {"pays": name}}
    return {"name": name, "type": "http", "inputs": inputs, "retry": _PATIENT, **undoing, **more}


def _draw_move(wallets: Sequence[str], draw: random.Random) -> tuple[str, str, int]:
    source, destination = draw.sample(wallets, 2)
    return source, destination, draw.randint(1, 100)


def _quick(key: str, wallets: Sequence[str], draw: random.Random, _: str) -> ChainOrder:
    """Two transfers: made, run and completed in one commit."""
    first, second = _draw_move(wallets, draw), _draw_move(wallets, draw)
    steps = [_transfer("one", first), _transfer("two", second)]
    return ChainOrder(key, "quick", steps, [first, second], _POOR)


def _purchase(key: str, wallets: Sequence[str], draw: random.Random, url: str) -> ChainOrder:
    """A reservation, a charge, and the payment."""
    move = _draw_move(wallets, draw)
    charge = _call("charge", url, draw.choice(_WORDS), draw.choice(_UNDOS))
    steps = [keep("keep", move[0], move[2]), charge, _transfer("pay", move, lien="keep")]
    return ChainOrder(key, "purchase", steps, [move], _POOR)


def _telling(key: str, wallets: Sequence[str], draw: random.Random, url: str) -> ChainOrder:
    """A charge that can be looked up, and must be known within a time."""
    move = _draw_move(wallets, draw)
    words = ("approve", "lost", "slow", "later")
    charge = _call(
        "charge", url, draw.choice(words), draw.choice(words), timeout_seconds=_TELLING_SECONDS
    )
    for told in (charge["inputs"], charge["compensation"]):
        told["look_up_url"] = f"{url}/look_up/charge"
    steps = [keep("keep", move[0], move[2]), charge, _transfer("pay", move, lien="keep")]
    return ChainOrder(key, "telling", steps, [move], _POOR | {"step_timed_out", "not_found"})


def _pair(key: str, wallets: Sequence[str], draw: random.Random, url: str) -> ChainOrder:
    """Two calls beside each other, and a payment behind both."""
    move = _draw_move(wallets, draw)
    calls = [
        _call(name, url, draw.choice(_WORDS), draw.choice(_UNDOS), depends_on=["keep"])
        for name in ("left", "right")
    ]
    pay = {**_transfer("pay", move, lien="keep"), "depends_on": ["left", "right"]}
    return ChainOrder(key, "pair", [keep("keep", move[0], move[2]), *calls, pay], [move], _POOR)


def _payout(key: str, wallets: Sequence[str], draw: random.Random, url: str) -> ChainOrder:
    """A payout that cannot be undone, after a check; a quarter of them is refused."""
    move = _draw_move(wallets, draw)
    refused = draw.random() < 0.25
    steps = [
        keep("keep", move[0], move[2]),
        _call("check", url, draw.choice(_WORDS), draw.choice(_UNDOS)),
        _call("payout", url, "decline" if refused else draw.choice(_WORDS)),
        _transfer("settle", move, lien="keep"),
    ]
    fails = _POOR | {"no_funds"} if refused else _POOR
    return ChainOrder(key, "payout", steps, [move], fails, must_fail=refused)


def _late(key: str, wallets: Sequence[str], draw: random.Random, url: str) -> ChainOrder:
    """The last of the calls is refused, when the money has moved and others have acted."""
    move = _draw_move(wallets, draw)
    steps = [
        keep("keep", move[0], move[2]),
        _transfer("pay", move, lien="keep"),
        _call("charge", url, draw.choice(_WORDS), draw.choice(_UNDOS)),
        _call("pack", url, draw.choice(_WORDS), draw.choice(_UNDOS)),
        _call("ship", url, "decline", "approve"),
    ]
    return ChainOrder(key, "late", steps, [move], _POOR | {"no_funds"}, must_fail=True)


def _approval(key: str, wallets: Sequence[str], draw: random.Random, url: str) -> ChainOrder:
    """A wait between two calls, which is told once, or twice, or never."""
    move = _draw_move(wallets, draw)
    signals = draw.choice((0, 1, 1, 2))
    terms = {} if signals else {"timeout_seconds": _WAIT_SECONDS}
    steps = [
        keep("keep", move[0], move[2]),
        _call("ask", url, draw.choice(_WORDS), draw.choice(_UNDOS)),
        wait("approval", **terms),
        _call("charge", url, draw.choice(_WORDS), draw.choice(_UNDOS)),
        _transfer("pay", move, lien="keep"),
    ]
    fails = _POOR if signals else _POOR | {"wait_timed_out"}
    return ChainOrder(key, "approval", steps, [move], fails, must_fail=not signals, signals=signals)


def order_call(
    number: int, wallets: Sequence[str], draw: random.Random, url: str, word: str
) -> ChainOrder:
    """A small payment behind a call that the partner answers as the word says."""
    source, destination, _ = _draw_move(wallets, draw)
    move = source, destination, 1
    steps = [_call("charge", url, word, "approve"), _transfer("pay", move)]
    return ChainOrder(f"call {number}", "call", steps, [move], frozenset())


def order_calls_at_once(
    number: int, wallets: Sequence[str], draw: random.Random, url: str, count: int
) -> ChainOrder:
    """A small payment behind so many calls beside each other, all of them approved."""
    source, destination, _ = _draw_move(wallets, draw)
    move = source, destination, 1
    names = [f"call_{one}" for one in range(count)]
    calls = [_call(name, url, "approve", "approve", depends_on=[]) for name in names]
    steps = [*calls, {**_transfer("pay", move), "depends_on": names}]
    return ChainOrder(f"fan {number}", "fan", steps, [move], frozenset())


SHAPES: Final[Sequence[Shape]] = (_quick, _purchase, _telling, _pair, _payout, _late, _approval)
"""Each shape that a story has."""


def draw_order(
    number: int, wallets: Sequence[str], draw: random.Random, url: str, shapes: Sequence[Shape]
) -> ChainOrder:
    """An order at random; shapes come in turn."""
    return shapes[number % len(shapes)](f"order {number}", wallets, draw, url)


# --- telling the service ----------------------------------------------------------------------

Sender = Callable[[str, object, str], Any]
"""Posts a body to a path under a key until it is answered for good; awaits to a Reply."""


def make_sender(bank: Bank, wires: Sequence[Wire], changed: asyncio.Event) -> Sender:
    """A sender over these connections in turn, which does not wait long for `changed`."""

    async def send(path: str, body: object, key: str) -> Reply:
        async with asyncio.timeout(ORDER_SECONDS):
            for wire in cycle(wires):
                bank.tally["chain requests"] += 1
                try:
                    reply = await wire.post(path, body, key)
                except ConnectionError:
                    bank.tally["chain answers lost"] += 1
                else:
                    if reply.status != 503 and not _is_in_use(reply):
                        bank.tally["chain answers replayed"] += reply.replayed
                        return reply
                    bank.tally[f"chain {reply.content['code']}"] += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await changed.wait()
        raise AssertionError("cycle() never ends")

    return send


def _is_in_use(reply: Reply) -> bool:
    return reply.status == 409 and bool(reply.content["code"] == "idempotency_key_in_use")


async def insist_on_chain(order: ChainOrder, send: Sender) -> None:
    """Create the chain, and tell its wait what it waits for."""
    reply = await send("/v1/chains", order.body, order.key)
    assert reply.status in {201, 202}, reply.body
    assert reply.content["reference"] == order.key
    order.chain = reply.content["id"]
    for number in range(order.signals):
        path = f"/v1/chains/{order.chain}/signals/approval"
        body = {"payload": {"approved_by": "carol", "time": number}}
        told = await send(path, body, f"{order.key} signal {number}")
        assert told.status in {200, 202, 409}, told.body
