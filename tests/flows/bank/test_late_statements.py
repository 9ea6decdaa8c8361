"""Statements that come late, as reconciliation reads them: nothing that they tell is missed."""

from __future__ import annotations

import asyncio
import datetime as dt

from catena.app import open_app
from catena.cli.database import load_gateways
from catena.clock import system_clock
from catena.settings import Settings
from tests.flows.bank.running import BANK, Payer
from tests.gateways.bank.bank_files import detail, entry


async def test_what_is_booked_long_before_it_is_told(payer: Payer) -> None:
    """It is listed with what was booked since, from the beginning of the first day on, and not to
    those who ask from a day after it was told.
    """
    today = f"{system_clock():%Y-%m-%d}"
    for number, day in ((1, "2026-10-01"), (2, today)):
        told = detail("CRDT", "5.00", text="hello")
        booked = entry("CRDT", "5.00", told, ref=f"LATE-{number}", booked=day, family="RCDT")
        payer.bank.close([booked], 500)
    await asyncio.to_thread(payer.until_read)
    settings = Settings(gateways_file=str(payer.gateways))
    async with open_app(
        settings, payer.database.service_dsn, works=False, connections=load_gateways(settings)
    ) as app:
        bank = app.gateways.find(payer.ledger, BANK)
        assert bank is not None
        assert bank.read_statement is not None
        now = system_clock()
        for hours, days in ((24, ["2026-10-01", today]), (0, ["2026-10-01", today]), (-24, [])):
            start = now - dt.timedelta(hours=hours)
            lines = await bank.read_statement(start, now + dt.timedelta(days=3))
            assert [f"{line.at:%Y-%m-%d}" for line in lines] == days, hours
