"""Starts a peer in its own environment and reads what it says: a sample like any other.

Invariant: a peer gets a database of its own, and the password by file, never by its command line.
It never installs anything: `make bench` does.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from bench.probes import NotMeasured, Sample
from catena.db.embedded.cluster import ADMIN

if TYPE_CHECKING:
    from bench.rig import Rig

__all__ = ["find_peers", "run_dbos"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS: Final = 120
"""More than the run itself: starting, creating tables, counting what was stored."""


def find_peers() -> str:
    """The interpreter of the peers' environment. Raises NotMeasured."""
    python = _ROOT / os.environ.get("PEERS", ".venv-peers") / "bin" / "python"
    if not python.exists():
        raise NotMeasured("The peers are not installed (make bench does it).")
    return str(python)


def run_dbos(
    rig: Rig, database: str, concurrency: int, seconds: int, *options: str, warm: int = 1
) -> Sample:
    """One run of DBOS's workflows in the database, with more options of the script.

    Raises NotMeasured, and RuntimeError when DBOS failed or stored something else than it said.
    """
    address = rig.server.address
    command = [find_peers(), "-m", "bench.peers.dbos_workflows", *options]
    place = urlencode({"host": address.host, "port": address.port})
    command += ["--dsn", f"postgresql://{ADMIN}@/{database}?{place}"]
    command += ["--concurrency", str(concurrency), "--seconds", str(seconds), "--warm", str(warm)]
    with rig.measuring(None) as meter:
        finished = subprocess.run(
            command,
            cwd=_ROOT,
            env=os.environ | {"PGPASSFILE": str(rig.passwords)},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + warm + _PATIENCE_SECONDS,
        )
    if finished.returncode:
        raise RuntimeError(f"DBOS failed:\n{finished.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return Sample(
        operations=found["operations"],
        seconds=found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        unexpected=found["finished"] - found["stored_workflows"],
        used=meter,
    )
