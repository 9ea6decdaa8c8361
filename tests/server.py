"""A running service for tests: an API process a worker, a fresh ledger a test, and its clients.

Invariant: every answer that a client is given was held against the OpenAPI document that the
process serves. Tests share a process and a database, never a ledger.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx2
import pytest

from catena.auth.keys import hash_secret, new_secret
from catena.auth.scopes import ALL_SCOPES
from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import OWNER, SERVICE
from catena.db.installation import create_key, revoke_key
from catena.ids import KEY, new_id
from tests.contract import Contract
from tests.postgres import Database, ask

__all__ = [
    "CREDENTIAL_CACHE_SECONDS",
    "ORDINARY",
    "Api",
    "Client",
    "Key",
    "RunningApi",
    "api_database",
    "api_process",
    "compare_roads",
    "contract",
    "make_key",
    "other_process",
    "revoke",
    "root_key",
    "run_api",
    "service",
    "took_hot_road",
]

CREDENTIAL_CACHE_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 30
# Everything is plain HTTP here, and reading the system's certificates takes 30 ms a client.
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_PATH: Final = {"search_path": "catena"}

_COUNTS: Final = """
SELECT json_build_object(
       'position', p.position,
       'keys', (SELECT count(*) FROM catena.idempotency i WHERE i.ledger_id = p.ledger_id),
       'entries', (SELECT count(*) FROM catena.entries e WHERE e.ledger_id = p.ledger_id),
       'lines', (SELECT count(*) FROM catena.lines l WHERE l.ledger_id = p.ledger_id),
       'accounts', (SELECT count(*) FROM catena.accounts a WHERE a.ledger_id = p.ledger_id),
       'events', (SELECT count(*) FROM catena.events v WHERE v.ledger_id = p.ledger_id))::text
  FROM catena.positions p JOIN catena.ledgers l USING (ledger_id)
 WHERE l.id = '{uuid}'"""


ORDINARY: Final = (("X-Twice", "1"), ("X-Twice", "2"))
"""Headers that keep a request off the protocol's own road, and mean nothing else."""


def took_hot_road(answer: httpx2.Response) -> bool:
    """Whether the protocol itself answered: it sends these two headers in another order."""
    names = [name.lower() for name, _ in answer.headers.raw]
    return names.index(b"content-type") < names.index(b"content-length")


def compare_roads(hot: httpx2.Response, ordinary: httpx2.Response) -> None:
    """Fail unless both roads were taken, and answered the same but for dates and request ids."""
    assert took_hot_road(hot)
    assert not took_hot_road(ordinary)
    passing = {"date", "request-id"}
    sent = [{k: v for k, v in a.headers.items() if k not in passing} for a in (hot, ordinary)]
    assert (hot.status_code, sent[0]) == (ordinary.status_code, sent[1])
    if hot.status_code < 400:
        assert hot.content == ordinary.content
    else:
        told = [{**answer.json(), "request_id": ""} for answer in (hot, ordinary)]
        assert told[0] == told[1]


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, and its secret."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunningApi:
    """A process of `catena serve`: where it listens, and what it has logged."""

    address: str
    process: subprocess.Popen[str] = field(repr=False)
    log: list[str] = field(repr=False)

    @property
    def place(self) -> tuple[str, int]:
        """Host and port, for a socket."""
        url = httpx2.URL(self.address)
        assert url.port is not None
        return url.host, url.port


@contextmanager
def run_api(dsn: str, **settings: object) -> Iterator[RunningApi]:
    """Run `catena serve` on a free port over a migrated database, until the block ends."""
    variables = {f"CATENA_{name.upper()}": str(value) for name, value in settings.items()}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "catena.cli", "serve", "--port", "0"],
        env=os.environ | {"CATENA_DATABASE_URL": dsn} | variables,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        log: list[str] = []
        try:
            for line in process.stderr:
                log.append(line)
                if '"serving"' in line:
                    break
            else:
                pytest.fail("catena serve ended: " + "".join(log))
            reader = threading.Thread(target=log.extend, args=(process.stderr,), daemon=True)
            reader.start()
            yield RunningApi(json.loads(log[-1])["address"], process, log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(_STOP_SECONDS) == 0, "".join(log)
            reader.join()
        finally:
            process.kill()


def make_key(
    dsn: str, scopes: Sequence[str] = ALL_SCOPES, ledgers: Sequence[str] | None = None
) -> Key:
    """A fresh API key. `ledgers`: the ids that it is limited to; None: every ledger."""
    key = Key(new_id(KEY), new_secret())

    async def make() -> None:
        connection = await asyncpg.connect(dsn, server_settings=_PATH)
        try:
            secret_hash = hash_secret(key.secret)
            await create_key(connection, key.id, "test", secret_hash, scopes, ledgers)  # type: ignore[arg-type]
        finally:
            await connection.close()

    asyncio.run(make())
    return key


def revoke(dsn: str, key: Key) -> None:
    """Revoke a key."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn, server_settings=_PATH)
        try:
            assert await revoke_key(connection, key.id)  # type: ignore[arg-type]
        finally:
            await connection.close()

    asyncio.run(run())


class Client:
    """Speaks to an API process with one key, in one ledger. Each answer is held to the contract."""

    def __init__(self, address: str, secret: str, ledger: str | None, contract: Contract) -> None:
        headers = {"Authorization": f"Bearer {secret}"}
        if ledger is not None:
            headers["Catena-Ledger"] = ledger
        self.http = httpx2.Client(base_url=address, headers=headers, timeout=60, verify=_NO_TLS)
        self.contract = contract

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        params: Mapping[str, Any] | None = None,
    ) -> httpx2.Response:
        """Send a request and check its answer. `body` is sent as JSON, `content` as it is."""
        if body is not None:
            content = json.dumps(body).encode()
        head = httpx2.Headers(headers, encoding="latin-1")
        if content is not None and "content-type" not in head:
            head["content-type"] = "application/json"
        response = self.http.request(method, path, content=content, headers=head, params=params)
        self.contract.check_answer(response)
        return response

    def get(self, path: str, **params: Any) -> httpx2.Response:  # noqa: ANN401  # any parameters
        """Read."""
        return self.send("GET", path, params=params or None)

    def read(self, path: str, **params: Any) -> Any:  # noqa: ANN401  # any parameters, any JSON
        """Read what must be there."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: object, *, key: str | None = None) -> httpx2.Response:
        """Write, under a fresh Idempotency-Key unless one is given."""
        return self.send("POST", path, body, headers={"Idempotency-Key": key or uuid4().hex})

    def make(self, path: str, body: object) -> Any:  # noqa: ANN401  # any JSON
        """Write what must succeed; gives what was made."""
        response = self.post(path, body)
        assert response.status_code == 201, response.text
        return response.json()

    def patch(self, path: str, body: object, etag: str = "*") -> httpx2.Response:
        """Change the revision that was read, or any."""
        return self.send("PATCH", path, body, headers={"If-Match": etag})

    def open_account(self, currency: str = "USD", funded: int = 0, **terms: object) -> str:
        """Open an account, a wallet unless told otherwise, with so much in it; gives its id."""
        id: str = self.make("/v1/accounts", {"currency": currency, **terms})["id"]
        if funded:
            deposit = {"account_id": id, "amount": funded, "currency": currency}
            self.make("/v1/deposits", deposit)
        return id

    def read_posted(self, *accounts: str) -> list[int]:
        """What is posted on each account now, in minor units."""
        return [self.read(f"/v1/accounts/{id}/balance")["posted"] for id in accounts]


class Api(Client):
    """A client that may do everything, in a ledger of the test's own; and how to get others."""

    def __init__(self, api: RunningApi, database: Database, key: Key, contract: Contract) -> None:
        super().__init__(api.address, key.secret, None, contract)
        self.api = api
        self.database = database
        self.key = key
        self.ledger = self.make_ledger()
        self.http.headers["Catena-Ledger"] = self.ledger
        self._clients: list[Client] = [self]

    def client(
        self,
        *scopes: str,
        ledgers: Sequence[str] | None = None,
        ledger: str | None = None,
    ) -> Client:
        """A client with a fresh key of these scopes (none named: all) in this or another ledger."""
        key = make_key(self.database.service_dsn, scopes or ALL_SCOPES, ledgers)
        return self.speak(key.secret, ledger)

    def speak(
        self, secret: str, ledger: str | None = None, api: RunningApi | None = None
    ) -> Client:
        """A client with this secret in this ledger or another, of this process or another."""
        address = (api or self.api).address
        client = Client(address, secret, ledger or self.ledger, self.contract)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Close every connection that was opened for the test."""
        for client in self._clients:
            client.http.close()

    def make_ledger(self, **wanted: object) -> str:
        """Another ledger; gives its id."""
        id: str = self.make("/v1/ledgers", {"name": "another", **wanted})["id"]
        return id

    def list_ledgers(self) -> list[dict[str, Any]]:
        """Every ledger that this key may use, page by page."""
        page = self.read("/v1/ledgers", limit=200)
        ledgers: list[dict[str, Any]] = page["items"]
        while page["next"]:
            page = self.read("/v1/ledgers", limit=200, cursor=page["next"])
            ledgers += page["items"]
        return ledgers

    def count_rows(self) -> dict[str, int]:
        """The position and what is stored in this ledger, asked of the database."""
        uuid = self.ledger.partition("_")[2]
        counts: dict[str, int] = json.loads(
            str(ask(self.database.owner_dsn, _COUNTS.format(uuid=uuid)))
        )
        return counts


@pytest.fixture(scope="session")
def api_database(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """The database of this worker's API process."""
    name = f"api_{uuid4().hex}"
    admin = postgres_server.admin_dsn
    ask(
        admin,
        f"CREATE DATABASE {name} TEMPLATE {migrated_template} OWNER {OWNER} STRATEGY file_copy",
    )
    yield Database(name, postgres_server.dsn(OWNER, name), postgres_server.dsn(SERVICE, name))
    ask(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def api_process(api_database: Database) -> Iterator[RunningApi]:
    """This worker's API process. What it has checked once it remembers, however slow a test is; it
    may call partners on loopback.
    """
    settings = {"credential_cache_seconds": 3600, "allow_private_addresses": 1}
    with run_api(api_database.service_dsn, **settings) as api:
        yield api


@pytest.fixture(scope="session")
def other_process(api_database: Database) -> Iterator[RunningApi]:
    """Another API process over the same database, which soon looks a key up again."""
    dsn = api_database.service_dsn
    with run_api(dsn, credential_cache_seconds=CREDENTIAL_CACHE_SECONDS) as api:
        yield api


@pytest.fixture(scope="session")
def contract(api_process: RunningApi) -> Contract:
    """The OpenAPI document that is served, as the judge of every answer."""
    return Contract(httpx2.get(f"{api_process.address}/openapi.json").json())


@pytest.fixture(scope="session")
def root_key(api_database: Database) -> Key:
    """A key that may do everything in every ledger."""
    return make_key(api_database.service_dsn)


@pytest.fixture
def service(
    api_process: RunningApi, api_database: Database, root_key: Key, contract: Contract
) -> Iterator[Api]:
    """The service, spoken to in a ledger that only this test uses."""
    service = Api(api_process, api_database, root_key, contract)
    yield service
    service.close()
