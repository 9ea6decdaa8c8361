"""Transfers, one a request, each under a key of its own: uniform, and with one hot account."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import MAIN, Book, main_book, read_position
from bench.generators import Load, find_wrk, run_wrk, write_list
from bench.probes import Figure, Probe, Round, Sample, Scenario
from bench.scenarios.baseline import BASELINE

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["CONNECTIONS", "SCENARIO", "run_transfers"]

CONNECTIONS: Final = 64
_FEW_CONNECTIONS: Final = 16
_HOT_SHARE: Final = 0.9


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = main_book(rig, plan)
    run = partial(run_transfers, rig, MAIN, book)
    return [
        Probe("transfers", partial(run, CONNECTIONS, 0.0)),
        Probe("transfers_hot", partial(run, CONNECTIONS, _HOT_SHARE)),
        Probe("transfers_16", partial(run, _FEW_CONNECTIONS, 0.0)),
    ]


def run_transfers(
    rig: Rig, database: str, book: Book, connections: int, hot: float, seconds: int
) -> Sample:
    """One run of single transfers; every one that was answered is in the ledger, and no more."""
    accounts = write_list(rig.directory / "accounts", [*book.wallets, book.fees])
    load = Load("transfers", accounts, connections, expect=201, hot=hot)
    before = read_position(rig, database)
    sample = run_wrk(rig, rig.service(database), book, load, seconds)
    posted = read_position(rig, database) - before
    answered = sample.operations - sample.unexpected
    # Beside what was answered: a request under way on each connection, and the one behind them.
    if not answered <= posted <= sample.operations + connections + 1:
        raise RuntimeError(f"{answered} transfers were answered and {posted} are in the ledger.")
    return sample


def _read_p99(probe: str, samples: Round) -> float:
    return samples[probe].p99_ms or 0.0


SCENARIO: Final = Scenario(
    "transfers",
    _prepare,
    (
        Figure(
            "transfers",
            "transfers a second, to pgbench",
            "times",
            2,
            lambda r: r["transfers"].per_second / r[BASELINE].per_second,
            at_least=True,
        ),
        Figure(
            "hot",
            "90 % of them on one account, to uniform",
            "times",
            0.9,
            lambda r: r["transfers_hot"].per_second / r["transfers"].per_second,
            at_least=True,
        ),
        Figure("p99 16", "p99 at 16 connections", "ms", 20, partial(_read_p99, "transfers_16")),
        Figure("p99 64", "p99 at 64 connections", "ms", 50, partial(_read_p99, "transfers")),
    ),
)
