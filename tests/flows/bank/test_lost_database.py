"""A bank's gateway that loses the database: it never raises, and what is unknown is asked again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from catena.app import open_app
from catena.chains.step_types import Outcome
from catena.clock import system_clock
from catena.gateways.bank.options import KIND
from catena.gateways.config import GatewayConfig
from catena.gateways.contract import Capability, Order
from catena.settings import Settings
from tests.chain_bodies import balance
from tests.flows.bank.double import ACCOUNT
from tests.flows.bank.running import BANK, Payer, to_iban
from tests.flows.gateways import find_out, make_ledger
from tests.postgres import Database, ask

_FALL: tuple[str, ...] = (
    """
CREATE FUNCTION public.fall() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'admin_shutdown';
END $$""",
    """
CREATE TRIGGER fall BEFORE INSERT ON catena.bank_orders
   FOR EACH ROW EXECUTE FUNCTION public.fall()""",
)
"""From now on whoever stores an order is told what a server says that is being stopped."""


@pytest.mark.parametrize("asks", [False, True], ids=["collect", "look up"])
async def test_the_gateway_answers_that_nobody_knows(
    bank_database: Database, tmp_path: Path, *, asks: bool
) -> None:
    """Whether it is to store an order or to say what has become of one."""
    ledger = await asyncio.to_thread(make_ledger, bank_database)
    options = {"iban": ACCOUNT, "owner": "ACME", "folder": str(tmp_path)}
    config = GatewayConfig(BANK, KIND, ledger, options)
    wanted = Order(
        f"cte_{'0' * 32}.payout.forward.1",
        700,
        "EUR",
        to_iban(),
        None,
        "",
        f"cte_{'0' * 32}",
        "payout",
        system_clock(),
        1.0,
    )
    dsn = bank_database.service_dsn
    async with open_app(Settings(), dsn, works=False, connections=[config]) as app:
        gateway = app.gateways.find(ledger, BANK)
        assert gateway is not None
        app.pool.terminate()
        act = (gateway.look_ups if asks else gateway.acts)[Capability.PAYOUT]
        answer = await act(wanted)
    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "database_lost")


def test_a_payout_is_ordered_once_all_the_same(payer: Payer) -> None:
    """The worker lives, the outcome is unknown until it is asked again, and then it is ordered."""
    wallet = payer.funded(1000)
    dsn = payer.database.owner_dsn
    ask(dsn, *_FALL, "SELECT 1")
    payout = payer.pay(wallet, 700)
    history = f"/v1/chains/{payout['chain_id']}/history"
    find_out(lambda: payer.service.get(history).text, lambda text: text.count("database_lost") > 1)
    ask(dsn, "DROP FUNCTION public.fall() CASCADE", "SELECT 1")
    name = payer.until_sent(payout)
    payer.bank.book(name)
    assert payer.until(payout)["state"] == "completed"
    assert balance(payer.service, wallet) == (300, 0)
    assert payer.bank.made == {name: 1}
