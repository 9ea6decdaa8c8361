"""Whether the process lives, whether it can serve, what it counts, and where it is explained."""

from __future__ import annotations

from collections.abc import Iterator

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
from catena.errors import DatabaseUnavailable
from catena.journal import Journal

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
    registry.register(_JournalCollector(app_of(request).journal))
    ProcessCollector(registry=registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


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


_COUNTED = {
    "commits": "Commits made.",
    "operations": "Operations committed, refused ones included.",
    "refused": "Operations refused.",
    "replayed": "Requests answered from what their key did before.",
    "stale": "Attempts decided again because others were first.",
    "lost": "Attempts that lost the database.",
    "seconds": "Seconds spent on commits.",
}
