"""Chains, steps and liens as the API shows them.

Invariant: made from a chain's history alone, so that a first answer can be given again for ever.
What is overdue is added where a chain is read, and never to an answer that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from catena.api.views import AccountId, ChainId, EntryId, LedgerId, LienId, Minor, Moment, settle
from catena.chains.chain import Chain, StepRun
from catena.chains.decisions import Decision, possible_decisions
from catena.chains.definition import NO_RETRY, Step
from catena.chains.history import Failure
from catena.chains.states import ChainState, StepState
from catena.db.read.chains import ChainRow
from catena.db.read.liens import LienRow
from catena.db.work import Overdue
from catena.liens.liens import LienKind, LienState

__all__ = [
    "ChainSummary",
    "ChainView",
    "FailureView",
    "LienView",
    "ProgressView",
    "view_chain",
    "view_failure",
    "view_lien",
    "view_row",
]

_NOTHING: Final[Mapping[str, Overdue]] = MappingProxyType({})

Json = Annotated[Any, Meta(description="Any JSON.")]


class FailureView(Struct, frozen=True, omit_defaults=True):
    """Why a chain or a step failed: a code of the ledger, of chains, or of the partner's."""

    code: str
    detail: str | None = None
    step: str | None = None
    account_id: AccountId | None = None


class NeedView(Struct, frozen=True):
    """A step that comes first, and how far it must be."""

    step: str
    phase: str


class RetryView(Struct, frozen=True):
    """When a refused step is tried again."""

    attempts: int
    first_seconds: float
    cap_seconds: float
    never: Sequence[str]


class OverdueView(Struct, frozen=True, omit_defaults=True):
    """Something of a step is due, and no process has taken it."""

    since: Moment
    needs: Annotated[
        str | None,
        Meta(
            description="What a process must have to do it: a step type, or `gateway:` with a name."
        ),
    ] = None


class StepView(Struct, frozen=True, omit_defaults=True):
    """A step, and what has become of it. What is not set is left out."""

    name: str
    type: str
    state: StepState
    inputs: Json
    depends_on: Sequence[NeedView]
    when: Sequence[str] = ()
    retry: RetryView | None = None
    timeout_seconds: float | None = None
    on_timeout: str | None = None
    compensation: Json = None
    pivot: bool = False
    attempts: Annotated[int, Meta(description="How often it was tried.")] = 0
    undo_attempts: Annotated[int, Meta(description="How often its undo was tried.")] = 0
    parked: Annotated[bool, Meta(description="It waits for an operator.")] = False
    actions: Annotated[
        Sequence[Decision], Meta(description="What an operator may decide about it now.")
    ] = ()
    due_at: Annotated[Moment | None, Meta(description="When it is tried or asked again.")] = None
    overdue: Annotated[
        OverdueView | None,
        Meta(description="It hangs, since no process that runs can or does go on with it."),
    ] = None
    deadline: Annotated[Moment | None, Meta(description="When its time runs out.")] = None
    result: Annotated[Any, Meta(description="What it gave to the steps after it.")] = None
    failure: FailureView | None = None
    undo_failure: Annotated[
        FailureView | None, Meta(description="Why it is not undone so far, as it was last told.")
    ] = None
    commit_seq: Annotated[
        int, Meta(description="Its number among the steps that committed; undone in reverse.")
    ] = 0
    entry_id: Annotated[EntryId | None, Meta(description="What it posted.")] = None
    undo_entry_id: Annotated[EntryId | None, Meta(description="What undid that.")] = None
    lien_id: Annotated[
        LienId | None, Meta(description="The lien that it made, extended or released.")
    ] = None
    proceeds: Annotated[Sequence[LienId], Meta(description="Liens that its credits made.")] = ()


class ProgressView(Struct, frozen=True):
    """How many of its steps are done and stand. A condition that skips a step does it, too."""

    done: int
    total: int


class HeldView(Struct, frozen=True):
    """Why and until when a chain is held, and what happens then."""

    since: Moment
    until: Moment
    then: str
    reason: str


class ChainView(Struct, frozen=True):
    """A chain: steps that happen all or not at all."""

    id: ChainId
    ledger_id: LedgerId
    transitions: Annotated[int, Meta(description="How many its history has.")]
    type: Annotated[str, Meta(description="The caller's own kind of chain.")]
    reference: str | None
    description: str | None
    metadata: Annotated[Any, Meta(description="The caller's own.")]
    state: ChainState
    progress: ProgressView
    parked: Annotated[bool, Meta(description="A step waits for an operator.")]
    failure: FailureView | None
    pending_failure: Annotated[
        FailureView | None, Meta(description="What takes effect if the pivot is refused.")
    ]
    hold: HeldView | None
    signals: Annotated[
        Sequence[str], Meta(description="Names of those that came and no wait has taken so far.")
    ]
    timeout_seconds: float | None
    created_at: Moment
    updated_at: Moment
    expires_at: Moment | None
    ended_at: Moment | None
    steps: Sequence[StepView]


class ChainSummary(Struct, frozen=True):
    """A chain as lists show it."""

    id: ChainId
    ledger_id: LedgerId
    transitions: int
    type: str
    reference: str | None
    state: ChainState
    progress: ProgressView
    parked: bool
    created_at: Moment
    updated_at: Moment


class LienView(Struct, frozen=True):
    """Money on an account that belongs to one chain. Minor units of the account's currency."""

    id: LienId
    ledger_id: LedgerId
    chain_id: ChainId
    chain_type: str
    chain_state: ChainState
    step: str
    account_id: AccountId
    kind: LienKind
    state: LienState
    amount: Minor
    remaining: Minor
    drawn: Minor
    released: Minor
    taken_back: Minor
    expires_at: Moment | None
    created_at: Moment


def view_chain(
    chain: Chain, ledger_id: str, overdue: Mapping[str, Overdue] = _NOTHING
) -> ChainView:
    """The chain as the API shows it. `overdue`: what nobody takes, by step."""
    definition = chain.definition
    return ChainView(
        chain.id,
        ledger_id,
        chain.number,
        definition.type,
        definition.reference,
        definition.description,
        settle(dict(definition.metadata or {})),
        chain.state,
        ProgressView(chain.count_done(), len(chain.steps)),
        next(chain.parked(), None) is not None,
        view_failure(chain.failure),
        view_failure(chain.pending_failure),
        _view_hold(chain),
        [name for name, _ in chain.signals],
        definition.timeout_seconds,
        chain.created_at,
        chain.updated_at,
        chain.expires_at,
        chain.ended_at,
        [_view_step(chain, run, overdue.get(run.name)) for run in chain.steps.values()],
    )


def view_failure(failure: Failure | None) -> FailureView | None:
    """The failure as the API shows it."""
    if failure is None:
        return None
    return FailureView(failure.code, failure.detail or None, failure.step, failure.account)


def _view_hold(chain: Chain) -> HeldView | None:
    if chain.held_at is None or chain.held_until is None:
        return None
    hold = chain.hold
    return HeldView(chain.held_at, chain.held_until, hold["then"], hold.get("why", ""))


def _view_step(chain: Chain, run: StepRun, overdue: Overdue | None) -> StepView:
    step = run.definition
    return StepView(
        name=step.name,
        type=step.type,
        state=run.state,
        inputs=settle(dict(step.inputs)),
        depends_on=[
            NeedView(need.step, "accepted" if need.accepted else "completed") for need in step.needs
        ],
        when=tuple(step.when),
        retry=_view_retry(step),
        timeout_seconds=step.timeout_seconds,
        on_timeout="continue" if step.goes_on else None,
        compensation=None if step.compensation is None else settle(dict(step.compensation)),
        pivot=step.pivot,
        attempts=run.attempt,
        undo_attempts=run.undo_attempt,
        parked=run.parked,
        actions=tuple(possible_decisions(chain, run)),
        due_at=run.due_at,
        overdue=overdue and OverdueView(overdue.since, overdue.adapter or None),
        deadline=run.deadline,
        result=settle(dict(run.result)) if run.result else None,
        failure=view_failure(run.failure),
        undo_failure=view_failure(run.undo_failure),
        commit_seq=run.seq,
        entry_id=run.entry,
        undo_entry_id=run.undone_by,
        lien_id=run.lien,
        proceeds=tuple(run.proceeds),
    )


def _view_retry(step: Step) -> RetryView | None:
    retry = step.retry
    if retry == NO_RETRY:
        return None
    never = sorted(retry.never)
    return RetryView(retry.attempts, retry.first_seconds, retry.cap_seconds, never)


def view_row(row: ChainRow, ledger_id: str) -> ChainSummary:
    """A chain's index card as the API shows it."""
    return ChainSummary(
        row.id,
        ledger_id,
        row.number,
        row.type,
        row.reference,
        row.state,
        ProgressView(row.done, row.steps),
        row.parked,
        row.created_at,
        row.updated_at,
    )


def view_lien(row: LienRow, ledger_id: str) -> LienView:
    """A lien as the API shows it."""
    return LienView(
        row.id,
        ledger_id,
        row.chain,
        row.chain_type,
        row.chain_state,
        row.step,
        row.account,
        row.kind,
        row.state,
        row.amount,
        row.remaining,
        row.drawn,
        row.released,
        row.taken_back,
        row.expires_at,
        row.created_at,
    )
