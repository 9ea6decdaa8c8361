"""The chains that callers may ask for, drawn by hypothesis: for the service, and for its model.

Invariant: a wish is small numbers only, so that it shrinks; what it comes to is a plan, which the
service gets as a definition and the model as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from catena.chains.definition import NO_RETRY, Need, Retry, Step
from catena.chains.expressions import Kind
from catena.chains.step_types import Answer, Call, Input, Outcome, StepType
from tests.properties.naive_steps import FIRST, LONGEST, Plan, Told

__all__ = [
    "ANSWERS",
    "SHAPES",
    "Caller",
    "Places",
    "Shape",
    "to_answer",
    "to_plans",
    "to_step",
]


class Caller:
    """A step type whose partner is the test."""

    type = StepType(
        "call",
        {"amount": Input(Kind.ANY, required=False)},
        {"ok": Kind.BOOL, "amount": Kind.INT},
        undoes=True,
    )

    def check(self, inputs: object, compensation: object, ledger_id: str) -> tuple[()]:
        """Anything goes."""
        del inputs, compensation, ledger_id
        return ()

    async def call(self, call: Call) -> Answer:
        """Never asked: the test answers what is begun."""
        raise NotImplementedError


class Places(NamedTuple):
    """Where money can be: wallets, and the platform's accounts."""

    wallets: Sequence[str]
    clearing: str
    fees: str


class Wish(NamedTuple):
    """A step to be: its kind, and small numbers that choose its parts."""

    kind: str
    first: int
    second: int
    amount: int
    needs: int
    extra: int


class Shape(NamedTuple):
    """A chain to be, in sequential, parallel or mixed order; `backwards`: the last step first."""

    wishes: Sequence[Wish]
    order: str
    backwards: bool
    is_open: bool
    timeout: int | None


_KINDS: Final = (
    *("transfer",) * 4,
    "fee",
    *("deposit",) * 2,
    *("withdrawal",) * 2,
    *("reserve",) * 3,
    "release",
    "extend",
    *("capture",) * 2,
    *("call",) * 8,
    *("wait",) * 2,
)
_WISHES: Final = st.builds(
    Wish,
    st.sampled_from(_KINDS),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from([5, 10, 20, 30, 30, 60, 150]),
    st.integers(0, 31),
    st.integers(0, 34),
)
SHAPES: Final = st.builds(
    Shape,
    st.lists(_WISHES, min_size=2, max_size=5) | st.lists(_WISHES, min_size=1, max_size=5),
    st.sampled_from(["sequential", "sequential", "parallel", "mixed", "mixed"]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([False] * 7 + [True]),
    st.sampled_from([None, None, None, 30]),
)
ANSWERS: Final = st.sampled_from(
    [
        *(Told("approved", {"ok": True, "amount": 30}),) * 5,
        Told("approved", {"ok": False, "amount": 5}),
        Told("approved", {}),
        Told("declined", {}),
        Told("declined", {}),
        Told("declined", {}, permanent=False),
        Told("declined", {}, permanent=False),
        Told("unknown", {}),
        Told("unknown", {}),
        Told("pending", {}),
        Told("pending", {"ok": True}),
        Told("not_found", {}),
    ]
)


def to_answer(told: Told) -> Answer:
    """A partner's answer in the service's words."""
    return Answer(Outcome(told.outcome), told.result, permanent=told.permanent)


# --- plans ------------------------------------------------------------------------------------


def to_plans(shape: Shape, places: Places, before: Sequence[Plan] = ()) -> list[Plan]:
    """The steps of a shape; `before`: those of the chain that they are appended to."""
    plans = list(before)
    for wish in shape.wishes:
        plans.append(_to_plan(wish, shape.order, plans, places))
    made = plans[len(before) :]
    return made[::-1] if shape.backwards else made


def _to_plan(wish: Wish, order: str, before: Sequence[Plan], places: Places) -> Plan:
    """What a wish comes to behind these steps."""
    name, extra = f"s{len(before)}", wish.extra
    needs: dict[str, bool] = {}
    if order == "sequential" and before:
        needs[before[-1].name] = False
    elif order == "mixed":
        needs = {p.name: False for place, p in enumerate(before) if wish.needs >> place % 5 & 1}
    for plan in before:
        if plan.name in needs and plan.kind == "call" and not plan.pivot and extra % 6 == 5:
            needs[plan.name] = True
    wallets = places.wallets
    plan = Plan(
        name,
        wish.kind,
        source=wallets[wish.first % len(wallets)],
        target=wallets[(wish.first + 1 + wish.second % (len(wallets) - 1)) % len(wallets)],
        amount=wish.amount,
        attempts=3 if extra % 4 == 1 else 1,
    )
    plan = _fit_kind(plan, wish, before, needs, places)
    plan = _fit_expressions(plan, extra, before, needs)
    return plan._replace(needs=tuple(needs.items()))


def _fit_kind(  # noqa: PLR0911  # one return a kind
    plan: Plan, wish: Wish, before: Sequence[Plan], needs: dict[str, bool], places: Places
) -> Plan:
    extra = wish.extra
    reserves = [p for p in before if p.kind == "reserve"]
    pivot = next((p for p in before if p.pivot), None)
    if plan.kind in ("release", "extend", "capture") and not reserves:
        plan = plan._replace(kind="reserve")
    match plan.kind:
        case "fee":
            return plan._replace(target=places.fees)
        case "deposit":
            return plan._replace(source=places.clearing)
        case "withdrawal":
            return _name_lien(plan._replace(target=places.clearing), reserves, needs, extra)
        case "transfer":
            return _name_lien(plan, reserves, needs, extra)
        case "reserve":
            seconds = (None, 5, None)[extra % 3]
            return plan._replace(seconds=seconds, expiry="continue" if extra % 7 == 0 else "fail")
        case "release" | "extend":
            needs[reserves[-1].name] = False
            seconds = 20 if plan.kind == "extend" else None
            return plan._replace(lien=reserves[-1].name, seconds=seconds, amount=0)
        case "capture":
            lien = reserves[-1]
            needs[lien.name] = False
            if pivot is not None:
                needs[pivot.name] = False
            target = plan.target if plan.target != lien.source else plan.source
            if target == lien.source:
                target = next(one for one in places.wallets if one != lien.source)
            return plan._replace(
                source=lien.source, target=target, lien=lien.name, pivot=pivot is None
            )
        case "call":
            is_pivot = pivot is None and extra % 5 == 2
            timeout = 25 if extra % 7 == 3 else None
            undoes = not is_pivot and extra % 3 != 2
            return plan._replace(amount=0, pivot=is_pivot, undoes=undoes, timeout=timeout)
        case _:
            plan = plan._replace(amount=0, attempts=1, seconds=4 if extra % 4 == 0 else None)
            timeout = 15 if extra % 4 in (1, 2) else None
            return plan._replace(timeout=timeout, goes_on=extra % 4 == 2)


def _name_lien(plan: Plan, reserves: Sequence[Plan], needs: dict[str, bool], extra: int) -> Plan:
    """Sometimes a step names the lien it draws on first, or spends of the pool only."""
    if reserves and extra % 5 == 1:
        needs[reserves[-1].name] = False
        return plan._replace(lien=reserves[-1].name)
    return plan._replace(pool_only=extra % 11 == 10)


def _fit_expressions(
    plan: Plan, extra: int, before: Sequence[Plan], needs: Mapping[str, bool]
) -> Plan:
    """Sometimes an amount or a condition asks a step that comes before."""
    by_name = {p.name: p for p in before}
    seen = [by_name[name] for name in needs]
    if not seen:
        return plan
    asked = seen[extra % len(seen)]
    tells = asked.kind not in ("wait", "extend")
    if tells and extra % 9 == 4 and plan.kind not in ("release", "extend", "wait"):
        plan = plan._replace(amount=(asked.name, extra % 3))
    if extra % 8 == 7:
        what = "completed" if not tells else ("completed", "more")[extra % 2]
        return plan._replace(when=("ok" if asked.kind == "call" else what, asked.name))
    return plan


# --- definitions ------------------------------------------------------------------------------


def to_step(plan: Plan) -> Step:
    """A plan in the service's words."""
    compensation = None
    if plan.kind == "call" and not plan.pivot:
        compensation = {"type": "back"} if plan.undoes else {"type": "none"}
    type = f"lien.{plan.kind}" if plan.kind in ("reserve", "release", "extend") else plan.kind
    return Step(
        plan.name,
        type,
        _inputs(plan),
        tuple(Need(name, accepted) for name, accepted in plan.needs),
        () if plan.when is None else (_condition(*plan.when),),
        NO_RETRY if plan.attempts == 1 else Retry(plan.attempts, FIRST, LONGEST),
        plan.timeout,
        plan.goes_on,
        compensation,
        plan.pivot,
    )


def _inputs(plan: Plan) -> dict[str, Any]:  # noqa: PLR0911  # one return a kind
    amount: Any = plan.amount
    if isinstance(plan.amount, tuple):
        amount = {"cel": f"steps.{plan.amount[0]}.amount + {plan.amount[1]}"}
    usd = {"amount": amount, "currency": "USD"}
    spending: dict[str, Any] = {"pool_only": True} if plan.pool_only else {}
    if plan.lien is not None:
        spending["lien"] = plan.lien
    match plan.kind:
        case "transfer":
            accounts = {
                "source_account_id": plan.source,
                "destination_account_id": plan.target,
            }
            return accounts | usd | spending
        case "deposit":
            return {"account_id": plan.target, **usd}
        case "withdrawal" | "fee":
            return {"account_id": plan.source, **usd, **spending}
        case "capture":
            return {"destination_account_id": plan.target, "lien": plan.lien, **usd}
        case "reserve":
            times = {} if plan.seconds is None else {"expires_seconds": plan.seconds}
            return {
                "account_id": plan.source,
                "amount": amount,
                "on_expiry": plan.expiry,
                **times,
            }
        case "release":
            return {"lien": plan.lien}
        case "extend":
            return {"lien": plan.lien, "expires_seconds": plan.seconds}
        case "call":
            return {} if plan.amount == 0 else {"amount": amount}
        case _:
            return {} if plan.seconds is None else {"seconds": plan.seconds}


def _condition(what: str, step: str) -> str:
    return {
        "completed": f"steps.{step}.state == 'completed'",
        "ok": f"steps.{step}.ok",
        "more": f"steps.{step}.amount > 20",
    }[what]
