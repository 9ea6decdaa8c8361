"""A service with a sandbox for its gateway: two processes, and webhooks between them.

Invariant: the sandbox's clock stands still until a test sets it on; ledgers are a process's own.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple, TypeVar
from uuid import uuid4

import asyncpg
import httpx2

from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import OWNER, SERVICE
from catena.db.installation import create_ledger
from catena.gateways.registry import connection_id
from catena.ids import LEDGER, new_id
from catena.ledger.accounts import system_account_id
from tests.contract import Contract
from tests.postgres import Database, ask
from tests.sandbox.running import RunningSandbox, run_sandbox
from tests.server import Client, RunningApi, make_key, run_api

__all__ = [
    "GATEWAY",
    "LONG",
    "QUICK",
    "Books",
    "Shop",
    "View",
    "card",
    "find_out",
    "make_database",
    "make_ledger",
    "run_shop",
    "to_bank",
    "write_gateways",
]

GATEWAY: Final = "sandbox"
LONG: Final = os.environ.get("CATENA_LONG") == "1"
QUICK: Final[Mapping[str, object]] = {
    "call_seconds": 1.0,
    "lease_seconds": 1.5,
    "poll_seconds": 0.05,
    "notice_sweep_seconds": 0.2,
}
"""Settings of a service whose partner hangs on purpose."""

_WITHIN_SECONDS: Final = 40.0
_PAUSE: Final = threading.Event()
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})
_GONE: Final = frozenset({"fee"})
"""Lines of the statement that are booked by reconciliation."""

View = dict[str, Any]
"""What is answered: any JSON object."""

Found = TypeVar("Found")


def find_out(read: Callable[[], Found], well: Callable[[Found], bool]) -> Found:
    """What is read, once it is as it must become; fails when that takes too long."""
    deadline = monotonic() + _WITHIN_SECONDS
    while True:
        found = read()
        if well(found):
            return found
        assert monotonic() < deadline, found
        _PAUSE.wait(0.02)


def card(magic: str = "tok_approved", **more: object) -> dict[str, Any]:
    """A method of payment."""
    return {"type": "card", "token": magic, **more}


def to_bank(magic: str = "acct_paid", **more: object) -> dict[str, Any]:
    """Where a payout goes."""
    return {"type": "bank", "account": magic, **more}


class Books(NamedTuple):
    """What the platform's own accounts have, in minor units, and the gateway's statement."""

    clearing: int
    holding: int
    losses: int
    suspense: int
    statement: int

    def since(self, before: Books) -> Books:
        """What has been added to each."""
        return Books(*(now - then for now, then in zip(self, before, strict=True)))


@dataclass
class Shop:
    """Who speaks to both. `apart`: what the statement is known to have and the books have not."""

    service: Client
    sandbox: httpx2.Client = field(repr=False)
    database: Database = field(repr=False)
    ledger: str
    secret: str = field(repr=False)
    hooks: str = ""
    apart: int = 0

    # --- the service ---------------------------------------------------------------------------

    def pay_in(self, wallet: str, amount: int, method: Mapping[str, Any], **more: object) -> View:
        """A deposit by way of the sandbox; gives its view."""
        return self._ask("/v1/deposits", wallet, amount, method, more)

    def pay_out(self, wallet: str, amount: int, method: Mapping[str, Any], **more: object) -> View:
        """A withdrawal by way of the sandbox; gives its view."""
        return self._ask("/v1/withdrawals", wallet, amount, method, more)

    def _ask(
        self,
        path: str,
        wallet: str,
        amount: int,
        method: Mapping[str, Any],
        more: Mapping[str, object],
    ) -> View:
        body = {
            "gateway": GATEWAY,
            "account_id": wallet,
            "amount": amount,
            "currency": "USD",
            "method": method,
            **more,
        }
        answer = self.service.post(path, body)
        assert answer.status_code in (201, 202), answer.text
        view: View = answer.json()
        return view

    def read(self, thing: View) -> View:
        """A deposit, withdrawal or refund as it is now."""
        view: View = self.service.read(_path(thing))
        return view

    def until(self, thing: View, *states: str) -> View:
        """The deposit, withdrawal or refund, once it is in one of these states; none: ended."""
        wanted = set(states) or _ENDED
        return find_out(lambda: self.read(thing), lambda one: one["state"] in wanted)

    def command(self, thing: View, what: str, **body: object) -> httpx2.Response:
        """Capture, cancel or refund it; gives the answer."""
        return self.service.post(f"{_path(thing)}/{what}", body)

    def refund(self, deposit: View, amount: int | None = None) -> View:
        """A refund of it; gives its view."""
        answer = self.command(deposit, "refunds", amount=amount)
        assert answer.status_code in (201, 202), answer.text
        view: View = answer.json()
        return view

    def step(self, thing: View, name: str) -> View:
        """A step of its chain."""
        chain = self.service.read(f"/v1/chains/{thing['chain_id']}")
        steps: list[View] = chain["steps"]
        return next(step for step in steps if step["name"] == name)

    def until_step(self, thing: View, name: str, *states: str) -> View:
        """A step of its chain, once it is in one of these states."""
        return find_out(lambda: self.step(thing, name), lambda one: one["state"] in states)

    def funded(self, amount: int = 0) -> str:
        """A wallet, with so much in it that came through no gateway."""
        return self.service.open_account(funded=amount)

    def chains(self, type: str, about: str) -> list[View]:
        """The chains of this type whose reference is that chain."""
        found = self.service.read("/v1/chains", reference=about, limit=200)["items"]
        return [one for one in found if one["type"] == type]

    def unmatched(self) -> list[View]:
        """The notices that nobody knows what to do with."""
        items: list[View] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.service.read("/v1/notices", limit=200, **cursor)
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = {"cursor": page["next"]}

    # --- the sandbox ---------------------------------------------------------------------------

    def ask(self, path: str, /, **body: object) -> View:
        """Ask the sandbox for what must be done, under a fresh key."""
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        answer = self.sandbox.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        view: View = answer.json()
        return view

    def advance(self, seconds: float) -> None:
        """Set the sandbox's clock on; what is due by then is sent."""
        self.ask("/v1/clock/advance", seconds=seconds)

    def break_next(self, path: str, wire: str = "500", count: int = 1000, method: str = "") -> None:
        """The next requests there go as the wire has it, until `mend`."""
        self.ask("/v1/faults", path=path, wire=wire, count=count, method=method)

    def mend(self) -> None:
        """All goes well again."""
        assert self.sandbox.delete("/v1/faults").status_code == 200

    def audit(self, chain: str) -> dict[str, dict[str, int]]:
        """What the sandbox really did for the chain, by key."""
        audit = self.sandbox.get("/v1/audit").json()["data"]
        return {key: counts for key, counts in audit.items() if key.startswith(chain)}

    def counts(self, *chains: str) -> dict[str, int]:
        """What the sandbox really did for the chains, in all; never twice for one key."""
        found: Counter[str] = Counter()
        for chain in chains:
            for key, counts in self.audit(chain).items():
                assert set(counts.values()) <= {1}, (key, counts)
                found.update(counts)
        return dict(found)

    def total(self) -> int:
        """The sum of the sandbox's statement, before its fees."""
        total: int = 0
        query = {"limit": "1000"}
        while True:
            page = self.sandbox.get("/v1/statement", params=query).json()
            total += sum(line["amount"] for line in page["data"] if line["type"] not in _GONE)
            if page["next"] is None:
                return total
            query["after"] = page["next"]

    # --- both ----------------------------------------------------------------------------------

    def books(self) -> Books:
        """What the platform's own accounts have, and the statement."""
        return Books(
            self.posted(f"clearing.{GATEWAY}"),
            self.posted("holding"),
            self.posted("losses"),
            self.posted("suspense"),
            self.total(),
        )

    def check_since(self, before: Books, *since: int) -> None:
        """Once what has been begun is done, so much has been added to each."""
        find_out(lambda: self.books().since(before), lambda now: now == since)

    def posted(self, role: str) -> int:
        """What is posted on an account of the platform's own."""
        id = system_account_id(self.ledger, role, "USD")
        answer = self.service.get(f"/v1/accounts/{id}/balance")
        posted: int = answer.json()["posted"] if answer.status_code == 200 else 0
        return posted

    def prove(self) -> None:
        """Every row agrees, and what the gateway holds for us is what its statement says."""
        books = self.books()
        assert books.clearing + self.apart == books.statement
        assert books.holding == 0
        verify = subprocess.run(
            [sys.executable, "-P", "-m", "catena.cli", "verify", "--ledger", self.ledger],
            env=os.environ | {"CATENA_DATABASE_URL": self.database.service_dsn},
            capture_output=True,
            text=True,
            check=False,
        )
        assert verify.returncode == 0, verify.stdout + verify.stderr


def _path(thing: View) -> str:
    kinds = {"dep": "deposits", "wdr": "withdrawals", "rfd": "refunds"}
    return f"/v1/{kinds[thing['id'].partition('_')[0]]}/{thing['id']}"


@contextmanager
def make_database(server: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A migrated database of its own, until the block ends."""
    name, admin = f"flows_{uuid4().hex}", server.admin_dsn
    make = f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER} STRATEGY file_copy"
    ask(admin, make)
    yield Database(name, server.dsn(OWNER, name), server.dsn(SERVICE, name))
    ask(admin, f"DROP DATABASE {name} WITH (FORCE)")


def make_ledger(database: Database) -> str:
    """A fresh ledger."""
    id = new_id(LEDGER)

    async def make() -> None:
        connection = await asyncpg.connect(
            database.service_dsn, server_settings={"search_path": "catena"}
        )
        try:
            await create_ledger(connection, id, "flows", {})  # type: ignore[arg-type]
        finally:
            await connection.close()

    asyncio.run(make())
    return id


def write_gateways(place: Path, ledger: str, sandbox: RunningSandbox) -> tuple[dict[str, Any], str]:
    """The settings of a service with this sandbox, and the secret of its webhooks."""
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    file = place / "gateways.toml"
    file.write_text(
        f'[{GATEWAY}]\nkind = "sandbox"\nledger = "{ledger}"\nurl = "{sandbox.address}"\n'
        'api_key = "env:CATENA_TEST_KEY"\nwebhook_secret = "env:CATENA_TEST_SECRET"\n'
    )
    variables = {"test_key": sandbox.api_key, "test_secret": secret, "gateways_file": file}
    return {**QUICK, **variables}, secret


@contextmanager
def run_shop(
    database: Database, contract: Contract, place: Path, **settings: object
) -> Iterator[Shop]:
    """Both processes, in a ledger of their own, until the block ends."""
    ledger, key = make_ledger(database), make_key(database.service_dsn)
    with run_sandbox("--stopped") as sandbox:
        variables, secret = write_gateways(place, ledger, sandbox)
        with run_api(database.service_dsn, **{**variables, **settings}) as running:
            client = Client(running.address, key.secret, ledger, contract)
            with closing(client.http), speaking(sandbox) as http:
                shop = Shop(client, http, database, ledger, secret)
                hear(shop, running)
                yield shop


@contextmanager
def speaking(sandbox: RunningSandbox) -> Iterator[httpx2.Client]:
    """Speak to the sandbox."""
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    with httpx2.Client(base_url=sandbox.address, headers=headers, timeout=30) as http:
        yield http


def hear(shop: Shop, api: RunningApi) -> None:
    """Have the sandbox's webhooks sent to the service."""
    shop.hooks = f"{api.address}/v1/webhooks/{connection_id(shop.ledger, GATEWAY)}"
    shop.ask("/v1/webhook_endpoints", url=shop.hooks, secret=shop.secret)
