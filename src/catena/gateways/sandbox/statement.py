"""The sandbox's statement, page by page.

Invariant: a statement is read whole, or not at all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from catena.errors import Unavailable
from catena.gateways.contract import StatementLine, Subject
from catena.gateways.sandbox.calls import Line
from catena.outside.client import Response

__all__ = ["read_statement"]

_TIMEOUT_SECONDS: Final = 30.0

_SUBJECTS: Final = {
    "charge": Subject.CHARGE,
    "capture": Subject.CAPTURE,
    "refund": Subject.REFUND,
    "refund_returned": Subject.REFUND,
    "payout": Subject.PAYOUT,
    "payout_returned": Subject.PAYOUT,
    "dispute": Subject.DISPUTE,
    "dispute_returned": Subject.DISPUTE,
    "fee": Subject.FEE,
}
"""What each type of line speaks of; its sign says which way the money went."""


class _Line(Struct):
    id: str
    type: str
    reference: str
    amount: int
    fee: int
    currency: str
    at: dt.datetime
    about: str | None = None


class _Page(Struct):
    data: list[_Line]
    next: str | None


async def read_statement(
    line: Line, since: dt.datetime, until: dt.datetime
) -> Sequence[StatementLine]:
    """What was booked from `since` until just before `until`. Raises Unavailable."""
    lines: list[StatementLine] = []
    query = {"since": since.isoformat(), "until": until.isoformat()}
    while True:
        page = await _read_page(line, query)
        lines += map(_read_line, page.data)
        if page.next is None:
            return lines
        query["after"] = page.next


def _read_line(line: _Line) -> StatementLine:
    if line.type not in _SUBJECTS:
        raise Unavailable("The sandbox's statement has lines that this adapter does not know.")
    return StatementLine(
        id=line.id,
        subject=_SUBJECTS[line.type],
        amount=line.amount,
        fee=line.fee,
        currency=line.currency,
        reference=line.reference,
        at=line.at,
        text=line.type,
        about=line.about,
    )


async def _read_page(line: Line, query: dict[str, str]) -> _Page:
    answer = await line.ask("GET", f"/v1/statement?{urlencode(query)}", _TIMEOUT_SECONDS)
    if isinstance(answer, Response) and answer.status == HTTPStatus.OK:
        try:
            return msgspec.json.decode(answer.body, type=_Page)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    raise Unavailable("The sandbox's statement cannot be read now.")
