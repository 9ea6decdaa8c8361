"""Runs the examples of a page as a reader would, and holds its answers against the real ones.

In a page, ```sh blocks are run, each by bash with what earlier blocks have set; a ```json block is
what the block before it printed. Ids and moments may differ, but the same id stays the same.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from catena.db.embedded.binaries import find_binaries

__all__ = ["Block", "compare", "list_blocks", "run", "walk"]

ID = re.compile(r"[a-z]+_[0-9a-f]{32}")
ASSIGNMENTS = re.compile(r"([A-Z]+=.*\n)+")


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


def list_blocks(page: Path) -> list[Block]:
    """The page's blocks in their order."""
    found = re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"))
    return [Block(*block) for block in found]


def walk(page: Path, directory: Path, instead: Mapping[str, str]) -> int:
    """Run the page's examples in a directory; gives how many answers were held against the page.

    `instead` replaces what is another here than for a reader, such as the address.
    """
    known: dict[str, str] = {}
    preamble, printed, compared = "", "", 0
    for block in list_blocks(page):
        match block.language:
            case "sh":
                text = _replace(block.text, {**instead, **known})
                printed = run(preamble + text, directory)
                if ASSIGNMENTS.fullmatch(block.text):
                    preamble += text
            case "json":
                complaints = list(compare(json.loads(block.text), json.loads(printed), known))
                assert complaints == [], f"{page.name}: {complaints} in {printed}"
                compared += 1
            case _:
                pass
    return compared


def compare(told: Any, real: Any, known: dict[str, str], at: str = "") -> Iterator[str]:  # noqa: ANN401
    """Where a real answer is not as it was told. Notes which real id stands for each told one."""
    match told, real:
        case dict(), dict():
            if told.keys() != real.keys():
                yield f"{at}: {sorted(told)} and not {sorted(real)}"
            for name in told.keys() & real.keys():
                yield from compare(told[name], real[name], known, f"{at}/{name}")
        case list(), list():
            if len(told) != len(real):
                yield f"{at}: {len(told)} and not {len(real)}"
            for index, pair in enumerate(zip(told, real, strict=False)):
                yield from compare(*pair, known, f"{at}/{index}")
        case str(), str() if ID.fullmatch(told) and ID.fullmatch(real):
            if known.setdefault(told, real) != real:
                yield f"{at}: {real} is another than before"
        case str(), str() if _is_moment(told) and _is_moment(real):
            pass
        case _:
            if type(told) is not type(real) or told != real:
                yield f"{at}: {told} and not {real}"


def run(script: str, directory: Path) -> str:
    """Run a block in a directory, with `catena` and PostgreSQL's programs at hand; what it says."""
    programs = [Path(sys.executable).parent, find_binaries().program("psql").parent]
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stderr}"
    return done.stdout


def _replace(text: str, instead: Mapping[str, str]) -> str:
    for told, real in instead.items():
        text = text.replace(told, real)
    return text


def _is_moment(text: str) -> bool:
    try:
        return dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
