"""Prefixed, sortable ids: what they look like and how they are made.

An id is a prefix and 32 hex digits of a UUIDv7 (RFC 9562): `acct_0193...`. In Python the
prefixed string is the id everywhere; only the database room strips the prefix.
An entry's (and event's) UUID carries its position, so no index is needed to find it by id.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from itertools import count
from typing import Final

from uuid_utils.compat import uuid7

from catena.errors import InvalidId

__all__ = [
    "ACCOUNT",
    "BANK_ALARM",
    "BANK_FILE",
    "CHAIN",
    "DEPOSIT",
    "ENTRY",
    "EVENT",
    "GATEWAY",
    "GATEWAY_NAME",
    "HOLD",
    "IMPORT",
    "ITEM",
    "KEY",
    "LEDGER",
    "LIEN",
    "POSITION_MAX",
    "REFUND",
    "REQUEST",
    "RUN",
    "SUSPENSE",
    "WITHDRAWAL",
    "IdSource",
    "Numbering",
    "count_requests",
    "derive_id",
    "derive_within",
    "find_first",
    "id_beside",
    "is_id",
    "name_again",
    "new_id",
    "parse_id",
    "position_of",
    "random_bytes",
    "random_fraction",
]

LEDGER: Final = "ldg_"
ACCOUNT: Final = "acct_"
ENTRY: Final = "ent_"
EVENT: Final = "evt_"
CHAIN: Final = "cte_"
LIEN: Final = "lien_"
HOLD: Final = "hold_"
DEPOSIT: Final = "dep_"
WITHDRAWAL: Final = "wdr_"
REFUND: Final = "rfd_"
GATEWAY: Final = "gw_"
BANK_FILE: Final = "bfl_"
BANK_ALARM: Final = "alm_"
SUSPENSE: Final = "susp_"
IMPORT: Final = "stm_"
RUN: Final = "run_"
ITEM: Final = "rec_"
KEY: Final = "key_"
REQUEST: Final = "req_"

GATEWAY_NAME: Final = "[a-z][a-z0-9-]{0,29}"
"""What a gateway may be called, as a regular expression; migration 6 says it to the database."""

_POSITION_BITS: Final = 46
POSITION_MAX: Final = (1 << _POSITION_BITS) - 1
"""The largest position that an id can carry: 70 million million."""

_AGAIN: Final = "#"
_HEX: Final = frozenset("0123456789abcdef")

IdSource = Callable[[str], str]
"""Makes a new id with the given prefix."""


def new_id(prefix: str) -> str:
    """A fresh id: the prefix and a random UUIDv7."""
    return prefix + uuid7().hex


def derive_id(prefix: str, *parts: object) -> str:
    """The id that these parts always have (a UUIDv8 of their hash): for things found by name."""
    name = "\x1f".join(str(part) for part in parts)
    digits = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    return f"{prefix}{digits[:12]}8{digits[13:16]}8{digits[17:]}"


def derive_within(prefix: str, whole: str, *parts: object) -> str:
    """The id that these parts of `whole` always have, sorted by the time that its id carries."""
    name = "\x1f".join((whole, *map(str, parts)))
    digits = hashlib.blake2b(name.encode(), digest_size=10).hexdigest()
    return f"{prefix}{whole[-32:-20]}7{digits[:3]}8{digits[4:19]}"


def parse_id(prefix: str, text: str) -> str:
    """`text`, if it is an id with this prefix. Raises InvalidId."""
    if len(text) != len(prefix) + 32 or not text.startswith(prefix):
        raise InvalidId(f"An id that starts with {prefix} is expected here.")
    if not _HEX.issuperset(text[len(prefix) :]):
        raise InvalidId("An id has 32 lower-case hex digits after its prefix.")
    return text


def is_id(prefix: str, text: object) -> bool:
    """Whether it is an id with this prefix."""
    return (
        isinstance(text, str)
        and len(text) == len(prefix) + 32
        and text.startswith(prefix)
        and _HEX.issuperset(text[len(prefix) :])
    )


def name_again(id: str, number: int) -> str:
    """The reference of the entry that decides about `id` for the so manieth time, from 1 on."""
    return id if number == 1 else f"{id}{_AGAIN}{number}"


def find_first(prefix: str, reference: str | None) -> str | None:
    """The id that `name_again` made the reference of, if it did."""
    id = (reference or "").partition(_AGAIN)[0]
    return id if is_id(prefix, id) else None


def count_requests() -> IdSource:
    """Cheap ids for what is never stored: a random start for this process, and a count."""
    start = uuid7().hex[:20]
    numbers = count(1)
    return lambda prefix: f"{prefix}{start}{next(numbers):012x}"


def random_bytes(count: int) -> bytes:
    """Bytes that nobody can guess, for secrets."""
    return secrets.token_bytes(count)


def random_fraction() -> float:
    """A number from 0 to 1, for jitter."""
    return secrets.randbelow(1 << 24) / (1 << 24)


class Numbering:
    """The UUIDv7 of each position that one commit numbers.

    Layout: 48 bits of milliseconds, version 7, 12 random bits; variant, 16 random bits, and
    46 bits of position (RFC 9562, 6.2, lets a counter stand there). `high` and `low` are drawn
    once a commit, `low + position` is an id's second half.
    """

    __slots__ = ("high", "low")

    def __init__(self) -> None:
        bits = uuid7().int
        self.high: str = f"{bits >> 64:016x}"
        self.low: int = (bits & 0xFFFF_FFFF_FFFF_FFFF) >> _POSITION_BITS << _POSITION_BITS

    def id_at(self, prefix: str, position: int) -> str:
        """The id of what stands at `position`."""
        return f"{prefix}{self.high}{self.low + position:016x}"


def id_beside(prefix: str, identifier: str, distance: int) -> str:
    """The id of what the same commit numbered so many positions after this."""
    return f"{prefix}{int(identifier[-32:], 16) + distance:032x}"


def position_of(identifier: str) -> int:
    """The position that an entry's or event's id carries."""
    return int(identifier[-16:], 16) & POSITION_MAX
