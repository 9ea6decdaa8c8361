"""Signatures of webhooks, as Standard Webhooks defines them: version 1, HMAC with SHA-256.

Invariant: what is signed can be read in one way only, and no secret or signature is compared in a
time that tells of it. Pure: the time comes in as an argument.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from catena.errors import InvalidInput

__all__ = [
    "ID",
    "SIGNATURE",
    "SIGNING",
    "TIMESTAMP",
    "derive_secret",
    "format_secret",
    "parse_secret",
    "sign",
    "verify",
]

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

SIGNING: Final = "signing"
"""The name of the installation's secret from which those of its ledgers are derived."""

_VERSION: Final = "v1,"
_PREFIX: Final = "whsec_"

_SECRET_BYTES: Final = range(24, 65)
"""The lengths of a secret that the standard allows."""

_TIMESTAMP_DIGITS_MAX: Final = 12


def format_secret(secret: bytes) -> str:
    """The secret as it is shown: `whsec_` and base64. Raises InvalidInput for a wrong length."""
    if len(secret) not in _SECRET_BYTES:
        raise InvalidInput("A signing secret has 24 to 64 bytes.")
    return _PREFIX + base64.b64encode(secret).decode()


def parse_secret(text: str) -> bytes:
    """The secret that was shown as `text`. Raises InvalidInput."""
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(_PREFIX) or len(secret) not in _SECRET_BYTES:
        raise InvalidInput("A signing secret is whsec_ and 24 to 64 bytes in base64.")
    return secret


def sign(secret: bytes, id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that prove who sent `body`, and when. Raises InvalidInput for an id with a dot.

    A dot parts what is signed: an id that holds one could be read in two ways.
    """
    if "." in id or not id:
        raise InvalidInput("The id of a webhook has no dot in it.")
    timestamp = str(int(at.timestamp()))
    return {ID: id, TIMESTAMP: timestamp, SIGNATURE: _compute(secret, id, timestamp, body)}


def derive_secret(root: bytes, name: str) -> bytes:
    """The secret that belongs to a name, such as a ledger's id, out of the installation's own."""
    return hmac.digest(root, name.encode(), hashlib.sha256)


def verify(
    secret: bytes, headers: Mapping[str, str], body: bytes, now: datetime, tolerance: timedelta
) -> bool:
    """Whether the holder of `secret` signed this, within `tolerance` of `now` on either side.

    `headers`: names in lower case. A sender that changes its secret signs with both, parted by a
    space: one that fits is enough.
    """
    id, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    if "." in id or not id or not _is_timestamp(timestamp):
        return False
    if abs(now.timestamp() - int(timestamp)) > tolerance.total_seconds():
        return False
    expected = _compute(secret, id, timestamp, body).encode()
    offered = headers.get(SIGNATURE, "").split(" ")
    fits = [hmac.compare_digest(one.encode(errors="replace"), expected) for one in offered]
    return any(fits)


def _is_timestamp(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _TIMESTAMP_DIGITS_MAX


def _compute(secret: bytes, id: str, timestamp: str, body: bytes) -> str:
    signed = f"{id}.{timestamp}.".encode() + body
    digest = hmac.digest(secret, signed, hashlib.sha256)
    return _VERSION + base64.b64encode(digest).decode()
