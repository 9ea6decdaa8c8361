"""What a definition may not ask for, and what a chain takes from outside at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import pytest

from catena.chains.definition import Step
from catena.chains.funding import worst_funding
from catena.chains.step_types import NOTHING
from catena.chains.validator import find_flaws, find_uncovered, sort_effects
from catena.ledger.accounts import Account, AccountType
from tests.chains.books import LEDGER, wallet
from tests.chains.shapes import CATALOGUE, A, B, ask, call, needs, reserve, say, transfer

SAME: dict[str, Any] = {}
CEL = {"cel": "1"}


def _wait(name: str = "wait", *before: str, **rest: Any) -> Step:  # noqa: ANN401
    return Step(name, "wait", rest.pop("inputs", {}), needs(*before), **rest)


@pytest.mark.parametrize(
    ("steps", "where"),
    [
        ([_wait("Bad")], ("Bad", "name")),
        ([_wait("for")], ("for", "name")),
        ([_wait("a.in")], ("a.in", "name")),
        ([_wait("a"), _wait("a")], ("a", "name")),
        ([_wait("a", "b")], ("a", "depends_on")),
        ([_wait("a"), _wait("b", "a*")], ("b", "depends_on")),
        ([call("a", pivot=True), _wait("b", "a*")], ("b", "depends_on")),
        ([_wait("a", "b"), _wait("b", "a")], ("a", "depends_on")),
        ([Step("a", "nothing", {})], ("a", "type")),
        ([_wait("a", inputs={"other": 1})], ("a", "inputs/other")),
        ([Step("a", "transfer", {})], ("a", "inputs/source_account_id")),
        ([transfer("a", A, B, "1")], ("a", "inputs/amount")),
        ([transfer("a", A, B, amount=True)], ("a", "inputs/amount")),
        ([transfer("a", 1, B, 1)], ("a", "inputs/source_account_id")),
        ([transfer("a", "acct_nobody", B, 1)], ("a", "inputs/source_account_id")),
        ([transfer("a", A, B, 0)], ("a", "inputs/amount")),
        ([transfer("a", A, B, 2**63)], ("a", "inputs/amount")),
        ([transfer("a", A, B, 1, inputs={"pool_only": 1})], ("a", "inputs/pool_only")),
        ([transfer("a", A, B, 1, inputs={"currency": CEL})], ("a", "inputs/currency")),
        ([transfer("a", A, B, {"cel": "'text'"})], ("a", "inputs/amount")),
        ([transfer("a", A, B, {"cel": "1 +"})], ("a", "inputs/amount")),
        (
            [transfer("a", A, B, 1), transfer("b", A, B, {"cel": "steps.a.amount"})],
            ("b", "inputs/amount"),
        ),
        ([_wait("a", when=("1",))], ("a", "when")),
        ([transfer("a", A, B, 1, inputs={"lien": "b"})], ("a", "inputs/lien")),
        ([_wait("a"), Step("b", "lien.release", {"lien": "a"}, needs("a"))], ("b", "inputs/lien")),
        ([Step("a", "lien.release", {"lien": CEL})], ("a", "inputs/lien")),
        ([_wait("a", compensation={"u": 1})], ("a", "compensation")),
        ([call("a", pivot=True, compensation={"u": 1})], ("a", "compensation")),
        ([call("a", compensation=None)], ("a", "compensation")),
        ([ask("a", compensation={"u": 1})], ("a", "compensation")),
        ([call("a", inputs={"body": "wrong"})], ("a", "inputs/body")),
        ([call("a", inputs={"body": "wrong"}, compensation=NOTHING)], ("a", "inputs/body")),
        ([call("a", compensation={"undo": "wrong"})], ("a", "compensation")),
        ([ask("a", inputs={"amount": {"inner": CEL}})], ("a", "inputs/amount")),
        ([say("a", None)], ("a", "compensation/url")),
        ([say("a", 1)], ("a", "compensation/url")),
        ([say("a", "u", other=1)], ("a", "compensation/other")),
        ([say("a", "u", method=CEL)], ("a", "compensation/method")),
        ([say("a", {"cel": "1"})], ("a", "compensation/url")),
        ([say("a", {"inner": CEL})], ("a", "compensation/url")),
        ([say("a", {"cel": "steps.a.state"})], ("a", "compensation/url")),
        ([say("a", {"cel": "steps.a.amount"})], ("a", "compensation/url")),
        ([say("a", {"cel": "string(steps.a.other)"})], ("a", "compensation/url")),
        ([say("a", "u", body=[{"cel": "1 +"}])], ("a", "compensation/body")),
        ([_wait("a"), say("b", {"cel": "string(steps.a.payload)"})], ("b", "compensation/url")),
        ([call("a", goes_on=True)], ("a", "on_timeout")),
        ([_wait("a", inputs={"seconds": 1, "signal": "b"})], ("a", "inputs")),
        ([_wait("a", inputs={"seconds": 0})], ("a", "inputs/seconds")),
        ([reserve("a", A, 1, expires="soon")], ("a", "inputs/expires_seconds")),
        ([reserve("a", A, 1, expires=True)], ("a", "inputs/expires_seconds")),
        ([reserve("a", A, 1, on_expiry="explode")], ("a", "inputs/on_expiry")),
        ([_wait("a", pivot=True)], ("a", "pivot")),
        ([call("a", pivot=True), call("b", "a", pivot=True)], ("b", "pivot")),
    ],
)
def test_a_flaw_is_found_where_it_is(steps: Sequence[Step], where: tuple[str, str]) -> None:
    """Each has the step and the part of it, and says what is wrong."""
    flaws = find_flaws(steps, CATALOGUE, LEDGER)
    assert [(flaw.step, flaw.part) for flaw in flaws][:1] == [where]
    assert all(flaw.text for flaw in flaws)


def _say_often(count: int, text: str = "chain.id") -> list[dict[str, str]]:
    return [{"cel": f"{text} + '{number}'"} for number in range(count)]


@pytest.mark.parametrize(
    ("steps", "where"),
    [
        (
            [
                call("a", inputs={"body": _say_often(150)}),
                say("b", "url", "a", body=_say_often(50)),
            ],
            None,
        ),
        (
            [
                call("a", inputs={"body": _say_often(150)}),
                say("b", "url", "a", body=_say_often(51)),
            ],
            "b",
        ),
        ([call("a", when=("true",) * 20), call("b", "a", inputs={"body": _say_often(181)})], "b"),
        ([call("a", inputs={"body": _say_often(21, f"'{'a' * 490}'")})], "a"),
        ([say("a", "url", body=_say_often(201))], "a"),
    ],
)
def test_the_expressions_of_a_chain_are_bounded(steps: Sequence[Step], where: str | None) -> None:
    """All of them together, conditions and compensations too; the step where it is too much."""
    said = [
        flaw.step for flaw in find_flaws(steps, CATALOGUE, LEDGER) if "at most, and" in flaw.text
    ]
    assert said == ([] if where is None else [where])


def test_the_conditions_of_a_chain_that_is_started_count() -> None:
    """A chain within a chain gives no more of them."""
    row = {"name": "in", "type": "wait", "inputs": {"signal": "a"}, "when": ["true"] * 20}
    inner = {"steps": [row] * 6}
    steps = [
        Step("a", "chain.start", {"chain": inner}, (), ("true",)),
        Step("b", "chain.start", {"chain": inner}, needs("a")),
    ]
    assert [
        flaw.step for flaw in find_flaws(steps, CATALOGUE, LEDGER) if "together" in flaw.text
    ] == ["b"]


CAPTURE = {"lien": "hold", "destination_account_id": B, "amount": 1, "currency": "USD"}


@pytest.mark.parametrize("pivot", ["", "capture", "call"])
def test_a_capture_is_the_pivot_or_comes_after_it(pivot: str) -> None:
    """Its credits are the receiver's at once, so that nothing may take them back."""
    steps = [
        reserve("hold", A, 1),
        call("call", "hold", pivot=pivot == "call"),
        Step("capture", "capture", CAPTURE, needs("hold", "call"), pivot=pivot == "capture"),
    ]
    flaws = find_flaws(steps, CATALOGUE, LEDGER)
    assert [flaw.step for flaw in flaws] == ([] if pivot else ["capture"])


def test_what_is_right_has_no_flaw() -> None:
    """Expressions over results, conditions, accepted steps, and constants of every kind."""
    steps = [
        call("call", inputs={"body": {"a": [{"cel": "chain.id"}]}}),
        transfer("pay", A, B, {"cel": "steps.call.amount"}, "call*", when=("true",)),
        _wait("wait", "pay", inputs={"seconds": 1.5}),
        call("free", compensation=NOTHING),
        say("said", {"cel": "string(steps.said.amount + steps.call.amount)"}, "call", body=[CEL]),
        call("pivot", "wait", "free", pivot=True),
    ]
    assert find_flaws(steps, CATALOGUE, LEDGER) == []


BANK = Account("bank", AccountType.ASSET, "USD", floor=None)
EUROS = Account("euros", AccountType.ASSET, "EUR", floor=None)
ACCOUNTS: Mapping[str, Account] = {A: wallet(A, 10), B: wallet(B), "bank": BANK, "euros": EUROS}
PIVOT = call("pivot", "hold", pivot=True)
HOLD = reserve("hold", A, 4)
NOWHERE = Step("hold", "lien.reserve", {"account_id": CEL, "amount": 4})
RELEASE = Step("free", "lien.release", {"lien": "hold"}, needs("hold"))
EXTEND = Step("longer", "lien.extend", {"lien": "hold", "expires_seconds": 9}, needs("hold"))


@pytest.mark.parametrize(
    ("steps", "flawed"),
    [
        ([HOLD, PIVOT, transfer("pay", A, B, 4, "pivot")], False),
        ([HOLD, PIVOT, transfer("pay", A, B, 5, "pivot")], True),
        ([HOLD, PIVOT, transfer("pay", "bank", B, 5, "pivot")], False),
        ([HOLD, PIVOT, transfer("pay", A, B, {"cel": "1"}, "pivot")], True),
        ([HOLD, PIVOT, transfer("pay", A, A, 1, "pivot")], True),
        ([HOLD, PIVOT, reserve("more", A, 1, "pivot")], True),
        ([HOLD, PIVOT, Step("back", "reversal", {"entry_id": "ent_1"}, needs("pivot"))], True),
        # Another step may have taken it before, whatever the order.
        ([HOLD, PIVOT, transfer("one", A, B, 3, "hold"), transfer("pay", A, B, 2, "pivot")], True),
        (
            [HOLD, PIVOT, transfer("one", A, B, CEL, "hold"), transfer("pay", A, B, 2, "pivot")],
            True,
        ),
        ([HOLD, PIVOT, transfer("one", A, B, 1, "pay"), transfer("pay", A, B, 4, "pivot")], True),
        ([HOLD, PIVOT, transfer("in", B, A, 1, "hold"), transfer("pay", A, B, 4, "pivot")], False),
        # What came before is there only when it certainly came.
        ([HOLD, PIVOT, transfer("in", B, A, 1, "pivot"), transfer("pay", A, B, 5, "in")], True),
        (
            [
                reserve("hold", A, 4, when=("true",)),
                PIVOT,
                transfer("pay", A, B, 4, "pivot"),
            ],
            True,
        ),
        (
            [
                reserve("hold", A, 4, expires=9, on_expiry="continue"),
                PIVOT,
                transfer("pay", A, B, 4, "pivot"),
            ],
            True,
        ),
        (
            [HOLD, PIVOT, RELEASE, transfer("pay", A, B, 1, "pivot")],
            True,
        ),
        (
            [HOLD, EXTEND, PIVOT, transfer("pay", A, B, 4, "pivot"), call("last", "pay")],
            False,
        ),
        ([HOLD, PIVOT, Step("pay", "capture", CAPTURE, needs("pivot"))], False),
        ([HOLD, PIVOT, Step("pay", "capture", CAPTURE | {"amount": 5}, needs("pivot"))], True),
        # A capture has its lien alone: no other pays for it, and it takes from no other.
        (
            [
                HOLD,
                reserve("more", A, 4, "hold"),
                PIVOT,
                Step("pay", "capture", CAPTURE | {"amount": 5}, needs("pivot", "more")),
            ],
            True,
        ),
        (
            [
                HOLD,
                reserve("more", A, 4, "hold"),
                PIVOT,
                Step("pay", "capture", CAPTURE | {"amount": 4}, needs("pivot", "more")),
                Step("also", "capture", CAPTURE | {"lien": "more", "amount": 4}, needs("pay")),
            ],
            False,
        ),
        (
            [reserve("hold", A, CEL), RELEASE, PIVOT, transfer("pay", A, B, 1, "pivot")],
            True,
        ),
        ([HOLD, transfer("pay", A, B, 99, "hold")], False),
        # Words move nothing, whatever they say.
        (
            [HOLD, PIVOT, Step("pay", "capture", CAPTURE | {"reference": CEL}, needs("pivot"))],
            False,
        ),
        # What was only accepted when the money was to be reserved may be completed now.
        (
            [
                call("s"),
                reserve("hold", A, 4, "s*", when=("steps.s.ok",)),
                call("pivot", "hold", pivot=True),
                transfer("pay", A, B, 4, "pivot", when=("steps.s.ok",)),
            ],
            True,
        ),
        (
            [
                call("s"),
                reserve("hold", A, 4, "s", when=("steps.s.ok",)),
                call("pivot", "hold", pivot=True),
                transfer("pay", A, B, 4, "pivot", when=("steps.s.ok",)),
            ],
            False,
        ),
        # The books would refuse it.
        ([HOLD, PIVOT, transfer("pay", "euros", B, 1, "pivot")], True),
        # An account that is known only as it runs.
        ([NOWHERE, PIVOT, Step("pay", "capture", CAPTURE, needs("pivot"))], True),
        ([NOWHERE, RELEASE, PIVOT, transfer("pay", A, B, 1, "pivot")], True),
    ],
)
def test_past_the_pivot_everything_is_paid_for(steps: Sequence[Step], flawed: bool) -> None:  # noqa: FBT001
    """A ledger step behind it takes what was reserved or received, in known amounts."""
    by_name = {step.name: step for step in steps}
    flaws = list(find_uncovered(by_name, ACCOUNTS, (LEDGER, {})))
    assert bool(flaws) is flawed
    assert all(flaw.part in ("inputs", "type") for flaw in flaws)


def _worst(*steps: Step) -> dict[str, int]:
    by_name = {step.name: step for step in steps}
    return worst_funding(by_name, sort_effects(by_name, ACCOUNTS, (LEDGER, {})))


def test_what_a_chain_takes_from_outside() -> None:
    """All that it reserves, and what its decreases exceed its pool by, in the worst order."""
    assert _worst(transfer("pay", A, B, 4)) == {A: 4}
    assert _worst(HOLD, transfer("pay", A, B, 6, "hold")) == {A: 6}
    assert _worst(HOLD, transfer("pay", A, B, 3, "hold")) == {A: 4}
    assert _worst(transfer("in", B, A, 3), transfer("out", A, B, 3)) == {A: 3, B: 3}
    assert _worst(transfer("in", B, A, 3), transfer("out", A, B, 5, "in")) == {A: 2, B: 3}
    assert _worst(transfer("in", "bank", A, 3), transfer("out", A, B, 2, "in")) == {}


def test_the_worst_order_is_found_whatever_the_steps() -> None:
    """The cut agrees with trying every order."""
    shapes = [
        [transfer("a", A, B, 3), transfer("b", B, A, 2, "a"), transfer("c", A, B, 4)],
        [transfer("a", B, A, 1), transfer("b", A, B, 2, "a"), transfer("c", A, B, 2, "a")],
        [reserve("a", A, 2), transfer("b", A, B, 5), transfer("c", B, A, 4, "b", "a")],
        [transfer("a", A, B, 1), transfer("b", A, B, 2), transfer("c", B, A, 9, "a", "b")],
    ]
    for steps in shapes:
        assert _worst(*steps) == _try_every_order(steps)


def _try_every_order(steps: Sequence[Step]) -> dict[str, int]:
    by_name = {step.name: step for step in steps}
    effects = sort_effects(by_name, ACCOUNTS, (LEDGER, {}))
    worst = dict.fromkeys((A, B), 0)
    for order in permutations(steps):
        done: set[str] = set()
        for account in worst:
            pool = reserved = most = 0
            done.clear()
            for step in order:
                if not all(need.step in done for need in step.needs):
                    break
                done.add(step.name)
                change = (effects[step.name] or {}).get(account, 0)
                pool += change
                reserved += change if step.type == "lien.reserve" else 0
                most = max(most, reserved - pool)
            total = sum(
                (effects[s.name] or {}).get(account, 0) for s in steps if s.type == "lien.reserve"
            )
            worst[account] = max(worst[account], most + total)
    return {account: most for account, most in worst.items() if most}
