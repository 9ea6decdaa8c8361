"""What a run found, as JSON in results/ and as a table of all runs in README.md.

Invariant: the table is drawn from the results alone. Nothing in a result names this machine.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from bench.probes import Figure, Round, Sample, read_figure
from bench.scenarios import SCENARIOS
from bench.scenarios.baseline import BASELINE, CLIENTS
from catena.db.embedded.binaries import find_binaries

if TYPE_CHECKING:
    from datetime import datetime

    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["FIGURES", "describe_setting", "make_result", "print_result", "render_history"]

FIGURES: Final[Sequence[Figure]] = [figure for scene in SCENARIOS for figure in scene.figures]
_SETTINGS: Final = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "data_checksums",
    "io_method",
    "wal_sync_method",
)
_PACKAGES: Final = ("asyncpg", "catena-ledger", "msgspec", "pydantic", "uvicorn", "uvloop")
_SIGNS: Final = {"at_least": "≥", "at_most": "≤"}
_SPENDERS: Final = ("api", "postgres", "generator")
_HERE: Final = Path(__file__).parent


def describe_setting(rig: Rig) -> dict[str, object]:
    """The machine, the versions and PostgreSQL's settings, as they are before the load."""
    listed = ", ".join(f"'{name}'" for name in _SETTINGS)
    settings = rig.ask(
        "postgres",
        "SELECT json_object_agg(name, current_setting(name) ORDER BY name)::text"
        f" FROM pg_settings WHERE name IN ({listed})",
    )
    return {
        "machine": {
            "cores": os.cpu_count(),
            "processor": _read_field("/proc/cpuinfo", "model name"),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
            "load_before": round(os.getloadavg()[0], 2),
            "file_system": _file_system(rig.directory),
        },
        "processes": {
            "api": "1, started by `catena serve`",
            "generator": "on the same machine; wrk with 1 thread, pgbench with 2",
        },
        "versions": {
            "python": platform.python_version(),
            "python_build": f"{platform.python_build()[1]}, {platform.python_compiler()}",
            "postgres": find_binaries().version,
            "wrk": _first_line("wrk", "-v"),
            **{name: version(name) for name in _PACKAGES},
        },
        "postgres": json.loads(str(settings)),
        "commit": _first_line("git", "-C", str(_HERE), "describe", "--always", "--dirty"),
    }


def _read_field(path: str, name: str) -> str:
    found = re.search(rf"(?m)^{name}\s*:\s*(.*)$", Path(path).read_text())
    return found[1] if found else "unknown"


def _file_system(directory: Path) -> str:
    command = ["stat", "--file-system", "--format=%T", str(directory)]
    return _first_line(*command)


def _first_line(*command: str) -> str:
    """The first line that a program prints, whatever its exit code; empty if it is not here."""
    try:
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return finished.stdout.strip().partition("\n")[0]


def make_result(
    rig: Rig,
    plan: Plan,
    setting: Mapping[str, object],
    at: datetime,
    rounds: Sequence[Round],
    missing: Mapping[str, str],
) -> dict[str, Any]:
    """All that a run found, as JSON. `missing`: why a scenario was not measured, by its name."""
    figures = []
    for figure in FIGURES:
        found = read_figure(figure, rounds)
        if found is not None:
            value, values = found
            bound = {"at_least" if figure.at_least else "at_most": figure.reach}
            if figure.reach is None:
                bound = {}
            figures.append(
                {
                    "name": figure.name,
                    "says": figure.says,
                    "unit": figure.unit,
                    "median": _round(value),
                    **bound,
                    "rounds": [_round(value) for value in values],
                }
            )
    return {
        "at": at.isoformat(timespec="seconds"),
        "plan": asdict(plan),
        **setting,
        "pgbench_clients": rig.notes.get(CLIENTS),
        "set": rig.settings,
        "not_measured": missing,
        "figures": figures,
        "samples": {
            probe: [_describe(samples[probe]) for samples in rounds] for probe in rounds[0]
        },
    }


def _describe(sample: Sample) -> dict[str, object]:
    found = {
        "per_second": sample.per_second,
        "p50_ms": sample.p50_ms,
        "p99_ms": sample.p99_ms,
        "cpu_us": {name: _round(value) for name, value in sample.cpu_us.items()},
        "log_bytes": sample.used.log_bytes / sample.operations,
        "checkpoints": sample.used.checkpoints,
        "api_mb": sample.api_mb,
        "late_seconds": sample.late_seconds,
        "operations": sample.operations,
        "unexpected": sample.unexpected,
    }
    return {
        name: _round(value) if isinstance(value, float) else value
        for name, value in found.items()
        if value is not None
    }


def _round(value: float) -> float:
    """Three digits that count, or whole."""
    return float(f"{value:.3g}") if abs(value) < 100 else round(value)


def print_result(result: Mapping[str, Any]) -> None:
    """Show a person what came out."""
    console = Console()
    samples = Table("probe", "a second", "p50 ms", "p99 ms", "CPU us: api", "postgres", "generator")
    for name, runs in result["samples"].items():
        cells = [_median_of(runs, "per_second"), _median_of(runs, "p50_ms")]
        cells += [_median_of(runs, "p99_ms")]
        cells += [_median_of([run["cpu_us"] for run in runs], who) for who in _SPENDERS]
        samples.add_row(name, *cells)
    console.print(samples)
    figures = Table("figure", "median", "reach", "rounds")
    for figure in result["figures"]:
        reach = "".join(f"{s} {figure[name]}" for name, s in _SIGNS.items() if name in figure)
        figures.add_row(
            figure["says"],
            f"{figure['median']:,} {figure['unit']}",
            reach,
            " ".join(f"{value:,}" for value in figure["rounds"]),
        )
    console.print(figures)
    for name, why in result["not_measured"].items():
        console.print(f"not measured: {name}: {why}")
    for name, runs in result["samples"].items():
        unexpected = sum(run["unexpected"] for run in runs)
        if unexpected:
            console.print(f"unexpected answers: {name}: {unexpected:,}")


def _median_of(runs: Sequence[Mapping[str, float]], name: str) -> str:
    values = [run[name] for run in runs if name in run]
    return f"{_round(median(values)):,}" if values else ""


def render_history(results: Sequence[Mapping[str, Any]]) -> str:
    """All results as a Markdown table, the oldest first."""
    heads = [f"{figure.name}, {figure.unit}" for figure in FIGURES]
    reach = [_render_reach(figure) for figure in FIGURES]
    rows = [
        ["at", "commit", "plan", "pgbench a second", *heads],
        ["---"] * (4 + len(heads)),
        ["reach", "", "", "", *reach],
    ]
    for result in sorted(results, key=lambda result: str(result["at"])):
        found = {figure["name"]: f"{figure['median']:,}" for figure in result["figures"]}
        rate = _median_of(result["samples"].get(BASELINE, ()), "per_second")
        cells = [found.get(figure.name, "") for figure in FIGURES]
        at = result["at"][:10]
        rows.append([at, result["commit"], result["plan"]["name"], rate, *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _render_reach(figure: Figure) -> str:
    if figure.reach is None:
        return ""
    return f"{_SIGNS['at_least' if figure.at_least else 'at_most']} {figure.reach:g}"
