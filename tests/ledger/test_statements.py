"""Statements in the small: pages walked over what was seen so far, against the whole list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from catena.ledger.statements import (
    Look,
    Posting,
    StatementPlace,
    merge_looks,
    moment_from_stamp,
    stamp_of,
    take_lines,
)

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
END = START + dt.timedelta(days=365)


@st.composite
def draw_lines(draw: st.DrawFn) -> list[list[Posting]]:
    """The lines of an account, in two kinds; dates repeat, numbers and positions do not."""
    rows = draw(
        st.lists(st.tuples(st.integers(0, 9), st.integers(-50, 50), st.booleans()), max_size=25)
    )
    kinds: list[list[Posting]] = [[], []]
    for number, (day, signed, kind) in enumerate(rows, 1):
        effective_at = START + dt.timedelta(days=day)
        kinds[kind].append(Posting(effective_at, number, number * 10, signed))
    return kinds


def look(kind: list[Posting], place: StatementPlace, sight: int, *, descending: bool) -> Look:
    """The next lines of one kind behind the place, as many as `sight` allows."""
    cut = (END if place.stamp is None else moment_from_stamp(place.stamp), place.number)
    ahead = [line for line in kind if (line[:2] < cut) is descending]
    ahead.sort(reverse=descending)
    seen = ahead[:sight]
    return Look(seen, None if len(seen) == len(ahead) else seen[-1][:2])


def walk(
    kinds: list[list[Posting]], *, descending: bool, wanted: set[int] | None, room: int, sight: int
) -> Iterator[list[tuple[Posting, int]]]:
    """Page after page, until the statement says that it ends."""
    whole = sum(line.signed for kind in kinds for line in kind)
    first = stamp_of(START)
    place: StatementPlace | None = StatementPlace(25, first, 0, 0, 0, whole)
    if descending:
        place = StatementPlace(25, None, 0, whole, 0, whole)
    while place is not None:
        looks = [look(kind, place, sight, descending=descending) for kind in kinds]
        seen = merge_looks(looks, descending=descending)
        lines, place = take_lines(seen, place, descending=descending, wanted=wanted, room=room)
        yield lines


@given(
    kinds=draw_lines(),
    descending=st.booleans(),
    wanted=st.none() | st.sets(st.integers(1, 25).map(lambda number: number * 10)),
    room=st.integers(1, 7),
    sight=st.integers(1, 7),
)
def test_the_pages_are_the_list(
    *, kinds: list[list[Posting]], descending: bool, wanted: set[int] | None, room: int, sight: int
) -> None:
    """However little is seen at once, the pages give each wanted line once, in order, with posted
    after it, and no page is larger than it may be.
    """
    pages = list(walk(kinds, descending=descending, wanted=wanted, room=room, sight=sight))
    balance, expected = 0, []
    for line in sorted(line for kind in kinds for line in kind):
        balance += line.signed
        if wanted is None or line.position in wanted:
            expected.append((line, balance))
    if descending:
        expected.reverse()
    assert [item for page in pages for item in page] == expected
    assert all(len(page) <= room for page in pages)


def test_a_full_page_at_the_end_is_the_last() -> None:
    """When the last line fills the page, nobody is sent for an empty one."""
    line = Posting(START, 1, 10, 5)
    place = StatementPlace(1, stamp_of(START), 0, 0, 0, 5)
    taken = take_lines(Look([line], None), place, descending=False, wanted=None, room=1)
    assert taken == ([(line, 5)], None)


@given(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31), timezones=st.just(dt.UTC)))  # noqa: DTZ001  # hypothesis adds the zone
def test_a_stamp_is_its_moment(moment: dt.datetime) -> None:
    """Every moment of the calendar goes into a whole number of microseconds and comes back."""
    assert moment_from_stamp(stamp_of(moment)) == moment
