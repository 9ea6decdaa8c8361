"""What a value of an input may be, a constant or what an expression gave: the same rules for both.

Invariant: what passes here can be posted, sent and kept as far as its form goes.
"""

from __future__ import annotations

from typing import Final

from catena.chains.expressions import Kind
from catena.chains.step_types import Input
from catena.chains.storable import is_text
from catena.ids import ACCOUNT, ENTRY, is_id
from catena.money import MAX_AMOUNT_MINOR

__all__ = ["blame_value"]

_IDS: Final = {
    "account_id": ACCOUNT,
    "source_account_id": ACCOUNT,
    "destination_account_id": ACCOUNT,
    "fee_account_id": ACCOUNT,
    "entry_id": ENTRY,
}
"""The inputs that are ids, and what those start with."""


def blame_value(name: str, value: object, wanted: Input) -> str:
    """What is wrong with a value of the input of this name; an empty text: nothing."""
    if wanted.kind is Kind.ANY:
        return ""
    if not wanted.kind.holds(value):
        return f"This input is a {wanted.kind}."
    if type(value) is int and not 0 < value <= MAX_AMOUNT_MINOR:
        return f"An amount is 1 to {MAX_AMOUNT_MINOR} minor units."
    return _blame_text(name, value, wanted.characters) if isinstance(value, str) else ""


def _blame_text(name: str, text: str, characters: int | None) -> str:
    if name in _IDS and not is_id(_IDS[name], text):
        return f"An id that starts with {_IDS[name]} is expected here."
    if not is_text(text):
        return "A text has no NUL and no half of a surrogate pair."
    if characters is not None and not 0 < len(text) <= characters:
        return f"This text is 1 to {characters} characters long."
    return ""
