"""The import contracts of pyproject.toml hold, and each catches the import that it is there for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy import rules

OFFENCES = {
    "a room that uses one above it": ("settings.py", "import catena.journal\n"),
    "a room without a place": ("stray.py", '"""Stray."""\n'),
    "the driver outside of db": ("journal/stray.py", "import asyncpg\n"),
    "a clock in a pure room": ("ledger/stray.py", "import time\n"),
    "a file in a pure room": ("money.py", "import pathlib\n"),
    "the journal in an adapter": ("gateways/stripe/stray.py", "import catena.journal\n"),
    "the books in the sandbox": ("sandbox/stray.py", "import catena.ledger\n"),
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the copy of the source in `folder`."""
    command = "from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-P", "-c", command, "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied_source(tmp_path: Path) -> Path:
    """A folder that holds the source and pyproject.toml."""
    shutil.copy(rules.REPO / "pyproject.toml", tmp_path)
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(rules.REPO / "src", tmp_path / "src", ignore=leave_out)
    return tmp_path


def test_the_contracts_hold(copied_source: Path) -> None:
    """The source keeps every contract."""
    said = lint_imports(copied_source)
    assert " 0 broken." in said.stdout, said.stdout + said.stderr


@pytest.mark.parametrize("offence", OFFENCES)
def test_a_planted_import_is_caught(copied_source: Path, offence: str) -> None:
    """Each kind of forbidden import breaks a contract."""
    name, line = OFFENCES[offence]
    with (copied_source / "src" / "catena" / name).open("a", encoding="utf-8") as file:
        file.write(line)
    said = lint_imports(copied_source)
    assert said.returncode == 1, said.stdout + said.stderr
    assert " 0 broken." not in said.stdout
    assert "broken." in said.stdout
