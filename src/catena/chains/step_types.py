"""The step types: what each takes and gives, and the contract of those that call somebody.

A type that is not built in is a plugin: a `StepType` and an `Outside`, registered by entry point
(group `catena.steps`). The contract is plain data, so that who calls the outside needs no money.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from catena.chains.expressions import Kind, is_expression
from catena.settings import LIMITS

__all__ = [
    "BUILT_IN",
    "HTTP",
    "HTTP_METHODS",
    "NOTHING",
    "Answer",
    "Call",
    "Catalogue",
    "Direction",
    "Fault",
    "Input",
    "Outcome",
    "Outside",
    "StepType",
]


class Input(NamedTuple):
    """One input. `constant`: no expression is allowed, since it is needed when a chain is made.
    `characters`: the longest text that it takes; an empty one it does not take then.
    """

    kind: Kind
    required: bool = True
    constant: bool = False
    characters: int | None = None


class StepType(NamedTuple):
    """What a type takes and gives. `undoes`: a committed step needs undoing by another call, so
    each has a compensation or is the pivot. `undo`: what a compensation takes, over the results of
    its own step, too; empty where the type's own check says what it may be. `always`: results that
    no step lacks that was done; `repeats`: those that are the inputs of the same names.
    """

    name: str
    inputs: Mapping[str, Input]
    results: Mapping[str, Kind]
    undoes: bool = False
    undo: Mapping[str, Input] = {}
    always: frozenset[str] = frozenset()
    repeats: frozenset[str] = frozenset()

    def gives(self, result: Mapping[str, Any]) -> bool:
        """Whether what expressions may ask for is of its kind; an undo may need more than that."""
        return all(self.results.get(name, Kind.ANY).holds(value) for name, value in result.items())

    def complete(
        self, inputs: Mapping[str, Any], result: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """What a step with these inputs gave, where somebody tells it who may leave out what was
        asked for anyway; None: it is of another kind, differs from that, or lacks something.
        """
        asked = {name: inputs[name] for name in self.repeats if not is_expression(inputs[name])}
        whole = {**asked, **result}
        fits = self.always <= whole.keys() and asked.items() <= whole.items()
        return whole if fits and self.gives(whole) else None


class Fault(NamedTuple):
    """What is wrong with a step, and with which part: `inputs/url`, `compensation`."""

    part: str
    text: str


NOTHING: Final[Mapping[str, Any]] = {"type": "none"}
"""The compensation that says: nothing needs undoing."""


class Direction(StrEnum):
    """What a call is for."""

    FORWARD = "forward"
    LOOK_UP = "look_up"
    """Ask what has become of the forward call with this key."""
    CANCEL = "cancel"
    """Ask an undecided partner to give up; its final answer decides."""
    UNDO = "undo"
    UNDO_LOOK_UP = "undo_look_up"

    @property
    def is_forward(self) -> bool:
        """Whether it is about doing, and not about undoing."""
        return self not in (Direction.UNDO, Direction.UNDO_LOOK_UP)

    @property
    def asks(self) -> bool:
        """Whether it asks about a call, and makes none."""
        return self not in (Direction.FORWARD, Direction.UNDO)


class Call(NamedTuple):
    """A call to be made, with no transaction open. `key` is the same for every try of one round.

    `compensation` are the step's own words for undoing it; `result` what the step gave, for an
    undo. Not after `deadline`. The key was first sent at `first_at`; `repeats`: before this call.
    """

    ledger: str
    chain: str
    step: str
    type: str
    direction: Direction
    key: str
    attempt: int
    inputs: Mapping[str, Any]
    compensation: Mapping[str, Any] | None
    result: Mapping[str, Any]
    deadline: dt.datetime
    timeout_seconds: float
    first_at: dt.datetime
    repeats: bool = False


class Outcome(StrEnum):
    """What a partner said. Three different answers, and two more."""

    APPROVED = "approved"
    DECLINED = "declined"
    """Certainly nothing was done."""
    UNKNOWN = "unknown"
    """It may or may not have acted."""
    PENDING = "pending"
    """It has taken it and will say."""
    NOT_FOUND = "not_found"
    """To a look-up: it never saw the key."""


class Answer(NamedTuple):
    """A partner's answer. `permanent`: it will say the same again. `result` is JSON.

    To a look-up or a cancellation a refusal for now says as little as no answer, unless it is
    certainly `of_the_call`, and not of the question.
    """

    outcome: Outcome
    result: Mapping[str, Any] = {}
    code: str = ""
    detail: str = ""
    permanent: bool = True
    of_the_call: bool = False


class Outside(Protocol):
    """Who carries out the calls of a type. Never raises: what goes wrong is an Answer.

    One that is an async context manager, too, is entered before a process makes its first call, and
    left when it stops, after the last.
    """

    type: StepType

    def check(
        self, inputs: Mapping[str, Any], compensation: Mapping[str, Any] | None, ledger_id: str
    ) -> Iterable[Fault]:
        """Why a step cannot ask for this, beside what its type says of both: known inputs of the
        right kinds, or expressions. `compensation`: None where there is nothing to undo.
        `ledger_id`: whose chain it is of.
        """

    async def call(self, call: Call) -> Answer:
        """Make a call."""


_ACCOUNT: Final = Input(Kind.STRING)
_ENTRY: Final = Input(Kind.STRING, constant=True)
_AMOUNT: Final = Input(Kind.INT)
_CURRENCY: Final = Input(Kind.STRING, constant=True)
_TEXT: Final = Input(Kind.STRING, required=False)
_LIEN: Final = Input(Kind.STRING, required=False, constant=True)
_FLAG: Final = Input(Kind.BOOL, required=False, constant=True)
_CONSTANT: Final = Input(Kind.ANY, required=False, constant=True)

_SHORT: Final = _TEXT._replace(characters=LIMITS.text_characters)

_SAID: Final = {
    "description": _SHORT,
    "reference": _TEXT._replace(characters=LIMITS.reference_characters),
    "metadata": _CONSTANT,
}
_SPENDING: Final = {"lien": _LIEN, "pool_only": _FLAG}
_MOVED: Final = {"amount": Kind.INT, "currency": Kind.STRING}


BUILT_IN: Final[Mapping[str, StepType]] = {
    type.name: type
    for type in (
        StepType(
            "transfer",
            {
                "source_account_id": _ACCOUNT,
                "destination_account_id": _ACCOUNT,
                "amount": _AMOUNT,
                "currency": _CURRENCY,
                "fees": _CONSTANT,
                **_SPENDING,
                **_SAID,
            },
            _MOVED,
        ),
        StepType(
            "deposit",
            {
                "account_id": _ACCOUNT,
                "amount": _AMOUNT,
                "currency": _CURRENCY,
                "through": _CONSTANT,
                "fees": _CONSTANT,
                **_SAID,
            },
            _MOVED,
        ),
        StepType(
            "withdrawal",
            {
                "account_id": _ACCOUNT,
                "amount": _AMOUNT,
                "currency": _CURRENCY,
                "through": _CONSTANT,
                "fees": _CONSTANT,
                **_SPENDING,
                **_SAID,
            },
            _MOVED,
        ),
        StepType(
            "fee",
            {
                "account_id": _ACCOUNT,
                "amount": _AMOUNT,
                "currency": _CURRENCY,
                "fee_account_id": _ACCOUNT._replace(required=False),
                **_SPENDING,
                **_SAID,
            },
            _MOVED,
        ),
        StepType(
            "exchange",
            {
                "source_account_id": _ACCOUNT,
                "destination_account_id": _ACCOUNT,
                "source_currency": _CURRENCY,
                "destination_currency": _CURRENCY,
                "rate": Input(Kind.STRING),
                "source_amount": _AMOUNT._replace(required=False),
                "destination_amount": _AMOUNT._replace(required=False),
                **_SPENDING,
                **_SAID,
            },
            {"source_amount": Kind.INT, "destination_amount": Kind.INT},
        ),
        StepType(
            "entry",
            {"lines": Input(Kind.ANY), "entry_type": _CONSTANT, **_SPENDING, **_SAID},
            {},
        ),
        StepType("reversal", {"entry_id": _ENTRY, **_SAID}, {}),
        StepType("refund", {"entry_id": _ENTRY, "amount": _AMOUNT, **_SAID}, {"amount": Kind.INT}),
        StepType(
            "capture",
            {
                "lien": _LIEN._replace(required=True),
                "destination_account_id": _ACCOUNT,
                "amount": _AMOUNT,
                "currency": _CURRENCY,
                "fees": _CONSTANT,
                **_SAID,
            },
            _MOVED,
        ),
        StepType(
            "lien.reserve",
            {
                "account_id": _ACCOUNT,
                "amount": _AMOUNT,
                "currency": _CURRENCY._replace(required=False),
                "expires_seconds": _CONSTANT,
                "on_expiry": _CONSTANT,
            },
            {"amount": Kind.INT},
        ),
        StepType(
            "lien.extend",
            {
                "lien": _LIEN._replace(required=True),
                "expires_seconds": _CONSTANT._replace(required=True),
            },
            {},
        ),
        StepType("lien.release", {"lien": _LIEN._replace(required=True)}, {"amount": Kind.INT}),
        StepType(
            "wait",
            {"signal": _LIEN, "seconds": _CONSTANT, "correlation": _SHORT},
            {"payload": Kind.ANY},
        ),
        StepType("chain", {}, {}),
    )
}
"""The types that need nobody outside."""


HTTP_METHODS: Final = ("DELETE", "PATCH", "POST", "PUT")
"""The methods that have an effect."""

_METHOD: Final = Input(Kind.STRING, required=False, constant=True)
_BODY: Final = Input(Kind.ANY, required=False)
_URL: Final = Input(Kind.STRING, characters=LIMITS.url_characters)
_OTHER_URL: Final = _URL._replace(required=False)

HTTP: Final = StepType(
    "http",
    {
        "url": _URL,
        "method": _METHOD,
        "body": _BODY,
        "look_up_url": _OTHER_URL,
        "cancel_url": _OTHER_URL,
    },
    {"status": Kind.INT, "body": Kind.ANY},
    undoes=True,
    undo={"url": _URL, "method": _METHOD, "body": _BODY, "look_up_url": _OTHER_URL},
)
"""The type that calls a partner over HTTP; who carries it out is the engine's."""


class Catalogue:
    """Every step type of an installation."""

    def __init__(self, outside: Iterable[Outside] = ()) -> None:
        self.outside = {one.type.name: one for one in outside}
        self.types = {**BUILT_IN, **{name: one.type for name, one in self.outside.items()}}

    def find(self, name: str) -> StepType | None:
        """The type with this name, if there is one."""
        return self.types.get(name)
