"""What deposits, withdrawals and refunds by way of a gateway look like in the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["DEPOSIT", "DEPOSIT_REQUEST", "REFUND", "WITHDRAWAL", "WITHDRAWAL_REQUEST"]

_HEX: Final = "019a3c5f1a2b7c3d8e4f5a6b7c8d9e0f"
_ACCOUNT: Final = f"acct_{_HEX}"
_TIMES: Final = {"created_at": "2026-03-01T12:00:00Z", "ended_at": None}
_OWN: Final[Mapping[str, Any]] = {
    "reference": "order-1001",
    "metadata": {},
    "failure": None,
    **_TIMES,
}

DEPOSIT_REQUEST: Final = {
    "gateway": "sandbox",
    "account_id": _ACCOUNT,
    "amount": 12550,
    "currency": "USD",
    "method": {"type": "card", "token": "tok_approved"},
    "reference": "order-1001",
}
DEPOSIT: Final = {
    "id": f"dep_{_HEX}",
    "ledger_id": f"ldg_{_HEX}",
    "chain_id": f"cte_{_HEX}",
    "state": "pending",
    "gateway": "sandbox",
    "account_id": _ACCOUNT,
    "amount": 12550,
    "currency": "USD",
    "captured": None,
    "refunded": 0,
    "disputed": 0,
    "refundable": 0,
    "gateway_reference": None,
    "action": None,
    "entry_id": None,
    **_OWN,
}
WITHDRAWAL_REQUEST: Final = {
    "gateway": "sandbox",
    "account_id": _ACCOUNT,
    "amount": 12550,
    "currency": "USD",
    "method": {"type": "bank", "account": "acct_paid"},
    "reference": "payday-7",
}
WITHDRAWAL: Final = {
    "id": f"wdr_{_HEX}",
    "ledger_id": f"ldg_{_HEX}",
    "chain_id": f"cte_{_HEX}",
    "state": "pending",
    "gateway": "sandbox",
    "account_id": _ACCOUNT,
    "amount": 12550,
    "currency": "USD",
    "gateway_reference": None,
    "entry_id": f"ent_{_HEX}",
    **_OWN,
}
REFUND: Final = {
    "id": f"rfd_{_HEX}",
    "ledger_id": f"ldg_{_HEX}",
    "chain_id": f"cte_{_HEX}",
    "deposit_id": f"dep_{_HEX}",
    "state": "pending",
    "gateway": "sandbox",
    "amount": 500,
    "currency": "USD",
    "gateway_reference": None,
    "reference": None,
    "failure": None,
    **_TIMES,
}
