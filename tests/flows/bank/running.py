"""A service with a bank: one process or several over a database of their own, and who speaks to it.

Invariant: the service's bank says nothing until a test has it say so; every amount is in EUR cents.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from catena.ledger.accounts import system_account_id
from tests.contract import Contract
from tests.flows.bank.double import ACCOUNT, OTHER, STANDING, BankDouble, run_bank
from tests.flows.gateways import find_out, make_ledger
from tests.postgres import Database, ask
from tests.server import Client, RunningApi, make_key, run_api

__all__ = ["BANK", "QUICK", "Payer", "View", "http_road", "run_payer", "to_iban", "write_bank"]

BANK: Final = "housebank"
QUICK: Final[Mapping[str, object]] = {
    "poll_seconds": 0.05,
    "bank_poll_seconds": 0.05,
    "bank_lease_seconds": 2.0,
    "bank_file_bytes": 4_000_000,
    "bank_silence_seconds": 0.0,
    "call_seconds": 1.0,
    "lease_seconds": 1.5,
}
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})

_UNREAD: Final = """
SELECT count(*) FROM catena.bank_inbox JOIN catena.ledgers l USING (ledger_id)
 WHERE l.id = '{}' AND read_at IS NULL AND failure IS NULL"""

View = dict[str, Any]


def to_iban(iban: str = OTHER, **more: object) -> View:
    """Where a payout goes."""
    return {"type": "iban", "iban": iban, "name": "Ada Lovelace", **more}


def write_bank(place: Path, ledger: str, road: Mapping[str, object], **options: object) -> Path:
    """The file of gateways with one bank, that is quick."""
    told = {
        "kind": "bank",
        "ledger": ledger,
        "iban": ACCOUNT,
        "owner": "ACME Corporation",
        "file_seconds": 0,
        "cutoff_lead_seconds": 0,  # whatever the hour is, only what a test says is due
        "mailbox_seconds": 0,
        **road,
        **options,
    }
    file = place / "gateways.toml"
    lines = (f"{key} = {_quote(value)}" for key, value in told.items())
    file.write_text("\n".join([f"[{BANK}]", *lines, ""]))
    return file


def _quote(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


@dataclass
class Payer:
    """Who speaks to the service, and has the bank do things."""

    service: Client
    bank: BankDouble
    database: Database = field(repr=False)
    ledger: str
    running: RunningApi = field(repr=False)
    gateways: Path

    def funded(self, amount: int = 0) -> str:
        """A wallet, with so much in it that came through no bank."""
        return self.service.open_account("EUR", amount)

    def pay(self, wallet: str, amount: int, iban: str = OTHER, **more: object) -> View:
        """A withdrawal by way of the bank; gives its view."""
        body = {
            "gateway": BANK,
            "account_id": wallet,
            "amount": amount,
            "currency": "EUR",
            "method": to_iban(iban),
            **more,
        }
        answer = self.service.post("/v1/withdrawals", body)
        assert answer.status_code in (201, 202), answer.text
        view: View = answer.json()
        return view

    def command(self, payout: View, path: str, body: View) -> None:
        """Have a person do something to its chain."""
        answer = self.service.post(f"/v1/chains/{payout['chain_id']}/{path}", body)
        assert answer.status_code in (200, 202), answer.text

    def read(self, payout: View) -> View:
        """A withdrawal as it is now."""
        view: View = self.service.read(f"/v1/withdrawals/{payout['id']}")
        return view

    def until(self, payout: View, *states: str) -> View:
        """The withdrawal, once it is in one of these states; none: ended."""
        wanted = set(states) or _ENDED
        return find_out(lambda: self.read(payout), lambda one: one["state"] in wanted)

    def until_sent(self, payout: View) -> str:
        """The EndToEndId of a withdrawal, once the bank has it."""
        told = find_out(lambda: self.read(payout), lambda one: bool(one["gateway_reference"]))
        name: str = told["gateway_reference"]
        find_out(lambda: name in self.bank.payments or name in self.bank.rejected, bool)
        return name

    def until_read(self) -> None:
        """Once the mailbox is empty, and all that came from it is taken in."""
        find_out(lambda: not self.bank.mailbox and not self.unread(), bool)

    def unread(self) -> int:
        """How many files of the bank's are stored and not taken in."""
        asked = _UNREAD.format(self.ledger[4:])
        return int(str(ask(self.database.owner_dsn, asked)))

    def posted(self, role: str) -> int:
        """What is posted on an account of the platform's own."""
        id = system_account_id(self.ledger, role, "EUR")
        answer = self.service.get(f"/v1/accounts/{id}/balance")
        return int(answer.json()["posted"]) if answer.status_code == 200 else 0

    def alarms(self) -> dict[str, View]:
        """What a person has to look at, by kind."""
        items = self.service.read("/v1/bank_alarms", limit=200)["items"]
        return {one["kind"]: one for one in items}

    def files(self) -> list[View]:
        """The files that were sealed."""
        items: list[View] = self.service.read("/v1/bank_files", limit=200)["items"]
        return items

    def suspense(self) -> list[View]:
        """What is nobody's."""
        items: list[View] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.service.read("/v1/suspense", limit=200, **cursor)
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = {"cursor": page["next"]}

    def prove(self) -> None:
        """No payment was made twice, our books have what the bank's account has, and every row of
        them agrees.
        """
        assert max(self.bank.made.values(), default=0) <= 1
        find_out(lambda: self.posted("holding"), lambda found: found == 0)
        assert self.posted(f"clearing.{BANK}") == self.bank.standing - STANDING
        verify = subprocess.run(
            [sys.executable, "-P", "-m", "catena.cli", "verify", "--ledger", self.ledger],
            env=os.environ | {"CATENA_DATABASE_URL": self.database.service_dsn},
            capture_output=True,
            text=True,
            check=False,
        )
        assert verify.returncode == 0, verify.stdout + verify.stderr


def http_road(bank: BankDouble) -> View:
    """The road to the double."""
    return {
        "payments_url": f"{bank.url}/payments",
        "files_url": f"{bank.url}/files",
        "file_url": f"{bank.url}/files/{{name}}",
        "acknowledge_url": f"{bank.url}/files/{{name}}",
        "timeout_seconds": 1.5,
    }


@contextmanager
def run_payer(
    database: Database, contract: Contract, place: Path, **options: object
) -> Iterator[Payer]:
    """A bank and a service, in a ledger of their own, until the block ends."""
    ledger, key = make_ledger(database), make_key(database.service_dsn)
    with ExitStack() as stack:
        bank = stack.enter_context(run_bank())
        file = write_bank(place, ledger, http_road(bank), **options)
        settings = {**QUICK, "gateways_file": file}
        running = stack.enter_context(run_api(database.service_dsn, **settings))
        client = Client(running.address, key.secret, ledger, contract)
        stack.enter_context(closing(client.http))
        yield Payer(client, bank, database, ledger, running, file)
