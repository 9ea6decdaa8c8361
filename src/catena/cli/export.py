"""`catena export`: writes a ledger as a journal of hledger or beancount."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from catena.cli.books import showing_progress, with_ledgers
from catena.cli.options import DataDir
from catena.db.export import Dates, Format
from catena.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catena.db.installation import Ledger
    from catena.db.pool import Connection

__all__ = ["export_command"]


def export_command(
    target: Annotated[
        Format, typer.Option("--format", help="The program that reads it.")
    ] = Format.HLEDGER,
    dates: Annotated[
        Dates, typer.Option(help="Which of an entry's two dates its transaction has.")
    ] = Dates.RECORDED,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; left out, standard output."),
    ] = None,
    ledger: Annotated[
        str | None, typer.Option(help="The ledger, by id or name; left out, the only one.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a ledger, its balances as assertions, so that whoever reads it proves it."""

    async def export(connection: Connection, ledgers: Sequence[Ledger]) -> None:
        from catena.db.export import export_ledger

        if len(ledgers) != 1:
            ids = ", ".join(ledger.id for ledger in ledgers)
            raise SetupError(
                f"An export holds one ledger; name one by its id with --ledger: {ids}."
            )
        with _opening(output) as file, showing_progress(ledgers[0].name) as report:
            async for part in export_ledger(connection, ledgers[0], target, dates, report):
                _write(file, part)

    with_ledgers(data_dir, ledger, export)


@contextmanager
def _opening(output: Path | None) -> Iterator[BinaryIO]:
    """Where the journal goes. A file gets its name when it is whole."""
    if output is None:
        yield sys.stdout.buffer
        with _telling_plainly():
            sys.stdout.buffer.flush()
        return
    draft = output.with_name(f"{output.name}.part")
    try:
        with _telling_plainly():
            file = draft.open("wb")
        with file:
            yield file
            with _telling_plainly():
                file.flush()
                draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


def _write(file: BinaryIO, text: str) -> None:
    with _telling_plainly():
        file.write(text.encode())


@contextmanager
def _telling_plainly() -> Iterator[None]:
    """A reader that wants no more ends the command; another trouble is told in one sentence."""
    try:
        yield
    except BrokenPipeError:
        # What is left in the buffer has nowhere to go: not at the end of the process either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except OSError as error:
        raise SetupError(f"The export cannot be written: {error.strerror}.") from error
