"""What is matched with what: the stories of `matches`, what is carried on, and crowds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from catena.gateways.contract import Subject
from catena.ledger.entries import EntryType
from catena.reconciliation.findings import Kind, add_differences
from catena.reconciliation.lines import fold_reference
from catena.reconciliation.matching import Carried, Fees, OpenItem
from tests.reconciliation.lines import brief, ours, run, theirs
from tests.reconciliation.matches import STORIES, Story


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_stories(story: Story) -> None:
    """Each story ends as it says, in whatever order its lines come."""
    found = run(story.here, story.there, story.until)
    assert brief(found) == story.found
    assert brief(run(story.here[::-1], story.there[::-1], story.until)) == story.found


@pytest.mark.parametrize(
    ("reference", "folded"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("NotProvided", None),
        ("nonref", None),
        ("pi_1aB", "PI1AB"),
        ("RF18 5390", "RF185390"),
        ("ﬁ-①", "FI1"),
    ],
)
def test_folding(reference: str | None, folded: str | None) -> None:
    """Letters and digits are left, in capitals; what means none is none."""
    assert fold_reference(reference) == folded


def test_fees_are_counted_and_not_matched() -> None:
    """What the gateway took, what was open before, and what we have booked of it."""
    found = run(
        [ours("a", "pi_1", 100), ours("b", "run", -30, type=EntryType.FEE)],
        [
            theirs("x", "pi_1", 100, fee=5),
            theirs("y", None, -25, subject=Subject.FEE),
            theirs("z", None, 2, subject=Subject.FEE, currency="USD"),
        ],
        carried=Carried(fees={"EUR": 10, "CHF": 1}),
    )
    assert found.fees == {"CHF": Fees(1, 0, 0), "EUR": Fees(10, 30, 30), "USD": Fees(0, -2, 0)}
    assert found.fees["EUR"].to_book == 10


def test_lead_in_is_told() -> None:
    """What earlier halves explain of the balances at the beginning, and how many had no other."""
    found = run(
        [ours("a", "pi_1", 100, -1), ours("b", "pi_2", 50, -1), ours("c", "pi_3", 30, 1)],
        [theirs("x", "pi_1", 100, 1), theirs("y", "pi_3", 30, -1)],
    )
    assert found.lead_in == {"EUR": -70}
    assert found.unjudged == 1
    assert add_differences(found.findings) == {"EUR": 0}
    assert [line.id for line in found.new_ours] == ["c"]


def test_what_was_open_is_taken_up() -> None:
    """The other half of what waited, and of what was missing, is found by a later run."""
    waiting = ours("a", "pi_1", 100, 9)
    missing = theirs("x", "pi_2", 50, 1)
    carried = Carried((waiting,), (), (OpenItem("rec_1", (), (missing,)),))
    found = run([ours("b", "pi_2", 50, 3)], [theirs("y", "pi_1", 100, 12)], carried=carried)
    assert brief(found) == {
        ("matched", "reference", "a", "y"),
        ("matched", "reference", "b", "x"),
    }
    assert [one.items for one in found.findings if one.theirs[0].id == "x"] == [("rec_1",)]
    assert carried.differences() == {"EUR": -50}


def test_what_is_carried_is_no_lead_in() -> None:
    """A carried line is judged, however old."""
    old = Carried((ours("a", "pi_1", 100, -9),))
    assert brief(run([], [], carried=old)) == {("missing_there", "nothing", "a", "")}


def test_what_was_carried_and_comes_again_is_one() -> None:
    """Statements overlap: a line that is open already is not taken in twice, ours neither."""
    here, there = ours("a", "pi_1", 100, 3), theirs("x", "pi_2", 50, 3)
    found = run([here], [there], carried=Carried((here,), (), (OpenItem("rec_1", (), (there,)),)))
    assert brief(found) == {
        ("missing_there", "nothing", "a", ""),
        ("missing_here", "nothing", "", "x"),
    }
    assert len(found.findings) == 2
    assert (found.new_ours, found.new_theirs) == ((), ())


def test_adjusting_entries_settle_their_item() -> None:
    """Whatever the references say: the entry names the item."""
    item = OpenItem("rec_1", (), (theirs("x", None, 50, 1),))
    other = OpenItem("rec_2", (ours("b", "pi_1", 9),), ())
    here = [
        ours("a", "rec_1", 50, 9, settles="rec_1"),
        ours("c", "rec_2", -8, 9, settles="rec_2"),
        ours("d", "rec_9", -1, 9, settles="rec_9"),
    ]
    found = run(here, [], carried=Carried(items=(item, other)))
    assert brief(found) == {
        ("matched", "adjusted", "a", "x"),
        ("missing_there", "nothing", "b", ""),
        ("missing_there", "nothing", "c", ""),
        ("missing_there", "nothing", "d", ""),
    }


def test_nothing_depends_on_the_clock_of_a_zone() -> None:
    """Moments are compared, not what a clock on a wall shows."""
    zone = dt.timezone(dt.timedelta(hours=14))
    line = theirs("x", "pi_1", 100)
    moved = line._replace(at=line.at.astimezone(zone))
    assert brief(run([ours("a", "pi_1", 100)], [moved])) == {("matched", "reference", "a", "x")}


MANY = 10_000
PREFIX = "REFERENCE-OF-SOMEBODY-"
CROWDS: dict[str, tuple[Callable[[int], str | None], int, Callable[[int], str | None], int]] = {
    "one reference, one amount": (lambda _: "R", 0, lambda _: "R", 0),
    "one reference, other amounts": (lambda _: "R", 2, lambda _: "R", 2),
    "no references": (lambda _: None, 0, lambda _: None, 0),
    "one amount": (str, 0, str, 0),
    "all cut to one stump": (lambda i: f"{PREFIX}{i}", 0, lambda _: PREFIX, 0),
    "stumps within stumps": (lambda i: PREFIX + "X" * (i % 90), 0, lambda _: PREFIX, 0),
}


@pytest.mark.parametrize("name", CROWDS)
def test_crowds_are_matched(name: str) -> None:
    """Ten thousand lines a side that look alike: what looks at all for each would take minutes."""
    refer_here, step_here, refer_there, step_there = CROWDS[name]
    here = [ours(f"a{i:06}", refer_here(i), 10 + i * step_here) for i in range(MANY)]
    there = [theirs(f"x{i:06}", refer_there(i), 10 + i * step_there) for i in range(MANY)]
    found = run(here, there)
    assert {one.kind for one in found.findings} == {Kind.MATCHED}
    assert sum(len(one.ours) + len(one.theirs) for one in found.findings) == 2 * MANY


def test_a_crowd_that_differs_is_one_item() -> None:
    """All under one reference, and no amount like another: the totals differ, that is all."""
    here = [ours(f"a{i:06}", "R", 10 + 2 * i) for i in range(MANY)]
    there = [theirs(f"x{i:06}", "R", 11 + 2 * i) for i in range(MANY)]
    (finding,) = run(here, there).findings
    assert (finding.kind, finding.differences()) == (Kind.DIFFERING_AMOUNT, {"EUR": MANY})
