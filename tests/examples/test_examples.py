"""The examples print what is committed beside them; a step type is found by its entry point."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.commands import call, running
from tests.tidy.rules import REPO

EXAMPLES = REPO / "examples"
STORIES = sorted(path.stem for path in EXAMPLES.glob("*.txt"))
ELSEWHERE = {"SHIPPING_URL": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the plugin, as pip installs it."""
    site = tmp_path_factory.mktemp("site")
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    asyncio.run(
        run_python(
            *("-m", "pip", "install", *options, "--no-build-isolation"),
            *("--target", str(site), str(EXAMPLES / "step_plugin")),
        )
    )
    return site


async def run_python(*arguments: str) -> str:
    """Run Python to its end; gives what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-B", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@asynccontextmanager
async def pretending_carrier() -> AsyncIterator[str]:
    """The carrier of the examples, on a port of its own; gives its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-B", str(EXAMPLES / "pretend_carrier.py")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.communicate()


async def test_the_examples_print_what_is_committed(data_dir: Path, site: Path) -> None:
    """Each is run against a real service, the plugin and its carrier with it."""
    printed = {}
    async with pretending_carrier() as carrier:
        environment = {"PYTHONPATH": str(site), "SHIPPING_URL": carrier}
        settings = {"allow_private_addresses": "true"}
        async with running(
            "up", "--no-demo", data_dir=data_dir, settings=settings, environment=environment
        ) as up:
            address = await up.read_value("address")
            await up.read_value("database")
            for name in STORIES:
                program, key = EXAMPLES / f"{name}.py", data_dir / "api-key"
                printed[name] = await run_python(str(program), address, str(key))
            assert (await up.end(signal.SIGINT)).code == 0
        async with httpx2.AsyncClient() as client:
            booked = (await client.get(f"{carrier}/bookings")).json()
        verified = await call("verify", data_dir=data_dir, environment=environment)
    assert printed == {name: (EXAMPLES / f"{name}.txt").read_text("utf-8") for name in STORIES}
    assert {id: (b["town"], b["state"]) for id, b in booked.items()} == {
        "B-1": ("Lisbon", "cancelled"),
        "B-2": ("Farway", "booked"),
    }
    assert verified.code == 0, verified.out


async def test_what_an_example_cannot_go_on_from_is_a_sentence(data_dir: Path) -> None:
    """Without a service, a key, the plugin, or one ledger to be in."""
    key = data_dir / "api-key"
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        address = await up.read_value("address")
        secret = await up.read_value("key")
        await up.read_value("database")
        said = [await run_badly("purchase.py", address, str(key) + "-none")]
        said.append(await run_badly("shipping.py", address, str(key)))
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "second"}
        async with httpx2.AsyncClient(base_url=address, headers=headers) as client:
            await client.post("/v1/ledgers", json={"name": "second"})
        said.append(await run_badly("hold_and_capture.py", address, str(key)))
        assert (await up.end(signal.SIGINT)).code == 0
    said.append(await run_badly("payout.py", address, str(key)))
    begin = ("There is no key in", "The service has no shipping.book", "The request does not say")
    for text, expected in zip(said, (*begin, "No service answers at"), strict=True):
        assert text.startswith(expected)
        assert text.count("\n") == 1


async def run_badly(program: str, *arguments: str) -> str:
    """Run an example that ends early; gives what it says of that."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-B", str(EXAMPLES / program), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    return err.decode()


def test_every_example_is_committed_with_what_it_prints() -> None:
    """A program that can be run by itself has its output beside it."""
    stories = {p.stem for p in EXAMPLES.glob("*.py") if "from caller import" in p.read_text()}
    assert stories == set(STORIES)


async def test_a_plugin_that_fails_ends_the_start(data_dir: Path, site: Path) -> None:
    """It is found by its entry point, and what it raises is told in a sentence."""
    ended = await call("up", data_dir=data_dir, environment={"PYTHONPATH": str(site)})
    assert ended.code == 2
    assert ended.err == (
        "catena: The step type shipping cannot be loaded: SHIPPING_URL must say where the carrier"
        " is.\n"
    )


def write_plugin(directory: Path, *lines: str) -> str:
    """Another plugin, which those lines make of the first: on a path."""
    (directory / "catena_other-1.dist-info").mkdir(parents=True)
    files = {
        "METADATA": "Metadata-Version: 2.1\nName: catena-other\nVersion: 1\n",
        "entry_points.txt": "[catena.steps]\nother = catena_other:make_step\n",
        "../catena_other.py": "\n".join(
            [
                "from catena_shipping import ShippingStep, make_step as make",
                "class Other(ShippingStep):",
                *(f"    {line}" for line in lines),
                "def make_step():",
                "    return Other('')",
            ]
        ),
    }
    for file, text in files.items():
        (directory / "catena_other-1.dist-info" / file).write_text(text, "utf-8")
    return str(directory)


def telling(path: Path, more: str) -> list[str]:
    """Lines of a plugin that writes down when it is entered and left, and does `more` there."""
    return [
        "type = ShippingStep.type._replace(name='other')",
        "async def __aenter__(self):",
        f"    open({str(path)!r}, 'a').write('entered ')",
        f"    {more}",
        "async def __aexit__(self, *_):",
        f"    open({str(path)!r}, 'a').write('left ')",
        f"    {more}",
    ]


@pytest.mark.parametrize(("options", "told"), [((), "entered left "), (("--no-work",), "")])
async def test_a_plugin_is_entered_and_left(
    data_dir: Path, site: Path, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    """By each process that makes calls, and by no other; it is left when that stops in order."""
    seen = tmp_path / "seen"
    seen.touch()
    other = write_plugin(tmp_path / "other", *telling(seen, "pass"))
    environment = {**ELSEWHERE, "PYTHONPATH": os.pathsep.join([str(site), other])}
    async with running(
        *("serve", *options), data_dir=data_dir, environment=environment, log=True
    ) as serving:
        await serving.read_until('"message": "serving"')
        assert seen.read_text() == told.removesuffix("left ")
        assert (await serving.end(signal.SIGTERM)).code == 0
    assert seen.read_text() == told


async def test_a_plugin_that_cannot_be_entered_ends_the_start(
    data_dir: Path, site: Path, tmp_path: Path
) -> None:
    """What it raises is told in a sentence; those that were entered before are left."""
    other = write_plugin(tmp_path / "other", *telling(tmp_path / "seen", "raise OSError('No.')"))
    path = os.pathsep.join([str(site), other])
    ended = await call("up", data_dir=data_dir, environment={**ELSEWHERE, "PYTHONPATH": path})
    assert (ended.code, ended.err) == (2, "catena: The step type other cannot be opened: No.\n")
    assert (tmp_path / "seen").read_text() == "entered "


@pytest.mark.parametrize("name", ["shipping.book", "transfer"])
async def test_two_types_of_one_name_are_refused(
    data_dir: Path, site: Path, tmp_path: Path, name: str
) -> None:
    """Whether both are plugins or one is built in, the service does not start."""
    renamed = f"type = ShippingStep.type._replace(name={name!r})"
    path = os.pathsep.join([str(site), write_plugin(tmp_path / "other", renamed)])
    ended = await call("up", data_dir=data_dir, environment={**ELSEWHERE, "PYTHONPATH": path})
    assert ended.code == 2
    assert ended.err == f"catena: Two step types are called {name}.\n"
