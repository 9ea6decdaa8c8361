"""The examples of reconciliation in the OpenAPI document: one story of one day."""

from __future__ import annotations

from typing import Any, Final

from catena.api import examples

__all__ = ["CHANGE", "CSV", "HTML", "ITEM", "ITEMS", "REPORT", "RUN", "RUNS", "SENT", "STATEMENT"]

_ENDING: Final = "019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f"
_LEDGER: Final = examples.LEDGER["id"]

SENT: Final = """id,at,subject,amount,currency,fee,reference,text
txn_1,2026-03-01 09:30:00,charge,125.50,USD,2.01,ch_1,Order 1001
txn_2,2026-03-01 17:00:00,charge,80.00,USD,1.37,ch_2,Order 1002
"""

STATEMENT: Final[dict[str, Any]] = {
    "id": f"stm_{_ENDING}",
    "ledger_id": _LEDGER,
    "gateway": "sandbox",
    "covers_from": "2026-03-01T00:00:00Z",
    "covers_until": "2026-03-02T00:00:00Z",
    "lines": 2,
    "repeated": 0,
    "by": f"key_{_ENDING}",
    "received_at": "2026-03-02T03:00:00Z",
}

RUN: Final[dict[str, Any]] = {
    "id": f"run_{_ENDING}",
    "ledger_id": _LEDGER,
    "gateway": "sandbox",
    "number": 1,
    "position": 1700,
    "begins": "2026-03-01T00:00:00Z",
    "until": "2026-03-02T00:00:00Z",
    "explained": True,
    "counts": {
        "ours": 1,
        "theirs": 2,
        "matched": 1,
        "in_transit": 0,
        "open": 1,
        "opened": 1,
        "cleared": 0,
        "reopened": 0,
        "unjudged": 0,
    },
    "figures": [
        {
            "currency": "USD",
            "books_opening": 0,
            "books_closing": 12550,
            "statement_opening": 0,
            "statement_closing": 20212,
            "lead_in": 0,
            "difference": 7662,
            "in_transit": 0,
            "open": 8000,
            "accepted": 0,
            "fees_to_book": 338,
            "unexplained": 0,
        }
    ],
    "by": f"key_{_ENDING}",
    "made_at": "2026-03-02T03:00:00Z",
}
RUNS: Final = {"items": [RUN], "next": None}

_HEAD: Final[dict[str, Any]] = {
    "id": f"rec_{_ENDING}",
    "ledger_id": _LEDGER,
    "gateway": "sandbox",
    "state": "open",
    "kind": "missing_here",
    "how": "nothing",
    "differences": [{"amount": 8000, "currency": "USD"}],
    "opened_at": "2026-03-02T03:00:00Z",
    "changed_at": "2026-03-02T03:00:00Z",
}
ITEMS: Final = {"items": [_HEAD], "next": None}
ITEM: Final[dict[str, Any]] = {
    **_HEAD,
    "ours": [],
    "theirs": [
        {
            "id": "txn_2",
            "subject": "charge",
            "amount": 8000,
            "fee": 137,
            "currency": "USD",
            "reference": "ch_2",
            "at": "2026-03-01T17:00:00Z",
            "text": "Order 1002",
            "about": None,
        }
    ],
    "proposals": [
        {
            "settling": "park",
            "type": "adjustment",
            "lines": [
                {"role": "clearing.sandbox", "side": "debit", "amount": 8000, "currency": "USD"},
                {"role": "suspense", "side": "credit", "amount": 8000, "currency": "USD"},
            ],
        }
    ],
    "changes": [
        {
            "item_id": f"rec_{_ENDING}",
            "state": "open",
            "at": "2026-03-02T03:00:00Z",
            "by": "reconciliation",
            "reason": "Found.",
            "entry_id": None,
        }
    ],
}
CHANGE: Final[dict[str, Any]] = {
    "item_id": f"rec_{_ENDING}",
    "state": "accepted",
    "at": "2026-03-02T09:00:00Z",
    "by": f"key_{_ENDING}",
    "reason": "Agreed with the gateway.",
    "entry_id": None,
}

REPORT: Final[dict[str, Any]] = {
    "gateway": "sandbox",
    "begins": "2026-03-01T00:00:00Z",
    "until": "2026-03-02T00:00:00Z",
    "made_at": "2026-03-02T03:00:00Z",
    "explained": True,
    "sheets": [],
}
CSV: Final = "gateway,currency,section,what,lines,books,statement,difference\r\n"
HTML: Final = "<!doctype html>"
