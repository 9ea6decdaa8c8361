"""`catena bench`: a short load test of this machine, on a service that is thrown away after it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from catena.cli.options import DataDir, KeyFile

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from rich.console import Console

    from catena.cli.load import Run

__all__ = ["bench_command"]

_MILLISECONDS: Final = 1000


def bench_command(
    url: Annotated[
        str | None,
        typer.Option(help="A service that runs; left out, one is started, and removed at the end."),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(help="With --url: the ledger's id or name; left out, the only one."),
    ] = None,
    key_file: KeyFile = None,
    data_dir: DataDir = None,
    seconds: Annotated[float, typer.Option(help="Of each of the three runs.", min=0.1)] = 5.0,
    connections: Annotated[int, typer.Option(help="At the same time.", min=1, max=1000)] = 32,
) -> None:
    """Load the service for some seconds and say what it did: transfers, batches, balance reads.

    With --url it opens 1,000 wallets of its own in the ledger and moves money between them: both
    stay, so do that to no ledger that matters. The load comes from this process, which takes its
    share of the machine: `make bench`, in a checkout, measures more exactly.
    """
    from rich.console import Console

    from catena.cli.database import load_settings, read_key
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order

    paper = Console()
    with stopping_in_order(INTERRUPTED):
        if url is None:
            run_until_stopped(_measure_here(seconds, connections, paper))
        else:
            key = read_key(load_settings(data_dir=data_dir), key_file)
            run_until_stopped(_measure(url, key, ledger, seconds, connections, paper))


async def _measure_here(seconds: float, connections: int, paper: Console) -> None:
    """On a service of our own, with its database in a directory that is removed."""
    from catena.cli.database import read_key_file

    with TemporaryDirectory(prefix="catena-bench-") as directory:
        data_dir = Path(directory, "data")
        async with _start_service(data_dir, paper) as address:
            key = read_key_file(data_dir / "api-key")
            await _measure(address, key, None, seconds, connections, paper)


async def _measure(
    address: str, key: str, ledger: str | None, seconds: float, connections: int, paper: Console
) -> None:
    from catena.cli.load import Load
    from catena.cli.wire import parse_address

    load = Load(parse_address(address), key, connections)
    with paper.status("Opening wallets"):
        await load.prepare(ledger)
    runs = []
    for measure in (load.transfer, load.post_batches, load.read_balances):
        with paper.status(f"Loading {address}"):
            runs.append(await measure(seconds))
    _print(runs, paper)


@asynccontextmanager
async def _start_service(data_dir: Path, paper: Console) -> AsyncIterator[str]:
    """The address of a service that is started for now, and stopped."""
    # Whatever database the environment names is left alone.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CATENA_")}
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "catena.cli", "up", "--no-demo", "--port", "0"),
        *("--data-dir", str(data_dir)),
        stdout=asyncio.subprocess.PIPE,
        # So that a Ctrl-C in the terminal reaches us alone, and we stop it.
        start_new_session=True,
        env=environment,
    )
    try:
        with paper.status("Starting the service"):
            address = await _read_address(service)
        yield address
    finally:
        if service.returncode is None:
            service.terminate()
        await service.communicate()


async def _read_address(service: Process) -> str:
    """What `catena up` says its address is. Raises SetupError."""
    from catena.errors import SetupError

    assert service.stdout is not None  # noqa: S101  # a pipe
    async for line in service.stdout:
        name, _, value = line.decode().strip().partition(" ")
        if name == "address":
            return value.strip()
    raise SetupError("The service ended before it could serve.")


def _print(runs: Sequence[Run], paper: Console) -> None:
    from rich.table import Table

    table = Table("", "connections", "a second", "p50 ms", "p99 ms", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for run in runs:
        table.add_row(
            run.what,
            f"{run.connections}",
            f"{run.per_second:,.0f}",
            *(f"{run.quantile(share) * _MILLISECONDS:.1f}" for share in (0.5, 0.99)),
        )
    paper.print(table)
    for run in runs:
        if run.unexpected:
            paper.print(f"{run.what}: {run.unexpected:,} answers were no success.")
