"""The whole road against a bank that others have written: payouts, returns, money that comes in.

What mock-bank cannot do is listed in docs/guides/bank.md, and played in tests/flows/bank.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from catena.db.embedded import EmbeddedPostgres
from tests.chain_bodies import balance
from tests.contract import Contract
from tests.flows.bank.double import BankDouble
from tests.flows.bank.running import BANK, QUICK, Payer, View, write_bank
from tests.flows.gateways import find_out, make_database, make_ledger
from tests.oracles.mock_bank import ACME, CLOSED, OTHER, WRONG_BANK, MockBank, run_mock_bank
from tests.server import Client, make_key, run_api

pytestmark = [pytest.mark.oracle("mock-bank"), pytest.mark.xdist_group("mock bank")]

_DAY = dt.timedelta(days=1)


@dataclass
class Town:
    """A service, and a bank whose days pass when a test has them pass."""

    payer: Payer
    bank: MockBank
    today: dt.date

    def pass_days(self, days: int) -> None:
        """Let the bank's days pass, and all that it says be taken in."""
        self.today += days * _DAY
        self.bank.advance(self.today.isoformat())

    def until_known(self, payout: View) -> str:
        """The EndToEndId of a payout that the bank has."""
        told = find_out(lambda: self.payer.read(payout), lambda one: bool(one["gateway_reference"]))
        name: str = told["gateway_reference"]
        find_out(lambda: self.count(name), bool)
        return name

    def count(self, name: str) -> int:
        """How often the bank has this payment."""
        found = self.bank.http.get(f"{self.bank.url}/_mock/payments/{name}?all")
        return 0 if found.status_code == 404 else len(_list(found.json()))

    def has(self) -> int:
        """What is on our account, in cents."""
        amount: int = self.bank.tell("GET", "/_mock/accounts/ACME")["balance"]
        return amount


def _list(found: object) -> list[object]:
    if isinstance(found, dict):
        found = found.get("payments", [found])
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def town(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    contract: Contract,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Town]:
    """The service and the bank; at the end they agree on what is on the account."""
    today = dt.datetime.now(dt.UTC).date()
    with (
        make_database(postgres_server, migrated_template) as database,
        run_mock_bank("--clock", f"{today}T09:00") as bank,
    ):
        mailbox = f"{bank.url}/_mock/mailbox"
        road = {
            "payments_url": f"{bank.url}/payments",
            "files_url": f"{mailbox}?leave",
            "file_url": f"{mailbox}/{{name}}",
            "timeout_seconds": 1.5,
        }
        ledger, key = make_ledger(database), make_key(database.service_dsn)
        own = {"owner": ACME.name, "bic": "MOCKNL2AXXX", "mailbox_seconds": 0.2}
        file = write_bank(tmp_path_factory.mktemp("town"), ledger, road, iban=ACME.iban, **own)
        before = bank.tell("GET", "/_mock/accounts/ACME")["balance"]
        with run_api(database.service_dsn, **{**QUICK, "gateways_file": file}) as running:
            client = Client(running.address, key.secret, ledger, contract)
            with closing(client.http):
                payer = Payer(client, BankDouble(), database, ledger, running, Path(file))
                town = Town(payer, bank, today)
                yield town
                found = payer.posted(f"clearing.{BANK}")
                assert found == town.has() - before
                payer.bank.standing += found
                payer.prove()


def test_accepted_then_booked(town: Town) -> None:
    """Pending until the statement has it."""
    wallet = town.payer.funded(5000)
    payout = town.payer.pay(wallet, 1001, OTHER)
    name = town.until_known(payout)
    find_out(lambda: town.payer.files()[-1]["state"], lambda state: state == "taken")
    assert town.payer.read(payout)["state"] == "pending"
    town.pass_days(6)
    assert town.payer.until(payout)["state"] == "completed"
    assert balance(town.payer.service, wallet) == (3999, 0)
    assert town.count(name) == 1


@pytest.mark.parametrize(("iban", "code"), [(CLOSED, "ac04"), (WRONG_BANK, "rc01")])
def test_rejected(town: Town, iban: str, code: str) -> None:
    """The wallet has its money back."""
    wallet = town.payer.funded(5000)
    ended = town.payer.until(town.payer.pay(wallet, 1001, iban))
    assert (ended["state"], ended["failure"]["code"]) == ("failed", code)
    assert balance(town.payer.service, wallet) == (5000, 0)


def test_returned_days_later(town: Town) -> None:
    """The wallet has it again, once, though three messages tell of it."""
    wallet = town.payer.funded(5000)
    town.bank.behave("return-later", days=3, reason="MD07")  # first: it may be booked at once
    payout = town.payer.pay(wallet, 1002, OTHER)
    town.until_known(payout)
    town.pass_days(5)
    assert town.payer.until(payout)["state"] == "completed"
    town.pass_days(9)
    town.bank.behave("accept")
    find_out(lambda: balance(town.payer.service, wallet), lambda found: found == (5000, 0))


def test_silent(town: Town) -> None:
    """No report: pending, until the statement has it."""
    town.bank.behave("silent")
    wallet = town.payer.funded(5000)
    payout = town.payer.pay(wallet, 1003, OTHER)
    town.until_known(payout)
    town.bank.behave("accept")
    find_out(lambda: town.payer.files()[-1]["state"], lambda state: state == "taken")
    assert town.payer.read(payout)["state"] == "pending"
    town.pass_days(6)
    assert town.payer.until(payout)["state"] == "completed"


def test_a_file_is_refused(town: Town) -> None:
    """All its orders fail."""
    town.bank.behave("reject-file")
    wallet = town.payer.funded(5000)
    ended = town.payer.until(town.payer.pay(wallet, 1004, OTHER))
    town.bank.behave("accept")
    assert (ended["state"], ended["failure"]["code"]) == ("failed", "ff01")
    assert balance(town.payer.service, wallet) == (5000, 0)


def test_money_comes_in(town: Town) -> None:
    """By a reference to a wallet, by none to suspense."""
    wallet = town.payer.funded()
    made = town.payer.service.make("/v1/deposit_references", {"account_id": wallet})
    payer = {"name": "Ada L", "iban": "GB82WEST12345698765432"}
    for more in ({"reference": made["reference"], "debtor": payer}, {"note": "hello"}):
        town.bank.tell("POST", "/_mock/credits", {"account": "ACME", "amount": 5000, **more})
    town.pass_days(5)
    find_out(lambda: balance(town.payer.service, wallet), lambda found: found == (5000, 0))
    (one,) = find_out(town.payer.suspense, lambda items: len(items) == 1)
    assert (one["amount"], one["text"]) == (5000, "hello")


def test_a_statement_leaves_something_out(town: Town) -> None:
    """It is listed with its proof; the payout stays pending, and reconciliation finds it."""
    wallet = town.payer.funded(5000)
    first, second = (town.payer.pay(wallet, amount, OTHER) for amount in (111, 222))
    names = {town.until_known(first): first, town.until_known(second): second}
    assert len(names) == 2
    town.bank.behave("statement-gap")
    town.pass_days(6)
    town.bank.behave("accept")
    alarm = find_out(lambda: town.payer.alarms().get("gap"), bool)
    assert alarm is not None
    assert alarm["details"]["proof"] is True
