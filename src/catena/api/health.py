"""Whether the process lives, whether it can serve, what it counts, and where it is explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from catena.api.requests import app_of, authenticate
from catena.api.writes import require
from catena.auth.scopes import Scope
from catena.db.pool import is_lost
from catena.db.read.chains import count_parked
from catena.db.work import Backlog, list_backlogs
from catena.errors import DatabaseUnavailable
from catena.journal import Journal
from catena.reconciliation.reconciler import Reconciler

if TYPE_CHECKING:
    from catena.app import App

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_root() -> Response:
    """Whoever opens the bare address in a browser is shown what there is."""
    return RedirectResponse("/docs")


@router.get("/livez")
async def get_live() -> Response:
    """200 as long as the process answers."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
async def get_ready(request: Request) -> Response:
    """200 when the database answers; else 503."""
    try:
        await app_of(request).pool.fetchval("SELECT 1", timeout=2)
    except Exception as error:
        if is_lost(error):
            raise DatabaseUnavailable from None
        raise
    return JSONResponse({"status": "ready"})


@router.get("/metrics")
async def get_metrics(request: Request) -> Response:
    """Prometheus' text format; needs the scope metrics:read."""
    require(await authenticate(request), Scope.METRICS_READ)
    registry = CollectorRegistry()
    registry.register(_HangingCollector(await _find_hanging(app_of(request))))
    registry.register(_JournalCollector(app_of(request).journal))
    registry.register(_ReconciliationCollector(app_of(request).reconciler))
    ProcessCollector(registry=registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Hanging(NamedTuple):
    """What waits for somebody, whichever process is asked, by the ids of ledgers."""

    overdue: Sequence[Backlog]
    parked: Sequence[tuple[str, int]]


async def _find_hanging(app: App) -> _Hanging | None:
    """None where the database does not say; the process's own figures are there all the same."""
    try:
        async with app.pool.acquire() as connection:
            return _Hanging(
                await list_backlogs(connection, app.settings.overdue_seconds),
                await count_parked(connection),
            )
    except Exception as error:
        if is_lost(error):
            return None
        raise


class _HangingCollector(Collector):
    """What does not go on by itself, in all of the database."""

    def __init__(self, hanging: _Hanging | None) -> None:
        self._hanging = hanging

    def collect(self) -> Iterator[Metric]:
        """Every figure, anew."""
        if self._hanging is None:
            return
        parked = GaugeMetricFamily(
            "catena_chains_parked", "Chains with a step that waits for an operator.", labels=_OF
        )
        for ledger, count in self._hanging.parked:
            parked.add_metric([ledger], count)
        yield parked
        labels = (*_OF, "needs")
        work = GaugeMetricFamily(
            "catena_work_overdue", "Pieces of work that are due and nobody takes.", labels=labels
        )
        since = GaugeMetricFamily(
            "catena_work_overdue_since_seconds",
            "Since when the oldest of them is due, in seconds of Unix time.",
            labels=labels,
        )
        for found in self._hanging.overdue:
            work.add_metric([found.ledger, found.adapter], found.pieces)
            since.add_metric([found.ledger, found.adapter], found.since.timestamp())
        yield work
        yield since


_OF = ("ledger",)


class _JournalCollector(Collector):
    """What the journal's lanes count, by ledger."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        """Every figure, anew."""
        lanes = list(self._journal.counts())
        waiting = GaugeMetricFamily(
            "catena_journal_waiting", "Operations that wait to be committed.", labels=["ledger"]
        )
        for ledger, operations, _ in lanes:
            waiting.add_metric([ledger], operations)
        yield waiting
        for name, help_text in _COUNTED.items():
            metric = CounterMetricFamily(f"catena_journal_{name}", help_text, labels=["ledger"])
            for ledger, _, counts in lanes:
                metric.add_metric([ledger], getattr(counts, name))
            yield metric


class _ReconciliationCollector(Collector):
    """What this process has reconciled, by ledger and gateway."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    def collect(self) -> Iterator[Metric]:
        """Every figure, anew."""
        counts = list(self._reconciler.counts.items())
        for name, help_text in _RECONCILED.items():
            family = GaugeMetricFamily if name in _STANDING else CounterMetricFamily
            metric = family(f"catena_reconciliation_{name}", help_text, labels=_PLACE)
            for place, figures in counts:
                metric.add_metric(place, getattr(figures, name))
            yield metric


_PLACE = ("ledger", "gateway")
_STANDING = frozenset({"open", "unexplained"})
_RECONCILED = {
    "statements": "Statements taken in.",
    "lines": "Lines of statements taken in.",
    "runs": "Runs made.",
    "opened": "Discrepancies found.",
    "cleared": "Discrepancies that are gone.",
    "failures": "Daily runs that failed, and are tried again.",
    "open": "Discrepancies on the work list after the last run.",
    "unexplained": "Currencies of the last run with a difference that nothing explains.",
}

_COUNTED = {
    "commits": "Commits made.",
    "operations": "Operations committed, refused ones included.",
    "refused": "Operations refused.",
    "replayed": "Requests answered from what their key did before.",
    "stale": "Attempts decided again because others were first.",
    "lost": "Attempts that lost the database.",
    "seconds": "Seconds spent on commits.",
}
