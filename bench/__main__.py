"""`python -m bench`: starts everything, measures in rounds, reports, and leaves nothing running."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.plan import FULL, QUICK, SMOKE, Plan
from bench.probes import NotMeasured, Probe, Round
from bench.report import describe_setting, make_result, print_result, render_history
from bench.rig import Rig
from bench.scenarios import SCENARIOS

__all__: list[str] = []

_HERE: Final = Path(__file__).parent
_RESULTS: Final = _HERE / "results"
_README: Final = _HERE / "README.md"
_MARK: Final = "<!-- drawn from results/ by `python -m bench --draw` -->\n"
_DISK: Final = Path("/var/tmp")  # noqa: S108  # a directory of our own is made in it


def _main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    if not options.draw:
        directory = Path(tempfile.mkdtemp(prefix="catena-bench-", dir=options.disk))
        # The server of root may be another account's, which must get to its files.
        directory.chmod(0o711)
        try:
            result = measure(_plan_of(options), options.only, directory)
        finally:
            shutil.rmtree(directory)
        print_result(result)
        _keep(result, options.results)
    if options.results == _RESULTS:
        _draw_history()
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a tenth of the lines, shorter runs")
    size.add_argument("--smoke", action="store_true", help="see that it works")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--seconds", type=int, help="of one measured run")
    parser.add_argument("--lines", type=int, help="of the large book")
    parser.add_argument(
        "--only",
        action="append",
        choices=[scenario.name for scenario in SCENARIOS],
        help="measure this scenario, and others that are named so",
    )
    parser.add_argument("--disk", type=Path, default=_DISK, help="a directory on a real disk")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="where results are kept")
    parser.add_argument("--draw", action="store_true", help="only draw the table of README.md")
    return parser.parse_args(arguments)


def _plan_of(options: argparse.Namespace) -> Plan:
    plan = SMOKE if options.smoke else QUICK if options.quick else FULL
    given = {name: getattr(options, name) for name in ("rounds", "seconds", "lines")}
    return replace(plan, **{name: value for name, value in given.items() if value is not None})


def measure(plan: Plan, only: Sequence[str] | None, directory: Path) -> dict[str, Any]:
    """Run the scenarios of the plan; gives the result."""
    at = datetime.now(UTC)
    missing: dict[str, str] = {}
    probes: list[Probe] = []
    with Rig(directory, _say) as rig:
        setting = describe_setting(rig)
        for scenario in SCENARIOS:
            if only is None or scenario.name in only:
                _say(f"preparing {scenario.name}")
                try:
                    probes += scenario.prepare(rig, plan)
                except NotMeasured as why:
                    missing[scenario.name] = str(why)
        rig.settle()
        if plan.warm_seconds:
            _run_round(probes, plan.warm_seconds, 0, "warming up")
        rounds = [
            _run_round(probes, plan.seconds, number, f"round {number + 1} of {plan.rounds}")
            for number in range(plan.rounds)
        ]
        return make_result(rig, plan, setting, at, rounds, missing)


def _run_round(probes: Sequence[Probe], seconds: int, number: int, title: str) -> Round:
    """Run each probe once. Each round begins with another one, so that none is always first."""
    start = number % max(len(probes), 1)
    samples = {}
    for probe in [*probes[start:], *probes[:start]]:
        samples[probe.name] = probe.run(seconds)
        _say(f"{title}: {probe.name}: {samples[probe.name].per_second:,.0f} a second")
    return {probe.name: samples[probe.name] for probe in probes}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _keep(result: Mapping[str, Any], results: Path) -> None:
    results.mkdir(exist_ok=True)
    name = f"{result['at'][:19].replace(':', '')}-{result['plan']['name']}.json"
    (results / name).write_text(json.dumps(result, indent=1) + "\n")


def _draw_history() -> None:
    results = [json.loads(path.read_text()) for path in _RESULTS.glob("*.json")]
    prose = _README.read_text().partition(_MARK)[0]
    _README.write_text(prose + _MARK + render_history(results))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(_main(sys.argv[1:]))
