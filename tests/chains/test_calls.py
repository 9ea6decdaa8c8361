"""Outside steps: keys, rounds, answers of every kind, and what a pivot changes."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.chains import answers, calls, machine
from catena.chains.definition import Retry, Step
from catena.chains.history import Failure
from catena.chains.needs import UNDOES_LATE, adapter_of
from catena.chains.step_types import Answer, Direction, Outcome
from catena.settings import LIMITS
from tests.chains.shapes import WAIT, A, B, ask, call, needs, transfer
from tests.chains.story import (
    APPROVED,
    CANCEL,
    DECLINED,
    FORWARD,
    LATER,
    LOOK_UP,
    LOST,
    NOT_FOUND,
    PENDING,
    UNDO,
    Story,
    roll_back,
)


def test_a_call_says_what_it_is_for() -> None:
    """Its inputs are computed, and its deadline is its step's or ours."""
    step = call("call", inputs={"amount": {"cel": "1 + 1"}}, timeout_seconds=3)
    story = Story(step)
    made = story.begin("call")
    assert (made.direction, made.attempt, made.inputs) == (FORWARD, 1, {"amount": 2})
    assert made.key == f"{story.chain.id}.call.forward.1"
    assert (made.timeout_seconds, made.deadline) == (3, story.books.now + dt.timedelta(seconds=3))
    assert story.chain.steps["call"].inputs == {"amount": 2}


@pytest.mark.parametrize(("own", "seconds"), [(None, 7), (60, 7), (3, 3)])
def test_no_call_is_longer_than_the_books_say(own: float | None, seconds: float) -> None:
    """A lease is longer than that; its step can make it shorter alone."""
    story = Story(call("call", timeout_seconds=own))
    story.books.call_seconds = 7
    made = story.begin("call")
    assert made.timeout_seconds == seconds
    assert made.deadline == story.books.now + dt.timedelta(seconds=seconds)


def test_what_is_due_to_nobody_is_not_begun() -> None:
    """A step that waits, one that is not there, and one whose time has not come."""
    story = Story(call("call", retry=Retry(2, first_seconds=60)), call("then", "call"))
    assert story.do(calls.begin, "then") is None
    assert story.do(calls.begin, "nobody") is None
    story.call("call", LATER)
    assert story.do(calls.begin, "call") is None
    assert not story.do(answers.answer, "nobody", FORWARD, 1, APPROVED)


def test_the_inputs_of_every_call_are_those_of_the_first() -> None:
    """What they were computed from may have changed by the time of the undo."""
    body = {"cel": "steps.one.state"}
    story = Story(call("one"), call("two", "one*", inputs={"body": body}))
    story.call("one", PENDING)
    assert story.begin("two").inputs == {"body": "waiting"}
    story.do(answers.answer, "one", LOOK_UP, 1, APPROVED)
    story.do(answers.answer, "two", FORWARD, 1, LOST)
    story.wait(1)
    assert story.begin("two").inputs == {"body": "waiting"}


def test_a_refusal_for_now_takes_a_new_key() -> None:
    """Certainly nothing was done, so the round grows; the policy says when, and how often."""
    story = Story(call("call", retry=Retry(2, first_seconds=60)))
    first = story.call("call", LATER)
    second = story.wait(60).call("call", LATER)
    assert (first.key[-1], second.key[-1], second.attempt) == ("1", "2", 2)
    assert not second.repeats
    assert story.state == "rolled_back"
    assert story.chain.failure == Failure("busy", step="call")


def test_a_code_that_is_never_retried_is_final() -> None:
    """Whatever the partner says of its permanence."""
    story = Story(call("call", retry=Retry(9, never=frozenset({"busy"}))))
    story.call("call", LATER)
    assert story.state == "rolled_back"


@pytest.mark.parametrize("dies", [True, False])
def test_without_an_answer_the_partner_is_asked(dies: bool) -> None:  # noqa: FBT001
    """By the same key: only when the call can no longer arrive does "not found" mean that."""
    story = Story(call("call"))
    lost = story.begin("call")
    if not dies:
        story.answer(lost, LOST)
        story.wait(1)
    asked = story.call("call", NOT_FOUND)
    assert (asked.direction, asked.key, asked.attempt) == (LOOK_UP, lost.key, 1)
    assert story.states() == {"call": "unknown"}
    story.wait(20).call("call", NOT_FOUND)
    assert story.states() == {"call": "pending"}
    assert story.due() == {"call": FORWARD}
    again = story.wait(5).begin("call")
    assert (again.direction, again.key, again.attempt) == (FORWARD, lost.key, 2)
    assert (lost.repeats, asked.repeats, again.repeats) == (False, False, True)


@pytest.mark.parametrize("first", [LOST, PENDING])
def test_a_question_that_is_refused_for_now_tells_nothing(first: Answer) -> None:
    """What could not be asked may still have been done: nothing is re-keyed or undone."""
    story = Story(call("call", retry=Retry(9)))
    lost = story.call("call", first)
    state = story.states()["call"]
    for _ in range(2):
        asked = story.wait(60).call("call", LATER)
        assert (asked.direction, asked.key) == (LOOK_UP, lost.key)
        assert story.states()["call"] == state


@pytest.mark.parametrize("first", [LOST, PENDING])
def test_a_refusal_for_now_of_the_call_itself_is_tried_again(first: Answer) -> None:
    """Found by a look-up, it is as good as the call's own answer: the policy decides."""
    story = Story(call("call", retry=Retry(2)))
    story.call("call", first)
    found = LATER._replace(of_the_call=True)
    asked = story.wait(60).call("call", found)
    assert (asked.direction, story.states()["call"]) == (LOOK_UP, "pending")
    again = story.wait(60).begin("call")
    assert (again.direction, again.key.endswith(".2"), again.repeats) == (FORWARD, True, False)
    story.answer(again, LOST)
    story.wait(60).call("call", found)
    assert story.state == "rolled_back"


REFUSED = Answer(Outcome.DECLINED, code="http_401", permanent=False)


def ask_in_vain(story: Story, times: int, found: Answer = REFUSED) -> None:
    """Look the call up so often; it tells nothing."""
    for _ in range(times):
        story.wait(3600).call("call", found)


@pytest.mark.parametrize("first", [LOST, PENDING])
@pytest.mark.parametrize("found", [REFUSED, LOST])
def test_who_tells_nothing_for_long_parks_its_step(first: Answer, found: Answer) -> None:
    """In sight of an operator, and out of nobody's mind: it is asked on, but seldom."""
    story = Story(call("call"))
    lost = story.call("call", first)
    state = story.states()["call"]
    ask_in_vain(story, LIMITS.look_ups - 1, found)
    assert list(story.chain.parked()) == []
    ask_in_vain(story, 1, found)
    (step,) = story.chain.parked()
    assert (step.name, step.state) == ("call", state)
    assert step.failure is not None
    assert step.failure.code == (found.code or "no_answer")
    assert step.due_at is not None
    assert step.due_at - story.books.now >= dt.timedelta(seconds=1800)
    asked = story.wait(3600).begin("call")
    assert (asked.direction, asked.key, asked.attempt) == (LOOK_UP, lost.key, 1)
    story.answer(asked, found)
    assert step.parked
    story.wait(3600).call("call", APPROVED)
    assert story.state == "completed"
    assert list(story.chain.parked()) == []


def test_who_is_undecided_parks_nothing() -> None:
    """It answers; between its answers it may be silent now and then."""
    story = Story(call("call"))
    story.call("call", PENDING)
    for _ in range(2):
        ask_in_vain(story, LIMITS.look_ups - 1)
        ask_in_vain(story, 2, PENDING)
    assert story.states() == {"call": "waiting"}
    assert list(story.chain.parked()) == []
    ask_in_vain(story, LIMITS.look_ups)
    assert len(list(story.chain.parked())) == 1
    ask_in_vain(story, 1, PENDING)
    assert list(story.chain.parked()) == []


@pytest.mark.parametrize("found", [NOT_FOUND, DECLINED, PENDING])
def test_an_answer_takes_the_mark_away(found: Answer) -> None:
    """Whatever it says."""
    story = Story(call("call"), Step("wait", "wait", {}, ()))
    story.call("call", LOST)
    ask_in_vain(story, LIMITS.look_ups)
    assert list(story.chain.parked()) != []
    ask_in_vain(story, 1, found)
    assert list(story.chain.parked()) == []


def test_a_partner_that_forgot_for_good_parks_its_step() -> None:
    """It had taken the call and does not know it: it is never called again, and never undone."""
    story = Story(call("call"))
    story.call("call", PENDING)
    ask_in_vain(story, LIMITS.look_ups, NOT_FOUND)
    assert list(story.chain.parked()) == []  # the first of them made it unknown
    ask_in_vain(story, 1, NOT_FOUND)
    assert [step.name for step in story.chain.parked()] == ["call"]
    story.do(machine.cancel, Failure("cancelled"), None)
    assert (story.state, story.states()) == ("failed", {"call": "unknown"})


def test_a_lost_undo_that_nobody_tells_of_parks() -> None:
    """Those before it are undone meanwhile, and it is looked up on."""
    story = roll_back(WAIT, call("first"), call("call", "first"))
    story.call("call", LOST)
    ask_in_vain(story, LIMITS.look_ups)
    assert story.states()["call"] == "compensation_unknown"
    assert [step.name for step in story.chain.parked()] == ["call"]
    assert story.due() == {"call": Direction.UNDO_LOOK_UP, "first": UNDO}
    story.call("first")
    assert story.state == "rolling_back"
    story.wait(3600).call("call", APPROVED)
    assert story.state == "rolled_back"


def test_asking_backs_off() -> None:
    """Nobody is asked without a pause, and the pauses grow."""
    story = Story(call("call"))
    story.call("call", LOST)
    pauses = []
    for _ in range(3):
        due = story.chain.steps["call"].due_at
        assert due is not None
        pauses.append((due - story.books.now).total_seconds())
        story.wait(pauses[-1]).call("call", LOST)
    assert pauses == sorted(set(pauses))


def test_who_takes_days_is_asked_with_patience() -> None:
    """An hour of every minute, then of every ten: each time is an event."""
    story = Story(call("call"))
    story.call("call", PENDING)
    ask_in_vain(story, 200, PENDING)
    due = story.chain.steps["call"].due_at
    assert due is not None
    assert 300 <= (due - story.books.now).total_seconds() <= 600
    assert story.chain.steps["call"].tries == 200


def test_a_late_approval_of_the_key_in_use_counts() -> None:
    """Whichever of its calls it answers, and while it waits for the next one."""
    for begun in (True, False):
        story = Story(call("call"))
        story.begin("call")
        story.wait(20).call("call", NOT_FOUND)
        if begun:
            story.wait(5).begin("call")
        assert not story.do(answers.answer, "call", FORWARD, 0, APPROVED)
        assert begun or not story.do(answers.answer, "call", FORWARD, 1, DECLINED)
        assert story.do(answers.answer, "call", FORWARD, 1, APPROVED)
        assert story.state == "completed"
        assert not answers.is_stray(story.chain, "call", FORWARD, 1, Outcome.APPROVED)


def test_an_approval_of_a_closed_attempt_is_a_stray() -> None:
    """It is not taken, and not forgotten: whoever got it starts a chain that undoes it."""
    story = Story(call("call"))
    made = story.call("call", DECLINED)
    assert not story.answer(made, APPROVED)
    assert answers.is_stray(story.chain, "call", FORWARD, 1, Outcome.APPROVED)
    assert not answers.is_stray(story.chain, "call", FORWARD, 1, Outcome.DECLINED)
    assert not answers.is_stray(story.chain, "call", UNDO, 1, Outcome.APPROVED)
    assert not answers.is_stray(story.chain, "nobody", FORWARD, 1, Outcome.APPROVED)


def test_a_partner_that_has_taken_it_is_asked_until_it_says() -> None:
    """What it gave meanwhile is there; its last word replaces it."""
    story = Story(call("call"), transfer("pay", A, B, {"cel": "steps.call.amount"}, "call*"))
    story.call("call", PENDING)
    assert story.states() == {"call": "waiting", "pay": "completed"}
    assert story.money() == ((9, 0), (1, 1))
    assert story.wait(1).call("call", PENDING).direction is LOOK_UP
    assert story.wait(1).call("call", LOST).direction is LOOK_UP
    story.wait(9).call("call", APPROVED)
    assert story.state == "completed"
    assert story.chain.steps["call"].result == {"amount": 2}


def test_a_partner_that_forgot_what_it_took_is_never_called_again() -> None:
    """Its "not found" proves nothing: a human says what became of it, or the partner does."""
    story = Story(call("call"))
    story.call("call", PENDING)
    story.wait(20).call("call", NOT_FOUND)
    assert story.states() == {"call": "unknown"}
    story.wait(20).call("call", NOT_FOUND)
    assert story.states() == {"call": "unknown"}
    story.wait(20).call("call", PENDING)
    assert story.states() == {"call": "waiting"}


def test_a_failed_chain_waits_for_what_is_out() -> None:
    """An undecided partner is asked to cancel; only when all is known is anything undone."""
    story = Story(transfer("pay", A, B, 1), call("left"), call("right"), ask("other", "left"))
    story.call("left", PENDING)
    right = story.begin("right")
    story.do(machine.cancel, Failure("cancelled"), None)
    assert story.states() == {
        "pay": "completed",
        "left": "waiting",
        "right": "executing",
        "other": "skipped",
    }
    assert story.due() == {"left": CANCEL, "right": LOOK_UP}
    story.call("left", PENDING)
    story.wait(60).call("left", DECLINED)
    assert story.state == "failed"
    story.answer(right, LOST)
    story.wait(60).call("right", NOT_FOUND)
    assert story.states()["right"] == "failed"
    assert story.state == "rolled_back"


def test_an_undecided_partner_has_until_the_steps_deadline() -> None:
    """Then the chain fails, and the partner's answer decides what is to be undone."""
    story = Story(call("call", timeout_seconds=30))
    story.call("call", PENDING)
    assert story.timer() == 30
    assert story.wait(30).chain.failure == Failure("step_timed_out", step="call")
    story.call("call", APPROVED)
    assert story.due() == {"call": UNDO}


# --- past the pivot ---------------------------------------------------------------------------


def test_past_the_pivot_a_refused_call_is_retried_then_parked() -> None:
    """The chain goes forward only."""
    story = Story(call("pivot", pivot=True), call("after", "pivot", retry=Retry(2)))
    story.call("pivot")
    story.call("after", LATER)
    assert story.due() == {"after": FORWARD}
    story.wait(60).call("after", LATER)
    assert [run.name for run in story.chain.parked()] == ["after"]
    assert story.state == "executing"
    assert story.due() == {}


def test_past_the_pivot_an_expression_that_breaks_parks_its_step() -> None:
    """Nothing fails any more."""
    story = Story(
        call("pivot", pivot=True), call("after", "pivot", inputs={"amount": {"cel": "1 / 0"}})
    )
    story.call("pivot")
    assert story.do(calls.begin, "after") is None
    assert [run.name for run in story.chain.parked()] == ["after"]


def test_a_pivot_that_never_arrived_lets_a_cancellation_take_effect() -> None:
    """Nothing was done, so that is as good as a refusal."""
    story = Story(call("pivot", pivot=True))
    story.call("pivot", LOST)
    story.do(machine.cancel, Failure("cancelled"), None)
    story.wait(20).call("pivot", NOT_FOUND)
    assert story.state == "rolled_back"
    assert story.states() == {"pivot": "skipped"}


def test_a_pivots_refusal_for_now_is_retried() -> None:
    """Where nothing was recorded against it."""
    story = Story(call("pivot", pivot=True, retry=Retry(2)), WAIT, ask("after", "pivot"))
    story.do(machine.signal, "wait", None, None)
    story.call("pivot", LATER)
    assert story.states()["pivot"] == "pending"
    story.wait(60).call("pivot", Answer(Outcome.APPROVED))
    assert story.due() == {"after": FORWARD}


def test_a_call_begins_with_what_the_clock_has_decided() -> None:
    """A chain whose time is over dispatches nothing more, however late its timer is."""
    story = Story(call("call"), timeout_seconds=5)
    story.books.now += dt.timedelta(seconds=5)
    assert story.do(calls.begin, "call") is None
    assert story.chain.failure == Failure("chain_timed_out")


def test_needs_are_named_with_their_phase() -> None:
    """The shapes' own short way of saying it."""
    assert [need.accepted for need in needs("one", "two*")] == [False, True]


@pytest.mark.parametrize(
    ("code", "detail", "kept", "told"),
    [
        ("No Funds!", "", "declined", "No Funds!"),
        ("NO_FUNDS", "a\n\tb", "no_funds", "a b"),
        ("x" * 81, "y" * 500, "declined", "y" * LIMITS.reason_characters),
        ("", "\x00\u202e", "declined", ""),
    ],
)
def test_what_is_said_of_a_refusal_is_bounded(code: str, detail: str, kept: str, told: str) -> None:
    """Whatever a step type says: the code looks like one, the reason is one line, and short."""
    story = Story(call("call"))
    story.call("call", Answer(Outcome.DECLINED, code=code, detail=detail))
    assert story.chain.failure == Failure(kept, told, "call")


def test_what_a_worker_must_have() -> None:
    """A step's type, or the gateway that it names; to undo another's call, what that one takes."""
    pays = {"gateway": "desk", "amount": 1}
    assert adapter_of("http", {"url": "u"}) == "http"
    assert adapter_of("gateway.charge", pays) == "gateway:desk"
    assert adapter_of(UNDOES_LATE, {"type": "gateway.charge", "inputs": pays}) == "gateway:desk"
    assert adapter_of(UNDOES_LATE, {"type": "http", "inputs": {}}) == "http"
