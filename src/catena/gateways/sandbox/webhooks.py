"""What the sandbox's webhooks say, in our words.

Invariant: nothing is read before the signature of the raw bytes has been verified, and nothing of
what was sent is repeated in what is raised.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from catena.chains.step_types import Outcome
from catena.gateways.contract import (
    ForgedWebhook,
    Notice,
    Subject,
    UnreadableWebhook,
    check_notice,
)
from catena.gateways.sandbox.calls import STANDINGS, Thing
from catena.outside.signing import verify

__all__ = ["read_webhook"]


class _Event(Struct):
    id: str
    type: str
    created: dt.datetime
    data: Thing


_SUBJECTS: Final = {
    "charge": Subject.CHARGE,
    "capture": Subject.CAPTURE,
    "refund": Subject.REFUND,
    "payout": Subject.PAYOUT,
    "dispute": Subject.DISPUTE,
}
"""What the first word of an event's type speaks of; other events are no concern of ours."""

_DISPUTES: Final = {
    "opened": Outcome.PENDING,
    "won": Outcome.DECLINED,
    "lost": Outcome.APPROVED,
}
"""What the second word says of a dispute, seen from the payer; of all others see STANDINGS."""

_TAKES: Final = "dispute.opened"
"""An event that says two things: a dispute is open, and its money is with the payer's bank."""


def read_webhook(
    secret: bytes,
    tolerance: dt.timedelta,
    headers: Mapping[str, str],
    body: bytes,
    now: dt.datetime,
) -> Sequence[Notice]:
    """The notices of one webhook. Raises ForgedWebhook or UnreadableWebhook."""
    if not verify(secret, headers, body, now, tolerance):
        raise ForgedWebhook("The signature is missing, wrong or too old.")
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnreadableWebhook("It is no event of the sandbox.") from None
    word, _, status = event.type.partition(".")
    subject = _SUBJECTS.get(word)
    outcomes = _DISPUTES if subject is Subject.DISPUTE else STANDINGS
    if subject is None or status not in outcomes:
        return ()
    thing = event.data
    reason = thing.reason
    told = Notice(
        id=event.id,
        subject=subject,
        outcome=outcomes[status],
        at=event.created,
        key=thing.key,
        reference=thing.id,
        about=thing.about,
        amount=thing.amount,
        currency=thing.currency,
        code=reason.code if reason else "" if _is_plain(status) else status,
        text=reason.message if reason else "",
        details=_tell_more(status, thing),
        permanent=reason is None or reason.permanent,
    )
    notice = check_notice(told)
    if event.type != _TAKES:
        return (notice,)
    return (notice, notice._replace(id=f"{event.id}.taken", outcome=Outcome.APPROVED))


def _is_plain(status: str) -> bool:
    """Whether the outcome says all that there is to say."""
    return STANDINGS.get(status) is not Outcome.DECLINED


def _tell_more(status: str, thing: Thing) -> dict[str, Any]:
    more: dict[str, Any] = {"status": status}
    if thing.action is not None:
        more["action"] = thing.action
    return more
