"""`catena verify`: proves the books, and names every row that is not as it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from catena.cli.books import LedgerName, showing_progress, with_ledgers
from catena.cli.options import DataDir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catena.db.installation import Ledger
    from catena.db.pool import Connection
    from catena.db.verify import Finding

__all__ = ["verify_command"]

_WRONG: Final = 1


def verify_command(ledger: LedgerName = None, data_dir: DataDir = None) -> None:
    """Recompute everything from the lines alone; name every row that disagrees.

    Money may move meanwhile. Exit code 0: the books are proven; 1: rows disagree.
    """
    if with_ledgers(data_dir, ledger, _verify):
        raise typer.Exit(_WRONG)


async def _verify(connection: Connection, ledgers: Sequence[Ledger]) -> int:
    """Verify each ledger; gives the number of findings."""
    from catena.db.verify import find_disagreements

    if not ledgers:
        typer.echo("There is no ledger yet.")
    wrong = 0
    for ledger in ledgers:
        found = 0
        with showing_progress(ledger.name) as report:
            async for finding in find_disagreements(connection, ledger, report):
                typer.echo(_describe(finding))
                found += 1
        rows = {0: "every row agrees", 1: "1 row disagrees"}.get(found, f"{found} rows disagree")
        typer.echo(f"Ledger {ledger.name} ({ledger.id}): {rows}.")
        wrong += found
    return wrong


def _describe(finding: Finding) -> str:
    """One line: the check, the row, what is expected and what was found."""
    row = [finding.kind.value]
    if finding.id is not None:
        row.append(finding.id if finding.number is None else f"{finding.id}#{finding.number}")
    if finding.position is not None:
        row.append(f"at position {finding.position}")
    return f"{finding.check}: {' '.join(row)}: expected {finding.expected}; found {finding.found}"
