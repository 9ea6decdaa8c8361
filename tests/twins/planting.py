"""Twins of Catena with one thing broken, to see that a check notices.

Invariant: a twin differs from the real one by the text that was replaced, and nothing remains of
it afterwards. In Python: modules imported anew; in SQL: a function of the test's own database.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import NamedTuple

from tests.postgres import Database
from tests.scribe import connect_as_owner

__all__ = ["Replacement", "plant_in_database", "planted"]

OURS = ("catena", "tests")


class Replacement(NamedTuple):
    """Text that stands once in `where` (a module, or a function of the database), and another."""

    where: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The text with the new in place of the old, which must be there once: else LookupError."""
        if text.count(self.old) != 1:
            raise LookupError(f"{self.where} has changed: {self.old}")
        return text.replace(self.old, self.new)


@contextmanager
def planted(replacements: Sequence[Replacement]) -> Iterator[None]:
    """Within, what is imported of Catena and its tests is the twin's."""
    real = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    finder = _TwinFinder(replacements)
    _forget_ours()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _forget_ours()
        sys.modules.update(real)


async def plant_in_database(database: Database, replacement: Replacement) -> None:
    """Replace text in a function of the journal, in this database alone."""
    async with connect_as_owner(database) as owner:
        text = await owner.fetchval(
            "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = $1", replacement.where
        )
        await owner.execute(replacement.apply(text))


def _is_ours(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in OURS


def _forget_ours() -> None:
    for name in [name for name in sys.modules if _is_ours(name)]:
        del sys.modules[name]


class _TwinFinder(importlib.abc.MetaPathFinder):
    """Finds the modules that are replaced, before the ordinary finders do."""

    def __init__(self, replacements: Sequence[Replacement]) -> None:
        self._replacements = replacements

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec, with a loader that replaces."""
        wanted = [one for one in self._replacements if one.where == fullname]
        spec = PathFinder.find_spec(fullname, path, target) if wanted else None
        if spec is not None:
            assert isinstance(spec.loader, SourceFileLoader)
            spec.loader = _TwinLoader(fullname, spec.loader.path, wanted)
        return spec


class _TwinLoader(SourceFileLoader):
    """Compiles a module from its text with other text in it, and keeps nothing."""

    def __init__(self, name: str, path: str, replacements: Sequence[Replacement]) -> None:
        super().__init__(name, path)
        self._replacements = replacements

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  # as importlib calls it
        """The twin's code."""
        text = self.get_data(self.path).decode()
        for replacement in self._replacements:
            text = replacement.apply(text)
        code: CodeType = compile(text, self.path, "exec", dont_inherit=True)
        return code
