"""Names that go out with money and come back with it: EndToEndIds, message ids, RF references.

Invariant: each is a function of what it names, so the same order has the same name for ever.
RF references are ISO 11649 (mod 97, as an IBAN's check digits).
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

__all__ = [
    "end_to_end_id",
    "is_end_to_end_id",
    "is_rf_reference",
    "message_id",
    "normalise_reference",
    "rf_reference",
]

_DIGEST_BYTES: Final = 20
_OURS: Final = re.compile(r"CT[A-Z2-7]{32}")
_RF: Final = re.compile(r"RF[0-9]{2}[0-9A-Z]{1,21}")
_BODY: Final = re.compile(r"[0-9A-Z]{1,21}")
_OTHER: Final = re.compile(r"[^0-9A-Z]+")


def _name(prefix: str, text: str, digest_bytes: int) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=digest_bytes).digest()
    return prefix + base64.b32encode(digest).decode().rstrip("=")


def end_to_end_id(key: str) -> str:
    """The EndToEndId of the order with this key: CT and 32 characters A-Z and 2-7.

    They are 160 bits of BLAKE2b over the key, in base 32: 34 characters, so it fits everywhere,
    no slash, and nobody who reads a statement learns the chain from it.
    """
    return _name("CT", key, _DIGEST_BYTES)


def is_end_to_end_id(text: str | None) -> bool:
    """Whether it has the form of ours. Whether there is such an order, only the books know."""
    return text is not None and _OURS.fullmatch(text) is not None


def message_id(file: str) -> str:
    """The message id of a file of ours that has this id of its own: CF and 26 characters."""
    return _name("CF", file, 16)


def _remainder(text: str) -> int:
    return int("".join(str(int(letter, 36)) for letter in text)) % 97


def rf_reference(body: str) -> str:
    """The creditor reference with this body: 1 to 21 capital letters and digits. Else ValueError.

    Bodies of one length, please: then no reference is the beginning of another.
    """
    if not _BODY.fullmatch(body):
        raise ValueError("The body of a creditor reference has 1 to 21 capital letters and digits.")
    return f"RF{98 - _remainder(body + 'RF00'):02d}{body}"


def is_rf_reference(text: str) -> bool:
    """Whether it is a creditor reference, without spaces and with the right check digits."""
    return _RF.fullmatch(text) is not None and _remainder(text[4:] + text[:4]) == 1


def normalise_reference(text: str) -> str:
    """A reference as references are compared: its letters and digits, in capitals."""
    return _OTHER.sub("", text.upper())
