"""Outside steps a second through the worker of the service: a chain with one call of the partner.

Beside it, calls of the same partner with nothing around them, by one to many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import Book, copy_book
from bench.generators import run_bare_client, run_chain_client
from bench.partner import Partner, run_partner
from bench.probes import Figure, Probe, Round, Sample, Scenario
from bench.scenarios.chains import await_completed, count_chains
from bench.shapes import call_partner

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["CALLS_PARTNERS", "PARTNER", "SCENARIO", "STEPS", "shared_partner"]

STEPS: Final = "steps"
"""The probe that a peer's workflows are compared with."""

PARTNER: Final = "partner"
"""The note that names the partner which all of a run's comparisons call."""

CALLS_PARTNERS: Final = {"allow_private_addresses": 1}
"""What a service is told whose partner is on this machine."""

_CONNECTIONS: Final = 16
_OPEN: Final = 128
"""Calls that are on their way at once: the worker's hands are full, and the next ones there."""

_BARE: Final = {concurrency: f"bare_{concurrency}" for concurrency in (1, 8, 32)}
_LIFE_SECONDS: Final = 7_200


def shared_partner(rig: Rig) -> Partner:
    """The partner that a run's comparisons call; it lives as long as the rig."""
    if PARTNER not in rig.notes:
        rig.notes[PARTNER] = rig.keep(run_partner(_LIFE_SECONDS))
    partner: Partner = rig.notes[PARTNER]
    return partner


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    book = copy_book(rig, plan, STEPS)
    partner = shared_partner(rig)
    bare = [
        Probe(name, partial(run_bare_client, rig, partner.url, concurrency))
        for concurrency, name in _BARE.items()
    ]
    return [Probe(STEPS, partial(_run, rig, book, partner)), *bare]


def _run(rig: Rig, book: Book, partner: Partner, seconds: int) -> Sample:
    """One run; every chain that was asked for is completed, and none is left open."""
    service = rig.service(STEPS, **CALLS_PARTNERS)
    before = count_chains(rig, STEPS, "completed")
    options = ("--partner", partner.url, "--concurrency", str(_CONNECTIONS), "--open", str(_OPEN))
    body = call_partner(f"{partner.url}/v1/payouts")
    sample = run_chain_client(rig, service, book, body, seconds, *options)
    completed = await_completed(rig, STEPS) - before
    if completed < sample.operations:
        raise RuntimeError(f"{sample.operations} calls came and {completed} chains are completed.")
    return sample


def _best_bare(samples: Round) -> float:
    return max(samples[name].per_second for name in _BARE.values())


SCENARIO: Final = Scenario(
    "workers",
    _prepare,
    (
        Figure(
            "steps",
            "outside steps a second, to the best of the bare HTTP client",
            "times",
            0.5,
            lambda r: r[STEPS].per_second / _best_bare(r),
            at_least=True,
        ),
    ),
)
