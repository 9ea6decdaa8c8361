"""Whose money it is that came in: by a virtual IBAN, else by a reference. Never by guessing.

Order of precedence: 1. the virtual IBAN that was paid to; 2. structured references; 3. references
in the payer's text. The first of them that names any account decides: exactly one, or nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from catena.gateways.bank.accounts import tidy_iban
from catena.gateways.bank.limits import ID_CHARACTERS_MAX, REFERENCE_CHARACTERS_MIN
from catena.gateways.bank.references import is_rf_reference, normalise_reference

__all__ = [
    "MATCHED_BY",
    "Candidates",
    "Credit",
    "find_candidates",
    "match_credit",
    "read_credit",
]

MATCHED_BY: Final = frozenset({"others", "references", "remittance"})
"""Details that nothing but matching needs: what the payer and the bank have written, as it came, so
account numbers may stand in it.
"""

_WORD: Final = re.compile(r"\S+")
_RUN: Final = re.compile(r"[0-9A-Z]+")
_EDGE: Final = re.compile(r"^[^0-9A-Z]+|[^0-9A-Z]+$")
_MARK: Final = re.compile(r"(?:^|(?<=\s))(?:[A-Z]{4}\+|/[A-Z]{3,4}/)")
"""How banks begin a part of the text: EREF+, SVWZ+, /RFB/."""

_RF_RUNS_MAX: Final = 7
"""A creditor reference is printed in fours: 25 characters are seven of them."""


class Credit(NamedTuple):
    """Money that came in, as far as it tells whose it is. `accounts`: where it was paid to."""

    accounts: tuple[str, ...]
    references: tuple[str, ...]
    remittance: tuple[str, ...]
    is_return: bool = False


class Candidates(NamedTuple):
    """What could name an account: all that has to be looked up to match a credit."""

    ibans: frozenset[str]
    structured: frozenset[str]
    in_text: frozenset[str]


def read_credit(details: Mapping[str, Any]) -> Credit:
    """The credit that a notice tells of, from its details."""
    accounts = (details.get("creditor_account"), *details.get("others", ()))
    return Credit(
        tuple(one for one in accounts if one),
        tuple(details.get("references", ())),
        tuple(details.get("remittance", ())),
        bool(details.get("is_return")),
    )


def find_candidates(credit: Credit) -> Candidates:
    """What to look for among virtual IBANs and references: IBANs tidied, references normalised.

    A return names whom we had paid, so nothing in it names an account of ours.
    """
    if credit.is_return:
        return Candidates(frozenset(), frozenset(), frozenset())
    structured = {normalise_reference(text) for text in credit.references}
    return Candidates(
        frozenset(tidy_iban(text) for text in credit.accounts),
        frozenset(structured - {""}),
        frozenset(_find_in_text(credit.remittance)),
    )


def match_credit(
    credit: Credit, virtual_ibans: Mapping[str, str], references: Mapping[str, str]
) -> str | None:
    """The account that the money belongs to, or None: it goes to suspense, and a person decides.

    `virtual_ibans`: accounts by tidy IBAN; `references`: accounts by normalised reference. Neither
    needs to hold more than the credit's candidates.
    """
    found = find_candidates(credit)
    by_precedence = (
        (virtual_ibans, found.ibans),
        (references, found.structured),
        (references, found.in_text),
    )
    for accounts, names in by_precedence:
        named = {accounts[name] for name in names if name in accounts}
        if named:
            return named.pop() if len(named) == 1 else None
    return None


def _find_in_text(lines: tuple[str, ...]) -> Iterator[str]:
    """References in a text that banks may have cut into lines anywhere, within a word, too.

    It is read twice, lines joined by a space and by nothing. A word of the first reading that
    stands where lines meet may be half of one, so there only a creditor reference counts, whose
    check digits say that it is whole.
    """
    upper = [line.upper() for line in lines]
    spaced, meets = _join(upper)
    yield from _find_words(spaced, meets)
    yield from _find_rf(spaced)
    if len(upper) > 1:
        joined = "".join(upper)
        yield from _find_words(joined, frozenset())
        yield from _find_rf(joined)


def _join(lines: Iterable[str]) -> tuple[str, frozenset[int]]:
    """The lines with spaces between them, and where words must not begin or end."""
    text = ""
    meets = set()
    for line in lines:
        if text:
            meets |= {len(text), len(text) + 1}
            text += " "
        text += line
    return text, frozenset(meets)


def _find_words(text: str, meets: frozenset[int]) -> Iterator[str]:
    bare = _MARK.sub(lambda mark: " " * len(mark[0]), text)
    for word in _WORD.finditer(bare):
        if word.start() in meets or word.end() in meets:
            continue
        reference = normalise_reference(_EDGE.sub("", word[0]))
        if REFERENCE_CHARACTERS_MIN <= len(reference) <= ID_CHARACTERS_MAX:
            yield reference


def _find_rf(text: str) -> Iterator[str]:
    """Creditor references, whole or in groups; every length that its check digits allow."""
    runs = _RUN.findall(text)
    for at, run in enumerate(runs):
        if run.startswith("RF"):
            for count in range(1, _RF_RUNS_MAX + 1):
                reference = "".join(runs[at : at + count])
                if is_rf_reference(reference):
                    yield reference
