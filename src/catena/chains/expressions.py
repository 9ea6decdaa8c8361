"""Expressions in conditions and inputs: CEL, typed and checked when a chain is made.

A name such as `steps.charge.amount` is one declared variable, so its type is known before the step
has run. Bounded: no I/O, no clock, and a budget of iterations. Never raises for what an evaluation
finds: that is a `Broken`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from itertools import takewhile
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
    """It does not compile; the message says where, and repeats nothing of the expression."""


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
        raise BadExpression(_explain(str(error), text, variables)) from None
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


# --- what does not compile --------------------------------------------------------------------

_PLACE: Final = re.compile(r"<input>:(\d+):(\d+): (.*)")
_NAMES_SHOWN: Final = 12


def _explain(message: str, text: str, variables: Variables) -> str:
    """What the library finds wrong first, in our words: nothing of the expression but places."""
    found = _PLACE.search(message)
    if found is None:
        return "it is nested too deeply."
    line, column, said = int(found[1]), int(found[2]), found[3]
    what, more = "it cannot be read", ""
    if said.startswith("Syntax error"):
        what = "syntax error"
    elif said.startswith("reserved identifier"):
        what = "a reserved word"
    elif missing := _MISSING.match(said):
        if text.split("\n")[line - 1][column - 1 : column] == "(":
            what = "no such function"
        else:
            what, more = "no such name", f"; {_list_names(missing[1], variables)}"
    elif overload := _OVERLOAD.match(said):
        name = overload[1].replace("_", "").removeprefix("@")
        what = f"{name} does not take {overload[2]}"
    elif operand := _OPERAND.match(said):
        what = f"a value of type {operand[1]} has no fields"
    return f"{what} at {line}:{column}{more}."


_MISSING: Final = re.compile("undeclared reference to '(.*?)'")
_OVERLOAD: Final = re.compile("found no matching overload for '(.*?)' applied to '(.*?)'")
_OPERAND: Final = re.compile("expression of type '(.*?)' cannot be the operand")


def _list_names(wanted: str, variables: Variables) -> str:
    """The names that there are, those first that begin like what was wanted."""
    names = [name for name, _ in variables]
    if not names:
        return "no step comes before this one"
    names.sort(key=lambda name: (-_count_shared(wanted, name), name))
    shown = names[:_NAMES_SHOWN]
    rest = f", and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"before this step there are: {', '.join(shown)}{rest}"


def _count_shared(one: str, other: str) -> int:
    """How many letters they begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
