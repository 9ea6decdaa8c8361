"""Expressions in conditions and inputs: CEL, typed and checked when a chain is made.

A name such as `steps.charge.amount` is one declared variable, so its type is known before the step
has run. No I/O, no clock, and bounded in time and memory: `expression_bounds` says by what. Never
raises for what an evaluation finds: that is a `Broken`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final, NamedTuple

from catena.chains.expression_bounds import (
    LIBRARY,
    Bounds,
    TooMuch,
    TooWide,
    hand_over,
    read_bounds,
)
from catena.chains.storable import is_storable, is_text
from catena.settings import LIMITS

__all__ = [
    "BadExpression",
    "Broken",
    "Compiled",
    "Kind",
    "Variables",
    "compile_expression",
    "evaluate",
    "find_expressions",
    "is_expression",
]

_COMPILED_MAX: Final = 1_024
"""Compiled expressions that a process remembers, each of up to 80 kB with its environment."""


class Kind(StrEnum):
    """The type of a variable, an input or a result."""

    INT = "int"
    STRING = "string"
    BOOL = "bool"
    ANY = "any"
    """Known when it is evaluated."""

    def holds(self, value: object) -> bool:
        """Whether a value is of this kind."""
        return self is Kind.ANY or type(value) is _PYTHON[self]


_PYTHON: Final = {Kind.INT: int, Kind.STRING: str, Kind.BOOL: bool}


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


class Compiled(NamedTuple):
    """An expression that may be evaluated, and the type of what it gives."""

    program: Any
    kind: Kind
    bounds: Bounds


@lru_cache(maxsize=_COMPILED_MAX)
def compile_expression(text: str, variables: Variables) -> Compiled:
    """The compiled expression, for these variables. Raises BadExpression."""
    if not is_text(text):
        raise BadExpression("An expression has no NUL and no half of a surrogate pair.")
    if len(text) > LIMITS.expression_characters:
        raise BadExpression(f"An expression has {LIMITS.expression_characters} characters at most.")
    words = frozenset(_WORD.findall(text))
    named = frozenset([v for v in variables if words.issuperset(v[0].split("."))])
    try:
        return _compile(text, named)
    except RuntimeError as error:
        raise BadExpression(_explain(str(error), text, variables)) from None
    except TooWide as error:
        raise BadExpression(f"{error}.") from None


_WORD: Final = re.compile(r"\w+", re.ASCII)
"""What the parts of a variable's name are made of. Those that the text has not it cannot name, and
an environment costs more the more it declares.
"""


@lru_cache(maxsize=_COMPILED_MAX)
def _compile(text: str, variables: Variables) -> Compiled:
    program = _environment(variables).compile(text)
    small = [name for name, kind in variables if kind in _SMALL]
    large = [name for name, kind in variables if kind not in _SMALL]
    kind = _KINDS.get(program.return_type().name(), Kind.ANY)
    return Compiled(program, kind, read_bounds(program.serialize(), small, large))


_KINDS: Final = {"INT": Kind.INT, "STRING": Kind.STRING, "BOOL": Kind.BOOL}
"""Our kinds by the library's names; all others are known when they are evaluated."""

_SMALL: Final = frozenset({Kind.INT, Kind.BOOL})


@lru_cache(maxsize=_COMPILED_MAX)
def _environment(variables: Variables) -> Any:  # noqa: ANN401  # the library's own
    from cel_expr_python import cel  # noqa: PLC0415  # 20 ms, for those who use it

    types = {
        Kind.INT: cel.Type.INT,
        Kind.STRING: cel.Type.STRING,
        Kind.BOOL: cel.Type.BOOL,
        Kind.ANY: cel.Type.DYN,
    }
    declared = {name: types[kind] for name, kind in variables}
    return cel.NewEnv(config=_read_library(), variables=declared)


@lru_cache(maxsize=1)
def _read_library() -> Any:  # noqa: ANN401  # the library's own
    from cel_expr_python import cel  # noqa: PLC0415  # as above

    return cel.NewEnvConfigFromYaml(LIBRARY)


def evaluate(text: str, variables: Variables, values: Mapping[str, Any], wanted: Kind) -> Any:  # noqa: ANN401
    """What the expression gives for these values, as `wanted`; or a Broken."""
    try:
        program, _, bounds = compile_expression(text, variables)
        found = program.eval(data=hand_over(bounds, values))
        if found.type().name() == "ERROR":
            return Broken(str(found.value()).partition(": ")[2] or "it could not be evaluated")
        value = found.plain_value()
        return value if _is(value, wanted) else _wrong(wanted)
    except (TooMuch, BadExpression) as error:
        return Broken(str(error).removesuffix("."))
    except Exception:  # noqa: BLE001  # the library's, of any kind: a step fails, no timer
        return Broken("it took too long, or was given what is no text")


def _wrong(wanted: Kind) -> Broken:
    if wanted is Kind.ANY:
        return Broken("it gave what is no JSON without fractions")
    return Broken(f"it gave no {wanted}")


def _is(value: object, wanted: Kind) -> bool:
    match wanted:
        case Kind.INT:
            return type(value) is int
        case Kind.STRING:
            return is_text(value)
        case Kind.BOOL:
            return isinstance(value, bool)
        case _:
            return is_storable(value)


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
