"""Webhooks a second: verified, kept, answered. What they say is applied behind, and waited for.

Each says anew, under an id of its own, that a charge is approved: of deposits that are there.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx2

from bench.book import Book, copy_book
from bench.generators import Load, find_wrk, run_wrk, write_list
from bench.probes import Figure, Probe, Sample, Scenario
from bench.sandbox import GATEWAY, Sandbox, open_sandbox
from catena.clock import system_clock
from catena.outside.signing import ID, SIGNATURE, TIMESTAMP, parse_secret, sign

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Api, Rig

__all__ = ["SCENARIO"]

_INTAKE: Final = "intake"
_CONNECTIONS: Final = 64
_DEPOSITS: Final = 64
_WEBHOOKS_MAX: Final = 8_000
"""A second: more than can be taken in."""
_PATIENCE_SECONDS: Final = 300
_LOOK_SECONDS: Final = 0.02

_COUNT: Final = "SELECT count(*) FROM catena.notices"
_UNMATCHED: Final = "SELECT count(*) FROM catena.notices WHERE chain_id IS NULL"


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = copy_book(rig, plan, _INTAKE)
    sandbox = open_sandbox(rig, book, _INTAKE)
    return [Probe(_INTAKE, partial(_run, rig, book, sandbox))]


def _charge(service: Api, book: Book, sandbox: Sandbox) -> list[Any]:
    """Deposits that are completed; gives the charges that the gateway has of them."""
    headers = {
        "Authorization": f"Bearer {book.key}",
        "Catena-Ledger": book.ledger,
        "Prefer": "wait=30",
    }
    for wallet in book.wallets[:_DEPOSITS]:
        body = {
            "gateway": GATEWAY,
            "account_id": wallet,
            "amount": 1000,
            "currency": "USD",
            "method": {"type": "card", "token": "tok_approved"},
        }
        named = headers | {"Idempotency-Key": secrets.token_hex(8)}
        answer = httpx2.post(f"{service.url}/v1/deposits", json=body, headers=named, timeout=60)
        answer.raise_for_status()
    events = sandbox.ask("/v1/events?limit=1000")["data"]
    return [one["data"] for one in events if one["type"] == "charge.approved"]


def _list(charges: Sequence[Any], secret: str, count: int) -> Iterator[str]:
    """Webhooks as lines: id, time, signature, body."""
    key, now = parse_secret(secret), system_clock()
    for number in range(count):
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "type": "charge.approved",
            "created": now.isoformat(),
            "data": charges[number % len(charges)],
        }
        body = json.dumps(event)
        signed = sign(key, event["id"], now, body.encode())
        yield "\t".join([signed[ID], signed[TIMESTAMP], signed[SIGNATURE], body])


def _run(rig: Rig, book: Book, sandbox: Sandbox, seconds: int) -> Sample:
    """One run; each that was answered is kept, once, and applied in the end."""
    service = rig.service(_INTAKE, **sandbox.settings)
    sandbox.tell(service)
    charges = _charge(service, book, sandbox)
    _await_applied(rig)
    before = int(str(rig.ask(_INTAKE, _COUNT)))
    lines = list(_list(charges, sandbox.secret, _WEBHOOKS_MAX * seconds))
    written = write_list(rig.directory / _INTAKE, lines)
    load = Load("webhooks", written, _CONNECTIONS, expect=200, path=sandbox.hook)
    sample = run_wrk(rig, service, book, load, seconds)
    began = time.monotonic()
    _await_applied(rig)
    late = time.monotonic() - began
    kept = int(str(rig.ask(_INTAKE, _COUNT))) - before
    answered = sample.operations - sample.unexpected
    # Beside what was answered: a request under way on each connection.
    if not answered <= kept <= sample.operations + _CONNECTIONS <= len(lines):
        raise RuntimeError(f"{answered} webhooks were answered, and {kept} of {len(lines)} kept.")
    return replace(sample, late_seconds=late)


def _await_applied(rig: Rig) -> None:
    patience = time.monotonic() + _PATIENCE_SECONDS
    while int(str(rig.ask(_INTAKE, _UNMATCHED))):
        if time.monotonic() > patience:
            raise RuntimeError("There are webhooks that nobody applies.")
        time.sleep(_LOOK_SECONDS)


SCENARIO: Final = Scenario(
    "intake",
    _prepare,
    (
        Figure(
            "intake",
            "webhooks a second that are verified, kept and answered",
            "a second",
            3000,
            lambda r: r[_INTAKE].per_second,
            at_least=True,
        ),
        Figure(
            "intake behind",
            "after so many seconds of it: until all are applied",
            "s",
            None,
            lambda r: r[_INTAKE].late_seconds or 0.0,
        ),
    ),
)
