"""What must be true of a world that has come to its end, each under the name of its invariant.

Invariant: the checkers read what is stored, the partners' counts and what was seen at the boundary;
they trust nothing that the journal says of itself. Rules: docs/concepts/invariants.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catena.chains.chain import Chain
from catena.chains.definition import Family
from catena.chains.history import IllegalMove, Record
from catena.chains.states import ChainState, StepState
from catena.chains.waits import signal_of
from catena.db.load_chains import read_record
from catena.db.verify import verify
from catena.ids import CHAIN

if TYPE_CHECKING:
    from simulation.world import World

__all__ = ["CHECKERS", "check", "list_moves", "read_books"]


@dataclass(slots=True)
class Books:
    """A world's ledger as it is stored."""

    chains: dict[str, Chain] = field(default_factory=dict)
    records: list[tuple[int, str, Record]] = field(default_factory=list)
    """Each commit of a chain, by its position."""
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    lines: dict[int, list[Mapping[str, Any]]] = field(default_factory=dict)
    balances: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    liens: list[Mapping[str, Any]] = field(default_factory=list)
    cards: dict[str, Mapping[str, Any]] = field(default_factory=dict)


async def read_books(world: World) -> Books:
    """Everything that is stored. Raises IllegalMove for a history that is none."""
    owner, number, books = world.installation.owner, world.ledger.number, Books()

    async def read(query: str) -> list[Any]:
        return list(await owner.fetch(query, number))

    for row in await read(
        "SELECT position, event_id, recorded_at, subject, data::text AS data FROM catena.events"
        " WHERE ledger_id = $1 AND starts_with(type, 'chain.') ORDER BY position"
    ):
        record = read_record(row["event_id"].hex, row["recorded_at"], row["data"])
        books.records.append((row["position"], CHAIN + row["subject"].hex, record))
    histories: dict[str, list[Record]] = defaultdict(list)
    for _, id, record in books.records:
        histories[id].append(record)
    books.chains = {id: Chain(id, records) for id, records in histories.items()}
    books.entries = await read(
        "SELECT position, entry_id, chain_id, step, is_undo FROM catena.entries"
        " WHERE ledger_id = $1 ORDER BY position"
    )
    for row in await read(
        "SELECT * FROM catena.lines WHERE ledger_id = $1 ORDER BY position, ordinal"
    ):
        books.lines.setdefault(row["position"], []).append(row)
    for row in await read("SELECT * FROM catena.balances WHERE ledger_id = $1"):
        books.balances["acct_" + row["account_id"].hex] = row
    books.liens = await read("SELECT * FROM catena.liens WHERE ledger_id = $1")
    for row in await read("SELECT * FROM catena.chains WHERE ledger_id = $1"):
        books.cards[CHAIN + row["chain_id"].hex] = row
    return books


async def check(world: World) -> Books | None:
    """Find what is wrong with the world, and note it there. None: its histories cannot be read."""
    service = world.installation.pool
    async with service.acquire() as connection:
        for finding in await verify(connection, world.ledger):
            world.wrong.append(("I1 verify", str(finding)))
    world.wrong += [("I9 fence", text) for text in world.watch.stale]
    try:
        books = await read_books(world)
    except IllegalMove as error:
        world.wrong.append(("I7 history", str(error)))
        return None
    for name, checker in CHECKERS.items():
        world.wrong += [(name, text) for text in checker(world, books)]
    return books


# --- the books --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Moment:
    """The books as they stood after a commit: what wallets had, and what was under lien."""

    posted: Counter[str] = field(default_factory=Counter)
    reserved: Counter[str] = field(default_factory=Counter)

    def available(self, account: str) -> int:
        return self.posted[account] - self.reserved[account]


def _replay(world: World, books: Books) -> Iterator[tuple[_Moment, _Moment, Any]]:
    """Each posting and each commit of a chain in the order of positions, before and after it.

    What a chain posts belongs to the event that stands before it.
    """
    wallets = {profile.id for profile in world.play.profiles}
    entries = {row["position"]: row for row in books.entries}
    events = {position: (id, record) for position, id, record in books.records}
    chains: dict[str, Chain] = {}
    pools: dict[str, Counter[str]] = {}
    now = _Moment()
    done: set[int] = set()
    for position in sorted(entries.keys() | events.keys()):
        if position in done:
            continue
        before = _Moment(Counter(now.posted), Counter(now.reserved))
        told: Any = entries.get(position)
        if position in events:
            id, record = events[position]
            old = chains.get(id)
            chain = chains[id] = Chain(id, [*(old.history if old else ()), record])
            own = position + 1
            while own in entries and entries[own]["chain_id"] is not None:
                if CHAIN + entries[own]["chain_id"].hex != id:
                    break
                _post(now, books.lines[own], wallets)
                done.add(own)
                own += 1
            pool = Counter(
                {
                    account: sum(
                        lien.remaining for lien in chain.pool.liens.values()
                        if lien.account == account and lien.is_open
                    )
                    for account in {lien.account for lien in chain.pool.liens.values()}
                }
            )  # fmt: skip
            now.reserved.subtract(pools.get(id, Counter()))
            now.reserved.update(pool)
            pools[id] = pool
            told = (chain, record)
        else:
            _post(now, books.lines[position], wallets)
        yield before, now, told


def _post(moment: _Moment, lines: list[Mapping[str, Any]], wallets: set[str]) -> None:
    for line in lines:
        account = "acct_" + line["account_id"].hex
        if account in wallets:
            moment.posted[account] += -line["amount"] if line["is_debit"] else line["amount"]


def _check_recompute(world: World, books: Books) -> Iterator[str]:
    last = _Moment()
    for _, after, _told in _replay(world, books):
        last = after
    for profile in world.play.profiles:
        row = books.balances[profile.id]
        stored = (row["credits"] - row["debits"], row["reserved"])
        found = (last.posted[profile.id], last.reserved[profile.id])
        if stored != found:
            yield f"{profile.id} has {stored}, and its lines and liens say {found}"


def _check_overdraft(world: World, books: Books) -> Iterator[str]:
    for _, after, _told in _replay(world, books):
        for profile in world.play.profiles:
            if after.available(profile.id) < 0:
                yield f"{profile.id} is short of {-after.available(profile.id)}"


def _check_isolation(world: World, books: Books) -> Iterator[str]:
    for before, after, told in _replay(world, books):
        if not isinstance(told, tuple):
            if any(before.reserved[id] != after.reserved[id] for id in after.reserved):
                yield f"an outsider's entry {told['entry_id']} changed what is under lien"
            continue
        chain, record = told
        gives = any(
            (not event.step and event.to in ("lien_expired", "completed", "rolled_back"))
            or event.to == StepState.COMPENSATED
            or (event.step and chain.steps[event.step].definition.type == "lien.release")
            for event in record.events
        )
        for profile in world.play.profiles:
            more = after.available(profile.id) - before.available(profile.id)
            if more > 0 and not gives:
                yield f"{world.name_of(chain.id)} gave outsiders {more} more on {profile.id}"


def _check_net_effect(world: World, books: Books) -> Iterator[str]:
    wallets = {profile.id for profile in world.play.profiles}
    nets: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in books.entries:
        if entry["chain_id"] is not None:
            id = CHAIN + entry["chain_id"].hex
            moment = _Moment(nets[id])
            _post(moment, books.lines[entry["position"]], wallets)
    for id, chain in books.chains.items():
        net = {account: change for account, change in nets[id].items() if change}
        promise = world.play.promises.get(id)
        promised = dict(promise.effect) if promise is not None else {}
        if chain.state is ChainState.ROLLED_BACK and net:
            yield f"{world.name_of(id)} is rolled back and leaves {net}"
        if chain.state is ChainState.COMPLETED and net != promised:
            yield f"{world.name_of(id)} is completed and did {net}, not {promised}"


def _check_outside_effects(world: World, books: Books) -> Iterator[str]:
    """What partners did and did not undo is what the chain says that they did."""
    strays = _count_strays(books)
    for id, chain in books.chains.items():
        if not chain.is_ended or id not in world.play.promises:
            continue
        for name, run in chain.steps.items():
            if run.definition.family is not Family.OUTSIDE:
                continue
            done = world.partner.effects[id, name, "forward"]
            undone = world.partner.effects[id, name, "undo"]
            undoes = (run.state is StepState.COMPENSATED) + strays[id, name, True]
            left = done - undone - strays[id, name, False]
            if (left, undone) != (run.state is StepState.COMPLETED, undoes):
                yield (
                    f"{world.name_of(id)}.{name} is {run.state}; its partner acted {done} times"
                    f" and undid {undone} times"
                )


def _count_strays(books: Books) -> Counter[tuple[str, str, bool]]:
    """By chain and step: late approvals that were undone (True), or wait for a person (False)."""
    strays: Counter[tuple[str, str, bool]] = Counter()
    for chain in books.chains.values():
        told = chain.definition.metadata
        if chain.definition.type == "late_approval" and told is not None:
            done = chain.state is ChainState.COMPLETED
            strays[told["chain_id"], told["step"], done] += 1
    return strays


def _check_once(world: World, books: Books) -> Iterator[str]:
    strays = _count_strays(books)
    for (id, step, way), count in world.partner.effects.items():
        if count > 1 + strays[id, step, True] + strays[id, step, False]:
            yield f"{world.name_of(id)}.{step}: {count} effects {way}"
    posted = Counter(
        (row["chain_id"], row["step"], row["is_undo"]) for row in books.entries if row["chain_id"]
    )
    yield from (f"posted {count} times: {key}" for key, count in posted.items() if count > 1)
    outsiders = Counter(
        "ent_" + row["entry_id"].hex for row in books.entries if not row["chain_id"]
    )
    there, told = len(outsiders) - len(world.play.deposits), len(world.play.sent)
    if there != told:
        yield f"outsiders were told of {told} entries, and {there} are there"
    yield from (f"{id} was told, and is not there" for id in world.play.sent if id not in outsiders)
    yield from (f"{id} was told twice" for id, count in world.play.sent.items() if count > 1)
    missing = world.play.made - books.chains.keys()
    yield from (f"{world.name_of(id)} was answered, and is not there" for id in missing)


def _check_liens(world: World, books: Books) -> Iterator[str]:
    for row in books.liens:
        card = books.cards[CHAIN + row["chain_id"].hex]
        if card["state"] in ("completed", "rolled_back") and row["state"] in (
            "active",
            "utilized",
            "created",
        ):
            yield f"{world.name_of(CHAIN + row['chain_id'].hex)} is ended, its lien {row['state']}"
    for id, chain in books.chains.items():
        for lien in chain.pool.liens.values():
            if lien.amount != lien.remaining + lien.drawn + lien.released + lien.taken_back:
                yield f"{world.name_of(id)}: {lien}"
            if chain.is_ended and lien.is_open:
                yield f"{world.name_of(id)} is ended with an open lien"


def _check_ends(world: World, books: Books) -> Iterator[str]:
    for id, promise in world.play.promises.items():
        chain = books.chains.get(id)
        if chain is None:
            yield f"{world.name_of(id)} was never made"
            continue
        card = books.cards[id]
        if (card["state"], card["events"]) != (chain.state, chain.number):
            yield f"{world.name_of(id)}: its card says {card['state']}, its history {chain.state}"
        # An undo whose refusal is told to a question is refused for good, and waits for a person.
        may_park = promise.parks or id in world.partner.refused_undos
        parked = may_park and card["parked"]
        if chain.state not in promise.ends and not parked:
            steps = {name: str(run.state) for name, run in chain.steps.items()}
            yield f"{world.name_of(id)} is {chain.state}: {steps}"


def _check_late_approvals(world: World, books: Books) -> Iterator[str]:
    """Each is undone, or waits for a person."""
    for id, chain in books.chains.items():
        waits = any(run.state is StepState.WAITING for run in chain.steps.values())
        if id not in world.play.promises and not waits and chain.state is not ChainState.COMPLETED:
            yield f"{world.name_of(id)} is {chain.state}"


def _check_signals(world: World, books: Books) -> Iterator[str]:
    """No wait waits for what is there."""
    for id, chain in books.chains.items():
        for count in range(1, len(chain.history) + 1):
            then = Chain(id, chain.history[:count])
            for name, run in then.steps.items():
                waits = run.definition.family is Family.WAIT and run.state is StepState.WAITING
                if waits and signal_of(run.definition) in [signal for signal, _ in then.signals]:
                    yield f"{world.name_of(id)}.{name} waits for a signal that is there"


def _check_hold(world: World, books: Books) -> Iterator[str]:
    for id, chain in books.chains.items():
        held = False
        for record in chain.history:
            for event in record.events:
                if not event.step and event.to in set(ChainState):
                    held = event.to == ChainState.HELD
                began = event.step and (
                    (event.to == StepState.EXECUTING and "attempt" in event.data)
                    or event.to in ("asked", StepState.COMPENSATING)
                )
                if held and began:
                    yield f"{world.name_of(id)} is held, and {event.step} begins"


def _check_pivot(world: World, books: Books) -> Iterator[str]:
    for id, chain in books.chains.items():
        past = False
        for record in chain.history:
            for event in record.events:
                if past and event.to in (StepState.COMPENSATING, ChainState.ROLLING_BACK):
                    yield f"{world.name_of(id)} is past its pivot: {event.step} {event.to}"
                if chain.pivot is not None and event.step == chain.pivot.name:
                    past = past or event.to == StepState.COMPLETED


CHECKERS: Final[Mapping[str, Callable[[World, Books], Iterator[str]]]] = {
    "I2 recompute": _check_recompute,
    "I3 no overdraft": _check_overdraft,
    "I4 isolation": _check_isolation,
    "I6 net effect": _check_net_effect,
    "I6 outside effects": _check_outside_effects,
    "I7 once": _check_once,
    "I8 liens end": _check_liens,
    "I10 ends": _check_ends,
    "I10 late approvals": _check_late_approvals,
    "I11 signals": _check_signals,
    "I12 hold": _check_hold,
    "I13 pivot": _check_pivot,
}
"""By invariant: everything that is wrong, in words. I1, I7's history and I9 are in `check`."""


def list_moves(books: Books) -> Iterator[str]:
    """Every state and every transition that the chains went through."""
    for chain in books.chains.values():
        state, states = str(ChainState.CREATED), dict.fromkeys(chain.steps, str(StepState.PENDING))
        for record in chain.history:
            for event in record.events:
                if event.step and event.to in set(StepState):
                    yield f"step {states[event.step]} -> {event.to}"
                    states[event.step] = event.to
                elif not event.step and event.to in set(ChainState):
                    yield f"chain {state} -> {event.to}"
                    state = event.to
