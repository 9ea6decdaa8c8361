"""The step types of an installation: those that are built in, and plugins by entry point."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Final

from catena.chains.step_types import BUILT_IN, Catalogue, Outside
from catena.errors import SetupError

__all__ = ["GROUP", "load_plugins", "make_catalogue"]

GROUP: Final = "catena.steps"
"""The entry points of step types: each names a callable that gives an `Outside`."""


def load_plugins() -> list[Outside]:
    """Every step type that is installed beside Catena. Raises SetupError for one that is broken."""
    found = []
    for entry in entry_points(group=GROUP):
        try:
            found.append(entry.load()())
        except Exception as error:
            raise SetupError(f"The step type {entry.name} cannot be loaded: {error}") from error
    return found


def make_catalogue(outside: Iterable[Outside]) -> Catalogue:
    """All types together. Raises SetupError where two have one name."""
    seen: set[str] = set(BUILT_IN)
    kept = list(outside)
    for one in kept:
        if one.type.name in seen:
            raise SetupError(f"Two step types are called {one.type.name}.")
        seen.add(one.type.name)
    return Catalogue(kept)
