"""`catena up` has a sandbox beside it: connected, kept alive, remembered, and stopped with it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2

from catena.db.embedded.directory import opening_lock, try_lock
from tests.commands import Command, call, list_files, running
from tests.sandbox.running import run_sandbox

PATIENCE_SECONDS = 60.0


class Visitor:
    """Asks a service for a deposit by way of the sandbox."""

    def __init__(self, address: str, http: httpx2.AsyncClient) -> None:
        self.address = address
        self.http = http

    async def post(self, path: str, body: object) -> Any:  # noqa: ANN401  # any JSON
        """Send with a fresh key, and wait for the end of what it begins."""
        headers = {"Idempotency-Key": uuid4().hex, "Prefer": "wait=30"}
        answer = await self.http.post(self.address + path, json=body, headers=headers)
        return answer.json()

    async def pay_in(self) -> Any:  # noqa: ANN401  # any JSON
        """A deposit of a fresh wallet."""
        wallet = await self.post("/v1/accounts", {"currency": "USD", "user_id": "u"})
        return await self.post(
            "/v1/deposits",
            {
                "gateway": "sandbox",
                "account_id": wallet["id"],
                "amount": 100,
                "currency": "USD",
                "method": {"type": "card", "token": "tok_approved"},
            },
        )


@asynccontextmanager
async def visiting(up: Command) -> AsyncIterator[Visitor]:
    """Speak to what `up` has started."""
    address, key = await up.read_value("address"), await up.read_value("key")
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as http:
        yield Visitor(address, http)


def read_kept(data_dir: Path) -> dict[str, str]:
    """What is kept of the sandbox."""
    kept: dict[str, str] = tomllib.loads((data_dir / "sandbox.toml").read_text())["sandbox"]
    return kept


def find_process(data_dir: Path) -> int | None:
    """The process of its sandbox, if there is one."""
    folder = str(data_dir / "sandbox").encode()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if folder in words and b"sandbox" in words:
            return int(place.parent.name)
    return None


def wait_for_another(data_dir: Path, before: int | None) -> None:
    """Until another process of it runs."""
    deadline = monotonic() + PATIENCE_SECONDS
    while find_process(data_dir) in {None, before}:
        assert monotonic() < deadline


async def test_it_is_the_gateway_of_the_first_ledger(data_dir: Path) -> None:
    """Killed, it comes back at its port; stopped, nothing is left; started again, it has the same
    secrets, at another port if its own is taken, and webhooks go to the new address alone.
    """
    async with running("up", "--no-demo", data_dir=data_dir) as up, visiting(up) as visitor:
        url = await up.read_value("sandbox")
        assert (await visitor.pay_in())["state"] == "completed"
        killed = find_process(data_dir)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        assert (await visitor.pay_in())["state"] == "completed"
        assert find_process(data_dir) not in {None, killed}
        listed = await call("gateways", data_dir=data_dir)
        reconciled = await call("reconcile", "sandbox", data_dir=data_dir)
        name, kind, ledger, _, hook = listed.out.strip().split("\t")
        ended = await up.end(signal.SIGINT)
    before = read_kept(data_dir)
    assert (name, kind, ledger, url) == ("sandbox", "sandbox", before["ledger"], before["url"])
    assert (reconciled.code, "2 new lines" in reconciled.out) == (0, True), reconciled
    assert stat.S_IMODE((data_dir / "sandbox.toml").stat().st_mode) == 0o600
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    assert "sandbox_ended" in ended.err
    assert find_process(data_dir) is None

    port = urlsplit(url).port
    assert port is not None
    with socket.create_server(("127.0.0.1", port)):
        async with running("up", "--no-demo", data_dir=data_dir) as up, visiting(up) as visitor:
            elsewhere = await up.read_value("sandbox")
            assert (await visitor.pay_in())["state"] == "completed"
            hooks = await read_hooks(data_dir, 1)
            assert hooks == [visitor.address + hook]
            assert (await up.end(signal.SIGINT)).code == 0
    after = read_kept(data_dir)
    assert (elsewhere, url) == (after["url"], before["url"])
    assert elsewhere != url
    assert {**after, "url": url} == before


async def read_hooks(data_dir: Path, count: int) -> list[str]:
    """Where its webhooks go, once there are so many places."""
    kept = read_kept(data_dir)
    headers = {"Authorization": f"Bearer {kept['api_key']}"}
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        httpx2.AsyncClient(base_url=kept["url"], headers=headers) as http,
    ):
        while True:
            found = (await http.get("/v1/webhook_endpoints")).json()["data"]
            if len(found) == count:
                return [one["url"] for one in found]


async def test_a_second_start_shares_it_and_takes_it_over(data_dir: Path) -> None:
    """Two `up`s in one directory have one sandbox; when its own is killed, the other runs it."""
    async with (
        running("up", "--no-demo", data_dir=data_dir) as one,
        visiting(one),
        running("up", "--no-demo", data_dir=data_dir) as other,
        visiting(other) as visitor,
    ):
        assert await one.read_value("sandbox") == await other.read_value("sandbox")
        assert (await visitor.pay_in())["state"] == "completed"
        first = find_process(data_dir)
        one.send(signal.SIGKILL)
        await asyncio.to_thread(wait_for_another, data_dir, first)
        assert (await visitor.pay_in())["state"] == "completed"
        assert (await other.end(signal.SIGINT)).code == 0
    assert find_process(data_dir) is None


async def test_it_waits_for_a_port_that_is_let_go_after_the_lock(data_dir: Path) -> None:
    """Its address is known to others: the one who takes over waits for that port."""
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        port = urlsplit(await up.read_value("sandbox")).port
        assert port is not None
        await up.end(signal.SIGINT)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        with opening_lock(data_dir / "sandbox.lock") as lock:
            assert try_lock(lock)
            up = await stack.enter_async_context(running("up", "--no-demo", data_dir=data_dir))
            visitor = await stack.enter_async_context(visiting(up))
        await up.wait_aside("sandbox_waits_for_its_port")
        listener.close()
        assert (await visitor.pay_in())["state"] == "completed"
        assert (await up.end(signal.SIGINT)).code == 0


async def test_a_gateway_of_ones_own_takes_its_place(data_dir: Path) -> None:
    """`up` knows the gateways of CATENA_GATEWAYS_FILE, and starts none when one is called so."""
    file = data_dir.parent / "gateways.toml"
    with run_sandbox() as sandbox:
        file.write_text(
            f'[sandbox]\nkind = "sandbox"\nurl = "{sandbox.address}"\napi_key = "env:BOX_KEY"\n'
            f'webhook_secret = "whsec_{"A" * 32}"\n'
        )
        secrets = {"BOX_KEY": sandbox.api_key}
        async with (
            running(
                *("up", "--no-demo"),
                data_dir=data_dir,
                settings={"gateways_file": file},
                environment=secrets,
            ) as up,
            visiting(up) as visitor,
        ):
            await up.read_value("database")
            assert (await visitor.pay_in())["state"] == "completed"
            assert find_process(data_dir) is None
            ended = await up.end(signal.SIGINT)
    assert (ended.code, ended.err, "  sandbox" in ended.out) == (0, "", False)
    assert not (data_dir / "sandbox.toml").exists()


async def test_it_can_be_left_out(data_dir: Path) -> None:
    """With --no-sandbox the ledger has no such gateway; the demo is told without it."""
    async with running("up", "--no-sandbox", data_dir=data_dir) as up, visiting(up) as visitor:
        refused = await visitor.pay_in()
        assert refused["errors"] == [{"pointer": "/gateway", "detail": "No gateway has this name."}]
        await up.read_until("This time Dave asks")
        await up.read_until("alice, PTS")
        ended = await up.end(signal.SIGINT)
    assert (ended.code, ended.err, "by card" in ended.out) == (0, "", False)


async def test_a_wrong_file_is_told_plainly(data_dir: Path) -> None:
    """Before anything starts, in one sentence that shows no secret."""
    file = data_dir.parent / "gateways.toml"
    file.write_text('[stripe]\nkind = "stripe"\napi_key = "env:NOWHERE"\n')
    ended = await call("up", data_dir=data_dir, settings={"gateways_file": file})
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "catena: The gateway stripe: the variable NOWHERE is not set.\n"
    assert list_files(data_dir) == []
