"""What a partner says by itself: which key it is about, and what it decides of a call."""

from __future__ import annotations

import pytest

from catena.chains import answers, calls, machine
from catena.chains.definition import Retry, Step
from catena.chains.history import Failure
from catena.chains.step_types import Answer, Outcome
from tests.chains.shapes import A, B, call, transfer
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
)


def key_of(story: Story, *, forward: bool = True, number: int = 1) -> calls.Key:
    """What the key of the story's call says."""
    direction = "forward" if forward else "undo"
    key = calls.read_key(f"{story.chain.id}.call.{direction}.{number}")
    assert key is not None
    return key


@pytest.mark.parametrize("step", ["call", "group.call"])
def test_a_key_is_read_as_it_was_written(step: str) -> None:
    """Whatever else a partner repeats as one is none."""
    story = Story(call("call"))
    for direction in (FORWARD, UNDO):
        key = f"{story.chain.id}.{step}.{'forward' if direction is FORWARD else 'undo'}.12"
        found = calls.Key(story.chain.id, step, direction is FORWARD, 12)
        assert calls.read_key(key) == found
    for other in ("", "cte_1.call.forward.1", f"{story.chain.id}.call.back.1", "forward.1x"):
        assert calls.read_key(other) is None


@pytest.mark.parametrize("before", [None, PENDING, LOST])
def test_what_a_partner_says_by_itself_decides_a_call_that_is_out(before: Answer | None) -> None:
    """Whether its answer is awaited, it had taken it, or nobody knew; and it is taken once."""
    story = Story(call("call"), transfer("pay", A, B, 1, "call"))
    made = story.begin("call")
    if before is not None:
        story.answer(made, before)
    assert story.do(answers.hear, key_of(story), APPROVED)
    assert story.state == "completed"
    assert not story.do(answers.hear, key_of(story), APPROVED)
    assert not story.answer(made, APPROVED)
    assert not story.do(answers.hear, key_of(story), DECLINED)
    assert story.money() == ((9, 0), (1, 0))


def test_a_partner_that_has_taken_it_says_so_twice() -> None:
    """The second time changes nothing; before any answer it is one."""
    story = Story(call("call"))
    story.begin("call")
    assert story.do(answers.hear, key_of(story), PENDING)
    assert story.states() == {"call": "waiting"}
    assert not story.do(answers.hear, key_of(story), PENDING)
    assert story.do(answers.hear, key_of(story), DECLINED)
    assert story.state == "rolled_back"


UNHEARD = Answer(Outcome.UNKNOWN)


@pytest.mark.parametrize("before", [PENDING, LOST])
def test_a_partner_that_says_that_it_is_time_to_ask_is_asked_now(before: Answer) -> None:
    """Once: what is due anyway, or is being asked for the first time, is as it was."""
    story = Story(call("call"))
    made = story.begin("call")
    assert not story.do(answers.hear, key_of(story), UNHEARD)
    story.answer(made, before)
    state = story.states()
    assert story.do(answers.hear, key_of(story), UNHEARD)
    assert story.states() == state
    assert story.chain.steps["call"].due_at == story.books.now
    assert not story.do(answers.hear, key_of(story), UNHEARD)
    story.call("call", APPROVED)
    assert story.state == "completed"
    assert not story.do(answers.hear, key_of(story), UNHEARD)


def test_an_undo_is_asked_for_now_too() -> None:
    """When it is unknown; not one that is being made, or was refused."""
    story = Story(call("call"), Step("wait", "wait", {}))
    story.call("call")
    key = key_of(story, forward=False)
    assert not story.do(answers.hear, key, UNHEARD)
    story.do(machine.cancel, Failure("cancelled"), None)
    undone = story.begin("call")
    assert not story.do(answers.hear, key, UNHEARD)
    story.answer(undone, LOST)
    assert story.do(answers.hear, key, UNHEARD)
    story.call("call", APPROVED)
    assert story.state == "rolled_back"


def test_what_is_said_of_another_key_is_not_heard() -> None:
    """Of a round that is over, one that was never begun, a step that is not there."""
    story = Story(call("call", retry=Retry(3, first_seconds=60)))
    story.call("call", LATER)
    story.wait(60).begin("call")
    for number in (1, 3):
        assert not story.do(answers.hear, key_of(story, number=number), APPROVED)
    other = calls.Key(story.chain.id, "nobody", forward=True, round=1)
    assert not story.do(answers.hear, other, APPROVED)
    assert story.do(answers.hear, key_of(story, number=2), APPROVED)


def test_an_undo_is_heard_of_too() -> None:
    """By the key of its own direction and round."""
    story = Story(call("call"), Step("wait", "wait", {}))
    story.call("call")
    story.do(machine.cancel, Failure("cancelled"), None)
    undone = story.begin("call")
    story.answer(undone, LOST)
    assert undone.first_at == story.books.now
    assert not story.do(answers.hear, key_of(story), APPROVED)
    assert story.do(answers.hear, key_of(story, forward=False), APPROVED)
    assert story.state == "rolled_back"


def test_a_call_says_when_its_key_was_first_used() -> None:
    """For who forgets keys; a new round begins anew."""
    story = Story(call("call", retry=Retry(3, first_seconds=60)))
    began = story.books.now
    story.answer(story.begin("call"), LOST)
    asked = story.wait(20).call("call", NOT_FOUND)
    again = story.wait(60).begin("call")
    assert (asked.first_at, again.first_at) == (began, began)
    story.answer(again, LATER)
    assert story.wait(60).begin("call").first_at == story.books.now
