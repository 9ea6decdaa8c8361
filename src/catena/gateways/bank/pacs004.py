"""Reads pacs.004, the return of payments between banks, where our bank hands it on to us.

Invariant: it says nothing that a statement will not say, too, so both name it by the EndToEndId
and it is taken in once. What came back may be less than was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from catena.chains.step_types import Outcome
from catena.gateways.bank.accounts import mask_ibans
from catena.gateways.bank.limits import TEXT_CHARACTERS_MAX
from catena.gateways.bank.reading import (
    Amount,
    Found,
    Many,
    Part,
    Texts,
    Unreadable,
    gather,
    read_pieces,
)
from catena.gateways.bank.reasons import find_reason
from catena.gateways.bank.references import is_end_to_end_id
from catena.gateways.bank.values import at_midnight, read_amount, read_day, read_moment
from catena.gateways.contract import Notice, Subject

__all__ = ["read_pacs004"]

_HEADER: Final = {"MsgId": "id", "CreDtTm": "at", "IntrBkSttlmDt": "day"}
_RETURN: Final = {
    "RtrId": "id",
    "OrgnlEndToEndId": "end_to_end",
    "OrgnlIntrBkSttlmAmt": Amount("sent"),
    "RtrdIntrBkSttlmAmt": Amount("returned"),
    "IntrBkSttlmDt": "day",
    "RtrRsnInf": Many(
        "reasons", {"Rsn": Part({"Cd": "code", "Prtry": "code"}), "AddtlInf": Texts("words")}
    ),
}


def read_pacs004(chunks: Iterable[bytes]) -> Iterator[Notice]:
    """What came back, of orders of ours. Raises Unreadable.

    The amount is what came back, in minor units; `details` has what was sent, where it says so.
    """
    pieces = read_pieces(chunks, ("GrpHdr", "TxInf"))
    name, _ = next(pieces)
    if not name.startswith("pacs.004."):
        raise Unreadable("not_pacs004", "It is no return of payments.")
    header = Found()
    for tag, element in pieces:
        if tag == "GrpHdr":
            gather(element, _HEADER, header)
        else:
            yield from _tell(gather(element, _RETURN, Found()), header)


def _tell(found: Found, header: Found) -> Iterator[Notice]:
    order = found.texts.get("end_to_end")
    if not is_end_to_end_id(order):
        return
    currency = found.texts.get("returned.currency", "")
    day = found.texts.get("day") or header.texts.get("day")
    reasons = found.many.get("reasons", [])
    code = next((text for one in reasons if (text := one.texts.get("code"))), "")
    words = " ".join(word for one in reasons for word in one.lists.get("words", ()))
    sent = None
    if found.texts.get("sent.currency") == currency:
        sent = read_amount(found.texts["sent"], currency)
    yield Notice(
        f"returned:{order}",
        Subject.PAYOUT,
        Outcome.DECLINED,
        at_midnight(read_day(day)) if day else read_moment(header.texts.get("at", "")),
        reference=order,
        amount=read_amount(found.texts.get("returned", ""), currency),
        currency=currency,
        code=code or "returned",
        text=mask_ibans(words)[:TEXT_CHARACTERS_MAX] or find_reason(code).meaning,
        details={
            "told_by": "pacs.004",
            "permanent": find_reason(code).permanent,
            "moved": True,
            "bank_reference": found.texts.get("id"),
            "sent": sent,
        },
    )
