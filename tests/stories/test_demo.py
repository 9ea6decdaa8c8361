"""What README and docs show is what happens: their examples are run, their answers compared."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from pathlib import Path

import httpx2
import pytest

from catena.db.embedded import EmbeddedPostgres, start_embedded
from catena.db.embedded.cluster import ADMIN, OWNER, SERVICE
from tests.commands import call, running
from tests.postgres import QUICK_AND_FORGETFUL, ask
from tests.tidy.rules import REPO
from tests.walkthrough import compare, list_blocks, run, walk

README = REPO / "README.md"
HERE = "http://127.0.0.1:8080"
BOX = "http://127.0.0.1:8090"
LAST_LINE = "alice, USD              428.00"
KEY = re.compile(r"ctk_[\w-]{43}")

# They say what is particular to somebody else's service; its counterparts are asked by the oracles.
OF_OTHERS = {"bank", "stripe"}

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
async def test_the_first_hour_is_as_readme_tells_it(data_dir: Path) -> None:
    """The first start says and plays what README shows, and every example in it is answered so."""
    told = "\n".join(block.text for block in list_blocks(README) if block.language == "text")
    async with running("up", data_dir=data_dir, settings={"log_level": "warning"}) as up:
        address, sandbox = await up.read_value("address"), await up.read_value("sandbox")
        await up.read_until(LAST_LINE)
        instead = {HERE: address, ".catena": data_dir.name}
        answers = await asyncio.to_thread(walk, README, data_dir.parent, instead)
        shown = (await up.end(signal.SIGINT)).out
    for real, shown_so in ((address, HERE), (sandbox, BOX), (str(data_dir), ".catena")):
        shown = shown.replace(real, shown_so)
    assert shown == KEY.sub(_find_key(shown), told) + "Stopping.\nStopped.\n"
    assert answers == 11


@needs_curl
async def test_the_next_hour_is_as_start_tells_it(data_dir: Path) -> None:
    """Every example of docs/start.md is answered as it shows, in an empty ledger."""
    page = REPO / "docs" / "start.md"
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        address = await up.read_value("address")
        await up.read_value("database")
        settings = f"--data-dir {data_dir.name} --name"
        instead = {HERE: address, ".catena": data_dir.name, "--name": settings}
        assert await asyncio.to_thread(walk, page, data_dir.parent, instead) == 4
        assert (await up.end(signal.SIGINT)).code == 0


@needs_curl
async def test_the_guides_are_as_told(data_dir: Path) -> None:
    """Every example of docs/guides is answered as it shows, in a ledger of them all."""
    pages = sorted((REPO / "docs" / "guides").glob("*.md"))
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        instead = {
            HERE: await up.read_value("address"),
            ".catena": data_dir.name,
            "catena gateways": f"catena gateways --data-dir {data_dir.name}",
        }
        await up.read_value("database")
        for page in pages:
            answers = await asyncio.to_thread(walk, page, data_dir.parent, instead)
            assert (answers > 0) is (page.stem not in {"README", *OF_OTHERS}), page.name
        assert (await up.end(signal.SIGINT)).code == 0


async def test_a_database_of_ones_own_takes_over(data_dir: Path) -> None:
    """As docs/operating.md says: a server is prepared, and takes what the embedded one had."""
    blocks = list_blocks(REPO / "docs" / "operating.md")
    (prepare,) = (block.text for block in blocks if block.language == "sql")
    dump, restore = (block.text for block in blocks if block.language == "sh")
    async with running("up", data_dir=data_dir) as up:
        await up.read_until(LAST_LINE)
        await asyncio.to_thread(run, dump.replace(".catena", data_dir.name), data_dir.parent)
        assert (await up.end(signal.SIGINT)).code == 0
    with start_embedded(data_dir.parent / "own", settings=QUICK_AND_FORGETFUL) as own:
        await asyncio.to_thread(_forget_roles, own)
        await asyncio.to_thread(
            ask, own.dsn(ADMIN, "postgres"), *prepare.strip().split("\n"), "SELECT 1"
        )
        owner, service = (
            own.dsn(role).replace(own.dsn(role).split(":")[2].split("@")[0], password)
            for role, password in ((OWNER, "choose-one"), (SERVICE, "choose-another"))
        )
        settings = {"database_url": service, "migration_url": owner}
        script = restore.replace("$CATENA_MIGRATION_URL", owner)
        await asyncio.to_thread(run, script, data_dir.parent)
        migrated = await call("migrate", data_dir=data_dir, settings=settings)
        verified = await call("verify", data_dir=data_dir, settings=settings)
        async with running("up", data_dir=data_dir, settings=settings) as up:
            address, key = await up.read_value("address"), await up.read_value("key")
            async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
                entries = (await client.get(f"{address}/v1/entries")).json()["items"]
            assert (await up.end(signal.SIGINT)).code == 0
    assert migrated.out == "The schema is up to date.\n"
    assert (verified.code, "every row agrees" in verified.out) == (0, True)
    assert key == (data_dir / "api-key").read_text("ascii").strip()
    assert len(entries) == 20


def _forget_roles(server: EmbeddedPostgres) -> None:
    """Make the server one that has never heard of Catena."""
    drop = ("DROP DATABASE catena", f"DROP ROLE {OWNER}", f"DROP ROLE {SERVICE}")
    ask(server.dsn(ADMIN, "postgres"), *drop, "SELECT 1")


def _find_key(shown: str) -> str:
    found = KEY.search(shown)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("told", "real", "agrees"),
    [
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"a": True}, False),
        ([1, 2], [1], False),
        ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", True),
        ("2026-01-01T00:00:00Z", "soon", False),
        (["x_" + "0" * 32, "x_" + "0" * 32], ["x_" + "1" * 32, "x_" + "1" * 32], True),
        (["x_" + "0" * 32, "x_" + "0" * 32], ["x_" + "1" * 32, "x_" + "2" * 32], False),
    ],
)
def test_answers_are_held_against_the_page(told: object, real: object, agrees: bool) -> None:  # noqa: FBT001
    """What differs is found; only ids and moments may, and an id that comes twice stays one."""
    assert (list(compare(told, real, {})) == []) is agrees
