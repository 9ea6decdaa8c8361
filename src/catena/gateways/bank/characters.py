"""The characters of SEPA: what may be sent, and what stands for the letters that may not.

Invariant: a text is sent with all of its letters, or refused; none is dropped. The table follows
the EPC's "Best practices, SEPA requirements for an extended character set" (EPC217-08).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["blame_id", "blame_text", "to_sepa"]

_ALLOWED: Final = re.compile(r"[A-Za-z0-9/?:().,'+ -]*")
_ID: Final = re.compile(r"(?!/)(?!.*//)[A-Za-z0-9/?:().,'+-]+(?<!/)")


def _pair(letters: str, words: str) -> dict[str, str]:
    return dict(zip(letters, words.split(), strict=True))


_LATIN: Final = {
    **_pair("ßẞÆæŒœØøÞþÐðĐđŁłĦħŊŋıĸŦŧ", "ss SS AE ae OE oe O o TH th D d D d L l H h N n i k T t"),
    **_pair("€&@_~", "EUR + (at) - -"),
    **_pair(
        '"`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a',
        "' ' ' ' ' ' ' ' ' ' ' ' '",
    ),
    **_pair("\u2010\u2011\u2012\u2013\u2014\u2212;|\\[]{}<>", "- - - - - - , / / ( ) ( ) ( )"),
    "\u2026": "...",
}
_GREEK: Final = _pair(
    "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ", "A V G D E Z I TH I K L M N X O P R S T Y F CH PS O"
)
_CYRILLIC: Final = _pair(
    "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЬЮЯ",
    "A B V G D E ZH Z I Y K L M N O P R S T U F H TS CH SH SHT A Y YU YA",
)


def _with_small(letters: dict[str, str]) -> dict[str, str]:
    """Capitals and small letters; a capital that becomes two letters has the first one capital."""
    small = {letter.lower(): word.lower() for letter, word in letters.items()}
    return {letter: word.capitalize() for letter, word in letters.items()} | small


def _bare(text: str) -> str:
    """The text without its accents."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


_ACCENTED: Final = (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))
"""Latin letters with accents; those of other letters are taken off one by one."""

_WORDS: Final = {**_LATIN, **_with_small(_GREEK), **_with_small(_CYRILLIC), "ς": "s"}
_TABLE: Final = str.maketrans({chr(code): _bare(chr(code)) for code in _ACCENTED} | _WORDS)
_SPACES: Final = re.compile(r"\s+")


def to_sepa(text: str) -> str:
    """The text in SEPA's characters; what has no counterpart there stays as it was.

    Accents go (ä is a), letters of Greek and Bulgarian become Latin ones, white space one space.
    """
    sent = text if text.isascii() else text.translate(_TABLE)
    if not _ALLOWED.fullmatch(sent):
        sent = _bare(text.translate(_TABLE)).translate(_TABLE)
    return _SPACES.sub(" ", sent).strip()


def blame_text(text: str, most: int) -> str:
    """Why a text cannot be sent as it is meant, with at most so many characters; "": it can."""
    sent = to_sepa(text)
    if not sent:
        return "is empty"
    if not _ALLOWED.fullmatch(sent):
        return "has letters that SEPA does not carry, and that no Latin letter stands for"
    if len(sent) > most:
        return f"has more than {most} characters as it is sent"
    return ""


def blame_id(text: str, most: int) -> str:
    """Why this cannot be an id or a reference within a file; "": it can.

    No slash at either end and no two together, as the EPC has clarified.
    """
    if not _ID.fullmatch(text):
        return "is no id: letters, digits and /-?:().,'+ with no slash at an end, nor two together"
    if len(text) > most:
        return f"has more than {most} characters"
    return ""
