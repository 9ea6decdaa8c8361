"""Accounts: what a decision reads of them, and how a line changes them.

Invariant: debits, credits and line_count only grow; `posted` follows from them.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final

from catena.ids import ACCOUNT, GATEWAY_NAME, derive_id

__all__ = [
    "BALANCE_MAX",
    "SYSTEM_ACCOUNTS",
    "Account",
    "AccountStatus",
    "AccountType",
    "Side",
    "SystemRole",
    "clearing_of",
    "open_system_account",
    "parse_role",
    "system_account_id",
]

BALANCE_MAX: Final = 2**62 - 1
"""Total debits and total credits of an account exceed this by undo alone: it is half of 64 bits, so
that whatever chains have posted can be undone, whatever was posted since.
"""


class AccountType(StrEnum):
    """The five types of double entry; the type decides the normal side."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"

    @property
    def normal_side(self) -> Side:
        """The side on which this type grows."""
        return Side.DEBIT if self in (AccountType.ASSET, AccountType.EXPENSE) else Side.CREDIT


class Side(StrEnum):
    """Debit or credit."""

    DEBIT = "debit"
    CREDIT = "credit"

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


class AccountStatus(StrEnum):
    """What may still happen to an account."""

    ACTIVE = "active"
    FROZEN = "frozen"
    """No decrease."""
    BLOCKED = "blocked"
    """No decrease and no increase."""
    CLOSED = "closed"
    """Nothing, for ever; its balance is zero."""


class SystemRole(StrEnum):
    """The accounts of the platform, one per role and currency, opened on first use.

    Each gateway has a clearing account of its own beside that: `clearing_of`.
    """

    HOLDING = "holding"
    CLEARING = "clearing"
    FEES = "fees"
    LOSSES = "losses"
    FX = "fx"
    SUSPENSE = "suspense"
    GATEWAY_FEES = "gateway_fees"


SYSTEM_ACCOUNTS: Final = {
    SystemRole.HOLDING: AccountType.LIABILITY,  # on its way between users and the outside
    SystemRole.CLEARING: AccountType.ASSET,  # what banks and processors hold for us
    SystemRole.FEES: AccountType.REVENUE,
    SystemRole.LOSSES: AccountType.EXPENSE,
    SystemRole.FX: AccountType.EQUITY,  # the trading position in each currency
    SystemRole.SUSPENSE: AccountType.LIABILITY,  # what came in, and nobody knows whose it is
    SystemRole.GATEWAY_FEES: AccountType.EXPENSE,  # what processors and banks take for themselves
}

_GATEWAY: Final = re.compile(GATEWAY_NAME)


def clearing_of(gateway: str) -> str:
    """The role of what one gateway holds for us: `clearing.stripe`. Raises ValueError."""
    return parse_role(f"{SystemRole.CLEARING}.{gateway}")


def parse_role(text: str) -> str:
    """`text`, if it is a role: one of the list, or a gateway's own clearing. Raises ValueError."""
    role, dot, gateway = text.partition(".")
    if dot and not (role == SystemRole.CLEARING and _GATEWAY.fullmatch(gateway)):
        raise ValueError("Only clearing accounts are of a gateway each.")
    return text if dot else SystemRole(role)


class Account:
    """What decisions read of one account. Amounts in minor units of `currency`.

    `floor` and `ceiling` bind `posted` on the normal side (None: unbounded). `version` is the
    stored row's: a decision holds only while it is still that. `version` 0: not stored yet.
    """

    __slots__ = (
        "account_type",
        "ceiling",
        "credits",
        "currency",
        "debits",
        "floor",
        "id",
        "line_count",
        "normal_side",
        "reserved",
        "role",
        "sign",
        "status",
        "version",
    )

    def __init__(  # noqa: PLR0913  # one argument a column of the row
        self,
        id: str,
        account_type: AccountType,
        currency: str,
        *,
        role: str | None = None,
        floor: int | None = 0,
        ceiling: int | None = None,
        status: AccountStatus = AccountStatus.ACTIVE,
        debits: int = 0,
        credits: int = 0,
        reserved: int = 0,
        line_count: int = 0,
        version: int = 0,
    ) -> None:
        self.id = id
        self.account_type = account_type
        self.currency = currency
        self.role = role
        self.normal_side = account_type.normal_side
        self.sign = 1 if self.normal_side is Side.DEBIT else -1
        self.floor = floor
        self.ceiling = ceiling
        self.status = status
        self.debits = debits
        self.credits = credits
        self.reserved = reserved
        self.line_count = line_count
        self.version = version

    def copy(self) -> Account:
        """An account with the same figures, at a twentieth of what `copy.copy` takes."""
        made = object.__new__(Account)
        made.id = self.id
        made.account_type = self.account_type
        made.currency = self.currency
        made.role = self.role
        made.normal_side = self.normal_side
        made.sign = self.sign
        made.floor = self.floor
        made.ceiling = self.ceiling
        made.status = self.status
        made.debits = self.debits
        made.credits = self.credits
        made.reserved = self.reserved
        made.line_count = self.line_count
        made.version = self.version
        return made

    @property
    def posted(self) -> int:
        """The balance on the normal side, in minor units."""
        return self.sign * (self.debits - self.credits)

    @property
    def available(self) -> int | None:
        """What anyone may spend: posted - reserved - floor; None where nothing bounds it."""
        return None if self.floor is None else self.posted - self.reserved - self.floor


@lru_cache(maxsize=10_000)
def system_account_id(ledger_id: str, role: str, currency: str) -> str:
    """The id that a ledger's system account has, known before it is stored."""
    return derive_id(ACCOUNT, ledger_id, role, currency)


def open_system_account(ledger_id: str, role: str, currency: str) -> Account:
    """A system account as it is before its first line: without floor."""
    identity = system_account_id(ledger_id, role, currency)
    type = SYSTEM_ACCOUNTS[SystemRole(role.partition(".")[0])]
    return Account(identity, type, currency, role=role, floor=None)
