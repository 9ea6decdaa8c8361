"""What the sandbox keeps: charges, captures, cancellations, refunds, payouts, disputes, events.

Invariant: amounts are positive minor units of the thing's currency, times are of the sandbox's own
clock. A thing is shown as it is kept; nothing in it is secret.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from msgspec import Raw, Struct, field

__all__ = [
    "Cancellation",
    "Capture",
    "Charge",
    "Delivery",
    "Destination",
    "Dispute",
    "Effect",
    "Endpoint",
    "Event",
    "Method",
    "Payout",
    "Planned",
    "Reason",
    "Refund",
    "Status",
    "Thing",
]


class Status(StrEnum):
    """How a thing stands. A change to any of them is an event, `charge.approved`."""

    PENDING = "pending"
    """Taken, and not decided."""
    ACTION_NEEDED = "action_needed"
    """The payer must do something, at the charge's `action.url`."""
    AUTHORISED = "authorised"
    """Set aside, to be captured."""
    APPROVED = "approved"
    """Done: the money has moved."""
    DECLINED = "declined"
    """Nothing was done, and `reason` says why."""
    CANCELLED = "cancelled"
    """It was stopped before it was decided: nothing was done."""
    RELEASED = "released"
    """An authorisation, let go by a cancellation."""
    EXPIRED = "expired"
    """An authorisation that nobody captured in time."""
    FAILED = "failed"
    """It had been approved, and the money came back."""
    OPENED = "opened"
    """A dispute: the payer's bank has taken the money back."""
    WON = "won"
    """A dispute: the money came back to us."""
    LOST = "lost"
    """A dispute: the payer keeps it."""
    DISPUTED = "disputed"
    """Only in a plan: the charge's payer opens a dispute."""


class Reason(Struct, frozen=True):
    """Why not. `permanent`: another try will be told the same."""

    code: str
    permanent: bool
    message: str


class Planned(Struct, frozen=True):
    """What will become of a thing, unless something else does before."""

    at: dt.datetime
    becomes: Status
    code: str = ""


class Method(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a charge is paid. `token`, `webhooks` and the values of `wires` are magic."""

    type: str
    token: str
    webhooks: str = ""
    wires: dict[str, str] = {}


class Destination(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whom a payout goes to. `account`, `webhooks` and the values of `wires` are magic."""

    type: str
    account: str
    holder: str = ""
    webhooks: str = ""
    wires: dict[str, str] = {}


class Thing(Struct, kw_only=True, tag_field="object"):
    """What all have. `key`: the Idempotency-Key that it was made with; none for a dispute.

    `about`: the charge or payout that it is about. `plan`: what will become of it, in order.
    """

    id: str
    key: str | None
    status: Status
    amount: int
    currency: str
    created: dt.datetime
    about: str | None = None
    reason: Reason | None = None
    note: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    plan: list[Planned] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The word that it is tagged with."""
        return str(self.__struct_config__.tag)


class Charge(Thing, kw_only=True, tag="charge"):
    """Money from a payer. `captured`, `refunded` and `disputed` are sums, in minor units."""

    method: Method
    capture: bool = True
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    action: dict[str, str] | None = None

    @property
    def left(self) -> int:
        """What of it can still be given back."""
        return self.captured - self.refunded - self.disputed


class Capture(Thing, kw_only=True, tag="capture"):
    """The taking of what was authorised, or of a part."""


class Cancellation(Thing, kw_only=True, tag="cancellation"):
    """The stopping of what is on its way, or the letting go of what was authorised."""


class Refund(Thing, kw_only=True, tag="refund"):
    """Money back to the payer."""


class Payout(Thing, kw_only=True, tag="payout"):
    """Money to somebody."""

    destination: Destination


class Dispute(Thing, kw_only=True, tag="dispute"):
    """A payer takes a charge back by way of the bank."""


class Effect(Struct, frozen=True, kw_only=True):
    """What was really done, once and for ever: a line of the statement.

    `amount`: in minor units, positive: to us; 0 for an authorisation. `fee`: what was taken of it.
    `about`: the charge or payout behind it.
    """

    id: str
    type: str
    key: str | None
    reference: str
    about: str | None
    amount: int
    fee: int
    currency: str
    at: dt.datetime


class Endpoint(Struct, frozen=True, kw_only=True, tag="webhook_endpoint", tag_field="object"):
    """Where events are sent, and the secret that signs them there."""

    id: str
    url: str
    secret: str


class Delivery(Struct, kw_only=True):
    """The sending of one event to one endpoint. `disguise`: what is wrong with it, on purpose.

    `status`: waiting, delivered or given_up; `answer`: the last status, or why there was none.
    """

    id: str
    event: str
    endpoint: str
    due: dt.datetime
    disguise: str = ""
    attempts: int = 0
    status: str = "waiting"
    answer: str = ""


class Event(Struct, frozen=True, kw_only=True, tag="event", tag_field="object"):
    """Something has happened. `data`: the thing as it was then, in JSON."""

    id: str
    type: str
    created: dt.datetime
    data: Raw
