"""Statements are read entry by entry, in both of the versions that banks send."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import pytest

from catena.gateways.bank.camt import Balance, Batch, Entry, Kind, State, Statement, read_camt
from catena.gateways.bank.reading import Unreadable, cut
from tests.gateways.bank.bank_files import (
    ACCOUNT,
    balance,
    detail,
    document,
    element,
    entry,
    notification,
    statement,
)

DAY = dt.date(2026, 10, 1)


def read(content: bytes) -> tuple[Statement, list[Entry]]:
    """The one statement of a file, and its entries."""
    head, *entries = read_camt(cut(content))
    assert isinstance(head, Statement)
    return head, [one for one in entries if isinstance(one, Entry)]


def test_a_head() -> None:
    """All that a statement says of itself."""
    content = statement(
        balance("OPBD", "10.00"),
        balance("CLBD", "5.00", "DBIT"),
        element(
            "FrToDt",
            element("FrDtTm", "2026-10-01T00:00:00Z") + element("ToDtTm", "2026-10-01T23:59:59Z"),
        ),
        electronic="7",
        legal="8",
        page="2",
        last="false",
        copy="DUPL",
        said="0",
    )
    head, entries = read(content)
    assert entries == []
    assert head == Statement(
        Kind.STATEMENT,
        "M1",
        "S1",
        page=2,
        is_last=False,
        electronic=7,
        legal=8,
        created_at=dt.datetime(2026, 10, 2, tzinfo=dt.UTC),
        first_day=DAY,
        last_day=DAY,
        is_copy=True,
        account=ACCOUNT,
        currency="EUR",
        balances=(Balance("OPBD", 1000, "EUR", DAY), Balance("CLBD", -500, "EUR", DAY)),
        entries_said=0,
    )


def test_a_head_with_little() -> None:
    """What a bank leaves out has a value that says so."""
    head, _ = read(notification(at=None))
    assert head.kind is Kind.NOTIFICATION
    assert (head.page, head.is_last, head.electronic, head.is_copy) == (1, True, None, False)
    assert (head.first_day, head.balances, head.entries_said) == (None, (), None)


def test_pages_of_the_message() -> None:
    """In .02 pages are numbered in the head of the message."""
    paging = "</CreDtTm><MsgPgntn><PgNb>3</PgNb><LastPgInd>false</LastPgInd></MsgPgntn></GrpHdr>"
    content = statement(version="02").replace(b"</CreDtTm></GrpHdr>", paging.encode())
    head, _ = read(content)
    assert (head.page, head.is_last) == (3, False)


def test_an_entry() -> None:
    """All that an entry and its transactions say."""
    batch = "<Btch><MsgId>F</MsgId><PmtInfId>F-1</PmtInfId><NbOfTxs>2</NbOfTxs></Btch>"
    one = detail(
        "DBIT",
        "3.00",
        end_to_end="E1",
        payment="P1",
        message="M",
        name="Ada",
        iban="X1",
        to="Y1",
        text="for you",
        reference="RF18539007547034",
    )
    head, entries = read(
        statement(
            entry("CRDT", "12.34", one, detail(), ref="B1", batch=batch, text="more", reversal="1")
        )
    )
    assert head.id == "S1"
    (found,) = entries
    assert found[:11] == (
        0,
        1234,
        "EUR",
        True,
        True,
        State.BOOKED,
        DAY,
        DAY.replace(day=2),
        "B1",
        "PMNT/ICDT/ESCT",
        "more",
    )
    assert found.batches == (Batch("F", "F-1", 2),)
    first, second = found.details
    assert (first.amount, first.is_credit, second.amount, second.is_credit) == (
        300,
        False,
        None,
        True,
    )
    assert (first.end_to_end_id, first.payment_id, first.message_id) == ("E1", "P1", "M")
    assert (first.debtor_name, first.debtor_account, first.creditor_account) == ("Ada", "X1", "Y1")
    assert (first.remittance, first.references) == (("for you",), ("RF18539007547034",))
    assert (first.is_return, first.reason) == (False, None)


@pytest.mark.parametrize("amounts", ["TxAmt/Amt", "InstdAmt/Amt"])
def test_version_02(amounts: str) -> None:
    """The older version: a bare status, names without a party, BICs, amounts in their details."""
    parties = element("Dbtr/Nm", "Ada") + element("DbtrAcct/Id/Othr/Id", "123")
    money = element(f"AmtDtls/{amounts}", "2.00").replace("<Amt>", '<Amt Ccy="EUR">')
    old = element(
        "TxDtls",
        element("Refs/EndToEndId", "NOTPROVIDED")
        + money
        + element("RltdPties", parties)
        + element("RltdAgts/DbtrAgt/FinInstnId/BIC", "INGBNL2A"),
    )
    _, (found,) = read(statement(entry("CRDT", "2.00", old, version="02"), version="02"))
    (only,) = found.details
    assert (found.state, only.amount, only.is_credit) == (State.BOOKED, 200, True)
    assert (only.end_to_end_id, only.debtor_name, only.debtor_account) == (None, "Ada", "123")
    assert only.debtor_bic == "INGBNL2A"


def test_amounts_in_other_currencies() -> None:
    """What was asked for in another currency is not what was moved."""
    asked = '<TxDtls><AmtDtls><InstdAmt><Amt Ccy="USD">2.50</Amt></InstdAmt></AmtDtls></TxDtls>'
    _, (found,) = read(statement(entry("CRDT", "2.00", asked)))
    assert found.details[0].amount is None


@pytest.mark.parametrize(
    ("inner", "is_return", "reason"),
    [
        ("<RtrInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>closed</AddtlInf></RtrInf>", True, "AC04"),
        ("<RtrInf><OrgnlBkTxCd/></RtrInf>", True, None),
        (
            "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>ICDT</Cd><SubFmlyCd>RRTN</SubFmlyCd></Fmly></Domn></BkTxCd>",
            True,
            None,
        ),
        ("<BkTxCd><Prtry><Cd>OWN</Cd></Prtry></BkTxCd>", False, None),
    ],
)
def test_returns(inner: str, is_return: bool, reason: str | None) -> None:  # noqa: FBT001  # a table
    """By what is said of the return, or by its code."""
    _, (found,) = read(statement(entry("CRDT", "2.00", f"<TxDtls>{inner}</TxDtls>")))
    assert (found.details[0].is_return, found.details[0].reason) == (is_return, reason)


def test_other_places_of_virtual_accounts() -> None:
    """Where some banks say whom it is for."""
    refs = "<Refs><AcctOwnrTxId>V1</AcctOwnrTxId><Prtry><Tp>x</Tp><Ref>V2</Ref></Prtry></Refs>"
    ultimate = element("RltdPties/UltmtCdtr/Pty/Id/OrgId/Othr/Id", "V3")
    _, (found,) = read(statement(entry("CRDT", "2.00", f"<TxDtls>{refs}{ultimate}</TxDtls>")))
    assert found.details[0].others == ("V1", "V3", "V2")


def test_empty_elements() -> None:
    """An element with nothing in it says nothing."""
    empty = "<TxDtls><Refs><EndToEndId> </EndToEndId></Refs><RmtInf><Ustrd/></RmtInf></TxDtls>"
    _, (found,) = read(statement(entry("CRDT", "2.00", empty)))
    assert (found.details[0].end_to_end_id, found.details[0].remittance) == (None, ())


def test_several_statements() -> None:
    """Each has its head before its entries; entries are counted within it."""
    content = statement(entry("CRDT", "1.00"), entry("CRDT", "2.00")).decode()
    scope = content[content.index("<Stmt>") : content.index("</Stmt>") + 7]
    content = content.replace(scope, scope + scope.replace("S1", "S2"))
    kinds = [
        one.id if isinstance(one, Statement) else one.place
        for one in read_camt(cut(content.encode()))
    ]
    assert kinds == ["S1", 0, 1, "S2", 0, 1]


GOOD = statement(entry("CRDT", "2.00", ref="B1"), electronic="1", page="1", last="true").decode()
BAD = {
    "not_camt": document("pain.002.001.10", "<A/>").decode(),
    "incomplete": GOOD.replace("<Id>S1</Id>", ""),
    "state": GOOD.replace("BOOK", "WHAT"),
    "sign": GOOD.replace("CRDT", "PLUS"),
    "amount": GOOD.replace("2.00", "2,00"),
    "truth": GOOD.replace("true", "maybe"),
    "number": GOOD.replace("<ElctrncSeqNb>1<", "<ElctrncSeqNb>one<"),
    "date": GOOD.replace("2026-10-01", "2026-13-01"),
}


@pytest.mark.parametrize("code", BAD)
def test_what_cannot_be_read(code: str) -> None:
    """A value that says nothing refuses the file: a wrong guess would be somebody's money."""
    with pytest.raises(Unreadable) as refused:
        list(read_camt(cut(BAD[code].encode())))
    assert refused.value.code == code


@pytest.mark.parametrize("wrong", ["<GrpHdr>|<Grp>", "<Stmt>|<Stat>"])
def test_other_shapes(wrong: str) -> None:
    """A statement without the message's head, and entries that stand in no statement."""
    before, after = wrong.split("|")
    content = GOOD.replace(before, after).replace(
        before.replace("<", "</"), after.replace("<", "</")
    )
    with pytest.raises(Unreadable) as refused:
        list(read_camt(cut(content.encode())))
    assert refused.value.code == "incomplete"


MEASURE = """
import resource
from catena.gateways.bank.bookings import read_bookings
from tests.gateways.bank.bank_files import detail, entry, statement

def content(count):
    whole = statement(entry("CRDT", "1.00"))
    at, end = whole.index(b"<Ntry>"), whole.index(b"</Ntry>") + 7
    yield whole[:at]
    for number in range(count):
        said = detail(end_to_end=f"E{number}", text="x" * 100)
        yield entry("CRDT", "1.00", said, ref=f"R{number}").encode()
    yield whole[end:]

sizes = []
for count in (500, 4_000):
    assert sum(1 for _ in read_bookings(content(count))) == count + 2
    sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(sizes[1] - sizes[0])
"""


def test_memory_does_not_grow() -> None:
    """Eight times as many entries take two megabytes more at most, for their names."""
    said = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    assert int(said.stdout) < 2_000
