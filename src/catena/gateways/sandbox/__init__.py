"""The adapter of the sandbox gateway: all that a gateway can be asked, over its HTTP API.

What we rely on: a key acts once while the sandbox remembers it, everything is found by its key for
ever, and what its webhooks say is signed.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from catena.clock import Clock
from catena.gateways.contract import Gateway
from catena.gateways.sandbox.acts import WAYS, act, check, look_up
from catena.gateways.sandbox.calls import Line
from catena.gateways.sandbox.statement import read_statement
from catena.gateways.sandbox.webhooks import read_webhook
from catena.gateways.tolerance import TOLERANCE_SECONDS, read_tolerance
from catena.outside.client import OutsideClient
from catena.outside.signing import parse_secret

__all__ = ["KIND", "connect"]

KIND: Final = "sandbox"


def connect(
    name: str,
    *,
    url: str,
    api_key: str,
    webhook_secret: str,
    client: OutsideClient,
    clock: Clock,
    webhook_tolerance_seconds: int = TOLERANCE_SECONDS,
) -> Gateway:
    """A connection to the sandbox at `url`; nothing is asked of it yet.

    `webhook_secret`: what signs the events that it sends to us (`whsec_...`). Raises InvalidInput
    or SetupError.
    """
    tolerance = read_tolerance(webhook_tolerance_seconds)
    line = Line(client, url.rstrip("/"), api_key)
    return Gateway(
        name=name,
        kind=KIND,
        acts={capability: partial(act, line, clock, way) for capability, way in WAYS.items()},
        look_ups={capability: partial(look_up, line, way) for capability, way in WAYS.items()},
        read_webhook=partial(read_webhook, parse_secret(webhook_secret), tolerance),
        read_statement=partial(read_statement, line),
        check=check,
    )
