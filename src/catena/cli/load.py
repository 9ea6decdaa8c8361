"""The load of `catena bench`: wallets in a ledger, and runs of requests against them.

Invariant: a run counts an operation once its answer is there, and counts what is no success apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, cycle, islice
from typing import Any, Final, NamedTuple

from catena.cli.wire import Address, exchange, make_request
from catena.clock import monotonic
from catena.errors import SetupError
from catena.ids import new_id

__all__ = ["Load", "Run"]

_WALLETS: Final = 1_000
_WALLET_MINOR: Final = 10**12
_LINES_OF_A_FUNDING: Final = 200
_AMOUNT_MINOR: Final = 100
_CURRENCY: Final = "USD"
_BATCH_OPERATIONS: Final = 1_000
_BATCH_CONNECTIONS: Final = 4
_OK: Final = 200
_CREATED: Final = 201


class Run(NamedTuple):
    """What a run did. `waits`: seconds until each answer, the shortest first."""

    what: str
    connections: int
    operations: int
    seconds: float
    waits: list[float]
    unexpected: int

    @property
    def per_second(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the requests was answered."""
        return self.waits[min(int(len(self.waits) * share), len(self.waits) - 1)]


class Load:
    """Wallets of its own and the requests that their ledger is loaded with."""

    def __init__(self, address: Address, secret: str, connections: int) -> None:
        self._address = address
        self._connections = connections
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._name = new_id("bench_")
        self._keys = (f"{self._name}-{number}" for number in count())
        self._wallets: list[str] = []

    async def prepare(self, ledger: str | None) -> None:
        """Make wallets with money, in the ledger of this id or name, or the only one there is.

        Raises SetupError.
        """
        self._headers["Catena-Ledger"] = _choose(await self._list_ledgers(), ledger)
        (clearing,) = await self._create("/v1/accounts", [{"currency": _CURRENCY, "type": "asset"}])
        wallets = [
            {"currency": _CURRENCY, "user_id": f"{self._name}-{number}"}
            for number in range(_WALLETS)
        ]
        self._wallets = await self._create("/v1/accounts", wallets)
        size = _LINES_OF_A_FUNDING - 1
        shares = [self._wallets[start : start + size] for start in range(0, _WALLETS, size)]
        await self._create("/v1/entries", [_fund(clearing, share) for share in shares])

    async def transfer(self, seconds: float) -> Run:
        """One transfer a request, between wallets that differ from one request to the next."""
        transfers = (self._post("/v1/transfers", transfer) for transfer in self._transfers())
        return await self._run("transfers", transfers, seconds, _CREATED)

    async def post_batches(self, seconds: float) -> Run:
        """Many transfers a request; counts the transfers."""
        bodies = []
        for _ in range(2 * _BATCH_CONNECTIONS):
            transfers = islice(self._transfers(), _BATCH_OPERATIONS)
            operations = [{"operation": "transfer", **transfer} for transfer in transfers]
            bodies.append(json.dumps({"mode": "each", "operations": operations}).encode())
        batches = (self._post("/v1/batches", body) for body in cycle(bodies))
        run = await self._run(
            f"transfers in batches of {_BATCH_OPERATIONS:,}",
            batches,
            seconds,
            _CREATED,
            min(_BATCH_CONNECTIONS, self._connections),
        )
        return run._replace(operations=run.operations * _BATCH_OPERATIONS)

    async def read_balances(self, seconds: float) -> Run:
        """One balance a request."""
        requests = [
            make_request("GET", f"/v1/accounts/{wallet}/balance", self._headers)
            for wallet in self._wallets
        ]
        return await self._run("balance reads", cycle(requests), seconds, _OK)

    def _transfers(self) -> Iterator[dict[str, object]]:
        wallets = self._wallets
        for number in count():
            source = number * 7919 % len(wallets)
            distance = 1 + number * 104729 % (len(wallets) - 1)
            yield {
                "source_account_id": wallets[source],
                "destination_account_id": wallets[(source + distance) % len(wallets)],
                "amount": _AMOUNT_MINOR,
                "currency": _CURRENCY,
            }

    def _post(self, path: str, body: Mapping[str, object] | bytes) -> bytes:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self._headers | {"Idempotency-Key": next(self._keys)}
        return make_request("POST", path, headers, content)

    async def _list_ledgers(self) -> list[dict[str, Any]]:
        ledgers: list[dict[str, Any]] = []

        def see(status: int, body: bytes, _: float) -> None:
            answer: dict[str, Any] = json.loads(body)
            if status != _OK:
                raise SetupError(f"GET /v1/ledgers was answered {status}: {answer.get('title')}.")
            ledgers.extend(answer["items"])

        request = make_request("GET", "/v1/ledgers?limit=200", self._headers)
        await exchange(self._address, iter([request]), 1, see)
        return ledgers

    async def _create(self, path: str, bodies: Iterable[Mapping[str, object]]) -> list[str]:
        """Post each body; gives the ids of what was created. Raises SetupError."""
        ids: list[str] = []

        def see(status: int, body: bytes, _: float) -> None:
            answer: dict[str, Any] = json.loads(body)
            if status != _CREATED:
                raise SetupError(f"POST {path} was answered {status}: {answer.get('title')}.")
            ids.append(answer["id"])

        requests = (self._post(path, body) for body in bodies)
        await exchange(self._address, requests, self._connections, see)
        return ids

    async def _run(
        self,
        what: str,
        requests: Iterator[bytes],
        seconds: float,
        expected: int,
        connections: int | None = None,
    ) -> Run:
        connections = connections or self._connections
        waits: list[float] = []
        unexpected = 0

        def see(status: int, _: bytes, wait: float) -> None:
            nonlocal unexpected
            waits.append(wait)
            if status != expected:
                unexpected += 1

        lasting = _until(monotonic() + seconds, requests)
        elapsed = await exchange(self._address, lasting, connections, see)
        done = len(waits) - unexpected
        return Run(what, connections, done, elapsed, sorted(waits), unexpected)


def _choose(ledgers: list[dict[str, Any]], wanted: str | None) -> str:
    """The id of the ledger that is meant. Raises SetupError."""
    found = [one for one in ledgers if wanted in (None, one["id"], one["name"])]
    if not found:
        raise SetupError("There is no such ledger." if wanted else "There is no ledger yet.")
    if len(found) > 1:
        raise SetupError("There are several ledgers: name one by its id with --ledger.")
    id: str = found[0]["id"]
    return id


def _fund(clearing: str, wallets: list[str]) -> dict[str, object]:
    """An entry that gives each of the wallets its money."""
    shares = [(clearing, "debit", _WALLET_MINOR * len(wallets))]
    shares += [(wallet, "credit", _WALLET_MINOR) for wallet in wallets]
    lines = [
        {"account_id": account, "side": side, "amount": amount, "currency": _CURRENCY}
        for account, side, amount in shares
    ]
    return {"type": "deposit", "lines": lines}


def _until(end: float, requests: Iterator[bytes]) -> Iterator[bytes]:
    for request in requests:
        yield request
        if monotonic() >= end:
            return
