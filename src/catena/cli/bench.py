"""`catena bench`: a short load test of this machine, in a ledger of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from catena.cli.options import DataDir

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from rich.console import Console

    from catena.cli.load import Run
    from catena.settings import Settings

__all__ = ["bench_command"]

_MILLISECONDS: Final = 1000


def bench_command(
    url: Annotated[
        str | None,
        typer.Option(help="Where the service is; left out, where `catena up` serves, or started."),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="A file with the API key; left out, the one of the first start."),
    ] = None,
    data_dir: DataDir = None,
    seconds: Annotated[float, typer.Option(help="Of each of the three runs.", min=0.1)] = 5.0,
    connections: Annotated[int, typer.Option(help="At the same time.", min=1, max=1000)] = 32,
) -> None:
    """Load the service for some seconds and say what it did: transfers, batches, balance reads.

    It opens a ledger of its own, which stays. The load comes from this process, which takes its
    share of the machine: `make bench`, in a checkout, measures more exactly.
    """
    from rich.console import Console

    from catena.cli.database import load_settings
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order

    settings = load_settings(data_dir=data_dir)
    with stopping_in_order(INTERRUPTED):
        run_until_stopped(_measure(settings, url, key_file, seconds, connections, Console()))


async def _measure(
    settings: Settings,
    url: str | None,
    key_file: Path | None,
    seconds: float,
    connections: int,
    paper: Console,
) -> None:
    from catena.cli.load import Load
    from catena.cli.wire import parse_address

    async with _find_service(settings, url, paper) as address:
        load = Load(parse_address(address), _read_key(settings, key_file), connections)
        with paper.status("Opening wallets"):
            await load.prepare()
        runs = []
        for measure in (load.transfer, load.post_batches, load.read_balances):
            with paper.status(f"Loading {address}"):
                runs.append(await measure(seconds))
    _print(runs, paper)


@asynccontextmanager
async def _find_service(settings: Settings, url: str | None, paper: Console) -> AsyncIterator[str]:
    """The address of the service: as given, as it runs by default, or of one started for now."""
    if url is not None:
        yield url
    elif await _listens(settings):
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield f"http://{host}:{settings.port}"
    else:
        service = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "catena.cli", "up", "--no-demo", "--port", "0"),
            *("--data-dir", str(settings.data_dir)),
            stdout=asyncio.subprocess.PIPE,
            # So that a Ctrl-C in the terminal reaches us alone, and we stop it.
            start_new_session=True,
        )
        try:
            with paper.status("Starting the service"):
                address = await _read_address(service)
            yield address
        finally:
            if service.returncode is None:
                service.terminate()
            await service.communicate()


async def _listens(settings: Settings) -> bool:
    try:
        _, writer = await asyncio.open_connection(settings.host, settings.port)
    except OSError:
        return False
    writer.close()
    return True


async def _read_address(service: Process) -> str:
    """What `catena up` says its address is. Raises SetupError."""
    from catena.errors import SetupError

    assert service.stdout is not None  # noqa: S101  # a pipe
    async for line in service.stdout:
        name, _, value = line.decode().strip().partition(" ")
        if name == "address":
            return value.strip()
    raise SetupError("The service ended before it could serve.")


def _read_key(settings: Settings, key_file: Path | None) -> str:
    from catena.cli.database import read_first_key
    from catena.errors import SetupError

    if key_file is None:
        secret = read_first_key(settings)
    else:
        try:
            secret = key_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"The key cannot be read from {key_file}.") from error
    if not secret:
        raise SetupError("There is no API key here; name the file that holds one with --key-file.")
    return secret


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
