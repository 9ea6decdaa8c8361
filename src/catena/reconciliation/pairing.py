"""Ways to put two sides together: by equal keys, by cut references, by totals; pure and linear.

Invariant: lines come in order of time and no line is taken twice; the same lines always give the
same pairs. Nothing looks at every line of one side for a line of the other.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, TypeVar

from catena.reconciliation.lines import M, Movement

__all__ = ["Part", "are_near", "net_out", "pair_cut", "pair_equal", "split_by_sums", "sum_amounts"]

A = TypeVar("A", bound=Movement)
B = TypeVar("B", bound=Movement)

_LAST: Final = "\U0010ffff"


class Part(NamedTuple):
    """How many lines from the front of either side are the next to have one total."""

    ours: int
    theirs: int


def pair_equal(
    ours: Iterable[A],
    theirs: Iterable[B],
    key_of_ours: Callable[[A], Hashable | None],
    key_of_theirs: Callable[[B], Hashable | None],
    window: dt.timedelta | None,
) -> Iterator[tuple[A, B]]:
    """Lines of the same key, currency and amount, the earlier with the earlier.

    No further apart than the window (None: however far). Lines whose key is None stay alone.
    """
    waiting: dict[tuple[Hashable, str, int], list[A]] = {}
    for ours_line in ours:
        key = key_of_ours(ours_line)
        if key is not None:
            full = (key, ours_line.currency, ours_line.amount)
            waiting.setdefault(full, []).append(ours_line)
    asked: dict[tuple[Hashable, str, int], list[B]] = {}
    for line in theirs:
        key = key_of_theirs(line)
        if key is not None:
            full = (key, line.currency, line.amount)
            if full in waiting:
                asked.setdefault(full, []).append(line)
    for full, lines in asked.items():
        candidates = waiting[full]
        if len(lines) > 1 or len(candidates) > 1:
            yield from _pair_in_order(candidates, lines, window)
        elif window is None or -window <= candidates[0].at - lines[0].at <= window:
            yield candidates[0], lines[0]


def _pair_in_order(
    ours: Sequence[A], theirs: Sequence[B], window: dt.timedelta | None
) -> Iterator[tuple[A, B]]:
    """As many pairs within the window as there can be, for lines in order of time."""
    if window is None:
        yield from zip(ours, theirs, strict=False)
        return
    first = second = 0
    while first < len(ours) and second < len(theirs):
        gap = ours[first].at - theirs[second].at
        if gap > window:
            second += 1
        elif -gap > window:
            first += 1
        else:
            yield ours[first], theirs[second]
            first += 1
            second += 1


def pair_cut(
    short: Iterable[tuple[str, A]],
    long: Iterable[tuple[str, B]],
    least: int,
    window: dt.timedelta,
) -> Iterator[tuple[A, B]]:
    """Lines of the same currency and amount where the short key is the beginning of the long one.

    Keys of `short` with fewer than `least` characters are not looked at. The longest go first: they
    say the most. Work: the lines, times the length of the longest key at worst.
    """
    shelves: dict[tuple[str, int, str], list[tuple[str, B]]] = defaultdict(list)
    for key, line in long:
        shelves[line.currency, line.amount, key[:least]].append((key, line))
    asked: dict[tuple[str, int, str], dict[str, list[A]]] = defaultdict(lambda: defaultdict(list))
    for key, ours_line in short:
        shelf = (ours_line.currency, ours_line.amount, key[:least])
        if len(key) >= least and shelf in shelves:
            asked[shelf][key].append(ours_line)
    for shelf, lines_by_key in asked.items():
        candidates = sorted(shelves[shelf], key=lambda pair: pair[0])
        keys = [key for key, _ in candidates]
        taken: set[str] = set()
        for key in sorted(lines_by_key, key=lambda key: (-len(key), key)):
            found = candidates[bisect_left(keys, key) : bisect_right(keys, key + _LAST)]
            free = [line for _, line in found if line.id not in taken]
            free.sort(key=lambda line: (line.at, line.id))
            for pair in _pair_in_order(lines_by_key[key], free, window):
                taken.add(pair[1].id)
                yield pair


def net_out(lines: Iterable[M]) -> Iterator[tuple[M, M]]:
    """Lines of one currency that take each other back: what came in with what went out again."""
    sides: dict[int, list[M]] = defaultdict(list)
    for line in lines:
        sides[line.amount].append(line)
    for amount, came in sides.items():
        if amount > 0:
            yield from zip(came, sides.get(-amount, ()), strict=False)


def split_by_sums(ours: Sequence[A], theirs: Sequence[B]) -> list[Part]:
    """Where the two sides, each in order of time and in one currency, come to the same total.

    Part by part from the front, none of which comes to nothing; what is left over behind the last
    part comes to different totals.
    """
    places: dict[int, list[int]] = defaultdict(list)
    for place, total in enumerate(accumulate(line.amount for line in ours)):
        places[total].append(place)
    parts: list[Part] = []
    our_end = their_end = before = 0
    for place, total in enumerate(accumulate(line.amount for line in theirs)):
        reached = places.get(total)
        if reached is not None and total != before:
            later = bisect_left(reached, our_end)
            if later < len(reached):
                parts.append(Part(reached[later] + 1 - our_end, place + 1 - their_end))
                our_end, their_end, before = reached[later] + 1, place + 1, total
    return parts


def sum_amounts(lines: Iterable[Movement]) -> int:
    """Their total in minor units; of lines in one currency."""
    return sum(line.amount for line in lines)


def are_near(ours: Sequence[Movement], theirs: Sequence[Movement], window: dt.timedelta) -> bool:
    """Whether no line of either side is further from any of the other than the window."""
    latest_of_ours = max(line.at for line in ours)
    latest_of_theirs = max(line.at for line in theirs)
    earliest_of_ours = min(line.at for line in ours)
    earliest_of_theirs = min(line.at for line in theirs)
    gap = max(latest_of_ours - earliest_of_theirs, latest_of_theirs - earliest_of_ours)
    return gap <= window
