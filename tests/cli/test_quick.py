"""Starts are quick because a command imports what it needs, when it needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    *("asyncpg", "fastapi", "httpx2", "lxml", "pydantic", "rich", "schwifty", "structlog"),
    *("uvicorn", "uvloop"),
)
ASK = """
import sys
{imports}
print(*(name for name in {heavy} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("imports", "allowed"),
    [
        ("import catena.cli", ""),
        ("import catena.cli.up, catena.cli.migrate, catena.cli.demo, catena.cli.keys", ""),
        ("import catena.cli.sandbox, catena.cli.gateways", ""),
        ("import catena.cli.serve", "rich structlog"),
        ("import catena.app", "asyncpg httpx2 rich structlog"),
    ],
    ids=["main", "most", "gateways", "serve", "service"],
)
def test_a_command_is_quick_to_name(imports: str, allowed: str) -> None:
    """Importing a command's file imports neither the API nor the database nor the client; a service
    reads no XML, and has no register of banks, until it has a bank.
    """
    script = ASK.format(imports=imports, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == allowed.split()


def test_help_names_every_command() -> None:
    """`catena --help` lists the commands with a sentence each."""
    done = subprocess.run(
        [sys.executable, "-m", "catena.cli", "--help"], capture_output=True, text=True, check=True
    )
    commands = "up serve worker migrate demo verify export bench gateways sandbox keys"
    for command in commands.split():
        assert f" {command} " in done.stdout
