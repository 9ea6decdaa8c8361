"""Durable workflows of DBOS, a second: five empty steps, or one that calls the partner over HTTP.

Invariant: a workflow counts when DBOS gave back its result, which it has stored by then; in the
end every one of them must be found in its tables, with all its steps.
It runs in .venv-peers, with DBOS's own settings (no tracing), and has nothing of the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import ssl
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, Final

import httpx2
import psycopg  # type: ignore[import-not-found]  # it is in .venv-peers alone
import uvloop
from dbos import DBOS  # type: ignore[import-not-found]  # as above

from bench.tally import Tally, add_bounds, bounded, check_loopback

__all__: list[str] = []

_PATH: Final = "/v1/payouts"
_STEPS_MAX: Final = 100
_POOL_MAX: Final = 90
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_STORED: Final = """
SELECT count(*), coalesce(sum((SELECT count(*) FROM dbos.operation_outputs o
                                WHERE o.workflow_uuid = w.workflow_uuid)), 0)
  FROM dbos.workflow_status w WHERE w.status = 'SUCCESS' AND w.application_version = %s"""

AsyncWorkflow = Callable[[], Awaitable[None]]
Workflow = Callable[[], None]


def _configure(options: argparse.Namespace, run: str) -> None:
    """DBOS as it comes: 20 connections, LISTEN/NOTIFY on, tracing off. Nothing is recovered."""
    config = {
        "name": "catena-bench",
        "system_database_url": options.dsn,
        "application_version": run,
        "executor_id": run,
        "log_level": "ERROR",
    }
    if options.pool:
        config["sys_db_pool_size"] = options.pool
    DBOS(config=config)


# --- workflows as coroutines -------------------------------------------------------------------


def _make_async(options: argparse.Namespace, client: httpx2.AsyncClient | None) -> AsyncWorkflow:
    """Registers the workflow; it has `steps` empty steps, or one that calls the partner."""

    async def rest() -> None:
        """Do nothing, durably."""

    async def call() -> str:
        assert client is not None  # noqa: S101  # given with --http
        answer = await client.post(_PATH, **_order(f"{DBOS.workflow_id}-{DBOS.step_id}"))
        return _read(answer)

    step = DBOS.step()(rest if client is None else call)

    async def workflow() -> None:
        for _ in range(options.steps):
            await step()

    registered: AsyncWorkflow = DBOS.workflow()(workflow)
    return registered


async def _run_async(options: argparse.Namespace, tally: Tally) -> None:
    client = httpx2.AsyncClient(**_connect(options)) if options.http else None
    workflow = _make_async(options, client)
    DBOS.launch()

    async def road() -> None:
        while (began := tally.begin()) is not None:
            await workflow()
            tally.end(began)

    tally.start()
    await asyncio.gather(*(road() for _ in range(options.concurrency)))
    if client is not None:
        await client.aclose()


# --- workflows in threads ----------------------------------------------------------------------


def _make_plain(options: argparse.Namespace, client: httpx2.Client | None) -> Workflow:
    """As above, in plain functions."""

    def rest() -> None:
        """Do nothing, durably."""

    def call() -> str:
        assert client is not None  # noqa: S101  # given with --http
        return _read(client.post(_PATH, **_order(f"{DBOS.workflow_id}-{DBOS.step_id}")))

    step = DBOS.step()(rest if client is None else call)

    def workflow() -> None:
        for _ in range(options.steps):
            step()

    registered: Workflow = DBOS.workflow()(workflow)
    return registered


def _run_threads(options: argparse.Namespace, tally: Tally) -> None:
    client = httpx2.Client(**_connect(options)) if options.http else None
    workflow = _make_plain(options, client)
    DBOS.launch()

    def road() -> None:
        while (began := tally.begin()) is not None:
            workflow()
            tally.end(began)

    with ThreadPoolExecutor(options.concurrency) as threads:
        tally.start()
        roads = [threads.submit(road) for _ in range(options.concurrency)]
    for done in roads:
        done.result()
    if client is not None:
        client.close()


# --- what both share ---------------------------------------------------------------------------


def _connect(options: argparse.Namespace) -> dict[str, Any]:
    wide = options.concurrency
    limits = httpx2.Limits(max_connections=wide, max_keepalive_connections=wide)
    return {"base_url": options.http, "verify": _NO_TLS, "limits": limits}


def _order(key: str) -> dict[str, Any]:
    """What the bare client sends too."""
    order = {"amount": "1000", "currency": "EUR", "reference": key}
    return {"json": order, "headers": {"Idempotency-Key": key}}


def _read(answer: httpx2.Response) -> str:
    status = answer.json()["status"]
    if answer.status_code != 200 or status != "approved":
        raise RuntimeError(f"The partner said {answer.status_code} {status}.")
    return str(status)


def _count_stored(dsn: str, run: str) -> tuple[int, int]:
    """Workflows of this run that succeeded, and their steps, as DBOS has stored them."""
    with psycopg.connect(dsn) as connection:
        workflows, steps = connection.execute(_STORED, [run]).fetchone()
    return int(workflows), int(steps)


def _check_server(dsn: str) -> str:
    """The DSN of a server on this machine, as it came. A socket's path is on this machine."""
    host = str(psycopg.conninfo.conninfo_to_dict(dsn).get("host", ""))
    if not host.startswith("/"):
        check_loopback(f"//{host}")
    return dsn


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.dbos_workflows")
    parser.add_argument(
        "--dsn",
        type=_check_server,
        required=True,
        help="of an empty database; its password may be in the file that PGPASSFILE names",
    )
    parser.add_argument(
        "--steps", type=bounded(int, _STEPS_MAX, 1), help="empty ones; 5, or 1 call"
    )
    parser.add_argument("--http", type=check_loopback, help="the partner that each step calls")
    parser.add_argument("--style", choices=("threads", "asyncio"), default="threads")
    parser.add_argument(
        "--pool", type=bounded(int, _POOL_MAX, 1), help="connections, if not DBOS's 20"
    )
    add_bounds(parser)
    options = parser.parse_args(arguments)
    if options.steps is None:
        options.steps = 1 if options.http else 5
    return options


def _main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    run = uuid.uuid4().hex
    tally = Tally(options.seconds, options.warm, options.most)
    _configure(options, run)
    if options.style == "asyncio":
        uvloop.run(_run_async(options, tally))
    else:
        _run_threads(options, tally)
    DBOS.destroy()
    report = tally.report()
    stored = _count_stored(options.dsn, run)
    result = {
        "peer": f"dbos {version('dbos')}",
        "python": platform.python_version(),
        "style": options.style,
        "step": "http" if options.http else "empty",
        "steps": options.steps,
        "concurrency": options.concurrency,
        **report,
        "cpu_seconds": round(time.process_time(), 2),
        "stored_workflows": stored[0],
        "stored_steps": stored[1],
    }
    print(json.dumps(result))
    if stored != (tally.finished, tally.finished * options.steps):
        print(f"{tally.finished} workflows were finished, {stored} stored.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
