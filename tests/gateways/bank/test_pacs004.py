"""Returns between banks say what a statement will say, under the same name."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.chains.step_types import Outcome
from catena.gateways.bank.pacs004 import read_pacs004
from catena.gateways.bank.reading import Unreadable, cut
from tests.gateways.bank.bank_files import OURS, document, element

AMOUNT = '<RtrdIntrBkSttlmAmt Ccy="EUR">76.50</RtrdIntrBkSttlmAmt>'
SENT = '<OrgnlIntrBkSttlmAmt Ccy="EUR">77.77</OrgnlIntrBkSttlmAmt>'
DAY = element("IntrBkSttlmDt", "2026-10-07")
REASON = element("RtrRsnInf", element("Rsn/Cd", "MD07") + element("AddtlInf", "sorry"))


def returns(inner: str, head: str = "", id: str = OURS) -> bytes:
    """A message with one return."""
    body = element("RtrId", "R-13") + element("OrgnlEndToEndId", id) + inner
    group = element("MsgId", "M") + element("CreDtTm", "2026-10-08T00:00:00Z") + head
    return document(
        "pacs.004.001.09", f"<PmtRtr><GrpHdr>{group}</GrpHdr><TxInf>{body}</TxInf></PmtRtr>"
    )


def test_a_return() -> None:
    """What came back, less than was sent, when and why."""
    (notice,) = read_pacs004(cut(returns(SENT + AMOUNT + DAY + REASON)))
    assert notice[:4] == (
        f"returned:{OURS}",
        "payout",
        Outcome.DECLINED,
        dt.datetime(2026, 10, 7, tzinfo=dt.UTC),
    )
    assert (notice.reference, notice.amount, notice.currency) == (OURS, 7650, "EUR")
    assert (notice.code, notice.text) == ("MD07", "sorry")
    assert notice.details == {
        "told_by": "pacs.004",
        "permanent": True,
        "moved": True,
        "bank_reference": "R-13",
        "sent": 7777,
    }


def test_with_little() -> None:
    """The day may stand in the head, or nowhere; a reason may be missing."""
    (notice,) = read_pacs004(cut(returns(AMOUNT, head=DAY)))
    assert (notice.at.day, notice.code, notice.details["sent"]) == (7, "returned", None)
    (notice,) = read_pacs004(cut(returns(AMOUNT)))
    assert (notice.at.day, notice.text) == (8, "Not in our table.")


def test_of_somebody_else() -> None:
    """What is not ours is nothing to us."""
    assert list(read_pacs004(cut(returns(AMOUNT, id="E2E-1")))) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [(document("camt.053.001.08", "<A/>"), "not_pacs004"), (returns(SENT), "amount")],
)
def test_what_cannot_be_read(content: bytes, code: str) -> None:
    """Another message, or no amount."""
    with pytest.raises(Unreadable) as refused:
        list(read_pacs004(cut(content)))
    assert refused.value.code == code
