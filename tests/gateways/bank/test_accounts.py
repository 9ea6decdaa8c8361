"""IBANs are checked whole, and shown masked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from catena.gateways.bank.accounts import (
    blame_bic,
    blame_iban,
    blame_iban_form,
    mask_iban,
    mask_ibans,
    tidy_iban,
)

GOOD = [
    "AT611904300234573201",
    "BE68539007547034",
    "CH9300762011623852957",
    "DE89370400440532013000",
    "ES9121000418450200051332",
    "FR1420041010050500013M02606",
    "GB82WEST12345698765432",
    "IE29AIBK93115212345678",
    "IT60X0542811101000000123456",
    "MT84MALT011000012345MTLCAST001S",
    "NL41MOCK0000000001",
    "NO9386011117947",
    "SE4550000000058398257466",
    "SM86U0322509800000000270100",
]
BAD = [
    "",
    "DE",
    "DE88370400440532013000",
    "DE8937040044053201300",
    "XX89370400440532013000",
    "hello!",
]


@pytest.mark.parametrize("text", [*GOOD, "de89 3704 0044 0532 0130 00"])
def test_ibans(text: str) -> None:
    """Those of SEPA pass, with spaces and in small letters, too."""
    assert blame_iban(text) == ""


@pytest.mark.parametrize("text", [*BAD, "DE٨9370400440532013000"])
def test_bad_ibans(text: str) -> None:
    """Wrong check digits, length or country are refused; the number is not repeated."""
    assert blame_iban(text).startswith("is no IBAN")


def test_sepa_does_not_reach_all() -> None:
    """A right IBAN of the United Arab Emirates is out of reach."""
    assert "SEPA" in blame_iban("AE070331234567890123456")


def test_forms() -> None:
    """What stands in a file is in capitals, without spaces."""
    assert blame_iban_form("NL41MOCK0000000001") == ""
    assert blame_iban_form("nl41 mock") != ""
    assert tidy_iban(" nl41 mock-1") == "NL41MOCK1"


@pytest.mark.parametrize("text", ["INGBNL2A", "INGBNL2AXXX", "9999NL2A"])
def test_bics(text: str) -> None:
    """8 or 11 characters."""
    assert blame_bic(text) == ""


@pytest.mark.parametrize("text", ["", "ingbnl2a", "INGBNL2AXX", "INGB112A"])
def test_bad_bics(text: str) -> None:
    """The country is letters."""
    assert blame_bic(text) != ""


def test_masks() -> None:
    """People see the country and the last four."""
    assert mask_iban("DE89370400440532013000") == "DE89 **** 3000"
    assert mask_iban("1234") == mask_iban(None) == "****"


def test_masks_within_texts() -> None:
    """Banks and payers write account numbers into texts."""
    text = "the account NL84MOCK0000000003 is closed, order RF18539007547034"
    assert mask_ibans(text) == "the account NL84 **** 0003 is closed, order RF18539007547034"


def test_the_library_is_loaded_late() -> None:
    """Whoever only imports the gateway does not pay for the register of banks."""
    code = "import catena.gateways.bank.gateway, sys; print('schwifty' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
