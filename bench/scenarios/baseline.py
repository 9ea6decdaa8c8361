"""The yardstick: pgbench's TPC-B on the very same server, in another database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.generators import call_pgbench, run_pgbench
from bench.probes import Probe, Scenario

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["BASELINE", "CLIENTS", "SCENARIO"]

BASELINE: Final = "pgbench"
"""The probe that rates are compared with."""

CLIENTS: Final = "pgbench_clients"
"""The note that says which client count was best."""


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    rig.create_database(BASELINE)
    call_pgbench(rig, BASELINE, "-i", "-q", "-s", str(plan.pgbench_scale))
    best = _choose_clients(rig, plan)
    rig.notes[CLIENTS] = best
    return [Probe(BASELINE, partial(run_pgbench, rig, BASELINE, best))]


def _choose_clients(rig: Rig, plan: Plan) -> int:
    """The client count with the highest rate, by a short run of each."""
    rates = {
        clients: run_pgbench(rig, BASELINE, clients, plan.choose_seconds).per_second
        for clients in plan.pgbench_clients
    }
    return max(rates, key=rates.__getitem__)


SCENARIO: Final = Scenario("baseline", _prepare)
