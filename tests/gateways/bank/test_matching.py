"""Money that comes in is matched by what names an account, and never by guessing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.gateways.bank.matching import Credit, find_candidates, match_credit, read_credit
from catena.gateways.bank.references import normalise_reference, rf_reference

V1, V2 = "NL14MOCK0000000002", "NL84MOCK0000000003"
RF1, RF2 = rf_reference("WALLET000001"), rf_reference("WALLET000002")
IBANS = {V1: "one", V2: "two"}
REFERENCES = {
    RF1: "one",
    RF2: "two",
    normalise_reference("w_012345678"): "one",
    normalise_reference("w_0123456789"): "two",
    normalise_reference("INV-2026-77"): "one",
    "SHORT": "one",
}


def credit(
    *remittance: str, to: tuple[str, ...] = (), ref: tuple[str, ...] = (), back: bool = False
) -> Credit:
    """What a credit tells."""
    return Credit(to, ref, remittance, back)


def grouped(text: str) -> str:
    """As it is printed."""
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


TABLE: dict[str, tuple[Credit, str | None]] = {
    "nothing": (credit(), None),
    "a virtual IBAN": (credit(to=("nl14 mock 0000 0000 02",)), "one"),
    "our own account": (credit(to=("NL41MOCK0000000001",)), None),
    "two virtual IBANs": (credit(to=(V1, V2)), None),
    "one of them twice": (credit(to=(V1, V1)), "one"),
    "the IBAN comes first": (credit(RF2, to=(V1,), ref=(RF2,)), "one"),
    "two IBANs, and a reference": (credit(RF1, to=(V1, V2)), None),
    "a structured reference": (credit(ref=(RF1,)), "one"),
    "a structured one in groups": (credit(ref=(grouped(RF1),)), "one"),
    "two structured ones": (credit(ref=(RF1, RF2)), None),
    "structured before text": (credit(RF2, ref=(RF1,)), "one"),
    "structured, unknown, then text": (credit(RF2, ref=("RF332348236",)), "two"),
    "an empty structured one": (credit(ref=("-",)), None),
    "in text": (credit(f"for {RF1} thanks"), "one"),
    "in small letters": (credit(f"for {RF1.lower()}."), "one"),
    "in groups": (credit(f"for {grouped(RF1)} thanks"), "one"),
    "groups cut into lines": (credit(grouped(RF1)[:7], grouped(RF1)[7:] + " thanks"), "one"),
    "cut within": (credit(f"for {RF1[:6]}", RF1[6:]), "one"),
    "both": (credit(f"{RF1} {RF2}"), None),
    "one of them twice in text": (credit(f"{RF1} {RF1}"), "one"),
    "run together": (credit(f"{RF1}THANKS"), None),
    "wrong check digits": (credit("RF00WALLET000001"), None),
    "behind a mark": (credit(f"SVWZ+{RF1}"), "one"),
    "our own reference": (credit("wallet w_012345678, thanks"), "one"),
    "with a mark": (credit("/ROC/INV-2026-77"), "one"),
    "in quotes": (credit('"INV-2026-77"'), "one"),
    "a part of a word": (credit("xINV-2026-77"), None),
    "a part of a longer one": (credit("w_0123456781"), None),
    "longer than any": (credit("x" * 40), None),
    "too short to look for": (credit("short"), None),
    "cut after a whole one": (credit("to w_012345678", "9 thanks"), "two"),
    "cut after another": (credit("to w_012345678", "1 thanks"), None),
    "a word before the cut": (credit("w_012345678 is", "mine"), "one"),
    "a word after the cut": (credit("this is", "for w_012345678"), "one"),
    "at the cut, and whole": (credit("this is for", "w_012345678"), None),
    "a return": (credit(RF1, to=(V1,), back=True), None),
}


@pytest.mark.parametrize("name", TABLE)
def test_whose_it_is(name: str) -> None:
    """Exactly one account, or nobody's."""
    given_credit, account = TABLE[name]
    assert match_credit(given_credit, IBANS, REFERENCES) == account


@pytest.mark.parametrize("name", TABLE)
def test_only_candidates_matter(name: str) -> None:
    """Whoever looks up the candidates alone comes to the same account."""
    given_credit, account = TABLE[name]
    found = find_candidates(given_credit)
    ibans = {name: IBANS[name] for name in found.ibans & IBANS.keys()}
    names = (found.structured | found.in_text) & REFERENCES.keys()
    assert match_credit(given_credit, ibans, {name: REFERENCES[name] for name in names}) == account


WORDS = st.lists(st.text("abcXYZ019 .-", max_size=12), max_size=4)


@given(WORDS, WORDS, st.integers(1, 140))
def test_cut_anywhere_it_is_found(before: list[str], after: list[str], width: int) -> None:
    """A creditor reference is found however a bank cuts the text around it into lines."""
    text = " ".join([*before, RF1, *after])
    lines = tuple(text[at : at + width] for at in range(0, len(text), width))
    assert match_credit(Credit((), (), lines), IBANS, REFERENCES) == "one"


@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_text_can_be_read(lines: list[str]) -> None:
    """What nobody knows is nobody's."""
    assert match_credit(Credit((), (), tuple(lines)), {}, {}) is None


def test_from_a_notice() -> None:
    """A credit is told of by the details of its notice."""
    details = {
        "creditor_account": V1,
        "others": ["X"],
        "references": [RF1],
        "remittance": ["a", "b"],
        "is_return": True,
    }
    assert read_credit(details) == Credit((V1, "X"), (RF1,), ("a", "b"), is_return=True)
    assert read_credit({"creditor_account": None}) == Credit((), (), ())
