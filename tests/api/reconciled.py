"""A gateway's statement and a run over it, for tests that speak of what they leave."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import httpx2

from tests.server import Client

__all__ = ["HEADER", "make_run", "place_of_run", "send_statement"]

HEADER: Final = "id,at,subject,amount,currency,fee,reference,text"


def send_statement(
    client: Client, *rows: str, gateway: str = "sandbox", key: str | None = None, **query: object
) -> httpx2.Response:
    """Send a plain statement, under a fresh Idempotency-Key unless one is given."""
    return client.send(
        "POST",
        "/v1/statements",
        content="\n".join([HEADER, *rows]).encode(),
        headers={"Content-Type": "text/csv", "Idempotency-Key": key or uuid4().hex},
        params={"gateway": gateway, **query},
    )


def make_run(client: Client, *rows: str, until: str | None = "2026-04-01T00:00:00Z") -> Any:  # noqa: ANN401  # any JSON
    """Send a statement of these lines and reconcile; gives the run."""
    if rows:
        assert send_statement(client, *rows).status_code in {200, 201}
    return client.make("/v1/reconciliations", {"gateway": "sandbox", "until": until})


def place_of_run(client: Client, operation: str) -> dict[str, str]:
    """The parameters of a path that this operation can be done at."""
    name = uuid4().hex
    charge = f"{name}-1,2026-03-01 09:00:00,charge,125.50,USD,2.01,{name},"
    credit = f"{name}-2,2026-03-01 10:00:00,credit,80.00,USD,0,{name},"
    run = make_run(client, charge, credit)
    item = client.read("/v1/reconciliation_items", state="open")["items"][-1]["id"]
    if operation == "reopen_reconciliation_item":
        client.post(f"/v1/reconciliation_items/{item}/accept", {"reason": "agreed"})
    return {"run_id": run["id"], "item_id": item}
