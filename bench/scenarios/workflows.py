"""Durable workflows of a peer on the same PostgreSQL: a yardstick for chains and their steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.generators import find_wrk
from bench.peers.running import find_peers, run_dbos
from bench.probes import Figure, Probe, Sample, Scenario
from bench.scenarios.chains import CHAINS
from bench.scenarios.workers import STEPS, shared_partner

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_FIVE: Final = "dbos"
_CALL: Final = "dbos_http"
_THREADS: Final = 8


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    del plan
    find_wrk()  # without it there are no chains to compare with
    find_peers()
    call = ("--http", shared_partner(rig).url)
    return [
        Probe(_FIVE, partial(_run, rig, _FIVE, ())),
        Probe(_CALL, partial(_run, rig, _CALL, call)),
    ]


def _run(rig: Rig, database: str, options: Sequence[str], seconds: int) -> Sample:
    """One run in threads, in a database that is made anew."""
    rig.create_database(database)
    return run_dbos(rig, database, _THREADS, seconds, "--style", "threads", *options)


SCENARIO: Final = Scenario(
    "workflows",
    _prepare,
    (
        Figure(
            "chains",
            "chains of five steps a second, to DBOS's workflows of five empty ones",
            "times",
            20,
            lambda r: r[CHAINS].per_second / r[_FIVE].per_second,
            at_least=True,
        ),
        Figure(
            "steps to DBOS",
            "outside steps a second, to DBOS's workflows of one call",
            "times",
            None,
            lambda r: r[STEPS].per_second / r[_CALL].per_second,
            at_least=True,
        ),
    ),
)
