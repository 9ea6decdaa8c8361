"""Steps that are appended: judged, tried dry where a caller asks for one, and refused whole."""

from __future__ import annotations

import datetime as dt
from functools import partial

import pytest

from catena.chains import machine
from catena.chains.appending import append_steps, append_tried, name_step
from catena.chains.definition import Step
from catena.chains.history import Failure
from catena.chains.refusals import ChainRefusal, ChainRefused
from catena.chains.standing import find_unusable
from catena.ledger.accounts import AccountStatus
from catena.ledger.refusals import Refusal, RefusalCode
from catena.settings import LIMITS
from tests.chains.shapes import A, B, call, needs, reserve, transfer
from tests.chains.story import Story

WAIT = Step("wait", "wait", {}, goes_on=True)


def _running() -> Story:
    return Story(reserve("hold", A, 4), WAIT)


def test_what_is_right_is_appended() -> None:
    """And done at once, as far as it goes."""
    story = _running()
    told = {"steps": [transfer("pay", A, B, 4, "hold")], "by": "ada"}
    assert story.do(append_steps, **told) is None
    assert story.money() == ((6, 0), (4, 4))
    story = Story(transfer("pay", A, B, 1), open=True)
    assert story.do(append_steps, steps=[transfer("more", A, B, 2)], by=None) is None
    assert story.states() == {"pay": "pending", "more": "pending"}


def test_what_ends_the_chain_is_appended_too() -> None:
    """A step whose refusal rolls the chain back was asked for as one of many."""
    story = _running()
    assert story.do(append_steps, steps=[transfer("pay", A, B, 40)], by=None) is None
    assert story.state == "rolled_back"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (transfer("pay", A, "acct_" + "9" * 32, 1), "no such account"),
        (transfer("pay", A, B, 1, "nobody"), "no step of this name"),
        (transfer("hold", A, B, 1), "Another step"),
    ],
)
def test_a_flaw_refuses_the_append(step: Step, said: str) -> None:
    """Whole, and with where it is; nothing has happened."""
    story = _running()
    before = story.chain.number
    for act, told in ((append_steps, {"steps": [step]}), (append_tried, {"step": step})):
        refused = story.do(act, **told, by=None)
        assert isinstance(refused, ChainRefused)
        assert refused.code is ChainRefusal.INVALID_CHAIN
        assert said in refused.flaws[0].text
    assert story.chain.number == before


@pytest.mark.parametrize(
    "step",
    [
        transfer("take", A, B, 1, "hold", inputs={"lien": "hold"}),
        Step("free", "lien.release", {"lien": "hold"}, needs("hold")),
    ],
)
def test_what_the_pivot_counts_on_is_not_taken(step: Step) -> None:
    """Neither before it is out nor when it is done; a step that was paid counts on nothing."""
    story = Story(
        reserve("hold", A, 4),
        Step("wait", "wait", {}, needs("hold")),
        call("bank", "wait", pivot=True),
        Step("later", "wait", {}, needs("bank")),
        transfer("book", A, B, 4, "later", inputs={"lien": "hold"}),
    )
    told = partial(story.do, machine.signal, payload=None, by=None)
    for go_on in (partial(told, name="wait"), partial(story.call, "bank")):
        for act, asked in ((append_steps, {"steps": [step]}), (append_tried, {"step": step})):
            refused = story.do(act, **asked, by=None)
            assert isinstance(refused, ChainRefused)
            assert "behind the pivot needs" in refused.flaws[0].text
        go_on()
    assert story.do(append_steps, steps=[Step("more", "wait", {}, goes_on=True)], by=None) is None
    told(name="later")
    assert story.states()["book"] == "completed"
    assert story.do(append_steps, steps=[transfer("gift", B, A, 1, "book")], by=None) is None


def test_a_chain_has_so_many_steps_at_most() -> None:
    """Those that it has done count."""
    story = _running()
    steps = [transfer(f"pay_{n}", A, B, 1) for n in range(LIMITS.chain_steps - 1)]
    refused = story.do(append_steps, steps=steps, by=None)
    assert refused.flaws[-1].text == f"A chain has {LIMITS.chain_steps} steps at most."


def test_a_chain_has_so_many_expressions_at_most() -> None:
    """Those of the steps that it has done count."""
    story = _running()
    body = [{"cel": "chain.id"}] * (LIMITS.chain_expressions - 1)
    assert story.do(append_steps, steps=[call("ask", inputs={"body": body})], by=None) is None
    refused = story.do(append_steps, steps=[call("more", when=("true", "true"))], by=None)
    assert [flaw.step for flaw in refused.flaws] == ["more"]
    assert "expressions" in refused.flaws[0].text
    assert story.do(append_steps, steps=[call("more", when=("true",))], by=None) is None


def test_an_ended_chain_takes_nothing() -> None:
    """Its state refuses it."""
    story = Story(transfer("pay", A, B, 1))
    refused = story.do(append_steps, steps=[WAIT], by=None)
    assert refused == ChainRefused(ChainRefusal.CHAIN_ENDED, story.chain.id)


def test_what_does_not_fit_does_not_fail_the_chain() -> None:
    """A step that is asked for by itself is tried dry first."""
    story = Story(transfer("pay", B, A, 1, when=("false",)), reserve("hold", A, 4), WAIT)
    assert story.do(append_tried, step=reserve("more", A, 6), by=None) is None
    refused = story.do(append_tried, step=reserve("most", A, 1), by=None)
    assert refused == Refusal(RefusalCode.INSUFFICIENT_FUNDS, A)
    released = Step("free", "lien.release", {"lien": "hold"}, needs("hold"))
    assert story.do(append_tried, step=released, by=None) is None
    again = Step("again", "lien.release", {"lien": "hold"}, needs("free"))
    refused = story.do(append_tried, step=again, by=None)
    assert refused.code is ChainRefusal.LIEN_NOT_OPEN
    broken = transfer("sum", A, B, {"cel": "1 / 0"})
    refused = story.do(append_tried, step=broken, by=None)
    assert refused.code is ChainRefusal.INVALID_CHAIN
    assert "divide by zero" in refused.flaws[0].text
    assert story.state == "executing"
    assert set(story.states()) == {"pay", "hold", "wait", "more", "free"}


def test_what_was_posted_before_is_not_undone_dry() -> None:
    """That a step would be refused is known before that."""
    story = Story(transfer("pay", A, B, 4), WAIT)
    refused = story.do(append_tried, step=reserve("most", A, 7), by=None)
    assert refused == Refusal(RefusalCode.INSUFFICIENT_FUNDS, A)
    assert story.money() == ((6, 0), (4, 4))


def test_past_the_pivot_what_would_park_is_refused() -> None:
    """It would wait for an operator, and the caller can be told at once."""
    story = Story(call("pivot", pivot=True), WAIT)
    story.call("pivot")
    step = Step("sum", "wait", {}, when=("1 / 0 == 1",))
    refused = story.do(append_tried, step=step, by=None)
    assert refused.code is ChainRefusal.INVALID_CHAIN
    assert "divide by zero" in refused.flaws[0].text


def test_a_step_whose_chain_fails_before_it_is_refused() -> None:
    """The time of the chain is over, though its timer has not said so yet."""
    story = Story(WAIT, timeout_seconds=5)
    story.books.now += dt.timedelta(seconds=6)
    refused = story.do(append_tried, step=reserve("more", A, 1), by=None)
    assert refused == ChainRefused(ChainRefusal.CHAIN_NOT_RUNNING, story.chain.id)
    assert story.state == "executing"


def test_while_held_nothing_is_tried() -> None:
    """It is appended, and begun when the chain is resumed."""
    story = _running()
    story.do(machine.hold, seconds=9, then="resume", why="", by=None)
    assert story.do(append_tried, step=reserve("more", A, 60), by=None) is None
    assert story.states()["more"] == "pending"


def test_accounts_that_cannot_be_used() -> None:
    """One that is not there, and one that is closed."""
    story = _running()
    story.books.accounts[B].status = AccountStatus.CLOSED
    steps = [transfer("pay", A, B, 1), transfer("other", A, "acct_" + "d" * 32, 1)]
    texts = [flaw.text for flaw in find_unusable(steps, story.books.accounts)]
    assert texts == ["The account is closed.", "The ledger has no such account."]


def test_a_step_gets_a_name_that_is_free() -> None:
    """It says what was asked for."""
    story = Story(reserve("capture_2", A, 1), WAIT, open=True)
    assert name_step(story.chain, "capture") == "capture_3"
    story = Story(reserve("capture_3", A, 1), WAIT, open=True)
    assert name_step(story.chain, "capture") == "capture_4"
    assert Failure("x").describe() == {"code": "x"}
