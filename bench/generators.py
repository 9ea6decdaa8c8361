"""The load generators: wrk and clients of ours for HTTP, pgbench for the baseline.

Each run gives one sample.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.book import Book, await_commits
from bench.probes import NotMeasured, Sample
from bench.usage import read_resident_mb
from catena.db.embedded.binaries import find_binaries
from catena.db.embedded.cluster import ADMIN

if TYPE_CHECKING:
    from bench.rig import Api, Rig

__all__ = [
    "Load",
    "call_pgbench",
    "find_wrk",
    "run_bare_client",
    "run_chain_client",
    "run_pgbench",
    "run_wrk",
    "write_list",
]

_ROOT: Final = Path(__file__).resolve().parent.parent
_LUA: Final = Path(__file__).parent / "lua"
_PATIENCE_SECONDS: Final = 120
"""More than a run itself: until all that it asked for is done."""
_WATCH_SECONDS: Final = 0.1
_CREATED: Final = 201


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk does. `list` is a file that the script reads: accounts, paths or bodies.

    `operations`: of one request. `hot`: the share of transfers that touch the fee account. `path`:
    where bodies are posted.
    """

    script: str
    list: Path
    connections: int
    expect: int
    operations: int = 1
    hot: float = 0.0
    path: str = ""


def find_wrk() -> str:
    """The program. Raises NotMeasured."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise NotMeasured("wrk is not installed (Debian: apt-get install wrk).")
    return wrk


def write_list(path: Path, lines: Sequence[str]) -> Path:
    """Write a list that a script reads."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def run_wrk(rig: Rig, service: Api, book: Book, load: Load, seconds: int) -> Sample:
    """One run with one thread, which leaves the other core to the service and PostgreSQL."""
    seed = random.getrandbits(31)
    environment = os.environ | {
        "BENCH_EXPECT": str(load.expect),
        "BENCH_HOT": str(load.hot),
        "BENCH_LIST": str(load.list),
        "BENCH_KEY": book.key,
        "BENCH_LEDGER": book.ledger,
        "BENCH_LUA": str(_LUA),
        "BENCH_PATH": load.path,
        "BENCH_RUN": f"{seed:x}",
        "BENCH_SEED": str(seed),
    }
    command = [find_wrk(), "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", str(_LUA / f"{load.script}.lua"), service.url]
    with rig.measuring(service) as meter:
        output, api_mb = _run_watched(command, environment, service.pid)
    if load.expect == _CREATED:
        # wrk leaves when its time is up, with a request under way on each connection.
        await_commits(service, book)
    report = json.loads(output.splitlines()[-1])
    if not report["requests"]:
        raise RuntimeError(f"No request of {load.script} was answered in {seconds} s.")
    return Sample(
        operations=report["requests"] * load.operations,
        seconds=report["microseconds"] / 1e6,
        p50_ms=report["p50_us"] / 1e3,
        p99_ms=report["p99_us"] / 1e3,
        api_mb=api_mb,
        unexpected=report["unexpected"],
        used=meter,
    )


def _run_watched(
    command: Sequence[str], environment: Mapping[str, str], pid: int
) -> tuple[str, float]:
    """Output of the command, and the most memory that the process had meanwhile."""
    largest = read_resident_mb(pid)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        output = None
        while output is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                output, _ = process.communicate(timeout=_WATCH_SECONDS)
            largest = max(largest, read_resident_mb(pid))
    if process.returncode:
        raise RuntimeError(f"wrk failed:\n{output}")
    return output, largest


def run_bare_client(rig: Rig, url: str, concurrency: int, seconds: int) -> Sample:
    """One run of calls to the partner with nothing around them."""
    command = ["bench.bare_client", "--url", url, "--concurrency", str(concurrency)]
    command += ["--warm", "0"]
    with rig.measuring(None) as meter:
        found = _run_module(command, seconds)
    return Sample(
        operations=found["operations"],
        seconds=found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        unexpected=found["unexpected"],
        used=meter,
    )


def run_chain_client(
    rig: Rig, service: Api, book: Book, body: Mapping[str, object], seconds: int, *options: str
) -> Sample:
    """One run of chains that call the partner; an operation is a call that came to it.

    The times are from a signal's leaving to the call's coming, where --signal says so.
    """
    command = ["bench.chain_client", "--url", service.url, *options]
    environment = {"BENCH_KEY": book.key, "BENCH_LEDGER": book.ledger}
    with rig.measuring(service) as meter:
        found = _run_module(command, seconds, json.dumps(body), environment)
        api_mb = read_resident_mb(service.pid)
    return Sample(
        operations=found["operations"],
        seconds=found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        api_mb=api_mb,
        unexpected=found["asked"] - found["seen"],
        used=meter,
    )


def _run_module(
    command: Sequence[str],
    seconds: int,
    told: str = "",
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a module of ours as a process of its own; gives the JSON of its last line."""
    finished = subprocess.run(
        [sys.executable, "-m", *command, "--seconds", str(seconds)],
        cwd=_ROOT,
        env={**os.environ, **(environment or {})},
        input=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + _PATIENCE_SECONDS,
    )
    if finished.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{finished.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def run_pgbench(rig: Rig, database: str, clients: int, seconds: int) -> Sample:
    """One run of TPC-B with prepared statements, two threads."""
    with rig.measuring(None) as meter:
        options = ["-M", "prepared", "-j", "2", "-c", str(clients), "-T", str(seconds)]
        output = call_pgbench(rig, database, *options)
    transactions = re.search(r"actually processed: (\d+)", output)
    rate = re.search(r"tps = ([\d.]+) \(without", output)
    failed = re.search(r"failed transactions: (\d+)", output)
    if not (transactions and rate and failed):
        raise RuntimeError(f"pgbench said something else:\n{output}")
    operations = int(transactions[1])
    return Sample(
        operations=operations,
        seconds=operations / float(rate[1]),
        unexpected=int(failed[1]),
        used=meter,
    )


def call_pgbench(rig: Rig, database: str, *options: str) -> str:
    """Run pgbench of the wheel against the rig's server; gives what it prints."""
    address = rig.server.address
    environment = os.environ | {
        "PGDATABASE": database,
        "PGHOST": address.host,
        "PGPASSFILE": str(rig.passwords),
        "PGPORT": str(address.port),
        "PGUSER": ADMIN,
    }
    finished = subprocess.run(
        [str(find_binaries().program("pgbench")), *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise RuntimeError(f"pgbench failed:\n{finished.stderr}")
    return finished.stdout
