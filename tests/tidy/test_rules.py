"""Every rule of the house catches a planted offence and lets an honest text pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy import rules

HONEST_MODULE = '"""Owns nothing."""\n\n__all__ = ["give"]\n\n\ndef give() -> int:\n    return 1\n'
HONEST_TEST = 'def test_one():\n    """One is one."""\n    assert 1 == 1\n'
HONEST_PIN = "ruff==0.1 ; sys_platform != 'win32' \\\n    --hash=sha256:" + "0" * 64 + "\n"
HONEST_DECISION = (
    "# 1. X\n\nStatus: accepted\n\n## Decision\n\nX.\n\n## Why\n\nY.\n\n"
    "## Enforced by\n\n`tests/tidy`\n"
)


def describe_names(text: str) -> Iterator[str]:
    """The rule on names, for a text that is a path, a line break, and the module."""
    path, _, module = text.partition("\n")
    return rules.find_bad_names(path, module)


RULES: list[tuple[rules.Rule, str, list[str]]] = [
    (
        rules.find_bad_docstring,
        HONEST_MODULE,
        ["x = 1\n", '"""a\nb\nc\nd\ne\nf\n"""\n', ""],
    ),
    (
        rules.find_long_functions,
        HONEST_MODULE,
        ["def long():\n" + "    x = 1\n" * 70, "class A:\n  async def m():\n" + "    x = 1\n" * 70],
    ),
    (
        describe_names,
        "src/catena/ledger/entries.py\nclass Entry: ...",
        ["src/catena/utils.py\n", "src/catena/helpers/x.py\n", "src/a.py\nclass PoolManager: ..."],
    ),
    (
        rules.find_bad_exports,
        HONEST_MODULE,
        [
            "x = 1\n",
            '__all__ = ["gone"]\n',
            '__all__ = ["x", "x"]\nx = 1\n',
            '__all__ = ["_x"]\n_x = 1\n',
        ],
    ),
    (
        rules.find_bad_assertions,
        HONEST_TEST,
        [
            "def test_one():\n    assert 1 == 1\n",
            'async def test_one():\n    """One is one."""\n    give()\n',
        ],
    ),
    (
        rules.find_long_sleeps,
        "await asyncio.sleep(0)\n",
        ["time.sleep(1)\n", "from time import sleep\nsleep(0.1)\n", "await asyncio.sleep(delay)\n"],
    ),
    (
        rules.find_mocks,
        "monkeypatch.setenv('A', 'B')\n",
        [
            "from unittest import mock\n",
            "import unittest.mock\n",
            "from unittest.mock import Mock\n",
            "monkeypatch.setattr(a, 'b', 1)\n",
            "def test_one(mocker): ...\n",
        ],
    ),
    (
        rules.find_bad_requirement_lines,
        HONEST_PIN,
        [
            "-i somewhere\n",
            "ruff>=0.1\n",
            "ruff @ file:///ruff.whl\n",
            "# made by hand\n",
            "-e .\n",
        ],
    ),
    (
        rules.find_bad_decision,
        HONEST_DECISION,
        [
            HONEST_DECISION.replace("Status", "State"),
            HONEST_DECISION.replace("## Why\n\nY.", ""),
            HONEST_DECISION.replace("Y.", ""),
            HONEST_DECISION.replace("tests/tidy", "tests/gone"),
        ],
    ),
]


@pytest.mark.parametrize(
    ("rule", "honest", "offences"), RULES, ids=[rule.__name__ for rule, _, _ in RULES]
)
def test_rule_catches_every_planted_offence(
    rule: rules.Rule, honest: str, offences: list[str]
) -> None:
    """A rule has no complaint about an honest text and one at least about each offence."""
    assert list(rule(honest)) == []
    assert [offence for offence in offences if not list(rule(offence))] == []


def test_a_drawn_tree_is_no_prose() -> None:
    """A tree drawn in a docstring may be as long as the tree is."""
    drawn = '"""The tree.\n\nRoot\n' + "├── leaf\n" * 20 + '"""\n'
    assert list(rules.find_bad_docstring(drawn)) == []


def test_a_check_may_be_a_function_of_its_own() -> None:
    """A test that calls a function which asserts can fail; one that calls another cannot."""
    honest = HONEST_TEST.replace("    assert 1 == 1\n", "    compare()\n")
    assert list(rules.find_bad_assertions(honest + "def compare():\n    assert 1 == 1\n")) == []
    assert list(rules.find_bad_assertions(honest + "def compare():\n    give()\n")) != []


def test_a_broken_link_is_caught(tmp_path: Path) -> None:
    """A link to a page that is there passes, one to a page that is not does not."""
    page = tmp_path / "page.md"
    page.write_text(
        "[here](page.md#top) [there](gone.md) [far](https://example.com) `[x](y.md)`",
        encoding="utf-8",
    )
    assert list(rules.find_broken_links(page)) == ["links to gone.md, which is not there"]
