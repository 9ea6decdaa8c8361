"""The pages that are drawn from the code say what the code says."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from catena import errors, settings
from catena.api.reference import render_errors
from catena.auth.scopes import ALL_SCOPES
from catena.chains.failures import FAILURES, render_failures
from catena.chains.states import render_states
from catena.ledger.refusals import RefusalCode
from tests.tidy import rules

DOCS = rules.REPO / "docs"
EXAMPLES = rules.REPO / "examples"
PAGES = sorted([*rules.REPO.glob("*.md"), *DOCS.rglob("*.md"), *EXAMPLES.rglob("*.md")])
DECISIONS = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.stem != "README")


def list_errors(root: type[errors.CatenaError]) -> list[type[errors.CatenaError]]:
    """The root and everything below it, as far as it is declared in catena.errors."""
    below = [leaf for child in root.__subclasses__() for leaf in list_errors(child)]
    return [error for error in [root, *below] if error.__module__ == "catena.errors"]


def test_every_setting_is_documented() -> None:
    """Each field of Settings says what it limits, and the committed page is drawn from them."""
    fields = dataclasses.fields(settings.Settings)
    page = (DOCS / "reference" / "limits.md").read_text(encoding="utf-8")
    assert [field.name for field in fields if not field.metadata.get("doc")] == []
    assert [field.name for field in fields if f"`CATENA_{field.name.upper()}`" not in page] == []
    assert page == settings.render_reference()


def test_settings_cannot_change() -> None:
    """Settings are read once: the dataclass is frozen."""
    first = dataclasses.fields(settings.Settings)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings.Settings(), first, None)


def test_every_error_is_documented() -> None:
    """Each error and each refusal has a row with its code, and the committed page is theirs."""
    page = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    codes = [error.code for error in list_errors(errors.CatenaError)]
    codes += [refusal.code for refusal in RefusalCode]
    assert [code for code in codes if not re.search(rf"(?m)^\| `{code}` \|", page)] == []
    assert page == render_errors()


def test_every_scope_is_documented() -> None:
    """The page about keys names each scope that there is."""
    page = (DOCS / "start.md").read_text(encoding="utf-8")
    assert [scope for scope in ALL_SCOPES if f"`{scope}`" not in page] == []


def test_states_are_drawn_from_their_tables() -> None:
    """The committed page shows every transition that there is, and no other."""
    page = (DOCS / "reference" / "states.md").read_text(encoding="utf-8")
    assert page == render_states()


def list_failures() -> set[str]:
    """The codes that the rooms give for a failure, as they stand in the source."""
    found: set[str] = set()
    for path, text in rules.read_python("src/catena/chains", "src/catena/engine", "src/catena/api"):
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Call(func=ast.Name(id="Failure"), args=[first, *_]):
                    found |= list_words(first)
                case ast.Call(func=ast.Name(id="_find_reason"), args=[_, code]):
                    found |= list_words(code)
                case ast.keyword(arg="code", value=value) if "/api/" not in path:
                    found |= list_words(value)
                case _:
                    pass
    for _, text in rules.read_python("src/catena/outside"):
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in REASONS:
                    found |= list_words(first)
                case ast.FunctionDef(name="_name_wait" | "_name_reason"):
                    found |= list_words(node)
                case ast.Assign(targets=[ast.Name(id="reason")], value=value):
                    found |= list_words(value)
                case _:
                    pass
    return found


REASONS = {"NotReached", "Refused", "_BadAnswer", "NotSent", "NoAnswer"}


def list_words(node: ast.AST) -> set[str]:
    """The codes within a part of the source."""
    inner = [part for part in ast.walk(node) if isinstance(part, ast.Constant)]
    spelled = {
        part for it in ast.walk(node) if isinstance(it, ast.JoinedStr) for part in ast.walk(it)
    }
    words = {it.value for it in inner if isinstance(it.value, str) and it not in spelled}
    return {word for word in words if re.fullmatch(r"[a-z]+(_[a-z]+)*", word)}


def test_every_failure_is_documented() -> None:
    """Each code that a step or a chain can fail with is on the page, and no other."""
    page = (DOCS / "reference" / "failures.md").read_text(encoding="utf-8")
    codes = [code for codes in FAILURES.values() for code in codes]
    formed = {"http_NNN", "chain_rolled_back", "chain_completed"}
    assert sorted(codes) == sorted({*codes})
    assert {*codes} - formed - list_failures() == set()
    assert list_failures() - {*codes} - ELSEWHERE == set()
    assert page == render_failures()


ELSEWHERE = {"outside_call_failed"}
"""What is no failure, but of the log."""


def test_every_error_has_a_code_of_its_own() -> None:
    """No two errors share a code, and no two refusals do."""
    codes = [error.code for error in list_errors(errors.CatenaError)]
    refusals = [refusal.code for refusal in RefusalCode]
    assert sorted(set(codes)) == sorted(codes)
    assert sorted(set(refusals)) == sorted(refusals)


def test_decisions_are_numbered() -> None:
    """Decisions are numbered from 1 without a gap."""
    numbers = [int(path.name.partition("-")[0]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers != []


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_decision_is_whole(path: Path) -> None:
    """A decision has its status, what was decided, why, and what enforces it."""
    assert list(rules.find_bad_decision(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(rules.REPO).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link in a page leads to a file of the repository."""
    assert list(rules.find_broken_links(path)) == []
