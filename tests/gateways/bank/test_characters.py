"""Texts go out in SEPA's characters with all of their letters, or not at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.gateways.bank.characters import blame_id, blame_text, to_sepa

SEPA = re.compile(r"[A-Za-z0-9/?:().,'+ -]*")

WORDS = {
    "Jürgen Groß & Söhne": "Jurgen Gross + Sohne",
    "Łódź Ærø Þór Đuro": "Lodz AEro THor Duro",
    "Ζωή Αθανασίου": "Zoi Athanasioy",
    "Пламен Щерев": "Plamen Shterev",
    "10 € — “now”…": "10 EUR - 'now'...",
    "a@b_c": "a(at)b-c",
    "  two\tspaces \n here ": "two spaces here",
    "plain": "plain",
    "ﬁne №": "fine No",
    "Ệ": "E",
}


@pytest.mark.parametrize("text", WORDS)
def test_letters_have_counterparts(text: str) -> None:
    """Accents go, ligatures and other alphabets become Latin letters."""
    assert to_sepa(text) == WORDS[text]
    assert blame_text(text, 70) == ""


@pytest.mark.parametrize("text", ["王小明", "naïve 🙂", "שלום", "a\x00b"])
def test_what_has_no_counterpart_is_refused(text: str) -> None:
    """No letter is dropped: a text that cannot be sent whole is not sent."""
    assert blame_text(text, 70) != ""


@pytest.mark.parametrize(
    ("text", "most", "word"), [("", 5, "empty"), (" \n", 5, "empty"), ("ßßß", 5, "more")]
)
def test_length_counts_as_it_is_sent(text: str, most: int, word: str) -> None:
    """Three letters that become six are six."""
    assert word in blame_text(text, most)


@given(st.text(max_size=40))
def test_what_passes_is_sepa(text: str) -> None:
    """Whatever is not refused goes out in SEPA's characters, and the same when it is sent again."""
    sent = to_sepa(text)
    assert to_sepa(sent) == sent
    if not blame_text(text, 200):
        assert SEPA.fullmatch(sent)
        assert len(sent) > 0


@pytest.mark.parametrize("text", ["A-1", "a/b", "X", "RF18539007547034"])
def test_ids(text: str) -> None:
    """An id has SEPA's characters without a space."""
    assert blame_id(text, 35) == ""


@pytest.mark.parametrize("text", ["", "/a", "a/", "a//b", "a b", "ä", "x" * 36])
def test_bad_ids(text: str) -> None:
    """No slash at an end, nor two together, no space, no more than 35."""
    assert blame_id(text, 35) != ""
