"""Every way in which a chain says no to a command.

Invariant: the list is closed, and each code is stable. A refused command changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from catena.chains.chain import Chain
from catena.chains.decisions import possible_decisions
from catena.chains.states import ChainState
from catena.chains.validator import Flaw
from catena.chains.waits import awaits
from catena.settings import LIMITS

__all__ = ["ChainRefusal", "ChainRefused", "Command", "refuse", "refuse_signal"]


class ChainRefusal(Enum):
    """Code, title and what the caller can do."""

    UNKNOWN_CHAIN = (
        "unknown_chain",
        "The ledger has no such chain",
        "Check the chain's id and the ledger.",
    )
    UNKNOWN_STEP = (
        "unknown_step",
        "The chain has no such step",
        "Check the step's name.",
    )
    UNKNOWN_LIEN = (
        "unknown_lien",
        "The ledger has no such lien",
        "Check the lien's id and the ledger.",
    )
    INVALID_CHAIN = (
        "invalid_chain",
        "The chain cannot be run as it is defined",
        "Correct what `errors` points at; nothing was made.",
    )
    CHAIN_ENDED = (
        "chain_ended",
        "The chain has come to its end",
        "Nothing can be done to it any more; start another.",
    )
    CHAIN_STARTED = (
        "chain_started",
        "The chain has been started already",
        "Nothing to do.",
    )
    CHAIN_NOT_STARTED = (
        "chain_not_started",
        "The chain has not been started",
        "Start it first.",
    )
    CHAIN_NOT_RUNNING = (
        "chain_not_running",
        "The chain is failing or rolling back",
        "Wait for its end.",
    )
    CHAIN_HELD = (
        "chain_held",
        "The chain is held already",
        "Resume or reject it.",
    )
    CHAIN_NOT_HELD = (
        "chain_not_held",
        "The chain is not held",
        "Only a held chain is resumed or rejected.",
    )
    PIVOT_PASSED = (
        "pivot_passed",
        "The chain is past its pivot and only goes forward",
        "Start another chain that makes good what this one did.",
    )
    OUTCOME_UNKNOWN = (
        "step_outcome_unknown",
        "A partner may or may not have acted",
        "Wait until it is known, or say what became of it.",
    )
    STEP_NOT_PARKED = (
        "step_not_parked",
        "The step does not wait for an operator",
        "Nothing is decided by hand about it; the `actions` of a step say when something is.",
    )
    DECISION_NOT_POSSIBLE = (
        "decision_not_possible",
        "The step waits for an operator, and not for this",
        "Decide what the step's `actions` name.",
    )
    STEP_NEEDED = (
        "step_needed",
        "Other steps use what this step gives",
        "Retry it, or say that it was done and what it gave.",
    )
    STEP_POSTS = (
        "step_posts",
        "The step is one of the books",
        "Retry or skip it: nothing that the books have not done is said to be done.",
    )
    RESULT_MISMATCH = (
        "result_mismatch",
        "What the step is said to have given is not what its type gives",
        "Give values of its kinds; of a gateway's step its `reference`, and no other amount.",
    )
    TOO_MANY_SIGNALS = (
        "too_many_signals",
        "The chain keeps as many signals as it may",
        "Send those that it waits for; the others nobody has taken.",
    )
    TOO_MANY_HOLDS = (
        "too_many_holds",
        "The chain was held as often as it may",
        "Reject it, or let it go on.",
    )
    MESSAGE_CONFLICT = (
        "message_conflict",
        "A message with this id was taken in, and said something else",
        "The first one counts; send what is new under an id of its own.",
    )
    NOT_AUTHORISED = (
        "not_authorised",
        "Nothing is authorised there that waits to be captured",
        "Its `state` says what has become of it.",
    )
    LIEN_NOT_OPEN = (
        "lien_not_open",
        "The lien has ended, or is no reservation",
        "Only the unused rest of an open reservation is extended, released or captured.",
    )
    LIEN_TOO_SMALL = (
        "lien_too_small",
        "The lien has not so much left",
        "Capture at most what remains.",
    )
    HOLD_ENDED = (
        "hold_ended",
        "The hold is over",
        "Its `state` says how it ended; authorise another.",
    )

    def __init__(self, code: str, title: str, remedy: str) -> None:
        self.code = code
        self.title = title
        self.remedy = remedy


class ChainRefused(NamedTuple):
    """One no, and where: in which chain, and at which step, attempt, lien or account of it.

    `remaining`: minor units that a lien has left. `actions`: what an operator may decide about the
    step instead.
    """

    code: ChainRefusal
    chain: str | None = None
    step: str | None = None
    attempt: int | None = None
    lien: str | None = None
    account: str | None = None
    flaws: Sequence[Flaw] = ()
    remaining: int | None = None
    actions: Sequence[str] = ()


# --- what a chain's state refuses -------------------------------------------------------------


class Command(StrEnum):
    """What a chain can be told."""

    START = "start"
    APPEND = "append"
    CANCEL = "cancel"
    HOLD = "hold"
    RESUME = "resume"
    REJECT = "reject"
    SIGNAL = "signal"
    COMPENSATE = "compensate"
    DECIDE = "decide"
    """An operator decides what becomes of one of its steps."""


_C, _R = ChainState, ChainRefusal

_ENDED: Final = dict.fromkeys((_C.COMPLETED, _C.ROLLED_BACK), _R.CHAIN_ENDED)
_FAILING: Final = _ENDED | dict.fromkeys((_C.FAILED, _C.ROLLING_BACK), _R.CHAIN_NOT_RUNNING)
_NEW: Final = dict.fromkeys((_C.CREATED, _C.VALIDATED), _R.CHAIN_NOT_STARTED)
_STARTED: Final = dict.fromkeys(
    (_C.EXECUTING, _C.HELD, _C.FAILED, _C.ROLLING_BACK), _R.CHAIN_STARTED
)
_NOT_HELD: Final = _NEW | _FAILING | {_C.EXECUTING: _R.CHAIN_NOT_HELD}

_REFUSED: Final[Mapping[Command, Mapping[ChainState, ChainRefusal]]] = {
    Command.START: _ENDED | _STARTED,
    Command.APPEND: _FAILING,
    Command.CANCEL: _FAILING,
    Command.HOLD: _NEW | _FAILING | {_C.HELD: _R.CHAIN_HELD},
    Command.RESUME: _NOT_HELD,
    Command.REJECT: _NOT_HELD,
    Command.SIGNAL: _FAILING,
    Command.COMPENSATE: _NEW | _FAILING,
    Command.DECIDE: _NEW | _ENDED,
}
"""The states in which a command is refused, and as what."""

_UNDOING: Final = frozenset({Command.CANCEL, Command.REJECT, Command.COMPENSATE})


def refuse(chain: Chain, command: Command) -> ChainRefused | None:
    """Why the chain, as it stands, cannot be told this; None: it can."""
    code = _REFUSED[command].get(chain.state)
    if code is None and command in _UNDOING and chain.pivot_is_past:
        code = ChainRefusal.PIVOT_PASSED
    if code is None and command is Command.HOLD and chain.holds >= LIMITS.chain_holds:
        code = ChainRefusal.TOO_MANY_HOLDS
    if code is None:
        return None
    refused = ChainRefused(code, chain.id)
    return _name_parked(chain, refused) if code is ChainRefusal.CHAIN_NOT_RUNNING else refused


def _name_parked(chain: Chain, refused: ChainRefused) -> ChainRefused:
    """With the step that keeps the chain from its end, if one waits for an operator."""
    for step in chain.parked():
        return refused._replace(step=step.name, actions=possible_decisions(chain, step))
    return refused


def refuse_signal(chain: Chain, name: str) -> ChainRefused | None:
    """Why the chain cannot be told this signal. One that a wait takes at once is never too many."""
    refused = refuse(chain, Command.SIGNAL)
    if refused is not None or len(chain.signals) < LIMITS.chain_signals or awaits(chain, name):
        return refused
    return ChainRefused(ChainRefusal.TOO_MANY_SIGNALS, chain.id)
