"""`python -m simulation.run`: plays worlds by their seeds, checks each, prints what was reached.

Invariant: a seed, a shape and its crashes make one play, the same every time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from catena.chains.states import CHAIN_MOVES, STEP_MOVES
from catena.db.embedded import start_embedded
from catena.db.embedded.cluster import OWNER, SERVICE
from catena.db.migrate import migrate
from simulation.checkers import check, list_moves
from simulation.crashes import CALL, PLACES, Crash, Fate
from simulation.process import Process
from simulation.workload import SHAPES
from simulation.world import Installation, World, opening

__all__ = ["UNREACHABLE", "Played", "Tally", "find_missing", "list_crashes", "play", "sample_pairs"]

UNREACHABLE: Final = {
    "chain validated -> rolled_back": "started and validated are one commit",
    "step waiting -> unknown": "these partners forget nothing",
    "step waiting -> pending": "a look-up tells of refusals for good alone; webhooks may tell more",
}
"""Transitions that no play can reach, and why."""


@dataclass(frozen=True, slots=True)
class Played:
    """A world at its end. `wrong`: (checker, words). `reached`: how often each place was."""

    shape: str
    seed: int
    crashes: Sequence[Crash]
    struck: Sequence[Crash]
    reached: Counter[str]
    moves: Counter[str]
    said: Counter[str]
    wrong: Sequence[tuple[str, str]]
    trace: Sequence[str]

    def count_places(self) -> Iterator[int]:
        """How often each place was reached at which it could be struck."""
        return (count for place, count in self.reached.items() if place in PLACES)

    def describe(self) -> str:
        """What went wrong, how to play it again, and the play."""
        crashes = "".join(f" --crash '{crash}'" for crash in self.crashes)
        command = f"python -m simulation.run --seed {self.seed} --shape {self.shape}{crashes}"
        wrong = [f"{checker}: {words}" for checker, words in self.wrong]
        return "\n".join([command, *wrong, *(f"    {line}" for line in self.trace)])


async def play(
    installation: Installation,
    shape: str,
    seed: int,
    crashes: Sequence[Crash] = (),
    kind: type[Process] = Process,
) -> Played:
    """Play one world, and check it."""
    world = World(installation, SHAPES[shape], seed, crashes, kind)
    try:
        await world.run()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is to be told with its seed
        world.wrong.append(("play", f"{type(error).__name__}: {error}"))
    books = await check(world)
    moves = Counter(list_moves(books)) if books is not None else Counter[str]()
    said = world.partner.said if world.is_played else Counter[str]()
    return Played(
        shape, seed, crashes, world.struck, world.reached, moves, said, world.wrong, world.trace
    )


def list_crashes(calm: Played) -> Iterator[Crash]:
    """Every single crash of a play that was played without one."""
    for place, count in calm.reached.items():
        if place not in PLACES:
            continue
        for number in range(1, count + 1):
            for fate in Fate:
                yield Crash(place, number, fate)


def sample_pairs(
    plays: Sequence[Played], count: int, seed: int
) -> Iterator[tuple[Played, Sequence[Crash]]]:
    """Pairs of crashes of some plays."""
    source = random.Random(seed)
    for _ in range(count):
        calm = source.choice(plays)
        yield calm, sorted(source.sample(list(list_crashes(calm)), 2))


@dataclass(slots=True)
class Tally:
    """What many plays reached, and those that went wrong."""

    count: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    wrong: list[Played] = field(default_factory=list)

    def add(self, played: Played) -> None:
        """Count a play."""
        self.count += 1
        self.reached.update(played.moves)
        self.reached.update({f"partner {said}": n for said, n in played.said.items()})
        self.reached.update(name for name in played.reached if name.startswith("command "))
        self.reached.update(f"crash {crash.place} {crash.fate}" for crash in played.struck)
        if played.wrong:
            self.wrong.append(played)

    def print(self) -> None:
        """A table of counts."""
        for name, count in sorted(self.reached.items()):
            print(f"{count:>8}  {name}")
        for name in find_missing(self):
            print(f"{0:>8}  {name}")
        print(f"{self.count:>8}  plays, {len(self.wrong)} of them wrong")


def find_missing(tally: Tally) -> list[str]:
    """What sometimes happens, and did not: states, transitions, and answers of partners."""
    moves = [f"chain {move.before} -> {move.after}" for move in CHAIN_MOVES]
    moves += [f"step {move.before} -> {move.after}" for move in STEP_MOVES]
    moves += [
        f"partner {said}"
        for said in (
            "forward approved", "forward declined", "forward pending", "forward unknown",
            "look_up approved", "look_up declined", "look_up pending", "look_up not_found",
            "cancel approved", "cancel declined", "undo approved", "undo declined",
            "undo pending", "undo unknown", "undo_look_up approved", "undo_look_up not_found",
        )
    ]  # fmt: skip
    moves += [f"crash {CALL} {fate}" for fate in Fate]
    moves += [f"crash {place} {fate}" for place in ("claim", "write", "commit") for fate in Fate]
    return [move for move in moves if move not in tally.reached and move not in UNREACHABLE]


# --- the command ------------------------------------------------------------------------------


@asynccontextmanager
async def _embedded() -> AsyncIterator[Installation]:
    """A PostgreSQL of its own, which is gone afterwards."""
    directory = _make_directory()
    try:
        settings = {"fsync": "off", "full_page_writes": "off"}
        server = await asyncio.to_thread(start_embedded, directory / "postgres", settings=settings)
        try:
            await migrate(server.dsn(OWNER))
            async with opening(server.dsn(OWNER), server.dsn(SERVICE)) as installation:
                yield installation
        finally:
            await asyncio.to_thread(server.stop)
    finally:
        shutil.rmtree(directory)


def _make_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="catena-simulation-"))
    directory.chmod(0o711)  # the server of root may be another account's
    return directory


async def _play_all(installation: Installation, options: argparse.Namespace, tally: Tally) -> None:
    shapes = [options.shape] if options.shape else list(SHAPES)
    crashes = [Crash.read(text) for text in options.crash]
    seeds: Iterable[int] = range(options.seed, options.seed + options.runs)
    for seed in seeds:
        calm = []
        for shape in shapes:
            played = await play(installation, shape, seed, crashes)
            calm.append(played)
            _take(tally, played, options)
            if options.every:
                for crash in list_crashes(played):
                    _take(tally, await play(installation, shape, seed, [crash]), options)
        for pair in sample_pairs(calm, options.pairs, seed):
            _take(tally, await play(installation, pair[0].shape, seed, pair[1]), options)


def _take(tally: Tally, played: Played, options: argparse.Namespace) -> None:
    tally.add(played)
    if (played.wrong and len(tally.wrong) <= options.failures) or options.trace:
        print(played.describe(), flush=True)


async def _main(options: argparse.Namespace) -> int:
    tally = Tally()
    async with _embedded() as installation:
        await _play_all(installation, options, tally)
    tally.print()
    return 1 if tally.wrong else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1, help="seeds from there on")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="this one alone")
    parser.add_argument("--crash", action="append", default=[], help="such as write#3:dies_after")
    parser.add_argument("--every", action="store_true", help="every single crash of every play")
    parser.add_argument("--pairs", type=int, default=0, help="so many pairs of crashes a seed")
    parser.add_argument("--failures", type=int, default=3, help="plays that are told, at most")
    parser.add_argument("--trace", action="store_true", help="tell every play")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(_parse(sys.argv[1:]))))
