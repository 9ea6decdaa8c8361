"""The house itself: pinned requirements, a Makefile that explains itself, no trace of a machine."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.tidy import rules

REQUIREMENTS = sorted((rules.REPO / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((rules.REPO / "pyproject.toml").read_text(encoding="utf-8"))


def read_pins(name: str) -> dict[str, str]:
    """Name and version of everything that requirements/<name>.txt pins."""
    text = (rules.REPO / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==([^ ]+)", text))


def list_files() -> list[Path]:
    """Every file of the repository, as far as it is text of ours."""
    folders = ("src", "tests", "docs", "bench", "simulation", "examples", "requirements", ".ci")
    below = [path for folder in folders for path in (rules.REPO / folder).rglob("*")]
    above = [*rules.REPO.glob("[!.]*"), rules.REPO / ".gitignore"]
    files = [path for path in [*above, *below] if path.is_file()]
    return [path for path in files if "__pycache__" not in path.parts]


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_are_pins_and_hashes(path: Path) -> None:
    """Requirements hold pins and hashes, and say nothing of where they were found."""
    assert list(rules.find_bad_requirement_lines(path.read_text(encoding="utf-8"))) == []


def test_requirements_cover_what_is_declared() -> None:
    """Everything that pyproject.toml declares is pinned; `make lock` has not been forgotten."""
    groups = PROJECT["dependency-groups"]
    declared = {
        "runtime": PROJECT["project"]["dependencies"],
        "dev": [line for line in groups["dev"] if isinstance(line, str)],
        "build": groups["build"],
        "oracles": groups["oracles"],
        "peers": groups["peers"],
    }
    assert sorted(path.stem for path in REQUIREMENTS) == sorted(declared)
    assert {
        name: missing
        for name, lines in declared.items()
        if (missing := {line.split(">=")[0] for line in lines} - read_pins(name).keys())
    } == {}


def test_requirements_agree() -> None:
    """What runs is what was tested: dev pins what runtime and build pin, at the same versions."""
    dev = read_pins("dev")
    assert (read_pins("runtime") | read_pins("build")).items() <= dev.items()


def test_copyleft_stays_outside() -> None:
    """Beancount and localstripe are under the GPL: neither the service nor its tests can import
    them.
    """
    copyleft = {"beancount", "localstripe"}
    assert copyleft <= read_pins("oracles").keys()
    assert copyleft & read_pins("dev").keys() == set()


def test_no_file_knows_this_machine() -> None:
    """No file names the folder that it lies in, or the home of whoever runs the tests."""
    traces = [str(path).encode() for path in (rules.REPO, Path.home()) if len(path.parts) > 1]
    assert [
        path.relative_to(rules.REPO).as_posix()
        for path in list_files()
        if any(trace in path.read_bytes() for trace in traces)
    ] == []


def test_make_explains_its_targets() -> None:
    """`make help` names every target that is meant for people, and no other."""
    makefile = (rules.REPO / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"(?m)^\.PHONY: (.*)$", makefile)
    assert phony is not None
    explained = re.findall(r"(?m)^\t@echo 'make (\S+)", makefile)
    assert {"help", *explained} == set(phony[1].split())


def test_the_licence_is_apache() -> None:
    """LICENSE is the one that pyproject.toml names."""
    text = (rules.REPO / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_requirements_name_no_address() -> None:
    """Where packages come from is for whoever installs them to say."""
    files = [path for path in (rules.REPO / "requirements").rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path.name for path in files if "://" in path.read_text("utf-8")] == []
