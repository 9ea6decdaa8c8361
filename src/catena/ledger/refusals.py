"""Every way in which the ledger says no, in order of precedence.

Invariant: the list is closed, and each code is stable. When several apply, the first in this
order is the answer.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Refusal", "RefusalCode"]


class RefusalCode(Enum):
    """Code, title and what the caller can do. Declared in order of precedence."""

    REFERENCE_CONFLICT = (
        "reference_conflict",
        "The reference was used with other content",
        "Use a new reference for a new entry.",
    )
    UNKNOWN_ENTRY = (
        "unknown_entry",
        "The ledger has no such entry",
        "Check the entry's id and the ledger.",
    )
    CHAIN_RUNNING = (
        "chain_running",
        "The entry belongs to a chain that is running",
        "Cancel the chain, or wait for its end.",
    )
    ALREADY_REVERSED = (
        "already_reversed",
        "A reversal of the entry is in force",
        "Nothing to do, or reverse that reversal first.",
    )
    ALREADY_REFUNDED = (
        "already_refunded",
        "The entry has been refunded in part or whole",
        "Refund what remains instead of reversing.",
    )
    NOT_REFUNDABLE = (
        "not_refundable",
        "An entry of this kind cannot be refunded",
        "Reverse it instead.",
    )
    REFUND_EXCEEDS_ENTRY = (
        "refund_exceeds_entry",
        "Refunds and reversal together would exceed the entry",
        "Refund at most what remains of the entry.",
    )
    CORRECTION_TOO_DEEP = (
        "correction_too_deep",
        "Too many reversals stand on each other",
        "Post a new entry that does what you want.",
    )
    CORRECTION_IN_CHAIN = (
        "correction_in_chain",
        "A chain does not undo a reversal or a refund",
        "Undo it outside of chains: what it had undone would be open to others meanwhile.",
    )
    ASSIGNMENT_UNDONE = (
        "assignment_undone",
        "An assignment out of suspense is reversed by itself, outside of chains, and for good",
        "Reverse its entry alone; once it is reversed, assign the money anew.",
    )
    UNKNOWN_ACCOUNT = (
        "unknown_account",
        "The ledger has no such account",
        "Check the account's id and the ledger.",
    )
    STALE_REVISION = (
        "stale_revision",
        "The account has changed since it was read",
        "Read it again and repeat with the new ETag.",
    )
    SYSTEM_ACCOUNT = (
        "system_account",
        "The account belongs to the platform and this operation may not name it",
        "Use a wallet, or post a free entry.",
    )
    ACCOUNT_CLOSED = (
        "account_closed",
        "The account is closed",
        "Use another account.",
    )
    ACCOUNT_BLOCKED = (
        "account_blocked",
        "The account takes neither debits nor credits",
        "Ask an operator to unblock it.",
    )
    ACCOUNT_FROZEN = (
        "account_frozen",
        "The account is frozen and may not decrease",
        "Ask an operator to unfreeze it.",
    )
    NO_FLOOR = (
        "no_floor",
        "An account without a floor carries no liens",
        "Reserve funds on a wallet.",
    )
    NOT_RESERVABLE = (
        "not_reservable",
        "Funds are reserved on accounts whose normal side is credit",
        "Reserve funds on a wallet.",
    )
    CURRENCY_MISMATCH = (
        "currency_mismatch",
        "The account is kept in another currency",
        "Use an account of this currency, or an exchange.",
    )
    AMOUNT_NOT_POSITIVE = (
        "amount_not_positive",
        "An amount must be greater than zero",
        "Send a positive amount and name the side instead.",
    )
    TOO_FEW_LINES = (
        "too_few_lines",
        "An entry has at least two lines",
        "Send every line of the entry.",
    )
    UNBALANCED = (
        "unbalanced",
        "Debits and credits differ in some currency",
        "Make them equal in each currency.",
    )
    EFFECTIVE_DATE_OUT_OF_RANGE = (
        "effective_date_out_of_range",
        "The effective date is in the future or too far in the past",
        "Leave it out, or send a moment that has passed.",
    )
    INSUFFICIENT_FUNDS = (
        "insufficient_funds",
        "The account has not enough available",
        "Fund the account or lower the amount; its balance says what is available.",
    )
    ABOVE_CEILING = (
        "above_ceiling",
        "The account would exceed its ceiling",
        "Raise the ceiling or lower the amount.",
    )
    BALANCE_OUT_OF_RANGE = (
        "balance_out_of_range",
        "The account's totals would become too large",
        "Use another account.",
    )
    ACCOUNT_EXISTS = (
        "account_exists",
        "An account with this id is there already",
        "Use it, or open one with another id.",
    )
    ACCOUNT_NOT_EMPTY = (
        "account_not_empty",
        "Only an account with nothing posted and nothing reserved can be closed",
        "Move its balance away first.",
    )
    ACCOUNT_IN_USE = (
        "account_in_use",
        "A running chain names the account",
        "Close it when the chain has come to its end.",
    )
    FLOOR_NOT_CHANGEABLE = (
        "floor_not_changeable",
        "Whether an account has a floor never changes",
        "Open another account.",
    )
    FLOOR_ABOVE_BALANCE = (
        "floor_above_balance",
        "The floor would lie above posted - reserved",
        "Choose a lower floor or fund the account first.",
    )
    ITEM_NOT_OPEN = (
        "item_not_open",
        "The item of the work list cannot become that now",
        "Read it again: its state, or what it is about, has changed.",
    )

    def __init__(self, code: str, title: str, remedy: str) -> None:
        self.code = code
        self.title = title
        self.remedy = remedy
        self.precedence = len(type(self).__members__)


class Refusal(NamedTuple):
    """One no. `account` and `line` say where, when the reason lies with one of them."""

    code: RefusalCode
    account: str | None = None
    line: int | None = None
