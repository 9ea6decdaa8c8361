"""What both sides can have, and what is found in it: one story a row."""

from __future__ import annotations

from typing import NamedTuple

from catena.gateways.contract import StatementLine, Subject
from catena.ledger.entries import EntryType
from catena.reconciliation.lines import BookLine
from tests.reconciliation.lines import ours, theirs

__all__ = ["STORIES", "Story"]

LONG = "CTE0123456789ABCDEF-PAYOUT-1"


class Story(NamedTuple):
    """Both sides, and what is found."""

    name: str
    here: list[BookLine]
    there: list[StatementLine]
    found: set[tuple[str, str, str, str]]
    until: float = 60


STORIES = [
    Story("nothing", [], [], set()),
    Story(
        "the same reference and amount match",
        [ours("a", "pi_1", 100)],
        [theirs("x", "pi_1", 100, 2)],
        {("matched", "reference", "a", "x")},
    ),
    Story(
        "a charge and its refund have references of their own",
        [ours("a", "pi_1", 100), ours("b", "re_1", -100, 2)],
        [theirs("x", "pi_1", 100), theirs("y", "re_1", -100, 2)],
        {("matched", "reference", "a", "x"), ("matched", "reference", "b", "y")},
    ),
    Story(
        "capitals, spaces and strokes of a bank change nothing",
        [ours("a", "cte/12-ab", 100), ours("b", "ü 1", 5)],
        [theirs("x", "CTE 12 AB", 100), theirs("y", "Ü1", 5)],
        {("matched", "reference", "a", "x"), ("matched", "reference", "b", "y")},
    ),
    Story(
        "references that differ only in capitals stay apart where both sides keep them",
        [ours("a", "ch_aB", 100), ours("b", "ch_Ab", 100)],
        [theirs("x", "ch_Ab", 100), theirs("y", "ch_aB", 100)],
        {("matched", "reference", "a", "y"), ("matched", "reference", "b", "x")},
    ),
    Story(
        "a reference that was cut counts with the same amount",
        [ours("a", LONG, 100), ours("b", "cte-9", 7)],
        [theirs("x", LONG[:18], 100), theirs("y", "cte-9", 7)],
        {("matched", "cut_reference", "a", "x"), ("matched", "reference", "b", "y")},
    ),
    Story(
        "so does one that the bank made longer",
        [ours("a", LONG, 100)],
        [theirs("x", LONG + " 20260301", 100)],
        {("matched", "cut_reference", "a", "x")},
    ),
    Story(
        "a stump that is too short says nothing",
        [ours("a", LONG, 100)],
        [theirs("x", LONG[:12], 100)],
        {("missing_there", "nothing", "a", ""), ("missing_here", "nothing", "", "x")},
    ),
    Story(
        "a cut reference with another amount is another payment",
        [ours("a", LONG, 100)],
        [theirs("x", LONG[:18], 90)],
        {("missing_there", "nothing", "a", ""), ("missing_here", "nothing", "", "x")},
    ),
    Story(
        "what is the whole reference of another payment is no stump",
        [ours("a", LONG, 90), ours("b", LONG + "2", 100)],
        [theirs("x", LONG, 100)],
        {("differing_amount", "reference", "a", "x"), ("missing_there", "nothing", "b", "")},
    ),
    Story(
        "nor is what is whole here",
        [ours("a", LONG, 100)],
        [theirs("x", LONG, 90), theirs("y", LONG + "2", 100)],
        {("differing_amount", "reference", "a", "x"), ("missing_here", "nothing", "", "y")},
    ),
    Story(
        "the longer of two stumps chooses first",
        [ours("a", LONG + "12", 100, 1), ours("b", LONG + "23", 100, 2)],
        [theirs("x", LONG, 100, 1), theirs("y", LONG + "1", 100, 1)],
        {("matched", "cut_reference", "b", "x"), ("matched", "cut_reference", "a", "y")},
    ),
    Story(
        "partial captures add up to one line",
        [ours("a", "pi_1", 30), ours("b", "pi_1", 20, 2)],
        [theirs("x", "pi_1", 50, 3)],
        {("matched", "sum", "a b", "x")},
    ),
    Story(
        "a capture of a part is a charge and a reversal there",
        [ours("a", "pi_1", 70)],
        [theirs("x", "pi_1", 100), theirs("y", "pi_1", -30)],
        {("matched", "sum", "a", "x y")},
    ),
    Story(
        "what comes after the sum is its own",
        [ours("a", "pi_1", 30), ours("b", "pi_1", 20, 2), ours("c", "pi_1", 45, 58)],
        [theirs("x", "pi_1", 50, 3)],
        {("matched", "sum", "a b", "x"), ("in_transit", "nothing", "c", "")},
    ),
    Story(
        "a reversal of our own entry leaves nothing to match",
        [ours("a", "pi_1", 100), ours("b", "pi_1", -100, 9)],
        [],
        {("matched", "netted", "a b", "")},
    ),
    Story(
        "what they took back themselves leaves nothing either",
        [ours("a", "pi_1", 100)],
        [theirs("x", "pi_1", 100), theirs("y", "pi_1", 100, 2), theirs("z", "pi_1", -100, 3)],
        {("matched", "reference", "a", "x"), ("matched", "netted", "", "y z")},
    ),
    Story(
        "a charge and its refund that are both on their way are not netted",
        [ours("a", "pi_1", 100, 58), ours("b", "pi_1", -100, 59)],
        [],
        {("in_transit", "nothing", "a", ""), ("in_transit", "nothing", "b", "")},
    ),
    Story(
        "nor are theirs",
        [],
        [theirs("x", "pi_1", 100, 58), theirs("y", "pi_1", -100, 59)],
        {("in_transit", "nothing", "", "x"), ("in_transit", "nothing", "", "y")},
    ),
    Story(
        "a duplicate there is found, and called one",
        [ours("a", "pi_1", 100)],
        [theirs("x", "pi_1", 100), theirs("y", "pi_1", 100, 2)],
        {("matched", "reference", "a", "x"), ("missing_here", "repeated", "", "y")},
    ),
    Story(
        "a duplicate here too",
        [ours("a", "pi_1", 100), ours("b", "pi_1", 100, 2)],
        [theirs("x", "pi_1", 100)],
        {("matched", "reference", "a", "x"), ("missing_there", "repeated", "b", "")},
    ),
    Story(
        "what came in is the same in sum, in another order than what went out",
        [ours("a", "pi_1", -10), ours("b", "pi_1", 50, 2)],
        [theirs("x", "pi_1", 20), theirs("y", "pi_1", -15, 2), theirs("z", "pi_1", 30, 3)],
        {("matched", "sum", "b", "x z"), ("differing_amount", "reference", "a", "y")},
    ),
    Story(
        "and so too late",
        [ours("a", "pi_1", -10), ours("b", "pi_1", 50, 2)],
        [theirs("x", "pi_1", 20), theirs("y", "pi_1", -15, 2), theirs("z", "pi_1", 30, 13)],
        {("differing_date", "sum", "b", "x z"), ("differing_amount", "reference", "a", "y")},
    ),
    Story(
        "another amount",
        [ours("a", "pi_1", 100)],
        [theirs("x", "pi_1", 90)],
        {("differing_amount", "reference", "a", "x")},
    ),
    Story(
        "another amount may be a part, as long as the rest may come",
        [ours("a", "pi_1", 100, 1)],
        [theirs("x", "pi_1", 90, 2)],
        {("in_transit", "reference", "a", "x")},
        until=6.5,
    ),
    Story(
        "something new under an old reference does not make it wait for ever",
        [ours("a", "pi_1", 100, 1)],
        [theirs("x", "pi_1", 90, 11)],
        {("differing_amount", "reference", "a", "x")},
        until=12,
    ),
    Story(
        "what came in there and went out here is not one payment",
        [ours("a", "pi_1", -100)],
        [theirs("x", "pi_1", 90)],
        {("missing_there", "nothing", "a", ""), ("missing_here", "nothing", "", "x")},
    ),
    Story(
        "another currency",
        [ours("a", "pi_1", 100)],
        [theirs("x", "pi_1", 110, currency="USD")],
        {("differing_currency", "reference", "a", "x")},
    ),
    Story(
        "too late",
        [ours("a", "pi_1", 100)],
        [theirs("x", "pi_1", 100, 7)],
        {("differing_date", "reference", "a", "x")},
    ),
    Story(
        "too early",
        [ours("a", "pi_1", 100, 7)],
        [theirs("x", "pi_1", 100, 1)],
        {("differing_date", "reference", "a", "x")},
    ),
    Story(
        "a sum that comes too late",
        [ours("a", "pi_1", 60), ours("b", "pi_1", 40)],
        [theirs("x", "pi_1", 100, 7)],
        {("differing_date", "sum", "a b", "x")},
    ),
    Story(
        "two of one amount that come too late, in the order of time",
        [ours("a", "pi_1", 100, 1), ours("b", "pi_1", 100, 2)],
        [theirs("x", "pi_1", 100, 8), theirs("y", "pi_1", 100, 9)],
        {("differing_date", "reference", "a", "x"), ("differing_date", "reference", "b", "y")},
    ),
    Story(
        "totals that meet only where a part came to nothing are not the same",
        [ours("a", "pi_1", 50), ours("b", "pi_1", 20, 2), ours("c", "pi_1", -20, 3)],
        [theirs("x", "pi_1", 40), theirs("y", "pi_1", 10, 2), theirs("z", "pi_1", 7, 3)],
        {
            ("matched", "sum", "a", "x y"),
            ("matched", "netted", "b c", ""),
            ("missing_here", "nothing", "", "z"),
        },
    ),
    Story(
        "a total that was passed already is not gone back to",
        [ours("a", "pi_1", 50), ours("b", "pi_1", 20, 2)],
        [
            theirs("w", "pi_1", 30),
            theirs("x", "pi_1", 40, 2),
            theirs("y", "pi_1", -5, 3),
            theirs("z", "pi_1", -15, 4),
        ],
        {
            ("matched", "sum", "a b", "w x"),
            ("missing_here", "nothing", "", "y"),
            ("missing_here", "nothing", "", "z"),
        },
    ),
    Story(
        "the same reference every month, and once nothing",
        [ours("a", "RENT", 9, 1), ours("b", "RENT", 9, 20), ours("c", "RENT", 9, 40)],
        [theirs("x", "RENT", 9, 2), theirs("z", "RENT", 9, 41)],
        {
            ("matched", "reference", "a", "x"),
            ("matched", "reference", "c", "z"),
            ("missing_there", "repeated", "b", ""),
        },
    ),
    Story(
        "once one more there, earlier than ours",
        [ours("c", "RENT", 9, 40)],
        [theirs("x", "RENT", 9, 2), theirs("z", "RENT", 9, 41)],
        {("matched", "reference", "c", "z"), ("missing_here", "repeated", "", "x")},
    ),
    Story(
        "a file is one line at the bank",
        [ours("a", "E1", -60, batch="MSG-1"), ours("b", "E2", -40, batch="MSG-1")],
        [theirs("x", "msg1", -100, 2)],
        {("matched", "batch", "a b", "x")},
    ),
    Story(
        "a payment of it that came back is matched by itself",
        [
            ours("a", "E1", -60, batch="MSG-1"),
            ours("b", "E2", -40, batch="MSG-1"),
            ours("c", "E2", 40, 3),
        ],
        [theirs("x", "MSG-1", -100, 2), theirs("y", "E2", 40, 3)],
        {("matched", "batch", "a b", "x"), ("matched", "reference", "c", "y")},
    ),
    Story(
        "the file is whole at the bank though one payment has come back in our books already",
        [
            ours("a", "E1", -60, batch="MSG-1"),
            ours("b", "E2", -40, batch="MSG-1"),
            ours("c", "E2", 40, 58),
        ],
        [theirs("x", "MSG-1", -100, 2)],
        {("matched", "batch", "a b", "x"), ("in_transit", "nothing", "c", "")},
    ),
    Story(
        "a payment that our books took back may be missing in it",
        [
            ours("a", "E1", -60, batch="MSG-1"),
            ours("b", "E2", -40, batch="MSG-1"),
            ours("c", "E2", 40, 3),
            ours("d", None, 1, 3),
        ],
        [theirs("x", "MSG-1", -60, 2)],
        {
            ("matched", "batch", "a", "x"),
            ("matched", "netted", "c b", ""),
            ("missing_there", "nothing", "d", ""),
        },
    ),
    Story(
        "a file with another total",
        [ours("a", "E1", -60, batch="MSG-1"), ours("b", "E2", -40, batch="MSG-1")],
        [theirs("x", "MSG-1", -99, 2), theirs("y", None, -1, 2)],
        {("differing_amount", "batch", "a b", "x"), ("missing_here", "nothing", "", "y")},
    ),
    Story(
        "a file of which our books took all back",
        [ours("a", "E1", -60, batch="MSG-1"), ours("c", "E1", 60, 3)],
        [theirs("x", "MSG-1", -99, 2)],
        {("matched", "netted", "c a", ""), ("missing_here", "nothing", "", "x")},
    ),
    Story(
        "a file that was booked late",
        [ours("a", "E1", -60, batch="MSG-1")],
        [theirs("x", "MSG-1", -60, 12)],
        {("differing_date", "batch", "a", "x")},
    ),
    Story(
        "a file that is not booked yet",
        [ours("a", "E1", -60, 58, batch="MSG-1"), ours("b", "E2", -1, 58, batch="NONREF")],
        [theirs("x", "MSG-2", -60, 58)],
        {
            ("in_transit", "nothing", "a", ""),
            ("in_transit", "nothing", "b", ""),
            ("in_transit", "nothing", "", "x"),
        },
    ),
    Story(
        "without a reference the amount decides, in the order of time",
        [ours("a", None, 100, 1), ours("b", "pi_2", 100, 2), ours("c", None, 7, 1)],
        [theirs("x", "NOTPROVIDED", 100, 2), theirs("y", "", 100, 3), theirs("z", "pi_9", 7)],
        {
            ("matched", "amount", "a", "x"),
            ("matched", "amount", "b", "y"),
            ("matched", "amount", "c", "z"),
        },
    ),
    Story(
        "other references are other payments, whatever the amount",
        [ours("a", "pi_1", 100)],
        [theirs("x", "pi_2", 100)],
        {("missing_there", "nothing", "a", ""), ("missing_here", "nothing", "", "x")},
    ),
    Story(
        "the window is open to its last moment",
        [ours("a", "pi_1", 100, 5.1), ours("b", "pi_2", 100, 5)],
        [theirs("x", "pi_3", 100, 5.1), theirs("y", "pi_4", 100, 5)],
        {
            ("in_transit", "nothing", "a", ""),
            ("missing_there", "nothing", "b", ""),
            ("in_transit", "nothing", "", "x"),
            ("missing_here", "nothing", "", "y"),
        },
        until=10,
    ),
    Story(
        "lines from before the beginning are halves, and are not judged alone",
        [ours("a", "pi_1", 100, -1), ours("b", "pi_2", 50, -1), ours("c", "pi_3", 7, -1)],
        [theirs("x", "pi_1", 100, 1), theirs("z", "pi_3", 7, -1), theirs("w", "pi_4", 1)],
        {("matched", "reference", "a", "x"), ("missing_here", "nothing", "", "w")},
    ),
    Story(
        "fees and lines without an amount need no other half",
        [ours("a", "run", -30, type=EntryType.FEE)],
        [theirs("x", None, -25, subject=Subject.FEE), theirs("y", "re_1", 0, fee=5)],
        set(),
    ),
    Story(
        "the same line twice is one",
        [ours("a", "pi_1", 100), ours("a", "pi_1", 100)],
        [theirs("x", "pi_1", 100), theirs("x", "pi_1", 100)],
        {("matched", "reference", "a", "x")},
    ),
]
