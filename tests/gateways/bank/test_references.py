"""EndToEndIds, message ids and RF references: each is a function of what it names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.gateways.bank.characters import blame_id
from catena.gateways.bank.limits import ID_CHARACTERS_MAX, MESSAGE_ID_CHARACTERS_MAX
from catena.gateways.bank.references import (
    end_to_end_id,
    is_end_to_end_id,
    is_rf_reference,
    message_id,
    normalise_reference,
    rf_reference,
)

KEY = "cte_0193a2.pay.forward.1"
BODIES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=21)


def test_an_order_has_one_name_for_ever() -> None:
    """The EndToEndId of a key never changes: files that were sent hold it."""
    assert end_to_end_id(KEY) == "CT3EV6I2PIWSRXWGNNGRIOFZJ7MSKZXUFR"
    assert message_id("file") == "CFON6QOBRNB5FLL776JZ4JI524BA"


@given(st.text(max_size=300))
def test_names_can_stand_in_files(key: str) -> None:
    """Whatever the key is, its names are ids of SEPA within their limits."""
    assert blame_id(end_to_end_id(key), ID_CHARACTERS_MAX) == ""
    assert blame_id(message_id(key), MESSAGE_ID_CHARACTERS_MAX) == ""
    assert is_end_to_end_id(end_to_end_id(key))


@pytest.mark.parametrize("text", [None, "", "NOTPROVIDED", "CT" + "a" * 32, "CT" + "A" * 31])
def test_names_of_others(text: str | None) -> None:
    """What has not the form of ours is not ours."""
    assert not is_end_to_end_id(text)


@pytest.mark.parametrize("text", ["RF18539007547034", "RF332348236", "RF57W123"])
def test_known_references(text: str) -> None:
    """Published examples of ISO 11649 pass, and are made from their bodies."""
    assert is_rf_reference(text)
    assert rf_reference(text[4:]) == text


@given(BODIES)
def test_check_digits(body: str) -> None:
    """What is made passes; with two neighbours exchanged or a character changed, it does not."""
    reference = rf_reference(body)
    assert is_rf_reference(reference)
    changed = "1" if reference[-1] == "0" else "0"
    if reference[-1].isdecimal():
        assert not is_rf_reference(reference[:-1] + changed)


@pytest.mark.parametrize(
    "text", ["RF00", "RF18 5390 0754 7034", "rf18539007547034", "RF185390\u06607"]
)
def test_what_is_no_reference(text: str) -> None:
    """Spaces, small letters, other digits and bodies of no length are refused."""
    assert not is_rf_reference(text)


@pytest.mark.parametrize("body", ["", "a", "X" * 22, "A B"])
def test_bad_bodies(body: str) -> None:
    """A body has 1 to 21 capital letters and digits."""
    with pytest.raises(ValueError, match="body"):
        rf_reference(body)


def test_normal_form() -> None:
    """References are compared by their letters and digits."""
    assert normalise_reference(" rf18-5390 0754/7034") == "RF18539007547034"
