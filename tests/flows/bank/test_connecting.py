"""What an installation may not say of its banks is refused before anything is asked of one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from catena.app import open_app
from catena.errors import SetupError
from catena.gateways.bank.options import KIND
from catena.gateways.config import GatewayConfig
from catena.settings import Settings
from tests.flows.gateways import make_ledger
from tests.postgres import Database

HERE = "NL41MOCK0000000001"
THERE = "NL14MOCK0000000002"
ROAD = {
    "payments_url": "https://bank.test/payments",
    "files_url": "https://bank.test/files",
    "file_url": "https://bank.test/files/{name}",
}


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"iban": HERE}, {"iban": THERE, "account_number": HERE}, "has the same account"),
        ({"iban": HERE, "folder": "spool"}, {"iban": THERE, "folder": "spool"}, "same `folder`"),
        ({"iban": HERE}, {"iban": THERE, **ROAD, "timeout_seconds": 60}, "`timeout_seconds`"),
    ],
    ids=["account", "folder", "lease"],
)
async def test_banks_that_cannot_be_together(
    bank_database: Database,
    tmp_path: Path,
    first: dict[str, object],
    second: dict[str, object],
    said: str,
) -> None:
    """One account is one gateway's, and so is a folder; a lease outlasts a delivery."""
    banks = []
    for name, options in (("first", first), ("second", second)):
        place = tmp_path / str(options.get("folder", name))
        place.mkdir(exist_ok=True)
        road = {} if "payments_url" in options else {"folder": str(place)}
        ledger = await asyncio.to_thread(make_ledger, bank_database)
        banks.append(GatewayConfig(name, KIND, ledger, {"owner": "ACME", **options, **road}))
    with pytest.raises(SetupError, match=said):
        async with open_app(Settings(), bank_database.service_dsn, works=False, connections=banks):
            pass


@pytest.mark.parametrize("missing", [True, False])
async def test_a_folder_that_cannot_be_used(
    bank_database: Database, tmp_path: Path, *, missing: bool
) -> None:
    """One that is not there, as when a mount is gone, or that is no folder at all: said at once."""
    place = tmp_path / "spool"
    if not missing:
        place.mkdir()
        (place / "in").write_text("a file")
    ledger = await asyncio.to_thread(make_ledger, bank_database)
    told = {"owner": "ACME", "iban": HERE, "folder": str(place)}
    banks = [GatewayConfig("bank", KIND, ledger, told)]
    with pytest.raises(SetupError, match=r"`folder` .* cannot be used"):
        async with open_app(Settings(), bank_database.service_dsn, works=False, connections=banks):
            pass
