"""`catena verify`: what it says, and its exit code."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.commands import call, is_database_gone
from tests.corruptions import CORRUPTIONS, Spoiled, spoil


async def test_proven_books(spoiled: Spoiled, data_dir: Path) -> None:
    """Of right books it says so, and ends with 0."""
    settings = {"database_url": spoiled.database.service_dsn}
    ended = await call("verify", data_dir=data_dir, settings=settings)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"Ledger main ({spoiled.story.ledger.id}): every row agrees.\n"


async def test_spoiled_books(spoiled: Spoiled, data_dir: Path) -> None:
    """Each row that disagrees has a line that names it, and the exit code is 1."""
    corruption = next(one for one in CORRUPTIONS if one.name == "a line skips a number")
    await asyncio.to_thread(spoil, spoiled, corruption)
    settings = {"database_url": spoiled.database.service_dsn}
    ledger, ann = spoiled.story.ledger.id, spoiled.story.accounts["ann"]
    ended = await call("verify", "--ledger", "main", data_dir=data_dir, settings=settings)
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.splitlines() == [
        (
            f"line_numbers: line {ann}#12 at position {spoiled.story.entries['last']}:"
            " expected line 11; found line 12"
        ),
        f"Ledger main ({ledger}): 1 row disagrees.",
    ]


async def test_an_unknown_ledger(spoiled: Spoiled, data_dir: Path) -> None:
    """A ledger that is not there is no proof of anything."""
    settings = {"database_url": spoiled.database.service_dsn}
    ended = await call("verify", "--ledger", "other", data_dir=data_dir, settings=settings)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "catena: There is no ledger with this id or name.\n"


async def test_the_embedded_database(data_dir: Path) -> None:
    """Without a URL it starts the embedded database, and stops it in the end."""
    made = await call("migrate", data_dir=data_dir)
    assert made.code == 0
    ended = await call("verify", data_dir=data_dir)
    assert (ended.code, ended.out, ended.err) == (0, "There is no ledger yet.\n", "")
    assert is_database_gone(data_dir)


@pytest.mark.parametrize(
    "command", [["verify"], ["keys", "list"], ["export", "--format", "hledger"]], ids=str
)
async def test_a_wrong_directory_is_no_empty_book(data_dir: Path, command: list[str]) -> None:
    """What only looks makes no database: a directory without one is told, and left as it is."""
    ended = await call(*command, data_dir=data_dir)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"catena: There is no Catena in {data_dir}")
    assert not await asyncio.to_thread(data_dir.exists)
