"""The history of figures in bench/README.md."""

import json
from typing import Any

from bench.report import FIGURES, render_history
from tests.tidy.rules import REPO


def read_results() -> list[dict[str, Any]]:
    """Every result that is kept."""
    return [json.loads(path.read_text()) for path in (REPO / "bench/results").glob("*.json")]


def test_the_history_is_drawn_from_the_results() -> None:
    """The table in README.md has what the kept results say, and nothing else."""
    page = (REPO / "bench/README.md").read_text(encoding="utf-8")
    assert page.endswith(render_history(read_results()))


def test_a_result_becomes_a_row() -> None:
    """A row has a result's day, commit, plan and pgbench rate, then its figures by column."""
    result = {
        "at": "2026-01-02T03:04:05+00:00",
        "commit": "abc1234",
        "plan": {"name": "quick"},
        "samples": {"pgbench": [{"per_second": 3000}, {"per_second": 5000}, {"per_second": 4000}]},
        "figures": [{"name": FIGURES[1].name, "median": 0.93}],
    }
    row = render_history([result]).splitlines()[-1].split("|")
    assert [cell.strip() for cell in row[1:8]] == [
        "2026-01-02", "abc1234", "quick", "4,000", "", "0.93", "",
    ]  # fmt: skip
