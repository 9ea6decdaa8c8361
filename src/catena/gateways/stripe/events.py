"""What Stripe's events say, in our words: a table of what each type is about and how it is read.

Source: "Types of events", "The Event object", "How disputes work". An event is a picture of the
moment when it was made, and comes in any order: of an intent that has failed it only says that it
is time to ask, since that intent can still succeed until it is canceled.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from catena.chains.step_types import Outcome
from catena.gateways.contract import Notice, Subject, UnreadableWebhook, check_notice
from catena.gateways.stripe.amounts import Unrepresentable, from_stripe
from catena.gateways.stripe.capture import CAPTURE_KEY
from catena.gateways.stripe.intents import describe_charge, find_action, find_reason, sum_up
from catena.gateways.stripe.keyed import KEY
from catena.gateways.stripe.objects import (
    Object,
    list_of,
    number_of,
    part_of,
    read,
    reference_of,
    text_of,
)
from catena.gateways.stripe.refund import FAILED

__all__ = ["EVENTS", "read_event"]


class _Said(NamedTuple):
    """What an object says. `amount` in Stripe's minor units."""

    subject: Subject
    outcome: Outcome
    amount: int | None
    key: str = ""
    about: str = ""
    code: str = ""
    text: str = ""
    details: Mapping[str, Any] = {}


class _Event(NamedTuple):
    """How a type of event is read: `kind` of the object that it holds, and what that
    says; None: nothing.
    """

    kind: str
    read: Callable[[Object], _Said | None]


def _read_succeeded(intent: Object) -> _Said:
    """Money was taken: by the charge itself, or by the capture of what it had set aside."""
    captured = text_of(intent, "capture_method") == "manual"
    key = text_of(part_of(intent, "metadata"), CAPTURE_KEY if captured else KEY)
    received = number_of(intent, "amount_received")
    amount = received if received is not None else number_of(intent, "amount")
    subject = Subject.CAPTURE if captured else Subject.CHARGE
    about = text_of(intent, "id") if captured else ""
    outcome = Outcome.APPROVED if text_of(intent, "status") == "succeeded" else Outcome.UNKNOWN
    return _Said(subject, outcome, amount, key, about, details=describe_charge(intent))


def _read_held(intent: Object) -> _Said | None:
    """What was to be set aside is, unless it has been captured or let go by now."""
    waits = text_of(intent, "status") == "requires_capture"
    return _read_intent(intent, Outcome.APPROVED) if waits else None


def _read_intent(intent: Object, outcome: Outcome) -> _Said:
    """How the charge stands that made this intent."""
    key = text_of(part_of(intent, "metadata"), KEY)
    amount, details = number_of(intent, "amount"), describe_charge(intent)
    if outcome is Outcome.APPROVED:
        return _Said(Subject.CHARGE, outcome, amount, key, details=details)
    if outcome is Outcome.PENDING:
        action = {"action": find_action(intent)} if part_of(intent, "next_action") else {}
        return _Said(Subject.CHARGE, outcome, amount, key, details={**details, **action})
    code, text, _ = find_reason(intent)
    details |= sum_up(intent, ("capture_method", "cancellation_reason"))
    return _Said(Subject.CHARGE, outcome, amount, key, "", code, text, details)


def _read_refund(refund: Object) -> _Said:
    """How a refund stands; one that failed after it had succeeded says so in the same way."""
    status = text_of(refund, "status")
    outcome = {"succeeded": Outcome.APPROVED}.get(status, Outcome.PENDING)
    if status in FAILED:
        outcome = Outcome.DECLINED
    code = text_of(refund, "failure_reason") or status if status in FAILED else ""
    return _Said(
        Subject.REFUND,
        outcome,
        number_of(refund, "amount"),
        text_of(part_of(refund, "metadata"), KEY),
        reference_of(refund, "payment_intent") or reference_of(refund, "charge"),
        code,
        details=sum_up(refund, ("charge", "reason", "pending_reason")),
    )


def _read_dispute(dispute: Object, outcome: Outcome) -> _Said:
    """What a payer's bank takes back, or gives back to us. Stripe's fee for it is in the details:
    it stays taken even where the money comes back.
    """
    card = part_of(dispute, "payment_method_details", "card")
    fees = [number_of(one, "fee") or 0 for one in list_of(dispute, "balance_transactions")]
    details = {
        **sum_up(dispute, ("charge", "status")),
        **sum_up(card, ("case_type", "network_reason_code")),
        **sum_up(part_of(dispute, "evidence_details"), ("due_by",)),
        "fee": sum(fees),
    }
    about = reference_of(dispute, "payment_intent") or reference_of(dispute, "charge")
    reason = text_of(dispute, "reason")
    amount = number_of(dispute, "amount")
    return _Said(Subject.DISPUTE, outcome, amount, "", about, reason, "", details)


def _intent(outcome: Outcome) -> _Event:
    return _Event("payment_intent", lambda intent: _read_intent(intent, outcome))


def _dispute(outcome: Outcome) -> _Event:
    return _Event("dispute", lambda dispute: _read_dispute(dispute, outcome))


EVENTS: Final[Mapping[str, _Event]] = {
    "payment_intent.succeeded": _Event("payment_intent", _read_succeeded),
    "payment_intent.amount_capturable_updated": _Event("payment_intent", _read_held),
    "payment_intent.processing": _intent(Outcome.PENDING),
    "payment_intent.requires_action": _intent(Outcome.PENDING),
    "payment_intent.payment_failed": _intent(Outcome.UNKNOWN),
    "payment_intent.canceled": _intent(Outcome.DECLINED),
    "refund.created": _Event("refund", _read_refund),
    "refund.updated": _Event("refund", _read_refund),
    "refund.failed": _Event("refund", _read_refund),
    "charge.dispute.created": _dispute(Outcome.PENDING),
    "charge.dispute.funds_withdrawn": _dispute(Outcome.APPROVED),
    "charge.dispute.funds_reinstated": _dispute(Outcome.DECLINED),
}
"""What we listen to. Others say the same again, or nothing about money: `charge.refunded` has sums
and no refund in it, and `charge.dispute.closed` moves nothing.
"""


def read_event(body: bytes, *, is_live: bool) -> list[Notice]:
    """What an event says; nothing for a type that we do not listen to. Raises UnreadableWebhook.

    `is_live`: it must be of real money, or must not.
    """
    event = read(body)
    id, type = text_of(event, "id"), text_of(event, "type")
    if event.get("object") != "event" or not id or not type:
        raise UnreadableWebhook("It is no event.")
    if event.get("livemode") is not is_live:
        raise UnreadableWebhook("It is an event of another mode, live or test, than our key.")
    known = EVENTS.get(type)
    if known is None:
        return []
    whole = part_of(event, "data", "object")
    reference = text_of(whole, "id")
    if whole.get("object") != known.kind or not reference:
        raise UnreadableWebhook("Its object is not of the kind that its type says.")
    said = known.read(whole)
    if said is None:
        return []
    currency = text_of(whole, "currency").upper()
    if said.amount is None or not currency:
        raise UnreadableWebhook("It names no amount.")
    try:
        amount = from_stripe(said.amount, currency)
    except Unrepresentable:
        raise UnreadableWebhook("Its amount is not one of its currency.") from None
    notice = Notice(
        id,
        said.subject,
        said.outcome,
        _read_time(event),
        said.key or None,
        reference,
        said.about or None,
        amount,
        currency,
        said.code,
        said.text,
        said.details,
    )
    return [check_notice(notice)]


def _read_time(event: Object) -> dt.datetime:
    """When the event was made."""
    created = number_of(event, "created")
    try:
        return dt.datetime.fromtimestamp(created or 0, dt.UTC)
    except (OverflowError, OSError, ValueError):
        raise UnreadableWebhook("It says no time that there is.") from None
