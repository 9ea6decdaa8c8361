"""An entry's lines as tests name them."""

from __future__ import annotations

from typing import Any

from tests.server import Api

__all__ = ["see_lines"]


def see_lines(service: Api, entry: dict[str, Any], **names: str) -> list[tuple[str, str, int]]:
    """The entry's lines as (side, whose, amount); system accounts by their role."""
    called = {id: name for name, id in names.items()}
    for line in entry["lines"]:
        if line["account_id"] not in called:
            role = service.read(f"/v1/accounts/{line['account_id']}")["role"]
            called[line["account_id"]] = role
    return [(line["side"], called[line["account_id"]], line["amount"]) for line in entry["lines"]]
