"""Webhooks signed as Stripe's page on signatures says, by code that is not the adapter's."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from typing import Any

from tests.gateways.stripe.running import AT, SECRET

__all__ = ["sign", "signed"]


def sign(body: bytes, *secrets: str, at: dt.datetime = AT, scheme: str = "v1") -> str:
    """The header of a webhook that all of these secrets sign."""
    time = int(at.timestamp())
    text = str(time).encode() + b"." + body
    signatures = [
        f"{scheme}={hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}"
        for secret in secrets
    ]
    return ",".join([f"t={time}", *signatures])


def signed(event: dict[str, Any], at: dt.datetime = AT) -> tuple[dict[str, str], bytes]:
    """The headers and the body of an event's webhook."""
    body = json.dumps(event, indent=2).encode()
    return {"stripe-signature": sign(body, SECRET, at=at)}, body
