"""Times, holds and the pivot, as stories of one chain."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.chains import machine
from catena.chains.definition import Retry, Step
from catena.chains.history import Failure
from catena.chains.step_types import Answer, Direction
from catena.ledger.accounts import AccountStatus
from tests.chains.books import NOW
from tests.chains.shapes import A, B, ask, call, needs, reserve, transfer
from tests.chains.story import APPROVED, DECLINED, LATER, LOST, PENDING, Story

# --- expiry -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("then", "state"), [("fail", "rolled_back"), ("continue", "executing")])
def test_a_lien_expires_once(then: str, state: str) -> None:
    """The chain fails and is rolled back, or goes on without, as declared."""
    story = Story(reserve("hold", A, 6, expires=50, on_expiry=then), Step("wait", "wait", {}))
    assert story.timer() == 50
    assert story.wait(50).state == state
    assert story.money() == ((10, 0), (0, 0))
    assert story.timer() is None
    assert sum(event.to == "lien_expired" for event in story.events()) == 1


def test_a_draw_past_expiry_decides_it() -> None:
    """No sweep was needed: what comes too late finds the lien expired."""
    story = Story(
        reserve("hold", A, 6, expires=50),
        Step("wait", "wait", {}, needs("hold")),
        transfer("pay", A, B, 6, "wait"),
    )
    story.books.now += dt.timedelta(seconds=51)
    story.do(machine.signal, "wait", None, None)
    assert story.chain.failure == Failure("lien_expired", step="hold", account=A)


def test_a_chain_times_out() -> None:
    """It counts from its start."""
    story = Story(Step("wait", "wait", {}), timeout_seconds=9)
    assert story.timer() == 9
    assert story.wait(9).chain.failure == Failure("chain_timed_out")
    assert story.states() == {"wait": "skipped"}


def test_while_an_outcome_is_unknown_no_lien_expires() -> None:
    """The chain could not be rolled back; once it is known, the time counts again."""
    story = Story(reserve("hold", A, 6, expires=50), call("call", "hold"), Step("wait", "wait", {}))
    story.call("call", LOST)
    assert story.timer() is None
    assert story.wait(60).state == "executing"
    story.call("call", APPROVED)
    assert story.chain.failure is not None
    assert story.chain.failure.code == "lien_expired"


# --- holds ------------------------------------------------------------------------------------


def _hold(story: Story, then: str = "resume", seconds: float = 40) -> None:
    story.do(machine.hold, seconds=seconds, then=then, why="review", by="ada")


def test_a_hold_stops_the_clocks() -> None:
    """Resumed, every deadline has moved by the length of the hold; backoffs have not."""
    story = Story(
        reserve("hold", A, 6, expires=50),
        transfer("pay", A, B, 1),
        Step("wait", "wait", {}, timeout_seconds=60),
        Step("pause", "wait", {"seconds": 70}),
        call("call", retry=Retry(2)),
        timeout_seconds=80,
    )
    found = story.begin("call")
    _hold(story)
    assert story.timer() == 40
    assert story.answer(found, LATER)
    assert "call" not in story.due()
    story.wait(30)
    story.do(machine.resume, "fine", "ada")
    chain = story.chain
    assert chain.held_until is None
    assert chain.hold == {}
    assert chain.expires_at == NOW + dt.timedelta(seconds=110)
    assert chain.steps["wait"].deadline == NOW + dt.timedelta(seconds=90)
    assert chain.steps["pause"].due_at == NOW + dt.timedelta(seconds=100)
    assert story.due() == {"call": "forward"}
    assert story.begin("call").key.endswith(".2")
    assert story.timer() == 50


@pytest.mark.parametrize(("then", "state"), [("resume", "executing"), ("reject", "rolled_back")])
def test_a_hold_has_an_end(then: str, state: str) -> None:
    """Its outcome was declared with it."""
    story = Story(Step("wait", "wait", {}))
    _hold(story, then)
    assert story.wait(39).state == "held"
    assert story.wait(1).state == state


def test_answers_are_recorded_while_held_and_have_their_consequences_later() -> None:
    """A refusal fails the chain when it is resumed."""
    story = Story(call("call"), Step("wait", "wait", {"signal": "go"}), ask("other"))
    found, other = story.begin("call"), story.begin("other")
    _hold(story)
    story.do(machine.signal, "go", None, None)
    story.answer(found, DECLINED)
    story.answer(other, PENDING)
    assert story.state == "held"
    assert story.states() == {"call": "failed", "wait": "completed", "other": "waiting"}
    assert story.due() == {"other": "look_up"}
    story.do(machine.resume, "fine", None)
    assert story.chain.failure == Failure("no", "because", "call")
    assert story.due() == {"other": "cancel"}
    story.call("other", APPROVED)
    assert story.state == "rolled_back"


def test_a_rejection_while_the_pivot_is_out_waits_for_its_answer() -> None:
    """Approved, it is void; refused, it takes effect."""
    for found, state in (
        (APPROVED, "completed"),
        (DECLINED, "rolled_back"),
        (LATER, "rolled_back"),
    ):
        for then in ("now", "later"):
            story = Story(call("pivot", pivot=True, retry=Retry(3)))
            out = story.begin("pivot")
            _hold(story, "reject")
            if then == "now":
                story.do(machine.reject, "bad", "ada")
            else:
                story.wait(40)
            assert story.state == "executing"
            assert story.chain.pending_failure is not None
            story.answer(out, found)
            assert story.state == state
            assert story.chain.pending_failure is None


def test_a_rejection_rolls_back() -> None:
    """A held chain fails at once where nothing stands against it."""
    story = Story(transfer("pay", A, B, 1), Step("wait", "wait", {}))
    _hold(story)
    story.do(machine.reject, "bad", "ada")
    assert story.state == "rolled_back"
    assert story.chain.failure == Failure("rejected", "bad")


def test_a_cancellation_recorded_while_held_takes_effect_at_the_pivots_refusal() -> None:
    """It was commanded, and is no consequence of the answer."""
    story = Story(call("pivot", pivot=True))
    out = story.begin("pivot")
    _hold(story)
    story.do(machine.cancel, Failure("cancelled"), "ada")
    story.do(machine.cancel, Failure("cancelled again"), "ada")
    story.answer(out, DECLINED)
    assert story.state == "rolled_back"
    assert story.chain.failure == Failure("cancelled")


def test_past_the_pivot_a_hold_only_ends_in_going_on() -> None:
    """A declared rejection cannot be."""
    story = Story(call("pivot", pivot=True), Step("wait", "wait", {}, needs("pivot")))
    story.call("pivot")
    _hold(story, "reject")
    assert story.wait(40).state == "executing"


# --- the pivot --------------------------------------------------------------------------------


def test_the_pivot_waits_for_all_that_can_fail() -> None:
    """Steps that it does not name must be done as well; those that follow it need not."""
    story = Story(call("other"), call("pivot", pivot=True), ask("after", "pivot"))
    assert story.due() == {"other": "forward"}
    story.call("other")
    assert story.due() == {"pivot": "forward"}


def test_a_timeout_while_the_pivot_is_out_is_only_recorded() -> None:
    """The clock says so once, and the pivot's approval voids it."""
    story = Story(call("pivot", pivot=True), timeout_seconds=30)
    out = story.begin("pivot")
    assert story.wait(30).chain.pending_failure == Failure("chain_timed_out")
    assert story.timer() is None
    story.answer(out, APPROVED)
    assert story.state == "completed"
    assert [event.to for event in story.events()][-2:] == ["failure_voided", "completed"]


@pytest.mark.parametrize(
    ("found", "state"), [(APPROVED, "completed"), (DECLINED, "rolled_back"), (PENDING, "executing")]
)
def test_a_pivot_that_is_undecided_is_asked_to_give_up(found: Answer, state: str) -> None:
    """Cancelled meanwhile, at once; what it says then decides, and it is asked on until then."""
    story = Story(ask("pivot", pivot=True))
    story.call("pivot", PENDING)
    assert story.due() == {"pivot": "look_up"}
    story.do(machine.cancel, Failure("cancelled"), "ada")
    assert story.begin("pivot").direction is Direction.CANCEL
    story.answer(story.begin("pivot"), found)
    assert story.state == state
    assert story.due() == ({} if story.chain.is_ended else {"pivot": "cancel"})


def test_past_the_pivot_ledger_steps_park() -> None:
    """They are tried again, then wait for an operator; nothing fails, and no time runs out."""
    story = Story(
        call("pivot", pivot=True),
        transfer("pay", A, B, 11, "pivot", retry=Retry(2)),
        Step("wait", "wait", {}, needs("pivot"), timeout_seconds=50),
        Step("sum", "entry", {"lines": {"cel": "[1 / 0]"}}, needs("pivot")),
        timeout_seconds=60,
    )
    story.call("pivot")
    assert [run.name for run in story.chain.parked()] == ["sum"]
    story.wait(20)
    assert {run.name for run in story.chain.parked()} == {"pay", "sum"}
    assert story.timer() == 30
    story.wait(30)
    assert {run.name for run in story.chain.parked()} == {"pay", "sum", "wait"}
    assert story.wait(60).state == "executing"
    assert story.timer() is None


def test_past_the_pivot_a_freeze_refuses_nothing() -> None:
    """Nor does a ceiling: the chain only goes forward."""
    story = Story(
        reserve("hold", A, 4),
        call("pivot", "hold", pivot=True),
        transfer("pay", A, B, 6, "pivot"),
    )
    story.books.accounts[A].status = AccountStatus.FROZEN
    story.books.accounts[B].ceiling = 1
    story.call("pivot")
    assert story.state == "completed"


def test_a_ledger_pivot_in_a_refused_run_has_not_happened() -> None:
    """The run is all or nothing, and with its pivot it is rolled back."""
    story = Story(
        transfer("pay", A, B, 4, pivot=True),
        Step("sum", "entry", {"lines": {"cel": "[1 / 0]"}}, needs("pay")),
    )
    assert story.state == "rolled_back"
    assert story.money() == ((10, 0), (0, 0))
