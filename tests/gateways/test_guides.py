"""What the guides say of setting gateways up is what can be set up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from catena.clock import system_clock
from catena.flows.bank.standing import AlarmKind
from catena.gateways.bank import options as bank
from catena.gateways.config import connect_gateway, read_gateways
from catena.outside.client import OutsideClient
from catena.outside.signing import format_secret
from catena.settings import Settings
from tests.tidy.rules import REPO

GUIDES: Final = REPO / "docs" / "guides"
TABLES: Final = re.compile(r"(?ms)^```toml\n(.*?)^```$")
VARIABLES: Final = {
    "STRIPE_API_KEY": "rk_test_guide",
    "STRIPE_WEBHOOK_SECRET": "whsec_guide",
    "SANDBOX_KEY": "sbx_guide",
    "SANDBOX_WEBHOOK_SECRET": format_secret(bytes(32)),
}


@pytest.mark.parametrize("name", ["gateways", "bank"])
async def test_every_table_of_a_guide_sets_a_gateway_up(name: str, tmp_path: Path) -> None:
    """With the variables that it names, as it stands there."""
    (shown,) = TABLES.findall((GUIDES / f"{name}.md").read_text(encoding="utf-8"))
    file = tmp_path / "gateways.toml"
    file.write_text(shown.replace("ldg_...", "ldg_" + "0" * 32))
    kinds = set()
    async with OutsideClient(Settings()) as client:
        for config in read_gateways(file, VARIABLES):
            if config.kind == bank.KIND:
                bank.read_options(config.name, config.options)
            else:
                connect_gateway(config, client, system_clock)
            kinds.add(config.kind)
    assert kinds == ({"bank", "sandbox", "stripe"} if name == "gateways" else {"bank"})


def test_every_option_of_a_bank_is_told() -> None:
    """With what it is when it is left out."""
    page = (GUIDES / "bank.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert bank.OPTIONS - named == set()


def test_every_alarm_is_told() -> None:
    """With what to do about it."""
    page = (GUIDES / "bank.md").read_text(encoding="utf-8")
    assert [kind for kind in AlarmKind if f"\n| `{kind}` | " not in page] == []
