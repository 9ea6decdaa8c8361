"""API keys: made, checked, revoked.

A key is `ctk_` and 256 random bits; its SHA-256 is what is stored, so a stolen table opens nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from catena.ids import random_bytes

__all__ = ["Caller", "hash_secret", "is_key", "new_secret"]

_PREFIX: Final = "ctk_"
_LENGTH: Final = len(_PREFIX) + 43


class Caller(NamedTuple):
    """Who sent a request. `ledgers`: the ids it is limited to; None: every ledger."""

    id: str
    scopes: frozenset[str]
    ledgers: Sequence[str] | None


def new_secret() -> str:
    """A fresh secret, to be shown once."""
    return _PREFIX + base64.urlsafe_b64encode(random_bytes(32)).decode().rstrip("=")


def is_key(text: str) -> bool:
    """Whether the text has the shape of a key; others need no look-up."""
    return len(text) == _LENGTH and text.startswith(_PREFIX) and text.isascii()


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret: enough, as it has 256 random bits of its own."""
    return hashlib.sha256(secret.encode()).digest()
