"""From bytes to a checked request, and the types that fields of requests have.

Invariant: what passes here is one JSON object in UTF-8, without repeated names, unknown fields,
floats where numbers count, or NUL; limits are those of `settings.LIMITS`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Protocol, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
)

from catena.errors import InvalidInput, MalformedJson
from catena.ids import ACCOUNT, CHAIN, GATEWAY_NAME, ITEM, RUN, SUSPENSE
from catena.ledger.accounts import SystemRole
from catena.money import MAX_AMOUNT_MINOR
from catena.settings import LIMITS

__all__ = [
    "CURRENCY_PATTERN",
    "STEP_PATTERN",
    "AccountId",
    "Amount",
    "Body",
    "ChainId",
    "CurrencyCode",
    "Expression",
    "FreeReference",
    "GatewayName",
    "JsonObject",
    "JsonValue",
    "LineRole",
    "Metadata",
    "Moment",
    "Note",
    "RateText",
    "Reference",
    "SearchReference",
    "Seconds",
    "Text",
    "Through",
    "decode",
    "explain_items",
    "id_pattern",
    "name_one_account",
    "or_expression",
]

_NO_NUL: Final = r"^[^\x00]*$"


CURRENCY_PATTERN: Final = r"^[A-Z][A-Z0-9]{2,11}$"
_NAME: Final = r"[a-z][a-z0-9_]{0,39}"
STEP_PATTERN: Final = rf"^{_NAME}(\.{_NAME}){{0,3}}$"
"""The name of a step, and of a signal; those of a group's steps have the group's before a dot."""


class _Named(Protocol):
    """What names an account: by its id, or one of the platform's by its role."""

    @property
    def account_id(self) -> object:
        """Its id, or an expression that gives it."""

    @property
    def role(self) -> str | None:
        """Its role."""


_Line = TypeVar("_Line", bound=_Named)


def name_one_account(line: _Line) -> _Line:
    """What names an account, if it does in one way."""
    if (line.account_id is None) == (line.role is None):
        raise ValueError("An account is named by `account_id` or by `role`.")
    return line


def id_pattern(prefix: str) -> str:
    """The regular expression of ids with this prefix."""
    return f"^{prefix}[0-9a-f]{{32}}$"


class Body(BaseModel):
    """A JSON object that takes no other fields than its own, and no value for another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


AccountId = Annotated[
    str,
    StringConstraints(pattern=id_pattern(ACCOUNT)),
    Field(examples=["acct_01937c5e8f3a7b2c9d4e5f6a7b8c9d0e"]),
]
ChainId = Annotated[
    str,
    StringConstraints(pattern=id_pattern(CHAIN)),
    Field(examples=["cte_01937c5e8f3a7b2c9d4e5f6a7b8c9d0e"]),
]
Amount = Annotated[
    int,
    Field(
        strict=True,
        gt=0,
        le=MAX_AMOUNT_MINOR,
        description="Minor units of the currency: 12550 USD is 125.50 dollars.",
        examples=[12550],
    ),
]
CurrencyCode = Annotated[
    str,
    StringConstraints(pattern=CURRENCY_PATTERN),
    Field(description="ISO 4217, or an asset of the ledger.", examples=["USD"]),
]
_OF_A_GATEWAY: Final = rf"clearing\.{GATEWAY_NAME}"
LineRole = Annotated[
    str,
    StringConstraints(pattern=rf"^({'|'.join(SystemRole)}|{_OF_A_GATEWAY})$"),
    Field(description="One of the platform's accounts, by its role.", examples=["holding"]),
]
Through = Annotated[
    str,
    StringConstraints(pattern=rf"^(clearing|holding|losses|suspense|{_OF_A_GATEWAY})$"),
    Field(description="The platform's account on the other side.", examples=["clearing"]),
]
GatewayName = Annotated[
    str,
    StringConstraints(pattern=f"^{GATEWAY_NAME}$"),
    Field(description="One of the installation's gateways.", examples=["sandbox"]),
]
Note = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LIMITS.note_characters, pattern=_NO_NUL),
    Field(description="What the payer, or who is paid, reads."),
]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=LIMITS.text_characters, pattern=_NO_NUL)
]
_Reference = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LIMITS.reference_characters, pattern=_NO_NUL),
]
Reference = Annotated[
    _Reference, Field(description="The caller's own; unique for ever within ledger and type.")
]
_SERVICE_REFERENCE: Final = re.compile(f"({SUSPENSE}|{ITEM}|{RUN})[0-9a-f]{{32}}")
"""What begins so is the reference of an entry that the service makes itself, and whose being there
says that money was assigned, a discrepancy settled or fees booked.
"""


def _check_free(reference: str) -> str:
    if _SERVICE_REFERENCE.match(reference):
        raise ValueError("This reference is the service's own: it assigns or settles by it")
    return reference


FreeReference = Annotated[Reference, AfterValidator(_check_free)]
SearchReference = Annotated[
    _Reference,
    Field(description="The caller's own, to search by: it keeps nothing from happening twice."),
]
RateText = Annotated[
    str,
    StringConstraints(pattern=r"^(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?$"),
    Field(description="A plain decimal.", examples=["0.0275"]),
]
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)


def _read_moment(text: object) -> dt.datetime:
    """The moment in UTC, so that one moment is one payload whatever its offset."""
    if not isinstance(text, str) or not _RFC_3339.fullmatch(text):
        raise ValueError("Input should be RFC 3339 with an offset")
    try:
        return dt.datetime.fromisoformat(text.upper()).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError("Input should be a moment between the years 1 and 9999 of UTC") from None


Moment = Annotated[
    dt.datetime,
    BeforeValidator(_read_moment),
    Field(
        description="RFC 3339 with an offset; what is finer than microseconds is cut off.",
        examples=["2026-03-01T12:00:00Z"],
    ),
]


def _check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """In the order of its keys, so that the same pairs are the same payload."""
    size = len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode())
    if size > LIMITS.metadata_bytes:
        raise ValueError(f"metadata is at most {LIMITS.metadata_bytes} bytes of JSON")
    return dict(sorted(metadata.items()))


_Key = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_NO_NUL)]
_Value = (
    Annotated[bool, Field(strict=True)]
    | Annotated[int, Field(strict=True, ge=-MAX_AMOUNT_MINOR - 1, le=MAX_AMOUNT_MINOR)]
    | Annotated[str, StringConstraints(max_length=LIMITS.text_characters, pattern=_NO_NUL)]
)
Metadata = Annotated[
    dict[_Key, _Value],
    Field(
        max_length=LIMITS.metadata_keys,
        description="Strings, whole numbers and booleans of the caller's own.",
        examples=[{"order": "A-1001"}],
        json_schema_extra={"additionalProperties": False},
    ),
    AfterValidator(_check_metadata),
]

Seconds = Annotated[
    float, Field(gt=0, le=LIMITS.chain_timeout_seconds, description="Seconds, one year at most.")
]


def _check_json(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """What is stored and read back unchanged: whole numbers of 64 bits, texts without NUL."""
    _check_depth(value, LIMITS.json_depth)
    return value


def _check_depth(value: object, left: int) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise ValueError(f"JSON is at most {LIMITS.json_depth} levels deep")
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        for part in parts:
            _check_depth(part, left - 1)
    elif isinstance(value, str):
        if "\x00" in value:
            raise ValueError("A text has no NUL")
    elif isinstance(value, float) or (
        isinstance(value, int) and not -MAX_AMOUNT_MINOR - 1 <= value <= MAX_AMOUNT_MINOR
    ):
        raise ValueError("Numbers are whole, of 64 bits; send others as texts")


JsonValue = Annotated[Any, AfterValidator(_check_json)]
JsonObject = Annotated[
    dict[str, Any],
    AfterValidator(_check_json),
    Field(description="Any JSON object, but numbers are whole.", examples=[{"ok": True}]),
]


class Expression(Body):
    """A CEL expression over what earlier steps gave, such as `steps.charge.amount`."""

    cel: Annotated[
        str,
        StringConstraints(min_length=1, max_length=LIMITS.expression_characters, pattern=_NO_NUL),
        Field(examples=["steps.charge.amount - 25"]),
    ]


def or_expression(constant: Any) -> Any:  # noqa: ANN401  # types of fields
    """A constant of this type, or an expression that gives one when the step runs."""
    one, other = Annotated[constant, Tag("<constant>")], Annotated[Expression, Tag("<expression>")]
    return Annotated[one | other, Discriminator(_kind_of)]


def _kind_of(value: object) -> str:
    return "<expression>" if isinstance(value, dict | Expression) else "<constant>"


_Model = TypeVar("_Model", bound=Body)


def decode(model: type[_Model], body: bytes) -> _Model:
    """The request that a body holds. Raises MalformedJson or InvalidInput."""
    try:
        request = model.__pydantic_validator__.validate_json(body)
    except ValidationError as error:
        raise _explain(error, body) from None
    # Every name is followed by a colon, so as many colons as fields leave no repeated name.
    if body.count(b":") != _count_names(request):
        _refuse_repeated_names(body)
    return request  # type: ignore[no-any-return]  # the validator of that model made it


_SCALARS: Final = frozenset({str, int, bool, type(None), dt.datetime})


def _count_names(value: Any) -> int:  # noqa: ANN401  # any part of a request
    kind = type(value)
    if kind is dict:
        return len(value) + sum(map(_count_names, value.values()))
    if kind is list:
        return sum(map(_count_names, value))
    if kind in _SCALARS:
        return 0
    if not isinstance(value, BaseModel):
        return 0  # an enumeration's member
    names = len(value.model_fields_set)
    for inner in value.__dict__.values():
        if type(inner) not in _SCALARS:
            names += _count_names(inner)
    return names


def _refuse_repeated_names(body: bytes) -> None:
    def check(pairs: list[tuple[str, object]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            raise MalformedJson("A name stands twice in one object.")

    json.loads(body, object_pairs_hook=check)


def _explain(error: ValidationError, body: bytes) -> InvalidInput | MalformedJson:
    """What is wrong where, without repeating what was sent."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return MalformedJson()
    _refuse_repeated_names(body)
    return explain_items(found)


def explain_items(found: Sequence[Mapping[str, Any]]) -> InvalidInput:
    """The same for what the framework found in a query."""
    fields = {_point(item["loc"]): _sentence(item["msg"]) for item in found[:_FIELDS_SHOWN]}
    return InvalidInput(fields=list(fields.items()))


_FIELDS_SHOWN: Final = 20


def _point(location: tuple[int | str, ...]) -> str:
    if "metadata" in location[:-1]:
        # What follows the key names the types that its value could have.
        location = location[: location.index("metadata") + 2]
    if location[:1] == ("operations",):
        location = location[:2] + location[3:]  # the third names the operation's type
    location = tuple(part for part in location if not _is_tag(part))
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _is_tag(part: int | str) -> bool:
    """Whether it says which shape was meant, where several are taken, and is no part of a place."""
    return isinstance(part, str) and part[:1] == "<" and part[-1:] == ">"


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")
