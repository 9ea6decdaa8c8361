"""Balance reads, each including everything that was acknowledged before it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import MAIN, main_book
from bench.generators import Load, find_wrk, run_wrk, write_list
from bench.probes import Figure, Probe, Scenario
from bench.scenarios.baseline import BASELINE

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_CONNECTIONS: Final = 64


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = main_book(rig, plan)
    paths = [f"/v1/accounts/{wallet}/balance" for wallet in book.wallets]
    load = Load("reads", write_list(rig.directory / "balances", paths), _CONNECTIONS, expect=200)
    return [Probe("balances", partial(run_wrk, rig, rig.service(MAIN), book, load))]


SCENARIO: Final = Scenario(
    "balances",
    _prepare,
    (
        Figure(
            "balances",
            "balance reads a second, to pgbench",
            "times",
            2,
            lambda r: r["balances"].per_second / r[BASELINE].per_second,
            at_least=True,
        ),
    ),
)
