"""Batches: many transfers a request, each for itself, one commit and one key a request."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import MAIN, main_book, make_batch
from bench.generators import Load, find_wrk, run_wrk, write_list
from bench.probes import Figure, Probe, Round, Scenario
from bench.scenarios.baseline import BASELINE

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_CONNECTIONS: Final = (4, 2)
"""For small and for large ones: more would not fit into the service's queue."""
_PROBES: Final = ("batches", "large_batches")
_BODIES: Final = 20


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = main_book(rig, plan)
    service = rig.service(MAIN)
    dice = random.Random(1)
    probes = []
    sizes = zip(_PROBES, plan.batch_operations, _CONNECTIONS, strict=True)
    for name, operations, connections in sizes:
        paths = [rig.directory / f"batch-{operations}-{number}" for number in range(_BODIES)]
        for path in paths:
            path.write_bytes(make_batch(book, operations, dice))
        bodies = write_list(rig.directory / f"batches-{operations}", [str(path) for path in paths])
        load = Load(
            "bodies", bodies, connections, expect=201, operations=operations, path="/v1/batches"
        )
        probes.append(Probe(name, partial(run_wrk, rig, service, book, load)))
    return probes


def _compare(probe: str, samples: Round) -> float:
    return samples[probe].per_second / samples[BASELINE].per_second


SCENARIO: Final = Scenario(
    "batches",
    _prepare,
    (
        Figure(
            "batches 1,000",
            "transfers a second in batches of 1,000, to pgbench",
            "times",
            5,
            partial(_compare, _PROBES[0]),
            at_least=True,
        ),
        Figure(
            "batches 5,000",
            "transfers a second in batches of 5,000, to pgbench",
            "times",
            5,
            partial(_compare, _PROBES[1]),
            at_least=True,
        ),
    ),
)
