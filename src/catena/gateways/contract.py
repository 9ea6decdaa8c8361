"""What a gateway can be asked, and what it may say: plain data, the same for every adapter.

Invariant: an adapter answers what is certain and nothing else. Approved and declined are the
gateway's own words; whatever may or may not have been done is unknown. Nothing here moves money.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from catena.chains.step_types import Answer, Outcome
from catena.errors import CatenaError
from catena.money import check_amount, iso_currency
from catena.settings import LIMITS

__all__ = [
    "ALREADY_CAPTURED",
    "OF_CHARGES",
    "Act",
    "Capability",
    "ForgedWebhook",
    "Gateway",
    "Notice",
    "Order",
    "StatementLine",
    "StatementReader",
    "Subject",
    "UnreadableWebhook",
    "WebhookReader",
    "check_notice",
]


class Capability(StrEnum):
    """What a gateway can be asked to do. Each but the last two is a step type, `gateway.charge`."""

    CHARGE = "charge"
    """Take money from somebody's means of payment."""
    AUTHORISE = "authorise"
    """Have it set aside, to be captured later."""
    CAPTURE = "capture"
    """Take what was authorised, or a part of it; the rest is let go."""
    CANCEL = "cancel"
    """Let go what was authorised, or stop what is still on its way: approved once nothing is left
    to let go, declined once money has moved (`ALREADY_CAPTURED` where that was captured).
    """
    REFUND = "refund"
    """Give a charge back, or a part of it."""
    PAYOUT = "payout"
    """Send money to somebody."""
    WEBHOOK = "webhook"
    """It says by itself what has happened."""
    STATEMENT = "statement"
    """It lists what it has done, for reconciliation."""


ALREADY_CAPTURED: Final = "already_captured"
"""The code of a cancellation that is declined because what was authorised was captured."""


class Order(NamedTuple):
    """One call. `key` is the same for every try of it, and for looking it up.

    `amount` in minor units of `currency` (ISO 4217). `method`: how it is paid, or to whom, in the
    gateway's own words. `about`: the gateway's reference of the charge that is captured, cancelled
    or refunded. `note`: what the payer or payee reads. `first_at`: when the key was first used, for
    gateways that forget keys; `repeats`: it was sent before.
    """

    key: str
    amount: int
    currency: str
    method: Mapping[str, Any]
    about: str | None
    note: str
    chain: str
    step: str
    first_at: dt.datetime
    timeout_seconds: float
    repeats: bool = False


Act = Callable[[Order], Awaitable[Answer]]
"""Does it, or asks what has become of it. Never raises: what goes wrong is an answer.

The `result` of an approval has `reference` (the gateway's own), `amount` and `currency`; of an
order that is pending `reference`, and `action` where the payer must do something (a `url`).
"""


class Subject(StrEnum):
    """What a webhook or a statement speaks of."""

    CHARGE = "charge"
    CAPTURE = "capture"
    REFUND = "refund"
    PAYOUT = "payout"
    DISPUTE = "dispute"
    """The payer takes a charge back by way of the bank."""
    CREDIT = "credit"
    """Money came in that nobody had asked for: a bank transfer."""
    FEE = "fee"
    """What the gateway takes for itself."""


OF_CHARGES: Final = frozenset({Subject.CAPTURE, Subject.REFUND})
"""What gives back of a charge: the rest of what was held, or what was paid."""


class Notice(NamedTuple):
    """One thing that a gateway says has happened, in our words.

    `id`: the event's own; a notice is taken in once. `key`: of the order that it is about, where
    the gateway repeats it; `reference`: the gateway's own name of what it is about, `about` that of
    the charge or payout behind it. `outcome`: of the order, or of the dispute (approved: the payer
    has it back; declined: it stays with us; pending: undecided); unknown: it is time to ask.
    `permanent`: of a decline, another try would be told the same. `amount` in minor units.
    `details` is JSON: what a person or a later step may need, never a card number.
    """

    id: str
    subject: Subject
    outcome: Outcome
    at: dt.datetime
    key: str | None = None
    reference: str | None = None
    about: str | None = None
    amount: int | None = None
    currency: str | None = None
    code: str = ""
    text: str = ""
    details: Mapping[str, Any] = {}
    permanent: bool = True


class StatementLine(NamedTuple):
    """One movement on the account that a gateway or bank keeps for us.

    `amount` in minor units, positive: to us; before the fee. `fee`: what it took of it, positive.
    `reference`: its name of the charge, refund or payout. `at`: when it counts there. `about`: of
    what gives a charge back, its name of that: what we undo of our own accord goes by it.
    """

    id: str
    subject: Subject
    amount: int
    fee: int
    currency: str
    reference: str | None
    at: dt.datetime
    text: str = ""
    about: str | None = None


class ForgedWebhook(Exception):
    """The signature is missing, wrong or too old. The message says which, and repeats nothing."""


class UnreadableWebhook(Exception):
    """It is signed, and not what the gateway is documented to send."""


def check_notice(notice: Notice) -> Notice:
    """The notice, if its amount is one and its texts can be kept. Raises UnreadableWebhook."""
    names = (notice.id, notice.key, notice.reference, notice.about)
    try:
        if notice.amount is not None:
            check_amount(notice.amount)
        if notice.currency is not None:
            iso_currency(notice.currency)
        told = json.dumps([*names, notice.code, notice.text, notice.details], ensure_ascii=False)
        told.encode()
    except (CatenaError, UnicodeEncodeError):  # the latter: half of a character
        raise UnreadableWebhook("Its amount, or a text, is none.") from None
    longest = max(len(name) for name in names if name is not None)
    if "\\u0000" in told or longest > LIMITS.reference_characters:
        raise UnreadableWebhook("It has a text that nobody can keep.")
    return notice


WebhookReader = Callable[[Mapping[str, str], bytes, dt.datetime], Sequence[Notice]]
"""What a webhook says, read from the raw bytes of its body; headers with names in small letters.

Raises ForgedWebhook or UnreadableWebhook. No notice: it says nothing that concerns us.
"""

StatementReader = Callable[[dt.datetime, dt.datetime], Awaitable[Sequence[StatementLine]]]
"""What was booked from the first moment on until just before the second, in its order; what was
booked before that and told late may be there, too.
"""


def _accept(capability: Capability, method: Mapping[str, Any]) -> Iterable[str]:
    del capability, method
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A connection to a gateway: what it can do, as data, and how.

    `kind`: of adapter. `acts` do something, `look_ups` ask what has become of it by the order's key
    (the same `Order`); whatever it can do it can be asked about. `check` says in sentences why it
    would not take such a `method`, as far as can be known without asking it. `defers`: what it
    stores at once and does later: taken is pending, whether or not anybody there is reached.
    """

    name: str
    kind: str
    acts: Mapping[Capability, Act]
    look_ups: Mapping[Capability, Act]
    read_webhook: WebhookReader | None = None
    read_statement: StatementReader | None = None
    check: Callable[[Capability, Mapping[str, Any]], Iterable[str]] = field(default=_accept)
    defers: frozenset[Capability] = frozenset()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that it can be asked."""
        more = {
            Capability.WEBHOOK: self.read_webhook is not None,
            Capability.STATEMENT: self.read_statement is not None,
        }
        return frozenset(self.acts) | {one for one, has in more.items() if has}
