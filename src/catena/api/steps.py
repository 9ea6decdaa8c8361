"""Steps of chains as requests name them: a model for each built-in type, one for all others.

Invariant: the models are made of the table of step types, so that neither has an input that the
other lacks; what is a constant is checked here like the same field of a transfer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Union

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, create_model

from catena.api.bodies import (
    Body,
    JsonObject,
    Metadata,
    SearchReference,
    Seconds,
    Text,
    id_pattern,
)
from catena.api.inputs import StepName, make_inputs
from catena.auth.scopes import Scope
from catena.chains.definition import Family, family_of
from catena.chains.step_types import BUILT_IN, HTTP, Input, StepType
from catena.engine.stray import STRAY_TYPE
from catena.flows.lines import OURS
from catena.ids import LEDGER
from catena.settings import LIMITS

__all__ = [
    "HOLD_TYPE",
    "MODELS",
    "TYPE_PATTERN",
    "AnyStep",
    "ChainCancel",
    "ChainStartStep",
    "ChainType",
    "ChainUndo",
    "GroupStep",
    "LinkRequest",
    "OutsideStep",
    "PlanRequest",
    "RetryRequest",
    "StepBody",
    "StepName",
    "scope_of",
]

_NAMES: Final = r"^[a-z][a-z0-9_]{0,39}$"
_TYPES: Final = r"^[a-z][a-z0-9_.]{0,59}$"

_OwnName = Annotated[
    str,
    StringConstraints(pattern=_NAMES),
    Field(description="Unique within the chain, or within its group.", examples=["pay"]),
]
_Cel = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LIMITS.expression_characters, pattern=r"^[^\x00]*$"),
]


def _how_many(value: object) -> str:
    return "<many>" if isinstance(value, list) else "<one>"


_Conditions = Annotated[
    Annotated[_Cel, Tag("<one>")]
    | Annotated[list[_Cel], Field(min_length=1, max_length=LIMITS.step_conditions), Tag("<many>")],
    Discriminator(_how_many),
    Field(
        description="CEL: all must be true, else the step is skipped.",
        examples=["steps.check.state == 'completed'"],
    ),
]


class LinkRequest(Body):
    """A step that comes first, and how far it must be."""

    step: StepName
    phase: Annotated[
        Literal["completed", "accepted"],
        Field(description="accepted: the partner has taken it, its outcome may be open."),
    ] = "completed"


def _link_kind(value: object) -> str:
    return "<many>" if isinstance(value, dict | LinkRequest) else "<one>"


_Link = Annotated[
    Annotated[StepName, Tag("<one>")] | Annotated[LinkRequest, Tag("<many>")],
    Discriminator(_link_kind),
]


class RetryRequest(Body):
    """When a step that was refused for now is tried again: backoff that doubles, full jitter."""

    attempts: Annotated[int, Field(ge=1, le=LIMITS.step_attempts)]
    first_seconds: Seconds = 1.0
    cap_seconds: Seconds = 60.0
    never: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,80}$")]] | None,
        Field(max_length=50, description="Codes of refusals that are final at once."),
    ] = None


class StepBody(Body):
    """What every step has."""

    name: _OwnName
    depends_on: Annotated[
        list[_Link] | None,
        Field(
            max_length=LIMITS.chain_steps,
            description="Steps that come first; left out: the one before it in the list. An empty"
            " list: none.",
        ),
    ] = None
    when: _Conditions | None = None


class _Tried(StepBody):
    """What is tried again."""

    retry: RetryRequest | None = None
    timeout_seconds: Annotated[
        Seconds | None, Field(description="From its first attempt; then it has failed.")
    ] = None


class _Ledger(_Tried):
    """A step that posts."""

    pivot: Annotated[
        bool, Field(description="It is never undone; after it the chain only goes forward.")
    ] = False


class _Wait(StepBody):
    """A step that waits."""

    timeout_seconds: Seconds | None = None
    on_timeout: Annotated[
        Literal["fail", "continue"], Field(description="What the end of its time means.")
    ] = "fail"


class _Calling(_Tried):
    """A step that calls a partner: it has a compensation, or is the pivot."""

    pivot: Annotated[
        bool, Field(description="It is never undone; after it the chain only goes forward.")
    ] = False


class NoUndo(Body):
    """Nothing that the step does needs undoing."""

    type: Literal["none"]


class OutsideStep(_Tried):
    """A step that calls somebody, of a type that was installed. Inputs are the type's own; any of
    them, and any part of one, can be an expression.
    """

    type: Annotated[
        str,
        StringConstraints(pattern=_TYPES),
        Field(
            json_schema_extra={"not": {"enum": sorted({*BUILT_IN, HTTP.name, "chain.start"})}},
            examples=["shipping.book"],
        ),
    ]
    inputs: JsonObject | None = None
    compensation: Annotated[
        JsonObject | None,
        Field(description='What undoes it, in its type\'s words; {"type": "none"}: nothing.'),
    ] = None
    pivot: bool = False


def _refuse_ours(type: str) -> str:
    if type in _MADE or type.startswith(OURS):
        raise ValueError("Chains of this type are made by Catena alone")
    return type


HOLD_TYPE: Final = "hold"
"""The type of the chains that are holds; no other chain has it."""

_MADE: Final = (HOLD_TYPE, STRAY_TYPE)

TYPE_PATTERN: Final = r"^[a-z][a-z0-9_.-]{0,59}$"

ChainType = Annotated[
    str,
    StringConstraints(pattern=TYPE_PATTERN),
    AfterValidator(_refuse_ours),
    Field(
        description="The caller's own kind of chain.",
        examples=["purchase"],
        json_schema_extra={
            "not": {"anyOf": [{"enum": [*_MADE]}, {"pattern": f"^{re.escape(OURS)}"}]}
        },
    ),
]


class PlanRequest(Body):
    """A chain of its own. Its inputs may be expressions, over what this chain's steps gave."""

    type: ChainType = "chain"
    reference: SearchReference | None = None
    description: Text | None = None
    metadata: Metadata | None = None
    timeout_seconds: Seconds | None = None
    steps: Annotated[list[AnyStep], Field(min_length=1, max_length=LIMITS.chain_steps)]


class ChainStartInputs(Body):
    """Which chain, and where."""

    ledger_id: Annotated[
        str | None,
        StringConstraints(pattern=id_pattern(LEDGER)),
        Field(description="Left out: this ledger."),
    ] = None
    chain: PlanRequest


class ChainUndo(Body):
    """Another chain makes good what the first one did."""

    chain: PlanRequest


class ChainCancel(Body):
    """The chain is cancelled, if it is still running."""

    type: Literal["cancel"]


def _undo_kind(value: object) -> str:
    cancels = isinstance(value, ChainCancel) or (isinstance(value, dict) and "type" in value)
    return "<cancel>" if cancels else "<chain>"


class ChainStartStep(_Tried):
    """Start a chain of its own, in this ledger or another: done when that one is completed."""

    type: Literal["chain.start"]
    inputs: ChainStartInputs
    compensation: (
        Annotated[
            Annotated[ChainCancel, Tag("<cancel>")] | Annotated[ChainUndo, Tag("<chain>")],
            Discriminator(_undo_kind),
        ]
        | None
    ) = None
    pivot: bool = False


class GroupStep(StepBody):
    """A group of steps that stands for one: it is done when all of them are."""

    type: Literal["chain"]
    steps: Annotated[list[AnyStep], Field(min_length=1, max_length=LIMITS.chain_steps)]


_ABOUT: Final = {
    "transfer": "Move an amount from one account to another.",
    "deposit": "Credit a wallet with money that came in through a system account.",
    "withdrawal": "Debit a wallet for money that leaves through a system account.",
    "fee": "Charge a fee.",
    "exchange": "Sell an amount of one currency for another; fix either side.",
    "entry": "Post a free entry.",
    "reversal": "Reverse an entry that is not the chain's own.",
    "refund": "Give back an entry that is not the chain's own, whole or in part.",
    "capture": "Give a part of a reservation to its receiver: the pivot, or after it.",
    "lien.reserve": "Reserve funds for this chain alone.",
    "lien.extend": "Have a reservation expire so much later from now; never earlier than it would.",
    "lien.release": "Give the unused rest of a reservation back.",
    "wait": "Wait for a signal, or for a time (`seconds`).",
    "http": "Call a partner: a signed request, under a key that is the same for every try.",
}
_BASES: Final = {
    Family.LEDGER: _Ledger,
    Family.LIEN: _Tried,
    Family.WAIT: _Wait,
    Family.OUTSIDE: _Calling,
}


def _undo_shape(value: object) -> str:
    nothing = isinstance(value, NoUndo) or (isinstance(value, dict) and "type" in value)
    return "<nothing>" if nothing else "<undo>"


def _make_undo(title: str, table: Mapping[str, Input]) -> Any:  # noqa: ANN401  # the type of a field
    about = "The call that undoes it. Expressions see what the step itself gave, and no states."
    undo = make_inputs(f"{title}Undo", table, about)
    return Annotated[
        Annotated[NoUndo, Tag("<nothing>")] | Annotated[undo, Tag("<undo>")],
        Discriminator(_undo_shape),
    ]


def _make_model(type: StepType) -> Any:  # noqa: ANN401  # a model
    title = "".join(part.capitalize() for part in type.name.split("."))
    inputs = make_inputs(f"{title}Inputs", type.inputs)
    needed = any(wanted.required for wanted in type.inputs.values())
    told: Any = {
        "type": (Literal[type.name], ...),
        "inputs": (inputs, ...) if needed else (inputs, inputs()),
    }
    if type.undo:
        told["compensation"] = (_make_undo(title, type.undo) | None, None)
    base: Any = _BASES[family_of(type.name)]
    return create_model(f"{title}Step", __base__=base, __doc__=_ABOUT[type.name], **told)


MODELS: Final = {
    type.name: _make_model(type) for type in (*BUILT_IN.values(), HTTP) if type.name != "chain"
}
_OUTSIDE: Final = "<outside>"


def _step_kind(value: object) -> str:
    type = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    known = isinstance(type, str) and (type in MODELS or type in ("chain", "chain.start"))
    return f"<{type}>" if known else _OUTSIDE


AnyStep: Any = Annotated[
    Union[  # of a table
        (
            *(Annotated[model, Tag(f"<{name}>")] for name, model in MODELS.items()),
            Annotated[GroupStep, Tag("<chain>")],
            Annotated[ChainStartStep, Tag("<chain.start>")],
            Annotated[OutsideStep, Tag(_OUTSIDE)],
        )
    ],
    Discriminator(_step_kind),
]
"""Any step that a request can hold."""
GroupStep.model_rebuild()
PlanRequest.model_rebuild()
ChainStartInputs.model_rebuild()
ChainUndo.model_rebuild()
ChainStartStep.model_rebuild()

_SCOPES: Final = {
    "transfer": Scope.TRANSFERS_WRITE,
    "deposit": Scope.DEPOSITS_WRITE,
    "withdrawal": Scope.WITHDRAWALS_WRITE,
    "exchange": Scope.EXCHANGES_WRITE,
    "entry": Scope.ENTRIES_WRITE,
    "fee": Scope.ENTRIES_WRITE,
    "reversal": Scope.CORRECTIONS_WRITE,
    "refund": Scope.CORRECTIONS_WRITE,
    "capture": Scope.LIENS_WRITE,
    "lien.reserve": Scope.LIENS_WRITE,
    "lien.extend": Scope.LIENS_WRITE,
    "lien.release": Scope.LIENS_WRITE,
    "wait": None,
    "chain": None,
}


def scope_of(type: str) -> Scope | None:
    """What a caller needs to put a step of this type into a chain, beside that of the chain."""
    return _SCOPES.get(type, Scope.CHAINS_CALL)
