"""Undoing by call: in which order, until when, and in which words."""

from __future__ import annotations

import pytest

from catena.chains import answers, calls, machine, operator
from catena.chains.definition import Step
from catena.chains.history import Failure
from catena.chains.step_types import Answer, Direction, Outcome
from tests.chains.shapes import WAIT, A, B, ask, call, say, transfer
from tests.chains.story import (
    APPROVED,
    DECLINED,
    FORWARD,
    LATER,
    LOST,
    NOT_FOUND,
    PENDING,
    UNDO,
    Story,
    roll_back,
)


def test_outside_undos_go_in_reverse_order_and_hold_up_nothing() -> None:
    """What the books undo is undone at once; calls follow one by one, past one that is parked."""
    story = roll_back(call("one"), transfer("pay", A, B, 4, "one"), call("two", "pay"), WAIT)
    assert story.money() == ((10, 0), (0, 0))
    assert story.due() == {"two": UNDO}
    undo = story.call("two", DECLINED)
    assert (undo.result, undo.compensation) == ({"amount": 2}, {"undo": True})
    assert [run.name for run in story.chain.parked()] == ["two"]
    assert story.due() == {"one": UNDO}
    done = story.call("one")
    assert not story.answer(done, APPROVED)
    assert story.state == "rolling_back"
    assert story.due() == {}
    assert story.answer(undo, APPROVED)
    assert story.state == "rolled_back"


def test_an_undo_is_retried_until_it_parks() -> None:
    """Each certain refusal takes a new key; a duplicate of an answer changes nothing."""
    story = roll_back(call("call"), WAIT)
    undo = story.call("call", LATER)
    assert not story.answer(undo, LATER)
    keys = [undo.key]
    while not list(story.chain.parked()):
        keys.append(story.wait(60).call("call", LATER).key)
    assert len(set(keys)) == answers.UNDO_ATTEMPTS
    assert keys[1] == f"{story.chain.id}.call.undo.2"


@pytest.mark.parametrize("dies", [True, False])
def test_an_undo_can_be_unknown_too(dies: bool) -> None:  # noqa: FBT001
    """It is asked about, and called again with the same key once it cannot arrive any more."""
    story = roll_back(call("call"), WAIT)
    undo = story.begin("call")
    if not dies:
        story.answer(undo, PENDING)
    asked = story.wait(1).call("call", NOT_FOUND)
    assert asked.direction is Direction.UNDO_LOOK_UP
    assert story.states()["call"] == "compensation_unknown"
    story.wait(1).call("call", LOST)
    story.wait(20).call("call", NOT_FOUND)
    assert story.states()["call"] == "compensating"
    again = story.wait(20).begin("call")
    assert (again.direction, again.key, again.repeats) == (UNDO, undo.key, True)
    story.answer(again, LOST)
    story.wait(20).call("call", DECLINED)
    assert [run.name for run in story.chain.parked()] == ["call"]


def test_an_unknown_undo_that_was_done_is_done() -> None:
    """The partner says so by the same key."""
    story = roll_back(call("call"), WAIT)
    story.call("call", LOST)
    story.wait(20).call("call", APPROVED)
    assert story.state == "rolled_back"


def test_what_needs_no_undoing_is_not_undone() -> None:
    """A question, or a call whose step says so; they stay completed."""
    nothing = call("nothing", compensation={"type": "none"})
    story = Story(ask("ask"), nothing, WAIT)
    story.call("ask")
    story.call("nothing")
    story.do(machine.cancel, Failure("cancelled"), None)
    assert story.state == "rolled_back"
    assert story.states() == {"ask": "completed", "nothing": "completed", "wait": "skipped"}


def test_a_type_that_is_gone_is_still_undone() -> None:
    """Its calls are due until somebody who knows the type makes them."""
    after = ask("after", "gone", inputs={"body": {"cel": "steps.gone.state"}})
    story = Story(Step("gone", "gone", {}), after, WAIT, check=False)
    story.call("gone")
    assert story.begin("after").inputs == {"body": "completed"}
    story.do(answers.answer, "after", FORWARD, 1, APPROVED)
    story.do(machine.cancel, Failure("cancelled"), None)
    assert story.due() == {"gone": UNDO}


ID = {"cel": "'/payouts/' + steps.say.body.id"}


@pytest.mark.parametrize("asked", [False, True])
def test_an_undo_is_said_in_what_its_step_gave(asked: bool) -> None:  # noqa: FBT001
    """Over its own result and those of what it depends on, the same in every call of it."""
    body = {"of": [{"cel": "steps.call.amount"}]}
    story = Story(
        call("call"),
        say("say", ID, "call", body=body),
        transfer("pay", A, B, 11, "say"),
    )
    story.call("call", Answer(Outcome.APPROVED, {"amount": 3}))
    made = story.call("say", Answer(Outcome.APPROVED, {"body": {"id": "p7"}}))
    assert made.compensation == {"url": ID, "body": body}
    undo = story.begin("say")
    if asked:
        story.answer(undo, LOST)
        undo = story.wait(1).begin("say")
    assert undo.compensation == {"url": "/payouts/p7", "body": {"of": [3]}}
    assert story.answer(undo, APPROVED)
    story.call("call")
    assert story.state == "rolled_back"


@pytest.mark.parametrize("result", [{}, {"body": None}, {"body": {"id": 7}}])
def test_an_undo_that_cannot_be_said_waits_for_a_person(result: dict[str, object]) -> None:
    """It is parked and says why; the others are undone, and somebody says what became of it."""
    story = Story(call("call"), say("say", ID, "call"), transfer("pay", A, B, 11, "say"))
    story.call("call")
    story.call("say", Answer(Outcome.APPROVED, result))
    for _ in range(2):
        assert story.do(calls.begin, "say") is None
        run = story.chain.steps["say"]
        assert (str(run.state), run.parked, run.undo_attempt) == ("compensating", True, 0)
        assert run.undo_failure is not None
        assert run.undo_failure.code == "expression_failed"
        assert run.undo_failure.detail.startswith("url: ")
        story.do(operator.retry, "say", "again", "ops")
    story.do(calls.begin, "say")
    story.call("call")
    assert story.state == "rolling_back"
    story.do(operator.mark_done, "say", {}, "by telephone", "ops")
    assert story.state == "rolled_back"
