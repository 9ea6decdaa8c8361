"""`catena reconcile`: a gateway's statement held against our books, and the work list it leaves.

Invariant: nothing is posted but by a person's word, with a reason. Exit code 3: the two sides
differ by something that nothing on the list explains.
"""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from typer.core import TyperGroup

from catena.cli.options import DataDir

if TYPE_CHECKING:
    from catena.app import App, Urls
    from catena.db.installation import Ledger
    from catena.db.reconciliation_rows import Asker, ItemRow, RunRow
    from catena.journal import ChangeItem, PostEntry
    from catena.reconciliation.imports import Imported
    from catena.reconciliation.sheets import Report
    from catena.settings import Settings

__all__ = ["reconcile"]

_UNEXPLAINED: Final = 3
_RUN: Final = "run"
_LISTED: Final = 1_000

Given = TypeVar("Given")


class _Gateways(TyperGroup):
    """What is no command here is a gateway that is to be reconciled."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]  # noqa: ANN401
        """`catena reconcile sandbox` is `catena reconcile run sandbox`."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = [_RUN, *args]
        return super().resolve_command(ctx, args)


reconcile = typer.Typer(
    cls=_Gateways,
    help="Hold a gateway's statement against our books: catena reconcile GATEWAY.",
    no_args_is_help=True,
    add_completion=False,
)

LedgerName = Annotated[
    str | None, typer.Option("--ledger", help="The ledger, by id or name; left out, the only one.")
]
Reason = Annotated[str, typer.Option(help="Why, for whoever audits the books.")]
Item = Annotated[str, typer.Argument(help="The item's id.")]


@reconcile.command(_RUN)
def run_command(
    gateway: Annotated[str, typer.Argument(help="The gateway's name.")],
    ledger: LedgerName = None,
    statement: Annotated[
        Path | None,
        typer.Option(
            help="A file to take in first; left out, the gateway is asked.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    shape: Annotated[str, typer.Option(help="What the file is: plain or stripe.")] = "plain",
    until: Annotated[
        dt.datetime | None,
        typer.Option(help="Both sides are complete before this day.", formats=["%Y-%m-%d"]),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Where to write the report: a name in .html or .csv.", dir_okay=False),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Reconcile a gateway. Exit code 3: something is unexplained."""
    from catena.errors import SetupError
    from catena.reconciliation.imports import SHAPES

    if shape not in SHAPES:
        raise SetupError(f"A file's shape is one of: {', '.join(SHAPES)}.")
    if report is not None and report.suffix not in (".html", ".csv"):
        raise SetupError("A report is written to a name in .html or .csv.")
    if report is not None and not report.parent.is_dir():
        raise SetupError(f"There is no folder {report.parent} to write the report to.")
    raw = None if statement is None else statement.read_bytes()
    end = None if until is None else until.replace(tzinfo=dt.UTC)

    async def work(app: App, chosen: Ledger) -> bool:
        told = await _take(app, chosen, gateway, raw, shape, end)
        if told is not None:
            again = " again; nothing was new" if told.again else ""
            typer.echo(f"Statement {told.row.id}: {told.row.lines} new lines{again}.")
        made = await app.reconciler.run(chosen, gateway, _asker(), end)
        _tell(made.run, chosen)
        if report is not None:
            _write(report, made.report, chosen)
            typer.echo(f"The report is in {report}.")
        return made.report.is_explained

    if not _with_ledger(data_dir, ledger, work):
        raise typer.Exit(_UNEXPLAINED)


@reconcile.command("items")
def items_command(
    gateway: Annotated[str | None, typer.Argument(help="Of this gateway alone.")] = None,
    state: Annotated[str, typer.Option(help="In this state; `any` for all.")] = "open",
    ledger: LedgerName = None,
    data_dir: DataDir = None,
) -> None:
    """List discrepancies, the oldest first."""
    from catena.db.read.reconciliation import list_items
    from catena.errors import SetupError
    from catena.reconciliation.work import State

    if state not in {"any", *State}:
        raise SetupError(f"A state is one of: {', '.join(State)}, any.")

    async def work(app: App, chosen: Ledger) -> tuple[list[ItemRow], Callable[[int, str], str]]:
        wanted = None if state == "any" else state
        async with app.pool.acquire() as connection:
            found = await list_items(connection, chosen.number, gateway, wanted, None, _LISTED)
        return found, _format_in(chosen)

    rows, written = _with_ledger(data_dir, ledger, work)
    for row in rows:
        found = sorted(row.differences.items())
        sums = ", ".join(f"{written(amount, code)} {code}" for code, amount in found)
        typer.echo(
            f"{row.id} {row.gateway} {row.state} {row.kind} {sums or '0'} {row.opened_at:%Y-%m-%d}"
        )


@reconcile.command("resolve")
def resolve_command(
    item: Item,
    settling: Annotated[
        str, typer.Option("--as", help="park, write_off, gateway_fee or exchange.")
    ],
    reason: Reason,
    ledger: LedgerName = None,
    data_dir: DataDir = None,
) -> None:
    """Post the entry that settles a discrepancy."""
    from catena.errors import SetupError
    from catena.reconciliation.adjustments import Settling
    from catena.reconciliation.settling import settle_item

    try:
        way = Settling(settling)
    except ValueError:
        raise SetupError(f"A discrepancy is settled as: {', '.join(Settling)}.") from None

    async def work(app: App, chosen: Ledger) -> Any:  # noqa: ANN401  # an entry
        seen = await _read(app, chosen, item)
        return await _ask(app, chosen, settle_item(seen, way, _who(), reason, chosen.id))

    entry = _with_ledger(data_dir, ledger, work)
    typer.echo(f"Posted {entry.id}.")


@reconcile.command("accept")
def accept_command(
    item: Item, reason: Reason, ledger: LedgerName = None, data_dir: DataDir = None
) -> None:
    """Let a difference stay, for a reason."""
    _decide(item, "accepted", reason, ledger, data_dir)


@reconcile.command("reopen")
def reopen_command(
    item: Item, reason: Reason, ledger: LedgerName = None, data_dir: DataDir = None
) -> None:
    """Take back what was decided about a discrepancy."""
    _decide(item, "reopened", reason, ledger, data_dir)


@reconcile.command("fees")
def fees_command(
    run: Annotated[str, typer.Argument(help="The run's id.")],
    ledger: LedgerName = None,
    data_dir: DataDir = None,
) -> None:
    """Book the fees that a run has found."""
    from catena.db.read.reconciliation import read_run
    from catena.errors import NotFound
    from catena.ids import RUN, parse_id
    from catena.reconciliation.settling import fees_to_book

    async def work(app: App, chosen: Ledger) -> Any:  # noqa: ANN401  # an entry
        async with app.pool.acquire() as connection:
            stored = await read_run(connection, chosen.number, parse_id(RUN, run))
            if stored is None:
                raise NotFound("There is no such run in this ledger.")
            operation = await fees_to_book(connection, chosen, stored.row)
        return await _ask(app, chosen, operation)

    entry = _with_ledger(data_dir, ledger, work)
    typer.echo(f"Posted {entry.id}.")


def _decide(item: str, state: str, reason: str, ledger: str | None, data_dir: Path | None) -> None:
    from catena.reconciliation.settling import decide_item
    from catena.reconciliation.work import State

    async def work(app: App, chosen: Ledger) -> None:
        await _read(app, chosen, item)
        await _ask(app, chosen, decide_item(item, State(state), _who(), reason))

    _with_ledger(data_dir, ledger, work)
    typer.echo(f"{item} is {state}.")


def _asker() -> Asker:
    from catena.db.reconciliation_rows import Asker

    return Asker(_who())


def _who() -> str:
    """Who called the command."""
    return f"command:{getpass.getuser()}"


async def _read(app: App, ledger: Ledger, item: str) -> Any:  # noqa: ANN401  # an item as it is
    from catena.db.reconciliation import reading_at_once
    from catena.errors import NotFound
    from catena.ids import ITEM, parse_id
    from catena.reconciliation.settling import read_item

    async with reading_at_once(app.pool) as connection:
        depth = app.settings.correction_depth
        seen = await read_item(connection, ledger.number, parse_id(ITEM, item), depth)
    if seen is None:
        raise NotFound("There is no such item in this ledger.")
    return seen


async def _ask(app: App, ledger: Ledger, operation: ChangeItem | PostEntry) -> object:
    """Have the journal do it. Raises Conflict where it refuses."""
    from catena.errors import Conflict
    from catena.ledger.refusals import Refusal

    result = await app.journal.ask(ledger, operation)
    if isinstance(result, Refusal):
        raise Conflict(f"{result.code.title}. {result.code.remedy}")
    return result


async def _take(
    app: App,
    ledger: Ledger,
    gateway: str,
    raw: bytes | None,
    shape: str,
    until: dt.datetime | None,
) -> Imported | None:
    """What is new of their side: the file, or what the gateway lists, if it lists anything."""
    if raw is not None:
        return await app.reconciler.read_file(ledger, gateway, shape, raw, _asker())
    found, now = app.gateways.find(ledger.id, gateway), app.clock()
    if found is None:
        return None
    return await app.reconciler.ask_gateway(ledger, found, min(until or now, now), _asker())


def _format_in(ledger: Ledger) -> Callable[[int, str], str]:
    """What writes minor units of a currency of this ledger, by its code, as people do."""
    from catena.money import format_amount
    from catena.reconciliation.imports import currencies_of

    currencies = currencies_of(ledger)
    return lambda amount, code: format_amount(amount, currencies[code])


def _tell(run: RunRow, ledger: Ledger) -> None:
    counts, written = run.counts, _format_in(ledger)
    typer.echo(
        f"Run {run.number} ({run.id}) until {run.until:%Y-%m-%d %H:%M} UTC: {counts['matched']}"
        f" matched, {counts['in_transit']} in transit, {counts['open']} open"
        f" ({counts['opened']} new, {counts['cleared']} cleared)."
    )
    for currency, one in sorted(run.figures.items()):
        typer.echo(
            f"{currency}: difference {written(one['difference'], currency)},"
            f" fees to book {written(one['fees_to_book'], currency)},"
            f" unexplained {written(one['unexplained'], currency)}."
        )


def _write(path: Path, report: Report, ledger: Ledger) -> None:
    from catena.reconciliation.imports import currencies_of
    from catena.reconciliation.report_csv import render_csv
    from catena.reconciliation.report_html import render_html
    from catena.settings import LIMITS

    currencies = currencies_of(ledger)
    if path.suffix == ".csv":
        text = render_csv(report, currencies)
    else:
        text = render_html(report, currencies, LIMITS.report_rows)
    path.write_text(text, encoding="utf-8", newline="")


def _with_ledger(
    data_dir: Path | None,
    wanted: str | None,
    work: Callable[[App, Ledger], Awaitable[Given]],
) -> Given:
    """Do it in the ledger that is meant. Raises errors of the tree."""
    from catena.app import find_database
    from catena.cli.database import load_settings
    from catena.cli.logs import configure_logs
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order

    settings = load_settings(data_dir=data_dir)
    configure_logs("error", people=True)
    result: list[Given] = []
    with stopping_in_order(INTERRUPTED), find_database(settings) as urls:
        result.append(run_until_stopped(_work(settings, urls, wanted, work)))
    return result[0]


async def _work(
    settings: Settings,
    urls: Urls,
    wanted: str | None,
    work: Callable[[App, Ledger], Awaitable[Given]],
) -> Given:
    from catena.app import open_app
    from catena.cli.database import prepare
    from catena.cli.own_sandbox import find_gateways

    await prepare(settings, urls)
    async with open_app(
        settings, urls.service, works=False, connections=find_gateways(settings)
    ) as app:
        return await work(app, await _choose(app, wanted))


async def _choose(app: App, wanted: str | None) -> Ledger:
    from catena.errors import NotFound, SetupError

    ledgers = [one for one in await app.ledgers.refresh() if wanted in (None, one.id, one.name)]
    if not ledgers:
        raise NotFound("There is no ledger with this id or name.")
    if len(ledgers) > 1:
        raise SetupError("There are several ledgers: name one with --ledger.")
    return ledgers[0]
