"""Memory of an API process that was just started, under the load of the transfers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import Book, copy_book
from bench.generators import find_wrk
from bench.probes import Figure, Probe, Round, Sample, Scenario
from bench.scenarios.transfers import CONNECTIONS, run_transfers

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_DATABASE: Final = "memory"


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    return [Probe("memory", partial(_run_afresh, rig, copy_book(rig, plan, _DATABASE)))]


def _run_afresh(rig: Rig, book: Book, seconds: int) -> Sample:
    rig.stop_service(_DATABASE)
    return run_transfers(rig, _DATABASE, book, CONNECTIONS, 0.0, seconds)


def _read_memory(samples: Round) -> float:
    return samples["memory"].api_mb or 0.0


SCENARIO: Final = Scenario(
    "memory",
    _prepare,
    (Figure("memory", "memory of the API process", "MB", 150, _read_memory),),
)
