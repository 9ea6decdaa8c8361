"""From the moment a signal leaves until the call behind it comes to the partner."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import Book, copy_book
from bench.generators import run_chain_client
from bench.partner import TIMED, run_partner
from bench.probes import Figure, Probe, Sample, Scenario
from bench.scenarios.chains import await_completed
from bench.scenarios.workers import CALLS_PARTNERS
from bench.shapes import SIGNAL, wait_then_call

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_DATABASE: Final = "waking"
_CALM: Final = "waking_1"
_BUSY: Final = "waking_8"


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    book = copy_book(rig, plan, _DATABASE)
    return [
        Probe(_CALM, partial(_run, rig, book, 1)),
        Probe(_BUSY, partial(_run, rig, book, 8)),
    ]


def _run(rig: Rig, book: Book, roads: int, seconds: int) -> Sample:
    """Chains are created and signalled on each road; as many calls are open as there are roads."""
    service = rig.service(_DATABASE, **CALLS_PARTNERS)
    with run_partner() as partner:
        options = ("--partner", partner.url, "--signal", SIGNAL)
        bounds = ("--concurrency", str(roads), "--open", str(roads))
        body = wait_then_call(f"{partner.url}{TIMED}")
        sample = run_chain_client(rig, service, book, body, seconds, *options, *bounds)
        await_completed(rig, _DATABASE)
    return sample


SCENARIO: Final = Scenario(
    "waking",
    _prepare,
    (
        Figure(
            "waking p99 1",
            "p99 from a signal to the call behind it, one at a time",
            "ms",
            20,
            lambda r: r[_CALM].p99_ms or 0.0,
        ),
        Figure(
            "waking p99 8",
            "p99 from a signal to the call behind it, eight at once without a pause",
            "ms",
            20,
            lambda r: r[_BUSY].p99_ms or 0.0,
        ),
    ),
)
