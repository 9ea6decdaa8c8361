"""A month of business by two gateways in one ledger: a sandbox in USD, a bank in EUR.

Invariant: at its end nothing is on its way, and what each gateway itself says that it has for us
is known apart from our books.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from catena.db.embedded import EmbeddedPostgres
from catena.db.installation import Ledger, list_ledgers
from catena.db.pool import open_pool
from catena.ledger.accounts import system_account_id
from catena.settings import Settings
from tests.contract import Contract
from tests.flows.bank.double import CLOSED, OTHER, STANDING, run_bank
from tests.flows.bank.running import BANK, QUICK, Payer, View, http_road, write_bank
from tests.flows.gateways import (
    GATEWAY,
    Shop,
    find_out,
    hear,
    make_database,
    make_ledger,
    speaking,
    write_gateways,
)
from tests.oracles.books import OracleBook
from tests.reconciliation.trade import reconcile, trade, write_statement
from tests.sandbox.running import run_sandbox
from tests.server import Client, make_key, run_api

__all__ = ["Month", "run_month"]

_OWN_FEE: Final = {"type": "fixed", "name": "ours", "amount": 100}


@dataclass
class Month:
    """The service after its month, and its two gateways."""

    shop: Shop
    payer: Payer
    book: OracleBook

    def expected(self) -> Mapping[str, int]:
        """What must stand on the platform's accounts, in minor units, debit less credit, by their
        ids in hex: by what the gateways say, never by our books.
        """
        rows = write_statement(self.shop)
        fees = sum(row["fee"] for row in rows)
        fees -= sum(row["amount"] for row in rows if row["subject"] == "fee")
        stands = {
            (f"clearing.{GATEWAY}", "USD"): sum(row["amount"] - row["fee"] for row in rows),
            ("gateway_fees", "USD"): fees,
            ("holding", "USD"): 0,
            (f"clearing.{BANK}", "EUR"): self.payer.bank.standing - STANDING,
            ("suspense", "EUR"): -sum(one["amount"] for one in self.payer.suspense()),
            ("holding", "EUR"): 0,
        }
        return {
            system_account_id(self.shop.ledger, role, currency)[5:]: amount
            for (role, currency), amount in stands.items()
        }

    def book_fees(self) -> None:
        """Reconcile the sandbox, and book what it has kept for itself."""
        run = reconcile(self.shop, write_statement(self.shop))
        booked = self.shop.service.post(f"/v1/reconciliations/{run['id']}/book_fees", {})
        assert booked.status_code == 201, booked.text

    def trade_by_bank(self, seed: int, days: int, orders: int) -> None:
        """So many payouts and credits on each of so many days; what is ordered on one is booked on
        it, some of it comes back a day later, and some of what names nobody is assigned.
        """
        dice, payer = Random(seed), self.payer
        wallets = [payer.funded(500_000) for _ in range(3)]
        for number, wallet in enumerate(wallets):
            own = {"account_id": wallet, "reference": f"WALLET{number:04}"}
            payer.service.make("/v1/deposit_references", own)
        paid: list[str] = []
        for day in range(days):
            for name in paid:
                if dice.random() < 0.3:
                    amount = payer.bank.payments[name].amount
                    payer.bank.give_back(name, dice.choice([amount, amount - 35]))
            ordered = [self._order(dice, wallets) for _ in range(orders)]
            paid = [payer.until_sent(one) for one in ordered]
            paid = [name for name in paid if name in payer.bank.payments]
            payer.bank.book(*paid)
            for number in range(orders // 2):
                self._credit(dice, f"{day}-{number}")
            for one in ordered:
                payer.until(one)
        payer.until_read()
        for one in payer.suspense()[::2]:
            body = {"account_id": dice.choice(wallets), "reason": "He has called"}
            answer = payer.service.post(f"/v1/suspense/{one['id']}/assign", body)
            assert answer.status_code == 201, answer.text
        find_out(self._settled, bool)

    def _order(self, dice: Random, wallets: list[str]) -> View:
        amount = dice.choice([1000, 1999, dice.randrange(100, 20_000)])
        to = CLOSED if dice.random() < 0.2 else OTHER
        fees = [_OWN_FEE] if dice.random() < 0.5 else []
        return self.payer.pay(dice.choice(wallets), amount, to, fees=fees)

    def _credit(self, dice: Random, name: str) -> None:
        """Money comes in; some names a wallet, and some is taken back by the bank."""
        amount = dice.randrange(1000, 20_000)
        if dice.random() < 0.2:
            self.payer.bank.take_back(amount, f"BACK-{name}")
            return
        text = f"for WALLET000{dice.randrange(3)}" if dice.random() < 0.6 else "hello"
        self.payer.bank.credit(amount, f"IN-{name}", text=text)

    def _settled(self) -> bool:
        """Whether all that came in is booked."""
        listed = sum(one["amount"] for one in self.payer.suspense())
        return self.payer.posted("holding") == 0 and self.payer.posted("suspense") == listed


@contextmanager
def run_month(
    server: EmbeddedPostgres, template: str, contract: Contract, place: Path, days: int, orders: int
) -> Iterator[Month]:
    """The month, over when it is given."""
    with ExitStack() as stack:
        database = stack.enter_context(make_database(server, template))
        sandbox = stack.enter_context(run_sandbox("--stopped"))
        bank = stack.enter_context(run_bank())
        ledger, key = make_ledger(database), make_key(database.service_dsn)
        bank_file = write_bank(place, ledger, http_road(bank)).read_text()
        variables, secret = write_gateways(place, ledger, sandbox)
        file: Path = variables["gateways_file"]
        file.write_text(file.read_text() + bank_file)
        running = stack.enter_context(run_api(database.service_dsn, **{**QUICK, **variables}))
        client = Client(running.address, key.secret, ledger, contract)
        stack.enter_context(closing(client.http))
        http = stack.enter_context(speaking(sandbox))
        shop = Shop(client, http, database, ledger, secret)
        hear(shop, running)
        book = OracleBook(database.service_dsn, asyncio.run(_find_ledger(database.service_dsn)))
        month = Month(shop, Payer(client, bank, database, ledger, running, file), book)
        trade(shop, seed=7, days=days, orders=orders)
        month.book_fees()
        month.trade_by_bank(8, days, orders)
        yield month


async def _find_ledger(dsn: str) -> Ledger:
    """The only one."""
    pool = await open_pool(Settings(), dsn)
    async with pool.acquire() as connection:
        (ledger,) = await list_ledgers(connection)
    await pool.close()
    return ledger
