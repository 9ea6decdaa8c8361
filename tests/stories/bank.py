"""A bank of wallets whose money only moves between them, and all that it was told.

Invariant: an order's key is answered the same for ever; what was answered is remembered here and
nowhere else, so that the books can be held against it (tests/stories/audit.py).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Final, NamedTuple

import asyncpg

from catena.auth.keys import hash_secret, new_secret
from catena.auth.scopes import ALL_SCOPES
from catena.db.installation import create_key, create_ledger, list_ledgers
from catena.ids import KEY, LEDGER, new_id
from tests.stories.processes import ApiProcess
from tests.stories.wire import Reply, Wire

__all__ = ["REFUSALS", "Bank", "Move", "Order", "Told", "connected", "insist", "open_bank"]

REFUSALS: Final = frozenset({"insufficient_funds", "already_reversed"})
"""The only reasons for which this bank may refuse."""

CURRENCY: Final = "USD"
OPENING: Final = 10_000
CREDIT_LINE: Final = 5_000
HOT_SHARE: Final = 0.9
PATIENCE_SECONDS: Final = 0.05
ORDER_SECONDS: Final = 120.0


class Move(NamedTuple):
    """One entry that is wanted. `mark` is its description, and its own alone."""

    mark: str
    source: str
    destination: str
    amount: int


class Order(NamedTuple):
    """One request. `reverses`: the mark of the move that it takes back."""

    key: str
    path: str
    body: object
    moves: Sequence[Move]
    reverses: str | None = None


@dataclass(slots=True)
class Told:
    """What became of an order. Moments count sendings and answers of the whole bank.

    `after`: the last position that had been told when it was first sent. `entries`: the id of each
    move's entry, None where it was refused.
    """

    order: Order
    sent: int
    after: int
    sendings: int = 0
    answered: int = 0
    first: Reply | None = None
    entries: Sequence[str | None] = ()
    positions: Sequence[int] = ()

    @property
    def refused(self) -> bool:
        """Whether the order was refused as a whole."""
        return self.first is not None and self.first.status >= 400


@dataclass(slots=True)
class Bank:
    """Wallets with something in them; orders are drawn here, and their answers brought back."""

    ledger: str
    secret: str = field(repr=False)
    hot: bool = False
    wallets: list[str] = field(default_factory=list)
    private: list[str] = field(default_factory=list)
    opening: dict[str, int] = field(default_factory=dict)
    floors: dict[str, int] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    posted: list[tuple[Move, str]] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    last_position: int = 0
    _reversible: list[tuple[Move, str]] = field(default_factory=list)
    _wires: list[Wire] = field(default_factory=list)
    _goals: list[tuple[int, asyncio.Event]] = field(default_factory=list)
    _serial: count[int] = field(default_factory=count)
    _moments: count[int] = field(default_factory=count)

    def speak_to(self, process: ApiProcess) -> Wire:
        """A connection to a process, wherever it listens when it is used."""
        wire = Wire(process.find, self.secret)
        self._wires.append(wire)
        return wire

    async def send(self, order: Order, wire: Wire) -> Reply:
        """Send an order, or send it again. Raises ConnectionError when there is no answer."""
        self._note_sending(order)
        return await wire.post(order.path, order.body, order.key)

    def take_to(self, order: Order, wire: Wire) -> bytes:
        """The order as bytes, to be sent by the caller."""
        self._note_sending(order)
        return wire.request("POST", order.path, order.body, order.key)

    def _note_sending(self, order: Order) -> None:
        told = self.told.get(order.key)
        if told is None:
            told = Told(order, next(self._moments), self.last_position)
            self.told[order.key] = told
        told.sendings += 1
        self.tally["sent"] += 1
        self.tally["sent again"] += told.sendings > 1

    def record(self, order: Order, reply: Reply) -> bool:
        """Remember what an order was answered; False when it is to be sent again.

        Raises AssertionError for an answer that nobody may get, or for another one than before.
        """
        if reply.status == 503:
            content = reply.content
            assert content["retryable"] is True
            assert int(reply.headers["retry-after"]) > 0
            self.tally[content["code"]] += 1
            return False
        told = self.told[order.key]
        self.tally["replayed"] += reply.replayed
        if told.first is not None:
            assert reply.meaning == told.first.meaning
            return True
        told.first, told.answered = reply, next(self._moments)
        self._understand(told, reply)
        assert all(position > told.after for position in told.positions), "order of time is lost"
        self.last_position = max(self.last_position, *told.positions, 0)
        self.tally["answered"] += 1
        for goal, reached in self._goals:
            if self.tally["answered"] >= goal:
                reached.set()
        self.tally["first answer was a replay"] += reply.replayed
        self.tally["posted"] += len(told.positions)
        self.tally["refused"] += len(order.moves) - len(told.positions)
        for move, entry in zip(order.moves, told.entries, strict=True):
            if entry is not None:
                self.posted.append((move, entry))
                if move.source not in self.private:
                    self._reversible.append((move, entry))
        return True

    async def close(self) -> None:
        """Close every connection that was opened for the bank."""
        for wire in self._wires:
            await wire.close()

    async def reach(self, answers: int) -> None:
        """Wait until so many more orders have been answered."""
        reached = asyncio.Event()
        self._goals.append((self.tally["answered"] + answers, reached))
        await reached.wait()

    def draw(self, draw: random.Random) -> Order:
        """An order at random: mostly transfers, some batches, some reversals."""
        kind = draw.random()
        if kind < 0.1:
            return self._batch(draw)
        if kind < 0.2 and self._reversible:
            return self._reversal(draw)
        return self.order(self._move(draw))

    def order(self, move: Move) -> Order:
        """The order for a single transfer."""
        return Order(move.mark, "/v1/transfers", _transfer(move), (move,))

    def move(self, source: str, destination: str, amount: int) -> Move:
        """A move that has not been wanted before."""
        return Move(f"move {next(self._serial)}", source, destination, amount)

    def _move(self, draw: random.Random) -> Move:
        source, destination = draw.sample(self.wallets, 2)
        if self.hot and draw.random() < HOT_SHARE:
            pair = [self.wallets[0], draw.choice(self.wallets[1:])]
            source, destination = draw.sample(pair, 2)
        greedy = draw.random() < 0.1
        return self.move(source, destination, draw.randint(1, 5 * OPENING if greedy else 400))

    def _batch(self, draw: random.Random) -> Order:
        moves = [self._move(draw) for _ in range(draw.randint(2, 8))]
        operations = [{"operation": "transfer", **_transfer(move)} for move in moves]
        body = {"mode": draw.choice(["atomic", "each"]), "operations": operations}
        return Order(f"batch {next(self._serial)}", "/v1/batches", body, moves)

    def _reversal(self, draw: random.Random) -> Order:
        first, entry = draw.choice(self._reversible)
        move = self.move(first.destination, first.source, first.amount)
        path = f"/v1/entries/{entry}/reverse"
        return Order(move.mark, path, {"description": move.mark}, (move,), first.mark)

    def _understand(self, told: Told, reply: Reply) -> None:
        """Which moves were posted, and where."""
        content, moves = reply.content, told.order.moves
        if reply.status in {200, 201} and told.order.path == "/v1/batches":
            results = content["results"]
            told.entries = [result.get("entry_id") for result in results]
            told.positions = [result["position"] for result in results if result.get("entry_id")]
            codes = [result["problem"]["code"] for result in results if not result.get("entry_id")]
            assert (reply.status == 201) == (not codes)
        elif reply.status == 201:
            told.entries, told.positions, codes = [content["id"]], [content["position"]], []
            assert content["description"] == moves[0].mark
        else:
            assert reply.status in {409, 422}, (reply.status, content)
            told.entries, codes = [None] * len(moves), [content["code"]]
        assert set(codes) <= REFUSALS, codes


def _transfer(move: Move) -> dict[str, object]:
    return {
        "source_account_id": move.source,
        "destination_account_id": move.destination,
        "amount": move.amount,
        "currency": CURRENCY,
        "description": move.mark,
        "metadata": {"wanted": move.amount, "mark": move.mark},
    }


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection that sees the tables of the books."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "catena"})
    try:
        yield connection
    finally:
        await connection.close()


async def _open_ledger(dsn: str) -> Bank:
    """A bank without wallets: a ledger, and a key that may do everything in it."""
    async with connected(dsn) as connection:
        await create_ledger(connection, new_id(LEDGER), "bank", {})  # type: ignore[arg-type]
        (ledger,) = await list_ledgers(connection)  # type: ignore[arg-type]
        secret = new_secret()
        await create_key(connection, new_id(KEY), "teller", hash_secret(secret), ALL_SCOPES, None)  # type: ignore[arg-type]
    return Bank(ledger.id, secret)


@asynccontextmanager
async def open_bank(
    dsn: str, process: ApiProcess, wallets: int, *, private: int = 0, hot: bool = False
) -> AsyncIterator[Bank]:
    """A bank of so many wallets, each with something in it; every eighth has a credit line.

    `private` wallets are no part of what is drawn. At the end its connections are closed.
    """
    bank = await _open_ledger(dsn)
    bank.hot = hot
    try:
        await _fund(bank, process, wallets, private)
        yield bank
    finally:
        await bank.close()


async def _fund(bank: Bank, process: ApiProcess, wallets: int, private: int) -> None:
    wire = bank.speak_to(process)
    for number in range(wallets + private):
        floor = -CREDIT_LINE if number % 8 == 1 else 0
        body = {"currency": CURRENCY, "user_id": f"user {number}", "floor": floor}
        reply = await wire.post("/v1/accounts", body, f"open {number}")
        assert reply.status == 201, reply.body
        id = reply.content["id"]
        (bank.wallets if number < wallets else bank.private).append(id)
        bank.floors[id] = floor
        bank.opening[id] = OPENING * (10 if bank.hot and number == 0 else 1)
    deposits = [
        {"operation": "deposit", "account_id": id, "amount": amount, "currency": CURRENCY}
        for id, amount in bank.opening.items()
    ]
    reply = await wire.post("/v1/batches", {"mode": "atomic", "operations": deposits}, "fund")
    assert reply.status == 201, reply.body
    bank.last_position = max(result["position"] for result in reply.content["results"])


async def insist(
    bank: Bank, order: Order, wires: Sequence[Wire], changed: asyncio.Event | None = None
) -> Reply:
    """Send an order under its key, here and there in turn, until it is answered for good.

    Between two sendings it waits for `changed`, though not for long.
    """
    changed = changed or asyncio.Event()
    async with asyncio.timeout(ORDER_SECONDS):
        for wire in cycle(wires):
            try:
                reply = await bank.send(order, wire)
            except ConnectionError:
                bank.tally["lost"] += 1
            else:
                if bank.record(order, reply):
                    return reply
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await changed.wait()
    raise AssertionError("cycle() never ends")
