"""`catena up`: everything is started in order, shown, and stopped in order."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from catena.db.embedded.directory import DataDirectory
from catena.db.embedded.postmaster import read_postmaster
from tests.commands import Command, call, is_database_gone, running

PATIENCE_SECONDS = 60.0
LAST_LINE = "alice, USD              428.00"


async def greeting(up: Command) -> tuple[str, str, str]:
    """Address, page of the API, and key, as they were shown."""
    address, docs = await up.read_value("address"), await up.read_value("docs")
    return address, docs, await up.read_value("key")


async def get(address: str, path: str, key: str) -> httpx2.Response:
    """Ask the service."""
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
        return await client.get(address + path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
async def test_the_first_start_shows_all_there_is(data_dir: Path, number: signal.Signals) -> None:
    """In an empty directory `up` gives an address, a key and a story, and ends without a trace."""
    async with running("up", data_dir=data_dir) as up:
        address, docs, key = await greeting(up)
        assert (await get(address, "/readyz", key)).status_code == 200
        assert "swagger-ui" in (await get(docs, "", key)).text
        (ledger,) = (await get(address, "/v1/ledgers", key)).json()["items"]
        assert ledger["name"] == "main"
        await up.read_until(LAST_LINE)
        ended = await up.end(number)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("Stopping.\nStopped.\n")
    assert is_database_gone(data_dir)


async def test_the_key_is_kept_for_its_owner_alone(data_dir: Path) -> None:
    """A later start shows the same key, which lies in a file of mode 0600, and tells no story."""
    async with running("up", data_dir=data_dir) as up:
        _, _, first = await greeting(up)
        await up.read_until(LAST_LINE)
        assert (await up.end(signal.SIGINT)).code == 0
    async with running("up", data_dir=data_dir) as up:
        address, _, second = await greeting(up)
        entries = (await get(address, "/v1/entries", second)).json()["items"]
        assert "Alice" not in (await up.end(signal.SIGINT)).out
    file = data_dir / "api-key"
    assert [first, second] == [file.read_text("ascii").strip()] * 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(entries) == 20


async def test_a_revoked_first_key_is_replaced(data_dir: Path) -> None:
    """When the kept key is in force no longer, a start makes another and keeps that."""
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        address, _, first = await greeting(up)
        assert (await up.end(signal.SIGINT)).code == 0
    (data_dir / "api-key").write_text("ctk_" + "x" * 43)
    async with running("up", data_dir=data_dir) as up:
        address, _, second = await greeting(up)
        assert first != second
        assert (await get(address, "/v1/ledgers", second)).status_code == 200
        assert "Alice" not in (await up.end(signal.SIGINT)).out


async def test_the_demo_tells_its_story_again(data_dir: Path) -> None:
    """`demo` finds the service and the key of `up` by the same settings, and moves money anew."""
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        address, _, key = await greeting(up)
        told = await call("demo", data_dir=data_dir, settings={"port": urlsplit(address).port or 0})
        assert (told.code, told.err) == (0, "")
        assert LAST_LINE in told.out
        assert "insufficient_funds" in told.out
        entries = (await get(address, "/v1/entries", key)).json()["items"]
        chains = (await get(address, "/v1/chains", key)).json()["items"]
        states = [chain["state"] for chain in chains]
        assert states == ["completed", "completed", "completed", "rolled_back"]
        assert len(entries) == 20


async def test_a_port_that_is_taken_is_told_plainly(data_dir: Path) -> None:
    """A second `up` on the same port ends with one sentence; the first one does not notice."""
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        address, _, key = await greeting(up)
        port = str(urlsplit(address).port)
        second = await call("up", "--port", port, data_dir=data_dir)
        assert (second.code, second.out) == (2, "")
        assert second.err.startswith(f"catena: Port {port} on 127.0.0.1 is taken")
        assert second.err.count("\n") == 1
        assert (await get(address, "/readyz", key)).status_code == 200


async def test_a_second_start_shares_the_database(data_dir: Path) -> None:
    """Two `up`s in one directory are two APIs over one database, which the last one stops."""
    async with (
        running("up", "--no-demo", data_dir=data_dir) as one,
        running("up", "--no-demo", data_dir=data_dir) as other,
    ):
        address, _, key = await greeting(one)
        other_address, _, other_key = await greeting(other)
        assert (address != other_address, key) == (True, other_key)
        assert (await one.end(signal.SIGINT)).code == 0
        (ledger,) = (await get(other_address, "/v1/ledgers", key)).json()["items"]
        assert ledger["name"] == "main"
        assert not is_database_gone(data_dir)
        assert (await other.end(signal.SIGINT)).code == 0
    assert is_database_gone(data_dir)


async def test_a_start_can_be_stopped(data_dir: Path) -> None:
    """Ctrl-C while the database is being made ends `up` quietly, and leaves no process."""
    async with running("up", data_dir=data_dir) as up:
        await up.read_until("Creating the database")
        ended = await up.end(signal.SIGINT)
    assert (ended.code, ended.err) == (0, "")
    assert is_database_gone(data_dir)
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        await greeting(up)


async def test_an_impatient_stop_is_still_in_order(data_dir: Path) -> None:
    """Several Ctrl-C do not interrupt the stopping."""
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        await greeting(up)
        up.send(signal.SIGINT)
        await up.read_until("Stopping.")
        up.send(signal.SIGINT)
        up.send(signal.SIGTERM)
        ended = await up.end()
    assert (ended.code, ended.err) == (0, "")
    assert is_database_gone(data_dir)


async def test_a_database_that_dies_is_started_again(data_dir: Path) -> None:
    """PostgreSQL is killed under a running `up`: it comes back by itself, with all that it had."""
    async with running("up", data_dir=data_dir) as up:
        address, _, key = await greeting(up)
        await up.read_until(LAST_LINE)
        before = (await get(address, "/v1/entries", key)).json()
        kill_database(data_dir)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await get(address, "/readyz", key)).status_code != 503:
                pass
            while (await get(address, "/readyz", key)).status_code != 200:
                pass
        assert (await get(address, "/v1/entries", key)).json() == before
        ended = await up.end(signal.SIGINT)
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    assert "database_restarted" in ended.err
    assert is_database_gone(data_dir)


def kill_database(data_dir: Path) -> None:
    """SIGKILL the embedded PostgreSQL."""
    postmaster = read_postmaster(DataDirectory(data_dir).cluster)
    assert postmaster is not None
    os.kill(postmaster.pid, signal.SIGKILL)
