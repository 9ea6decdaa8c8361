"""The book that the load is put on: a ledger with funded wallets, made once and copied.

It is made through the API alone; only the idempotency keys of a filled book are written beside
it, one for each entry, as single transfers would have left them.
"""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Api, Rig

__all__ = [
    "MAIN",
    "Book",
    "Client",
    "Refused",
    "await_commits",
    "copy_book",
    "fill",
    "main_book",
    "make_batch",
    "open_account",
    "read_position",
]

MAIN: Final = "main"
"""The database that most scenarios share."""

_TEMPLATE: Final = "book"
_CURRENCY: Final = "USD"
_WALLET_MINOR: Final = 10**12
_LINES_OF_A_FUNDING: Final = 200
_OPERATIONS_OF_A_FILLING: Final = 10_000
_THREADS: Final = 16

Operation = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Book:
    """A ledger with wallets that have money, and an account for fees."""

    key: str = field(repr=False)
    ledger: str
    fees: str
    wallets: Sequence[str]


class Refused(Exception):
    """The service answered with another status than the one that was expected."""


class Client:
    """One connection to a service. Idempotency keys are its own name and a number."""

    def __init__(self, service: Api, key: str, ledger: str | None = None) -> None:
        address = urlsplit(service.url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if ledger is not None:
            self._headers["Catena-Ledger"] = ledger
        self._name = f"{random.getrandbits(64):x}"
        self._numbers = count()

    def post(self, path: str, body: bytes | Operation) -> dict[str, Any]:
        """The answer's JSON. Raises Refused on another status than 201."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        key = {"Idempotency-Key": f"{self._name}-{next(self._numbers)}"}
        return self._send("POST", path, content, 201, self._headers | key)

    def get(self, path: str) -> dict[str, Any]:
        """The answer's JSON. Raises Refused on another status than 200."""
        return self._send("GET", path, b"", 200, self._headers)

    def _send(
        self, method: str, path: str, body: bytes, status: int, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        self._connection.request(method, path, body, dict(headers))
        response = self._connection.getresponse()
        text = response.read()
        if response.status != status:
            raise Refused(f"{method} {path}: {response.status} {text[:500]!r}")
        answer: dict[str, Any] = json.loads(text)
        return answer


def copy_book(rig: Rig, plan: Plan, database: str) -> Book:
    """A database of this name, made anew, with a copy of the book: a line for each wallet."""
    book: Book | None = rig.notes.get(_TEMPLATE)
    if book is None:
        book = rig.notes[_TEMPLATE] = _make_book(rig, plan.wallets)
        rig.stop_service(_TEMPLATE)
    rig.create_database(database, template=_TEMPLATE)
    return book


def main_book(rig: Rig, plan: Plan) -> Book:
    """The book that most scenarios share, and with it one service."""
    if MAIN not in rig.notes:
        rig.notes[MAIN] = copy_book(rig, plan, MAIN)
    book: Book = rig.notes[MAIN]
    return book


def _make_book(rig: Rig, wallets: int) -> Book:
    rig.create_database(_TEMPLATE)
    rig.create_schema(_TEMPLATE)
    service = rig.service(_TEMPLATE)
    ledger = Client(service, rig.key).post("/v1/ledgers", {"name": "bench"})["id"]
    clients = [Client(service, rig.key, ledger) for _ in range(_THREADS)]
    # The service hangs up on connections that rest for long, so these are used all the time.
    first = clients[0]
    clearing, fees = open_account(first, type="asset"), open_account(first, type="revenue")

    def open_wallets(share: int) -> list[str]:
        return [
            open_account(clients[share], user_id=f"user-{number}")
            for number in range(share, wallets, _THREADS)
        ]

    with ThreadPoolExecutor(_THREADS) as threads:
        ids = [id for share in threads.map(open_wallets, range(_THREADS)) for id in share]
    for start in range(0, wallets, _LINES_OF_A_FUNDING - 1):
        _fund(first, clearing, ids[start : start + _LINES_OF_A_FUNDING - 1])
    return Book(rig.key, ledger, fees, ids)


def open_account(client: Client, **fields: object) -> str:
    """Open an account; gives its id."""
    id: str = client.post("/v1/accounts", {"currency": _CURRENCY, **fields})["id"]
    return id


def _fund(client: Client, clearing: str, wallets: Sequence[str]) -> None:
    """One entry that credits each of the wallets."""
    total = _line(clearing, "debit", _WALLET_MINOR * len(wallets))
    lines = [_line(wallet, "credit", _WALLET_MINOR) for wallet in wallets]
    client.post("/v1/entries", {"type": "deposit", "lines": [total, *lines]})


def _line(account: str, side: str, amount_minor: int) -> Operation:
    return {"account_id": account, "side": side, "amount": amount_minor, "currency": _CURRENCY}


def _transfer(source: str, destination: str, amount_minor: int) -> Operation:
    return {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount_minor,
        "currency": _CURRENCY,
    }


def await_commits(service: Api, book: Book) -> None:
    """Wait until everything that was sent before is committed: a ledger's writes go in order."""
    last = _transfer(book.wallets[0], book.wallets[1], 1)
    Client(service, book.key, book.ledger).post("/v1/transfers", last)


def make_batch(book: Book, operations: int, dice: random.Random, to: str | None = None) -> bytes:
    """The body of a batch of transfers between random wallets, or from them to one account."""
    transfers = []
    for _ in range(operations):
        source, destination = dice.sample(book.wallets, 2)
        transfer = _transfer(source, to or destination, dice.randint(100, 999))
        transfers.append({"operation": "transfer", **transfer})
    return json.dumps({"mode": "each", "operations": transfers}).encode()


def fill(rig: Rig, database: str, book: Book, transfers: int, *, to: str | None = None) -> None:
    """Post so many transfers, with an idempotency key for each as if they had come one by one."""
    before = read_position(rig, database)
    size = min(_OPERATIONS_OF_A_FILLING, transfers)
    dice = random.Random(transfers)
    bodies = [make_batch(book, size, dice, to) for _ in range(min(20, transfers // size))]
    client = Client(rig.service(database), book.key, book.ledger)
    for number in range(transfers // size):
        client.post("/v1/batches", bodies[number % len(bodies)])
        rig.report(f"{database}: {(number + 1) * size:,} of {transfers:,} transfers posted")
    rig.ask(
        database,
        "INSERT INTO catena.idempotency (ledger_id, key, payload, first, created_at)"
        " SELECT ledger_id, gen_random_uuid(), gen_random_uuid(), position, recorded_at"
        f" FROM catena.entries WHERE position > {before}",
        "SELECT 1",
    )


def read_position(rig: Rig, database: str) -> int:
    """The ledger's position: how many entries and events it has."""
    return int(str(rig.ask(database, "SELECT max(position) FROM catena.positions")))
