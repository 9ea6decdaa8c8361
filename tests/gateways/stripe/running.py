"""A gateway of ours, connected to a program that stands where Stripe would, and what it is told.

Invariant: the program is a process of its own, on loopback, and ends with whoever started it.
"""

from __future__ import annotations

import datetime as dt
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from catena.gateways.contract import Gateway, Order
from catena.gateways.stripe import connect
from catena.outside.client import OutsideClient
from catena.settings import Settings

__all__ = [
    "API_KEY",
    "AT",
    "KEY",
    "SECRET",
    "VERSION",
    "Proxy",
    "connected",
    "make_order",
    "run_program",
    "run_proxy",
]

API_KEY: Final = "sk_test_51NotAKeyOfAnybody"
SECRET: Final = "whsec_not_a_secret"  # noqa: S105  # of these tests alone
VERSION: Final = "2026-08-26.dahlia"
AT: Final = dt.datetime(2026, 11, 23, 7, 30, tzinfo=dt.UTC)
KEY: Final = "cte_" + 32 * "a" + ".pay.forward.1"

_PROGRAM: Final = Path(__file__).with_name("fault_proxy.py")
# Everything is plain HTTP here, and reading the system's certificates takes 30 ms a client.
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Proxy:
    """The program, as its tests speak to it."""

    url: str
    http: httpx2.Client

    def _tell(self, word: str, body: object = None) -> Any:  # noqa: ANN401  # any JSON
        answer = self.http.post(f"/_/{word}", content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def reset(self) -> None:
        """Have it forget everything."""
        self._tell("reset")

    def rule(self, method: str, path: str, do: str, **more: object) -> None:
        """Say how the next request like this is treated; see `Rule`."""
        self._tell("rules", [{"method": method, "path": path, "do": do, **more}])

    def answers(
        self,
        method: str,
        path: str,
        body: object,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """The next requests like this are answered so."""
        more = {"headers": dict(headers or {}), "times": times}
        self.rule(method, path, "answer", body=body, status=status, **more)

    def forget(self) -> None:
        """A day has passed: no key is remembered."""
        self._tell("forget")

    def release(self) -> None:
        """Let go what is held."""
        self._tell("release")

    def heard(self, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """The requests that came, in order: with this method and path, if they are given."""
        return [
            {**one, "form": [tuple(pair) for pair in one["form"]]}
            for one in self._tell("heard")
            if method in ("", one["method"]) and path in ("", one["path"])
        ]

    def left(self) -> list[str]:
        """The rules that nothing was for."""
        return [f"{rule['method']} {rule['path']}" for rule in self._tell("left")]


@contextmanager
def run_program(*command: str | Path, **environment: str) -> Iterator[str]:
    """Run a program that says its address first, and ends when its input does."""
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment or None,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), f"it did not start: {address}"
            yield address
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(10)
            finally:
                process.kill()


@contextmanager
def run_proxy(upstream: str = "", leaving_out: Sequence[Sequence[str]] = ()) -> Iterator[Proxy]:
    """The program, in front of another one or alone. `leaving_out`: see there."""
    words = ("--upstream", upstream, "--leave-out", json.dumps(leaving_out))
    with (
        run_program(sys.executable, "-P", _PROGRAM, *words) as url,
        httpx2.Client(base_url=url, timeout=20, verify=_NO_TLS) as http,
    ):
        yield Proxy(url, http)


@asynccontextmanager
async def connected(
    url: str, clock: Callable[[], dt.datetime] = lambda: AT, *, api_key: str = API_KEY
) -> AsyncIterator[Gateway]:
    """A gateway that calls this address."""
    async with OutsideClient(Settings(allow_private_addresses=True), tls=_NO_TLS) as client:
        yield connect(
            "stripe",
            api_key=api_key,
            webhook_secrets=[SECRET],
            api_base=url,
            api_version=VERSION,
            client=client,
            clock=clock,
        )


def make_order(**told: Any) -> Order:  # noqa: ANN401  # any field of an order
    """An order of 10.99 EUR by a card, first sent now."""
    order = Order(
        key=KEY,
        amount=1099,
        currency="EUR",
        method={"payment_method": "pm_card_visa"},
        about=None,
        note="",
        chain="cte_" + 32 * "a",
        step="pay",
        first_at=AT,
        timeout_seconds=10.0,
    )
    return order._replace(**told)
