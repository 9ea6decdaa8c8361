"""What findings mean and what to do about them, in sentences for people who keep books.

Invariant: every kind has both sentences, and none of them needs this code to be understood.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final, NamedTuple

from catena.gateways.contract import Subject
from catena.reconciliation.findings import Finding, How, Kind
from catena.reconciliation.sheets import Listed

__all__ = ["ADVICE_ON_FEES", "HOW_WORDS", "KIND_WORDS", "Sentences", "describe"]

KIND_WORDS: Final = {
    Kind.MATCHED: "matched",
    Kind.MISSING_HERE: "missing in our books",
    Kind.MISSING_THERE: "missing on the statement",
    Kind.DIFFERING_AMOUNT: "different amounts",
    Kind.DIFFERING_CURRENCY: "different currencies",
    Kind.DIFFERING_DATE: "far apart in time",
}

HOW_WORDS: Final = {
    How.REFERENCE: "same reference and amount",
    How.CUT_REFERENCE: "reference cut short, same amount",
    How.SUM: "same reference and total",
    How.BATCH: "one booking for a whole file",
    How.AMOUNT: "same amount, no reference on one side",
    How.NETTED: "booked and taken back on one side",
    How.ADJUSTED: "made up by adjusting entries",
    How.REPEATED: "the same reference and amount once more",
    How.NOTHING: "nothing to match it with",
}

ADVICE_ON_FEES: Final = (
    "The gateway has kept these fees, and our books do not have them yet: post the fee entry that"
    " is proposed (gateway_fees Dr, clearing Cr)."
)


class Sentences(NamedTuple):
    """What a finding means, and what to do about it."""

    meaning: str
    advice: str


def describe(one: Listed) -> Sentences:
    """The sentences on what is listed."""
    finding = one.finding
    if finding.waits_until is not None:
        return Sentences(_explain_waiting(finding, finding.waits_until), "Nothing yet.")
    return next(
        sentences for kind, applies, sentences in _CASES if kind is finding.kind and applies(one)
    )


def _explain_waiting(finding: Finding, until: dt.datetime) -> str:
    if finding.ours and finding.theirs:
        return f"Both sides have parts of it; the rest may still come until {until:%Y-%m-%d}."
    side = "the statement" if finding.ours else "our books"
    return f"On its way: {side} may have it until {until:%Y-%m-%d}."


def _is_repeated(one: Listed) -> bool:
    return one.finding.how is How.REPEATED


def _is_dispute(one: Listed) -> bool:
    return any(line.subject is Subject.DISPUTE for line in one.finding.theirs)


def _is_batch(one: Listed) -> bool:
    return one.finding.how is How.BATCH


def _is_in(one: Listed) -> bool:
    return one.ours + one.theirs > 0


def _is_less(one: Listed) -> bool:
    return one.difference < 0


def _always(one: Listed) -> bool:
    del one
    return True


_CASES: Final[tuple[tuple[Kind, Callable[[Listed], bool], Sentences], ...]] = (
    (
        Kind.MISSING_HERE,
        _is_repeated,
        Sentences(
            "The statement has this once more than our books: it may be booked twice there.",
            "Ask the gateway to take it back; until then post it to suspense.",
        ),
    ),
    (
        Kind.MISSING_HERE,
        _is_dispute,
        Sentences(
            "A dispute moved this by way of the payer's bank, and our books do not have it.",
            "Look the dispute up. What is lost goes to losses, or is claimed back from the user.",
        ),
    ),
    (
        Kind.MISSING_HERE,
        _is_in,
        Sentences(
            "The statement says that this came in; our books do not have it.",
            "Find out whose it is, and post it to suspense until then.",
        ),
    ),
    (
        Kind.MISSING_HERE,
        _always,
        Sentences(
            "The statement says that this went out; our books do not have it.",
            "Find out who sent it and why, and post it to suspense until then.",
        ),
    ),
    (
        Kind.MISSING_THERE,
        _is_repeated,
        Sentences(
            "Our books have this once more than the statement: it may be booked twice here.",
            "If it is, reverse the entry.",
        ),
    ),
    (
        Kind.MISSING_THERE,
        _is_in,
        Sentences(
            "Our books say that this came in; the statement does not have it.",
            "Ask the gateway. If it never had the money, reverse the deposit, or write it off.",
        ),
    ),
    (
        Kind.MISSING_THERE,
        _always,
        Sentences(
            "Our books say that this went out; the statement does not have it.",
            "Ask the gateway. If it never sent the money, post it to suspense and pay again.",
        ),
    ),
    (
        Kind.DIFFERING_AMOUNT,
        _is_batch,
        Sentences(
            "The file was booked with another total than its payments have in our books.",
            "Ask the bank which payments of the file it has not made; then settle the rest.",
        ),
    ),
    (
        Kind.DIFFERING_AMOUNT,
        _is_less,
        Sentences(
            "Both sides have it; by the statement there is less money than by our books.",
            "Ask where the rest is; write it off, or book it as the gateway's fee.",
        ),
    ),
    (
        Kind.DIFFERING_AMOUNT,
        _always,
        Sentences(
            "Both sides have it; by the statement there is more money than by our books.",
            "Find out whose the surplus is, and post it to suspense until then.",
        ),
    ),
    (
        Kind.DIFFERING_CURRENCY,
        _always,
        Sentences(
            "Both sides have it, in different currencies: the gateway has exchanged it.",
            "Post the exchange that is proposed, or ask the gateway to settle as it was paid.",
        ),
    ),
    (
        Kind.DIFFERING_DATE,
        _always,
        Sentences(
            "Both sides have it, further apart than they should be. The money is right.",
            "Accept it, with the reason for the delay.",
        ),
    ),
)
"""The first that applies says it."""
