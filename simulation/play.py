"""What a shape writes into: accounts, chains, scripts of partners, and clients.

Invariant: whatever is drawn comes from the run's own source, so that a seed is a story.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.api.commands import guarded
from catena.chains import machine, operator
from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Step
from catena.chains.history import Failure
from catena.chains.refusals import Command
from catena.chains.states import ChainState
from catena.ids import ACCOUNT, CHAIN
from catena.journal import CreateChain, PostEntry, RunChain
from catena.ledger.accounts import AccountStatus, AccountType, Side, SystemRole, system_account_id
from catena.ledger.entries import Draft, Entry, EntryType, Line
from catena.ledger.terms import Profile
from simulation.partner import Behaviour

if TYPE_CHECKING:
    from simulation.world import World

__all__ = ["ANY_END", "Play", "Promise"]

ANY_END: Final = (ChainState.COMPLETED, ChainState.ROLLED_BACK)


class Promise(NamedTuple):
    """What a chain is to come to: an end (or parked, where `parks`), and what a completed one has
    done to the wallets, in minor units. `signals`: each that was taken in has been given to a wait.
    """

    ends: Sequence[ChainState]
    effect: Mapping[str, int]
    parks: bool = False


class Play:
    """What a shape has written: accounts, chains, scripts of partners, and clients.

    `promises` by chain; `sent` counts what outsiders were told was posted, by entry.
    """

    def __init__(self, source: random.Random, ledger: str) -> None:
        self.random = source
        self.profiles: list[Profile] = []
        self.deposits: list[Draft] = []
        self.clients: list[Callable[[World], Awaitable[None]]] = []
        self.scripts: dict[str, Sequence[Behaviour]] = {}
        self.promises: dict[str, Promise] = {}
        self.names: dict[str, str] = {}
        self.sent: Counter[str] = Counter()
        self.made: set[str] = set()
        self._ledger = ledger

    def make_id(self, prefix: str) -> str:
        """An id that the seed gives."""
        bits = self.random.getrandbits(128)
        return f"{prefix}{bits:032x}"

    # --- what there is -----------------------------------------------------------------------

    def wallet(self, funds: int = 0) -> str:
        """A wallet with so many cents."""
        id = self.make_id(ACCOUNT)
        profile = Profile(
            id, AccountType.LIABILITY, "USD", None, None, None, "{}",
            AccountStatus.ACTIVE, 0, None, 1,
        )  # fmt: skip
        self.profiles.append(profile)
        if funds:
            clearing = system_account_id(self._ledger, SystemRole.CLEARING, "USD")
            lines = (Line(clearing, Side.DEBIT, funds, "USD"), Line(id, Side.CREDIT, funds, "USD"))
            system = ((SystemRole.CLEARING, "USD"),)
            self.deposits.append(Draft(EntryType.DEPOSIT, lines, system=system))
        return id

    def script(self, step: str, *behaviours: Behaviour) -> None:
        """What the partner does with new keys of a step ("charge", "charge undo")."""
        self.scripts[step] = behaviours

    def draw(self, *menu: Behaviour, most: int = 2) -> Sequence[Behaviour]:
        """Some behaviours of a menu."""
        return self.random.choices(menu, k=self.random.randint(0, most))

    # --- what clients do ---------------------------------------------------------------------

    def chain(
        self,
        *steps: Step,
        effect: Mapping[str, int],
        ends: Sequence[ChainState] = ANY_END,
        parks: bool = False,
        **told: Any,  # noqa: ANN401  # fields of a definition
    ) -> str:
        """A chain, and the client that makes it."""
        id = self.make_id(CHAIN)
        self.names[id] = f"chain{len(self.names) + 1}"
        self.promises[id] = Promise(ends, effect, parks)

        async def make(world: World) -> None:
            answer = await world.ask(CreateChain(id, Definition(steps, **told), "client"))
            world.note(f"{world.name_of(id)} is made: {type(answer.results[0]).__name__}")
            self.made.add(id)

        self.clients.append(make)
        return id

    def transfer(self, source: str, target: str, amount: int, *, after: int = 0) -> None:
        """An outsider who moves money between wallets, if it is there."""
        lines = (Line(source, Side.DEBIT, amount, "USD"), Line(target, Side.CREDIT, amount, "USD"))

        async def move(world: World) -> None:
            await world.pause(after, idle=False)
            answer = await world.ask(PostEntry(Draft(EntryType.TRANSFER, lines)))
            result = answer.results[0]
            if isinstance(result, Entry):
                self.sent[result.id] += 1
            world.note(f"outsider moves {amount}: {type(result).__name__}")

        self.clients.append(move)

    def command(
        self,
        chain: str,
        act: Callable[[Chain, Books], Any],
        name: str,
        *,
        after: int = 0,
        idle: int = 0,
    ) -> None:
        """A client who tells a chain something, `after` so many turns, and then when so many
        times nothing else was left to do at the moment.
        """

        async def tell(world: World) -> None:
            while chain not in self.made:
                await world.pause(1, idle=False)
            await world.pause(after, idle=False)
            for _ in range(idle):
                await world.pause(0, idle=True)
            answer = await world.ask(RunChain(chain, act))
            result = answer.results[0]
            code = getattr(result, "code", None)
            said = "done" if code is None else code.value[0]
            world.reached[f"command {name} {said}"] += 1
            world.note(f"{world.name_of(chain)} is told {name}: {said}")

        self.clients.append(tell)

    def cancel(self, chain: str, **when: int) -> None:
        """A client who cancels."""
        act = partial(machine.cancel, failure=Failure("cancelled"), by="client")
        self.command(chain, guarded(Command.CANCEL, act), "cancel", **when)

    def signal(self, chain: str, name: str, **when: int) -> None:
        """A client who signals."""
        act = partial(machine.signal, name=name, payload=1, by="client")
        self.command(chain, guarded(Command.SIGNAL, act), "signal", **when)

    def hold(self, chain: str, seconds: float, then: str, **when: int) -> None:
        """A client who holds."""
        act = partial(machine.hold, seconds=seconds, then=then, why="review", by="client")
        self.command(chain, guarded(Command.HOLD, act), "hold", **when)

    def resume(self, chain: str, **when: int) -> None:
        """A client who resumes."""
        act = partial(machine.resume, why="fine", by="client")
        self.command(chain, guarded(Command.RESUME, act), "resume", **when)

    def reject(self, chain: str, **when: int) -> None:
        """A client who rejects."""
        act = partial(machine.reject, why="fraud", by="client")
        self.command(chain, guarded(Command.REJECT, act), "reject", **when)

    def retry(self, chain: str, step: str, **when: int) -> None:
        """An operator who tries a parked step again."""
        act = partial(operator.retry, step=step, why="again", by="operator")
        self.command(chain, guarded(Command.DECIDE, act), "retry", **when)
