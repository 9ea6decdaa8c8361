"""What an operator decides by hand, and when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catena.chains import machine, operator
from catena.chains.decisions import Decision, possible_decisions
from catena.chains.definition import Definition, Step
from catena.chains.history import Failure
from catena.chains.refusals import ChainRefusal, ChainRefused, Command, refuse
from catena.chains.step_types import Answer, Direction, Outcome
from catena.chains.validator import Flaw, find_appended_flaws
from catena.settings import LIMITS
from tests.chains.shapes import WAIT, A, B, call, needs, reserve, transfer
from tests.chains.story import APPROVED, DECLINED, LOST, PENDING, Story


def _code(refused: ChainRefused | None) -> ChainRefusal | None:
    return refused and refused.code


def past_the_pivot() -> Story:
    """A call and a payment that are parked, and steps that need the call."""
    story = Story(
        reserve("hold", A, 4),
        call("pivot", "hold", pivot=True),
        call("after", "pivot"),
        transfer("pay", A, B, {"cel": "steps.after.amount * 10"}, "after"),
        transfer("lost", A, B, 100, "pivot"),
    )
    story.call("pivot")
    story.call("after", DECLINED)
    assert {run.name for run in story.chain.parked()} == {"after", "lost"}
    return story


def unknown() -> Story:
    """A call whose outcome is unknown."""
    story = Story(transfer("pay", A, B, 4), call("call", "pay"))
    story.call("call", LOST)
    return story


def taken() -> Story:
    """A call that its partner has taken and not decided, and a wait."""
    story = Story(call("call"), WAIT)
    story.call("call", PENDING)
    return story


def ended() -> Story:
    """A chain that is completed."""
    return Story(transfer("pay", A, B, 4))


def undoing(found: Any = DECLINED) -> Story:  # noqa: ANN401
    """An undo that is parked, or unknown."""
    story = Story(call("call"), WAIT)
    story.call("call")
    story.do(machine.cancel, Failure("cancelled"), None)
    story.call("call", found)
    return story


def test_a_parked_step_is_tried_again() -> None:
    """Once for each time that somebody says so, on record with the reason."""
    story = past_the_pivot()
    assert story.do(operator.retry, "after", "they say so", "ada") is None
    assert story.due() == {"after": "forward"}
    noted = next(event for event in story.events() if event.to == "unparked")
    assert noted.data == {"why": "they say so", "by": "ada"}
    story.call("after", DECLINED)
    assert "after" in [run.name for run in story.chain.parked()]


def in_vain(first: Answer) -> Story:
    """A call that is out, and that look-ups have told nothing of for long."""
    story = Story(transfer("pay", A, B, 4), call("call", "pay", timeout_seconds=10**6))
    story.call("call", first)
    for _ in range(LIMITS.look_ups):
        story.wait(3600).call("call", LOST)
    assert [run.name for run in story.chain.parked()] == ["call"]
    return story


def in_vain_lost() -> Story:
    """One of which nothing was ever heard."""
    return in_vain(LOST)


def undoing_lost() -> Story:
    """An undo that was sent, and not answered."""
    return undoing(LOST)


@pytest.mark.parametrize("first", [LOST, PENDING])
def test_a_parked_call_that_is_out_is_asked_about_at_once(first: Answer) -> None:
    """It parks anew only after as many look-ups; its deadline stays, and it is not undone."""
    story = in_vain(first)
    deadline = story.chain.steps["call"].deadline
    assert story.do(operator.retry, "call", "they are back", "ada") is None
    assert story.due() == {"call": "look_up"}
    assert story.begin("call").direction == "look_up"
    for _ in range(LIMITS.look_ups):
        assert list(story.chain.parked()) == []
        story.wait(3600).call("call", LOST)
    (call,) = story.chain.parked()
    assert (call.deadline, story.state) == (deadline, "executing")


@pytest.mark.parametrize("first", [LOST, PENDING])
def test_a_parked_call_that_is_out_is_decided_by_hand(first: Answer) -> None:
    """It was done, or it was not; it is not skipped, and nothing is undone before that."""
    story = in_vain(first)
    code = _code(story.do(operator.skip, "call", "no need", "ada"))
    assert code is ChainRefusal.DECISION_NOT_POSSIBLE
    assert story.do(operator.mark_done, "call", {}, "seen", "ada") is None
    assert story.state == "completed"
    story = in_vain(first)
    assert story.do(operator.mark_refused, "call", "they know nothing of it", "ada") is None
    assert (story.state, story.states()["call"]) == ("rolled_back", "failed")
    assert list(story.chain.parked()) == []


def test_a_parked_ledger_step_is_tried_again_at_once() -> None:
    """The operator has put the money there."""
    story = past_the_pivot()
    story.books.accounts[A].credits += 100
    assert story.do(operator.retry, "lost", "funded", "ada") is None
    assert story.states()["lost"] == "completed"


def test_a_wait_that_ran_out_past_the_pivot_waits_anew() -> None:
    """Its deadline counts from the retry."""
    wait = Step("wait", "wait", {}, needs("pivot"), timeout_seconds=5)
    story = Story(call("pivot", pivot=True), wait)
    story.call("pivot")
    story.wait(6)
    story.do(operator.retry, "wait", "they will", "ada")
    assert (story.states()["wait"], story.timer()) == ("waiting", 5)


def test_a_parked_undo_is_tried_again() -> None:
    """With a new key: the last one was refused. That refusal was the undo's, and is over with it;
    nothing was tried meanwhile.
    """
    story = undoing()
    step = story.chain.steps["call"]
    assert (step.failure, step.due_at) == (None, None)
    assert step.undo_failure is not None
    assert step.undo_failure.code == DECLINED.code
    story.do(operator.retry, "call", "they say so", "ada")
    assert story.call("call").key.endswith("undo.2")
    assert story.state == "rolled_back"
    step = story.chain.steps["call"]
    assert (step.failure, step.undo_failure) == (None, None)


def test_what_was_done_outside_is_marked_so() -> None:
    """The step has the result that the operator says, and others go on with it."""
    story = past_the_pivot()
    story.books.accounts[A].credits += 100
    told = {"amount": 1}
    assert story.do(operator.mark_done, "after", told, "on their page", "ada") is None
    assert (story.states()["after"], story.states()["pay"]) == ("completed", "completed")
    noted = next(e for e in story.events() if e.data.get("why") == "on their page")
    assert (noted.to, noted.data["by"], noted.data["result"]) == ("completed", "ada", told)


def test_an_unknown_call_is_marked_done_or_refused() -> None:
    """Either ends the uncertainty, and the chain goes on or rolls back."""
    story = unknown()
    assert story.do(operator.mark_done, "call", {}, "seen", "ada") is None
    assert story.state == "completed"
    story = unknown()
    assert story.do(operator.mark_refused, "call", "not there", "ada") is None
    assert story.state == "rolled_back"
    assert story.chain.failure == Failure("refused_by_hand", "not there", "call")
    noted = next(event for event in story.events() if event.to == "failed")
    assert noted.data["by"] == "ada"


@pytest.mark.parametrize("found", [DECLINED, LOST])
def test_an_undo_is_marked_done(found: Any) -> None:  # noqa: ANN401
    """One that is parked, and one that nobody knows of."""
    story = undoing(found)
    assert story.do(operator.mark_done, "call", {"by": "bank"}, "seen", "ada") is None
    assert story.state == "rolled_back"


def test_a_parked_step_is_skipped_unless_it_is_needed() -> None:
    """By an expression over its result, or for its lien; its state may be asked."""
    story = past_the_pivot()
    refused = story.do(operator.skip, "after", "never mind", "ada")
    left = [Decision.RETRY, Decision.MARK_DONE]
    assert refused == ChainRefused(
        ChainRefusal.STEP_NEEDED, story.chain.id, "after", 1, actions=left
    )
    assert story.do(operator.skip, "lost", "never mind", "ada") is None
    assert story.states()["lost"] == "skipped"
    story = Story(
        call("pivot", pivot=True),
        reserve("hold", A, 99, "pivot"),
        Step("free", "lien.release", {"lien": "hold"}, needs("hold")),
        call("other", "pivot"),
        transfer("pay", A, B, 1, "other", when=("steps.other.state == 'skipped'",)),
    )
    story.call("pivot")
    story.call("other", DECLINED)
    assert _code(story.do(operator.skip, "hold", "", "ada")) is ChainRefusal.STEP_NEEDED
    assert story.do(operator.skip, "other", "", "ada") is None
    assert story.states()["pay"] == "completed"


@pytest.mark.parametrize(
    ("condition", "needed"),
    [
        ("steps . other .\n amount == 1", True),
        ("steps.other // what it gave\n.amount == 1", True),
        ("1 in [steps.other.amount]", True),
        ("steps.hold.amount > 0 && steps.other.state == 'skipped'", False),
        ("steps . other . state == 'skipped'", False),
        ("'steps.other.amount' != ''", False),
        ("chain.metadata != 'steps.other.amount' || steps.pivot.amount > 0", False),
    ],
)
def test_who_names_a_result_needs_it_however_it_is_written(condition: str, needed: bool) -> None:  # noqa: FBT001
    """Spaces, lines and comments hide nothing; what only looks like it is none."""
    story = Story(
        call("pivot", pivot=True),
        reserve("hold", A, 1, "pivot"),
        call("other", "hold"),
        transfer("pay", A, B, 1, "other", when=(condition,)),
    )
    story.call("pivot")
    story.call("other", DECLINED)
    code = ChainRefusal.STEP_NEEDED if needed else None
    assert _code(story.do(operator.skip, "other", "", "ada")) is code


def test_the_step_of_a_group_is_not_its_group() -> None:
    """Though the group's name begins its own."""
    story = Story(
        call("pivot", pivot=True),
        call("group.a", "pivot"),
        Step("group", "chain", {}, needs("group.a")),
        transfer("pay", A, B, 1, "group", when=("steps.group.a.amount == 1",)),
    )
    story.call("pivot")
    story.call("group.a", DECLINED)
    assert _code(story.do(operator.skip, "group.a", "", "ada")) is ChainRefusal.STEP_NEEDED


@pytest.mark.parametrize(
    ("act", "told", "state"),
    [
        (operator.mark_done, ({"amount": 1},), "completed"),
        (operator.mark_refused, (), "rolled_back"),
    ],
)
@pytest.mark.parametrize("cancelled", [False, True])
def test_what_a_partner_has_taken_and_never_decides_is_decided_by_hand(
    act: Callable[..., ChainRefused | None],
    told: tuple[Any, ...],
    state: str,
    cancelled: bool,  # noqa: FBT001
) -> None:
    """It need not be parked: a partner that says "pending" for ever never is."""
    story = Story(transfer("pay", A, B, 4), call("call", "pay"))
    story.call("call", PENDING)
    if cancelled:
        story.do(machine.cancel, Failure("cancelled"), None)
    assert story.do(act, "call", *told, "by telephone", "ada") is None
    if cancelled and act is operator.mark_done:  # then it is undone
        story.call("call")
    assert story.state == ("rolled_back" if cancelled else state)


@pytest.mark.parametrize("parked", [False, True])
def test_an_undo_that_was_not_done_is_called_under_another_key(parked: bool) -> None:  # noqa: FBT001
    """Its partner tells nothing of it; somebody knows that it never did it."""
    story = undoing(LOST)
    for _ in range(LIMITS.look_ups if parked else 0):
        story.wait(4000).call("call", LOST)
    run = story.chain.steps["call"]
    assert (str(run.state), run.parked) == ("compensation_unknown", parked)
    before = story.chain.steps["call"].undo_round
    assert story.do(operator.mark_refused, "call", "by telephone", "ada") is None
    run = story.chain.steps["call"]
    assert (str(run.state), run.parked, run.undo_round) == ("compensating", False, before + 1)
    assert run.undo_failure == Failure("refused_by_hand", "by telephone")
    made = story.begin("call")
    assert made.direction is Direction.UNDO
    assert made.key.endswith(f".{before + 1}")
    story.answer(made, APPROVED)
    assert story.state == "rolled_back"


def test_a_chain_is_rolled_back_by_hand_before_its_pivot() -> None:
    """Unless somebody may still be acting on what cannot be undone."""
    story = Story(transfer("pay", A, B, 4), WAIT)
    assert story.do(operator.compensate, "stuck", "ada") is None
    assert story.chain.failure == Failure("compensated_by_hand", "stuck")
    assert story.money() == ((10, 0), (0, 0))
    story = unknown()
    assert _code(story.do(operator.compensate, "", "ada")) is ChainRefusal.OUTCOME_UNKNOWN
    story = Story(call("pivot", pivot=True))
    made = story.begin("pivot")
    assert _code(story.do(operator.compensate, "", "ada")) is ChainRefusal.OUTCOME_UNKNOWN
    story.answer(made, APPROVED)
    assert _code(story.do(operator.compensate, "", "ada")) is ChainRefusal.CHAIN_ENDED
    story = past_the_pivot()
    assert _code(story.do(operator.compensate, "", "ada")) is ChainRefusal.PIVOT_PASSED


@pytest.mark.parametrize(
    ("begin", "act", "told", "code"),
    [
        (ended, operator.retry, ("pay",), ChainRefusal.CHAIN_ENDED),
        (unknown, operator.retry, ("nobody",), ChainRefusal.UNKNOWN_STEP),
        (unknown, operator.retry, ("call",), ChainRefusal.DECISION_NOT_POSSIBLE),
        (unknown, operator.skip, ("nobody",), ChainRefusal.UNKNOWN_STEP),
        (unknown, operator.skip, ("call",), ChainRefusal.DECISION_NOT_POSSIBLE),
        (undoing, operator.skip, ("call",), ChainRefusal.DECISION_NOT_POSSIBLE),
        (unknown, operator.mark_refused, ("nobody",), ChainRefusal.UNKNOWN_STEP),
        (past_the_pivot, operator.mark_refused, ("after",), ChainRefusal.DECISION_NOT_POSSIBLE),
        (unknown, operator.mark_done, ("nobody", {}), ChainRefusal.UNKNOWN_STEP),
        (unknown, operator.mark_done, ("pay", {}), ChainRefusal.STEP_NOT_PARKED),
        (past_the_pivot, operator.mark_done, ("lost", {}), ChainRefusal.STEP_POSTS),
        (unknown, operator.mark_done, ("call", {"amount": "1"}), ChainRefusal.RESULT_MISMATCH),
    ],
)
def test_what_an_operator_may_not_decide(
    begin: Callable[[], Story],
    act: Callable[..., ChainRefused | None],
    told: tuple[Any, ...],
    code: ChainRefusal,
) -> None:
    """It is refused by a code of a closed list, and nothing has happened."""
    story = begin()
    before = story.chain.number
    assert _code(story.do(act, *told, "why", "ada")) is code
    assert story.chain.number == before


ACTS: dict[Decision, tuple[Callable[..., ChainRefused | None], tuple[Any, ...]]] = {
    Decision.RETRY: (operator.retry, ()),
    Decision.MARK_DONE: (operator.mark_done, ({"amount": 1},)),
    Decision.MARK_REFUSED: (operator.mark_refused, ()),
    Decision.SKIP: (operator.skip, ()),
}


@pytest.mark.parametrize("decision", Decision)
@pytest.mark.parametrize(
    "begin", [past_the_pivot, unknown, taken, ended, undoing, undoing_lost, in_vain_lost]
)
def test_what_is_shown_as_possible_is_done_and_nothing_else(
    begin: Callable[[], Story], decision: Decision
) -> None:
    """For each step of each story; a refusal says what is possible instead."""
    for name in begin().chain.steps:
        story = begin()
        possible = possible_decisions(story.chain, story.chain.steps[name])
        act, told = ACTS[decision]
        refused = story.do(act, name, *told, "why", "ada")
        assert (refused is None) == (decision in possible), (name, possible)
        if refused is not None:
            assert list(refused.actions) == possible


def test_a_refused_command_names_what_the_chain_waits_for() -> None:
    """A chain whose undo is parked never ends by itself."""
    story = undoing()
    refused = story.do(operator.compensate, "now", "ada")
    assert (refused.code, refused.step) == (ChainRefusal.CHAIN_NOT_RUNNING, "call")
    assert list(refused.actions) == [Decision.RETRY, Decision.MARK_DONE]
    assert undoing(LOST).do(operator.compensate, "now", "ada").actions == ()


ENDED, NEW, FAILING = (
    ChainRefusal.CHAIN_ENDED,
    ChainRefusal.CHAIN_NOT_STARTED,
    ChainRefusal.CHAIN_NOT_RUNNING,
)
STARTED, HELD, FREE = (
    ChainRefusal.CHAIN_STARTED,
    ChainRefusal.CHAIN_HELD,
    ChainRefusal.CHAIN_NOT_HELD,
)


@pytest.mark.parametrize(
    ("command", "created", "executing", "held", "rolling_back", "ended"),
    [
        (Command.START, None, STARTED, STARTED, STARTED, ENDED),
        (Command.APPEND, None, None, None, FAILING, ENDED),
        (Command.CANCEL, None, None, None, FAILING, ENDED),
        (Command.HOLD, NEW, None, HELD, FAILING, ENDED),
        (Command.RESUME, NEW, FREE, None, FAILING, ENDED),
        (Command.REJECT, NEW, FREE, None, FAILING, ENDED),
        (Command.SIGNAL, None, None, None, FAILING, ENDED),
        (Command.COMPENSATE, NEW, None, None, FAILING, ENDED),
        (Command.DECIDE, NEW, None, None, None, ENDED),
    ],
)
def test_what_a_state_refuses(
    command: Command,
    created: ChainRefusal | None,
    executing: ChainRefusal | None,
    held: ChainRefusal | None,
    rolling_back: ChainRefusal | None,
    ended: ChainRefusal | None,
) -> None:
    """Each command in each state."""
    new = Story(WAIT, open=True)
    running = Story(WAIT)
    on_hold = Story(WAIT)
    on_hold.do(machine.hold, seconds=9, then="resume", why="", by=None)
    over = Story(transfer("pay", A, B, 1))
    stories = (new, running, on_hold, undoing(), over)
    found = [_code(refuse(story.chain, command)) for story in stories]
    assert found == [created, executing, held, rolling_back, ended]


def test_past_the_pivot_nothing_undoes() -> None:
    """A cancellation, a rejection and a forced rollback are refused for it."""
    story = past_the_pivot()
    story.do(machine.hold, seconds=9, then="resume", why="", by=None)
    for command in (Command.CANCEL, Command.REJECT, Command.COMPENSATE):
        assert _code(refuse(story.chain, command)) is ChainRefusal.PIVOT_PASSED


def test_codes_are_unique_and_say_what_to_do() -> None:
    """The list is closed."""
    assert len({code.code for code in ChainRefusal}) == len(ChainRefusal)
    assert all(code.title and code.remedy.endswith(".") for code in ChainRefusal)


def test_what_is_appended_is_judged_with_what_is_there() -> None:
    """Past the pivot a step may take nothing but what the chain has; flaws are the new steps'."""
    story = Story(
        reserve("hold", A, 4),
        call("pivot", "hold", pivot=True),
        Step("w", "wait", {}, goes_on=True),
    )

    def flaws(*steps: Step) -> list[Flaw]:
        return find_appended_flaws(story.chain, steps, story.books)

    assert flaws(transfer("pay", A, B, 9)) == []
    assert [flaw.part for flaw in flaws(transfer("hold", A, B, 9))] == ["name"]
    story.call("pivot")
    assert flaws(transfer("pay", A, B, 4, "hold")) == []
    assert [flaw.step for flaw in flaws(transfer("pay", A, B, 9, "hold"))] == ["pay"]
    assert story.chain.place([WAIT])[0].needs == needs("pivot")
    assert Definition((WAIT,)).steps == (WAIT,)


def test_what_a_partner_had_told_is_kept() -> None:
    """An operator adds what the step gave; its undo may need what was known before."""
    story = Story(call("call"), WAIT)
    story.call("call", Answer(Outcome.PENDING, {"id": "p1", "ok": False}))
    assert story.do(operator.mark_done, "call", {"ok": True}, "seen", "ada") is None
    assert story.chain.steps["call"].result == {"id": "p1", "ok": True}
