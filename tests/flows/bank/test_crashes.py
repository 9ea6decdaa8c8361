"""Payouts whose worker is killed: nothing is lost, nothing is paid twice, the same bytes go again.

Each worker is a process of its own; the test holds it at a certain place, kills it there, and has
another one go on.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from _pytest.mark.structures import ParameterSet

from catena.db.embedded import EmbeddedPostgres
from catena.gateways.bank.references import is_end_to_end_id
from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.bank.double import BankDouble, run_bank
from tests.flows.bank.running import QUICK, Payer, View, http_road, write_bank
from tests.flows.gateways import find_out, make_ledger
from tests.postgres import Database, ask
from tests.server import Client, RunningApi, make_key, run_api

NOWHERE = "http://127.0.0.1:9/payments"

_BLOCKED = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = '{}' AND wait_event_type = 'Lock' AND query LIKE '%{}%'"""


def _long(case: str) -> ParameterSet:
    return pytest.param(case, marks=pytest.mark.long)


class _Killed(Exception):
    """The worker was killed by its test."""


class Street:
    """A bank, a ledger, and workers that come and go."""

    def __init__(
        self, bank: BankDouble, database: Database, admin: str, contract: Contract, place: Path
    ) -> None:
        self.bank = bank
        self.database = database
        self.admin = admin
        self.ledger = make_ledger(database)
        self._key = make_key(database.service_dsn)
        self._contract = contract
        self._place = place

    @contextmanager
    def work(self, **options: object) -> Iterator[Payer]:
        """A worker, until the block ends; it may be killed within."""
        road = http_road(self.bank) | {k: v for k, v in options.items() if k.endswith("url")}
        rest = {k: v for k, v in options.items() if not k.endswith("url")}
        file = write_bank(self._place, self.ledger, road, **rest)
        settings = {**QUICK, "gateways_file": file}
        with suppress(_Killed), run_api(self.database.service_dsn, **settings) as running:
            client = Client(running.address, self._key.secret, self.ledger, self._contract)
            with closing(client.http):
                yield Payer(client, self.bank, self.database, self.ledger, running, file)
            if running.process.poll() == -signal.SIGKILL:
                raise _Killed  # it will not end in order


@pytest.fixture
def street(
    bank_database: Database, postgres_server: EmbeddedPostgres, contract: Contract, tmp_path: Path
) -> Iterator[Street]:
    """A bank and a ledger, and nobody who works so far."""
    with run_bank() as bank:
        yield Street(bank, bank_database, postgres_server.admin_dsn, contract, tmp_path)


def kill(running: RunningApi) -> None:
    """End it at once."""
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()


@asynccontextmanager
async def locking(database: Database, table: str) -> AsyncIterator[None]:
    """Within, nobody writes into this table."""
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE catena.{table} IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def until_blocked(street: Street, statement: str) -> None:
    """Once somebody waits for a lock with such a statement."""
    asked = _BLOCKED.format(street.database.name, statement)
    await asyncio.to_thread(
        find_out, lambda: int(str(ask(street.admin, asked))), lambda count: count > 0
    )


def check(payer: Payer, wallet: str, payout: View, *, books: bool = True) -> None:
    """It is paid once, in one file of the same bytes, and the books agree."""
    name = payer.until_sent(payout)
    assert is_end_to_end_id(name)
    if books:
        payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    assert balance(payer.service, wallet) == (300, 0)
    assert payer.bank.made == {name: 1}
    assert len(set(payer.bank.received)) == len(payer.bank.taken) == 1
    # The statement may be read before another worker may ask about the file.
    (file,) = find_out(payer.files, lambda files: files[0]["state"] != "sealed")
    assert (file["orders"], file["state"]) == (1, "taken")
    payer.prove()


def test_before_it_is_sealed(street: Street) -> None:
    """The order is stored, and joins the file of whoever comes next."""
    with street.work(file_seconds=3600) as payer:
        wallet = payer.funded(1000)
        payout = payer.pay(wallet, 700)
        find_out(lambda: payer.read(payout)["gateway_reference"], bool)
        kill(payer.running)
    assert street.bank.received == []
    with street.work() as payer:
        check(payer, wallet, payout)


async def test_while_it_is_sealed(street: Street) -> None:
    """A file that was not committed is none."""
    with street.work() as payer:
        wallet = await asyncio.to_thread(payer.funded, 1000)
        async with locking(street.database, "bank_files"):
            payout = await asyncio.to_thread(payer.pay, wallet, 700)
            await until_blocked(street, "INSERT INTO bank_files")
            kill(payer.running)
    assert street.bank.received == []
    with street.work() as payer:
        await asyncio.to_thread(check, payer, wallet, payout)


def test_before_it_is_delivered(street: Street) -> None:
    """It is sealed, and its bytes are those that the next one sends."""
    with street.work(payments_url=NOWHERE) as payer:
        wallet = payer.funded(1000)
        payout = payer.pay(wallet, 700)
        find_out(payer.files, lambda files: [file["tries"] > 0 for file in files] == [True])
        kill(payer.running)
    stored = ask(street.database.owner_dsn, _CONTENT.format(street.ledger[4:]))
    with street.work() as payer:
        check(payer, wallet, payout)
        assert street.bank.received[0] == stored


_CONTENT = """
SELECT content FROM catena.bank_files JOIN catena.ledgers l USING (ledger_id) WHERE l.id = '{}'"""


def test_when_it_is_delivered_and_nobody_knows(street: Street) -> None:
    """The bank has it: it is told the same again, and says so."""
    street.bank.stuck = {"POST payments"}
    with street.work() as payer:
        wallet = payer.funded(1000)
        payout = payer.pay(wallet, 700)
        find_out(lambda: street.bank.received, bool)
        kill(payer.running)
    street.bank.stuck = set()
    with street.work() as payer:
        check(payer, wallet, payout)
        assert len(street.bank.received) > 1


@pytest.mark.parametrize("place", [_long("GET files"), "DELETE files"])
def test_before_and_after_a_file_of_the_banks_is_stored(street: Street, place: str) -> None:
    """What was not stored is fetched again; what is stored is read."""
    with street.work() as payer:
        wallet = payer.funded(1000)
        payout = payer.pay(wallet, 700)
        name = payer.until_sent(payout)
        payer.until_read()
        street.bank.stuck = {place}
        before = street.bank.asked[place]
        street.bank.book(name)
        find_out(lambda: street.bank.asked[place], lambda count: count > before)
        kill(payer.running)
    street.bank.stuck = set()
    with street.work() as payer:
        assert payer.until(payout)["state"] == "completed"
        assert balance(payer.service, wallet) == (300, 0)
        payer.prove()


@pytest.mark.parametrize(
    "table",
    [_long("bank_orders"), "notices", _long("bank_statements")],
)
async def test_while_it_is_taken_in(street: Street, table: str) -> None:
    """The file is unread until all of it is taken in: it is read again, and all happens once."""
    with street.work() as payer:
        wallet = await asyncio.to_thread(payer.funded, 1000)
        payout = await asyncio.to_thread(payer.pay, wallet, 700)
        name = await asyncio.to_thread(payer.until_sent, payout)
        await asyncio.to_thread(payer.until_read)
        async with locking(street.database, table):
            street.bank.book(name)
            written = {"bank_orders": "UPDATE bank_orders", "notices": "journal_write"}
            await until_blocked(street, written.get(table, f"INSERT INTO {table}"))
            assert await asyncio.to_thread(payer.unread) == 1
            kill(payer.running)
    with street.work() as payer:
        await asyncio.to_thread(partial(check, payer, wallet, payout, books=False))
