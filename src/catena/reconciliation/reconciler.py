"""Reconciliation of this process: statements in, runs, the daily turn of each gateway, and counts.

Invariant: each gateway's daily turn is one process's at a time. What it does not finish, another
does when its lease has ended; doing it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from catena.db.pool import is_lost
from catena.db.reconciliation import find_last_import, list_cleared
from catena.db.reconciliation_rows import Asker
from catena.db.reconciliation_write import claim_gateway, finish_gateway
from catena.db.tasks import stop_task
from catena.errors import CatenaError, InvalidInput
from catena.reconciliation.imports import (
    SHAPES,
    Imported,
    Span,
    Statement,
    currencies_of,
    digest_lines,
    take_in,
)
from catena.reconciliation.reports import Reading
from catena.reconciliation.runs import Made, make_run
from catena.reconciliation.statements import check_lines

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.gateways.contract import Gateway
    from catena.gateways.registry import Connection, Gateways
    from catena.ids import IdSource
    from catena.settings import Settings

__all__ = ["Counts", "Reconciler"]

_KEEP_SECONDS_MIN: Final = 0.5
"""A lease is not renewed more often, however short it is."""

_BY_CLOCK: Final = Asker("schedule")
"""Who runs it when nobody does."""

_ANY_TIME: Final = Span()

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Counts:
    """What this process has done for a gateway since its start; the metrics page reads it.

    `open` and `unexplained` (sheets whose difference is not explained) are those of the last run.
    """

    statements: int = 0
    lines: int = 0
    runs: int = 0
    opened: int = 0
    cleared: int = 0
    failures: int = 0
    open: int = 0
    unexplained: int = 0


@dataclass(slots=True)
class Reconciler:
    """Takes statements in and reconciles them. `find_ledger` gives a ledger by its id."""

    pool: Pool
    settings: Settings
    clock: Clock
    new_id: IdSource
    gateways: Gateways
    find_ledger: Callable[[str], Awaitable[Ledger | None]]
    counts: defaultdict[tuple[str, str], Counts]

    @classmethod
    def open(
        cls,
        pool: Pool,
        settings: Settings,
        clock: Clock,
        new_id: IdSource,
        gateways: Gateways,
        find_ledger: Callable[[str], Awaitable[Ledger | None]],
    ) -> Reconciler:
        """One that has done nothing yet."""
        return cls(pool, settings, clock, new_id, gateways, find_ledger, defaultdict(Counts))

    async def read_file(
        self,
        ledger: Ledger,
        gateway: str,
        shape: str,
        raw: bytes,
        asker: Asker,
        span: Span = _ANY_TIME,
    ) -> Imported:
        """Take in a file of one of the `SHAPES`. Raises errors of the tree; then nothing is."""
        await self.check_gateway(ledger, gateway)
        reading = Reading(currencies=currencies_of(ledger))
        lines = await asyncio.to_thread(SHAPES[shape], raw, reading)
        # A quiet day's file is like any other's, but for the time that it is said to cover.
        said = "/".join("" if moment is None else moment.isoformat() for moment in span)
        digest = hashlib.sha256(said.encode() + b"\n" + raw).digest()
        return await self._take(ledger, Statement(gateway, lines, digest, span), asker)

    async def check_gateway(self, ledger: Ledger, gateway: str) -> None:
        """Raise InvalidInput for a name that neither a gateway, a clearing account nor a statement
        has here, where any of them is there: it is a slip.
        """
        known = set(self.gateways.names(ledger.id))
        if gateway in known:
            return
        async with self.pool.acquire() as connection:
            known.update(await list_cleared(connection, ledger.number))
        if known and gateway not in known:
            there = ", ".join(sorted(known))
            raise InvalidInput(
                f"There is no gateway of this name in this ledger; there are: {there}.",
                fields=[("/gateway", "A gateway, or one that has a clearing account.")],
            )

    async def ask_gateway(
        self, ledger: Ledger, gateway: Gateway, until: dt.datetime, asker: Asker
    ) -> Imported | None:
        """Take in what a gateway lists, from one window before the end of what is there, and what
        it has heard of since; nothing from before the ledger's first day.

        What is there ends where it came in at the latest, whatever it says of itself. None: the
        gateway lists nothing. Raises errors of the tree.
        """
        if gateway.read_statement is None:
            return None
        async with self.pool.acquire() as connection:
            last = await find_last_import(connection, ledger.number, gateway.name)
        window = dt.timedelta(days=self.settings.reconciliation_days)
        begins = ledger.created_at
        if last is not None:
            begins = min(last.covers_until, last.received_at) - window
        begins = min(begins, until)
        day = ledger.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
        listed = await gateway.read_statement(begins, until)
        lines = [line for line in listed if line.at >= min(day, begins)]
        span = Span(min([begins, *(line.at for line in lines)]), until)
        check_lines(lines, currencies_of(ledger))
        told = Statement(gateway.name, lines, digest_lines(lines, span), span)
        return await self._take(ledger, told, asker)

    async def _take(self, ledger: Ledger, told: Statement, asker: Asker) -> Imported:
        imported = await take_in(
            self.pool, self.settings, self.clock, self.new_id, ledger, told, asker
        )
        if imported.is_new:
            counts = self.counts[ledger.id, told.gateway]
            counts.statements += 1
            counts.lines += imported.row.lines
        return imported

    async def run(
        self, ledger: Ledger, gateway: str, asker: Asker, until: dt.datetime | None = None
    ) -> Made:
        """Reconcile a gateway with all that is there. Raises errors of the tree."""
        await self.check_gateway(ledger, gateway)
        made = await make_run(
            self.pool, self.settings, self.clock, self.new_id, ledger, gateway, asker, until
        )
        if made.replayed:
            return made
        run, counts = made.run, self.counts[ledger.id, gateway]
        counts.runs += 1
        counts.opened += run.counts["opened"]
        counts.cleared += run.counts["cleared"]
        counts.open = run.counts["open"]
        counts.unexplained = sum(1 for one in run.figures.values() if one["unexplained"])
        tell = _log.info if made.report.is_explained and not counts.open else _log.warning
        tell("reconciled", ledger=ledger.id, gateway=gateway, run=run.id, **run.counts)
        for currency, one in run.figures.items():
            if one["unexplained"]:
                _log.error(
                    "unexplained_difference",
                    gateway=gateway,
                    run=run.id,
                    currency=currency,
                    minor_units=one["unexplained"],
                )
        return made

    async def keep_turns(self) -> None:
        """Reconcile each gateway that lists what it has done, once a day, until cancelled."""
        while True:
            for connection in self.gateways:
                if connection.gateway.read_statement is not None:
                    await self._take_turn(connection)
            await asyncio.sleep(self.settings.reconciliation_poll_seconds)

    async def _take_turn(self, connection: Connection) -> None:
        name = connection.gateway.name
        try:
            await self.take_turn(connection)
        except Exception as error:  # noqa: BLE001  # another tries again when the lease ends
            self.counts[connection.ledger, name].failures += 1
            told = error.detail if isinstance(error, CatenaError) else type(error).__name__
            _log.warning("not_reconciled", gateway=name, error=told)
            if not isinstance(error, CatenaError | OSError) and not is_lost(error):
                _log.exception("reconciliation_failed", gateway=name)

    async def take_turn(self, connection: Connection) -> Made | None:
        """A gateway's daily run, if it is due and nobody has it."""
        ledger = await self.find_ledger(connection.ledger)
        if ledger is None:
            return None
        name, lease = connection.gateway.name, self.settings.reconciliation_lease_seconds
        first = self.turn_after(self.clock())
        fence = await claim_gateway(self.pool, ledger.number, name, first, lease)
        if fence is None:
            return None
        now = self.clock()
        keeping = asyncio.create_task(self._keep_turn(ledger, name, fence))
        try:
            await self.ask_gateway(ledger, connection.gateway, now, _BY_CLOCK)
            made = await self.run(ledger, name, _BY_CLOCK)
        finally:
            await stop_task(keeping)
        await finish_gateway(self.pool, ledger.number, name, fence, self.turn_after(now))
        return made

    async def _keep_turn(self, ledger: Ledger, gateway: str, fence: int) -> None:
        """Have the lease last as long as the run does, until cancelled."""
        lease = self.settings.reconciliation_lease_seconds
        while True:
            await asyncio.sleep(max(lease / 3, _KEEP_SECONDS_MIN))
            until = self.clock() + dt.timedelta(seconds=lease)
            await finish_gateway(self.pool, ledger.number, gateway, fence, until)

    def turn_after(self, moment: dt.datetime) -> dt.datetime:
        """When the next daily turn is."""
        hour = self.settings.reconciliation_hour
        turn = moment.replace(hour=hour, minute=0, second=0, microsecond=0)
        return turn if turn > moment else turn + dt.timedelta(days=1)
