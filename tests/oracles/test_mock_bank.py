"""A bank that others have written takes our files, and we understand what it says of them.

What it cannot do is listed in docs/guides/bank.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from catena.chains.step_types import Outcome
from catena.gateways.bank.bookings import Booking, read_bookings
from catena.gateways.bank.folder import FolderBank
from catena.gateways.bank.gaps import GapCode
from catena.gateways.bank.matching import match_credit, read_credit
from catena.gateways.bank.pain001 import Version
from catena.gateways.bank.reading import cut
from catena.gateways.bank.references import end_to_end_id, normalise_reference, rf_reference
from catena.gateways.bank.transport import BankAddress, Delivery, HttpBank
from catena.gateways.contract import Notice, Subject
from catena.outside.client import OutsideClient
from catena.settings import Settings
from tests.oracles.mock_bank import (
    CLOSED,
    OTHER,
    WRONG_BANK,
    MockBank,
    Rail,
    ask_reader,
    run_mock_bank,
)

pytestmark = [pytest.mark.oracle("mock-bank"), pytest.mark.xdist_group("mock bank")]

A, B, C, D = map(end_to_end_id, "abcd")


@pytest.fixture(scope="module")
def program() -> Iterator[MockBank]:
    """The bank, for all of these tests."""
    with run_mock_bank("--auth", "us:secret") as running:
        running.http.auth = ("us", "secret")
        yield running


@pytest.fixture
def bank(program: MockBank) -> MockBank:
    """The bank as on its first day."""
    program.tell("POST", "/_mock/reset")
    return program


@pytest.fixture
async def rail(bank: MockBank, tmp_path: Path) -> AsyncIterator[Rail]:
    """The road to it, over HTTP."""
    mailbox = f"{bank.url}/_mock/mailbox"
    address = BankAddress(
        f"{bank.url}/payments", f"{mailbox}?leave", f"{mailbox}/{{name}}", "", "us", "secret"
    )
    async with OutsideClient(Settings(allow_private_addresses=True)) as client:
        yield Rail(HttpBank(address, client), tmp_path)


def told(notices: list[Notice]) -> dict[str, tuple[Outcome, str]]:
    """What each notice says, by its id without the report's; the same id says the same."""
    return {notice.id.rpartition(":")[2]: (notice.outcome, notice.code) for notice in notices}


def by_order(rail: Rail, outcome: Outcome) -> set[str | None]:
    """The orders of which it was said."""
    return {one.reference for one in rail.notices if one.outcome is outcome}


@pytest.mark.parametrize("version", Version)
async def test_accepted_and_booked(bank: MockBank, rail: Rail, version: Version) -> None:
    """It is pending while it is accepted, and paid when it is booked: once, however often told."""
    id = rail.seal({"a": (1001, OTHER), "b": (2002, OTHER)}, version=version)
    assert await rail.deliver(id) == (Delivery.TAKEN, "", "")
    assert told([*await rail.receive()]) == {
        A: (Outcome.PENDING, "ACCP"),
        B: (Outcome.PENDING, "ACCP"),
    }
    bank.advance("2026-10-02")
    found = await rail.receive()
    assert [one.id for one in found] == [f"paid:{A}", f"paid:{B}"] * 2
    assert {(one.outcome, one.amount) for one in found} == {
        (Outcome.APPROVED, 1001),
        (Outcome.APPROVED, 2002),
    }
    assert [(line.amount, line.reference) for line in rail.lines] == [(-1001, A), (-2002, B)]
    assert rail.gaps == []
    assert bank.tell("GET", "/_mock/accounts/ACME")["balance"] == 12_500_000 - 3003


async def test_a_part_is_rejected(bank: MockBank, rail: Rail) -> None:
    """A closed account and a wrong bank are declined for good; the others are paid."""
    wishes = {"a": (1001, OTHER), "b": (2002, CLOSED), "c": (3003, WRONG_BANK), "d": (4004, OTHER)}
    assert (await rail.deliver(rail.seal(wishes))).outcome is Delivery.TAKEN
    assert told([*await rail.receive()]) == {
        A: (Outcome.PENDING, "ACCP"),
        B: (Outcome.DECLINED, "AC04"),
        C: (Outcome.DECLINED, "RC01"),
        D: (Outcome.PENDING, "ACCP"),
    }
    assert {one.permanent for one in rail.notices} == {True}
    bank.advance("2026-10-02")
    await rail.receive()
    assert by_order(rail, Outcome.APPROVED) == {A, D}
    assert rail.gaps == []


async def test_the_same_file_again(bank: MockBank, rail: Rail) -> None:
    """It has it: nothing is declined by that, and it is paid once."""
    id = rail.seal({"a": (1001, OTHER)})
    assert (await rail.deliver(id)).outcome is Delivery.TAKEN
    await rail.receive()
    assert (await rail.deliver(id))[:2] == (Delivery.TAKEN, "DUPL")
    assert await rail.receive() == []
    bank.advance("2026-10-02")
    await rail.receive()
    assert by_order(rail, Outcome.DECLINED) == set()
    assert [line.amount for line in rail.lines] == [-1001]


async def test_many_at_once(bank: MockBank, rail: Rail) -> None:
    """Of eight deliveries of one file one is the first; all are taken, and one is paid."""
    id = rail.seal({"a": (1001, OTHER)})
    found = await asyncio.gather(*(rail.deliver(id) for _ in range(8)))
    assert (
        sorted(one[:2] for one in found) == [(Delivery.TAKEN, "")] + [(Delivery.TAKEN, "DUPL")] * 7
    )
    bank.advance("2026-10-02")
    await rail.receive()
    assert by_order(rail, Outcome.DECLINED) == set()
    assert [line.amount for line in rail.lines] == [-1001]


async def test_a_file_is_refused(bank: MockBank, rail: Rail) -> None:
    """As a whole: at once by its answer, and again by a report that declines each of its orders."""
    bank.behave("reject-file")
    id = rail.seal({"a": (1001, OTHER), "b": (2002, OTHER)})
    assert (await rail.deliver(id))[:2] == (Delivery.REFUSED, "FF01")
    assert told([*await rail.receive()]) == {
        A: (Outcome.DECLINED, "FF01"),
        B: (Outcome.DECLINED, "FF01"),
    }
    bank.advance("2026-10-02")
    await rail.receive()
    assert (rail.lines, by_order(rail, Outcome.APPROVED)) == ([], set())


async def test_not_enough_money(bank: MockBank, rail: Rail) -> None:
    """What does not fit is declined for now; the smaller one behind it is paid."""
    await rail.deliver(rail.seal({"a": (12_499_000, OTHER)}))
    bank.behave("insufficient-funds")
    await rail.deliver(rail.seal({"b": (5_000, OTHER), "c": (1_000, OTHER)}))
    found = {one.reference: one for one in await rail.receive()}
    assert (found[B].outcome, found[B].code) == (Outcome.DECLINED, "AM04")
    assert found[B].permanent is False
    assert found[C].outcome is Outcome.PENDING


async def test_a_return_days_later(bank: MockBank, rail: Rail) -> None:
    """Three messages tell of it, and it is one; the account has the money back."""
    bank.behave("return-later", days=3, reason="MD07", end_to_end_id=A)
    await rail.deliver(rail.seal({"a": (7777, OTHER), "b": (8888, OTHER)}, "2026-10-02"))
    bank.advance("2026-10-05")
    await rail.receive()
    assert by_order(rail, Outcome.APPROVED) == {A, B}
    bank.advance("2026-10-08")
    found = await rail.receive()
    assert [(one.id, one.outcome, one.code) for one in found] == [
        (f"returned:{A}", Outcome.DECLINED, "MD07")
    ] * 3
    assert {one.details["told_by"] for one in found} == {"pacs.004", "camt.054", "camt.053"}
    assert {one.amount for one in found} == {7777}
    assert [(line.amount, line.reference) for line in rail.lines] == [
        (-7777, A),
        (-8888, B),
        (7777, A),
    ]
    assert {line.subject for line in rail.lines} == {Subject.PAYOUT}
    assert rail.gaps == []


async def test_silence(bank: MockBank, rail: Rail) -> None:
    """No report comes; that it is paid, the statement says."""
    bank.behave("silent")
    assert (await rail.deliver(rail.seal({"a": (555, OTHER)}))).outcome is Delivery.TAKEN
    assert await rail.receive() == []
    bank.advance("2026-10-02")
    assert {one.id for one in await rail.receive()} == {f"paid:{A}"}


async def test_a_statement_leaves_an_entry_out(bank: MockBank, rail: Rail) -> None:
    """Its balances prove it, by how much; the day after is whole again."""
    bank.behave("statement-gap")
    await rail.deliver(rail.seal({"a": (111, OTHER), "b": (222, OTHER)}))
    bank.advance("2026-10-02")
    await rail.receive()
    (gap,) = rail.gaps
    assert (gap.code, gap.is_proof) == (GapCode.ENTRIES, True)
    assert (gap.found or 0) - (gap.expected or 0) == 222
    assert [line.reference for line in rail.lines] == [A]
    bank.behave("accept")
    bank.advance("2026-10-05")
    await rail.receive()
    assert len(rail.gaps) == 1


async def test_a_statement_is_lost(bank: MockBank, rail: Rail) -> None:
    """The next one begins elsewhere, and has another number than the next."""
    await rail.deliver(rail.seal({"a": (111, OTHER)}))
    bank.advance("2026-10-01")
    await rail.receive()
    bank.advance("2026-10-02")
    lost = [name for name in await rail.transport.list_files() if name not in rail.read]
    rail.read |= {*lost}
    bank.advance("2026-10-03")
    await rail.receive()
    assert [gap.code for gap in rail.gaps] == [GapCode.BALANCE, GapCode.NUMBER]


async def test_rejected_after_it_was_accepted(bank: MockBank, rail: Rail) -> None:
    """The later word counts; nothing was booked."""
    await rail.deliver(rail.seal({"a": (111, OTHER)}))
    assert told([*await rail.receive()]) == {A: (Outcome.PENDING, "ACCP")}
    bank.tell("PATCH", "/_mock/accounts/ACME", {"closed": True})
    bank.advance("2026-10-02")
    found = await rail.receive()
    assert (A, Outcome.DECLINED, "AC04") in [
        (one.reference, one.outcome, one.code) for one in found
    ]
    assert rail.lines == []


async def test_money_comes_in(bank: MockBank, rail: Rail) -> None:
    """By a structured reference, by one in a text that the bank has cut, and by nothing."""
    ours, other = rf_reference("WALLET000001"), rf_reference("WALLET000002")
    text = f"thank you for the nice evening, reference {other} as agreed upon"
    payer = {"name": "Ada L", "iban": "GB82WEST12345698765432"}
    for more in (
        {"reference": ours, "debtor": payer},
        {"note": text, "wrap": 35},
        {"note": "hello"},
    ):
        bank.tell("POST", "/_mock/credits", {"account": "ACME", "amount": 5000, **more})
    bank.advance("2026-10-02")
    found = await rail.receive()
    assert {(one.subject, one.outcome, one.amount) for one in found} == {
        (Subject.CREDIT, Outcome.APPROVED, 5000)
    }
    accounts = {normalise_reference(ours): "one", normalise_reference(other): "two"}
    matched = [match_credit(read_credit(one.details), {}, accounts) for one in found]
    assert matched == ["one", "two", None]
    assert len({one.id for one in found}) == 3
    assert found[0].text == f"Ada L, GB82 **** 5432: {ours}"
    assert rail.gaps == []


async def test_others_read_the_same(bank: MockBank, rail: Rail) -> None:
    """Classes made from ISO's schemas find the orders, statuses, entries and returns that we do."""
    bank.behave("return-later", days=1, reason="AC04", end_to_end_id=A)
    id = rail.seal({"a": (1001, OTHER), "b": (2002, CLOSED)})
    (sent := rail.folder / "sent.xml").write_bytes(rail.files[id][0])
    assert ask_reader("read", sent) == [
        [[A, "10.01", "EUR", "Payee a", OTHER, None], [B, "20.02", "EUR", "Payee b", CLOSED, None]]
    ]
    await rail.deliver(id)
    bank.advance("2026-10-06")
    await rail.receive()
    files = rail.kept()
    kinds = set()
    for file, rows in zip(files, ask_reader("read", *files), strict=True):
        content = file.read_bytes()
        if b"xsd:camt." in content:
            ours = [one.entry for one in read_bookings(cut(content)) if isinstance(one, Booking)]
            assert [(row[1], row[2], row[4]) for row in rows] == [
                (
                    str(Decimal(one.amount).scaleb(-2)),
                    "CRDT" if one.is_credit else "DBIT",
                    one.bank_reference,
                )
                for one in ours
            ]
        kinds |= {(content[content.index(b"xsd:") + 4 :][:8].decode(), str(row)) for row in rows}
    assert ("pain.002", f"['{B}', 'RJCT', 'AC04']") in kinds
    assert ("pacs.004", f"['{A}', '10.01', 'AC04']") in kinds
    assert by_order(rail, Outcome.DECLINED) == {A, B}


async def test_by_a_folder(tmp_path: Path) -> None:
    """The same by files: what we put out is taken, what it puts in is read and moved away."""
    folder = tmp_path / "bank"
    folder.mkdir()
    transport = FolderBank(folder)
    assert await transport.list_files() == []
    options = ("--drop-dir", str(folder / "out"), "--pickup-dir", str(folder / "in"))
    with run_mock_bank(*options, "--drop-settle-ms", "0") as bank:
        rail = Rail(transport, tmp_path)
        id = rail.seal({"a": (1001, OTHER), "b": (2002, CLOSED)})
        assert (await rail.deliver(id)).outcome is Delivery.TAKEN
        bank.tell("POST", "/_mock/drop/scan")
        assert told([*await rail.receive()]) == {
            A: (Outcome.PENDING, "ACCP"),
            B: (Outcome.DECLINED, "AC04"),
        }
        bank.advance("2026-10-02")
        assert {one.id for one in await rail.receive()} == {f"paid:{A}"}
    assert (list((folder / "in").iterdir()), rail.gaps) == ([], [])
    assert len(list((folder / "done").iterdir())) == len(rail.read) >= 3
