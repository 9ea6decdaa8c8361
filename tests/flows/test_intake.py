"""What becomes of each notice that a gateway can give: told to a call, a reason, or listed."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from catena.chains.calls import begin
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Step
from catena.chains.history import Failure
from catena.chains.machine import cancel, signal
from catena.chains.states import ChainState
from catena.chains.step_types import Answer, Direction, Outcome
from catena.db.installation import Ledger
from catena.db.notices import Told
from catena.db.suspense import list_suspended
from catena.db.tasks import stop_task
from catena.flows.deposit import (
    CAPTURE,
    DepositState,
    charge_of,
    state_of_deposit,
)
from catena.flows.notices import describe_notice, read_notice
from catena.flows.reactions import Moved, came_in, won_back
from catena.flows.refund import RefundTerms, define_refund
from catena.flows.sweep import Sweep, keep_sweeping
from catena.flows.withdrawal import (
    WithdrawalState,
    WithdrawalTerms,
    define_withdrawal,
    state_of_withdrawal,
)
from catena.gateways.contract import Notice, Subject
from catena.ids import CHAIN, new_id
from catena.journal import NoticeTaken
from catena.ledger.accounts import AccountStatus, SystemRole, system_account_id
from catena.settings import Settings
from tests.flows.desk import (
    APPROVED,
    AT,
    DECLINED,
    GATEWAY,
    MONEY,
    UNMATCHED,
    Desk,
    approval,
    deposit_of,
)
from tests.scribe import Scribe


def test_a_notice_is_kept_as_it_was() -> None:
    """What it does not say is left out, and comes back as not said."""
    plain = Notice("evt_1", Subject.CHARGE, APPROVED, AT, reference="ch_1")
    assert describe_notice(plain).keys() == {"id", "subject", "outcome", "at", "reference"}
    passing = Notice("evt_2", Subject.PAYOUT, DECLINED, AT, amount=5, permanent=False)
    for notice in (plain, passing):
        assert read_notice(describe_notice(notice)) == notice


async def test_a_refusal_for_now_is_one_when_it_is_told(desk: Desk) -> None:
    """The call is made again under another key, as its policy says."""
    chain = await desk.make(deposit_of(await desk.scribe.open(), note="thanks"))
    await desk.scribe.run(chain.id, partial(begin, step="charge"))
    key = f"{chain.id}.charge.forward.1"
    taken = await desk.take(Subject.CHARGE, DECLINED, key=key, code="busy", permanent=False)
    assert taken == NoticeTaken(chain.id, None, took=True)
    run = (await desk.read(chain.id)).steps["charge"]
    assert (str(run.state), run.round) == ("pending", 2)


async def test_an_action_is_known_whoever_tells_of_it(desk: Desk) -> None:
    """The webhook came before the answer, and says where the payer must go."""
    chain = await desk.make(deposit_of(await desk.scribe.open()))
    await desk.scribe.run(chain.id, partial(begin, step="charge"))
    key, action = f"{chain.id}.charge.forward.1", {"url": "u"}
    await desk.take(Subject.CHARGE, Outcome.PENDING, key=key, details={"action": action})
    waits = await desk.read(chain.id)
    assert state_of_deposit(waits) is DepositState.ACTION_NEEDED
    assert waits.steps["charge"].result["action"] == action
    assert (await desk.take(Subject.CHARGE, Outcome.UNKNOWN, key=key)).took


async def test_what_names_nothing_of_ours_is_listed(desk: Desk) -> None:
    """No key, no name, a chain or step that there is not, a subject that is nobody's call."""
    chain = await desk.deposit(await desk.scribe.open())
    nowhere = f"{new_id(CHAIN)}.charge.forward.1"
    for outcome in (APPROVED, DECLINED):
        assert await desk.take(Subject.CHARGE, outcome, key=nowhere, **MONEY) == UNMATCHED
    assert await desk.take(Subject.CHARGE, APPROVED) == UNMATCHED
    assert await desk.take(Subject.CHARGE, APPROVED, key="theirs", reference="ch_9") == UNMATCHED
    assert await desk.take(Subject.CREDIT, APPROVED, reference="ch_1") == UNMATCHED
    assert await desk.take(Subject.CAPTURE, APPROVED, reference="cap_9", about="ch_1") == UNMATCHED
    assert await desk.take(Subject.DISPUTE, APPROVED, about="ch_1") == UNMATCHED  # no amount
    key = f"{chain.id}.nobody.forward.1"
    assert await desk.take(Subject.CHARGE, DECLINED, key=key) == UNMATCHED
    assert await desk.take(Subject.CHARGE, APPROVED, key=key) == UNMATCHED
    assert len(await desk.listed()) == 9


@pytest.mark.parametrize("outcome", [APPROVED, DECLINED, Outcome.UNKNOWN])
async def test_nobody_speaks_of_what_another_was_asked(desk: Desk, outcome: Outcome) -> None:
    """Another gateway's word under our key, or one of a step that asks no gateway, is listed."""
    asked = await desk.make(deposit_of(await desk.scribe.open()))
    await desk.scribe.run(asked.id, partial(begin, step="charge"))
    done = await desk.deposit(await desk.scribe.open())
    for chain in (asked, done):
        key, by = f"{chain.id}.charge.forward.1", {"gateway": "elsewhere"}
        assert await desk.take(Subject.CHARGE, outcome, key=key, **by, **MONEY) == UNMATCHED
    key = f"{done.id}.credit.forward.1"
    assert await desk.take(Subject.CHARGE, outcome, key=key, reference="x", **MONEY) == UNMATCHED
    assert (await desk.read(asked.id)).steps["charge"].state == "executing"
    assert len(await desk.listed()) == 3


async def test_a_call_is_found_by_the_gateways_own_name_of_it(desk: Desk) -> None:
    """Without our key: what is known already changes nothing."""
    chain = await desk.deposit(await desk.scribe.open())
    for key in (None, f"{chain.id}.charge.forward.1"):
        taken = await desk.take(Subject.CHARGE, APPROVED, key=key, reference="ch_1", **MONEY)
        assert taken == NoticeTaken(chain.id, None)


async def test_what_was_approved_and_is_refused_is_undone_once(desk: Desk) -> None:
    """Of a charge the wallet gives it back; of another round, or without money in it, nothing."""
    scribe, wallet = desk.scribe, await desk.scribe.open()
    chain = await desk.deposit(wallet)
    key = f"{chain.id}.charge.forward"
    old = await desk.take(Subject.CHARGE, DECLINED, key=f"{key}.2", **MONEY)
    assert old == NoticeTaken(chain.id, None)
    first, second = [
        await desk.take(Subject.CHARGE, DECLINED, key=f"{key}.1", code="gone") for _ in range(2)
    ]
    assert first.began == second.began is not None
    entries = (await desk.read(first.began or "")).steps
    assert entries.keys() == {"claw_back", "sent"}
    assert await posted(scribe, wallet) == 0


async def posted(scribe: Scribe, account: str) -> int:
    """The account's balance."""
    async with scribe.pool.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT credits - debits AS posted FROM balances WHERE account_id = $1", account[5:]
        )
    assert row is not None
    value: int = row["posted"]
    return value


async def test_a_refusal_of_what_never_was_approved_begins_nothing(desk: Desk) -> None:
    """It is told, and that is all; one without an amount cannot be more."""
    wallet = await desk.scribe.open()
    chain = await desk.make(deposit_of(wallet))
    key = f"{chain.id}.charge.forward.1"
    said = {"key": key, "reference": "ch_1", **MONEY}
    assert await desk.take(Subject.CHARGE, DECLINED, **said) == NoticeTaken(chain.id, None)
    assert await desk.take(Subject.CHARGE, DECLINED, key=key) == NoticeTaken(chain.id, None)


async def test_a_payout_that_comes_back_is_the_wallets(desk: Desk) -> None:
    """Or, where that is closed meanwhile, nobody's: in suspense."""
    scribe = desk.scribe
    for closes in (False, True):
        wallet = await scribe.open()
        await scribe.post(scribe.deposit(wallet, 100))
        terms = WithdrawalTerms(GATEWAY, wallet, 100, 100, "USD", {"account": "a"}, "thanks")
        chain = await desk.make(define_withdrawal(terms))
        assert state_of_withdrawal(chain) is WithdrawalState.PENDING
        paid = await desk.call(chain.id, "payout", approval(f"po_{closes}"))
        assert state_of_withdrawal(paid) is WithdrawalState.COMPLETED
        if closes:
            await scribe.change(wallet, status=AccountStatus.CLOSED)
        key = f"{chain.id}.payout.forward.1"
        taken = await desk.take(Subject.PAYOUT, DECLINED, key=key, code="account_closed")
        steps = (await desk.read(taken.began or "")).steps
        assert steps.keys() == {"received", "suspend" if closes else "give"}


async def test_a_withdrawal_that_is_refused_or_cancelled_says_so(desk: Desk) -> None:
    """And one that is being undone is failing."""
    scribe, wallet = desk.scribe, await desk.scribe.open()
    await scribe.post(scribe.deposit(wallet, 100))
    terms = WithdrawalTerms(GATEWAY, wallet, 100, 100, "USD", {"account": "a"})
    refused = await desk.make(define_withdrawal(terms))
    await desk.call(refused.id, "payout", Answer(DECLINED, code="no"))
    assert state_of_withdrawal(await desk.read(refused.id)) is WithdrawalState.FAILED
    other = await desk.make(define_withdrawal(terms))
    await desk.call(other.id, "payout", Answer(DECLINED, code="busy", permanent=False))
    await scribe.run(other.id, partial(cancel, failure=Failure("cancelled"), by=None))
    assert state_of_withdrawal(await desk.read(other.id)) is WithdrawalState.CANCELLED
    third = await desk.read(other.id)
    third.state = ChainState.ROLLING_BACK  # it is over within the commit, as a rule
    assert state_of_withdrawal(third) is WithdrawalState.FAILING


async def test_an_undo_that_fails_after_all_is_in_suspense(desk: Desk) -> None:
    """The payer's money is with us; before it had succeeded it is told, and no more."""
    scribe, wallet = desk.scribe, await desk.scribe.open()
    chain = await desk.make(deposit_of(wallet))
    await scribe.change(wallet, status=AccountStatus.BLOCKED)
    failing = await desk.call(chain.id, "charge", approval("ch_1"))
    assert state_of_deposit(failing) is DepositState.FAILING
    key = f"{chain.id}.charge.undo.1"
    early = await desk.take(Subject.REFUND, DECLINED, key=key, **MONEY)
    assert early == NoticeTaken(chain.id, None)
    undone = await desk.call(chain.id, "charge", approval("re_1"), Direction.UNDO)
    assert state_of_deposit(undone) is DepositState.FAILED
    taken = await desk.take(Subject.REFUND, DECLINED, key=key, reference="re_1", **MONEY)
    assert (await desk.read(taken.began or "")).steps.keys() == {"received", "suspend"}
    assert await desk.take(Subject.REFUND, DECLINED, key=key) == NoticeTaken(chain.id, None)


async def test_an_authorisation_that_ends_ends_the_deposit(desk: Desk) -> None:
    """While it waits to be captured; no money had moved, so none is taken back."""
    waits = await desk.deposit(await desk.scribe.open(), manual=True, expires_seconds=60)
    assert state_of_deposit(waits) is DepositState.AUTHORISED
    key = f"{waits.id}.charge.forward"
    assert not (await desk.take(Subject.CHARGE, DECLINED, key=f"{key}.2")).took
    taken = await desk.take(Subject.CHARGE, DECLINED, key=f"{key}.1", code="expired")
    assert (taken.took, taken.began) == (True, None)
    ended = await desk.read(waits.id)
    assert ended.failure is not None
    assert ended.failure.code == "expired"
    assert not (await desk.take(Subject.CHARGE, DECLINED, key=f"{key}.1")).took


async def test_the_end_of_an_authorisation_that_is_captured_changes_nothing(desk: Desk) -> None:
    """Nor one that decides the call itself is told twice."""
    wallet = await desk.scribe.open()
    waits = await desk.deposit(wallet, manual=True)
    captured = partial(signal, name=CAPTURE, payload={"amount": 100}, by=None)
    await desk.scribe.run(waits.id, captured)
    done = await desk.call(waits.id, "take", approval("cap_1"))
    assert state_of_deposit(done) is DepositState.COMPLETED
    key = f"{waits.id}.charge.forward.1"
    assert await desk.take(Subject.CHARGE, DECLINED, key=key) == NoticeTaken(waits.id, None)
    other = await desk.make(deposit_of(wallet, manual=True))
    await desk.scribe.run(other.id, partial(begin, step="charge"))
    assert (await desk.take(Subject.CHARGE, DECLINED, key=f"{other.id}.charge.forward.1")).took
    theirs = Step("charge", "gateway.authorise", {"gateway": GATEWAY, **MONEY, "method": {}})
    chain = await desk.make(Definition([theirs, Step("wait", "wait", {})]))
    await desk.call(chain.id, "charge", approval("ch_7"))
    key = f"{chain.id}.charge.forward.1"
    assert await desk.take(Subject.CHARGE, DECLINED, key=key) == NoticeTaken(chain.id, None)


async def test_a_late_approval_is_made_good_once(desk: Desk) -> None:
    """By a chain of its own; one of a round that never was is nobody's."""
    chain = await desk.make(deposit_of(await desk.scribe.open()))
    await desk.call(chain.id, "charge", Answer(DECLINED, code="no"))
    key = f"{chain.id}.charge.forward"
    said = {"reference": "ch_1", **MONEY}
    assert (await desk.take(Subject.CHARGE, APPROVED, key=f"{key}.2", **said)).began is None
    taken = [await desk.take(Subject.CHARGE, APPROVED, key=f"{key}.1", **said) for _ in range(2)]
    assert taken[0].began == taken[1].began is not None
    undo = f"{chain.id}.charge.undo.1"
    assert (await desk.take(Subject.REFUND, APPROVED, key=undo, **said)).began is None


@pytest.mark.parametrize("subject", [Subject.DISPUTE, Subject.REFUND])
async def test_what_the_payer_takes_back_without_us(desk: Desk, subject: Subject) -> None:
    """The wallet gives what it has; whoever paid has it again when it comes back; each once."""
    scribe, wallet = desk.scribe, await desk.scribe.open()
    chain = await desk.deposit(wallet)
    await scribe.post(scribe.transfer(wallet, await scribe.open(), 70))
    said = {"reference": "dp_1", "about": "ch_1", **MONEY}
    assert await desk.take(subject, DECLINED, **said) == UNMATCHED
    assert await desk.take(subject, Outcome.PENDING, **said) == NoticeTaken(chain.id, None)
    taken = [await desk.take(subject, APPROVED, **said) for _ in range(2)]
    assert taken[0].began == taken[1].began is not None
    steps = (await desk.read(taken[0].began or "")).steps
    assert steps.keys() == {"claw_back", "lose", "sent"}
    assert await posted(scribe, wallet) == 0
    assert await desk.listed() == ["evt_1"]
    sweep = Sweep(scribe.pool, desk.intake.apply, 1)
    assert await sweep.go(scribe.ledger) == 1
    assert await desk.listed() == []
    won = await desk.take(subject, DECLINED, **said)
    assert (await desk.read(won.began or "")).steps.keys() == {"received", "give", "regain"}


async def test_whose_a_dispute_is_waits_for_the_deposits_end(desk: Desk) -> None:
    """Until then it is listed; of one that was given back it is nobody's wallet's."""
    scribe, wallet = desk.scribe, await desk.scribe.open()
    waits = await desk.deposit(wallet, manual=True)
    said = {"reference": "dp_1", "about": "ch_1", **MONEY}
    assert await desk.take(Subject.DISPUTE, APPROVED, **said) == UNMATCHED
    await scribe.run(waits.id, partial(cancel, failure=Failure("cancelled"), by=None))
    ended = await desk.call(waits.id, "charge", approval("can_1"), Direction.UNDO)
    assert state_of_deposit(ended) is DepositState.CANCELLED
    taken = await desk.take(Subject.DISPUTE, APPROVED, **said)
    assert (await desk.read(taken.began or "")).steps.keys() == {"lose", "sent"}


async def test_a_refund_that_fails_after_all_is_the_wallets(desk: Desk) -> None:
    """Whose deposit it was."""
    scribe, wallet = desk.scribe, await desk.scribe.open()
    deposit = await desk.deposit(wallet, early=True, reference="order-1", metadata={"a": 1})
    entry = deposit.steps["credit"].entry
    assert entry is not None
    assert charge_of(deposit).result["reference"] == "ch_1"
    terms = RefundTerms(GATEWAY, deposit.id, wallet, entry, "ch_1", 40, "USD", "sorry")
    assert "note" not in define_refund(terms._replace(note=None)).steps[1].inputs
    refund = await desk.make(define_refund(terms))
    await desk.call(
        refund.id, "refund", Answer(APPROVED, {**MONEY, "amount": 40, "reference": "re_1"})
    )
    assert await posted(scribe, wallet) == 60
    taken = await desk.take(Subject.REFUND, DECLINED, reference="re_1", amount=40, currency="USD")
    assert (await desk.read(taken.began or "")).steps.keys() == {"received", "give"}


async def test_a_chargeback_is_won_for_a_wallet_that_is_closed(desk: Desk) -> None:
    """What it had given, and what a refund in the air had taken, stand in suspense as one."""
    scribe, wallet = desk.scribe, await desk.scribe.open()
    suspense = system_account_id(scribe.ledger.id, SystemRole.SUSPENSE, "USD")
    deposit = await desk.deposit(wallet)
    entry = str(deposit.steps["credit"].entry)
    terms = RefundTerms(GATEWAY, deposit.id, wallet, entry, "ch_1", 40, "USD")
    refund = await desk.make(define_refund(terms))
    await scribe.run(refund.id, partial(begin, step="refund"))
    said = {"reference": "dp_1", "about": "ch_1", **MONEY}
    await desk.take(Subject.DISPUTE, APPROVED, **said)
    key = f"{refund.id}.refund.forward.1"
    await desk.take(Subject.REFUND, APPROVED, key=key, reference="re_1", amount=40, currency="USD")
    await scribe.change(wallet, status=AccountStatus.CLOSED)
    won = await desk.take(Subject.DISPUTE, DECLINED, **said)
    steps = (await desk.read(won.began or "")).steps
    assert steps.keys() == {"received", "suspend"}
    assert await posted(scribe, suspense) == 60


@pytest.mark.parametrize("refused", [True, False])
async def test_a_chargeback_while_a_refund_is_in_the_air(desk: Desk, *, refused: bool) -> None:
    """What the refund has taken is no loss before it is decided: it is in suspense, and a person
    assigns it; won, the money is there again.
    """
    scribe, wallet = desk.scribe, await desk.scribe.open()
    suspense = system_account_id(scribe.ledger.id, SystemRole.SUSPENSE, "USD")
    deposit = await desk.deposit(wallet)
    await scribe.post(scribe.transfer(wallet, await scribe.open(), 30))
    entry = str(deposit.steps["credit"].entry)
    terms = RefundTerms(GATEWAY, deposit.id, wallet, entry, "ch_1", 40, "USD")
    refund = await desk.make(define_refund(terms))
    await scribe.run(refund.id, partial(begin, step="refund"))
    said = {"reference": "dp_1", "about": "ch_1", **MONEY}
    taken = await desk.take(Subject.DISPUTE, APPROVED, **said)
    steps = (await desk.read(taken.began or "")).steps
    assert steps.keys() == {
        "claw_back",
        "suspend",
        "lose",
        "sent",
    }
    assert (await posted(scribe, wallet), await posted(scribe, suspense)) == (0, -40)
    async with scribe.pool.acquire() as connection:
        (listed,) = await list_suspended(connection, scribe.number, after=0, limit=2)
    assert (listed.amount, listed.chain, listed.reference) == (-40, taken.began, "dp_1")
    key, outcome = f"{refund.id}.refund.forward.1", DECLINED if refused else APPROVED
    await desk.take(Subject.REFUND, outcome, key=key, reference="re_1", amount=40, currency="USD")
    assert (await desk.read(refund.id)).is_ended
    assert await posted(scribe, wallet) == (40 if refused else 0)
    await desk.take(Subject.DISPUTE, DECLINED, **said)
    assert await posted(scribe, wallet) == (70 if refused else 30)
    assert await posted(scribe, suspense) == 0


async def test_a_chain_of_a_callers_own_has_no_wallet(desk: Desk) -> None:
    """What comes of its charge is the platform's."""
    charge = Step(
        "charge",
        "gateway.charge",
        {"gateway": GATEWAY, **MONEY, "method": {}},
        compensation={"type": "give_back"},
    )
    chain = await desk.make(Definition([charge]))
    await desk.call(chain.id, "charge", approval("ch_1"))
    said = {"reference": "dp_1", "about": "ch_1", **MONEY}
    taken = await desk.take(Subject.DISPUTE, APPROVED, **said)
    assert (await desk.read(taken.began or "")).steps.keys() == {"lose", "sent"}
    won = await desk.take(Subject.DISPUTE, DECLINED, **said)
    assert (await desk.read(won.began or "")).steps.keys() == {"received", "regain"}


async def test_a_payout_is_not_disputed(desk: Desk) -> None:
    """Nobody knows what that would be; and a payout's name says nothing of a fee."""
    assert read_notice({"id": "e", "subject": "fee", "outcome": "approved", "at": AT.isoformat()})
    await desk.deposit(await desk.scribe.open())
    assert await desk.take(Subject.FEE, APPROVED, reference="ch_1", **MONEY) == UNMATCHED


def test_money_that_nobody_asked_for_is_whose_it_names() -> None:
    """Or in suspense; and what is won back is the wallet's alone where it alone had paid."""
    moved = Moved(GATEWAY, "cr_1", 100, "USD", "a credit", None)
    assert [step.name for step in came_in(moved, None, {}).steps] == ["received", "suspend"]
    before = Chain("cte_" + "0" * 32)
    for step in (Step("claw_back", "withdrawal", {"account_id": "acct_1", "amount": 100}),):
        before.add_step(step)
    won = won_back(moved, before, {})
    assert [step.name for step in won.steps] == ["received", "suspend"]


async def test_a_sweep_is_kept_up(desk: Desk) -> None:
    """Whatever goes wrong in one round, there is another; a ledger that is gone has none."""
    rounds = iter([RuntimeError("odd"), ConnectionResetError("lost"), None, desk.scribe.ledger])
    done = asyncio.Event()

    async def find(_: str) -> Ledger | None:
        found = next(rounds)
        if isinstance(found, Exception):
            raise found
        return found

    async def take_again(_: object, told: Told) -> bool:
        del told
        done.set()
        return False

    await desk.take(Subject.CREDIT, APPROVED, reference="c_1")
    sweep = Sweep(desk.scribe.pool, take_again, 2)
    settings = Settings(notice_sweep_seconds=0.001)
    keeping = asyncio.create_task(keep_sweeping(sweep, lambda: ["ldg"], find, settings))
    async with asyncio.timeout(10):
        await done.wait()
    await stop_task(keeping)
    assert keeping.cancelled()


async def test_a_sweep_goes_round(desk: Desk) -> None:
    """So many at a time, then those behind."""
    asked: list[str] = []
    for number in range(5):
        await desk.take(Subject.CREDIT, APPROVED, reference=f"c_{number}")

    async def apply(_: object, told: Told) -> bool:
        asked.append(told.id)
        return told.id == "evt_4"

    sweep = Sweep(desk.scribe.pool, apply, 2)
    found = [await sweep.go(desk.scribe.ledger) for _ in range(4)]
    assert found == [0, 1, 0, 0]
    assert asked == [f"evt_{number}" for number in (1, 2, 3, 4, 5, 1, 2)]


async def test_what_cannot_be_applied_is_in_nobodys_way(desk: Desk) -> None:
    """It stays listed: one of another version, one that names nothing, one while nothing goes."""
    plain = {"id": "x", "subject": "credit", "outcome": "approved", "at": AT.isoformat()}
    for said in (plain, {**plain, "subject": "omens"}, {"id": "x"}, {**plain, "more": 1}):
        told = Told(GATEWAY, "x", "", said)
        assert await desk.intake.apply(desk.scribe.ledger, told) is False
    chain = await desk.deposit(await desk.scribe.open())
    about = {**plain, "subject": "charge", "key": f"{chain.id}.charge.forward.1"}
    await desk.scribe.journal.close()
    assert await desk.intake.apply(desk.scribe.ledger, Told(GATEWAY, "x", "", about)) is False


async def test_a_sweep_goes_on_while_something_is_matched(desk: Desk) -> None:
    """What was kept in haste is applied without a pause between the rounds."""
    asked: list[str] = []
    done = asyncio.Event()
    for number in range(5):
        await desk.take(Subject.CREDIT, APPROVED, reference=f"c_{number}")

    async def apply(_: object, told: Told) -> bool:
        asked.append(told.id)
        if len(asked) == 5:
            done.set()
        return True

    async def find(_: str) -> Ledger:
        return desk.scribe.ledger

    sweep, settings = Sweep(desk.scribe.pool, apply, 2), Settings(notice_sweep_seconds=3600)
    keeping = asyncio.create_task(keep_sweeping(sweep, lambda: ["ldg"], find, settings))
    async with asyncio.timeout(10):
        await done.wait()
    await stop_task(keeping)
    assert asked[:5] == [f"evt_{number}" for number in (1, 2, 3, 4, 5)]
