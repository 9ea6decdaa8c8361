"""The types of steps' inputs, by name, and models that are made of tables of inputs.

Invariant: an input of one name is of one type, whatever step has it; what is a constant is checked
here like the same field of a transfer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, create_model, model_validator

from catena.api.bodies import (
    STEP_PATTERN,
    AccountId,
    Amount,
    Body,
    CurrencyCode,
    JsonValue,
    LineRole,
    Metadata,
    RateText,
    SearchReference,
    Seconds,
    Text,
    Through,
    id_pattern,
    name_one_account,
    or_expression,
)
from catena.api.fees import Fees
from catena.chains.step_types import HTTP_METHODS, Input
from catena.ids import ENTRY
from catena.ledger.accounts import Side
from catena.settings import LIMITS

__all__ = ["StepName", "make_inputs"]

StepName = Annotated[
    str,
    StringConstraints(pattern=STEP_PATTERN),
    Field(description="A step's name; of a group's step, the group's before a dot."),
]


class LineInput(Body):
    """One debit or credit of a free entry."""

    account_id: or_expression(AccountId) | None = None  # type: ignore[valid-type]  # made of one
    role: LineRole | None = None
    side: Side
    amount: or_expression(Amount)  # type: ignore[valid-type]
    currency: CurrencyCode

    _names_one = model_validator(mode="after")(name_one_account)


_LINES: Final = Annotated[list[LineInput], Field(min_length=2, max_length=LIMITS.entry_lines)]
_EntryId = Annotated[str, StringConstraints(pattern=id_pattern(ENTRY))]
_EntryType = Literal["adjustment", "transfer", "fee", "deposit", "withdrawal"]

_Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LIMITS.url_characters, pattern=r"^[^\x00]*$"),
]

_CONSTANTS: Final[Mapping[str, Any]] = {
    "source_account_id": AccountId,
    "destination_account_id": AccountId,
    "account_id": AccountId,
    "fee_account_id": AccountId,
    "amount": Amount,
    "source_amount": Amount,
    "destination_amount": Amount,
    "currency": CurrencyCode,
    "source_currency": CurrencyCode,
    "destination_currency": CurrencyCode,
    "rate": RateText,
    "fees": Fees,
    "through": Through,
    "lien": Annotated[StepName, Field(description="The step that made the lien.")],
    "pool_only": Annotated[bool, Field(description="Spend nothing but what is under lien.")],
    "lines": _LINES,
    "entry_type": _EntryType,
    "entry_id": _EntryId,
    "description": Text,
    "reference": SearchReference,
    "metadata": Metadata,
    "url": Annotated[_Url, Field(examples=["https://partner.example/charges"])],
    "method": Annotated[
        Literal[HTTP_METHODS],  # of a table
        Field(description="Left out: POST."),
    ],
    "look_up_url": Annotated[
        _Url,
        Field(
            description="Asked with GET what has become of a call, with its Idempotency-Key. Left"
            " out: the same request is sent again."
        ),
    ],
    "cancel_url": Annotated[
        _Url,
        Field(description="A partner that has not decided is asked here, with POST, to give up."),
    ],
    "expires_seconds": Seconds,
    "on_expiry": Literal["fail", "continue"],
    "signal": Annotated[StepName, Field(description="Left out: the step's own name.")],
    "seconds": Seconds,
    "correlation": Text,
}
"""The type of an input's constants, by its name."""

_ANYWHERE: Final[Mapping[str, Any]] = {
    "body": Annotated[
        JsonValue,
        Field(
            description="Sent as JSON. Any JSON with whole numbers; it, or any part of it, can be"
            " an expression.",
            examples=[{"amount": {"cel": "steps.pay.amount"}}],
        ),
    ]
}
"""Inputs that have expressions within them, by name."""


def _input_type(name: str, wanted: Input) -> tuple[Any, Any]:
    kind = _ANYWHERE.get(name)
    if kind is None:
        constant = _CONSTANTS[name]
        kind = constant if wanted.constant else or_expression(constant)
    return (kind, ...) if wanted.required else (kind | None, None)


def make_inputs(title: str, table: Mapping[str, Input], about: str | None = None) -> Any:  # noqa: ANN401  # a model
    """The model of a table of inputs, of this name."""
    fields: Any = {name: _input_type(name, wanted) for name, wanted in table.items()}
    return create_model(title, __base__=Body, __doc__=about, **fields)
