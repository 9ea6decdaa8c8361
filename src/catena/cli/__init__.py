"""The command line: one file per command, each imported only when it is called.

Invariant: an error of the tree ends a command with one sentence on stderr and exit code 2, never
with a traceback.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from catena.errors import CatenaError

__all__ = ["main"]

_PLACES: Final = {
    "up": "catena.cli.up:up_command",
    "serve": "catena.cli.serve:serve_command",
    "worker": "catena.cli.worker:worker_command",
    "migrate": "catena.cli.migrate:migrate_command",
    "demo": "catena.cli.demo:demo_command",
    "verify": "catena.cli.verify:verify_command",
    "export": "catena.cli.export:export_command",
    "bench": "catena.cli.bench:bench_command",
    "gateways": "catena.cli.gateways:gateways_command",
    "reconcile": "catena.cli.reconcile:reconcile",
    "sandbox": "catena.cli.sandbox:sandbox_command",
    "keys": "catena.cli.keys:keys",
}
"""Where each command is: a function, or a Typer with commands of its own."""

_FAILED: Final = 2


class Commands(TyperGroup):
    """The commands of `_PLACES`."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002
        """Those that are there, in this order."""
        return [name for name, place in _PLACES.items() if find_spec(place.partition(":")[0])]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Import a command and make it ready to be called."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, name = _PLACES[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(cmd_name)(function)
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Run the command; say plainly what keeps it from doing its work."""
        try:
            return super().invoke(ctx)
        except CatenaError as error:
            typer.echo(f"catena: {error.detail}", err=True)
            raise typer.Exit(_FAILED) from None


main = typer.Typer(
    cls=Commands,
    help="A wallet ledger service: double-entry books on PostgreSQL, over HTTP.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@main.callback(invoke_without_command=True)
def _describe(
    *, show_version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    """A callback makes it a group, though no command is registered here."""
    if show_version:
        typer.echo(f"catena {version('catena-ledger')}")
        raise typer.Exit
