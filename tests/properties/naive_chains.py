"""Chains as docs/concepts/chains.md tells of them, without a history: the model of the service.

Invariant: knows nothing of `catena.chains`; a run that is refused is a copy that is thrown away.
Time is in whole seconds; every random wait is as long as it can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tests.properties.naive_funds import Act, Funds, NaiveLien
from tests.properties.naive_steps import NaiveStep

__all__ = ["NaiveChain"]


class _Refused(Exception):
    def __init__(self, step: NaiveStep, code: str) -> None:
        super().__init__(code)
        self.step = step
        self.code = code


@dataclass
class NaiveChain:
    """A chain. `pending`: why it fails once its pivot is refused. Times are seconds.

    `net`: what it did in the end, by account.
    """

    id: str
    funds: Funds
    timeout: int | None = None
    state: str = "created"
    steps: dict[str, NaiveStep] = field(default_factory=dict)
    seq: int = 0
    now: float = 0
    expires: float | None = None
    held_at: float = 0
    held_until: float = 0
    then: str = ""
    failure: str | None = None
    pending: str | None = None
    signals: list[str] = field(default_factory=list)
    lien_ends: dict[str, float] = field(default_factory=dict)
    net: dict[str, int] = field(default_factory=dict)

    # --- what it is --------------------------------------------------------------------------

    @property
    def is_ended(self) -> bool:
        """Nothing can happen to it any more."""
        return self.state in ("completed", "rolled_back")

    @property
    def pivot(self) -> NaiveStep | None:
        """The step that cannot be undone."""
        return next((step for step in self.steps.values() if step.plan.pivot), None)

    @property
    def is_past(self) -> bool:
        """It only goes forward."""
        return self.pivot is not None and self.pivot.state == "completed"

    @property
    def is_deciding(self) -> bool:
        """Its pivot is out: it cannot fail."""
        return self.pivot is not None and self.pivot.is_out

    def ancestors(self, name: str) -> set[str]:
        """All that a step depends on."""
        found = {need for need, _ in self.steps[name].plan.needs}
        for need in list(found):
            found |= self.ancestors(need)
        return found

    # --- running -----------------------------------------------------------------------------

    def run(self) -> None:
        """To the next wall."""
        self.settle()
        self.expire()
        if self.state == "executing":
            self._run_forward()
        if self.state in ("failed", "rolling_back"):
            self._run_back()

    def _run_forward(self) -> None:
        before = deepcopy({**self.__dict__, "funds": None})
        posted, acts = dict(self.funds.posted), list(self.funds.acts[self.id])
        moved: list[str] = []
        past = self.is_past
        try:
            while self._sweep(moved, past=past):
                pass
        except _Refused as refused:
            self.__dict__.update({**before, "funds": self.funds})
            self.funds.posted, self.funds.acts[self.id] = posted, acts
            for name in moved:
                self.steps[name].state = "skipped"
            self.fail_step(self.steps[refused.step.plan.name], refused.code)
            return
        if all(step.is_done for step in self.steps.values()):
            self.end("completed")

    def _sweep(self, moved: list[str], *, past: bool) -> bool:
        """Take each step in turn as far as it goes; whether any moved."""
        any_moved = False
        for step in self.steps.values():
            if self.is_ready(step, self.now):
                any_moved |= self._advance(step, moved, past=past)
        return any_moved

    def is_ready(self, step: NaiveStep, now: float) -> bool:
        """What it depends on is done, and nothing forbids it."""
        if step.state != "pending" or step.parked or self.is_deciding:
            return False
        if step.due is not None and step.due > now:
            return False
        for name, accepted in step.plan.needs:
            need = self.steps[name]
            if not (need.is_done or (accepted and need.is_out and need.state == "waiting")):
                return False
        return not step.plan.pivot or all(
            other is step
            or other.is_done
            or (other.plan.goes_on and other.state == "waiting")
            or step.plan.name in self.ancestors(other.plan.name)
            for other in self.steps.values()
        )

    def _advance(self, step: NaiveStep, moved: list[str], *, past: bool) -> bool:
        plan = step.plan
        holds = self._holds(step)
        if holds is False:
            step.state = "skipped"
            return True
        if plan.kind == "call" and holds:
            return False
        amount = self.amount(step)
        if holds is None or (plan.kind != "call" and amount is None):
            code: str | None = "expression_failed"
        elif plan.kind == "wait":
            self._begin_wait(step)
            return True
        else:
            code = self._carry_out(step, amount or 0)
        if code is None:
            moved.append(plan.name)
            return True
        attempt = step.attempt + 1
        passing = code in ("insufficient_funds", "account_frozen")
        again = passing and attempt < plan.attempts
        if not again and not past:
            raise _Refused(step, code)
        step.dispatch(self.now)
        step.attempt = attempt
        step.put_off(self.now + step.backoff() if again else None, parked=not again)
        return False

    def _holds(self, step: NaiveStep) -> bool | None:
        """Its condition; None: it comes to nothing."""
        if step.plan.when is None:
            return True
        what, name = step.plan.when
        asked = self.steps[name]
        if what == "completed":
            return asked.state == "completed"
        if what == "ok":
            return asked.result.get("ok")
        return asked.result["amount"] > 20 if "amount" in asked.result else None

    def amount(self, step: NaiveStep) -> int | None:
        """What it moves; None when its expression comes to nothing."""
        if isinstance(step.plan.amount, int):
            return step.plan.amount
        name, more = step.plan.amount
        amount = self.steps[name].result.get("amount")
        return None if amount is None else amount + more

    def _carry_out(self, step: NaiveStep, amount: int) -> str | None:
        """A step of the books; why not, or None."""
        plan, funds = step.plan, self.funds
        if plan.kind == "reserve":
            return self._reserve(step, amount)
        if plan.kind in ("release", "extend"):
            return self._change_lien(step)
        takes = plan.kind == "capture"
        if takes and all(act.step != plan.lien for act in funds.acts[self.id]):
            return "unknown_lien"
        if amount <= 0:
            return "amount_not_positive"
        moves = [(plan.source, -amount), (plan.target, amount)]
        pools = {account: funds.pool(self.id, account) for account, _ in moves}
        if takes:  # what it names, and nothing else of the chain's
            pools = {plan.source: funds.rest(self.id, plan.lien or "", plan.source)}
        only = plan.pool_only or takes
        code = funds.refuse(moves, pools, pool_only=only, shielded=self.is_past)
        if code is not None:
            return code
        funds.post(moves)
        self._do(Act(plan.name, "post", moves, plan.lien, keeps=not takes))
        self.finish(step, {"amount": amount})
        return None

    def _reserve(self, step: NaiveStep, amount: int) -> str | None:
        plan, funds = step.plan, self.funds
        if funds.statuses[plan.source] != "active":
            return f"account_{funds.statuses[plan.source]}"
        if amount <= 0:
            return "amount_not_positive"
        if funds.available(plan.source) < amount:
            return "insufficient_funds"
        self._do(Act(plan.name, "reserve", [(plan.source, amount)]))
        if plan.seconds is not None:
            self.lien_ends[plan.name] = self.now + plan.seconds
        self.finish(step, {"amount": amount})
        return None

    def _change_lien(self, step: NaiveStep) -> str | None:
        name = step.plan.lien or ""
        lien = self._open_reservation(name)
        if lien is None:
            return "lien_not_open"
        if step.plan.kind == "extend":
            if name in self.lien_ends:  # what never ends goes on so
                later = self.now + (step.plan.seconds or 0)
                self.lien_ends[name] = max(self.lien_ends[name], later)
            self.finish(step, {})
        else:
            self._do(Act(step.plan.name, "end", lien=name))
            self.finish(step, {"amount": lien.remaining})
        return None

    def _open_reservation(self, step: str) -> NaiveLien | None:
        for lien in self.funds.liens(self.id):
            if lien.step == step and lien.kind == "reserve" and lien.is_open:
                return lien
        return None

    def _do(self, act: Act) -> None:
        self.funds.acts[self.id].append(act)

    def _begin_wait(self, step: NaiveStep) -> None:
        step.dispatch(self.now)
        step.state = "waiting"
        step.due = None if step.plan.seconds is None else self.now + step.plan.seconds
        self.deliver()

    def deliver(self) -> None:
        """Signals that are kept go to the waits that they are for."""
        for step in self.steps.values():
            waits = step.plan.kind == "wait" and step.state == "waiting"
            if waits and step.plan.seconds is None and step.plan.name in self.signals:
                self.signals.remove(step.plan.name)
                self.finish(step, {"payload": None})

    def _run_back(self) -> None:
        """Forget what was done, the last first; partners undo apart."""
        if self.state == "failed":
            if any(step.is_out for step in self.steps.values()):
                return
            self.state = "rolling_back"
        for step in sorted(self.steps.values(), key=lambda step: -step.seq):
            if step.state != "completed" or step.plan.kind in ("call", "wait", "release", "extend"):
                continue
            acts = self.funds.acts[self.id]
            act = next(act for act in acts if act.step == step.plan.name)
            if act.kind == "post":
                self.funds.post([(account, -change) for account, change in act.moves])
            acts.remove(act)
            step.state = "compensated"
        if next(self.undos(), None) is None:
            self.end("rolled_back")

    def undos(self) -> Iterator[NaiveStep]:
        """What only partners can undo, the last first."""
        undoing = ("completed", "compensating", "compensation_unknown")
        for step in sorted(self.steps.values(), key=lambda step: -step.seq):
            if step.plan.undoes and step.state in undoing:
                yield step

    def end(self, state: str) -> None:
        """The outcome: its liens end with it."""
        self.state = state
        for act in self.funds.acts.pop(self.id):
            for account, change in act.moves if act.kind == "post" else ():
                self.net[account] = self.net.get(account, 0) + change

    # --- ends --------------------------------------------------------------------------------

    def finish(self, step: NaiveStep, result: dict[str, Any]) -> None:
        """A step is done."""
        self.seq += 1
        step.state, step.seq, step.result = "completed", self.seq, result
        step.called = step.parked = False
        step.due = None
        if step.plan.pivot:
            self.pending = None

    def fail_step(self, step: NaiveStep, code: str) -> None:
        """A step is refused for good, and with it the chain."""
        step.state, step.called, step.parked, step.due = "failed", False, False, None
        step.result = {"failure": code}
        self.settle()

    def settle(self) -> None:
        """What was recorded, or what failed, fails the chain as soon as it may."""
        if self.state not in ("executing", "held") or self.is_deciding:
            return
        if self.pending is not None:
            self.fail(self.pending)
        elif self.state == "executing":
            for step in self.steps.values():
                if step.state == "failed":
                    self.fail(step.result["failure"])

    def fail(self, code: str) -> None:
        """It fails, unless its pivot forbids it."""
        if self.is_past or self.state not in ("executing", "held"):
            return
        if self.is_deciding and self.pending is not None:
            return
        for step in self.steps.values():
            if step.is_out and step.state == "waiting":
                step.due = self.now
        if self.is_deciding:
            self.pending = code
            return
        self.state, self.failure, self.pending = "failed", code, None
        self.skip_rest()

    def skip_rest(self) -> None:
        """Nothing new is begun."""
        for step in self.steps.values():
            if step.state == "pending" or (step.plan.kind == "wait" and step.state == "waiting"):
                step.state, step.parked, step.due = "skipped", False, None

    # --- the clock ---------------------------------------------------------------------------

    def expire(self) -> None:
        """What its times say."""
        if self.state == "held" and self.held_until <= self.now:
            if self.then == "reject":
                self.fail("hold_expired")
            if self.state == "held":
                self.release_hold()
                self.settle()
        if self.state != "executing":
            return
        if self.expires is not None and self.expires <= self.now:
            self.fail("chain_timed_out")
        for name, end in list(self.lien_ends.items()):
            if end <= self.now:
                self._expire_lien(name)
        for step in self.steps.values():
            if self.state == "executing":
                self._expire_step(step)

    def _expire_lien(self, name: str) -> None:
        lien = self._open_reservation(name) if self.id in self.funds.acts else None
        unknown = any(step.state == "unknown" for step in self.steps.values())
        if lien is None or not lien.remaining or unknown or self.is_deciding or self.is_past:
            return
        if self.state != "executing":
            return
        self._do(Act("", "end", lien=name))
        if self.steps[name].plan.expiry == "fail":
            self.fail("lien_expired")

    def _expire_step(self, step: NaiveStep) -> None:
        late = step.deadline is not None and step.deadline <= self.now
        if step.plan.kind == "wait":
            if step.state != "waiting":
                return
            came = step.due is not None and step.due <= self.now
            if came or (late and step.plan.goes_on):
                self.finish(step, {"payload": None})
            elif late and self.is_past:
                step.put_off(None, parked=True)
            elif late:
                self.fail_step(step, "wait_timed_out")
        elif late and not self.is_past and not self.is_deciding:
            if step.state == "pending" and step.attempt > 0:
                self.fail_step(step, "step_timed_out")
            elif step.state == "waiting":
                self.fail("step_timed_out")

    def release_hold(self) -> None:
        """Its deadlines move by the length of the hold."""
        length = self.now - self.held_at
        self.state = "executing"
        if self.expires is not None:
            self.expires += length
        for step in self.steps.values():
            if step.deadline is not None:
                step.deadline += length
            if step.due is not None and step.plan.kind == "wait":
                step.due += length
        self.lien_ends = {name: end + length for name, end in self.lien_ends.items()}
