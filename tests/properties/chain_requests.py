"""Requests about chains and money as pairs: what the service is asked, and what its model does.

Invariant: a wish becomes a request when it is its turn, by what the model holds then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from catena.api.commands import Act, guarded, telling
from catena.chains import machine, operator
from catena.chains.answers import answer as take_answer
from catena.chains.appending import append_steps, append_tried
from catena.chains.calls import begin as begin_call
from catena.chains.definition import Definition
from catena.chains.history import Failure
from catena.chains.needs import named_accounts, system_accounts
from catena.chains.refusals import ChainRefused, Command
from catena.chains.step_types import Call, Direction
from catena.db.work import Work
from catena.errors import CatenaError
from catena.ids import CHAIN, new_id
from catena.journal import (
    Answer,
    ChainResult,
    ChangeAccount,
    CreateChain,
    Operation,
    PostEntry,
    ReverseEntry,
    RunChain,
)
from catena.ledger.accounts import AccountStatus
from catena.ledger.entries import Draft, EntryType
from catena.ledger.operations import draft_deposit, draft_transfer, draft_withdrawal
from catena.ledger.refusals import Refusal
from catena.ledger.terms import TermsChange
from tests.properties import naive_calls
from tests.properties.chain_workload import Places, Shape, to_answer, to_plans, to_step
from tests.properties.naive_chains import NaiveChain
from tests.properties.naive_steps import Asked, NaiveStep, Plan, Told
from tests.properties.naive_world import NaiveWorld, Room

__all__ = ["COMMANDS", "Made", "Request", "Requests", "Wished", "tell"]

Fences = dict[tuple[str, str], int]


class Made(NamedTuple):
    """A call that was begun, and under which fence."""

    chain: str
    asked: Asked
    fence: int


class Request(NamedTuple):
    """What is submitted, and what the model does and says. `lenient`: the service may find that it
    cannot prove the chain payable past its pivot; then nothing happens.
    """

    text: str
    operation: Operation
    play: Callable[[NaiveWorld, Fences, Room], object]
    chain: str | None = None
    keyed: bool = True
    lenient: bool = False


class Wished(NamedTuple):
    """A command to be, and small numbers that choose its parts."""

    kind: str
    first: int
    second: int
    amount: int


_OUTSIDE: Final = ("deposit", "transfer", "transfer", "withdrawal", "withdrawal")
_RARE: Final = ("freeze", "reverse", "close", "start", "resume", "reject", "cancel", "compensate")
_STEPS: Final = ("retry", "mark_done", "mark_refused", "skip", "retry", "mark_done", "skip")
COMMANDS: Final = st.builds(
    Wished,
    st.sampled_from(
        [*_OUTSIDE, *_RARE, *_STEPS, "signal", "signal", "signal", "hold", "release", "extend"]
    ),
    st.integers(0, 20),
    st.integers(0, 20),
    st.sampled_from([1, 5, 20, 40, 70, 100, 100, 200]),
)


def tell(answer: Answer | CatenaError) -> object:
    """What was answered, without what only the service knows."""
    assert isinstance(answer, Answer), answer
    result = answer.results[0]
    if isinstance(result, ChainRefused | Refusal):
        return result.code.code
    if isinstance(result, ChainResult):
        value = result.value
        if isinstance(value, Call):
            return value.step, str(value.direction), value.attempt
        return "taken" if value is True else "done"
    return "done"


class Requests:
    """Makes requests of one ledger."""

    def __init__(self, ledger: str, places: Places) -> None:
        self.ledger = ledger
        self.places = places

    def create(self, shape: Shape) -> Request:
        """Make a chain."""
        id, plans = new_id(CHAIN), to_plans(shape, self.places)
        steps = tuple(map(to_step, plans))
        definition = Definition(steps, timeout_seconds=shape.timeout, open=shape.is_open)

        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            del fences
            told = {"timeout": shape.timeout, "is_open": shape.is_open}
            return world.create(id, plans, room, **told)

        return Request(
            f"create {id} {plans}",
            CreateChain(id, definition, "test"),
            play,
            id,
            lenient=any(plan.pivot for plan in plans),
        )

    def append(self, chain: NaiveChain, shape: Shape) -> Request:
        """Append steps."""
        before = [step.plan for step in chain.steps.values()]
        # By their names, which say in which order they were made.
        plans = to_plans(shape, self.places, sorted(before, key=lambda plan: int(plan.name[1:])))
        return self._append(chain, plans)

    def _append(self, chain: NaiveChain, plans: list[Plan], *, tried: bool = False) -> Request:
        steps = [to_step(plan) for plan in plans]
        accounts = {*named_accounts(steps), *system_accounts(steps, self.ledger)}

        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            del fences
            if tried:
                return world.append_tried(chain.id, plans[0], room) or "done"
            act = partial(naive_calls.append, plans=plans)
            return world.on(chain.id, act, room) or "done"

        act: Act = partial(append_steps, steps=steps, by="test")
        if tried:
            act = partial(append_tried, step=steps[0], by="test")
        lenient = any(plan.pivot for plan in plans) or chain.pivot is not None
        return Request(
            f"append {chain.id} {plans}",
            RunChain(chain.id, act, accounts=accounts),
            play,
            chain.id,
            lenient=lenient,
        )

    def on_lien(self, chain: NaiveChain, kind: str, number: int) -> Request | None:
        """Release or extend one of the chain's reservations."""
        made = [step.plan.name for step in chain.steps.values() if step.plan.kind == "reserve"]
        if not made:
            return None
        lien = made[number % len(made)]
        seconds = 20 if kind == "extend" else None
        name = f"s{len(chain.steps)}"
        plan = Plan(name, kind, ((lien, False),), lien=lien, seconds=seconds)
        return self._append(chain, [plan], tried=True)

    # --- calls -------------------------------------------------------------------------------

    def begin(self, work: Work) -> Request:
        """Do what a piece of work says, under its fence."""
        act = partial(begin_call, step=work.step) if work.step else machine.run

        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            if fences.get((work.chain, work.step)) != work.fence:
                return "done"
            if not work.step:
                world.on(work.chain, NaiveChain.run, room)
                return "done"
            begin = partial(naive_calls.begin, name=work.step)
            asked = world.on(work.chain, begin, room)
            if not isinstance(asked, Asked):
                return "done"
            room.begun.append((work.chain, asked))
            return asked.step, asked.direction, asked.attempt

        held = RunChain(work.chain, act, work=(work.step, work.fence))
        return Request(f"work {work}", held, play, work.chain, keyed=False)

    def answer(self, made: Made, told: Told, *, fenced: bool) -> Request:
        """A partner's answer: by whoever made the call, or from outside."""
        asked = made.asked
        act = partial(
            take_answer,
            step=asked.step,
            direction=Direction(asked.direction),
            attempt=asked.attempt,
            found=to_answer(told),
        )

        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            if fenced and fences.get((made.chain, asked.step)) != made.fence:
                return "done"
            take = partial(naive_calls.answer, asked=asked, told=told)
            return "taken" if world.on(made.chain, take, room) else "done"

        work = (asked.step, made.fence) if fenced else None
        text = f"answer {made} {told} {'fenced' if fenced else ''}"
        return Request(text, RunChain(made.chain, act, work=work), play, made.chain, keyed=False)

    # --- commands ----------------------------------------------------------------------------

    def command(  # noqa: PLR0911  # one return a kind
        self, wished: Wished, world: NaiveWorld, entries: Sequence[tuple[str, str]]
    ) -> Request | None:
        """What the wish means now; None: nothing. `entries`: those of running chains."""
        wallets, clearing = self.places.wallets, self.places.clearing
        kind, amount = wished.kind, wished.amount
        wallet = wallets[wished.first % len(wallets)]
        other = wallets[(wished.first + 1 + wished.second % (len(wallets) - 1)) % len(wallets)]
        match kind:
            case "deposit":
                draft = draft_deposit(self.ledger, wallet, amount, "USD")
                return self._money(kind, draft, clearing, wallet, amount)
            case "transfer":
                draft = draft_transfer(self.ledger, wallet, other, amount, "USD")
                return self._money(kind, draft, wallet, other, amount)
            case "withdrawal":
                draft = draft_withdrawal(self.ledger, wallet, amount, "USD")
                return self._money(kind, draft, wallet, clearing, amount)
            case "freeze":
                return self.freeze(wallet, frozen=world.funds.statuses[wallet] == "active")
            case "reverse":
                return self._reverse(wished, entries)
            case "close":
                return self._close(wallet, world)
            case _:
                return self._command(wished, world)

    def _command(self, wished: Wished, world: NaiveWorld) -> Request | None:
        """A command to a chain."""
        kind = wished.kind
        chain = pick_chain(world, wished.first)
        if chain is None:
            return None
        if kind in ("release", "extend"):
            return self.on_lien(chain, kind, wished.second)
        names = [name for name, step in chain.steps.items() if _suits(kind, step)]
        if not names or wished.second % 5 == 0:
            names = list(chain.steps)
        return self.tell_chain(chain, kind, names[wished.second % len(names)], wished.second)

    def _money(self, kind: str, draft: Draft, source: str, target: str, amount: int) -> Request:
        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            del fences, room
            return world.move(source, target, amount)

        return Request(f"{kind} {source} {target} {amount}", PostEntry(draft), play)

    def freeze(self, wallet: str, *, frozen: bool) -> Request:
        """Freeze a wallet, or thaw it."""
        status = AccountStatus.FROZEN if frozen else AccountStatus.ACTIVE

        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            del fences, room
            world.funds.statuses[wallet] = str(status)
            return "done"

        change = ChangeAccount(wallet, TermsChange(None, {"status": status}))
        return Request(f"{status} {wallet}", change, play)

    def _reverse(self, wished: Wished, entries: Sequence[tuple[str, str]]) -> Request | None:
        """Somebody outside reverses an entry of a running chain."""
        if not entries:
            return None
        chain, entry = entries[wished.second % len(entries)]

        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            del fences, room
            # Had a request before it ended the chain, the model would have to know its reversals.
            assert not world.chains[chain].is_ended
            return "chain_running"

        draft = Draft(EntryType.REVERSAL, (), corrects=entry)
        return Request(f"reverse {entry}", ReverseEntry(draft), play, chain)

    def _close(self, wallet: str, world: NaiveWorld) -> Request | None:
        """Somebody closes a wallet that a running chain names."""
        if not any(wallet in world.names(chain) for chain in world.chains.values()):
            return None

        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            del fences, room
            return world.close(wallet)

        change = ChangeAccount(wallet, TermsChange(None, {"status": AccountStatus.CLOSED}))
        return Request(f"close {wallet}", change, play)

    def tell_chain(self, chain: NaiveChain, kind: str, step: str, number: int = 0) -> Request:
        """A command to a chain, or an operator's about a step."""
        result = {"ok": True, "amount": 30} if number % 2 else {}
        then = "reject" if number % 2 else "resume"
        naive, act = _COMMANDS[kind](step, result, then)

        def play(world: NaiveWorld, fences: Fences, room: Room) -> object:
            del fences
            guard = world.changes(chain.id, naive)
            refused = world.on(chain.id, naive, room)
            return refused or ("done" if guard else "chain_not_running")

        return Request(f"{kind} {chain.id} {step}", RunChain(chain.id, act), play, chain.id)


def pick_chain(world: NaiveWorld, number: int) -> NaiveChain | None:
    """Mostly one that is not at its end."""
    chains = list(world.chains.values())
    if number % 7 < 6:
        chains = [chain for chain in chains if not chain.is_ended] or chains
    return chains[number % len(chains)] if chains else None


def _suits(kind: str, step: NaiveStep) -> bool:
    """Whether the command is about a step like this."""
    if kind == "signal":
        return step.plan.kind == "wait"
    return step.parked or step.state in ("unknown", "compensation_unknown")


Pair = tuple[Callable[[NaiveChain], object], Act]


def _commanded(command: Command, naive: Callable[[NaiveChain], object], act: Act) -> Pair:
    return naive, guarded(command, act)


def _signal(step: str, result: dict[str, Any], then: str) -> Pair:
    del result, then
    act = partial(machine.signal, name=step, payload=None, by="test")
    return _commanded(Command.SIGNAL, partial(naive_calls.signal, name=step), act)


def _hold(step: str, result: dict[str, Any], then: str) -> Pair:
    del step, result
    act = partial(machine.hold, seconds=12, then=then, why="test", by="test")
    return _commanded(Command.HOLD, partial(naive_calls.hold, seconds=12, then=then), act)


def _simple(
    command: Command, naive: Callable[[NaiveChain], object], act: Act
) -> Callable[[str, dict[str, Any], str], Pair]:
    return lambda step, result, then: _commanded(command, naive, act)  # noqa: ARG005  # one shape


def _decide(
    naive: Callable[..., object], act: Callable[..., Any], *, gives: bool = False
) -> Callable[[str, dict[str, Any], str], Pair]:
    def make(step: str, result: dict[str, Any], then: str) -> Pair:
        del then
        more = {"result": result} if gives else {}

        def play(chain: NaiveChain) -> object:
            return naive(chain, chain.steps[step], **more)

        return play, telling(partial(act, step=step, why="test", by="test", **more))

    return make


_COMMANDS: Final[dict[str, Callable[[str, dict[str, Any], str], Pair]]] = {
    "signal": _signal,
    "hold": _hold,
    "start": _simple(Command.START, naive_calls.start, partial(machine.start, by="test")),
    "resume": _simple(
        Command.RESUME, naive_calls.resume, partial(machine.resume, why="test", by="test")
    ),
    "reject": _simple(
        Command.REJECT, naive_calls.reject, partial(machine.reject, why="test", by="test")
    ),
    "cancel": _simple(
        Command.CANCEL,
        naive_calls.cancel,
        partial(machine.cancel, failure=Failure("cancelled", "test"), by="test"),
    ),
    "compensate": lambda step, result, then: (  # noqa: ARG005  # one shape
        naive_calls.compensate,
        telling(partial(operator.compensate, why="test", by="test")),
    ),
    "retry": _decide(naive_calls.retry, operator.retry),
    "mark_done": _decide(naive_calls.mark_done, operator.mark_done, gives=True),
    "mark_refused": _decide(naive_calls.mark_refused, operator.mark_refused),
    "skip": _decide(naive_calls.skip, operator.skip),
}
