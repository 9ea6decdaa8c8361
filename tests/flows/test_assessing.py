"""What assesses a deposit or a withdrawal comes before anything moves, and may stop it."""

from __future__ import annotations

from functools import partial

import pytest

from catena.chains import machine
from catena.chains.definition import Definition, Step
from catena.chains.history import Failure
from catena.chains.states import ChainState, StepState
from catena.flows.deposit import DepositTerms, define_deposit
from catena.flows.withdrawal import WithdrawalTerms, define_withdrawal
from tests.flows.desk import GATEWAY, Desk, approval

ASSESS = (Step("assess", "wait", {}),)
AGREE = partial(machine.signal, name="assess", payload=None, by="analyst")
DECLINE = partial(machine.cancel, failure=Failure("assessment_declined"), by="analyst")


def assessed(wallet: str, call: str) -> Definition:
    """A deposit or a withdrawal of 100 that somebody has to look at first."""
    if call == "charge":
        return define_deposit(DepositTerms(GATEWAY, wallet, 100, "USD", {"token": "t"}), ASSESS)
    terms = WithdrawalTerms(GATEWAY, wallet, 100, 100, "USD", {"account": "a"})
    return define_withdrawal(terms, ASSESS)


async def figures(desk: Desk, wallet: str) -> tuple[int, int]:
    """What is posted on the wallet, and what of it is under lien."""
    row = await desk.scribe.pool.fetchrow(
        "SELECT credits - debits, reserved FROM balances WHERE ledger_id = $1 AND account_id = $2",
        desk.scribe.number,
        wallet[5:],
    )
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize(("call", "left"), [("charge", (200, 0)), ("payout", (0, 0))])
async def test_nothing_moves_before_it_is_agreed_to(
    desk: Desk, call: str, left: tuple[int, int]
) -> None:
    """A withdrawal's money is under lien meanwhile; then all goes its way."""
    wallet = await desk.scribe.open()
    await desk.scribe.post(desk.scribe.deposit(wallet, 100))
    chain = await desk.make(assessed(wallet, call))
    assert chain.steps[call].state is StepState.PENDING
    assert await figures(desk, wallet) == (100, 100 if call == "payout" else 0)
    await desk.scribe.run(chain.id, AGREE)
    ended = await desk.call(chain.id, call, approval("ref_1"))
    assert ended.state is ChainState.COMPLETED
    assert await figures(desk, wallet) == left


@pytest.mark.parametrize("call", ["charge", "payout"])
async def test_what_is_declined_has_called_nobody(desk: Desk, call: str) -> None:
    """And the money is the wallet's again."""
    wallet = await desk.scribe.open()
    await desk.scribe.post(desk.scribe.deposit(wallet, 100))
    chain = await desk.make(assessed(wallet, call))
    await desk.scribe.run(chain.id, DECLINE)
    ended = await desk.read(chain.id)
    assert (ended.state, ended.failure) == (ChainState.ROLLED_BACK, Failure("assessment_declined"))
    assert ended.steps[call].state is StepState.SKIPPED
    assert not ended.steps[call].attempt
    assert await figures(desk, wallet) == (100, 0)
