"""The machine: runs, waits, commands and histories, as stories of one chain."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.chains import machine
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Retry, Step
from catena.chains.history import Event, Failure, IllegalMove, Record
from catena.chains.refusals import ChainRefusal, Command, refuse, refuse_signal
from catena.chains.waits import find_wait
from catena.settings import LIMITS
from tests.chains.books import NOW, MemoryBooks, wallet
from tests.chains.checks import describe
from tests.chains.shapes import CATALOGUE, A, B, call, needs, reserve, transfer
from tests.chains.story import APPROVED, DECLINED, Story

# --- runs -------------------------------------------------------------------------------------


def test_a_chain_of_ledger_steps_is_done_at_once() -> None:
    """It completes in its first run, and its liens end with it."""
    story = Story(reserve("hold", A, 6), transfer("pay", A, B, 4, "hold"))
    assert story.state == "completed"
    assert story.money() == ((6, 0), (4, 0))
    assert not story.do(machine.run)
    assert story.timer() is None


def test_a_refused_run_leaves_nothing() -> None:
    """Its postings are dropped and not reversed; the refused step says why."""
    story = Story(transfer("pay", A, B, 4), transfer("more", A, B, 7, "pay"))
    assert story.state == "rolled_back"
    assert story.states() == {"pay": "skipped", "more": "failed"}
    assert story.chain.failure is not None
    assert story.chain.failure[0] == "insufficient_funds"
    assert story.chain.failure[2:] == ("more", A)
    assert story.money() == ((10, 0), (0, 0))
    assert all(not lines for lines in story.books.entries)


def test_a_refused_run_keeps_the_answer_that_began_it() -> None:
    """The partner has acted: its answer commits, and the step is undone."""
    story = Story(call("call"), transfer("pay", A, B, 11, "call"))
    story.call("call")
    assert story.states() == {"call": "completed", "pay": "failed"}
    assert story.state == "rolling_back"
    story.call("call")
    assert story.state == "rolled_back"


def test_a_refusal_that_may_pass_ends_the_run_before_its_step() -> None:
    """What ran stays, and the step is tried again after its backoff."""
    retry = Retry(3, first_seconds=8)
    story = Story(
        transfer("pay", A, B, 4), transfer("more", A, B, 7, "pay", retry=retry), timeout_seconds=60
    )
    assert story.states() == {"pay": "completed", "more": "pending"}
    assert story.money() == ((6, 0), (4, 4))
    assert story.timer() == 4  # half of the longest wait, with half of the luck
    story.books.accounts[A].credits += 5
    assert story.wait(4).state == "completed"
    assert story.money() == ((4, 0), (11, 0))


@pytest.mark.parametrize(
    ("retry", "code"),
    [(Retry(2), "insufficient_funds"), (Retry(9, never=frozenset({"insufficient_funds"})), "")],
)
def test_retries_end(retry: Retry, code: str) -> None:
    """After the last attempt, or for a code that is never retried, the refusal is final."""
    story = Story(transfer("pay", A, B, 11, retry=retry))
    if code:
        story.wait(60)
    assert story.state == "rolled_back"


def test_a_step_times_out_between_attempts() -> None:
    """Its deadline counts from its first attempt, and the clock is set to it."""
    retry = Retry(9, first_seconds=60)
    story = Story(transfer("pay", A, B, 11, retry=retry, timeout_seconds=5))
    assert story.timer() == 5
    assert story.wait(5).chain.failure == Failure("step_timed_out", step="pay")


def test_what_can_never_be_done_is_refused_at_once() -> None:
    """An account that is not there will not be there at the next attempt."""
    story = Story(transfer("pay", A, "acct_" + "9" * 32, 1, retry=Retry(9)))
    assert story.chain.failure is not None
    assert story.chain.failure.code == "unknown_account"


def test_a_condition_skips_its_step() -> None:
    """What depends on a skipped step goes on, and may ask for its state."""
    story = Story(
        transfer("pay", A, B, 4, when=("chain.reference == 'other'",)),
        transfer("then", A, B, 1, "pay", when=("steps.pay.state == 'skipped'", "1 < 2")),
        Step("group", "chain", {}, needs("pay", "then")),
        reference="mine",
        metadata={"k": 1},
    )
    assert story.states() == {"pay": "skipped", "then": "completed", "group": "completed"}


def test_inputs_are_computed_from_earlier_results() -> None:
    """An expression sees the results of all that its step depends on."""
    fees = [{"name": "ours", "type": "fixed", "amount": 1, "account_id": B}]
    story = Story(
        transfer("pay", A, B, 4),
        transfer("half", B, A, {"cel": "steps.pay.amount / 2"}, "pay", inputs={"fees": fees}),
    )
    assert story.state == "completed"
    assert story.chain.steps["half"].result == {"amount": 2, "currency": "USD"}


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (transfer("pay", A, B, {"cel": "1 / (1 - 1)"}), "amount: divide by zero"),
        (transfer("pay", A, B, 1, when=("1 / (1 - 1) == 1",)), "when: divide by zero"),
        (call("pay", inputs={"body": [{"cel": "1 / 0"}]}), "body: divide by zero"),
        (call("pay", inputs={"body": {"a": {"cel": "1 / 0"}}}), "body: divide by zero"),
        (call("pay", when=("1 / 0 == 1",)), "when: divide by zero"),
    ],
)
def test_an_expression_that_breaks_fails_its_step(step: Step, reason: str) -> None:
    """So it does with the chain, and says which input it was."""
    story = Story(step)
    if step.type == "call" and not step.when:
        assert story.do(machine.run) is None
        assert story.due() == {"pay": "forward"}
        from catena.chains.calls import begin  # noqa: PLC0415

        assert story.do(begin, "pay") is None
    assert story.state == "rolled_back"
    assert story.chain.failure == Failure("expression_failed", reason, "pay")


def test_what_lines_an_expression_gives_is_checked() -> None:
    """Lines that are none refuse the run."""
    lines = {"cel": "[{'account_id': 'a', 'side': 'debit', 'amount': 'two', 'currency': 'USD'}]"}
    story = Story(Step("pay", "entry", {"lines": lines}))
    assert story.chain.failure is not None
    assert story.chain.failure.code == "invalid_request"


def test_what_was_not_read_is_a_wall() -> None:
    """A run ends before a step whose account nobody has read, and goes on when it is."""

    class Unread(MemoryBooks):
        seen = False

        def knows(self, account: str) -> bool:
            return self.seen or account != B

        def account(self, id: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return self.accounts.get(id) if self.knows(id) else None

    for step in (transfer("pay", A, B, 1), reserve("pay", B, 1)):
        story = Story(step, open=True)
        story.books = books = Unread({A: wallet(A, 10), B: wallet(B, 1)}, CATALOGUE)
        story.do(machine.start)
        assert story.states() == {"pay": "pending"}
        books.seen = True
        story.do(machine.run)
        assert story.state == "completed"


def test_liens_of_accounts_that_were_not_read_wait() -> None:
    """Release, capture, expiry, undo and the chain's end wait until the account is read."""

    class Unread(MemoryBooks):
        seen = True

        def account(self, id: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return self.accounts.get(id) if self.seen else None

        def undo(self, chain, run):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return super().undo(chain, run) if self.seen else None

    def begin(*steps: Step) -> tuple[Story, Unread]:
        story = Story(*steps, Step("wait", "wait", {}), open=True)
        books = Unread({A: wallet(A, 10), B: wallet(B, 1)}, CATALOGUE)
        story.books = books
        story.do(machine.start)
        books.seen = False
        return story, books

    hold = reserve("hold", A, 4, expires=50)
    for last in (
        Step("last", "lien.release", {"lien": "hold"}, needs("hold", "wait")),
        Step("last", "capture", _captured(2), needs("hold", "wait"), pivot=True),
    ):
        story, books = begin(hold, last)
        story.do(machine.signal, "wait", None, None)
        assert story.states()["last"] == "pending"
        books.seen = True
        story.do(machine.run)
        assert story.state == "completed"
    story, books = begin(hold)
    story.wait(50)
    assert story.state == "executing"
    story.do(machine.cancel, Failure("cancelled"), None)
    assert story.states()["hold"] == "completed"
    books.seen = True
    story.do(machine.run)
    assert story.state == "rolled_back"
    story, books = begin(transfer("pay", A, B, 4))
    story.do(machine.cancel, Failure("cancelled"), None)
    assert story.state == "rolling_back"
    assert story.money() == ((6, 0), (5, 4))
    books.seen = True
    story.do(machine.run)
    assert story.money() == ((10, 0), (1, 0))
    story, books = begin(hold)
    story.do(machine.signal, "wait", None, None)
    assert story.state == "executing"
    books.seen = True
    story.do(machine.run)
    assert story.state == "completed"


def _captured(amount: int, lien: str = "hold") -> dict[str, object]:
    return {"lien": lien, "destination_account_id": B, "amount": amount, "currency": "USD"}


# --- waits and signals ------------------------------------------------------------------------


def test_a_signal_that_comes_early_is_kept() -> None:
    """The first wait for it takes it, and once."""
    story = Story(
        call("call"),
        Step("first", "wait", {"signal": "go"}, needs("call")),
        Step("second", "wait", {"signal": "go"}, needs("first")),
    )
    story.do(machine.signal, "other", None, "ada")
    story.do(machine.signal, "go", {"n": 1}, "ada")
    story.call("call")
    assert story.states()["first"] == "completed"
    assert story.chain.steps["first"].result == {"payload": {"n": 1}}
    assert story.states()["second"] == "waiting"
    story.do(machine.signal, "go", {"n": 2}, "ada")
    assert story.state == "completed"
    assert story.chain.signals == [("other", None)]


def test_a_chain_keeps_so_many_signals() -> None:
    """One that a wait takes at once is not kept, and is never refused for the others."""
    story = Story(call("call"), Step("first", "wait", {"signal": "go"}, ()), Step("w", "wait", {}))
    for _ in range(LIMITS.chain_signals):
        assert refuse_signal(story.chain, "other") is None
        story.do(machine.signal, "other", None, "ada")
    refused = refuse_signal(story.chain, "other")
    assert refused is not None
    assert refused.code is ChainRefusal.TOO_MANY_SIGNALS
    assert refuse_signal(story.chain, "first") == refused  # its wait is for another name
    assert refuse_signal(story.chain, "go") is None
    story.do(machine.signal, "go", None, "ada")
    assert refuse_signal(story.chain, "go") == refused
    story.do(machine.cancel, Failure("cancelled"), "ada")
    ended = refuse_signal(story.chain, "other")
    assert ended is not None
    assert ended.code is ChainRefusal.CHAIN_ENDED


def test_a_chain_is_held_so_many_times() -> None:
    """Held and resumed for ever, it would have a history without an end."""
    story = Story(call("call"))
    for _ in range(LIMITS.chain_holds):
        assert refuse(story.chain, Command.HOLD) is None
        story.do(machine.hold, seconds=60, then="resume", why="", by="ada")
        story.do(machine.resume, "", "ada")
    refused = refuse(story.chain, Command.HOLD)
    assert refused is not None
    assert refused.code is ChainRefusal.TOO_MANY_HOLDS
    assert refuse(story.chain, Command.CANCEL) is None


def test_a_wait_is_found_by_its_correlation() -> None:
    """As long as it waits."""
    wait = Step("wait", "wait", {"correlation": {"cel": "'order ' + chain.reference"}})
    story = Story(wait, reference="7")
    assert find_wait(story.chain, "order 7") is story.chain.steps["wait"]
    assert find_wait(story.chain, "order 8") is None
    story.do(machine.signal, "wait", None, None)
    assert find_wait(story.chain, "order 7") is None


def test_a_wait_for_a_time() -> None:
    """It is over when the time has come; nobody can signal it."""
    story = Story(Step("pause", "wait", {"seconds": 5}), transfer("pay", A, B, 1, "pause"))
    story.do(machine.signal, "pause", None, None)
    assert (story.states()["pause"], story.timer()) == ("waiting", 5)
    assert story.wait(5).state == "completed"


@pytest.mark.parametrize(("goes_on", "state"), [(True, "completed"), (False, "rolled_back")])
def test_a_wait_that_is_too_long(goes_on: bool, state: str) -> None:  # noqa: FBT001
    """It fails the chain, or goes on without, as declared; a signal after that is too late."""
    story = Story(Step("wait", "wait", {}, timeout_seconds=5, goes_on=goes_on))
    story.books.now += dt.timedelta(seconds=5)
    story.do(machine.signal, "wait", None, None)
    assert story.state == state


# --- commands ---------------------------------------------------------------------------------


def test_an_open_chain_takes_steps_until_it_is_started() -> None:
    """What is appended runs when the chain does."""
    story = Story(transfer("pay", A, B, 1), open=True)
    story.do(machine.append, [transfer("more", A, B, 2, "pay")], "ada")
    assert story.states() == {"pay": "pending", "more": "pending"}
    story.do(machine.start, "ada")
    assert story.money() == ((7, 0), (3, 0))


def test_a_chain_that_never_started_just_ends() -> None:
    """Cancelled, nothing of it is open."""
    story = Story(transfer("pay", A, B, 1), open=True)
    story.do(machine.cancel, Failure("cancelled", "by hand"), "ada")
    assert story.state == "rolled_back"
    assert story.chain.failure == Failure("cancelled", "by hand")
    assert story.states() == {"pay": "skipped"}


def test_what_is_appended_behind_a_pivot_comes_after_it() -> None:
    """While the pivot is out nothing else begins, for it could fail."""
    story = Story(reserve("hold", A, 4), call("pivot", "hold", pivot=True))
    found = story.begin("pivot")
    story.do(machine.append, [transfer("more", A, B, 3, "hold")], "ada")
    assert story.states()["more"] == "pending"
    assert [need.step for need in story.chain.steps["more"].definition.needs] == ["hold", "pivot"]
    story.answer(found, APPROVED)
    assert story.state == "completed"


def test_captures_go_on_until_the_last_signal() -> None:
    """The first capture is the pivot; later ones draw on the lien and are the receiver's at once;
    a wait that goes on is not in flight.
    """
    story = Story(
        reserve("hold", A, 6, expires=50),
        Step("until", "wait", {"signal": "void"}, needs("hold"), timeout_seconds=90, goes_on=True),
    )
    first = Step("first", "capture", _captured(2), needs("hold"), pivot=True)
    story.do(machine.append, [first], None)
    assert story.money() == ((8, 4), (2, 0))
    assert story.timer() == 90
    story.wait(60)
    story.do(machine.cancel, Failure("cancelled"), None)
    assert story.chain.pending_failure is None
    story.do(machine.append, [Step("second", "capture", _captured(3), needs("hold"))], None)
    assert story.money() == ((5, 1), (5, 0))
    assert story.wait(30).state == "completed"
    assert story.money() == ((5, 0), (5, 0))


def test_a_capture_takes_nothing_of_another_lien() -> None:
    """The chain has more under lien there, and more is free: neither is what was authorised."""
    until = Step("until", "wait", {"signal": "end"}, needs("other"), goes_on=True)
    story = Story(reserve("hold", A, 3), reserve("other", A, 4, "hold"), until)
    take = Step("take", "capture", _captured(4), needs("hold"), pivot=True)
    story.do(machine.append, [take], None)
    assert (story.state, story.states()["take"]) == ("rolled_back", "failed")
    assert story.chain.failure is not None
    assert story.chain.failure.code == "insufficient_funds"
    assert story.money() == ((10, 0), (0, 0))


def test_a_capture_of_a_lien_that_was_skipped_is_refused() -> None:
    """There is nothing to capture from."""
    story = Story(
        reserve("hold", A, 6, when=("false",)),
        Step("first", "capture", _captured(2), needs("hold"), pivot=True),
    )
    assert story.chain.failure == Failure("unknown_lien", step="first")


def test_what_is_done_is_what_stands() -> None:
    """A step that its condition skips is done; what is given up or undone is not."""
    skipped = Step("never", "wait", {}, when=("false",))
    story = Story(skipped, transfer("pay", A, B, 1), call("call", "pay"), call("last", "call"))
    assert story.chain.count_done() == 2
    story.call("call", DECLINED)
    assert story.state == "rolled_back"
    assert story.chain.count_done() == 1


def test_liens_are_extended_and_released() -> None:
    """An extension counts from its own commit; what is released is everyone's."""
    extended = {"lien": "hold", "expires_seconds": 80}
    story = Story(
        reserve("hold", A, 6, expires=50),
        Step("longer", "lien.extend", extended, needs("hold")),
        call("call", "longer"),
        Step("free", "lien.release", {"lien": "hold"}, needs("call")),
        Step("again", "lien.release", {"lien": "hold"}, needs("free")),
    )
    assert story.timer() == 80
    story.call("call")
    assert story.chain.failure == Failure("lien_not_open", step="again")
    assert story.money() == ((10, 0), (0, 0))


@pytest.mark.parametrize("expires", [50, None])
def test_an_extension_shortens_nothing(expires: int | None) -> None:
    """What expires later than it says goes on to, and what never does never will."""
    shorter = {"lien": "hold", "expires_seconds": 5}
    timed = {} if expires is None else {"expires": expires}
    story = Story(
        reserve("hold", A, 6, **timed),
        Step("longer", "lien.extend", shorter, needs("hold")),
        call("call", "longer"),
    )
    assert story.timer() == expires


def test_a_reservation_that_does_not_fit_is_refused() -> None:
    """At once: nobody waits for another's lien."""
    assert Story(reserve("hold", A, 11)).state == "rolled_back"


def test_a_reservation_may_say_its_currency() -> None:
    """Another than the account's is refused."""
    for currency, state in (("USD", "completed"), ("EUR", "rolled_back")):
        inputs = {"account_id": A, "amount": 1, "currency": currency}
        assert Story(Step("hold", "lien.reserve", inputs)).state == state


# --- histories --------------------------------------------------------------------------------


def test_a_gap_in_a_history_is_noticed() -> None:
    """So is a transition that the tables do not have, of a chain or a step."""
    created = Event("", "created", {"type": "chain", "steps": [{"name": "a", "type": "wait"}]})
    with pytest.raises(IllegalMove, match="does not follow"):
        Chain("cte_1", [Record(NOW, None, 2, [created])])
    for event in (Event("", "completed"), Event("a", "completed", {"seq": 1})):
        with pytest.raises(IllegalMove, match="to completed"):
            Chain("cte_1", [Record(NOW, None, 1, [created, event])])


def test_a_chain_of_one_commit_is_settled_as_it_is_read_back() -> None:
    """The short way gives what the long one does, whatever time has passed since."""
    later = NOW + dt.timedelta(seconds=3)
    for steps in (
        [transfer("pay", A, B, 4), reserve("hold", A, 2, "pay", expires=50)],
        [reserve("hold", A, 2, expires=50), Step("wait", "wait", {"seconds": 9}), call("call")],
    ):
        books = MemoryBooks({A: wallet(A, 10), B: wallet(B)}, CATALOGUE)
        chain = Chain("cte_" + "c" * 32)
        books.begin()
        machine.create(chain, books, Definition(steps, timeout_seconds=99), None)
        machine.start(chain, books)
        id = "evt_" + "0" * 30 + "07"
        read = chain.commit(later, id)
        chain.settle(NOW, later, id)
        assert describe(chain) == describe(read)
        assert chain.history == read.history
        assert [run.entry for run in chain.steps.values()] == [
            run.entry for run in read.steps.values()
        ]
        chain.settle(NOW, later, id)
        assert describe(chain) == describe(read)
