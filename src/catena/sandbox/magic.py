"""The magic values: what a token, an account, a manner of webhooks or of the wire brings about.

Invariant: these tables are all that makes one charge or payout go otherwise than another, and
docs/reference/sandbox.md is drawn from them. Seconds are of the sandbox's own clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal, NamedTuple

from catena.sandbox.refusals import Refusal
from catena.sandbox.things import Destination, Method, Reason, Status

__all__ = [
    "ACCOUNTS",
    "AUTHORISED_SECONDS",
    "DECIDED_SECONDS",
    "DISPUTED_SECONDS",
    "MANNERS",
    "REASONS",
    "TOKENS",
    "WIRES",
    "Magic",
    "Manner",
    "Stage",
    "Wire",
    "find_magic",
    "find_manner",
    "find_wire",
]

SOON_SECONDS: Final = 0.02
DECIDED_SECONDS: Final = 10
"""After these, what is pending is decided, and what fails after it was paid has failed."""

DISPUTED_SECONDS: Final = 20
"""After these, a dispute is opened; after as many more it is closed."""

AUTHORISED_SECONDS: Final = 7 * 86_400
"""After these, an authorisation has expired."""

_ACTION_SECONDS: Final = 3_600
"""After these, a payer who has not acted is taken to have gone."""


def _describe(permanent: Mapping[str, str], passing: Mapping[str, str]) -> dict[str, Reason]:
    return {
        code: Reason(code, lasts, text)
        for lasts, codes in ((True, permanent), (False, passing))
        for code, text in codes.items()
    }


_CARD: Final = _describe(
    {
        "card_declined": "The bank says no, and no more.",
        "expired_card": "The card has expired.",
        "fraudulent": "The bank takes it for fraud.",
        "incorrect_cvc": "The security code is wrong.",
        "insufficient_funds": "There is not enough on the account.",
        "limit_exceeded": "It is more than the card allows.",
        "lost_card": "The card is reported lost.",
    },
    {
        "issuer_unavailable": "The bank cannot be reached.",
        "processing_error": "Something went wrong on the way.",
        "try_again_later": "Not now.",
    },
)
_BANK: Final = _describe(
    {
        "account_blocked": "The account takes nothing.",
        "account_closed": "The account is closed.",
        "account_unknown": "There is no such account.",
        "name_mismatch": "The account is somebody else's.",
    },
    {"bank_unavailable": "The bank cannot be reached."},
)
_COURSE: Final = _describe(
    {
        "action_declined": "The payer said no.",
        "action_expired": "The payer did nothing.",
        "authorisation_expired": "It was not captured in time.",
        "capture_refused": "The bank does not give what it had set aside.",
        "refund_refused": "The bank takes no refund for this card.",
    },
    {},
)
REASONS: Final[Mapping[str, Mapping[str, Reason]]] = {
    "Cards": _CARD,
    "Bank accounts": _BANK,
    "On the way": _COURSE,
}
"""By what they are about: each reason of a decline."""


class Stage(NamedTuple):
    """What becomes of a thing, so many seconds after the stage before."""

    after: float
    becomes: Status
    code: str = ""


class Magic(NamedTuple):
    """What a token or an account means. `first`: the course of the charge or payout itself.

    `capture`, `refund`: of those of the charge. `wire`: how the first request is answered.
    """

    meaning: str
    first: tuple[Stage, ...]
    capture: tuple[Stage, ...] = (Stage(0, Status.APPROVED),)
    refund: tuple[Stage, ...] = (Stage(0, Status.APPROVED),)
    wire: str = ""


class Manner(NamedTuple):
    """How events are sent. `copies` of each, `after` so many seconds.

    `stale_after`: what is not final yet, and a word of it even where there was none, comes so many
    seconds later than it should. `disguises`: the forgeries that come along.
    """

    meaning: str
    copies: int = 1
    after: int = 0
    stale_after: int = 0
    disguises: tuple[str, ...] = ()


class Wire(NamedTuple):
    """How a request is answered. `times`: how often until all is well, None: always.

    `acts`: it is done nevertheless, and one that is repeated with its key is answered in full.
    `seconds` are real ones.
    """

    meaning: str
    how: Literal["hang", "drop", "wait", "status"]
    acts: bool = False
    times: int | None = 1
    status: HTTPStatus = HTTPStatus.OK
    seconds: float = 0.0

    @property
    def comes_first(self) -> bool:
        """Whether the request is not even looked at."""
        return not self.acts and self.how != "wait"


_HANG_SECONDS: Final = 60.0

WIRES: Final[Mapping[str, Wire]] = {
    "timeout_before": Wire(
        "The first try is not answered, and nothing is done.", "hang", seconds=_HANG_SECONDS
    ),
    "timeout_after": Wire(
        "It is done, and the first try is not answered.", "hang", acts=True, seconds=_HANG_SECONDS
    ),
    "silent": Wire(
        "No try is ever answered, and nothing is done.", "hang", times=None, seconds=_HANG_SECONDS
    ),
    "dropped_before": Wire("The first connection is cut, and nothing is done.", "drop"),
    "dropped_after": Wire("It is done, and the first connection is cut.", "drop", acts=True),
    "429": Wire(
        "Three tries are told to come later; nothing is done for them.",
        "status",
        times=3,
        status=HTTPStatus.TOO_MANY_REQUESTS,
    ),
    "500": Wire(
        "Three tries are answered 500; nothing is done for them.",
        "status",
        times=3,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
    ),
    "500_after": Wire(
        "It is done, and the first try is answered 500.",
        "status",
        acts=True,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
    ),
    "slow": Wire(
        "The first try takes a second; the same key is answered 409 meanwhile.",
        "wait",
        seconds=1.0,
    ),
}
"""How a request is answered: `wires` of a method or destination, by act; and `POST /v1/faults`."""

MANNERS: Final[Mapping[str, Manner]] = {
    "": Manner("Each event is sent once, at once; again until it is answered with a 2xx."),
    "duplicated": Manner("Each event is sent three times.", copies=3),
    "reordered": Manner(
        "A `pending` event comes long after the final one; there is one in any case.",
        stale_after=3 * DECIDED_SECONDS,
    ),
    "late": Manner("Each event is sent an hour late.", after=3_600),
    "forged": Manner(
        "Before each event come three forgeries: signed by somebody else, altered after it was"
        " signed, and signed an hour ago.",
        disguises=("stranger", "altered", "stale"),
    ),
    "none": Manner("No event is sent.", copies=0),
}
"""How events are sent: `webhooks` of a method or destination."""

_APPROVED: Final = (Stage(0, Status.APPROVED),)
_PENDING: Final = (Stage(0, Status.PENDING),)


def _decide(becomes: Status, code: str = "") -> tuple[Stage, ...]:
    return (*_PENDING, Stage(DECIDED_SECONDS, becomes, code))


def _dispute(*then: Stage) -> tuple[Stage, ...]:
    return (*_APPROVED, Stage(DISPUTED_SECONDS, Status.DISPUTED), *then)


_LATER: Final = f"after {DECIDED_SECONDS} s"
_OPENED: Final = f"Approved; disputed after {DISPUTED_SECONDS} s"

TOKENS: Final[Mapping[str, Magic]] = {
    "tok_approved": Magic("Approved at once.", _APPROVED),
    "tok_pending_approved": Magic(f"Pending; approved {_LATER}.", _decide(Status.APPROVED)),
    "tok_soon_approved": Magic(
        f"Pending; approved after {SOON_SECONDS} s.",
        (*_PENDING, Stage(SOON_SECONDS, Status.APPROVED)),
    ),
    "tok_pending_declined": Magic(
        f"Pending; declined {_LATER} (`insufficient_funds`).",
        _decide(Status.DECLINED, "insufficient_funds"),
    ),
    "tok_pending": Magic("Pending for ever.", _PENDING),
    "tok_action": Magic(
        "The payer must act, at `action.url` or by `POST /v1/charges/{id}/act`; declined after an"
        " hour.",
        (
            Stage(0, Status.ACTION_NEEDED),
            Stage(_ACTION_SECONDS, Status.DECLINED, "action_expired"),
        ),
    ),
    **{
        f"tok_declined_{code}": Magic(reason.message, (Stage(0, Status.DECLINED, code),))
        for code, reason in _CARD.items()
    },
    "tok_disputed": Magic(f"{_OPENED}; undecided.", _dispute()),
    "tok_dispute_won": Magic(
        f"{_OPENED}; won as long after.", _dispute(Stage(DISPUTED_SECONDS, Status.WON))
    ),
    "tok_dispute_lost": Magic(
        f"{_OPENED}; lost as long after.", _dispute(Stage(DISPUTED_SECONDS, Status.LOST))
    ),
    "tok_capture_refused": Magic(
        "Approved; its capture is declined.",
        _APPROVED,
        capture=(Stage(0, Status.DECLINED, "capture_refused"),),
    ),
    "tok_refund_pending": Magic(
        f"Approved; its refunds are pending, approved {_LATER}.",
        _APPROVED,
        refund=_decide(Status.APPROVED),
    ),
    "tok_refund_declined": Magic(
        "Approved; its refunds are declined.",
        _APPROVED,
        refund=(Stage(0, Status.DECLINED, "refund_refused"),),
    ),
    "tok_refund_fails": Magic(
        f"Approved; its refunds are approved, and fail {_LATER}.",
        _APPROVED,
        refund=(*_APPROVED, Stage(DECIDED_SECONDS, Status.FAILED, "refund_refused")),
    ),
    **{f"tok_{name}": Magic(wire.meaning, _APPROVED, wire=name) for name, wire in WIRES.items()},
}
"""What a charge's `method.token` means."""

ACCOUNTS: Final[Mapping[str, Magic]] = {
    "acct_paid": Magic("Paid at once.", _APPROVED),
    "acct_pending_paid": Magic(f"Pending; paid {_LATER}.", _decide(Status.APPROVED)),
    "acct_pending_rejected": Magic(
        f"Pending; rejected {_LATER} (`account_closed`).",
        _decide(Status.DECLINED, "account_closed"),
    ),
    "acct_pending": Magic("Pending until it is cancelled.", _PENDING),
    "acct_rejected": Magic(
        "Rejected (`account_closed`).", (Stage(0, Status.DECLINED, "account_closed"),)
    ),
    **{
        f"acct_rejected_{code}": Magic(reason.message, (Stage(0, Status.DECLINED, code),))
        for code, reason in _BANK.items()
    },
    "acct_fails_after_paid": Magic(
        f"Paid; the money comes back {_LATER} (`account_closed`).",
        (*_APPROVED, Stage(DECIDED_SECONDS, Status.FAILED, "account_closed")),
    ),
    **{f"acct_{name}": Magic(wire.meaning, _APPROVED, wire=name) for name, wire in WIRES.items()},
}
"""What a payout's `destination.account` means."""


def find_magic(means: Method | Destination) -> Magic:
    """What these means bring about. Raises Refusal for words that no table has."""
    found = TOKENS.get(means.token) if isinstance(means, Method) else ACCOUNTS.get(means.account)
    if found is None:
        raise Refusal("unknown_magic", "There is no such token or account.")
    return found


def find_manner(means: Method | Destination) -> Manner:
    """How the events of what these means pay are sent. Raises Refusal."""
    if means.webhooks not in MANNERS:
        raise Refusal("unknown_magic", "There is no such manner of webhooks.")
    return MANNERS[means.webhooks]


def find_wire(means: Method | Destination, act: str, *, first: bool) -> Wire | None:
    """How a request for this act is answered. `first`: it is for the charge or payout itself.

    Raises Refusal.
    """
    name = means.wires.get(act) or (find_magic(means).wire if first else "")
    if name and name not in WIRES:
        raise Refusal("unknown_magic", "There is no such wire.")
    return WIRES[name] if name else None
