"""What the codes of ISO 20022 mean for an order of ours, as tables: statuses and reasons.

Meanings are those of ISO's external code lists; what follows from them is ours. A code that is in
neither table is no news (a status), or final and for a person to look at (a reason).
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DUPLICATES", "REASONS", "STATUSES", "Reason", "Side", "Standing", "find_reason"]


class Standing(StrEnum):
    """Where an order, or a file, stands after a status report."""

    PENDING = "pending"
    """It waits, or nothing new is said."""
    ACCEPTED = "accepted"
    """The bank will carry it out. Nothing is booked."""
    SETTLED = "settled"
    """It says that it is booked; that it is, a statement says."""
    PARTLY = "partly"
    """Of a file: look at its orders."""
    REJECTED = "rejected"
    """Nothing was booked, and nothing will be."""
    TAKEN_BEFORE = "taken_before"
    """It has had the same before. It says nothing of what became of that."""


STATUSES: Final[Mapping[str, Standing]] = MappingProxyType(
    {
        "RCVD": Standing.PENDING,  # received
        "PDNG": Standing.PENDING,  # further checks
        "ACTC": Standing.PENDING,  # well formed; often it waits for a signature
        "PATC": Standing.PENDING,  # one of two signatures
        "ACCP": Standing.ACCEPTED,  # the customer's profile, too
        "ACFC": Standing.ACCEPTED,  # the funds, too
        "ACSP": Standing.ACCEPTED,  # on its way
        "ACWC": Standing.ACCEPTED,  # with a change, such as the day
        "ACWP": Standing.ACCEPTED,  # at the payee's bank, not credited
        "ACSC": Standing.SETTLED,  # our account is debited
        "ACCC": Standing.SETTLED,  # the payee is credited
        "PART": Standing.PARTLY,
        "RJCT": Standing.REJECTED,
        "CANC": Standing.REJECTED,  # it was asked to be cancelled, and is
    }
)


class Side(StrEnum):
    """Who can do something about it."""

    PAYEE = "payee"
    """The account, or whose it is: another destination is needed."""
    OURS = "ours"
    """Our account, our data or our bank."""
    UNCLEAR = "unclear"
    """A person has to find out."""


class Reason(NamedTuple):
    """`permanent`: the same order will meet the same again."""

    meaning: str
    permanent: bool
    side: Side


DUPLICATES: Final = frozenset({"AM05", "DU01", "DU02", "DU03", "DU04", "DU05", "DUPL"})
"""Reasons of a rejection that says: this was here before. What was here before may well be paid, so
none of them is a failed payment."""

_UNKNOWN: Final = Reason("Not in our table.", permanent=True, side=Side.UNCLEAR)

REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        code: Reason(meaning, permanent, side)
        for side, permanent, codes in (
            (
                Side.PAYEE,
                True,
                {
                    "AC01": "The account number is wrong.",
                    "AC03": "The payee's account number is wrong.",
                    "AC04": "The account is closed.",
                    "AC06": "The account is blocked.",
                    "AC07": "The payee's account is closed.",
                    "AG01": "Credit transfers are not allowed on this account.",
                    "AG02": "This kind of transaction is not allowed on this account.",
                    "BE01": "The name does not go with the account.",
                    "CNOR": "The payee's bank is not registered under this BIC.",
                    "CUST": "The payee has sent it back.",
                    "MD07": "The payee has died.",
                    "RC01": "The bank's identifier is wrong.",
                    "RC04": "The identifier of the payee's bank is wrong.",
                },
            ),
            (
                Side.OURS,
                True,
                {
                    "AC02": "Our account number is wrong.",
                    "AC05": "Our account is closed.",
                    "AM01": "The amount is zero.",
                    "AM02": "The amount is over what is allowed.",
                    "AM03": "The currency is not allowed.",
                    "AM10": "The file's sum is not that of its orders.",
                    "AM18": "The file's count is not that of its orders.",
                    "AM19": "The file has too many orders.",
                    "BE04": "The payee's address is missing.",
                    "CH03": "The requested day is too far ahead.",
                    "DT01": "The day is not valid.",
                    "FF01": "The file cannot be read.",
                    "FOCR": "We, or our bank, asked for it back.",
                    "RC03": "The identifier of our bank is wrong.",
                    "RR01": "Our account or identification is missing.",
                    "RR02": "Our name or address is missing.",
                    "RR03": "The payee's name or address is missing.",
                },
            ),
            (
                Side.OURS,
                False,
                {
                    "AM04": "There is not enough on our account.",
                    "DS0H": "Who signed may not sign for this account.",
                    "TM01": "It came after the cut-off.",
                },
            ),
            (
                Side.UNCLEAR,
                True,
                {
                    "AB05": "The payee's bank did not answer in time.",
                    "AB06": "The other bank did not answer in time.",
                    "AB08": "The payee's bank is not there.",
                    "MD06": "The payer asked for it back.",
                    "MS02": "The payee refuses, without a reason.",
                    "MS03": "The payee's bank refuses, without a reason.",
                    "NARR": "The reason is in words.",
                    "RR04": "A regulation forbids it, without a reason.",
                },
            ),
        )
        for code, meaning in codes.items()
    }
)


def find_reason(code: str) -> Reason:
    """What a reason means; of one that we do not know, that a person has to look."""
    return REASONS.get(code, _UNKNOWN)
