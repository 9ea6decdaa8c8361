"""Reads pain.002, the bank's word about a file: what became of it, and of each order in it.

Invariant: only a rejection that names no duplicate ever fails an order, and nothing here pays one:
that it is booked, a statement says. Banks may say much or little, in any order, and several times.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from catena.chains.step_types import Outcome
from catena.gateways.bank.accounts import mask_ibans
from catena.gateways.bank.limits import TEXT_CHARACTERS_MAX
from catena.gateways.bank.reading import Found, Many, Part, Texts, Unreadable, gather, read_pieces
from catena.gateways.bank.reasons import DUPLICATES, STATUSES, Standing, find_reason
from catena.gateways.bank.values import read_id, read_moment
from catena.gateways.contract import Notice, Subject

__all__ = ["OrderStatus", "StatusReport", "notices_of_report", "read_pain002", "resolve_orders"]

_REASON: Final = {
    "StsRsnInf": Many(
        "reasons",
        {"Rsn": Part({"Cd": "code", "Prtry": "own"}), "AddtlInf": Texts("words")},
    )
}
_GROUP: Final = {
    "OrgnlMsgId": "message",
    "OrgnlMsgNmId": "name",
    "GrpSts": "status",
    **_REASON,
}
_BLOCK: Final = {
    "OrgnlPmtInfId": "block",
    "PmtInfSts": "status",
    **_REASON,
    "TxInfAndSts": Many(
        "orders",
        {"OrgnlEndToEndId": "end_to_end", "TxSts": "status", "AcctSvcrRef": "bank", **_REASON},
    ),
}


class _Said(NamedTuple):
    """One status with its reason, wherever it stood."""

    status: str
    standing: Standing
    code: str
    text: str


class OrderStatus(NamedTuple):
    """What is said of one order. `code`: the reason's, else the status; `permanent` as of its
    reason. `bank_reference`: the bank's own name of it, where it gives one.
    """

    end_to_end_id: str
    standing: Standing
    status: str
    code: str = ""
    text: str = ""
    permanent: bool = True
    bank_reference: str | None = None


class _Block(NamedTuple):
    id: str
    said: _Said
    orders: tuple[OrderStatus, ...]


class StatusReport(NamedTuple):
    """A status report. `id`: its own; `message_id`: of the file that it is about, None where the
    bank could not read one. `standing`: of the file as a whole, with `code` and `text`; `blocks`:
    what it says of payment blocks and orders by name.
    """

    id: str
    message_id: str | None
    at: dt.datetime
    standing: Standing
    status: str
    code: str
    text: str
    blocks: tuple[_Block, ...]

    @property
    def orders(self) -> tuple[OrderStatus, ...]:
        """Those that it names."""
        return tuple(order for block in self.blocks for order in block.orders)

    @property
    def is_refusal(self) -> bool:
        """Whether the file was refused as a whole; one that was here before was not."""
        return self.standing is Standing.REJECTED


def read_pain002(chunks: Iterable[bytes]) -> StatusReport:
    """A status report, read whole; a file's 9,999 orders take 5 MB. Raises Unreadable."""
    pieces = read_pieces(chunks, ("GrpHdr", "OrgnlGrpInfAndSts", "OrgnlPmtInfAndSts"))
    name, _ = next(pieces)
    if not name.startswith("pain.002."):
        raise Unreadable("not_pain002", "It is no status report.")
    header, group = Found(), Found()
    blocks: list[_Block] = []
    for tag, element in pieces:
        if tag == "GrpHdr":
            gather(element, {"MsgId": "id", "CreDtTm": "at"}, header)
        elif tag == "OrgnlGrpInfAndSts":
            gather(element, _GROUP, group)
        else:
            blocks.append(_read_block(gather(element, _BLOCK, Found())))
    if "id" not in header.texts or "message" not in group.texts:
        raise Unreadable("incomplete", "It names no message of its own, or none that it is about.")
    said = _read_said(group)
    message = read_id(group.texts["message"])
    return StatusReport(
        read_id(header.texts["id"]),
        None if message == "NOTPROVIDED" else message,
        read_moment(header.texts.get("at", "")),
        said.standing,
        said.status,
        said.code,
        said.text,
        tuple(blocks),
    )


def _read_block(found: Found) -> _Block:
    orders = []
    for one in found.many.get("orders", ()):
        said = _read_said(one)
        id = one.texts.get("end_to_end", "")
        orders.append(_tell(id, said, one.texts.get("bank")))
    return _Block(found.texts.get("block", ""), _read_said(found), tuple(orders))


def _read_said(found: Found) -> _Said:
    status = found.texts.get("status", "")
    standing = STATUSES.get(status, Standing.PENDING)
    codes = [
        code
        for reason in found.many.get("reasons", ())
        if (code := reason.texts.get("code") or reason.texts.get("own"))
    ]
    words = [text for reason in found.many.get("reasons", ()) for text in _words(reason)]
    duplicate = next((code for code in codes if code in DUPLICATES), None)
    if standing is Standing.REJECTED and duplicate is not None:
        standing, codes = Standing.TAKEN_BEFORE, [duplicate]
    code = codes[0] if codes else ""
    return _Said(status, standing, code, mask_ibans(" ".join(words))[:TEXT_CHARACTERS_MAX])


def _words(reason: Found) -> list[str]:
    return reason.lists.get("words", [])


def _tell(id: str, said: _Said, bank_reference: str | None = None) -> OrderStatus:
    return OrderStatus(
        id,
        said.standing,
        said.status,
        said.code or said.status,
        said.text,
        find_reason(said.code or said.status).permanent,
        bank_reference,
    )


def resolve_orders(report: StatusReport, blocks: Mapping[str, str]) -> Iterator[OrderStatus]:
    """What the report says of each order of the file that it is about, those that it does not
    name included: they take their block's or their file's status, never one that is only partly so.

    `blocks`: the payment block of each EndToEndId of the file, as `block_ids` gave it. Where an
    order is named several times, the last word counts. Of a file that was here before nothing is
    said of any order; nor is anything of orders that are not in this file.
    """
    if report.standing is Standing.TAKEN_BEFORE:
        return
    named = {order.end_to_end_id: order for order in report.orders}
    of_block = {block.id: block.said for block in report.blocks}
    of_file = _Said(report.status, report.standing, report.code, report.text)
    for id, block in blocks.items():
        said = of_block.get(block)
        if id in named and named[id].status:
            yield named[id]
        elif said is not None and said.status:
            if _is_whole(said):
                yield _tell(id, said)
        elif _is_whole(of_file):
            yield _tell(id, of_file)


def _is_whole(said: _Said) -> bool:
    """Whether a status speaks of every order below it."""
    return bool(said.status) and said.standing not in (Standing.PARTLY, Standing.TAKEN_BEFORE)


def notices_of_report(report: StatusReport, blocks: Mapping[str, str]) -> Iterator[Notice]:
    """What the journal is told: a rejection declines an order, all else leaves it pending.

    An order that the bank had before is left as it is, too: what became of it, its first file says.
    """
    for order in resolve_orders(report, blocks):
        rejected = order.standing is Standing.REJECTED
        yield Notice(
            f"{report.id}:{order.end_to_end_id}",
            Subject.PAYOUT,
            Outcome.DECLINED if rejected else Outcome.PENDING,
            report.at,
            reference=order.end_to_end_id,
            code=order.code,
            text=order.text or find_reason(order.code).meaning if rejected else order.text,
            details={
                "told_by": "pain.002",
                "status": order.status,
                "standing": order.standing.value,
                "moved": False,
                "message_id": report.message_id,
                "bank_reference": order.bank_reference,
            },
            permanent=order.permanent,
        )
