"""What commands over whole books share: which ledgers, one connection, a bar that shows progress.

Invariant: the bar is on stderr and only on a terminal, so that what is piped stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from catena.errors import DatabaseUnavailable, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from catena.app import Urls
    from catena.db.installation import Ledger
    from catena.db.pool import Connection
    from catena.settings import Settings

__all__ = ["LedgerName", "Report", "showing_progress", "with_ledgers"]

LedgerName = Annotated[
    str | None, typer.Option("--ledger", help="A ledger, by id or name; left out, every ledger.")
]

Report = Callable[[str, int, int], None]
"""Told of the progress: what is being done, steps done, and steps in all."""

Given = TypeVar("Given")


def with_ledgers(
    data_dir: Path | None,
    wanted: str | None,
    work: Callable[[Connection, Sequence[Ledger]], Awaitable[Given]],
) -> Given:
    """Do the work on the ledgers that are meant, with a connection. Raises errors of the tree."""
    from catena.app import find_database
    from catena.cli.database import load_settings
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order

    settings = load_settings(data_dir=data_dir)
    result: list[Given] = []
    with stopping_in_order(INTERRUPTED), find_database(settings) as urls:
        result.append(run_until_stopped(_work(settings, urls, wanted, work)))
    return result[0]


async def _work(
    settings: Settings,
    urls: Urls,
    wanted: str | None,
    work: Callable[[Connection, Sequence[Ledger]], Awaitable[Given]],
) -> Given:
    from catena.cli.database import open_checked_pool, prepare
    from catena.db.installation import list_ledgers
    from catena.db.pool import is_lost

    await prepare(settings, urls)
    pool = await open_checked_pool(settings, urls)
    try:
        async with pool.acquire() as connection:
            return await work(connection, _choose(await list_ledgers(connection), wanted))
    except Exception as error:
        if is_lost(error):
            raise DatabaseUnavailable from error
        raise
    finally:
        await pool.close()


def _choose(ledgers: Sequence[Ledger], wanted: str | None) -> Sequence[Ledger]:
    """All ledgers, or those with this id or name. Raises NotFound."""
    if wanted is None:
        return ledgers
    chosen = [ledger for ledger in ledgers if wanted in (ledger.id, ledger.name)]
    if not chosen:
        raise NotFound("There is no ledger with this id or name.")
    return chosen


@contextmanager
def showing_progress(title: str) -> Iterator[Report]:
    """A bar on the terminal, gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        task = progress.add_task(title, total=None)

        def report(part: str, done: int, total: int) -> None:
            progress.update(task, description=f"{title} {part}", completed=done, total=total)

        yield report
