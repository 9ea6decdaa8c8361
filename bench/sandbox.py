"""The sandbox beside a service that is measured: a process of its own, its gateway's settings."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2

from catena.gateways.registry import connection_id

if TYPE_CHECKING:
    from bench.book import Book
    from bench.rig import Api, Rig

__all__ = ["GATEWAY", "Sandbox", "open_sandbox"]

GATEWAY: Final = "sandbox"
_STOP_SECONDS: Final = 20
_ROOT: Final = Path(__file__).resolve().parent.parent


class Sandbox(NamedTuple):
    """A running sandbox. `settings`: of a service that has it as the gateway of a book's ledger;
    its webhooks are signed with `secret`.
    """

    address: str
    api_key: str
    secret: str
    hook: str
    settings: Mapping[str, object]

    def ask(self, path: str, body: object = None) -> Any:  # noqa: ANN401  # any JSON
        """Read, or write what there is to write."""
        key = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": secrets.token_hex(8)}
        method = "GET" if body is None else "POST"
        answer = httpx2.request(method, self.address + path, json=body, headers=key, timeout=30)
        return answer.raise_for_status().json()

    def tell(self, service: Api) -> None:
        """Have its webhooks sent to this service, which may be another than before."""
        url = service.url + self.hook
        if all(one["url"] != url for one in self.ask("/v1/webhook_endpoints")["data"]):
            self.ask("/v1/webhook_endpoints", {"url": url, "secret": self.secret})

    def count_charges(self) -> int:
        """How often it has really charged somebody."""
        return sum(one.get("charge", 0) for one in self.ask("/v1/audit")["data"].values())


def open_sandbox(rig: Rig, book: Book, name: str) -> Sandbox:
    """A sandbox that is the gateway of this book, and runs until the rig is taken down."""
    address, api_key = rig.keep(_running())
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    file = rig.directory / f"{name}.toml"
    file.write_text(
        f'[{GATEWAY}]\nkind = "sandbox"\nledger = "{book.ledger}"\nurl = "{address}"\n'
        'api_key = "env:CATENA_BENCH_KEY"\nwebhook_secret = "env:CATENA_BENCH_SECRET"\n'
    )
    settings = {"gateways_file": str(file), "bench_key": api_key, "bench_secret": secret}
    hook = f"/v1/webhooks/{connection_id(book.ledger, GATEWAY)}"
    return Sandbox(address, api_key, secret, hook, settings)


@contextmanager
def _running() -> Iterator[tuple[str, str]]:
    """The sandbox as a process of its own, without a directory: its address and key."""
    command = [sys.executable, "-P", "-m", "catena.cli", "sandbox", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        try:
            told = json.loads(process.stdout.readline())
            yield told["address"], told["api_key"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)
