"""Entries as pages draw them, and as a service has posted them.

A drawing is a bold heading, and below it a table of entries: what each debits and credits. The one
user in it is called alice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.server import Client

__all__ = ["Row", "list_entries", "read_drawn", "read_rows"]

_DRAWN: Final = re.compile(
    r"(?m)^\*\*(?P<path>[^*\n]+)\*\*[^\n]*\n\n\| entry \| debit \| credit \|\n\| --- .*\n"
    r"(?P<rows>(?:\|.*\|\n)+)"
)


class Row(NamedTuple):
    """An entry: the step that posted it, `undone` or `assign`; what it debits and credits."""

    step: str
    debits: frozenset[str]
    credits: frozenset[str]


def read_drawn(page: Path) -> dict[str, list[Row]]:
    """The rows under each heading."""
    found = {}
    for drawn in _DRAWN.finditer(page.read_text(encoding="utf-8")):
        rows = [line.strip("| ").split(" | ") for line in drawn["rows"].splitlines()]
        found[drawn["path"]] = [
            Row(step, frozenset(debits.split(", ")), frozenset(credits.split(", ")))
            for step, debits, credits in rows
        ]
    return found


def list_entries(service: Client) -> list[Any]:
    """Every entry of the ledger, in the order in which they were posted."""
    entries: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = service.read("/v1/entries", limit=200, **cursor)
        entries += page["items"]
        if page["next"] is None:
            return sorted(entries, key=lambda one: int(one["position"]))
        cursor = {"cursor": page["next"]}


def read_rows(service: Client, before: Collection[Any]) -> list[Row]:
    """What was posted since these entries, by chains and by who assigned what was nobody's."""
    known = {one["id"] for one in before}
    fresh = [one for one in list_entries(service) if one["id"] not in known]
    roles = _Roles(service)
    return [
        Row(
            name,
            frozenset(_draw(roles, one, "debit")),
            frozenset(_draw(roles, one, "credit")),
        )
        for one in fresh
        if (name := _name(one))
    ]


def _name(entry: Any) -> str:  # noqa: ANN401  # any JSON
    if "suspense_id" in entry["metadata"]:
        return "assign"
    if entry["type"] == "reversal":
        return "undone"
    return str(entry.get("step", ""))


class _Roles(dict[str, str]):
    """Whose an account is, by its id."""

    def __init__(self, service: Client) -> None:
        super().__init__()
        self._service = service

    def __missing__(self, account: str) -> str:
        role = self._service.read(f"/v1/accounts/{account}")["role"]
        self[account] = role or "alice"
        return self[account]


def _draw(roles: _Roles, entry: Any, side: str) -> Iterator[str]:  # noqa: ANN401  # any JSON
    for line in entry["lines"]:
        if line["side"] == side:
            yield f"{roles[line['account_id']]} {line['amount'] / 100:.2f}"
