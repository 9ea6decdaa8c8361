"""One call to the sandbox, and what is certain after it.

Invariant: approved and declined are only what the sandbox itself says of the thing that was asked
for; a refusal to look at a request says nothing of one that was sent before with the same key.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from catena.chains.step_types import Answer, Outcome
from catena.outside.client import NoAnswer, NotSent, OutsideClient, Request, Response

__all__ = ["STANDINGS", "Line", "Thing", "read_act", "read_found", "read_thing", "read_whole"]


class Line(NamedTuple):
    """How the sandbox is reached. `url` has no slash at its end."""

    client: OutsideClient
    url: str
    api_key: str

    async def ask(
        self,
        method: str,
        path: str,
        timeout_seconds: float,
        body: object = None,
        key: str | None = None,
    ) -> Response | NotSent | NoAnswer:
        """Call it once. `path` with its query, quoted."""
        headers = {"authorization": f"Bearer {self.api_key}"}
        if key is not None:
            headers |= {"idempotency-key": key, "content-type": "application/json"}
        content = b"" if body is None else msgspec.json.encode(body)
        request = Request(method, self.url + path, content, headers, timeout_seconds)
        return await self.client.send(request)


class _Reason(Struct):
    code: str
    permanent: bool = True
    message: str = ""


class Thing(Struct):
    """A charge, capture, cancellation, refund or payout, as far as we read it."""

    id: str
    status: str
    amount: int
    currency: str
    key: str | None = None
    about: str | None = None
    reason: _Reason | None = None
    action: dict[str, Any] | None = None


class _Refused(Struct):
    error: _Reason


class _Found(Struct):
    data: list[Thing]


STANDINGS: Final[Mapping[str, Outcome]] = {
    "pending": Outcome.PENDING,
    "action_needed": Outcome.PENDING,
    "authorised": Outcome.APPROVED,
    "approved": Outcome.APPROVED,
    "declined": Outcome.DECLINED,
    "cancelled": Outcome.DECLINED,
    "released": Outcome.DECLINED,
    "expired": Outcome.DECLINED,
    "failed": Outcome.DECLINED,
}
"""What the status of a thing says of the order that made it. What was let go again, or came back,
counts as not done."""

_FOR_NOW: Final = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
)
"""Refusals that say nothing of the order: it may be sent again when this is put right."""

_SETTLED: Final = frozenset({HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Refusals that the sandbox remembers by key."""

_OF_KEYS: Final = frozenset({"idempotency_key_in_use", "idempotency_key_reused"})
"""Refusals of a key that has another request, which may have been ours."""


def read_thing(thing: Thing) -> Answer:
    """What a thing says of the order that made it."""
    outcome = STANDINGS.get(thing.status)
    if outcome is None:
        return Answer(Outcome.UNKNOWN, code="status_unrecognised")
    if outcome is Outcome.DECLINED:
        reason = thing.reason or _Reason(thing.status)
        return Answer(outcome, {}, reason.code, reason.message, permanent=reason.permanent)
    result: dict[str, Any] = {
        "reference": thing.id,
        "amount": thing.amount,
        "currency": thing.currency,
    }
    if thing.action is not None:
        result["action"] = thing.action
    return Answer(outcome, result)


def read_act(answer: Response | NotSent | NoAnswer, *, repeats: bool) -> Answer:
    """What became of an order that was sent. `repeats`: it was sent before."""
    match answer:
        case NoAnswer(reason=reason):
            return Answer(Outcome.UNKNOWN, code=reason)
        case NotSent(reason=reason):
            return _refuse(reason, "", repeats=repeats, permanent=False)
        case Response(status=HTTPStatus.OK | HTTPStatus.CREATED, body=body):
            try:
                return read_thing(msgspec.json.decode(body, type=Thing))
            except (msgspec.DecodeError, UnicodeDecodeError):
                return Answer(Outcome.UNKNOWN, code="answer_unreadable")
        case Response(status=status, body=body):
            return _read_refusal(status, body, repeats=repeats)


def read_whole(answer: Response | NotSent | NoAnswer) -> Answer:
    """What a thing that was asked for by its own name says of the order that made it."""
    if isinstance(answer, Response) and answer.status == HTTPStatus.OK:
        return read_act(answer, repeats=True)
    return Answer(Outcome.UNKNOWN)


def _read_refusal(status: int, body: bytes, *, repeats: bool) -> Answer:
    try:
        error = msgspec.json.decode(body, type=_Refused).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = None
    if error is None or not 400 <= status < 500 or error.code in _OF_KEYS:  # noqa: PLR2004
        return Answer(Outcome.UNKNOWN, code=error.code if error else f"http_{status}")
    if status in _SETTLED:
        return Answer(Outcome.DECLINED, {}, error.code, error.message, permanent=error.permanent)
    return _refuse(error.code, error.message, repeats=repeats, permanent=status not in _FOR_NOW)


def _refuse(code: str, detail: str, *, repeats: bool, permanent: bool) -> Answer:
    """This request did nothing; one that was sent before may have."""
    if repeats:
        return Answer(Outcome.UNKNOWN, code=code, detail=detail)
    return Answer(Outcome.DECLINED, {}, code, detail, permanent=permanent)


def read_found(answer: Response | NotSent | NoAnswer) -> Answer:
    """What the things with an order's key say of it.

    A refusal to answer says nothing; a decline that was found is of the order itself.
    """
    if not isinstance(answer, Response):
        return Answer(Outcome.UNKNOWN, code=answer.reason)
    if answer.status != HTTPStatus.OK:
        return Answer(Outcome.UNKNOWN, code=f"http_{answer.status}")
    try:
        things = msgspec.json.decode(answer.body, type=_Found).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Answer(Outcome.UNKNOWN, code="answer_unreadable")
    told = [read_thing(thing) for thing in things]
    standing = [one for one in told if one.outcome is not Outcome.DECLINED]
    if standing:
        return standing[0]
    return told[-1]._replace(of_the_call=True) if told else Answer(Outcome.NOT_FOUND)
