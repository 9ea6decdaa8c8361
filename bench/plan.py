"""How large and how long a run of the bench is: in full, quick, or as a smoke test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["FULL", "QUICK", "SMOKE", "Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Durations in whole seconds (wrk takes no others) and sizes."""

    name: str
    rounds: int = 5
    seconds: int = 10
    """One measured run."""
    warm_seconds: int = 3
    """A run before the first round, and after each start of a service; not counted."""
    choose_seconds: int = 5
    """A run that chooses pgbench's client count."""
    pgbench_scale: int = 50
    pgbench_clients: tuple[int, ...] = (4, 8, 16, 32)
    wallets: int = 10_000
    batch_operations: tuple[int, int] = (1_000, 5_000)
    lines: int = 10_000_000
    """Of the book that a transfer's cost is compared in, with one of a line for each wallet."""
    account_lines: tuple[int, int] = (100, 1_000_000)
    """Of the two accounts whose history pages are compared."""
    waiting: int = 100_000
    """Chains that wait while others are created, at least."""
    orphans: int = 1_000
    """Chains whose worker is killed."""
    lease_seconds: int = 15
    """Of that worker, and of the one that takes over."""


FULL: Final = Plan(name="full")
QUICK: Final = replace(
    FULL,
    name="quick",
    rounds=3,
    seconds=5,
    warm_seconds=2,
    choose_seconds=3,
    lines=1_000_000,
    account_lines=(100, 100_000),
    waiting=10_000,
)
SMOKE: Final = Plan(
    name="smoke",
    rounds=1,
    seconds=1,
    warm_seconds=0,
    choose_seconds=1,
    pgbench_scale=1,
    pgbench_clients=(4,),
    wallets=200,
    batch_operations=(100, 200),
    lines=20_000,
    account_lines=(100, 2_000),
    waiting=200,
    orphans=20,
    lease_seconds=5,
)
