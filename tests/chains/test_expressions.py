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
UNSET = ("steps.a.none", Kind.ANY)


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
        ("\x00", "An expression has no NUL and no half of a surrogate pair"),
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
        ("['\\x00']", 1, Kind.ANY, Broken("it gave what is no JSON")),
        ("{'\\x00': 1}", 1, Kind.ANY, Broken("it gave what is no JSON")),
        ("steps.a.x", 1.5, Kind.ANY, Broken("it gave what is no JSON")),
        ("steps.a.x", 1, Kind.BOOL, Broken("it gave no bool")),
        ("steps.a.x", 1, Kind.STRING, Broken("it gave no string")),
        ("b'raw'", 1, Kind.ANY, Broken("it gave what is no JSON")),
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


ONLY_COMPARED = "what is not of the item may only be compared"
TEN = "[0,1,2,3,4,5,6,7,8,9]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # One match is 83 ms.
        (
            f"{TEN}.all(x, {TEN}.all(y, steps.a.x.matches('(a?){{1000}}a{{1000}}') || true))",
            "no such function at 1:76",
        ),
        ("matches(steps.a.s, 'a')", "no such function at 1:8"),
        # A file's name: a pipe would stop the process.
        ("timestamp(steps.a.s).getHours('/tmp/pipe') == 1", "no such function at 1:30"),
        ("timestamp(steps.a.s).getSeconds(steps.a.x) == 1", "no such function at 1:32"),
        # Eightfold with each map.
        (
            "['aaaaaaaaaaaaaaaa'].map(p,p+p+p+p+p+p+p+p).map(p,p+p+p+p+p+p+p+p)[0]",
            "it goes through what is neither a name nor a list that is written out",
        ),
        (
            "steps.a.x.all(x, x.all(y, y))",
            "it has more than one of all, exists, exists_one, map and filter",
        ),
        # The square of what it is handed.
        (
            "(steps.a.x + steps.a.x).map(x, x)",
            "it goes through what is neither a name nor a list that is written out",
        ),
        (
            "steps.a.x.b.all(x, steps.a.x.c.contains(x))",
            ONLY_COMPARED,
        ),
        (
            "steps.a.x.map(x, steps.a.x)",
            ONLY_COMPARED,
        ),
        ("[" + "0," * 200 + "0].map(x, x)", "it goes through more than 200 items"),
        ("{" + "0:0," * 200 + "0:0}.all(x, true)", "it goes through more than 200 items"),
        (
            "steps.a.x.all(x, [" + "0," * 60 + "].size() == x)",
            "what it does with each item has more than 50 parts",
        ),
        ("google.protobuf.Struct{} == steps.a.x", "it makes a message of a named type"),
        ("steps.a.s == '\ud800'", "no half of a surrogate pair"),
    ],
)
def test_what_could_cost_too_much_does_not_compile(text: str, said: str) -> None:
    """What an evaluation may cost is seen before it runs."""
    with pytest.raises(BadExpression) as caught:
        compile_expression(text, VARIABLES)
    assert said in str(caught.value)


LARGE = LIMITS.expression_bytes
LOOK = "it looks at more than 32768 bytes"


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        # What it does not name costs nothing.
        ("steps.a.x.n == 1", {"n": 1, "more": "x" * LARGE}, True),
        ("has(steps.a.x.n) && steps.a.x.n.m == 2", {"n": {"m": 2}, "more": "x" * LARGE}, True),
        ("has(steps.a.x.n)", {"more": "x" * LARGE}, False),
        ("steps.a.x['n'] == 1", {"n": 1, "more": "x" * LARGE}, Broken(LOOK)),
        ("steps.a.x == 'a'", "x" * LARGE, Broken(LOOK)),
        ("steps.a.x == 'a'", "x" * (LARGE - 2), False),
        # As often as it is worked on.
        ("steps.a.x + steps.a.x", "x" * (LARGE // 4), Broken(LOOK)),
        ("steps.a.x + steps.a.x", "x" * LARGE, Broken(LOOK)),
        ("steps.a.x.n + 'a'", ["a"], Broken("")),
        ("steps.a.none + 'a'", "a", Broken("No value")),
        ("string(steps.a.x)", "x" * (LARGE // 4), "x" * (LARGE // 4)),
        ("[steps.a.x, {'a': steps.a.x}]", "x" * (LARGE // 3), Broken(LOOK)),
        ("steps.a.x.contains(steps.a.x)", "x" * (LARGE // 16), Broken(LOOK)),
        ("steps.a.x.contains('" + "x" * 900 + "')", "x" * (LARGE // 3), True),
        ("steps.a.x[steps.a.x[0]] == 1", [1] * (LARGE // 4), Broken(LOOK)),
        ("(steps.a.n > 1 ? steps.a.x : steps.a.x) == 1", 2, False),
        # What it goes through.
        ("steps.a.x.map(i, {'n': i})[0].n", [7] * 200, 7),
        ("steps.a.x.map(i, i)", [7] * 201, Broken("it goes through more than 200 items")),
        ("steps.a.x.i.all(k, k != '')", {"i": {str(n): 0 for n in range(201)}}, Broken("200")),
        ("steps.a.x[0].i.all(k, true)", [{"i": [1] * 201}], Broken("200 items")),
        ("steps.a.x.i[0].exists(x, x.n == steps.a.x.n)", {"i": [[{"n": 1}]], "n": 1}, True),
        ("steps.a.x.i.exists(x, x == steps.a.x.n[0])", {"i": [1], "n": [1]}, True),
        ("steps.a.x.i.filter(x, x + steps.a.n > 3)", {"i": [1, 2]}, [2]),
        ("steps.a.x.i.exists_one(x, x in ['a', 'b'])", {"i": ["a", "c"]}, True),
        ("steps.a.x.`i-j`.exists(x, has(x.n) && -x.n < 0)", {"i-j": [{"n": 1}]}, True),
        ("steps.a.x.i.all(x, x)", {"i": 4}, Broken("")),
        ("[1, 2].map(x, x * 2)", None, [2, 4]),
        ("timestamp('2026-01-01T07:00:00Z').getHours()", None, 7),
        ("type(steps.a.x) == int", 3, True),
        # What no evaluation may raise.
        ("steps.a.x == 'a'", "\ud800", Broken("no text")),
        ("steps.a.x == 'a'", {"\ud800": 1}, Broken("no text")),
        ("1 +", 1, Broken("syntax error")),
    ],
)
def test_an_evaluation_is_bounded(text: str, value: object, found: object) -> None:
    """It looks at what it names, and at no more than a limit of it."""
    values = {"steps.a.x": value, "steps.a.n": 2, "steps.a.s": ""}
    given = evaluate(text, VARIABLES | {UNSET}, values, Kind.ANY)
    if isinstance(found, Broken):
        assert isinstance(given, Broken)
        assert found.reason in given.reason
    else:
        assert given == found


def test_deep_json_is_bounded() -> None:
    """It comes to nothing, and raises nothing."""
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    assert isinstance(evaluate("steps.a.x", VARIABLES, {"steps.a.x": deep}, Kind.ANY), Broken)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ({"cel": "1"}, ["1"]),
        ({"a": [{"cel": "1"}, ({"cel": "2"},)], "b": 3}, ["1", "2"]),
        ({"cel": 1}, []),
        ({"cel": "1", "more": 2}, []),
        ("cel", []),
        (b"cel", []),
    ],
)
def test_expressions_are_found_within_inputs(value: Any, texts: list[str]) -> None:  # noqa: ANN401
    """Wherever they stand; an object with more than that one name is a constant."""
    assert list(find_expressions(value)) == texts
