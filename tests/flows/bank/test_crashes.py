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
LEASE_SECONDS = float(str(QUICK["bank_lease_seconds"]))

_BLOCKED = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = '{}' AND wait_event_type = 'Lock' AND query LIKE '%{}%'"""


_TURN = """
SELECT fence || ' ' || extract(epoch FROM lease_until) FROM catena.bank_turns
  JOIN catena.ledgers l USING (ledger_id) WHERE l.id = '{}' AND task = 'reading'"""


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

    def turn(self) -> tuple[int, float]:
        """The fence of who reads, and when its lease ends, in seconds of 1970."""
        fence, until = str(ask(self.database.owner_dsn, _TURN.format(self.ledger[4:]))).split()
        return int(fence), float(until)

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


def test_what_nobody_wants_paid_is_not_sealed(street: Street) -> None:
    """An order whose payout a person has refused leaves in no file, and that of a held chain when
    it goes on.
    """
    with street.work(file_seconds=3600) as payer:
        wallet = payer.funded(3000)
        refused, held = (payer.pay(wallet, amount) for amount in (700, 701))
        for payout in (refused, held):
            find_out(partial(payer.read, payout), lambda one: bool(one["gateway_reference"]))
        reason = {"reason": "Nobody wants it"}
        payer.command(refused, "steps/payout/mark-refused", reason)
        assert payer.until(refused)["state"] == "failed"
        payer.command(held, "hold", {"seconds": 3600, "then": "reject", **reason})
    with street.work() as payer:
        payouts = [payer.pay(wallet, 702)]
        names = {payer.until_sent(payouts[0])}
        assert street.bank.made.keys() == names
        payer.command(held, "resume", reason)
        names.add(payer.until_sent(held))
        assert street.bank.made.keys() == names
        payer.bank.book()
        for payout in (held, *payouts):
            assert payer.until(payout)["state"] == "completed"
        assert balance(payer.service, wallet) == (3000 - 701 - 702, 0)
        payer.prove()


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
    """It is sealed, and its bytes are those that the next one sends; the log says which it is."""
    with street.work(payments_url=NOWHERE) as payer:
        wallet = payer.funded(1000)
        payout = payer.pay(wallet, 700)
        find_out(payer.files, lambda files: [file["tries"] > 0 for file in files] == [True])
        find_out(payer.running.log.copy, lambda log: any("bank_file_not_taken" in it for it in log))
        kill(payer.running)
    stored = ask(street.database.owner_dsn, _CONTENT.format(street.ledger[4:]))
    with street.work() as payer:
        check(payer, wallet, payout)
        assert street.bank.received[0] == stored
        find_out(payer.running.log.copy, lambda log: any("bank_file_taken" in it for it in log))


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


async def test_while_the_orders_of_a_refused_file_are_declined(street: Street) -> None:
    """The bank is not asked again: whoever comes next declines them."""
    with street.work(payments_url=NOWHERE) as payer:
        wallet = await asyncio.to_thread(payer.funded, 1000)
        payout = await asyncio.to_thread(payer.pay, wallet, 700)
        await asyncio.to_thread(
            find_out, payer.files, lambda files: [file["tries"] > 0 for file in files] == [True]
        )
        kill(payer.running)
    street.bank.refuses = True
    async with locking(street.database, "bank_orders"):
        with street.work() as payer:
            await until_blocked(street, "UPDATE bank_orders")
            assert [file["state"] for file in payer.files()] == ["refusing"]
            kill(payer.running)
    with street.work() as payer:
        ended = await asyncio.to_thread(payer.until, payout)
        assert (ended["state"], ended["failure"]["code"]) == ("failed", "ff01")
        assert balance(payer.service, wallet) == (1000, 0)
        assert len(street.bank.received) == 1
        files = await asyncio.to_thread(
            find_out, payer.files, lambda files: files[0]["state"] == "refused"
        )
        assert len(files) == 1
        payer.prove()


async def test_a_turn_lasts_as_long_as_its_work(street: Street) -> None:
    """However long that is, and nobody else begins the same."""
    with street.work() as payer:
        wallet = await asyncio.to_thread(payer.funded, 1000)
        payout = await asyncio.to_thread(payer.pay, wallet, 700)
        name = await asyncio.to_thread(payer.until_sent, payout)
        await asyncio.to_thread(payer.until_read)
        with street.work():
            async with locking(street.database, "bank_lines"):
                street.bank.book(name)
                await until_blocked(street, "INSERT INTO bank_lines")
                fence, until = await asyncio.to_thread(street.turn)
                found = await asyncio.to_thread(
                    find_out, street.turn, lambda found: found[1] > until + 2 * LEASE_SECONDS
                )
                assert found[0] == fence
        await asyncio.to_thread(partial(check, payer, wallet, payout, books=False))


def test_a_file_that_cannot_be_taken_in(street: Street) -> None:
    """Somebody is told, and it is taken in once that has an end."""
    with street.work() as payer:
        wallet = payer.funded(1000)
        payout = payer.pay(wallet, 700)
        name = payer.until_sent(payout)
        payer.until_read()
        dsn = street.database.owner_dsn
        ask(dsn, "REVOKE INSERT ON catena.bank_lines FROM catena_service")
        street.bank.book(name)
        find_out(payer.alarms, lambda found: "stuck_file" in found)
        ask(dsn, "GRANT INSERT ON catena.bank_lines TO catena_service")
        check(payer, wallet, payout, books=False)


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
