"""Between an API process and its database the line is cut, most often when a write was made.

Whether it was made cannot be known then, only asked. CATENA_LONG=1 cuts ten times as often.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import pytest

from catena.db.embedded import EmbeddedPostgres
from tests.postgres import Database
from tests.stories.audit import check_books, check_replays
from tests.stories.bank import Bank, insist, open_bank
from tests.stories.processes import serving
from tests.stories.wire import Wire

LONG: Final = os.environ.get("CATENA_LONG") == "1"
TELLERS: Final = 8
ORDERS: Final = 400 if LONG else 40
ROUNDS_MAX: Final = 10
CHUNK_BYTES: Final = 65_536
WRITE_BYTES: Final = 600
"""A question so long brings entries that are to be committed."""
ODDS: Final = 1 / 200
WRITE_ODDS: Final = 1 / 10
"""How likely a word is lost; and the answer to a write."""

_log = logging.getLogger(__name__)


async def test_a_commit_whose_answer_was_lost_is_asked_for_and_never_guessed(
    postgres_server: EmbeddedPostgres, database: Database
) -> None:
    """Whichever word on the line to the database is lost, each order takes effect once."""
    draw = random.Random(10)
    async with (
        _open_line(postgres_server, draw) as line,
        serving(line.dsn(database.service_dsn)) as processes,
        open_bank(database.owner_dsn, processes[0], 16) as bank,
    ):
        line.cutting = True
        for _ in range(ROUNDS_MAX):
            async with asyncio.TaskGroup() as tellers:
                for _ in range(TELLERS):
                    pair = [bank.speak_to(process) for process in processes]
                    tellers.create_task(_order(bank, pair, random.Random(draw.random())))
            # It is a replay when the commit had been made, and its answer was lost on the line.
            if bank.tally["first answer was a replay"] > 0:
                break
        else:
            pytest.fail("No answer to a commit was lost.")
        line.cutting = False
        await check_replays(bank, processes, draw, keys=100)
    await check_books(database.owner_dsn, bank)
    _log.info("%s, %s", dict(line.lost), dict(bank.tally))


async def _order(bank: Bank, wires: list[Wire], draw: random.Random) -> None:
    for _ in range(ORDERS):
        await insist(bank, bank.draw(draw), draw.sample(wires, 2))


class _Line:
    """What API processes take for their database; it carries every byte, until it is cut."""

    def __init__(self, server: EmbeddedPostgres, draw: random.Random) -> None:
        self.cutting = False
        self.lost: Counter[str] = Counter()
        self.port = 0
        self._address = server.address
        self._draw = draw

    def dsn(self, dsn: str) -> str:
        """The same database by way of this line."""
        url = urlsplit(dsn)
        login, _, _ = url.netloc.rpartition("@")
        return f"postgresql://{login}@127.0.0.1:{self.port}{url.path}?sslmode=disable"

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        if self._address.is_socket:
            there = await asyncio.open_unix_connection(self._address.socket_path)
        else:
            there = await asyncio.open_connection(self._address.host, self._address.port)
        far_reader, far_writer = there
        asked = 0

        async def ask() -> None:
            nonlocal asked
            while data := await reader.read(CHUNK_BYTES):
                asked = len(data)
                if self._is_cut("questions", ODDS):
                    return
                far_writer.write(data)

        async def answer() -> None:
            while data := await far_reader.read(CHUNK_BYTES):
                if self._is_cut("answers", WRITE_ODDS if asked > WRITE_BYTES else ODDS):
                    return
                writer.write(data)

        carrying = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, far_writer):
            end.close()
        # Either side may have gone first.
        await asyncio.gather(
            *carrying, writer.wait_closed(), far_writer.wait_closed(), return_exceptions=True
        )

    def _is_cut(self, what: str, odds: float) -> bool:
        cut = self.cutting and self._draw.random() < odds
        self.lost[what] += cut
        return cut


@asynccontextmanager
async def _open_line(server: EmbeddedPostgres, draw: random.Random) -> AsyncIterator[_Line]:
    line = _Line(server, draw)
    carried: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        carried.add(task)
        await line.carry(reader, writer)

    listener = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with listener:
        line.port = listener.sockets[0].getsockname()[1]
        yield line
    await asyncio.gather(*carried)
