"""Account numbers: checking and masking IBANs, and the form of BICs.

The check is schwifty's: length and structure of each country, and the check digits. It is imported
when the first IBAN is checked, for it takes a tenth of a second.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from schwifty import IBAN

__all__ = ["blame_bic", "blame_iban", "blame_iban_form", "mask_iban", "mask_ibans", "tidy_iban"]

_BIC: Final = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")
_FORM: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}")
_SPACES: Final = re.compile(r"[\s-]+")
_SHOWN: Final = 4
_WITHIN: Final = re.compile(r"\b(?!RF|CT)[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\b")


@cache
def _iban() -> type[IBAN]:
    found: type[IBAN] = importlib.import_module("schwifty").IBAN
    return found


def tidy_iban(text: str) -> str:
    """An IBAN as it is sent and compared: capitals, no spaces, no dashes. It checks nothing."""
    return _SPACES.sub("", text).upper()


def blame_iban(text: str) -> str:
    """Why this is no IBAN that money can be sent to; "": it is one, of a country within SEPA.

    It repeats nothing of what it was given.
    """
    tidy = tidy_iban(text)
    if not tidy.isascii() or not tidy.isalnum():
        return "is no IBAN"
    iban = _iban()(tidy, allow_invalid=True)
    if not iban.is_valid:
        return "is no IBAN: its country, length, structure or check digits are wrong"
    if not iban.in_sepa_zone:
        return "is of a country that SEPA does not reach"
    return ""


def blame_iban_form(text: str) -> str:
    """Why this cannot stand in a file as an IBAN; "": it can. It was checked when it came in."""
    return "" if _FORM.fullmatch(text) else "is no IBAN in capitals, without spaces"


def blame_bic(text: str) -> str:
    """Why this is no BIC; "": it has the form of one, in capitals."""
    return "" if _BIC.fullmatch(text) else "is no BIC: 8 or 11 capital letters and digits"


def mask_iban(text: str | None) -> str:
    """An IBAN as texts show it: country, check digits and the last four."""
    tidy = text or ""
    if not tidy.isalnum():
        tidy = tidy_iban(tidy)
    if len(tidy) <= 2 * _SHOWN:
        return "****"
    return f"{tidy[:_SHOWN]} **** {tidy[-_SHOWN:]}"


def mask_ibans(text: str) -> str:
    """A text of a bank or a payer as people read it: what looks like an IBAN in it is masked.

    RF and CT begin references and our EndToEndIds, and no country.
    """
    return _WITHIN.sub(lambda found: mask_iban(found[0]), text)
