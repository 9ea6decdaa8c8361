"""Seeded worlds over a real PostgreSQL, crashed at every boundary; every invariant is watched.

CATENA_LONG=1 plays every single crash of every shape, and 300 pairs; `python -m simulation.run`
plays one of them again.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import pytest

from simulation.crashes import PLACES, Crash, Fate
from simulation.run import Played, Tally, find_missing, list_crashes, play, sample_pairs
from simulation.twins import TWINS
from simulation.workload import SHAPES
from simulation.world import Installation, opening
from tests.postgres import Database

CRASHES = 3
"""Of each shape, in the short form."""

PAIRS = 300
SEEDS = range(1, 21)


class Regression(NamedTuple):
    """A play that once went wrong, and why."""

    shape: str
    seed: int
    crashes: Sequence[str]


REGRESSIONS: Final = {
    "undone although its step was still open": Regression("signals", 2, []),
    "undone twice, by its chain and as a late approval": Regression(
        "cancels", 2, ["load accounts#1:sleeps"]
    ),
}


@pytest.fixture
async def installation(database: Database) -> AsyncIterator[Installation]:
    """A database with simulated time."""
    async with opening(database.owner_dsn, database.service_dsn) as installation:
        yield installation


def prove(played: Played) -> Played:
    """Nothing went wrong in it."""
    assert not played.wrong, played.describe()
    return played


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_crash_here_and_there(installation: Installation, shape: str) -> None:
    """A shape without a crash, and with some that the seed picks, keeps every invariant."""
    prove(await play(installation, shape, 2))
    crashes = list(list_crashes(prove(await play(installation, shape, 1))))
    for crash in random.Random(shape).sample(crashes, CRASHES):
        prove(await play(installation, shape, 1, [crash]))


async def test_a_seed_plays_the_same_play(installation: Installation) -> None:
    """The same seed and the same crash: the same trace, to the last word."""
    crashes = [Crash("call", 2, Fate.SLEEPS)]
    first = await play(installation, "parallel", 7, crashes)
    again = await play(installation, "parallel", 7, crashes)
    assert first.struck == crashes
    assert first.trace == again.trace


@pytest.mark.parametrize("name", REGRESSIONS)
async def test_what_was_found_stays_mended(installation: Installation, name: str) -> None:
    """A play that once went wrong goes well."""
    shape, seed, crashes = REGRESSIONS[name]
    prove(await play(installation, shape, seed, [Crash.read(text) for text in crashes]))


@pytest.mark.parametrize("name", TWINS)
async def test_a_twin_is_caught(installation: Installation, name: str) -> None:
    """What is broken is seen by the checker that is there for it, and by none before."""
    twin = TWINS[name]
    for seed in range(twin.seed, twin.seed + 30):
        calm = await play(installation, twin.shape, seed)
        strikes = [[one] for one in list_crashes(calm) if (one.place, one.fate) == twin.crash]
        for crashes in strikes or [[]]:
            played = await play(installation, twin.shape, seed, crashes, twin.kind)
            if twin.checker in {checker for checker, _ in played.wrong}:
                prove(await play(installation, twin.shape, seed, crashes))
                return
    pytest.fail(f"{twin.checker} has not noticed: {name}")


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES)
async def test_every_crash(installation: Installation, shape: str) -> None:
    """At every boundary of every shape a process can die, be cut off, stall or sleep."""
    calm = prove(await play(installation, shape, 1))
    tally = Tally()
    for crash in list_crashes(calm):
        tally.add(await play(installation, shape, 1, [crash]))
    assert tally.count == sum(calm.count_places()) * len(Fate)
    assert not tally.wrong, tally.wrong[0].describe()


@pytest.mark.long
async def test_pairs_of_crashes_and_all_that_can_be_reached(installation: Installation) -> None:
    """Two crashes do no more harm than one; every state, transition, answer and fate was met."""
    tally = Tally()
    calm = [prove(await play(installation, shape, seed)) for seed in SEEDS for shape in SHAPES]
    for played in calm:
        tally.add(played)
    for played, pair in sample_pairs(calm, PAIRS, 1):
        tally.add(await play(installation, played.shape, played.seed, pair))
    for place in PLACES:
        where = next((one for one in calm if one.reached[place]), None)
        for fate in Fate if where is not None else ():
            assert where is not None
            crash = Crash(place, where.reached[place], fate)
            tally.add(await play(installation, where.shape, where.seed, [crash]))
    assert not tally.wrong, tally.wrong[0].describe()
    assert find_missing(tally) == []
