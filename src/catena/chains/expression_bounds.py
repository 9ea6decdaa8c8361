"""What an expression may be, so that its evaluation is bounded in time and memory before it runs.

Invariant: an evaluation costs no more than the expression's length times what it is handed, and
that is `LIMITS.expression_bytes` at most, counted as often as it is worked on. It is read from the
tree that the library checked, never from the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from catena.settings import LIMITS

__all__ = ["LIBRARY", "Bounds", "Path", "TooMuch", "TooWide", "hand_over", "read_bounds"]

Path = tuple[str, tuple[str, ...]]
"""A variable, and the fields of it that are gone into."""


class Bounds(NamedTuple):
    """What an expression names. `work`: how often each path is worked on. `ranges`: what its loop
    goes through.
    """

    paths: frozenset[Path]
    work: tuple[tuple[Path, int], ...]
    ranges: frozenset[Path]


class TooWide(Exception):
    """The expression may cost too much; the message says what to leave out."""


class TooMuch(Exception):
    """What it would be handed is more than it may look at."""


# --- the library's functions ------------------------------------------------------------------

_FUNCTIONS: Final = """
    _&&_ _||_ !_ _?_:_ _==_ _!=_ _<_ _<=_ _>_ _>=_ @not_strictly_false
    _+_ _-_ -_ _*_ _/_ _%_ @in _[_] size contains startsWith endsWith
    int uint double string bytes bool dyn type duration timestamp
"""

_CLOCK: Final = {
    "getFullYear": ("timestamp_to_year",),
    "getMonth": ("timestamp_to_month",),
    "getDayOfYear": ("timestamp_to_day_of_year",),
    "getDayOfMonth": ("timestamp_to_day_of_month",),
    "getDayOfWeek": ("timestamp_to_day_of_week",),
    "getDate": ("timestamp_to_day_of_month_1_based",),
    "getHours": ("timestamp_to_hours", "duration_to_hours"),
    "getMinutes": ("timestamp_to_minutes", "duration_to_minutes"),
    "getSeconds": ("timestamp_to_seconds", "duration_to_seconds"),
    "getMilliseconds": ("timestamp_to_milliseconds", "duration_to_milliseconds"),
}
"""In UTC: with a time zone's name they open the file of that name, and a pipe stops the process."""


def _write_library() -> str:
    rows = [f'    - name: "{name}"' for name in _FUNCTIONS.split()]
    for name, overloads in _CLOCK.items():
        rows += [f'    - name: "{name}"', "      overloads:"]
        rows += [f"        - id: {overload}" for overload in overloads]
    return "\n".join(["stdlib:", "  include_functions:", *rows, ""])


LIBRARY: Final = _write_library()
"""The library's configuration: all of standard CEL but `matches`, whose patterns can burn time, and
the time zones.
"""

_COMPARING: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_CHEAP: Final = frozenset(
    {"_&&_", "_||_", "!_", "@not_strictly_false", "_-_", "-_", "_*_", "_/_", "_%_", "type"}
)
"""They look at numbers and truths only."""

_HANDING_ON: Final = frozenset({"_?_:_", "_[_]", "dyn"})
_BUILDING: Final = frozenset({"_+_", "string", "bytes"})
_SEARCHES: Final = 8
"""How often a text counts that is searched for one which is not written out."""

# --- the tree ---------------------------------------------------------------------------------
# Numbers of fields in cel.expr.CheckedExpr and Expr (cel-spec, proto/cel/expr), within an Any.

_ANY_VALUE: Final = 2
_TREE: Final = 4
_CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _LOOP = range(3, 10)
_ASKS_FOR: Final = 3  # has(...)

Fields = Mapping[int, list[Any]]


def _fields(data: bytes) -> Fields:
    """The fields of a message: numbers, and bytes that are texts or messages."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        value: Any
        if tag & 7:
            size, at = _number(data, at)
            value, at = data[at : at + size], at + size
        else:
            value, at = _number(data, at)
        found.setdefault(tag >> 3, []).append(value)
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & _MORE:
        value |= (data[at] ^ _MORE) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1


_MORE: Final = 0x80


def _open(node: bytes) -> tuple[int, Any]:
    """What kind of a node it is, and its message."""
    return next((kind, body[0]) for kind, body in _fields(node).items() if kind >= _CONST)


def read_bounds(checked: bytes, weightless: Iterable[str], heavy: Iterable[str]) -> Bounds:
    """What a checked expression may cost. `weightless`: variables that are numbers and truths;
    `heavy`: all others. Raises TooWide.
    """
    tree = _fields(_fields(checked)[_ANY_VALUE][0])[_TREE][0]
    reader = _Reader(frozenset(weightless), frozenset(heavy))
    reader.work.update(reader.read(tree))
    return Bounds(frozenset(reader.paths), tuple(reader.work.items()), frozenset(reader.ranges))


class _Reader:
    """Walks a tree once. What `read` gives are the paths whose values a node's value is made of."""

    def __init__(self, weightless: frozenset[str], heavy: frozenset[str]) -> None:
        self.paths: set[Path] = set()
        self.work: Counter[Path] = Counter()
        self.ranges: list[Path] = []
        self._weightless, self._heavy = weightless, heavy
        self._looped = False
        self._inner: dict[str, list[Path]] = {}
        self._parts = 0

    def read(self, node: bytes, within: str = "") -> list[Path]:
        """`within`: the function that it is an operand of."""
        self._parts += 1
        kind, body = _open(node)
        if kind == _CONST:
            return []
        said = _fields(body)
        if kind == _IDENT:
            return self._name(said[1][0].decode(), (), within)
        if kind == _LIST:
            return [path for part in said.get(1, ()) for path in self.read(part)]
        if kind in (_SELECT, _CALL):
            return (self._select if kind == _SELECT else self._call)(said, within)
        return (self._struct if kind == _STRUCT else self._loop)(said)

    def _name(self, name: str, fields: tuple[str, ...], within: str) -> list[Path]:
        if name in self._inner:
            return self._inner[name]
        if name in self._weightless:
            self.paths.add((name, ()))
        if name not in self._heavy:
            return []
        if self._inner and within not in _COMPARING:
            raise TooWide(
                "within all, exists, exists_one, map or filter, what is not of the item may only be"
                " compared"
            )
        self.paths.add((name, fields))
        return [(name, fields)]

    def _select(self, said: Fields, within: str) -> list[Path]:
        fields: list[str] = []
        inner = said
        while True:
            fields.append(inner[2][0].decode())
            kind, body = _open(inner[1][0])
            if kind != _SELECT:
                break
            inner = _fields(body)
        if kind == _IDENT:
            found = self._name(_fields(body)[1][0].decode(), tuple(reversed(fields)), within)
        else:
            found = self.read(inner[1][0], within)
        return [] if _ASKS_FOR in said else found

    def _call(self, said: Fields, within: str) -> list[Path]:
        name = said[2][0].decode()
        parts = [*said.get(1, ()), *said.get(3, ())]
        if name == "_[_]":
            found = self.read(parts[0], within)
            self.work.update(self.read(parts[1]))
            return found
        each = [self.read(part, name) for part in parts]
        paths = [path for found in each for path in found]
        if name in _CHEAP:
            return []
        if name in _HANDING_ON:
            return paths
        if (name in _COMPARING or name == "@in") and not all(each):
            return []  # one side is written out, or a number
        for path in paths:
            self.work[path] += _SEARCHES if name == "contains" and len(each[1]) else 1
        return paths if name in _BUILDING else []

    def _struct(self, said: Fields) -> list[Path]:
        if 1 in said:
            raise TooWide("it makes a message of a named type")
        entries = [_fields(entry) for entry in said.get(2, ())]
        return [path for entry in entries for part in (3, 4) for path in self.read(entry[part][0])]

    def _loop(self, said: Fields) -> list[Path]:
        if self._looped:
            raise TooWide("it has more than one of all, exists, exists_one, map and filter")
        self._looped = True
        over = said[2][0]
        kind, body = _open(over)
        named = kind in (_IDENT, _SELECT) or (kind == _CALL and _fields(body)[2] == [b"_[_]"])
        if not named and kind not in (_LIST, _STRUCT):
            raise TooWide("it goes through what is neither a name nor a list that is written out")
        if sum(map(len, _fields(body).values())) > LIMITS.expression_items and not named:
            raise TooWide(f"it goes through more than {LIMITS.expression_items} items")
        found = self.read(over)
        self.ranges = found
        self._inner = {said[1][0].decode(): found, said[3][0].decode(): []}
        before = self._parts
        given = self.read(said[6][0])
        if self._parts - before > LIMITS.expression_loop_parts:
            raise TooWide(
                f"what it does with each item has more than {LIMITS.expression_loop_parts} parts"
            )
        self._inner = {}
        return given


# --- what it is handed ------------------------------------------------------------------------


def hand_over(bounds: Bounds, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of the values what the expression names and no more. Raises TooMuch, or UnicodeEncodeError
    for a text that is none.
    """
    handed: dict[str, Any] = {}
    masks: dict[str, Any] = {}
    for name, fields in bounds.paths:
        mask = masks.setdefault(name, {})
        for field in fields:
            mask = mask.setdefault(field, {})
        mask[None] = True
    for name, mask in masks.items():
        if name in values:
            handed[name] = _prune(values[name], mask)
    weight = sum(map(_weigh, handed.values()))
    for (name, fields), times in bounds.work:
        if weight > LIMITS.expression_bytes:
            break
        if name in handed:
            weight += times * _weigh(_follow(handed[name], fields))
    if weight > LIMITS.expression_bytes:
        raise TooMuch(f"it looks at more than {LIMITS.expression_bytes} bytes")
    for name, fields in bounds.ranges:
        if _is_long(_follow(handed.get(name), fields)):
            raise TooMuch(f"it goes through more than {LIMITS.expression_items} items")
    return handed


def _prune(value: Any, mask: Mapping[Any, Any]) -> Any:  # noqa: ANN401  # any JSON
    if None in mask or not isinstance(value, Mapping):
        return value
    return {name: _prune(value[name], inner) for name, inner in mask.items() if name in value}


def _follow(value: Any, fields: Iterable[str]) -> Any:  # noqa: ANN401  # any JSON
    """What the fields lead to, or as far as there are any."""
    for field in fields:
        if not isinstance(value, Mapping):
            break
        value = value.get(field)
    return value


def _weigh(value: object) -> int:
    return 8 if type(value) in _SMALL else len(msgspec.json.encode(value))


_SMALL: Final = frozenset({int, bool, float, type(None)})


def _is_long(value: object) -> bool:
    """Whether a list or an object in it has too many items."""
    if not isinstance(value, (list, Mapping)):
        return False
    inner: Iterator[Any] = iter(value.values() if isinstance(value, Mapping) else value)
    return len(value) > LIMITS.expression_items or any(map(_is_long, inner))
