"""Who sent a webhook, and when: Stripe's signature over the raw bytes.

Source: "Resolve webhook signature verification errors", "Receive Stripe events in your webhook
endpoint". Invariant: nothing is read of a body whose signature does not fit, and no signature is
compared in a time that tells of it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from catena.gateways.contract import ForgedWebhook

__all__ = ["HEADER", "check_signature"]

HEADER: Final = "stripe-signature"

_SCHEME: Final = "v1"
"""The only scheme that counts; test mode adds a `v0` that is made up."""

_TIME_DIGITS_MAX: Final = 12
_SIGNATURES_MAX: Final = 20
"""One for each secret that is in force; Stripe has two at most."""


def check_signature(
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: dt.datetime,
    tolerance: dt.timedelta,
) -> None:
    """Raise ForgedWebhook unless somebody who knows one of the secrets sent this just now.

    While a secret is rolled Stripe signs with both, and one that fits is enough.
    """
    header = headers.get(HEADER)
    if header is None:
        raise ForgedWebhook("There is no signature.")
    pairs = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    offered = [value.encode(errors="replace") for name, _, value in pairs if name == _SCHEME]
    if len(times) != 1 or not _is_time(times[0]) or not 0 < len(offered) <= _SIGNATURES_MAX:
        raise ForgedWebhook("The signature is not one that can be read.")
    signed = f"{times[0]}.".encode() + body
    expected = [
        hmac.digest(secret.encode(), signed, hashlib.sha256).hex().encode() for secret in secrets
    ]
    if not any([hmac.compare_digest(one, it) for one in offered for it in expected]):  # noqa: C419  # each
        raise ForgedWebhook("The signature is not of any secret that is known.")
    if abs(now.timestamp() - int(times[0])) > tolerance.total_seconds():
        raise ForgedWebhook("The signature is too old, or of a time to come.")


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _TIME_DIGITS_MAX
