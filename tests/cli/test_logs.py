"""Logs: what is blotted out, and what is one line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from catena.auth.keys import new_secret
from catena.cli.logs import blot

SHOUTER = """
import logging, structlog
from catena.cli.logs import configure_logs

configure_logs("info", people={people})
structlog.get_logger("catena.db").warning("lost", url="postgresql://u:hush@h/d", key="{key}")
logging.getLogger("uvicorn.error").warning("unheard of: %s", "{key}")
logging.getLogger("uvicorn.error").info("of no interest")
structlog.get_logger("catena.db").debug("of no interest either")
try:
    password = "hush"
    raise ValueError("postgresql://u:hush@h/d")
except ValueError:
    structlog.get_logger("catena.db").exception("failed")
"""


def shout(key: str, *, people: bool) -> str:
    """What is written on stderr."""
    script = SHOUTER.format(key=key, people=people)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("text", "blotted"),
    [
        ("postgresql://catena:hush@host/db", "postgresql://***@host/db"),
        ("Bearer ctk_" + "aB3-_" * 8 + "xyz.", "Bearer ctk_***."),
        ("http://127.0.0.1:8080/docs", "http://127.0.0.1:8080/docs"),
        ("mail to me@example.com", "mail to me@example.com"),
    ],
)
def test_secrets_are_blotted_out(text: str, blotted: str) -> None:
    """Keys and logins in URLs go, everything else stays."""
    assert blot(text) == blotted


@pytest.mark.parametrize("people", [True, False], ids=["people", "machines"])
def test_no_log_holds_a_secret(people: bool) -> None:  # noqa: FBT001  # a row of the table
    """Neither events nor tracebacks nor other libraries' lines hold a key or a password."""
    key = new_secret()
    err = shout(key, people=people)
    assert "lost" in err
    assert "ValueError" in err
    assert "hush" not in err.replace('password = "hush"', "")
    assert key[4:] not in err


def test_machines_read_json() -> None:
    """Each line is an object with time, level, logger and message; below the level nothing is."""
    lines = [json.loads(line) for line in shout(new_secret(), people=False).splitlines()]
    assert [(line["level"], line["logger"], line["message"].split(":")[0]) for line in lines] == [
        ("warning", "catena.db", "lost"),
        ("warning", "uvicorn.error", "unheard of"),
        ("error", "catena.db", "failed"),
    ]
    assert {line["timestamp"][-1] for line in lines} == {"Z"}
    assert "Traceback" in lines[-1]["exception"]
