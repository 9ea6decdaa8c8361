"""Previews of long chains, one at a time."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import MAIN, main_book
from bench.generators import Load, find_wrk, run_wrk, write_list
from bench.probes import Figure, Probe, Scenario
from bench.shapes import long_chain

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_PREVIEWS: Final = "previews"
_STEPS: Final = 50
_BODIES: Final = 20


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = main_book(rig, plan)
    dice = random.Random(2)
    paths = [rig.directory / f"preview-{number}" for number in range(_BODIES)]
    for path in paths:
        path.write_text(json.dumps(long_chain(book, _STEPS, dice)))
    bodies = write_list(rig.directory / _PREVIEWS, [str(path) for path in paths])
    load = Load("bodies", bodies, connections=1, expect=200, path="/v1/chains/preview")
    return [Probe(_PREVIEWS, partial(run_wrk, rig, rig.service(MAIN), book, load))]


SCENARIO: Final = Scenario(
    _PREVIEWS,
    _prepare,
    (
        Figure(
            "preview p50",
            "p50 of a preview of 50 steps",
            "ms",
            10,
            lambda r: r[_PREVIEWS].p50_ms or 0.0,
        ),
        Figure(
            "preview p99",
            "p99 of a preview of 50 steps",
            "ms",
            10,
            lambda r: r[_PREVIEWS].p99_ms or 0.0,
        ),
    ),
)
