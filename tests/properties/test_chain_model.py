"""Chains on PostgreSQL, run by two processes at once, against the naive model of them."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from copy import deepcopy
from itertools import permutations
from typing import Any
from uuid import uuid4

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from catena.db.work import Work
from catena.ids import ACCOUNT, derive_id
from catena.journal import OpenAccount, PostEntry
from catena.ledger.accounts import SystemRole, system_account_id
from catena.ledger.operations import draft_deposit
from tests.postgres import Database
from tests.properties.chain_requests import (
    COMMANDS,
    Made,
    Request,
    Requests,
    Wished,
    pick_chain,
    tell,
)
from tests.properties.chain_workload import ANSWERS, SHAPES, Places, Shape
from tests.properties.chain_world import (
    ChainWorld,
    Read,
    check_pivot,
    describe,
    find_differences,
    open_world,
)
from tests.properties.naive_chains import NaiveChain
from tests.properties.naive_funds import Funds
from tests.properties.naive_steps import Told
from tests.properties.naive_world import NaiveWorld, Room
from tests.scribe import make_profile

WALLETS = 4
FUNDS = 200
APPROVED = Told("approved", {"ok": True, "amount": 30})
PROVES = 4 if settings().max_examples > 500 else 8
"""After so many requests the books prove themselves."""
ROUNDS = 40
"""Rounds of everybody's work until every chain has come to its end."""


class Chains(RuleBasedStateMachine):
    """Two processes over one ledger, a new one each time, and the model of both."""

    database: Database
    proves = 1  # after so many requests the books prove themselves

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.model = NaiveWorld(Funds({}, {}, {}))
        self.made: list[Made] = []
        self.claimed: list[Work] = []
        self.nets: set[str] = set()
        self.asked = 0
        self.is_wrong = False
        self.world: ChainWorld

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # what it gives
        """Run it in this machine's loop, in which both processes live."""
        return self.runner.run(coroutine)

    @initialize(free=st.sampled_from([0, 0, 1, 2]), shapes=st.lists(SHAPES, min_size=2, max_size=4))
    def open_wallets(self, free: int, shapes: Sequence[Shape]) -> None:
        """A ledger has wallets, most of them with money, and a few chains."""
        self.world = self.run(self.stack.enter_async_context(open_world(self.database)))
        self.run(self.world.begin())
        ledger = self.world.ledger.id
        wallets = [derive_id(ACCOUNT, ledger, number) for number in range(WALLETS)]
        clearing, fees = (
            system_account_id(ledger, role, "USD")
            for role in (SystemRole.CLEARING, SystemRole.FEES)
        )
        self.requests = Requests(ledger, Places(wallets, clearing, fees))
        self.model.funds.statuses = dict.fromkeys(wallets, "active")
        self.model.funds.posted = dict.fromkeys(wallets, 0)
        openings = [OpenAccount(make_profile(id=id)) for id in wallets]
        self.run(self._send([(0, [opening], uuid4().hex) for opening in openings]))
        for wallet in wallets[:-1]:
            draft = draft_deposit(ledger, wallet, FUNDS, "USD")
            self.run(self._send([(1, [PostEntry(draft)], uuid4().hex)]))
            self.model.funds.post([(clearing, -FUNDS), (wallet, FUNDS)])
        self.read: Read = self.run(self.world.read())
        self.world.processes[0].hands.free = free
        for number, shape in enumerate(shapes):
            self.ask((number % 2, self.requests.create(shape)))

    # --- rules ---------------------------------------------------------------------------------

    @rule(process=st.integers(0, 1), shape=SHAPES)
    def create(self, process: int, shape: Shape) -> None:
        """Somebody makes a chain."""
        self.ask((process, self.requests.create(shape)))

    @rule(process=st.integers(0, 1), number=st.integers(0, 20), shape=SHAPES)
    def append(self, process: int, number: int, shape: Shape) -> None:
        """Somebody appends steps to a chain."""
        chain = pick_chain(self.model, number)
        if chain is not None and len(chain.steps) < 8:
            self.ask((process, self.requests.append(chain, shape)))

    @rule(process=st.integers(0, 1), wished=COMMANDS)
    def command(self, process: int, wished: Wished) -> None:
        """Somebody moves money, tells a chain something, or decides for an operator."""
        request = self._wish(wished)
        if request is not None:
            self.ask((process, request))

    @rule(process=st.integers(0, 1), count=st.integers(1, 4), late=st.booleans())
    def work(self, process: int, count: int, *, late: bool) -> None:
        """A worker takes due work and begins it; a late one first stalls."""
        claimed = self.run(self.world.claim(count))
        if late:
            self.claimed += claimed
        else:
            for work in claimed:
                self.begin(process, work)

    @rule(process=st.integers(0, 1), answers=st.lists(ANSWERS, min_size=1, max_size=4))
    def go_on(self, process: int, answers: Sequence[Told]) -> None:
        """Workers take all that is due, and partners answer at once."""
        begun = len(self.made)
        for work in self.run(self.world.claim(100)):
            self.begin(process, work)
        for place, made in enumerate(self.made[begun:]):
            told = answers[place % len(answers)]
            self.ask((process, self.requests.answer(made, told, fenced=True)))

    @precondition(lambda self: self.claimed)
    @rule(process=st.integers(0, 1), number=st.integers(0, 5))
    def begin_late(self, process: int, number: int) -> None:
        """A worker that stalled goes on with what it had taken."""
        self.begin(process, self.claimed[number % len(self.claimed)])

    @precondition(lambda self: self.made)
    @rule(process=st.integers(0, 1), number=st.integers(0, 9), told=ANSWERS, fenced=st.booleans())
    def answer(self, process: int, number: int, told: Told, *, fenced: bool) -> None:
        """A partner answers a call: the last ones mostly, an old one too, and some twice."""
        self.ask((process, self._answer(number, told, fenced=fenced)))

    @rule(seconds=st.sampled_from([1, 1, 3, 6, 6, 16, 16, 61]))
    def pass_time(self, seconds: int) -> None:
        """Time passes."""
        self.model.now += seconds
        self.run(self._pass(seconds))

    @rule(first=COMMANDS, second=COMMANDS, number=st.integers(0, 9), told=ANSWERS)
    def race(self, first: Wished, second: Wished, number: int, told: Told) -> None:
        """Both processes write at once: as if one had come after the other."""
        requests = [self._wish(first), self._wish(second)]
        if self.made and number % 2:
            requests[0] = self._answer(number, told, fenced=False)
        if None in requests or any(r and r.text.startswith("reverse") for r in requests):
            return
        self.ask(*((process, request) for process, request in enumerate(requests) if request))

    @rule(process=st.integers(0, 1), wishes=st.lists(COMMANDS, min_size=2, max_size=4))
    def batch(self, process: int, wishes: Sequence[Wished]) -> None:
        """What waits at the same moment is committed together, in order."""
        requests: list[Request] = []
        for wished in wishes:
            request = self._wish(wished)
            chains = {made.chain for made in requests}
            if request is not None and (request.chain is None or request.chain not in chains):
                requests.append(request)
        if requests:
            self.ask(*((process, request) for request in requests), ordered=True)

    @rule(shape=SHAPES, wished=COMMANDS, kind=st.integers(0, 2), turns=st.integers(0, 40))
    def crash(self, shape: Shape, wished: Wished, kind: int, turns: int) -> None:
        """A process dies at any moment of a commit; its caller asks the other one again."""
        request: Request | None = self.requests.create(shape) if kind else self._wish(wished)
        if kind == 2 and self.made:
            request = self._answer(turns, APPROVED, fenced=False)
        if request is None:
            return
        hands, key = self.world.processes[0].hands, self._key(request)
        free, hands.free = hands.free, 0
        self.run(self.world.crash(1, [request.operation], key, turns))
        self.ask((0, request), key=key, again=True)
        hands.free = free

    # --- asking --------------------------------------------------------------------------------

    def begin(self, process: int, work: Work) -> None:
        """Do what is due."""
        before = self.model.chains[work.chain].state
        (told,) = self.ask((process, self.requests.begin(work)))
        if isinstance(told, tuple) and told[1] in ("forward", "undo"):
            assert before != "held", "I12 hold"

    def ask(
        self,
        *asked: tuple[int, Request],
        ordered: bool = False,
        again: bool = False,
        key: str | None = None,
    ) -> Sequence[object]:
        """Submit at once; what is told and what is left are the model's, in some order.

        `again`: it may have been done before; without a key nobody is told so.
        """
        fences = self.run(self.world.read_fences())
        pieces = [
            (process, [request.operation], key or self._key(request)) for process, request in asked
        ]
        free = self.world.processes[0].hands.free
        told = [tell(answer) for answer in self.run(self._send(pieces))]
        read: Read = self.run(self.world.read())
        found = describe(read)
        orders = [tuple(range(len(asked)))] if ordered else list(permutations(range(len(asked))))
        tried = []
        for order in orders:
            model, expected, rooms = (
                deepcopy(self.model),
                dict[int, object](),
                [Room(free), Room(0)],
            )
            for place in order:
                process, request = asked[place]
                if request.lenient and told[place] == "invalid_chain":
                    expected[place] = told[place]
                    continue
                room = rooms[process] if ordered else Room(rooms[process].left)
                expected[place] = request.play(model, fences, room)
                if not ordered:
                    rooms[process].begun += room.begun
            tried.append(([expected[place] for place in range(len(asked))], model.describe()))
            replied = tried[-1][0] == told or (again and key is None)
            if replied and tried[-1][1] == found:
                self._accept(model, read, rooms)
                return told
        self.is_wrong = True
        texts = [request.text for _, request in asked]
        raise AssertionError("\n".join([*texts, *find_differences((told, found), tried[0])]))

    def _accept(self, model: NaiveWorld, read: Read, rooms: Sequence[Room]) -> None:
        """The service and its model agree: note what was begun, and what must hold by itself."""
        self.model = model
        fences = self.run(self.world.read_fences())
        taken = self.world.processes[0].hands.taken
        begun = [pair for room in rooms for pair in room.begun]
        for chain, asked in begun:
            self.made.append(Made(chain, asked, fences.get((chain, asked.step), 0)))
        for call, fence in taken:
            assert any(
                made[:1] == (call.chain,)
                and made.asked[:3] == (call.step, call.direction, call.attempt)
                and made.fence == fence
                for made in self.made
            ), call
        taken.clear()
        self._check(read)

    def _check(self, read: Read) -> None:
        """The invariants of docs/concepts/invariants.md that need no model."""
        accounts, chains, liens = read
        self.asked += 1
        if self.asked % self.proves == 0:
            self.prove()
        assert sum(posted for posted, _, _ in accounts.values()) == 0, "I1 conservation"
        for id, (posted, reserved, _) in accounts.items():
            assert id in (self.requests.places.clearing, self.requests.places.fees) or (
                posted >= reserved >= 0
            ), "I3 no overdraft"
        ended = {id for id, chain in chains.items() if chain.is_ended}
        for row in liens:
            parts = row["remaining"] + row["drawn"] + row["released"] + row["taken_back"]
            assert row["state"] == "created" or parts == row["amount"], "I8 liens end"
            if "cte_" + row["chain_id"].hex in ended:
                assert row["state"] in ("released", "expired"), "I8 liens end"
        for chain in chains.values():
            check_pivot(chain)
        if ended - self.nets:
            nets = self.run(self.world.read_nets())
            for id in ended - self.nets:
                net = {a: sum_ for a, sum_ in self.model.chains[id].net.items() if sum_}
                assert nets.get(id, {}) == net, "I6 net effect"
                assert net == {} or chains[id].state == "completed", "I6 net effect"
            self.nets = ended
        self.read = read

    def prove(self) -> None:
        """The books prove themselves."""
        assert self.run(self.world.find_wrong()) == [], "I1, I2, I7, I8: verify"

    def teardown(self) -> None:
        """Once nothing goes wrong any more, every chain comes to its end (I5, I10)."""
        try:
            if hasattr(self, "read") and not self.is_wrong:
                self.prove()
                self._drive_to_the_end()
                self.prove()
        finally:
            if hasattr(self, "world"):
                self.run(self.world.end())
            self.run(self.stack.aclose())
            self.runner.close()

    def _drive_to_the_end(self) -> None:
        for wallet in self.requests.places.wallets:
            self.ask((0, self.requests.freeze(wallet, frozen=False)))
            self.command(1, Wished("deposit", self.requests.places.wallets.index(wallet), 0, 900))
        for number, chain in enumerate(list(self.model.chains.values())):
            if not chain.is_ended and number % 2:
                self.ask((0, self.requests.tell_chain(chain, "cancel", next(iter(chain.steps)))))
        for _ in range(ROUNDS):
            running = [id for id, chain in self.model.chains.items() if not chain.is_ended]
            if not running:
                return
            self.pass_time(61)
            begun = len(self.made)
            for work in self.run(self.world.claim(100)):
                self.begin(0, work)
            for place in range(begun, len(self.made)):
                self.ask((1, self.requests.answer(self.made[place], APPROVED, fenced=True)))
            for id in running:
                self._help(self.model.chains[id])
        raise AssertionError(f"I10 ends: {self.model.describe()}")

    def _help(self, chain: NaiveChain) -> None:
        """What only people can do for it."""
        kinds: list[tuple[str, str]] = []
        first = next(iter(chain.steps))
        if chain.state == "created":
            kinds.append(("start", first))
        elif chain.state == "held":
            kinds.append(("resume", first))
        for name, step in chain.steps.items():
            if step.parked:
                call = step.plan.kind in ("call", "wait")
                kinds.append(("mark_done" if call else "skip", name))
                kinds.append(("retry", name))
            elif step.plan.kind == "wait" and step.state == "waiting":
                kinds.append(("signal", name))
        for kind, name in kinds:
            self.ask((0, self.requests.tell_chain(self.model.chains[chain.id], kind, name, 1)))

    def _wish(self, wished: Wished) -> Request | None:
        entries = [
            (id, run.entry)
            for id, chain in self.read[1].items()
            for run in chain.steps.values()
            if run.entry is not None and not chain.is_ended
        ]
        return self.requests.command(wished, self.model, entries)

    def _answer(self, number: int, told: Told, *, fenced: bool) -> Request:
        made = self.made[-1 - number % 3 % len(self.made)]
        if number > 6:
            made = self.made[number % len(self.made)]
        return self.requests.answer(made, told, fenced=fenced)

    def _key(self, request: Request) -> str | None:
        return uuid4().hex if request.keyed else None

    async def _send(self, pieces: Sequence[tuple[int, list[Any], str | None]]) -> Sequence[Any]:
        sent = [self.world.send(*piece) for piece in pieces]
        return [await told for told in sent]

    async def _pass(self, seconds: int) -> None:
        clock = self.world.clock
        await clock.move_to(await clock.read() + dt.timedelta(seconds=seconds))


def run_model(database: Database, examples: int, steps: int) -> None:
    """So many examples of so many steps at most."""
    told = {"database": database, "proves": PROVES}
    machine = type("OfThisTest", (Chains,), told)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )


def test_the_service_is_the_model(database: Database) -> None:
    """Whatever two processes, partners and callers do to chains, the model has the same."""
    run_model(database, max(12, settings().max_examples // 10), 20)
