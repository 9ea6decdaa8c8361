"""`catena serve`: one process or several on one port, which end together and are replaced."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from catena.db.embedded.directory import DataDirectory
from catena.db.embedded.postmaster import wait_until_gone
from tests.commands import Command, call, is_database_gone, list_files, running
from tests.postgres import Database

# Each process draws the first 20 digits of its request ids, and counts in the others.
PROCESS_OF_ID = slice(len("req_"), len("req_") + 20)
PATIENCE_SECONDS = 60.0


async def read_log(serve: Command, event: str) -> dict[str, Any]:
    """Read its log up to this event."""
    line: dict[str, Any] = json.loads(await serve.read_until(f'"message": "{event}"'))
    return line


async def wait_for_processes(address: str, count: int) -> None:
    """Connect anew again and again, until so many processes have answered."""
    seen: set[str] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(seen) < count:
            async with httpx2.AsyncClient() as client:
                answer = await client.get(f"{address}/livez")
            assert answer.status_code == 200
            seen.add(answer.headers["request-id"][PROCESS_OF_ID])


@pytest.fixture
def settings(database: Database) -> dict[str, object]:
    """A database that is set and migrated."""
    return {"database_url": database.service_dsn}


async def test_one_process_logs_json_and_ends_in_order(
    data_dir: Path, settings: dict[str, object]
) -> None:
    """Without more ado one process serves; each line of its log is JSON, nothing is on stdout."""
    async with running("serve", data_dir=data_dir, settings=settings, log=True) as serve:
        serving = await read_log(serve, "serving")
        await wait_for_processes(serving["address"], 1)
        ended = await serve.end(signal.SIGTERM)
    assert (ended.code, ended.out) == (0, "")
    events = [json.loads(line) for line in ended.err.splitlines()]
    assert [event["message"] for event in events] == ["serving", "stopped"]
    assert {event["level"] for event in events} == {"info"}
    assert list_files(data_dir) == []


async def test_several_processes_share_a_port(data_dir: Path, settings: dict[str, object]) -> None:
    """Both of two processes answer on one port, which nobody else can take; both end in order."""
    two = ("serve", "--processes", "2")
    async with running(*two, data_dir=data_dir, settings=settings, log=True) as serve:
        address = (await read_log(serve, "serving"))["address"]
        await wait_for_processes(address, 2)
        port = str(urlsplit(address).port)
        intruder = await call(*two, "--port", port, data_dir=data_dir, settings=settings)
        assert (intruder.code, "is taken" in intruder.err) == (2, True)
        ended = await serve.end(signal.SIGINT)
    assert ended.code == 0
    assert {json.loads(line)["level"] for line in ended.err.splitlines()} == {"info"}


async def test_a_process_that_dies_is_replaced(data_dir: Path, settings: dict[str, object]) -> None:
    """When one process is killed, another takes its place on the same port."""
    two = ("serve", "--processes", "2")
    async with running(*two, data_dir=data_dir, settings=settings, log=True) as serve:
        victim = (await read_log(serve, "process_started"))["pid"]
        address = (await read_log(serve, "serving"))["address"]
        os.kill(victim, signal.SIGKILL)
        died = await read_log(serve, "process_ended")
        assert (died["pid"], died["code"]) == (victim, -signal.SIGKILL)
        await read_log(serve, "process_started")
        await wait_for_processes(address, 2)
        assert (await serve.end(signal.SIGTERM)).code == 0


async def test_processes_end_with_the_one_that_started_them(data_dir: Path) -> None:
    """When the first process is killed, the others end by themselves, and so does the database."""
    two = ("serve", "--processes", "2")
    async with running(*two, data_dir=data_dir, log=True) as serve:
        await read_log(serve, "serving")
        assert (await serve.end(signal.SIGKILL)).code == -signal.SIGKILL
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.to_thread(wait_until_gone, DataDirectory(data_dir))
    assert is_database_gone(data_dir)
