"""What the naive ledger is made of: accounts, entries and answers, and how a refund is split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from catena.ledger.entries import Draft

__all__ = ["Known", "Line", "NaiveAccount", "NaiveEntry", "No", "Posted", "mirror", "split_naively"]


class No(NamedTuple):
    """A refusal: its code, and the account and line that it names."""

    code: str
    account: str | None = None
    line: int | None = None


class Posted(NamedTuple):
    """The answer is the entry at this position: a new one, or one with the same reference."""

    position: int


class Known(NamedTuple):
    """The answer is an account's terms after it was opened or changed."""

    account: str
    revision: int
    status: str
    floor: int | None
    ceiling: int | None
    name: str | None
    metadata: dict[str, Any]


Line = tuple[str, str, int, str]
"""Account, side, minor units, currency."""


@dataclass
class NaiveAccount:
    """An account's terms. What it holds follows from the entries.

    `revision` 0: a system account that this commit uses first, and opens at its end.
    """

    id: str
    type: str
    currency: str
    role: str | None
    floor: int | None
    ceiling: int | None
    status: str
    revision: int
    name: str | None
    metadata: dict[str, Any]

    def tell(self) -> Known:
        """The terms as an answer."""
        return Known(
            self.id,
            self.revision,
            self.status,
            self.floor,
            self.ceiling,
            self.name,
            dict(self.metadata),
        )


@dataclass
class NaiveEntry:
    """A fact. `shares`: of a refund, how much of each line of the refunded entry it gives back."""

    position: int
    type: str
    lines: list[Line]
    draft: Draft
    corrects: int | None = None
    shares: list[int] | None = None


def mirror(lines: Sequence[Line]) -> list[Line]:
    """The lines on the other side."""
    return [
        (id, "credit" if side == "debit" else "debit", amount, currency)
        for id, side, amount, currency in lines
    ]


def split_naively(amount: int, weights: Sequence[int]) -> list[int]:
    """Hand out one unit after the other to the part that deserves it most, the earlier on a tie.

    That is Webster's rule as it is taught: the greatest weight / (2 x shares + 1).
    """
    if amount == sum(weights):
        return list(weights)
    shares = [0] * len(weights)
    for _ in range(amount):
        claims = [Fraction(w, 2 * share + 1) for w, share in zip(weights, shares, strict=True)]
        shares[claims.index(max(claims))] += 1
    return shares
