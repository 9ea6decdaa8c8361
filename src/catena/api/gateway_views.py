"""Deposits, withdrawals and refunds by way of a gateway, as the API shows their chains."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from catena.api.chain_views import FailureView, view_failure
from catena.api.views import (
    AccountId,
    ChainId,
    DepositId,
    EntryId,
    LedgerId,
    Minor,
    Moment,
    RefundId,
    WithdrawalId,
    settle,
)
from catena.chains.chain import Chain, StepRun
from catena.flows.deposit import (
    CREDIT,
    DepositState,
    captured_of,
    charge_of,
    state_of_deposit,
)
from catena.flows.sums import Sums, sum_up
from catena.flows.withdrawal import WithdrawalState, state_of_withdrawal
from catena.ids import DEPOSIT, REFUND, WITHDRAWAL

__all__ = [
    "GatewayDepositView",
    "GatewayWithdrawalView",
    "RefundView",
    "view_deposit",
    "view_refund",
    "view_withdrawal",
]

_Captured = Annotated[
    Minor | None, Meta(description="What the gateway has taken; null: nothing yet.")
]
_Reference = Annotated[str | None, Meta(description="What the gateway calls it.")]


class GatewayDepositView(Struct, frozen=True):
    """Money on its way into a wallet. Minor units of `currency`."""

    id: DepositId
    ledger_id: LedgerId
    chain_id: ChainId
    state: DepositState
    gateway: str
    account_id: AccountId
    amount: Minor
    currency: str
    captured: _Captured
    refunded: Annotated[Minor, Meta(description="What the payer was given back.")]
    disputed: Annotated[
        Minor, Meta(description="What the payer's bank has taken back, less what was won.")
    ]
    refundable: Annotated[Minor, Meta(description="What may still be refunded.")]
    gateway_reference: _Reference
    action: Annotated[Any, Meta(description="What the payer must do, such as visit a `url`.")]
    entry_id: Annotated[EntryId | None, Meta(description="That credited the wallet.")]
    reference: str | None
    metadata: Annotated[Any, Meta(description="The caller's own.")]
    failure: FailureView | None
    created_at: Moment
    ended_at: Moment | None


class GatewayWithdrawalView(Struct, frozen=True):
    """Money on its way out of a wallet. Minor units of `currency`."""

    id: WithdrawalId
    ledger_id: LedgerId
    chain_id: ChainId
    state: WithdrawalState
    gateway: str
    account_id: AccountId
    amount: Minor
    currency: str
    gateway_reference: _Reference
    entry_id: Annotated[EntryId | None, Meta(description="That debited the wallet.")]
    reference: str | None
    metadata: Annotated[Any, Meta(description="The caller's own.")]
    failure: FailureView | None
    created_at: Moment
    ended_at: Moment | None


class RefundView(Struct, frozen=True):
    """Money on its way back to who paid a deposit. Minor units of `currency`."""

    id: RefundId
    ledger_id: LedgerId
    chain_id: ChainId
    deposit_id: DepositId
    state: WithdrawalState
    gateway: str
    amount: Minor
    currency: str
    gateway_reference: _Reference
    reference: str | None
    failure: FailureView | None
    created_at: Moment
    ended_at: Moment | None


def view_deposit(chain: Chain, ledger_id: str, sums: Sums | None = None) -> GatewayDepositView:
    """The deposit whose chain it is; `sums`: None before anything can have followed."""
    asked = chain.steps["charge"].definition.inputs
    credit, taken = chain.steps[CREDIT], charge_of(chain)
    sums = sums or sum_up(chain)
    state = state_of_deposit(chain)
    return GatewayDepositView(
        DEPOSIT + chain.id[4:],
        ledger_id,
        chain.id,
        state,
        asked["gateway"],
        credit.definition.inputs["account_id"],
        asked["amount"],
        asked["currency"],
        captured_of(chain),
        sums.refunded,
        sums.disputed,
        sums.left,
        _name_of(taken) or _name_of(chain.steps["charge"]),
        chain.steps["charge"].result.get("action") if state == "action_needed" else None,
        credit.entry,
        chain.definition.reference,
        settle(chain.definition.metadata or {}),
        view_failure(chain.failure),
        chain.created_at,
        chain.ended_at,
    )


def view_withdrawal(chain: Chain, ledger_id: str) -> GatewayWithdrawalView:
    """The withdrawal whose chain it is."""
    payout, debit = chain.steps["payout"], chain.steps["debit"]
    asked = payout.definition.inputs
    return GatewayWithdrawalView(
        WITHDRAWAL + chain.id[4:],
        ledger_id,
        chain.id,
        state_of_withdrawal(chain),
        asked["gateway"],
        debit.definition.inputs["account_id"],
        asked["amount"],
        asked["currency"],
        _name_of(payout),
        debit.entry,
        chain.definition.reference,
        settle(chain.definition.metadata or {}),
        view_failure(chain.failure),
        chain.created_at,
        chain.ended_at,
    )


def view_refund(chain: Chain, ledger_id: str) -> RefundView:
    """The refund whose chain it is."""
    run = chain.steps["refund"]
    asked = run.definition.inputs
    metadata = chain.definition.metadata or {}
    return RefundView(
        REFUND + chain.id[4:],
        ledger_id,
        chain.id,
        DEPOSIT + metadata["deposit_id"][4:],
        state_of_withdrawal(chain),
        asked["gateway"],
        asked["amount"],
        asked["currency"],
        _name_of(run),
        metadata.get("reference"),
        view_failure(chain.failure),
        chain.created_at,
        chain.ended_at,
    )


def _name_of(run: StepRun) -> str | None:
    found = run.result.get("reference")
    return found if isinstance(found, str) else None
