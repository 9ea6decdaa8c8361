"""Expressions in conditions and inputs: CEL, typed and checked when a chain is made.

A name such as `steps.charge.amount` is one declared variable, so its type is known before the step
has run. Bounded: no I/O, no clock, and a budget of iterations. Never raises for what an evaluation
finds: that is a `Broken`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from catena.settings import LIMITS

__all__ = [
    "BadExpression",
    "Broken",
    "Kind",
    "Variables",
    "compile_expression",
    "evaluate",
    "find_expressions",
    "is_expression",
]

_COMPILED_MAX: Final = 4_096
"""Compiled expressions that a process remembers."""


class Kind(StrEnum):
    """The type of a variable, an input or a result."""

    INT = "int"
    STRING = "string"
    BOOL = "bool"
    ANY = "any"
    """Known when it is evaluated."""


class BadExpression(Exception):
    """It does not compile; the message says where, and repeats nothing but the expression."""


class Broken(NamedTuple):
    """An evaluation that came to nothing, such as a division by zero or a field that is missing."""

    reason: str


Variables = frozenset[tuple[str, Kind]]


def find_expressions(value: Any) -> list[str]:  # noqa: ANN401  # any JSON
    """Every expression within an input: objects with the one name "cel"."""
    if type(value) in _PLAIN:
        return []
    if isinstance(value, dict):
        if is_expression(value):
            return [value["cel"]]
        parts: Iterable[Any] = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        return []
    return [text for part in parts for text in find_expressions(part)]


_PLAIN: Final = frozenset({str, int, bool, float, type(None)})


def is_expression(value: object) -> bool:
    """Whether it is an expression and no constant."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("cel"), str)


@lru_cache(maxsize=_COMPILED_MAX)
def compile_expression(text: str, variables: Variables) -> tuple[Any, Kind]:
    """The compiled expression and the type of what it gives. Raises BadExpression."""
    if len(text) > LIMITS.expression_characters:
        raise BadExpression(f"An expression has {LIMITS.expression_characters} characters at most.")
    try:
        compiled = _environment(variables).compile(text)
    except RuntimeError as error:
        raise BadExpression(_tell(str(error))) from None
    return compiled, _KINDS.get(compiled.return_type().name(), Kind.ANY)


_KINDS: Final = {"INT": Kind.INT, "STRING": Kind.STRING, "BOOL": Kind.BOOL}
"""Our kinds by the library's names; all others are known when they are evaluated."""


@lru_cache(maxsize=_COMPILED_MAX)
def _environment(variables: Variables) -> Any:  # noqa: ANN401  # the library's own
    from cel_expr_python import cel  # noqa: PLC0415  # 20 ms, for those who use it

    types = {
        Kind.INT: cel.Type.INT,
        Kind.STRING: cel.Type.STRING,
        Kind.BOOL: cel.Type.BOOL,
        Kind.ANY: cel.Type.DYN,
    }
    return cel.NewEnv(variables={name: types[kind] for name, kind in variables})


def evaluate(text: str, variables: Variables, values: Mapping[str, Any], wanted: Kind) -> Any:  # noqa: ANN401
    """What the expression gives for these values, as `wanted`; or a Broken."""
    compiled, _ = compile_expression(text, variables)
    try:
        found = compiled.eval(data=values)
    except RuntimeError:
        return Broken("it took too long, or was given what is no text")
    if found.type().name() == "ERROR":
        return Broken(str(found.value()).partition(": ")[2] or "it could not be evaluated")
    value = found.plain_value()
    if not _is(value, wanted):
        return Broken(f"it gave no {wanted}")
    return value


def _is(value: object, wanted: Kind) -> bool:
    match wanted:
        case Kind.INT:
            return type(value) is int
        case Kind.STRING:
            return _is_text(value)
        case Kind.BOOL:
            return isinstance(value, bool)
        case _:
            return _is_json(value)


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_text(name) and _is_json(inner) for name, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, (bool, int)) or _is_text(value)


def _is_text(value: object) -> bool:
    """A text that the database can keep."""
    return isinstance(value, str) and "\x00" not in value


def _tell(message: str) -> str:
    """The library's first line without its own words."""
    first = message.partition("\n")[0].removeprefix("INVALID_ARGUMENT: ERROR: <input>:")
    return f"at {first}"
