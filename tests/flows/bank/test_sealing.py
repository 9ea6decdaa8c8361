"""When files are sealed, and what is in them: by count, by age, by cut-off; each order in one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from zoneinfo import ZoneInfo

import pytest

from catena.db.bank import OpenOrders
from catena.flows.bank.sealing import is_due
from catena.gateways.bank.options import BankOptions, read_options
from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.bank.double import ACCOUNT, OTHER, Payment
from tests.flows.bank.running import BANK, QUICK, Payer, run_payer
from tests.flows.gateways import LONG, find_out, make_ledger
from tests.postgres import Database
from tests.server import run_api

MANY = 1000 if LONG else 200
BERLIN = ZoneInfo("Europe/Berlin")
TUESDAY = dt.date(2026, 9, 29)


def options(**more: object) -> BankOptions:
    """What an installation says of a bank."""
    told = {"iban": ACCOUNT, "owner": "ACME", "folder": "/nowhere"}
    return read_options(BANK, {**told, **more})


def at(hour: int, minute: int = 0) -> dt.datetime:
    """A moment of that Tuesday, as a clock in Berlin has it."""
    return dt.datetime(2026, 9, 29, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("orders", "waited", "now", "due"),
    [
        (1, 10, at(12), False),
        (3, 10, at(12), True),
        (1, 300, at(12), True),
        (1, 10, at(14, 44), False),
        (1, 10, at(14, 45), True),
    ],
    ids=["young", "many", "old", "early", "cut-off"],
)
def test_a_file_is_sealed_by_count_age_and_cut_off(
    orders: int, waited: int, now: dt.datetime, *, due: bool
) -> None:
    """By whichever comes first."""
    waiting = OpenOrders(orders, now - dt.timedelta(seconds=waited), TUESDAY)
    assert is_due(waiting, options(file_orders=3, file_seconds=300), now) is due


def test_nothing_is_sealed_where_no_file_has_orders() -> None:
    """However late it is: whoever restores a backup waits for what the bank has done."""
    waiting = OpenOrders(5, at(12), TUESDAY)
    assert is_due(waiting, options(file_orders=0), at(23)) is False


@pytest.fixture(scope="module")
def slow(
    bank_database: Database, contract: Contract, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Payer]:
    """A service whose files wait for so many orders, or for a day."""
    place = tmp_path_factory.mktemp("slow")
    # It is never a minute to midnight in one of these zones, so no cut-off is near.
    noon = dt.datetime.now(dt.UTC).hour < 12
    zone = "Etc/GMT-1" if noon else "Etc/GMT+11"
    terms = {"file_seconds": 86400, "file_orders": MANY, "cutoff": "23:59", "zone": zone}
    with run_payer(bank_database, contract, place, **terms) as payer:
        yield payer


def test_what_is_not_sealed_can_be_called_off(slow: Payer) -> None:
    """The order is in no file, and the wallet has its money."""
    wallet = slow.funded(1000)
    payout = slow.pay(wallet, 700)
    find_out(lambda: slow.read(payout)["gateway_reference"], bool)
    answer = slow.service.post(f"/v1/withdrawals/{payout['id']}/cancel", {"reason": "asked twice"})
    assert answer.status_code == 200, answer.text
    assert slow.until(payout)["state"] == "cancelled"
    assert balance(slow.service, wallet) == (1000, 0)
    assert slow.files() == []


def test_what_a_statement_has_is_not_sent(slow: Payer) -> None:
    """After a restore: it left in a file that we do not know any more, and is paid by that."""
    wallet = slow.funded(1000)
    payout = slow.pay(wallet, 700)
    name = find_out(lambda: slow.read(payout)["gateway_reference"], bool)
    slow.bank.payments[name] = Payment(name, 700, OTHER, "CFFORGOTTEN-1")
    slow.bank.book(name)
    del slow.bank.payments[name]
    assert slow.until(payout)["state"] == "completed"
    assert slow.files() == []


def test_many_orders_in_one_file_of_two_workers(slow: Payer) -> None:
    """Collected by two processes at once, sealed once, paid once each, and all booked."""
    wallet = slow.funded(MANY * 100)
    settings = {**QUICK, "gateways_file": slow.gateways}
    with run_api(slow.database.service_dsn, **settings), ThreadPoolExecutor(4) as threads:
        payouts = list(threads.map(lambda _: slow.pay(wallet, 100), range(MANY)))
        find_out(lambda: len(slow.bank.made), lambda count: count == MANY)
        slow.bank.book()
        find_out(lambda: balance(slow.service, wallet), lambda found: found == (0, 0))
        ended = {slow.until(payout)["state"] for payout in payouts[:: MANY // 20]}
        assert ended == {"completed"}
    (file,) = slow.files()
    assert (file["orders"], file["total"], file["state"]) == (MANY, MANY * 100, "taken")
    find_out(lambda: slow.posted("holding"), lambda found: found == 0)
    slow.prove()


def test_a_ledger_of_its_own_has_no_files(slow: Payer) -> None:
    """What a bank has is of one ledger, and no other sees it."""
    other = make_ledger(slow.database)
    head = {"Catena-Ledger": other}
    for path in ("/v1/bank_files", "/v1/bank_alarms", "/v1/suspense", "/v1/virtual_ibans"):
        answer = slow.service.send("GET", path, headers=head)
        assert answer.json()["items"] == []
