"""What a history can keep, of whatever comes from outside."""

from __future__ import annotations

from typing import Any

import pytest

from catena.chains.reasons import tidy_answer
from catena.chains.step_types import Answer, Outcome
from catena.chains.storable import is_storable
from catena.settings import LIMITS

HALF = "\ud800"


def _nest(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels - 1):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        ({"a": [1, "\U0001f600", None, {"b": True}], "c": 1.5}, ...),
        ({"a": (1, 2)}, ...),
        ({"a": HALF, "b": 1}, {"a": None, "b": 1}),
        ({"a": [{HALF: 1}]}, {"a": None}),
        ({"a": {1: 2}}, {"a": None}),
        ({"a": {"b": "\x00"}}, {"a": None}),
        ({HALF: 1, "\x00": 2, 3: 4, "b": 5}, {"b": 5}),
        ({"a": float("nan"), "b": [float("inf")]}, {"a": None, "b": None}),
        ({"a": object(), "b": b"raw", "c": {1, 2}}, {"a": None, "b": None, "c": None}),
        ({"a": _nest(64)}, ...),
        ({"a": _nest(65)}, {"a": None}),
        ({"a": _nest(900)}, {"a": None}),
        ({"a": "x" * LIMITS.result_bytes, "b": 1}, {"a": None, "b": 1}),
        ({"a": "x" * 70_000, "b": "x" * 70_000, "c": 1}, {"a": "x" * 70_000, "b": None, "c": 1}),
        ({f"{number:09}": 1 for number in range(20_000)}, {}),
        ([1], {}),
        (None, {}),
    ],
)
def test_a_result_is_kept_as_far_as_it_can_be(result: Any, kept: Any) -> None:  # noqa: ANN401
    """The answer itself always is: an approval stays one."""
    found = tidy_answer(Answer(Outcome.APPROVED, result))
    assert found.outcome is Outcome.APPROVED
    assert found.result == (result if kept is ... else kept)


@pytest.mark.parametrize(
    ("code", "detail", "kept"),
    [("no", HALF + "a", ("no", "a")), ("No!\x00", None, ("", "No!")), (None, 7, ("", ""))],
)
def test_a_reason_is_kept_as_far_as_it_can_be(code: Any, detail: Any, kept: object) -> None:  # noqa: ANN401
    """Whatever a plugin gives for one."""
    found = tidy_answer(Answer(Outcome.DECLINED, {}, code, detail))
    assert (found.code, found.detail) == kept


@pytest.mark.parametrize("found", [None, "approved", Answer("maybe")])  # type: ignore[arg-type]
def test_what_is_no_answer_is_none(found: Any) -> None:  # noqa: ANN401
    """It says nothing that could be kept."""
    with pytest.raises((AttributeError, ValueError)):
        tidy_answer(found)


def test_an_expression_gives_no_floats() -> None:
    """No float touches money."""
    assert not is_storable([1.5])
