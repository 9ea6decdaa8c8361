"""The bench, run as a user would run it, at its smallest."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.report import FIGURES
from bench.scenarios import SCENARIOS
from tests.postgres import find_quickest_disk
from tests.tidy.rules import REPO


def run_bench(
    results: Path, *options: str, path: str | None = None, peers: str | None = None
) -> dict[str, Any]:
    """Run `python -m bench --smoke`; gives the one result that it kept. Paths are as they are set,
    or given.
    """
    given = {"PATH": path, "PEERS": peers}
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "--smoke", *options),
            *("--results", str(results), "--disk", str(find_quickest_disk())),
        ],
        check=False,
        cwd=REPO,
        env=os.environ | {name: value for name, value in given.items() if value is not None},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    (kept,) = results.glob("*.json")
    result: dict[str, Any] = json.loads(kept.read_text())
    return result


def test_every_scenario_gives_its_figures(tmp_path: Path) -> None:
    """Each scenario gives all its figures, from right answers; or says what is missing."""
    result = run_bench(tmp_path / "results")
    found = {figure["name"] for figure in result["figures"]}
    missing = result["not_measured"]
    assert {
        figure.name
        for scenario in SCENARIOS
        if scenario.name not in missing
        for figure in scenario.figures
    } == found
    for why in missing.values():
        assert (shutil.which("wrk") is None and "wrk" in why) or "peers are not installed" in why
    assert [
        (probe, sample["unexpected"])
        for probe, samples in result["samples"].items()
        for sample in samples
        if sample["unexpected"]
    ] == []


def test_without_wrk_the_report_says_so(tmp_path: Path) -> None:
    """Without wrk the yardstick is still measured, and the rest says what is missing."""
    wrkless = tmp_path / "programs"
    wrkless.mkdir()
    for name in ("git", "stat", "unshare"):
        program = shutil.which(name)
        if program is not None:
            (wrkless / name).symlink_to(program)
    result = run_bench(
        tmp_path / "results", "--only", "baseline", "--only", "transfers", path=str(wrkless)
    )
    assert list(result["samples"]) == ["pgbench"]
    assert "wrk is not installed" in result["not_measured"]["transfers"]
    assert result["figures"] == []


def test_without_peers_chains_are_still_measured(tmp_path: Path) -> None:
    """Where the peers are not installed, only what is compared with them is missing."""
    result = run_bench(
        tmp_path / "results", "--only", "workflows", "--only", "previews", peers=str(tmp_path)
    )
    if shutil.which("wrk") is None:
        assert result["not_measured"].keys() == {"workflows", "previews"}
    else:
        assert list(result["samples"]) == ["previews"]
        assert "peers are not installed" in result["not_measured"]["workflows"]


def test_figures_have_names_of_their_own() -> None:
    """The history has a column for each figure, so no two share a name."""
    names = [figure.name for figure in FIGURES]
    assert sorted(set(names)) == sorted(names)
