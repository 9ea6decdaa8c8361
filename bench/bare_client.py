"""Calls to the partner with nothing around them: the most that workers of this interpreter can do.

Invariant: each call has a key of its own and is answered before the next one of its road begins.
It runs as a process of its own, on uvloop as the product does, and calls this machine alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import time
import uuid
from typing import Any, Final

import httpx2
import uvloop

from bench.tally import Tally, add_bounds, check_loopback

__all__: list[str] = []

_PATH: Final = "/v1/payouts"
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Everything is plain HTTP here, and reading the system's certificates takes time."""


async def _call(url: str, concurrency: int, tally: Tally) -> int:
    """Post until the tally says stop, `concurrency` at once; how many answers were not a yes."""
    refused = 0
    run = uuid.uuid4().hex
    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx2.AsyncClient(base_url=url, verify=_NO_TLS, limits=limits) as client:

        async def road(number: int) -> None:
            nonlocal refused
            count = 0
            while (began := tally.begin()) is not None:
                count += 1
                key = f"{run}-{number}-{count}"
                order = {"amount": "1000", "currency": "EUR", "reference": key}
                answer = await client.post(_PATH, json=order, headers={"Idempotency-Key": key})
                refused += answer.json() != {"status": "approved"}
                tally.end(began)

        tally.start()
        await asyncio.gather(*(road(number) for number in range(concurrency)))
    return refused


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.bare_client", description=__doc__)
    parser.add_argument("--url", type=check_loopback, required=True, help="of the partner")
    add_bounds(parser)
    options = parser.parse_args()
    tally = Tally(options.seconds, options.warm, options.most)
    refused = uvloop.run(_call(options.url, options.concurrency, tally))
    result: dict[str, Any] = {
        "client": f"httpx2 {httpx2.__version__}",
        "concurrency": options.concurrency,
        **tally.report(),
        "unexpected": refused,
        "cpu_seconds": round(time.process_time(), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    _main()
