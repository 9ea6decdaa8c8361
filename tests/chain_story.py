"""Chains of all kinds in one ledger, through the journal: what a proof must find nothing wrong in.

Invariant: partners are the test; every answer is told at once, so nothing here waits.
"""

from __future__ import annotations

import random
from functools import partial
from typing import Any, Final, NamedTuple

from catena.chains import machine
from catena.chains.answers import answer
from catena.chains.calls import begin
from catena.chains.chain import Chain
from catena.chains.definition import Claim, Definition, Family, Need, Retry, Step
from catena.chains.expressions import Kind
from catena.chains.history import Failure
from catena.chains.refusals import Command, refuse
from catena.chains.states import StepState
from catena.chains.step_types import Answer, Call, Catalogue, Direction, Input, Outcome, StepType
from catena.db.inbox import Message
from catena.db.notices import Told
from catena.ids import random_fraction
from catena.journal import ReceiveMessage, TakeNotice
from catena.journal.cards import Cards
from tests.scribe import Scribe

__all__ = [
    "CARDS",
    "ChainStory",
    "ask",
    "await_message",
    "call",
    "reserve",
    "tell",
    "transfer",
    "wait",
    "write_at_random",
    "write_chains",
]


class Partner:
    """A step type whose partner is the test."""

    type = StepType("call", {"x": Input(Kind.ANY, required=False)}, {"ok": Kind.BOOL}, undoes=True)

    def check(self, inputs: object, compensation: object, ledger_id: str) -> tuple[()]:
        """Everything can be asked."""
        del inputs, compensation, ledger_id
        return ()

    async def call(self, call: Call) -> Answer:
        """Nobody calls: the test answers."""
        raise NotImplementedError(call)


CARDS: Final = Cards(Catalogue([Partner()]), random_fraction, 15, 10)

APPROVED: Final = Answer(Outcome.APPROVED, {"ok": True})
DECLINED: Final = Answer(Outcome.DECLINED, code="no")


class ChainStory(NamedTuple):
    """The names of the story's accounts and chains, to their ids."""

    accounts: dict[str, str]
    chains: dict[str, str]


def _needs(names: tuple[str, ...]) -> tuple[Need, ...]:
    return tuple(map(Need, names))


def transfer(name: str, source: Any, target: Any, amount: Any, *needs: str, **rest: Any) -> Step:  # noqa: ANN401  # expressions too
    """A step that moves so many minor units of USD."""
    inputs = {
        "source_account_id": source,
        "destination_account_id": target,
        "amount": amount,
        "currency": "USD",
    }
    return Step(name, "transfer", inputs, _needs(needs), **rest)


def reserve(name: str, account: str, amount: int, *needs: str, **inputs: Any) -> Step:  # noqa: ANN401
    """A step that takes money under lien."""
    wanted = {"account_id": account, "amount": amount, **inputs}
    return Step(name, "lien.reserve", wanted, _needs(needs))


def call(name: str, *needs: str, pivot: bool = False, retry: Retry | None = None) -> Step:
    """A step that asks the test."""
    compensation = None if pivot else {"undo": name}
    retry = retry or Retry()
    return Step(
        name, "call", {}, _needs(needs), retry=retry, compensation=compensation, pivot=pivot
    )


def wait(name: str, *needs: str) -> Step:
    """A step that waits for a signal of its name."""
    return Step(name, "wait", {}, _needs(needs))


def await_message(name: str, correlation: str) -> Step:
    """A step that waits for a message about this."""
    return Step(name, "wait", {"correlation": correlation})


async def ask(scribe: Scribe, chain: str, step: str) -> Call:
    """Make the step's next call; it is out until it is told."""
    made = (await scribe.run(chain, partial(begin, step=step))).value
    assert isinstance(made, Call)
    return made


async def tell(scribe: Scribe, chain: str, step: str, found: Answer = APPROVED) -> Chain:
    """Make the step's next call and answer it."""
    made = await ask(scribe, chain, step)
    act = partial(answer, step=step, direction=made.direction, attempt=made.attempt, found=found)
    told = (await scribe.run(chain, act)).chain
    assert told is not None
    return told


HOLD: Final = partial(machine.hold, seconds=3600, then="resume", why="looked at", by="ann")


async def write_chains(scribe: Scribe) -> ChainStory:  # noqa: PLR0915  # one after another
    """Chains that came to every kind of end, and others that stand at every kind of wall."""
    accounts = {name: await scribe.open(name=name) for name in ("ann", "bob", "eve")}
    ann, bob, eve = accounts.values()
    rent = await scribe.post(scribe.deposit(ann, 100_000), scribe.transfer(ann, bob, 5000))
    chains: dict[str, str] = {}

    async def make(name: str, *steps: Step, **told: Any) -> str:  # noqa: ANN401  # of a definition
        chains[name] = (await scribe.chain(*steps, **told)).id
        return chains[name]

    paying = (reserve("hold", ann, 300), transfer("pay", ann, bob, 300, "hold"))
    await make("quick", *paying, transfer("back", bob, ann, 50, "pay"), reference="order-1")
    await make("refused", transfer("one", ann, bob, 100), transfer("two", eve, bob, 9, "one"))
    shopping = (*paying, call("ask", "pay"), transfer("more", bob, eve, 100, "ask"))
    await tell(scribe, await make("paid", *shopping), "ask")
    await tell(scribe, await make("declined", *shopping), "ask", DECLINED)
    charge = Step("ask", "call", {"gateway": "sandbox"}, compensation={"type": "none"})
    named = Answer(Outcome.APPROVED, {"reference": "ch_1"})
    await tell(scribe, await make("charged", charge, wait("w", "ask")), "ask", named)
    claim = Claim("deposit", "order-2", "2" * 32)
    await make("claiming", wait("w"), claim=claim)
    said = TakeNotice(Told("sandbox", "evt_1", "charge", {}), chains["charged"])
    await scribe.submit([said], key=None)
    undone = await make("undone", *shopping[:3], call("ship", "ask"))
    await tell(scribe, undone, "ask")
    await tell(scribe, undone, "ship", DECLINED)
    await tell(scribe, undone, "ask")
    stuck = await make("stuck", *shopping[:3], call("ship", "ask"))
    await tell(scribe, stuck, "ask")
    await tell(scribe, stuck, "ship", DECLINED)
    await tell(scribe, stuck, "ask", DECLINED)
    await make("waiting", *shopping)
    await ask(scribe, await make("asked", *shopping), "ask")
    held = await make("held", *shopping)
    await scribe.run(held, HOLD)
    resumed = await make("resumed", reserve("hold", ann, 70, expires_seconds=9000), wait("go"))
    await scribe.run(resumed, HOLD)
    await scribe.run(resumed, partial(machine.resume, why="fine", by=None))
    parked = await make(
        "parked", paying[0], call("charge", "hold", pivot=True), call("c", "charge")
    )
    await tell(scribe, parked, "charge")
    await tell(scribe, parked, "c", DECLINED)
    taking = {"lien": "hold", "destination_account_id": bob, "amount": 200, "currency": "USD"}
    capture = Step("take", "capture", taking, _needs(("hold",)), pivot=True)
    await make("captured", reserve("hold", ann, 500), capture, wait("rest", "take"))
    await make("drafted", reserve("hold", eve, 40), reserve("again", ann, 60), open=True)
    cancelled = await make("cancelled", reserve("hold", eve, 40), open=True)
    await scribe.run(cancelled, partial(machine.cancel, failure=Failure("cancelled"), by=None))
    started = await make("started", reserve("hold", ann, 40), wait("go", "hold"), open=True)
    await scribe.run(started, machine.start)
    inputs = {"on_expiry": "continue", "expires_seconds": 0.000_001}
    expired = await make("expired", reserve("hold", ann, 30, **inputs), wait("go", "hold"))
    await scribe.run(expired, machine.run)
    extend = Step("longer", "lien.extend", {"lien": "hold", "expires_seconds": 60}, (Need("hold"),))
    release = Step("free", "lien.release", {"lien": "hold"}, (Need("longer"),))
    expiring = reserve("hold", ann, 30, expires_seconds=60)
    await make("released", expiring, extend, release, wait("go", "free"))
    mirror = Step("mirror", "reversal", {"entry_id": rent.id})
    reversing = await make("reversing", mirror, wait("go", "mirror"))
    await scribe.run(reversing, partial(machine.cancel, failure=Failure("cancelled"), by=None))
    await make("listening", await_message("paid", "invoice 7"))
    await make("told", await_message("paid", "invoice 8"), wait("go", "paid"))
    for number in (8, 9, 10, 8):  # one is given, two are early, and one comes again
        message = Message("bank", f"e{number}", f"invoice {number}", {"amount": number})
        await scribe.submit([ReceiveMessage(message)], key=None)
    await make("late", await_message("paid", "invoice 9"))
    return ChainStory({**accounts, "clearing": scribe.clearing}, chains)


# --- at random ---------------------------------------------------------------------------------


async def write_at_random(scribe: Scribe, seed: int, chains: int) -> None:
    """So many chains of random steps, told and commanded at random."""
    draw = random.Random(seed)
    accounts = [await scribe.open() for _ in range(4)]
    await scribe.post(*(scribe.deposit(id, 100_000) for id in accounts))
    for _ in range(chains):
        definition = _draw_definition(draw, accounts)
        chain = await scribe.chain(*definition.steps, open=definition.open)
        for _ in range(draw.randrange(12)):
            if chain.is_ended:
                break
            chain = await _push(scribe, draw, chain)


def _draw_definition(draw: random.Random, accounts: list[str]) -> Definition:
    steps: list[Step] = []
    pivot = draw.choice([None, None, draw.randrange(5)])
    for number in range(draw.randint(1, 6)):
        name = f"s{number}"
        sooner = [step.name for step in steps]
        needs = sooner if pivot is not None else [n for n in sooner if draw.random() < 0.5]
        source, target = draw.sample(accounts, 2)
        amount = draw.choice([draw.randint(1, 900), draw.randint(1, 150_000)])
        past = pivot is not None and number > pivot
        if number == pivot:
            steps.append(call(name, *needs, pivot=True))
        elif draw.random() < 0.35:
            steps.append(call(name, *needs, retry=Retry(2, 0.0, 0.0)))
        elif past or draw.random() < 0.15:
            steps.append(wait(name, *needs))
        elif draw.random() < 0.3:
            seconds = draw.choice([None, 0.000_001, 500])
            inputs = {} if seconds is None else {"expires_seconds": seconds}
            steps.append(reserve(name, source, amount, *needs, **inputs))
        else:
            steps.append(transfer(name, source, target, amount, *needs))
    return Definition(tuple(steps), open=draw.random() < 0.1)


async def _push(scribe: Scribe, draw: random.Random, chain: Chain) -> Chain:
    """Tell the chain something that it may be told."""
    act: Any = None
    steps = [run for run in chain.steps.values() if run.definition.family is Family.OUTSIDE]
    cancel = partial(machine.cancel, failure=Failure("cancelled"), by=None)
    commands = {
        Command.START: machine.start,
        Command.CANCEL: cancel,
        Command.HOLD: HOLD,
        Command.RESUME: partial(machine.resume, why="fine", by=None),
        Command.REJECT: partial(machine.reject, why="bad", by=None),
    }
    allowed = [act for command, act in commands.items() if refuse(chain, command) is None]
    if draw.random() < 0.2 and allowed:
        act = draw.choice(allowed)
    elif draw.random() < 0.2 and refuse(chain, Command.SIGNAL) is None:
        name = f"s{draw.randrange(6)}"
        act = partial(machine.signal, name=name, payload=1, by=None)
    elif steps and draw.random() < 0.9:
        run = draw.choice(steps)
        found = Answer(draw.choice([*Outcome]), code="x", permanent=draw.random() < 0.5)
        undoing = run.state in (StepState.COMPENSATING, StepState.COMPENSATION_UNKNOWN)
        attempt = run.undo_attempt if undoing else run.attempt
        direction = Direction.UNDO if undoing else Direction.FORWARD
        answering = partial(
            answer, step=run.name, direction=direction, attempt=attempt, found=found
        )
        act = answering if run.called or run.is_out else partial(begin, step=run.name)
    else:
        act = machine.run
    moved = await scribe.run(chain.id, act)
    return moved.chain or chain
