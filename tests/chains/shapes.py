"""Chains of three steps on two wallets, each of another shape, and the partner's step type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from catena.chains.definition import Definition, Need, Retry, Step
from catena.chains.expressions import Kind
from catena.chains.step_types import Answer, Call, Catalogue, Fault, Input, Outcome, StepType

__all__ = [
    "CATALOGUE",
    "SHAPES",
    "WAIT",
    "A",
    "B",
    "ask",
    "call",
    "reserve",
    "say",
    "transfer",
]

A: Final = "acct_" + "a" * 32
B: Final = "acct_" + "b" * 32
WAIT: Final = Step("wait", "wait", {})


class Partner:
    """A partner whose answers whoever plays it gives."""

    def __init__(self, name: str, *, undoes: bool, undo: Mapping[str, Input] | None = None) -> None:
        inputs = {
            "amount": Input(Kind.INT, required=False),
            "body": Input(Kind.ANY, required=False),
        }
        results = {"amount": Kind.INT, "body": Kind.ANY}
        self.type = StepType(name, inputs, results, undoes, undo or {})

    def check(
        self, inputs: Mapping[str, Any], compensation: Mapping[str, Any] | None, ledger_id: str
    ) -> Iterator[Fault]:
        """Nothing but a body that says so is wrong, and an undo."""
        del ledger_id
        if inputs.get("body") == "wrong":
            yield Fault("inputs/body", "The body is wrong.")
        if compensation is not None and compensation.get("undo") == "wrong":
            yield Fault("compensation", "That undoes nothing.")

    async def call(self, call: Call) -> Answer:
        """Nobody calls it here."""
        return Answer(Outcome.UNKNOWN, code=call.key)


_SAID: Final = {
    "url": Input(Kind.STRING),
    "method": Input(Kind.STRING, required=False, constant=True),
    "body": Input(Kind.ANY, required=False),
}
CATALOGUE: Final = Catalogue(
    [
        Partner("call", undoes=True),
        Partner("ask", undoes=False),
        Partner("say", undoes=True, undo=_SAID),
    ]
)
UNDO: Final = {"undo": True}


def needs(*names: str) -> tuple[Need, ...]:
    """Steps that come before; "name*" when it is enough that the partner has taken it."""
    return tuple(Need(name.rstrip("*"), name.endswith("*")) for name in names)


def transfer(
    name: str,
    source: Any,  # noqa: ANN401  # or an expression
    destination: Any,  # noqa: ANN401  # or an expression
    amount: Any,  # noqa: ANN401  # or an expression
    *before: str,
    **rest: Any,  # noqa: ANN401  # what else a Step has
) -> Step:
    """A step that moves so many cents."""
    inputs = {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount,
        "currency": "USD",
        **rest.pop("inputs", {}),
    }
    return Step(name, "transfer", inputs, needs(*before), **rest)


def reserve(name: str, account: str, amount: Any, *before: str, **rest: Any) -> Step:  # noqa: ANN401
    """A step that reserves so many cents; `expires` after so many seconds."""
    inputs = {"account_id": account, "amount": amount}
    for short, long in (("expires", "expires_seconds"), ("on_expiry", "on_expiry")):
        if short in rest:
            inputs[long] = rest.pop(short)
    return Step(name, "lien.reserve", inputs, needs(*before), **rest)


def call(name: str, *before: str, **rest: Any) -> Step:  # noqa: ANN401
    """A step that calls a partner, and is undone by another call unless it is the pivot."""
    compensation = None if rest.get("pivot") else UNDO
    return Step(
        name,
        "call",
        rest.pop("inputs", {}),
        needs(*before),
        compensation=rest.pop("compensation", compensation),
        **rest,
    )


def ask(name: str, *before: str, **rest: Any) -> Step:  # noqa: ANN401
    """A step that asks a partner something, and needs no undoing."""
    return Step(name, "ask", rest.pop("inputs", {}), needs(*before), **rest)


def say(name: str, url: Any, *before: str, **undo: Any) -> Step:  # noqa: ANN401
    """A step that calls a partner, and says how that is undone."""
    return Step(name, "say", {}, needs(*before), compensation={"url": url, **undo})


_TWICE: Final = Retry(2)

SHAPES: Final[Mapping[str, Definition]] = {
    "ledger only": Definition(
        [
            transfer("one", A, B, 2),
            transfer("two", B, A, 3, "one", retry=_TWICE),
            transfer("three", A, B, 2, "two"),
        ],
        timeout_seconds=600,
    ),
    "lien, outside, ledger": Definition(
        [
            reserve("hold", A, 2, expires=100),
            call("call", "hold", retry=_TWICE),
            transfer("pay", A, B, 2, "call"),
        ]
    ),
    "pivot": Definition(
        [
            reserve("hold", A, 2, expires=100),
            call("pivot", "hold", pivot=True, retry=_TWICE),
            transfer("pay", A, B, 2, "pivot"),
        ],
        timeout_seconds=200,
    ),
    "proceeds spent inside": Definition(
        [transfer("bring", A, B, 2), transfer("spend", B, A, 2, "bring"), call("call", "spend")]
    ),
    "parallel outside steps": Definition(
        [call("left"), call("right"), transfer("pay", A, B, 2, "left", "right")]
    ),
    "a wait": Definition(
        [
            transfer("pay", A, B, 2),
            Step("wait", "wait", {"signal": "go"}, needs("pay"), timeout_seconds=100),
            call("call", "wait"),
        ]
    ),
    "accepted": Definition(
        [
            call("charge", timeout_seconds=100),
            transfer("pay", A, B, 2, "charge*"),
            call("pivot", "pay", pivot=True),
        ]
    ),
    "released by hand": Definition(
        [
            reserve("hold", A, 2, expires=100, on_expiry="continue"),
            call("call", "hold"),
            Step("release", "lien.release", {"lien": "hold"}, needs("call")),
        ]
    ),
    "outside steps behind the pivot": Definition(
        [call("pivot", pivot=True), call("after", "pivot"), ask("last", "after")]
    ),
}
"""By what is particular about them."""
