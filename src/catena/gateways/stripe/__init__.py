"""Stripe: charges by PaymentIntents, refunds, disputes, webhooks and statements; no payouts.

A thin adapter on the one HTTP client: it retries nothing, and says only what is certain. What it
sends, what answers mean and what is not proven stands in docs/guides/stripe.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from catena.errors import SetupError
from catena.gateways.contract import Capability, Gateway, WebhookReader
from catena.gateways.stripe.api import Api
from catena.gateways.stripe.cancel import canceling, looking_up_cancel
from catena.gateways.stripe.capture import CAPTURE
from catena.gateways.stripe.charge import AUTHORISE, CHARGE
from catena.gateways.stripe.events import read_event
from catena.gateways.stripe.method import blame
from catena.gateways.stripe.refund import REFUND
from catena.gateways.stripe.signature import check_signature
from catena.gateways.stripe.statement import reading_statement
from catena.gateways.tolerance import TOLERANCE_SECONDS, read_tolerance

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from catena.clock import Clock
    from catena.gateways.contract import Notice
    from catena.outside.client import OutsideClient

__all__ = ["KIND", "connect"]

KIND: Final = "stripe"

_API_KEY: Final = re.compile(r"(sk|rk)_[!-~]{4,250}")
_SECRET: Final = re.compile(r"[!-~]{8,250}")
_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]{1,20})?")
_BASE: Final = re.compile(r"https?://[^/?#@\s]+")

_KEYED: Final = {
    Capability.CHARGE: CHARGE,
    Capability.AUTHORISE: AUTHORISE,
    Capability.CAPTURE: CAPTURE,
    Capability.REFUND: REFUND,
}


def connect(
    name: str,
    *,
    api_key: str,
    webhook_secrets: Sequence[str],
    api_base: str,
    api_version: str,
    client: OutsideClient,
    clock: Clock,
    webhook_tolerance_seconds: int = TOLERANCE_SECONDS,
) -> Gateway:
    """A connection to an account at Stripe. Raises SetupError, which repeats no secret.

    `api_key`: a secret or restricted one. `webhook_secrets`: those of our endpoint that are in
    force; none: no webhooks are taken. `api_base`: scheme and host alone.
    """
    for text, form, sentence in (
        (
            api_key,
            _API_KEY,
            "The API key of Stripe is a secret one, sk_..., or restricted, rk_....",
        ),
        (api_base, _BASE, "The base of Stripe's API is a URL of scheme and host, without a path."),
        (api_version, _VERSION, "The version of Stripe's API is a date and a name: 2026-08-26.x."),
        *((one, _SECRET, "A webhook secret of Stripe is whsec_....") for one in webhook_secrets),
    ):
        if not form.fullmatch(text):
            raise SetupError(sentence)
    tolerance = read_tolerance(webhook_tolerance_seconds)
    api = Api(client, clock, api_base, api_version, api_key)
    acts = {capability: keyed.acting(api) for capability, keyed in _KEYED.items()}
    look_ups = {capability: keyed.looking_up(api) for capability, keyed in _KEYED.items()}
    return Gateway(
        name=name,
        kind=KIND,
        acts={**acts, Capability.CANCEL: canceling(api)},
        look_ups={**look_ups, Capability.CANCEL: looking_up_cancel(api)},
        read_webhook=_reading(webhook_secrets, api_key, tolerance) if webhook_secrets else None,
        read_statement=reading_statement(api),
        check=blame,
    )


def _reading(secrets: Sequence[str], api_key: str, tolerance: dt.timedelta) -> WebhookReader:
    is_live = "_live_" in api_key
    known = tuple(secrets)

    def read_webhook(headers: Mapping[str, str], body: bytes, now: dt.datetime) -> Sequence[Notice]:
        check_signature(known, headers, body, now, tolerance)
        return read_event(body, is_live=is_live)

    return read_webhook
