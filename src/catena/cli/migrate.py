"""`catena migrate`: brings the schema up to date, as its owner."""

from __future__ import annotations

import typer

from catena.cli.options import DataDir

__all__ = ["migrate_command"]


def migrate_command(data_dir: DataDir = None) -> None:
    """Bring the database's schema up to date, and say what was applied."""
    from catena.app import find_database
    from catena.cli.database import load_settings, migrate_plainly
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order

    settings = load_settings(data_dir=data_dir)
    with (
        stopping_in_order(INTERRUPTED),
        find_database(settings, report=typer.echo, create=True) as urls,
    ):
        applied = run_until_stopped(migrate_plainly(settings, urls))
        for name in applied:
            typer.echo(f"Applied {name}.")
        typer.echo("The schema is up to date.")
