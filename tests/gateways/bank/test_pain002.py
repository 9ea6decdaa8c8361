"""What a bank says of a file, and what follows for each of its orders."""

from __future__ import annotations

import pytest

from catena.chains.step_types import Outcome
from catena.gateways.bank.pain002 import (
    StatusReport,
    notices_of_report,
    read_pain002,
    resolve_orders,
)
from catena.gateways.bank.reading import Unreadable, cut
from catena.gateways.bank.reasons import DUPLICATES, REASONS, STATUSES, Standing, find_reason
from tests.gateways.bank.bank_files import document, element, report

FILE = {"A": "CFILE-1", "B": "CFILE-1", "C": "CFILE-2"}


def group(status: str | None, code: str | None = None, *words: str) -> str:
    """The statuses of a file."""
    return element("GrpSts", status) + reason(code, *words)


def reason(code: str | None, *words: str) -> str:
    """Why."""
    texts = "".join(element("AddtlInf", word) for word in words)
    return element("StsRsnInf", element("Rsn/Cd", code) + texts) if code or words else ""


def block(id: str, status: str | None, *orders: str) -> str:
    """The statuses of a payment block."""
    return element(
        "OrgnlPmtInfAndSts",
        element("OrgnlPmtInfId", id) + element("PmtInfSts", status) + "".join(orders),
    )


def order(id: str, status: str | None, code: str | None = None, *words: str) -> str:
    """The status of an order."""
    return element(
        "TxInfAndSts",
        element("OrgnlEndToEndId", id)
        + element("TxSts", status)
        + reason(code, *words)
        + element("AcctSvcrRef", "BANK-1" if status == "ACSC" else None),
    )


def read(content: bytes) -> StatusReport:
    """A report that has come."""
    return read_pain002(cut(content))


STORIES: dict[str, tuple[bytes, dict[str, tuple[Standing, str]]]] = {
    "each is named": (
        report(
            group("PART"), block("CFILE-1", "PART", order("A", "ACCP"), order("B", "RJCT", "AC04"))
        ),
        {"A": (Standing.ACCEPTED, "ACCP"), "B": (Standing.REJECTED, "AC04")},
    ),
    "only what was rejected is named": (
        report(group(None), block("CFILE-1", None, order("B", "RJCT", "RC01"))),
        {"B": (Standing.REJECTED, "RC01")},
    ),
    "the file is accepted, one is not": (
        report(group("ACCP"), block("CFILE-1", None, order("B", "RJCT", "AC01"))),
        {
            "A": (Standing.ACCEPTED, "ACCP"),
            "B": (Standing.REJECTED, "AC01"),
            "C": (Standing.ACCEPTED, "ACCP"),
        },
    ),
    "refused as a whole": (
        report(group("RJCT", "AM10")),
        dict.fromkeys(FILE, (Standing.REJECTED, "AM10")),
    ),
    "one block refused": (
        report(group("PART"), block("CFILE-2", "RJCT")),
        {"C": (Standing.REJECTED, "RJCT")},
    ),
    "one block partly, no word of its orders": (
        report(group("RJCT"), block("CFILE-1", "PART")),
        {
            "C": (Standing.REJECTED, "RJCT"),
        },
    ),
    "it was here before": (report(group("RJCT", "DUPL"), block("CFILE-1", "RJCT")), {}),
    "an order was here before": (
        report(group("PART"), block("CFILE-1", "PART", order("A", "RJCT", "AM05"))),
        {"A": (Standing.TAKEN_BEFORE, "AM05")},
    ),
    "named without a status": (
        report(group("ACSP"), block("CFILE-1", None, order("A", None))),
        dict.fromkeys(FILE, (Standing.ACCEPTED, "ACSP")),
    ),
    "the last word counts": (
        report(group(None), block("CFILE-1", None, order("A", "ACCP"), order("A", "RJCT", "MS03"))),
        {"A": (Standing.REJECTED, "MS03")},
    ),
    "a word that nobody knows": (
        report(group("ABCD")),
        dict.fromkeys(FILE, (Standing.PENDING, "ABCD")),
    ),
    "somebody else's order": (report(group(None), block("X", None, order("Z", "RJCT"))), {}),
    "settled": (
        report(group(None), block("CFILE-1", None, order("A", "ACSC"))),
        {"A": (Standing.SETTLED, "ACSC")},
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_what_it_says_of_each_order(name: str) -> None:
    """From the top down: an order's own word, its block's, its file's, and never a part's."""
    content, expected = STORIES[name]
    found = {
        one.end_to_end_id: (one.standing, one.code) for one in resolve_orders(read(content), FILE)
    }
    assert found == expected


@pytest.mark.parametrize("name", STORIES)
def test_only_a_rejection_declines(name: str) -> None:
    """A notice declines what was rejected; all else stays pending, and nothing is paid."""
    content, expected = STORIES[name]
    for notice in notices_of_report(read(content), FILE):
        standing, code = expected[notice.reference or ""]
        declined = standing is Standing.REJECTED
        assert notice.outcome is (Outcome.DECLINED if declined else Outcome.PENDING)
        assert (notice.id, notice.code) == (f"R1:{notice.reference}", code)
        assert notice.details["moved"] is False


@pytest.mark.parametrize("code", sorted(DUPLICATES))
def test_a_duplicate_is_no_failure(code: str) -> None:
    """A file that was here before is not refused, and no order of it is told of."""
    told = read(report(group("RJCT", code, "received", "before")))
    assert (told.standing, told.is_refusal, told.text) == (
        Standing.TAKEN_BEFORE,
        False,
        "received before",
    )
    assert list(notices_of_report(told, FILE)) == []


def test_a_duplicate_among_other_reasons() -> None:
    """One word of a duplicate is enough, wherever it stands."""
    told = read(report(group("RJCT", "NARR") + reason("DUPL")))
    assert (told.standing, told.code) == (Standing.TAKEN_BEFORE, "DUPL")


def test_own_reasons_and_words() -> None:
    """A bank's own code counts as one; a rejection without words gets those of our table."""
    own = element("StsRsnInf", element("Rsn/Prtry", "X1") + element("AddtlInf", "no"))
    told = read(report(element("GrpSts", "RJCT") + own))
    assert (told.code, told.text, told.is_refusal) == ("X1", "no", True)
    content, _ = STORIES["each is named"]
    texts = [notice.text for notice in notices_of_report(read(content), FILE)]
    assert texts == ["", "The account is closed."]


def test_a_file_that_it_could_not_read() -> None:
    """Then it names no file of ours."""
    assert read(report(group("RJCT", "FF01"), message="NOTPROVIDED")).message_id is None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (document("camt.053.001.08", "<A/>"), "not_pain002"),
        (document("pain.002.001.10", "<A/>"), "incomplete"),
        (report("").replace(b"<MsgId>R1</MsgId>", b""), "incomplete"),
        (report("").replace(b"2026-10-01T09:00:00Z", b"now"), "date"),
    ],
)
def test_what_cannot_be_read(content: bytes, code: str) -> None:
    """It is refused as a whole."""
    with pytest.raises(Unreadable) as refused:
        read(content)
    assert refused.value.code == code


def test_the_tables_hold_together() -> None:
    """No code is in two tables that say different things, and every one has words."""
    assert not DUPLICATES & REASONS.keys()
    assert {Standing.TAKEN_BEFORE} == {*Standing} - {*STATUSES.values()}
    assert all(one.meaning.endswith(".") for one in REASONS.values())
    assert find_reason("AM04").permanent is False
    assert find_reason("ZZZZ").permanent is True
