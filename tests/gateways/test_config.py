"""The file of gateways: what is set wrongly ends the start, in a sentence, and shows no secret."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from catena.clock import system_clock
from catena.errors import SetupError
from catena.gateways.config import connect_gateway, read_gateways
from catena.gateways.contract import ForgedWebhook, Gateway
from catena.outside.client import OutsideClient
from catena.outside.signing import parse_secret, sign
from catena.settings import Settings

SECRET = "whsec_" + "c2VjcmV0" * 6
SANDBOX = {
    "kind": "sandbox",
    "url": "http://127.0.0.1:9",
    "api_key": "env:KEY",
    "webhook_secret": "env:SECRET",
}
STRIPE = {
    "kind": "stripe",
    "api_key": "env:STRIPE_KEY",
    "webhook_secrets": ["env:SECRET"],
    "api_base": "http://127.0.0.1:9",
    "api_version": "2026-08-26.dahlia",
}
VARIABLES = {"KEY": "sbx_hidden", "SECRET": SECRET, "STRIPE_KEY": "sk_test_hidden"}


@pytest.fixture
async def client() -> AsyncIterator[OutsideClient]:
    """It calls nobody here."""
    async with OutsideClient(Settings()) as client:
        yield client


def connect(place: Path, client: OutsideClient, options: dict[str, object]) -> Gateway:
    """The gateway of a file that has one."""
    file = place / "gateways.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    file.write_text("\n".join(["[desk]", *lines]))
    (config,) = read_gateways(file, VARIABLES)
    return connect_gateway(config, client, system_clock)


@pytest.mark.parametrize("options", [SANDBOX, STRIPE], ids=lambda options: options["kind"])
@pytest.mark.parametrize(
    "wrong",
    [
        *({"webhook_tolerance_seconds": seconds} for seconds in (0, -1, 3601, 1.5, True, "60")),
        {"unheard_of": 1},
    ],
    ids=str,
)
async def test_what_is_set_wrongly(
    tmp_path: Path, client: OutsideClient, options: dict[str, object], wrong: dict[str, object]
) -> None:
    """It is named, and no secret is."""
    with pytest.raises(SetupError) as raised:
        connect(tmp_path, client, {**options, **wrong})
    said = str(raised.value.detail)
    assert next(iter(wrong)) in said
    assert not any(secret in said for secret in VARIABLES.values())


async def test_a_url_that_is_no_text(tmp_path: Path, client: OutsideClient) -> None:
    """It ends the start as any other fault does."""
    with pytest.raises(SetupError):
        connect(tmp_path, client, {**SANDBOX, "url": 5})


@pytest.mark.parametrize(("seconds", "taken"), [(60, False), (300, True)])
async def test_how_old_a_webhook_may_be(
    tmp_path: Path, client: OutsideClient, seconds: int, *, taken: bool
) -> None:
    """As is set."""
    gateway = connect(tmp_path, client, {**SANDBOX, "webhook_tolerance_seconds": seconds})
    thing = {"object": "x", "id": "x", "status": "x", "amount": 1, "currency": "USD"}
    event = {"id": "e", "type": "x.y", "created": "2026-03-01T12:00:00Z", "data": thing}
    now, body = system_clock(), json.dumps(event).encode()
    headers = sign(parse_secret(SECRET), "e", now - dt.timedelta(seconds=200), body)
    assert gateway.read_webhook is not None
    with nullcontext() if taken else pytest.raises(ForgedWebhook):
        assert gateway.read_webhook(headers, body, now) == ()
