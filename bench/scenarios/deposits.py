"""Deposits a second by way of a gateway: charged at the sandbox, confirmed by webhook, credited.

Each is answered when its wallet has the money. The sandbox is a process of its own beside the
service, and says that a charge is pending; that it is paid only its webhook tells.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.book import Book, copy_book
from bench.generators import Load, find_wrk, run_wrk, write_list
from bench.probes import Figure, Probe, Sample, Scenario
from bench.sandbox import GATEWAY, Sandbox, open_sandbox
from bench.scenarios.chains import await_completed

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_DEPOSITS: Final = "deposits"
_CONNECTIONS: Final = 64
_CREATED: Final = 201


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = copy_book(rig, plan, _DEPOSITS)
    body = {
        "gateway": GATEWAY,
        "account_id": "{to}",
        "amount": 1000,
        "currency": "USD",
        "method": {"type": "card", "token": "tok_soon_approved"},
    }
    template = write_list(rig.directory / _DEPOSITS, [json.dumps(body), *book.wallets])
    sandbox = open_sandbox(rig, book, _DEPOSITS)
    return [Probe(_DEPOSITS, partial(_run, rig, book, sandbox, template))]


def _run(rig: Rig, book: Book, sandbox: Sandbox, template: Path, seconds: int) -> Sample:
    """One run; every deposit that was answered is completed, charged once, and none is left."""
    service = rig.service(_DEPOSITS, **sandbox.settings)
    sandbox.tell(service)
    before, charged = await_completed(rig, _DEPOSITS), sandbox.count_charges()
    load = Load("deposits", template, _CONNECTIONS, expect=_CREATED)
    sample = run_wrk(rig, service, book, load, seconds)
    done = await_completed(rig, _DEPOSITS) - before
    effects = sandbox.count_charges() - charged
    if not sample.operations - sample.unexpected <= done == effects:
        raise RuntimeError(f"{sample.operations} answers, {done} deposits, {effects} charges.")
    return sample


SCENARIO: Final = Scenario(
    "deposits",
    _prepare,
    (
        Figure(
            "deposits",
            "deposits a second by way of the sandbox, confirmed by webhook, end to end",
            "a second",
            300,
            lambda r: r[_DEPOSITS].per_second,
            at_least=True,
        ),
    ),
)
