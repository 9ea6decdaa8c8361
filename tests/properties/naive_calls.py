"""What partners and operators do to the naive chains: calls, answers, decisions (SPEC 3.3, 3.4).

Invariant: an answer that is not awaited changes nothing; a refused command changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tests.properties.naive_chains import NaiveChain
from tests.properties.naive_steps import LONGEST, Asked, NaiveStep, Plan, Told

__all__ = [
    "answer",
    "append",
    "begin",
    "cancel",
    "compensate",
    "due_calls",
    "hold",
    "mark_done",
    "mark_refused",
    "reject",
    "resume",
    "retry",
    "signal",
    "skip",
    "start",
]

CALL_SECONDS: Final = 10
UNDO_ATTEMPTS: Final = 8
LOOK_UPS: Final = 20
SELDOM: Final = 3600
PATIENT: Final = 600
OFTEN: Final = 60
_QUESTIONS: Final = ("look_up", "cancel", "undo_look_up")
_UNDONE_BY_CALL: Final = ("compensating", "compensation_unknown")


class _Due(NamedTuple):
    step: NaiveStep
    direction: str
    at: float | None


def due_calls(chain: NaiveChain) -> Iterator[_Due]:
    """The calls that are to be made, and from when on."""
    if chain.is_ended:
        return
    for step in chain.steps.values():
        if step.plan.kind != "call":
            continue
        if step.state == "executing":
            yield _Due(step, "look_up", None)
        elif step.state == "unknown":
            yield _Due(step, "look_up", step.due)
        elif step.state == "waiting":
            failed = chain.state == "failed" or chain.pending is not None
            yield _Due(step, "cancel" if failed else "look_up", step.due)
        elif chain.state == "executing" and chain.is_ready(step, max(chain.now, step.due or 0)):
            yield _Due(step, "forward", step.due)
    if chain.state == "rolling_back":
        yield from _due_undos(chain)


def _due_undos(chain: NaiveChain) -> Iterator[_Due]:
    undos = list(chain.undos())
    first = next((step for step in undos if not step.parked), None)
    for undo in undos:
        unknown = undo.state == "compensation_unknown"
        if undo is first and undo.called:
            yield _Due(undo, "undo_look_up", None)
        elif undo is first or (unknown and undo.parked):
            yield _Due(undo, "undo_look_up" if unknown else "undo", undo.due)
        if undo is first:
            break


def begin(chain: NaiveChain, name: str) -> Asked | None:
    """The call that is due now, whose intent is noted."""
    chain.run()
    due = next((due for due in due_calls(chain) if due.step.plan.name == name), None)
    if due is None or (due.at is not None and due.at > chain.now):
        return None
    step, direction = due.step, due.direction
    if not step.resolved and chain.amount(step) is None:
        if chain.is_past:
            step.dispatch(chain.now)
            step.put_off(None, parked=True)
        else:
            chain.fail_step(step, "expression_failed")
            chain.run()
        return None
    over = chain.now + min(CALL_SECONDS, step.plan.timeout or CALL_SECONDS)
    if direction == "forward":
        step.dispatch(chain.now)
        step.attempt += 1
        step.called, step.resolved, step.due, step.over = True, True, None, over
    elif direction == "undo":
        step.state, step.called, step.due, step.over = "compensating", True, None, over
        step.undo_attempt += 1
    elif step.called:  # who made the call is gone
        lost = "unknown" if step.state == "executing" else "compensation_unknown"
        step.state, step.called, step.due, step.tries = lost, False, chain.now, 0
        step.unheard, step.parked = 0, False
    if direction in ("undo", "undo_look_up"):
        return Asked(name, direction, step.undo_attempt, (name, "undo", step.undo_round))
    return Asked(name, direction, step.attempt, (name, "forward", step.round))


def answer(chain: NaiveChain, asked: Asked, told: Told) -> bool:
    """A partner's answer; False when nobody waits for it."""
    step = chain.steps[asked.step]
    if asked.direction in _QUESTIONS and told.outcome == "declined" and not told.permanent:
        told = told._replace(outcome="unknown")  # the question was refused, perhaps not the call
    if asked.direction in ("undo", "undo_look_up"):
        if asked.attempt != step.undo_attempt or step.state not in _UNDONE_BY_CALL:
            return False
        if not step.called and step.state == "compensating" and told.outcome != "approved":
            return False
        _take_undo(chain, step, told)
    else:
        late = step.state == "pending" and chain.state in ("executing", "held")
        late = (late or step.is_out) and step.since <= asked.attempt <= step.attempt
        if not (step.is_out and asked.attempt == step.attempt) and not (
            late and told.outcome == "approved"
        ):
            return False
        _take(chain, step, told)
    chain.run()
    return True


def _take(chain: NaiveChain, step: NaiveStep, told: Told) -> None:
    over = step.over is None or step.over <= chain.now
    if told.outcome == "approved":
        chain.finish(step, told.result)
    elif told.outcome == "declined":
        _refuse(chain, step, "declined", again=not told.permanent)
    elif told.outcome == "pending" and step.state != "waiting":
        step.state, step.called, step.accepted = "waiting", False, True
        step.tries, step.due = 0, chain.now + _pause(0)
        step.unheard, step.parked = 0, False
        step.result = told.result or step.result
    elif told.outcome == "not_found" and step.state == "unknown" and over and not step.accepted:
        if chain.state in ("executing", "held"):
            step.put_off(chain.now + step.backoff())
        else:
            chain.fail_step(step, "not_found")
    elif step.state == "executing" or (step.state == "waiting" and told.outcome == "not_found"):
        step.state, step.called, step.tries = "unknown", False, 0
        step.unheard, step.parked = 0, False
        step.due = chain.now + _pause(0)
    else:
        _ask_again(chain, step, told)


def _refuse(chain: NaiveChain, step: NaiveStep, code: str, *, again: bool) -> None:
    """Certainly nothing was done: a new round, an operator, or the end."""
    again = again and step.attempt < step.plan.attempts
    running = chain.state in ("executing", "held")
    parks = running and chain.is_past and not again
    if not parks and not (running and again and chain.pending is None):
        chain.fail_step(step, code)
        return
    step.round, step.since, step.accepted = step.round + 1, step.attempt + 1, False
    step.put_off(None if parks else chain.now + step.backoff(), parked=parks)


def _take_undo(chain: NaiveChain, step: NaiveStep, told: Told) -> None:
    unknown = step.state == "compensation_unknown"
    over = step.over is None or step.over <= chain.now
    refused = told.outcome == "declined"
    if told.outcome == "approved":
        step.state, step.called, step.parked, step.due = "compensated", False, False, None
    elif refused or (unknown and told.outcome == "not_found" and over):
        step.state, step.called = "compensating", False
        step.parked = (refused and told.permanent) or step.undo_attempt >= UNDO_ATTEMPTS
        step.undo_round += refused
        step.due = chain.now + min(LONGEST, 2.0 ** (step.undo_attempt - 1))
    elif unknown:
        _ask_again(chain, step, told)
    else:
        step.state, step.called, step.tries = "compensation_unknown", False, 0
        step.unheard, step.parked = 0, False
        step.due = chain.now + _pause(0)


def _ask_again(chain: NaiveChain, step: NaiveStep, told: Told) -> None:
    step.tries += 1
    step.unheard = 0 if told.outcome == "pending" else step.unheard + 1
    step.parked = step.unheard >= LOOK_UPS
    patient = PATIENT if step.tries > OFTEN else _pause(step.tries)
    step.due = chain.now + (SELDOM if step.parked else patient)


def _pause(tries: int) -> float:
    return min(LONGEST, 0.5 * 2.0**tries)


# --- commands ---------------------------------------------------------------------------------


def _refuse_command(chain: NaiveChain, **codes: str | None) -> str | None:
    """What the chain's state refuses, by groups of states."""
    group = {
        "created": "new",
        "executing": "running",
        "held": "held",
        "failed": "failing",
        "rolling_back": "failing",
    }.get(chain.state, "ended")
    usual = {"new": "chain_not_started", "failing": "chain_not_running", "ended": "chain_ended"}
    return {**usual, **codes}.get(group)


def start(chain: NaiveChain) -> str | None:
    """Begin to run."""
    code = "chain_started"
    refused = _refuse_command(chain, new=None, running=code, held=code, failing=code)
    if refused is None:
        chain.state = "executing"
        chain.expires = None if chain.timeout is None else chain.now + chain.timeout
        chain.run()
    return refused


def append(chain: NaiveChain, plans: list[Plan]) -> str | None:
    """More steps; once the pivot was dispatched they come after it."""
    refused = _refuse_command(chain, new=None)
    if refused is None:
        pivot = chain.pivot
        placed = pivot is not None and (chain.is_deciding or chain.is_past)
        for plan in plans:
            needs = (*plan.needs, (pivot.plan.name, False)) if placed and pivot else plan.needs
            chain.steps[plan.name] = NaiveStep(plan._replace(needs=needs))
        chain.run()
    return refused


def cancel(chain: NaiveChain) -> str | None:
    """Give up."""
    refused = _refuse_command(chain, new=None)
    if refused is None and chain.is_past:
        refused = "pivot_passed"
    if refused is None and chain.state == "created":
        chain.skip_rest()
        chain.failure = "cancelled"
        chain.end("rolled_back")
    elif refused is None:
        chain.fail("cancelled")
        chain.run()
    return refused


def hold(chain: NaiveChain, seconds: int, then: str) -> str | None:
    """Dispatch nothing new."""
    refused = _refuse_command(chain, held="chain_held")
    if refused is None:
        chain.state, chain.then = "held", then
        chain.held_at, chain.held_until = chain.now, chain.now + seconds
    return refused


def resume(chain: NaiveChain) -> str | None:
    """Go on."""
    refused = _refuse_command(chain, running="chain_not_held")
    if refused is None:
        chain.release_hold()
        chain.run()
    return refused


def reject(chain: NaiveChain) -> str | None:
    """End the hold with a failure."""
    refused = _refuse_command(chain, running="chain_not_held")
    if refused is None and chain.is_past:
        refused = "pivot_passed"
    if refused is None:
        chain.fail("rejected")
        if chain.state == "held":
            chain.release_hold()
        chain.run()
    return refused


def signal(chain: NaiveChain, name: str) -> str | None:
    """What a wait waits for, or will."""
    refused = _refuse_command(chain, new=None)
    if refused is None:
        chain.expire()
        chain.signals.append(name)
        chain.deliver()
        chain.run()
    return refused


# --- operators --------------------------------------------------------------------------------


def _refuse_decision(chain: NaiveChain) -> str | None:
    return _refuse_command(chain, failing=None)


def _is_unsure(step: NaiveStep) -> bool:
    """Whether a partner has not said what became of its call, and somebody may know it."""
    waits = step.state == "waiting" and step.plan.kind == "call"
    return waits or step.state in ("unknown", "compensation_unknown")


def _impossible(step: NaiveStep) -> str:
    """The refusal of what is not possible: of a step that waits for somebody, or of any other."""
    return "decision_not_possible" if step.parked or _is_unsure(step) else "step_not_parked"


def retry(chain: NaiveChain, step: NaiveStep) -> str | None:
    """Try what is parked once more."""
    refused = _refuse_decision(chain) or (None if step.parked else _impossible(step))
    if refused is None:
        step.parked, step.due = False, chain.now
        step.tries, step.unheard = 0, 0
        if step.state == "pending":
            step.deadline = None
        chain.run()
    return refused


def mark_done(chain: NaiveChain, step: NaiveStep, result: dict[str, Any]) -> str | None:
    """It was done, though nobody was told."""
    refused = _refuse_decision(chain)
    if refused is None and not (step.parked or _is_unsure(step)):
        refused = _impossible(step)
    if refused is None and step.plan.kind not in ("call", "wait"):
        refused = "step_posts"
    if refused is None:
        if step.state in _UNDONE_BY_CALL:
            step.state, step.called, step.parked, step.due = "compensated", False, False, None
        else:
            chain.finish(step, result)
        chain.run()
    return refused


def mark_refused(chain: NaiveChain, step: NaiveStep) -> str | None:
    """Nothing was done by a call that is out; an undo is called under another key."""
    refused = _refuse_decision(chain) or (None if _is_unsure(step) else _impossible(step))
    if refused is None:
        if step.state == "compensation_unknown":
            step.state, step.parked, step.due = "compensating", False, chain.now
            step.undo_round += 1
        else:
            _refuse(chain, step, "refused_by_hand", again=False)
        chain.run()
    return refused


def skip(chain: NaiveChain, step: NaiveStep) -> str | None:
    """Go on without what is parked past the pivot, unless another step needs it."""
    refused = _refuse_decision(chain)
    if refused is None and not (step.parked and step.state == "pending"):
        refused = _impossible(step)
    name = step.plan.name
    if refused is None and any(
        other.plan.lien == name
        or (isinstance(other.plan.amount, tuple) and other.plan.amount[0] == name)
        or (other.plan.when is not None and other.plan.when in (("ok", name), ("more", name)))
        for other in chain.steps.values()
        if other is not step and not other.is_done
    ):
        refused = "step_needed"
    if refused is None:
        step.state, step.parked, step.due = "skipped", False, None
        chain.run()
    return refused


def compensate(chain: NaiveChain) -> str | None:
    """Roll back what cannot go on."""
    refused = _refuse_command(chain)
    if refused is None and chain.is_past:
        refused = "pivot_passed"
    unknown = any(step.state == "unknown" for step in chain.steps.values())
    if refused is None and (unknown or chain.is_deciding):
        refused = "step_outcome_unknown"
    if refused is None:
        chain.fail("compensated_by_hand")
        chain.run()
    return refused
