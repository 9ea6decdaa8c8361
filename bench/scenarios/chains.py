"""Chains of the ledger's own steps, one a request: created, completed and committed when answered.

Once more beside very many that wait, in a database of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.book import Book, copy_book
from bench.generators import Load, find_wrk, run_wrk
from bench.probes import Figure, Probe, Sample, Scenario
from bench.shapes import five_steps, wait_then_pay, write_template

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["CHAINS", "SCENARIO", "await_completed", "count_chains"]

CHAINS: Final = "chains"
"""The probe that a peer's workflows are compared with."""

_CONNECTIONS: Final = 64
_FEW: Final = "chains_32"
_FEW_CONNECTIONS: Final = 32
_WAITING: Final = "chains_waiting"
_CREATED: Final = 201
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 60
_WHOLE: Final = (
    "SELECT count(*) FROM catena.chains c JOIN catena.events e"
    " ON e.ledger_id = c.ledger_id AND e.position = c.position AND e.subject = c.chain_id"
    " WHERE c.state = 'completed' AND c.steps = 5 AND c.done = 5"
)
"""Chains that have done all their steps, and whose history ends where they say."""


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = copy_book(rig, plan, CHAINS)
    copy_book(rig, plan, _WAITING)
    template = write_template(rig.directory / CHAINS, five_steps(book), book.wallets)
    _fill(rig, book, plan)
    return [
        Probe(CHAINS, partial(_run, rig, CHAINS, book, template, _CONNECTIONS)),
        Probe(_FEW, partial(_run, rig, CHAINS, book, template, _FEW_CONNECTIONS)),
        Probe(_WAITING, partial(_run, rig, _WAITING, book, template, _CONNECTIONS)),
    ]


def _fill(rig: Rig, book: Book, plan: Plan) -> None:
    """Create chains that wait, until there are as many as the plan says."""
    template = write_template(rig.directory / _WAITING, wait_then_pay(), book.wallets)
    load = Load("chains", template, _CONNECTIONS, expect=_CREATED)
    there = 0
    while there < plan.waiting:
        before = there
        run_wrk(rig, rig.service(_WAITING), book, load, plan.seconds)
        there = count_chains(rig, _WAITING, "executing")
        if there == before:
            raise RuntimeError("No chain that waits could be created.")
        rig.report(f"{_WAITING}: {there:,} of {plan.waiting:,} chains wait")


def count_chains(rig: Rig, database: str, state: str) -> int:
    """The chains in this state."""
    counted = rig.ask(database, f"SELECT count(*) FROM catena.chains WHERE state = '{state}'")
    return int(str(counted))


def await_completed(rig: Rig, database: str) -> int:
    """Wait until no chain runs any more; gives how many are completed. Raises RuntimeError."""
    patience = time.monotonic() + _PATIENCE_SECONDS
    while count_chains(rig, database, "executing"):
        if time.monotonic() > patience:
            raise RuntimeError(f"In {database} there are chains that do not end.")
        time.sleep(_LOOK_SECONDS)
    return count_chains(rig, database, "completed")


def _run(
    rig: Rig, database: str, book: Book, template: Path, connections: int, seconds: int
) -> Sample:
    """One run; every chain that was answered has done all its steps, and no others have."""
    load = Load("chains", template, connections, expect=_CREATED)
    before = int(str(rig.ask(database, _WHOLE)))
    sample = run_wrk(rig, rig.service(database), book, load, seconds)
    done = int(str(rig.ask(database, _WHOLE))) - before
    answered = sample.operations - sample.unexpected
    # Beside what was answered: a request under way on each connection.
    if not answered <= done <= sample.operations + connections:
        raise RuntimeError(f"{answered} chains were answered and {done} are completed.")
    return sample


SCENARIO: Final = Scenario(
    "chains",
    _prepare,
    (
        Figure(
            "chain p99 32",
            "p99 of a chain of five steps, creation to completion, at 32 connections",
            "ms",
            40,
            lambda r: r[_FEW].p99_ms or 0.0,
        ),
        Figure(
            "beside waiting",
            "chains of five steps a second beside very many that wait, to none",
            "times",
            0.9,
            lambda r: r[_WAITING].per_second / r[CHAINS].per_second,
            at_least=True,
        ),
    ),
)
