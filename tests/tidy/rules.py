"""The habits of the house as functions: text in, complaints out.

Each is tried on a planted offence in test_rules.py, so that none can pass by being blind.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = [
    "REPO",
    "Rule",
    "find_bad_assertions",
    "find_bad_decision",
    "find_bad_docstring",
    "find_bad_exports",
    "find_bad_names",
    "find_bad_requirement_lines",
    "find_broken_links",
    "find_long_functions",
    "find_long_sleeps",
    "find_mocks",
    "list_exports",
    "read_python",
]

Rule = Callable[[str], Iterator[str]]
REPO = Path(__file__).resolve().parents[2]

DOCSTRING_LINES_MAX = 5
FUNCTION_LINES_MAX = 70
VAGUE_WORDS = {
    "common",
    "handler",
    "helper",
    "helpers",
    "manager",
    "misc",
    "repository",
    "service",
    "utils",
}
DECISION_PARTS = ("Status", "Decision", "Why", "Enforced by")
DRAWN_LINE = re.compile(r"^\s*[│├└]")
CHECKING_CALL = re.compile(r"(^|_)(assert|check|expect|fail|raises|verify|warns)(_|$)|^run_state_")

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def read_python(*folders: str) -> Iterator[tuple[str, str]]:
    """Every Python file below the folders, as path from the root of the repository and text."""
    for folder in folders:
        for path in sorted((REPO / folder).rglob("*.py")):
            yield path.relative_to(REPO).as_posix(), path.read_text(encoding="utf-8")


def find_bad_docstring(text: str) -> Iterator[str]:
    """A module says in at most five lines what it is. Blank lines and drawn trees do not count."""
    docstring = ast.get_docstring(ast.parse(text))
    if docstring is None:
        yield "has no docstring"
        return
    lines = [line for line in docstring.splitlines() if line.strip() and not DRAWN_LINE.match(line)]
    if len(lines) > DOCSTRING_LINES_MAX:
        yield f"has a docstring of {len(lines)} lines"


def find_long_functions(text: str) -> Iterator[str]:
    """A function, decorators and docstring included, fits on a screen."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTION) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{node.name} has {lines} lines"


def find_bad_names(path: str, text: str) -> Iterator[str]:
    """Modules and classes are named for what they own, never for being useful."""
    words = set(re.split(r"[/_.]", path.removesuffix(".py").lower()))
    yield from (f"is named {word}" for word in sorted(words & VAGUE_WORDS))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            parts = {part.lower() for part in re.findall(r"[A-Z][a-z0-9]*", node.name)}
            if parts & VAGUE_WORDS:
                yield f"has a class named {node.name}"


def list_exports(text: str) -> list[str] | None:
    """The names in a module's `__all__`, or None when it has none."""
    for node in ast.parse(text).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return [str(name) for name in ast.literal_eval(value)]
            case ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.expr() as value):
                return [str(name) for name in ast.literal_eval(value)]
            case _:
                pass
    return None


def find_bad_exports(text: str) -> Iterator[str]:
    """A module that binds a public name says in `__all__` which are for others, each once."""
    exports = list_exports(text)
    bound = [name for name in _list_bound_names(ast.parse(text)) if not name.startswith("_")]
    if exports is None:
        if bound:
            yield f"binds {bound[0]} and has no __all__"
        return
    yield from (f"exports {name} twice" for name in sorted(set(exports)) if exports.count(name) > 1)
    yield from (f"exports {name}, which is private" for name in exports if name.startswith("_"))
    yield from (f"exports {name}, which it lacks" for name in exports if name not in bound)


def _list_bound_names(tree: ast.Module | ast.If | ast.Try) -> Iterator[str]:
    branches = [] if isinstance(tree, ast.Module) else tree.orelse
    for node in [*tree.body, *branches]:
        match node:
            case ast.ImportFrom(module="__future__"):
                continue
            case ast.ImportFrom(names=names) | ast.Import(names=names):
                yield from (alias.asname or alias.name.split(".")[0] for alias in names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.If() | ast.Try():
                yield from _list_bound_names(node)
            case ast.Assign() | ast.AnnAssign():
                yield from (
                    name.id
                    for name in ast.walk(node)
                    if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
                )
            case _:
                pass


def find_bad_assertions(text: str) -> Iterator[str]:
    """Each test states its truth in a docstring and can fail, by itself or by what it calls."""
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, FUNCTION)]
    checking: set[str] = set()
    while found := {
        node.name
        for node in functions
        if node.name not in checking and any(_can_fail(part, checking) for part in ast.walk(node))
    }:
        checking |= found
    for node in functions:
        if node.name.startswith("test_"):
            if ast.get_docstring(node) is None:
                yield f"{node.name} does not say which truth it tests"
            if node.name not in checking:
                yield f"{node.name} asserts nothing"


def _can_fail(node: ast.AST, checking: set[str]) -> bool:
    match node:
        case ast.Assert():
            return True
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name in checking or CHECKING_CALL.search(name) is not None
        case _:
            return False


def find_long_sleeps(text: str) -> Iterator[str]:
    """Nothing waits for time to pass; `asyncio.sleep(0)` only lets others run."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Attribute(attr="sleep"), args=[ast.Constant(value=0)]):
                continue
            case ast.Call(func=ast.Attribute(attr="sleep") | ast.Name(id="sleep")):
                yield f"sleeps in line {node.lineno}"
            case _:
                pass


def find_mocks(text: str) -> Iterator[str]:
    """Nothing of ours is replaced behind its back."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ImportFrom(module="unittest.mock" | "mock" | "pytest_mock"):
                yield f"imports mocks in line {node.lineno}"
            case ast.ImportFrom(module="unittest", names=names) | ast.Import(names=names):
                if any(alias.name in {"mock", "unittest.mock", "pytest_mock"} for alias in names):
                    yield f"imports mocks in line {node.lineno}"
            case ast.Attribute(value=ast.Name(id="monkeypatch"), attr="setattr" | "delattr"):
                yield f"patches an object in line {node.lineno}"
            case ast.arg(arg="mocker"):
                yield f"asks for a mocker in line {node.lineno}"
            case _:
                pass


def find_bad_requirement_lines(text: str) -> Iterator[str]:
    """A line pins a version or is the hash of one; it names no host, folder or option."""
    pin = re.compile(
        r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[0-9][0-9a-z.!+]*( ; [a-zA-Z0-9_.'<>=! ()]+)? \\"
    )
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    for number, line in enumerate(text.splitlines(), 1):
        if not pin.fullmatch(line) and not digest.fullmatch(line):
            yield f"line {number} is neither a pin nor a hash"


def find_bad_decision(text: str) -> Iterator[str]:
    """A decision says where it stands, what and why, and names what enforces it."""
    for part in DECISION_PARTS:
        found = re.search(rf"(?m)^(?:#+ +|[-*] +)?(?:\*\*)?{part}\b(?P<rest>[^#]*)", text)
        if found is None:
            yield f"has no {part}"
        elif not re.search(r"\w", found["rest"]):
            yield f"says nothing under {part}"
    enforced = re.search(r"(?ms)^(?:#+ +|[-*] +)?(?:\*\*)?Enforced by\b(?P<rest>.*)", text)
    for name in re.findall(r"`([\w.-]+/[\w./-]+)`", enforced["rest"] if enforced else ""):
        if not (REPO / name).exists():
            yield f"is enforced by {name}, which is not there"


def find_broken_links(path: Path) -> Iterator[str]:
    """A relative link in a page leads to a file of this repository."""
    text = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:|#", target):
            continue
        if not (path.parent / target.split("#")[0]).exists():
            yield f"links to {target}, which is not there"
