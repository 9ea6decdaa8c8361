"""What a transfer costs in a book of many lines, against one of a line for each wallet.

Each book has a database of its own, so that tables and indexes are as large as the book. The
small one is made anew for each round, for it grows while it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import copy_book, fill
from bench.generators import find_wrk
from bench.probes import Figure, Probe, Sample, Scenario
from bench.scenarios.transfers import CONNECTIONS, run_transfers

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_LARGE: Final = "growth_large"
_SMALL: Final = "growth_small"
_LINES_OF_A_TRANSFER: Final = 2


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = copy_book(rig, plan, _LARGE)
    fill(rig, _LARGE, book, plan.lines // _LINES_OF_A_TRANSFER)
    return [
        Probe(_SMALL, partial(_run_small, rig, plan)),
        Probe(_LARGE, partial(run_transfers, rig, _LARGE, book, CONNECTIONS, 0.0)),
    ]


def _run_small(rig: Rig, plan: Plan, seconds: int) -> Sample:
    book = copy_book(rig, plan, _SMALL)
    run = partial(run_transfers, rig, _SMALL, book, CONNECTIONS, 0.0)
    if plan.warm_seconds:
        run(plan.warm_seconds)
    return run(seconds)


SCENARIO: Final = Scenario(
    "growth",
    _prepare,
    (
        Figure(
            "growth CPU",
            "processor time of a transfer in a large book, to a small one",
            "times",
            1.2,
            lambda r: r[_LARGE].server_cpu_us / r[_SMALL].server_cpu_us,
        ),
        Figure(
            "growth time",
            "time of a transfer in a large book, to a small one",
            "times",
            1.2,
            lambda r: r[_SMALL].per_second / r[_LARGE].per_second,
        ),
    ),
)
