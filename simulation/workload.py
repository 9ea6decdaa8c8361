"""What is played: shapes of chains with their clients, each named for what it is after.

Invariant: a shape says by itself what a chain that is completed has done to the wallets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from catena.api.commands import guarded
from catena.chains import machine
from catena.chains.definition import NO_RETRY, Need, Retry, Step
from catena.chains.refusals import Command
from catena.chains.states import ChainState
from simulation.partner import Behaviour
from simulation.play import ANY_END, Play

__all__ = ["SHAPES", "Shape"]

_B = Behaviour


# --- steps ------------------------------------------------------------------------------------


def _transfer(name: str, source: str, target: str, amount: int, *needs: str, **told: Any) -> Step:  # noqa: ANN401
    inputs = {
        "source_account_id": source,
        "destination_account_id": target,
        "amount": amount,
        "currency": "USD",
    }
    return Step(name, "transfer", inputs, tuple(map(Need, needs)), **told)


def _withdraw(name: str, source: str, amount: int, *needs: str) -> Step:
    inputs = {"account_id": source, "amount": amount, "currency": "USD"}
    return Step(name, "withdrawal", inputs, tuple(map(Need, needs)))


def _reserve(name: str, account: str, amount: int, *needs: str, **inputs: Any) -> Step:  # noqa: ANN401
    told = {"account_id": account, "amount": amount, **inputs}
    return Step(name, "lien.reserve", told, tuple(map(Need, needs)))


def _call(name: str, *needs: str, tries: int = 1, **told: Any) -> Step:  # noqa: ANN401
    retry = NO_RETRY if tries == 1 else Retry(tries, 2.0, 30.0)
    undo = None if told.get("pivot") else {"undo": name}
    return Step(name, "call", {}, tuple(map(Need, needs)), retry=retry, compensation=undo, **told)


def _wait(name: str, *needs: str, **told: Any) -> Step:  # noqa: ANN401
    return Step(name, "wait", told.pop("inputs", {}), tuple(map(Need, needs)), **told)


_CALLS: Final = (
    _B.APPROVE, _B.APPROVE, _B.LATER, _B.PEND, _B.PEND_LATER, _B.LOSE, _B.ACT_UNHEARD,
    _B.PEND_UNHEARD, _B.DECLINE_UNHEARD, _B.DECLINE, _B.PEND_DECLINE,
)  # fmt: skip
_UNDOS: Final = (_B.APPROVE, _B.LATER, _B.PEND, _B.LOSE, _B.ACT_UNHEARD)


# --- shapes -----------------------------------------------------------------------------------


def _write_ledger_only(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    play.chain(
        _reserve("hold", a, 300),
        _transfer("pay", a, b, 300, "hold"),
        _transfer("back", b, a, 50, "pay"),
        effect={a: -250, b: 250},
    )
    play.transfer(a, b, 800)


def _write_reserve_and_pay(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    play.chain(
        _reserve("hold", a, 300),
        _call("charge", "hold", tries=3),
        _transfer("pay", a, b, 300, "charge"),
        effect={a: -300, b: 300},
    )
    play.script("charge", *play.draw(*_CALLS))
    play.script("charge undo", *play.draw(*_UNDOS))
    play.transfer(a, b, 701, after=play.random.randrange(20))


def _write_compensation(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet(100)
    play.chain(
        _reserve("hold", a, 300),
        _call("first", "hold"),
        _transfer("pay", a, b, 200, "first"),
        _call("second", "pay"),
        _transfer("more", b, a, 250, "second"),
        effect={a: 50, b: -50},
        ends=[ChainState.ROLLED_BACK],
    )
    play.script("second", play.random.choice([_B.DECLINE, _B.PEND_DECLINE, _B.DECLINE_UNHEARD]))
    play.script("first undo", *play.draw(*_UNDOS, most=4))
    play.transfer(b, a, 80, after=play.random.randrange(30))


def _write_parallel(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    play.chain(
        _reserve("hold", a, 400),
        _call("left", "hold", tries=2),
        _call("right", "hold", tries=2),
        _transfer("pay", a, b, 300, "left", "right"),
        effect={a: -300, b: 300},
    )
    for name in ("left", "right"):
        play.script(name, *play.draw(*_CALLS))
        play.script(f"{name} undo", *play.draw(*_UNDOS))
    play.transfer(a, b, 100, after=play.random.randrange(30))


def _write_pivot(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    chain = play.chain(
        _reserve("hold", a, 500),
        _call("check", "hold"),
        _transfer("share", a, b, 200, "check"),
        _call("payout", "share", pivot=True, tries=2),
        _withdraw("out", a, 300, "payout"),
        _transfer("tip", b, a, 50, "out"),
        effect={a: -450, b: 150},
        timeout_seconds=3600.0,
    )
    play.script("payout", *play.draw(*_CALLS))
    play.script("check undo", *play.draw(*_UNDOS))
    play.transfer(b, a, 1, after=play.random.randrange(30))
    for _ in range(play.random.randrange(3)):
        play.cancel(chain, after=play.random.randrange(40), idle=play.random.randrange(2))


def _write_late_failure(play: Play) -> None:
    a, b, c, d = play.wallet(500), play.wallet(), play.wallet(), play.wallet()
    play.chain(
        _transfer("bring", a, b, 300),
        _transfer("spend", b, c, 200, "bring"),
        _call("late", "spend"),
        effect={a: -300, b: 100, c: 200},
    )
    play.script("late", play.random.choice([_B.DECLINE, _B.PEND_DECLINE, _B.LOSE, _B.APPROVE]))
    play.transfer(b, d, 100, after=play.random.randrange(30))
    play.transfer(c, d, 1, after=play.random.randrange(30))
    play.transfer(a, d, 201, after=play.random.randrange(30))


def _write_signals(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    chain = play.chain(
        _reserve("hold", a, 300),
        _call("ask", "hold"),
        _wait("go", "ask", timeout_seconds=120.0, goes_on=play.random.random() < 0.3),
        _transfer("pay", a, b, 300, "go"),
        effect={a: -300, b: 300},
    )
    play.script("ask", *play.draw(_B.PEND, _B.LOSE, most=1))
    times = play.random.choice([(0,), (0, 5), (12,), (12, 13), (30, 0)])
    for after in times:
        play.signal(chain, "go", after=after, idle=play.random.choice([0, 0, 1]))


def _write_timed_waits(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    chain = play.chain(
        _transfer("pay", a, b, 300),
        _wait("rest", "pay", inputs={"seconds": 60}),
        _wait("answer", "rest", timeout_seconds=30.0, goes_on=play.random.random() < 0.5),
        _transfer("back", b, a, 100, "answer"),
        effect={a: -200, b: 200},
    )
    if play.random.random() < 0.5:
        play.cancel(chain, idle=play.random.randint(1, 3))


def _write_holds(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    then = play.random.choice(["resume", "reject"])
    chain = play.chain(
        _reserve("hold", a, 300, expires_seconds=300),
        _call("charge", "hold", tries=2),
        _transfer("pay", a, b, 200, "charge"),
        _wait("calm", "pay", inputs={"seconds": 20}),
        _call("second", "calm", tries=2),
        _transfer("rest", a, b, 100, "second"),
        effect={a: -300, b: 300},
    )
    play.script("charge", *play.draw(*_CALLS))
    play.script("second", *play.draw(*_CALLS))
    after = play.random.randrange(30)
    play.hold(chain, 60, then, after=after)
    match play.random.choice(["resume", "reject", "both", "none"]):
        case "resume":
            play.resume(chain, after=after + 5, idle=play.random.randrange(2))
        case "reject":
            play.reject(chain, after=after + 5, idle=play.random.randrange(2))
        case "both":
            play.reject(chain, after=after + 5)
            play.resume(chain, after=after + 5)
        case _:
            pass


def _write_cancels(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    chain = play.chain(
        _reserve("hold", a, 400),
        _call("left", "hold", tries=2, timeout_seconds=40.0),
        _call("right", "hold", tries=2),
        _transfer("pay", a, b, 300, "left", "right"),
        _wait("calm", "pay", inputs={"seconds": 5}),
        _call("last", "calm"),
        effect={a: -300, b: 300},
        timeout_seconds=400.0,
    )
    ends = (_B.PEND_LONG, _B.PEND_STUBBORN)
    for name in ("left", "right", "last"):
        play.script(name, *play.draw(*_CALLS, *ends))
        play.script(f"{name} undo", *play.draw(*_UNDOS))
    for _ in range(2):
        play.cancel(chain, after=play.random.randrange(70), idle=play.random.randrange(3))


def _write_expiring_liens(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    on_expiry = play.random.choice(["fail", "continue"])
    play.chain(
        _reserve(
            "hold", a, 300, expires_seconds=play.random.choice([10, 100]), on_expiry=on_expiry
        ),
        _call("ask", "hold", tries=3),
        _wait("rest", "ask", inputs={"seconds": play.random.choice([5, 60])}),
        _transfer("pay", a, b, 250, "rest"),
        effect={a: -250, b: 250},
    )
    play.script("ask", *play.draw(*_CALLS))
    play.transfer(a, b, 750, after=play.random.randrange(60))


def _write_insufficient(play: Play) -> None:
    a, b = play.wallet(100), play.wallet(500)
    play.chain(
        _call("ask"),
        _transfer("small", a, b, 50, "ask"),
        _transfer("large", a, b, 400, "small", retry=Retry(play.random.choice([1, 3]), 5.0, 30.0)),
        effect={a: -450, b: 450},
    )
    play.script("ask undo", *play.draw(*_UNDOS))
    play.transfer(b, a, 400, after=play.random.randrange(60))


def _write_crowd(play: Play) -> None:
    wallets = [play.wallet(300) for _ in range(3)]
    a, b, c = wallets
    play.chain(
        _transfer("one", a, b, 200),
        _call("ask", "one"),
        _transfer("two", b, c, 150, "ask"),
        effect={a: -200, b: 50, c: 150},
    )
    play.chain(
        _reserve("hold", b, 200),
        _call("beg", "hold"),
        _transfer("three", b, a, 200, "beg"),
        effect={b: -200, a: 200},
    )
    play.script("ask", *play.draw(*_CALLS, most=1))
    play.script("beg", *play.draw(*_CALLS, most=1))
    for _ in range(8):
        source, target = play.random.sample(wallets, 2)
        amount = play.random.choice([30, 120, 250])
        play.transfer(source, target, amount, after=play.random.randrange(60))


def _write_parked(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    chain = play.chain(
        _call("charge"),
        _transfer("pay", a, b, 300, "charge"),
        _call("check", "pay"),
        effect={a: -300, b: 300},
        ends=[ChainState.ROLLED_BACK],
        parks=True,
    )
    play.script("check", _B.DECLINE)
    play.script("charge undo", _B.DECLINE, *play.draw(*_UNDOS))
    if play.random.random() < 0.8:
        play.retry(chain, "charge", idle=3)


def _write_opened(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    chain = play.chain(
        _reserve("hold", a, 300),
        _transfer("pay", a, b, 300, "hold"),
        effect={a: -300, b: 300},
        ends=[*ANY_END, ChainState.CREATED],
        open=True,
    )
    play.command(
        chain, guarded(Command.START, partial(machine.start, by="client")), "start",
        after=play.random.randrange(20),
    )  # fmt: skip
    if play.random.random() < 0.7:
        play.cancel(chain, after=play.random.randrange(20))
    play.transfer(a, b, 800, after=play.random.randrange(20))


def _write_undecided(play: Play) -> None:
    a, b = play.wallet(1000), play.wallet()
    chain = play.chain(
        _reserve("hold", a, 400),
        _call("charge", "hold", tries=2),
        _transfer("pay", a, b, 300, "charge"),
        effect={a: -300, b: 300},
        ends=[ChainState.ROLLED_BACK],
        timeout_seconds=play.random.choice([20.0, 400.0]),
    )
    play.script("charge", play.random.choice([_B.PEND_LONG, _B.PEND_STUBBORN]))
    play.script("charge undo", *play.draw(*_UNDOS))
    if play.random.random() < 0.7:
        play.cancel(chain, idle=play.random.randint(1, 3))


class Shape(NamedTuple):
    """What is played, by name."""

    name: str
    write: Callable[[Play], None]


SHAPES: Final[Mapping[str, Shape]] = {
    name: Shape(name, write)
    for name, write in (
        ("ledger_only", _write_ledger_only),
        ("reserve_and_pay", _write_reserve_and_pay),
        ("compensation", _write_compensation),
        ("parallel", _write_parallel),
        ("pivot", _write_pivot),
        ("late_failure", _write_late_failure),
        ("signals", _write_signals),
        ("timed_waits", _write_timed_waits),
        ("holds", _write_holds),
        ("cancels", _write_cancels),
        ("undecided", _write_undecided),
        ("expiring_liens", _write_expiring_liens),
        ("insufficient", _write_insufficient),
        ("crowd", _write_crowd),
        ("parked", _write_parked),
        ("opened", _write_opened),
    )
}
