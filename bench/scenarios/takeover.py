"""What a killed worker had under way: how late after its lease the last of it is taken over.

The partner holds the calls of one process until that is killed; another one, which was there all
the time, must then ask for each of them again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx2

from bench.book import Book, copy_book
from bench.generators import run_chain_client
from bench.partner import HELD, Arrivals, Partner, run_partner
from bench.probes import Figure, Probe, Round, Sample, Scenario
from bench.scenarios.chains import await_completed, count_chains
from bench.scenarios.workers import CALLS_PARTNERS
from bench.shapes import call_partner

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_TAKEOVER: Final = "takeover"
_CONNECTIONS: Final = 16
_LOOK_SECONDS: Final = 0.05
_LOOKS: Final = 1_200
_CREATING_SECONDS: Final = 60


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    book = copy_book(rig, plan, _TAKEOVER)
    return [Probe(_TAKEOVER, partial(_run, rig, book, plan.orphans, plan.lease_seconds))]


def _run(rig: Rig, book: Book, orphans: int, lease_seconds: int, _: int) -> Sample:
    """One kill. Every call was held when it came, lost by the kill, and made again by another."""
    # No held call is given up before its lease ends.
    seconds = {"lease_seconds": lease_seconds, "call_seconds": lease_seconds * 0.95}
    settings = {**CALLS_PARTNERS, **seconds}
    hands = {"worker_calls": orphans, "outside_connections": orphans}
    before = count_chains(rig, _TAKEOVER, "completed")
    doomed = rig.service(_TAKEOVER, **settings, **hands)
    heir = rig.worker(_TAKEOVER, **settings)
    with run_partner() as partner:
        options = ("--partner", partner.url, "--concurrency", str(_CONNECTIONS))
        bounds = ("--open", str(orphans), "--most", str(orphans))
        body = call_partner(f"{partner.url}{HELD}")
        created = run_chain_client(rig, doomed, book, body, _CREATING_SECONDS, *options, *bounds)
        held = _ask(partner, "counts")
        killed_at = time.monotonic()
        doomed.kill()
        with rig.measuring(heir) as meter:
            _await_calls(partner, held["requests"] + orphans)
        counts = _ask(partner, "counts")
        arrivals: Arrivals = _ask(partner, "arrivals")
        completed = await_completed(rig, _TAKEOVER) - before
    heir.stop()
    told = (held["requests"], held["keys"], held["lost"], counts["lost"], completed)
    if told != (orphans, orphans, 0, orphans, orphans):
        raise RuntimeError(f"{orphans} calls should be held, lost, and made again: {told}.")
    taken = [moments[1] - killed_at for moments in arrivals.values()]
    return Sample(
        operations=orphans,
        seconds=max(taken),
        late_seconds=max(taken) - lease_seconds,
        unexpected=created.unexpected + counts["requests"] - 2 * orphans,
        used=meter,
    )


def _ask(partner: Partner, what: str) -> Any:  # noqa: ANN401  # JSON
    return httpx2.get(f"{partner.url}/{what}").json()


def _await_calls(partner: Partner, requests: int) -> None:
    """Wait until the partner has had so many requests. Raises RuntimeError."""
    for _ in range(_LOOKS):
        if _ask(partner, "counts")["requests"] >= requests:
            return
        time.sleep(_LOOK_SECONDS)
    raise RuntimeError("Nobody has taken over all that the killed worker had.")


def _read_lateness(samples: Round) -> float:
    return samples[_TAKEOVER].late_seconds or 0.0


SCENARIO: Final = Scenario(
    _TAKEOVER,
    _prepare,
    (
        Figure(
            "takeover",
            "the last call of a killed worker is made again, after a lease",
            "s",
            1,
            _read_lateness,
        ),
    ),
)
