"""ISO's own schemas take the files that we build, and those that our tests say banks send."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from catena.gateways.bank.orders import Debtor, FileHeader, PayoutOrder
from catena.gateways.bank.pain001 import Version, build_pain001
from catena.gateways.bank.references import end_to_end_id, message_id
from tests.gateways.bank.bank_files import (
    OURS,
    balance,
    detail,
    element,
    entry,
    notification,
    report,
    statement,
)
from tests.oracles.mock_bank import ask_reader

pytestmark = pytest.mark.oracle("mock-bank")

GOLDEN = Path(__file__).parents[1] / "gateways" / "bank" / "golden"
AT = dt.datetime(2026, 9, 30, 9, tzinfo=dt.UTC)


def build(count: int, version: Version = Version.V09) -> bytes:
    """A file of so many payouts over three days, with all that an order can have."""
    orders = [
        PayoutOrder(
            str(number),
            end_to_end_id(str(number)),
            1_000 + number,
            "EUR",
            f"Jörg Müller-Lüdenscheidt {number}",
            "NL30MOCK0000000005",
            AT.date() + dt.timedelta(days=number % 3),
            "MOCKNL2A" if number % 2 else None,
            ("", f"Auszahlung {number} für Sie", "RF18539007547034")[number % 3],
        )
        for number in range(count)
    ]
    debtor = Debtor("ACME Holding BV", "NL41MOCK0000000001", "MOCKNL2AXXX" if count % 2 else None)
    return build_pain001(FileHeader(message_id("f"), AT, "ACME & Co", debtor), orders, version)


def test_golden_files_are_valid() -> None:
    """The bytes that other tests compare with are valid by the schema of their version."""
    files = [GOLDEN / f"{version}.xml" for version in Version]
    assert ask_reader("validate", *files) == ["valid"] * len(files)


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("count", [1, 2, 1_000])
def test_built_files_are_valid(tmp_path: Path, version: Version, count: int) -> None:
    """One order or a thousand, in both versions."""
    (file := tmp_path / "file.xml").write_bytes(build(count, version))
    assert ask_reader("validate", file) == ["valid"]


def test_an_independent_reader_finds_a_thousand(tmp_path: Path) -> None:
    """A strict reader finds each order once, with its amount."""
    (file := tmp_path / "file.xml").write_bytes(build(1_000))
    (rows,) = ask_reader("read", file)
    cents = {row[0]: int(row[1].replace(".", "")) for row in rows}
    assert cents == {end_to_end_id(str(number)): 1_000 + number for number in range(1_000)}


def test_the_reader_can_say_no(tmp_path: Path) -> None:
    """A file that is not in the order of the schema is not valid."""
    wrong = build(1).replace(b"<PmtMtd>TRF</PmtMtd>", b"")
    (file := tmp_path / "file.xml").write_bytes(wrong)
    (said,) = ask_reader("validate", file)
    assert "PmtMtd" in said


def test_what_tests_say_that_banks_send(tmp_path: Path) -> None:
    """Statements, notifications and reports of our own tests are of the shape that banks use."""
    full = detail(
        "DBIT",
        "3.00",
        end_to_end=OURS,
        payment="P",
        message="M",
        name="Ada",
        iban="GB82WEST12345698765432",
        to="NL14MOCK0000000002",
        text="hello",
        reason="AC04",
    )
    batch = "<Btch><MsgId>F</MsgId><PmtInfId>F-1</PmtInfId><NbOfTxs>2</NbOfTxs></Btch>"
    entries = (
        entry("DBIT", "3.00", full, detail("CRDT", "1.00"), ref="B1", batch=batch, reversal="true"),
        entry("CRDT", "3.00", state="PDNG", text="more"),
    )
    balances = balance("OPBD", "1.00"), balance("CLBD", "2.00", "DBIT")
    rejected = element("TxSts", "RJCT") + element("StsRsnInf/Rsn/Cd", "AC04")
    order = element("TxInfAndSts", element("OrgnlEndToEndId", OURS) + rejected)
    block = element("OrgnlPmtInfAndSts", element("OrgnlPmtInfId", "P") + order)
    old = (
        entry(
            "DBIT", "3.00", "<TxDtls><Refs><EndToEndId>E</EndToEndId></Refs></TxDtls>", version="02"
        ),
    )
    written = [
        statement(*balances, *entries, electronic="1", legal="1", page="1", last="true", said="2"),
        notification(*entries),
        report(element("GrpSts", "PART"), block),
        statement(*balances, *old, version="02", electronic="1"),
    ]
    files = []
    for number, content in enumerate(written):
        files.append(tmp_path / f"{number}.xml")
        files[-1].write_bytes(content)
    assert ask_reader("validate", *files) == ["valid"] * len(files)
