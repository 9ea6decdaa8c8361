"""Inputs: what an expression gives is held to what a constant is held to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catena.chains import calls, machine
from catena.chains.definition import Step
from catena.chains.expressions import Kind
from catena.chains.history import Failure
from catena.chains.inputs import blame_value
from catena.chains.step_types import Input
from catena.settings import LIMITS
from tests.chains.shapes import A, B, call, needs, transfer
from tests.chains.story import Story


def test_a_text_can_be_kept() -> None:
    """Also one of a type that bounds it not."""
    assert "NUL" in blame_value("name", "a\x00", Input(Kind.STRING))
    assert "surrogate" in blame_value("name", "\udfff", Input(Kind.STRING))
    assert blame_value("name", "\U0001f600" * 9_999, Input(Kind.STRING)) == ""


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("description", f"'{'x' * 501}'", "This text is 1 to 500 characters long."),
        ("description", "''", "This text is 1 to 500 characters long."),
        ("reference", f"'{'x' * 201}'", "This text is 1 to 200 characters long."),
        ("reference", "''", "This text is 1 to 200 characters long."),
        ("source_account_id", "'acct_1'", "An id that starts with acct_ is expected here."),
        ("amount", "0", "An amount is 1 to 9223372036854775807 minor units."),
        ("amount", "-1", "An amount is 1 to 9223372036854775807 minor units."),
        ("amount", "{}[']' + '" + "x" * 300 + "']", "]" + "x" * 170),
    ],
)
def test_what_an_expression_gives_is_held_to_what_a_constant_is(
    name: str, text: str, reason: str
) -> None:
    """Nothing that the API refuses as a constant is posted; and the reason is bounded."""
    step = transfer("pay", A, B, 1)
    story = Story(replace(step, inputs={**step.inputs, name: {"cel": text}}))
    assert story.state == "rolled_back"
    failure = story.chain.failure
    assert failure is not None
    assert failure.code == "expression_failed"
    assert failure.detail.startswith(f"{name}: ")
    assert reason in failure.detail
    assert len(failure.detail) <= len(name) + 2 + LIMITS.reason_characters


def test_what_the_expressions_of_a_step_give_is_bounded() -> None:
    """Each may be large, and all of them together not."""
    large = {"cel": "steps.wait.payload"}
    for many, state in ((8, "executing"), (9, "rolled_back")):
        story = Story(
            Step("wait", "wait", {"signal": "go"}),
            call("ask", "wait", inputs={"body": [large] * many}),
        )
        story.do(machine.signal, "go", "x" * 16_000, "caller")
        assert story.due() == {"ask": "forward"}
        story.do(calls.begin, "ask")
        assert story.state == state


@pytest.mark.parametrize("text", [f"'{'x' * 501}'", "''", "string(1 / 0)"])
def test_a_correlation_that_comes_to_nothing_behind_the_pivot_parks(text: str) -> None:
    """What the pivot did stands and is committed; the wait is there to be decided on."""
    story = Story(
        call("pivot", pivot=True),
        Step("wait", "wait", {"correlation": {"cel": text}}, needs("pivot")),
    )
    story.call("pivot")
    assert story.state == "executing"
    assert story.states() == {"pivot": "completed", "wait": "pending"}
    run = story.chain.steps["wait"]
    assert run.parked
    assert run.failure is not None
    assert run.failure.code == "expression_failed"
    assert not story.do(machine.run)  # and nothing more happens by itself
    assert story.timer() is None


ROW = f"{{'account_id': '{A}', 'side': 'debit', 'amount': 1, 'currency': 'USD'}}"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (f"steps.wait.payload.map(x, {ROW}) + [{ROW}]", "An entry has 200 lines at most."),
        (f"[{ROW.replace(A, 'x' * 100)}]", "An account's id starts with acct_."),
    ],
)
def test_lines_that_are_no_entry(lines: str, reason: str) -> None:
    """However they came to be."""
    story = Story(
        Step("wait", "wait", {"signal": "go"}),
        Step("pay", "entry", {"lines": {"cel": lines}}, needs("wait")),
    )
    story.do(machine.signal, "go", [0] * 200, "caller")
    assert story.chain.failure == Failure("invalid_request", reason, "pay")
