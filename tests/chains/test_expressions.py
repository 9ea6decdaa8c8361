"""Expressions: what compiles, what an evaluation gives, and what comes to nothing."""

from __future__ import annotations

from typing import Any

import pytest

from catena.chains.expressions import (
    BadExpression,
    Broken,
    Kind,
    compile_expression,
    evaluate,
    find_expressions,
)
from catena.settings import LIMITS

THERE_ARE = "before this step there are:"
VARIABLES = frozenset(
    {("steps.a.n", Kind.INT), ("steps.a.x", Kind.ANY), ("steps.a.s", Kind.STRING)}
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("steps.a.n + 1", Kind.INT),
        ("steps.a.s + 'x'", Kind.STRING),
        ("steps.a.n > 1 && true", Kind.BOOL),
        ("steps.a.x", Kind.ANY),
        ("[1, 2]", Kind.ANY),
    ],
)
def test_an_expression_has_a_type(text: str, kind: Kind) -> None:
    """It is known when a chain is made."""
    assert compile_expression(text, VARIABLES)[1] is kind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps.a.n >", "syntax error at 1:12"),
        ("true\n&& (", "syntax error at 2:5"),
        ("foo == 1", f"no such name at 1:1; {THERE_ARE} steps.a.n, steps.a.s, steps.a.x"),
        ("steps.a.sum", f"no such name at 1:8; {THERE_ARE} steps.a.s, steps.a.n, steps.a.x"),
        ("1 + 'a'", "+ does not take (int, string) at 1:3"),
        ("'a' in 1", "in does not take (string, int) at 1:5"),
        ("steps.a.n.more", "a value of type int has no fields at 1:10"),
        ("now()", "no such function at 1:4"),
        ("if", "a reserved word at 1:1"),
        ("99999999999999999999", "it cannot be read at 1:1"),
        ("\x00", "syntax error at 1:1"),
        ("(" * 200 + "1" + ")" * 200, "it is nested too deeply"),
        (
            "1" * (LIMITS.expression_characters + 1),
            "An expression has 1000 characters at most",
        ),
    ],
)
def test_what_does_not_compile(text: str, said: str) -> None:
    """The message says where and what, in our words, and which names there are."""
    with pytest.raises(BadExpression) as caught:
        compile_expression(text, VARIABLES)
    assert str(caught.value) == f"{said}."


def test_the_names_that_are_shown_are_bounded() -> None:
    """Those come first that begin like what was meant."""
    many = frozenset({(f"steps.s{number}.amount", Kind.INT) for number in range(100)})
    with pytest.raises(BadExpression) as caught:
        compile_expression("steps.s77.amont", many)
    assert ": steps.s77.amount, " in str(caught.value)
    assert str(caught.value).endswith(", and 88 more.")
    with pytest.raises(BadExpression, match="no step comes before this one"):
        compile_expression("steps.a.n", frozenset())


@pytest.mark.parametrize(
    ("text", "value", "wanted", "found"),
    [
        ("steps.a.x + 1", 2, Kind.INT, 3),
        ("steps.a.x", "text", Kind.STRING, "text"),
        ("steps.a.x == null", None, Kind.BOOL, True),
        ("steps.a.x", {"a": [1, None, {"b": True}]}, Kind.ANY, {"a": [1, None, {"b": True}]}),
        ("steps.a.x", True, Kind.INT, Broken("it gave no int")),
        ("'\\x00'", 1, Kind.STRING, Broken("it gave no string")),
        ("['\\x00']", 1, Kind.ANY, Broken("it gave no any")),
        ("{'\\x00': 1}", 1, Kind.ANY, Broken("it gave no any")),
        ("steps.a.x", 1.5, Kind.ANY, Broken("it gave no any")),
        ("steps.a.x", 1, Kind.BOOL, Broken("it gave no bool")),
        ("steps.a.x", 1, Kind.STRING, Broken("it gave no string")),
        ("b'raw'", 1, Kind.ANY, Broken("it gave no any")),
        ("steps.a.x / 0", 1, Kind.INT, Broken("divide by zero")),
        ("steps.a.x.missing", {}, Kind.ANY, Broken("missing")),
    ],
)
def test_what_an_evaluation_gives(text: str, value: object, wanted: Kind, found: object) -> None:
    """A value of the kind that is wanted, or why there is none; never an error."""
    given = evaluate(text, VARIABLES, {"steps.a.x": value}, wanted)
    if isinstance(found, Broken):
        assert isinstance(given, Broken)
        assert found.reason in given.reason
    else:
        assert given == found


def test_an_evaluation_is_bounded() -> None:
    """One that would take too long comes to nothing."""
    ten = "[0,1,2,3,4,5,6,7,8,9]"
    text = "true"
    for name in "abcdefg":
        text = f"{ten}.all({name}, {text})"
    found = evaluate(text, VARIABLES, {}, Kind.BOOL)
    assert isinstance(found, Broken)
    assert "too long" in found.reason


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ({"cel": "1"}, ["1"]),
        ({"a": [{"cel": "1"}, ({"cel": "2"},)], "b": 3}, ["1", "2"]),
        ({"cel": 1}, []),
        ({"cel": "1", "more": 2}, []),
        ("cel", []),
    ],
)
def test_expressions_are_found_within_inputs(value: Any, texts: list[str]) -> None:  # noqa: ANN401
    """Wherever they stand; an object with more than that one name is a constant."""
    assert list(find_expressions(value)) == texts
