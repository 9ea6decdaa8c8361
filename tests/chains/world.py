"""Two chains, two wallets, a partner and outsiders: every move that there is.

A world is never changed: a move gives the world after it. A chain is read back from its history
before each move, as after a crash. What costs nothing goes on by itself; of faults, commands and
outsiders' payments there are so many as `left` says. Times are told apart as over or not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final

from catena.chains import answers, calls
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Definition
from catena.chains.refusals import Command, refuse
from catena.chains.states import ChainState, StepState
from catena.chains.step_types import Call, Direction
from catena.ledger.accounts import Account, Side
from catena.ledger.entries import Draft, Line, post_entry, refuse_entry
from catena.liens.liens import OutOfOrder
from tests.chains.books import NOW, wallet
from tests.chains.checks import Violation, check_commit, insist
from tests.chains.moves import ANSWERS, COMMANDS, Move
from tests.chains.shapes import CATALOGUE, A, B
from tests.chains.world_books import Posting, WorldBooks

__all__ = ["World"]

_UNSURE: Final = (StepState.UNKNOWN, StepState.COMPENSATION_UNKNOWN)
_LOOKS: Final = frozenset({Direction.LOOK_UP, Direction.UNDO_LOOK_UP, Direction.CANCEL})
_FORWARD: Final = frozenset({Direction.FORWARD, Direction.LOOK_UP, Direction.CANCEL})


@dataclass(frozen=True)
class World:
    """Everything at one moment.

    `partner`: what has become of each key: done, refused or open. `slow`: calls without an answer
    that can still arrive, until then. `out`: calls whose makers are alive.
    """

    accounts: dict[str, Account]
    chains: dict[str, Chain]
    left: int
    definitions: Mapping[str, Definition]
    begun: Mapping[str, int]
    now: dt.datetime = NOW
    postings: Sequence[Posting] = ()
    partner: Mapping[str, str] = field(default_factory=dict)
    slow: Mapping[str, dt.datetime] = field(default_factory=dict)
    out: Mapping[tuple[str, str], Call] = field(default_factory=dict)

    @classmethod
    def open(cls, definitions: Sequence[Definition], left: int, a: int = 3, b: int = 0) -> World:
        """Two wallets with this much in them, and these chains."""
        ids = [f"cte_{number:032x}" for number in range(1, len(definitions) + 1)]
        accounts = {A: wallet(A, a), B: wallet(B, b)}
        return cls(accounts, {}, left, dict(zip(ids, definitions, strict=True)), {A: a, B: b})

    # --- what can happen -----------------------------------------------------------------------

    def moves(self) -> Iterator[Move]:
        """All that may happen now."""
        for id in self.definitions:
            chain = self.chains.get(id)
            if chain is None:
                yield Move("start", id)
                yield Move("make", id, cost=1)
            elif not chain.is_ended:
                yield from self._commands(chain)
                yield from self._steps(chain)
        for key in self.slow:
            yield Move("land", step=key)
        if self._next(short=True) is not None:
            yield Move("tick")
        if self._next(short=False) is not None:
            yield Move("late", cost=1)
        yield Move("outsider", A, B, cost=1)
        yield Move("outsider", B, A, cost=1)

    def _commands(self, chain: Chain) -> Iterator[Move]:
        if chain.state is ChainState.CREATED:
            yield Move("start", chain.id)
        timer = calls.due_timer(chain)
        if timer is not None and timer <= self.now:
            yield Move("timer", chain.id)
        for command in (Command.CANCEL, Command.RESUME, Command.REJECT, Command.COMPENSATE):
            if refuse(chain, command) is None:
                yield Move(command, chain.id, cost=int(command is not Command.RESUME))
        if refuse(chain, Command.HOLD) is None:
            yield Move("hold", chain.id, how="resume", cost=1)
            yield Move("hold", chain.id, how="reject", cost=1)
        waits = [run for run in chain.steps.values() if run.definition.type == "wait"]
        if (
            waits
            and not chain.signals
            and waits[0].seq == 0
            and refuse(chain, Command.SIGNAL) is None
        ):
            yield Move("signal", chain.id, how="go")

    def _steps(self, chain: Chain) -> Iterator[Move]:
        for due in self._due(chain):
            out = self.out.get((chain.id, due.step))
            if out is not None:
                for how, cost in self._answers(out):
                    yield Move("answer", chain.id, due.step, how, cost)
            elif due.at is None or due.at <= self.now:
                yield Move("begin", chain.id, due.step)
        for run in chain.steps.values():
            if run.parked:
                yield Move("retry", chain.id, run.name)
                yield Move("skip", chain.id, run.name, cost=1)
            if run.parked or run.state in _UNSURE:
                # An operator says what the partner's books say.
                key = self._key(chain, run)
                if self.partner.get(key) == "done":
                    yield Move("mark_done", chain.id, run.name, cost=1)
                elif run.state in _UNSURE and key not in {*self.slow, *self.partner}:
                    yield Move("mark_refused", chain.id, run.name, cost=1)

    def _due(self, chain: Chain) -> Iterator[calls.Due]:
        return calls.due_calls(chain, self.now, CATALOGUE)

    def _key(self, chain: Chain, run: StepRun) -> str:
        direction = Direction.UNDO if run.seq else Direction.FORWARD
        return calls.key_of(chain, run, direction)

    def _answers(self, call: Call) -> Iterator[tuple[str, int]]:
        """How a call can end, at what cost; a partner says the same of a key again."""
        said = self.partner.get(call.key)
        yield "dies before", 1
        if call.direction in _LOOKS:
            yield "no answer", 1
            if said == "open":
                yield from (("approve", 0), ("decline", 0), ("pending", 1), ("decline for now", 1))
                if call.direction is not Direction.CANCEL:
                    yield "not found", 1
            else:
                yield {"done": "approve", "refused": "decline", None: "not found"}[said], 0
            return
        if said == "refused":
            yield "decline", 0
            return
        yield "approve", 0
        yield from (("dies after", 1), ("slow", 1), ("done, no answer", 1))
        if said is None:
            yield from (("decline", 1), ("decline for now", 1))
            if call.direction is Direction.FORWARD:
                yield from (("pending", 1), ("taken, no answer", 1))

    def _next(self, *, short: bool) -> dt.datetime | None:
        """The next moment that is not over: of those in seconds, or of those in minutes."""
        moments: list[dt.datetime | None] = []
        for chain in self.chains.values():
            if chain.is_ended:
                continue
            for run in chain.steps.values():
                if short:
                    waits = run.due_at is not None and not run.parked
                    moments += [run.due_at if waits else None]
                else:
                    moments += [run.deadline]
            if not short:
                moments += [chain.expires_at, chain.held_until]
                moments += [lien.expires_at for lien in chain.pool.liens.values() if lien.is_open]
        return min((at for at in moments if at is not None and at > self.now), default=None)

    # --- what happens --------------------------------------------------------------------------

    def after(self, move: Move) -> World | None:
        """The world after a move; None when it was refused, and nothing has changed."""
        world = replace(
            self,
            accounts={id: copy(account) for id, account in self.accounts.items()},
            chains=dict(self.chains),
            left=self.left - move.cost,
        )
        match move.what:
            case "tick" | "late":
                now = self._next(short=move.what == "tick")
                assert now is not None
                slow = {key: until for key, until in self.slow.items() if until > now}
                return replace(world, now=now, slow=slow)
            case "land":
                slow = {key: until for key, until in self.slow.items() if key != move.step}
                partner = {**self.partner, move.step: self.partner.get(move.step, "done")}
                return replace(world, slow=slow, partner=partner)
            case "outsider":
                return world._spend(move.chain, move.step)
            case "answer":
                return world._answer(move)
            case "begin":
                return world._begin(move)
            case _:
                return world._do(move.chain, COMMANDS[move.what], move)

    def _spend(self, source: str, destination: str) -> World | None:
        lines = (Line(source, Side.DEBIT, 1, "USD"), Line(destination, Side.CREDIT, 1, "USD"))
        draft = Draft("transfer", lines)  # type: ignore[arg-type]  # its type changes nothing
        if refuse_entry(draft, self.accounts, self.now) is not None:
            return None
        list(post_entry(lines, self.accounts))
        return replace(self, postings=(*self.postings, Posting("", "", undoes=False, lines=lines)))

    def _do(self, id: str, act: Callable[..., object], move: Move) -> World | None:
        world, _ = self.act(id, lambda chain, books: act(self, chain, books, move))
        if world is not None and move.step:  # what its maker still says comes too late
            out = {place: call for place, call in self.out.items() if place != (id, move.step)}
            world = replace(world, out=out)
        return world

    def act(
        self, id: str, act: Callable[[Chain, WorldBooks], object]
    ) -> tuple[World | None, object]:
        """One commit: the chain is read back, something is done to it, and it is committed."""
        before = self.chains.get(id)
        chain = self.read(id, before.history if before is not None else ())
        books = self.open_books()
        try:
            value = act(chain, books)
        except OutOfOrder as error:
            raise Violation("I5 an undo finds what it takes back") from error
        if not chain.new:
            return None, value
        committed = books.commit(chain)
        check_commit(before, chain, committed)
        world = replace(self, postings=tuple(books.postings))
        world.chains[id] = committed
        return world, value

    def read(self, id: str, history: Sequence[Any]) -> Chain:
        """A chain from its history."""
        return Chain(id, history)

    def open_books(self) -> WorldBooks:
        """Books for one commit."""
        return WorldBooks(self)

    def _begin(self, move: Move) -> World | None:
        held = self.chains[move.chain].state is ChainState.HELD
        world, call = self.act(
            move.chain, lambda chain, books: self.dispatch(chain, books, move.step)
        )
        world = world or replace(self)
        if not isinstance(call, Call):
            return world
        insist("I12 hold", not held or call.direction in _LOOKS)
        undoing = call.direction not in _FORWARD
        past = world.chains[move.chain].pivot_is_past
        insist("I13 nothing is undone past the pivot", not (undoing and past))
        return replace(world, out={**self.out, (move.chain, move.step): call})

    def dispatch(self, chain: Chain, books: WorldBooks, step: str) -> Call | None:
        """Commit the intent of a call."""
        return calls.begin(chain, books, step)

    def _answer(self, move: Move) -> World | None:
        place = move.chain, move.step
        call = self.out[place]
        out = {key: value for key, value in self.out.items() if key != place}
        partner, slow = dict(self.partner), dict(self.slow)
        if move.how in ("approve", "dies after", "done, no answer"):
            partner[call.key] = "done"
            slow.pop(call.key, None)
        elif move.how in ("decline", "decline for now"):
            partner[call.key] = "refused"
        elif move.how in ("pending", "taken, no answer"):
            partner[call.key] = "open"
        elif move.how == "slow":
            slow[call.key] = call.deadline
        world = replace(self, partner=partner, slow=slow, out=out)
        if move.how.startswith("dies"):
            return world
        found = ANSWERS[move.how]
        # A look-up is not refused for now: that the partner says by itself.
        by_itself = move.how == "decline for now" and call.direction in _FORWARD
        direction = Direction.FORWARD if by_itself else call.direction
        took, value = world.act(
            move.chain,
            lambda chain, books: answers.answer(
                chain, books, move.step, direction, call.attempt, found
            ),
        )
        insist("an answer to the open call is taken", value)
        return took

    # --- telling worlds apart ------------------------------------------------------------------

    def key(self) -> tuple[object, ...]:
        """All that decides what may follow, but for names and numbers that only count."""
        return (self.left, *self.core(), *(self._key_of_rest(id) for id in self.definitions))

    def core(self) -> tuple[object, ...]:
        """The money: accounts, and what each chain has done and holds."""
        parts: list[object] = [(a.posted, a.reserved) for a in self.accounts.values()]
        for id in self.definitions:
            chain = self.chains.get(id)
            if chain is None or chain.is_ended:
                parts.append(chain and chain.state)
                continue
            runs = chain.steps.values()
            order = {run.name: place for place, run in enumerate(chain.committed())}
            parts.append(
                (
                    chain.state,
                    tuple((run.state, order.get(run.name), tuple(run.draws)) for run in runs),
                    tuple((lien.remaining, lien.state) for lien in chain.pool.liens.values()),
                    tuple(self._key_of_call(chain, run) for run in runs),
                )
            )
        return tuple(parts)

    def _key_of_call(self, chain: Chain, run: StepRun) -> tuple[object, ...]:
        key = self._key(chain, run)
        call = self.out.get((chain.id, run.name))
        return (
            self.partner.get(key),
            key in self.slow,
            call and call.direction,
            run.called,
            run.accepted,
            run.parked,
        )

    def _key_of_rest(self, id: str) -> object:
        chain = self.chains.get(id)
        if chain is None or chain.is_ended:
            return None
        liens = tuple(self._late(lien.expires_at) for lien in chain.pool.liens.values())
        runs = tuple(
            (
                min(run.attempt, 2),
                self._late(run.due_at),
                self._late(run.over_at),
                self._late(run.deadline),
            )
            for run in chain.steps.values()
        )
        times = self._late(chain.expires_at), self._late(chain.held_until)
        pending = chain.pending_failure is not None
        return chain.hold.get("then"), pending, len(chain.signals), times, liens, runs

    def _late(self, at: dt.datetime | None) -> bool | None:
        return None if at is None else at <= self.now
