"""The scopes: what a credential may be allowed to do, and which of them includes another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

__all__ = ["ALL_SCOPES", "WIDER", "Scope", "may"]


class Scope(StrEnum):
    """One permission. A caller needs the scope of every operation in a request."""

    ACCOUNTS_READ = "accounts:read"
    """Read accounts, balances and histories."""
    ACCOUNTS_WRITE = "accounts:write"
    """Open, change and close accounts."""
    ENTRIES_READ = "entries:read"
    """Read entries."""
    DEPOSITS_WRITE = "deposits:write"
    WITHDRAWALS_WRITE = "withdrawals:write"
    TRANSFERS_WRITE = "transfers:write"
    EXCHANGES_WRITE = "exchanges:write"
    CORRECTIONS_WRITE = "corrections:write"
    """Reverse and refund entries."""
    ENTRIES_WRITE = "entries:write"
    """Post free entries to any account, system accounts included."""
    LEDGERS_READ = "ledgers:read"
    LEDGERS_WRITE = "ledgers:write"
    """Create ledgers and register their assets."""
    CHAINS_READ = "chains:read"
    """Read chains, their histories and progress, and preview chains."""
    CHAINS_WRITE = "chains:write"
    """Create, start, extend, signal and cancel chains; each step needs its own scope beside it."""
    CHAINS_SIGNAL = "chains:signal"
    """Tell chains what they wait for, by signal or by message, and be answered with the chain."""
    CHAINS_CALL = "chains:call"
    """Put steps into chains that call somebody."""
    CHAINS_HOLD = "chains:hold"
    """Hold chains, resume and reject them."""
    CHAINS_OPERATE = "chains:operate"
    """Decide by hand what becomes of a step, and compensate chains."""
    LIENS_READ = "liens:read"
    LIENS_WRITE = "liens:write"
    """Reserve funds, extend and release what is reserved; authorise, capture and void holds."""
    BANK_READ = "bank:read"
    """Read what left for banks and came from them, and what is in suspense."""
    BANK_WRITE = "bank:write"
    """Say whose virtual IBANs and references are, and what was done about alarms."""
    SUSPENSE_WRITE = "suspense:write"
    """Say whose the money in suspense is."""
    RECONCILIATION_READ = "reconciliation:read"
    """Read statements, runs with their reports, and the work list."""
    RECONCILIATION_RUN = "reconciliation:run"
    """Take statements in, and reconcile."""
    RECONCILIATION_SETTLE = "reconciliation:settle"
    """Decide what becomes of items of the work list, and post the entries that settle them."""
    METRICS_READ = "metrics:read"


ALL_SCOPES: Final = tuple(Scope)

WIDER: Final[Mapping[str, Scope]] = {Scope.CHAINS_SIGNAL: Scope.CHAINS_WRITE}
"""The scopes that another one includes."""


def may(scopes: Collection[str], scope: str) -> bool:
    """Whether who has these scopes has this one, or one that includes it."""
    return scope in scopes or WIDER.get(scope) in scopes
