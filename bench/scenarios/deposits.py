"""Deposits a second by way of a gateway: charged at the sandbox, confirmed by webhook, credited.

Each is answered when its wallet has the money. The sandbox is a process of its own beside the
service, and says that a charge is pending; that it is paid only its webhook tells.
"""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2

from bench.book import Book, copy_book
from bench.generators import Load, find_wrk, run_wrk, write_list
from bench.probes import Figure, Probe, Sample, Scenario
from bench.scenarios.chains import await_completed
from catena.gateways.registry import connection_id

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Api, Rig

__all__ = ["SCENARIO"]

_DEPOSITS: Final = "deposits"
_GATEWAY: Final = "sandbox"
_CONNECTIONS: Final = 64
_CREATED: Final = 201
_STOP_SECONDS: Final = 20
_ROOT: Final = Path(__file__).resolve().parent.parent.parent


class _Sandbox(NamedTuple):
    """A running sandbox."""

    address: str
    api_key: str

    def ask(self, path: str, body: object = None) -> Any:  # noqa: ANN401  # any JSON
        """Read, or write what there is to write."""
        key = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": secrets.token_hex(8)}
        method = "GET" if body is None else "POST"
        answer = httpx2.request(method, self.address + path, json=body, headers=key, timeout=30)
        return answer.raise_for_status().json()


@contextmanager
def _run_sandbox() -> Iterator[_Sandbox]:
    """The sandbox as a process of its own, without a directory."""
    command = [sys.executable, "-P", "-m", "catena.cli", "sandbox", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        try:
            told = json.loads(process.stdout.readline())
            yield _Sandbox(told["address"], told["api_key"])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = copy_book(rig, plan, _DEPOSITS)
    sandbox = rig.keep(_run_sandbox())
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    file = rig.directory / "gateways.toml"
    file.write_text(
        f'[{_GATEWAY}]\nkind = "sandbox"\nledger = "{book.ledger}"\nurl = "{sandbox.address}"\n'
        'api_key = "env:CATENA_BENCH_KEY"\nwebhook_secret = "env:CATENA_BENCH_SECRET"\n'
    )
    settings = {"gateways_file": str(file), "bench_key": sandbox.api_key, "bench_secret": secret}
    body = {
        "gateway": _GATEWAY,
        "account_id": "{to}",
        "amount": 1000,
        "currency": "USD",
        "method": {"type": "card", "token": "tok_soon_approved"},
    }
    lines = [json.dumps(body), *book.wallets]
    template = write_list(rig.directory / _DEPOSITS, lines)
    run = partial(_run, rig, book, sandbox, template, (settings, secret))
    return [Probe(_DEPOSITS, run)]


def _hear(service: Api, book: Book, sandbox: _Sandbox, secret: str) -> None:
    """Have the sandbox's webhooks sent to this service, which may be another than before."""
    url = f"{service.url}/v1/webhooks/{connection_id(book.ledger, _GATEWAY)}"
    if all(one["url"] != url for one in sandbox.ask("/v1/webhook_endpoints")["data"]):
        sandbox.ask("/v1/webhook_endpoints", {"url": url, "secret": secret})


def _run(
    rig: Rig,
    book: Book,
    sandbox: _Sandbox,
    template: Path,
    told: tuple[Mapping[str, object], str],
    seconds: int,
) -> Sample:
    """One run; every deposit that was answered is completed, charged once, and none is left."""
    settings, secret = told
    service = rig.service(_DEPOSITS, **settings)
    _hear(service, book, sandbox, secret)
    before, charged = await_completed(rig, _DEPOSITS), _count_charges(sandbox)
    load = Load("deposits", template, _CONNECTIONS, expect=_CREATED)
    sample = run_wrk(rig, service, book, load, seconds)
    done = await_completed(rig, _DEPOSITS) - before
    effects = _count_charges(sandbox) - charged
    if not sample.operations - sample.unexpected <= done == effects:
        raise RuntimeError(f"{sample.operations} answers, {done} deposits, {effects} charges.")
    return sample


def _count_charges(sandbox: _Sandbox) -> int:
    counts = sandbox.ask("/v1/audit")["data"].values()
    return sum(one.get("charge", 0) for one in counts)


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
