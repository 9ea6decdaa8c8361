"""Statement lines as they come in, whoever read them: checked, and taken in once each.

Invariant: a line that is taken in has an id of its own, whole amounts and a moment in UTC; a line
that was there before is never taken in again, and one that has changed in more than its text is
never passed over.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final, NamedTuple

from catena.errors import Conflict
from catena.gateways.contract import StatementLine
from catena.money import MAX_AMOUNT_MINOR, Currency
from catena.reconciliation.tables import IMPORT_LIMITS, Complaints, ImportLimits

__all__ = ["Intake", "check_lines", "sort_out"]


class Intake(NamedTuple):
    """Lines to be stored, and how many were there before."""

    fresh: tuple[StatementLine, ...]
    repeated: int


def check_lines(
    lines: Iterable[StatementLine],
    currencies: Mapping[str, Currency],
    limits: ImportLimits = IMPORT_LIMITS,
    numbers: Iterable[int] | None = None,
) -> None:
    """Raise InvalidInput for lines that cannot be stored.

    `numbers`: the rows that they stood in; without them they are counted from 1.
    """
    complaints = Complaints(limits)
    for number, line in zip(count(1) if numbers is None else numbers, lines, strict=False):
        for column, sentence in _find_faults(line, currencies, limits):
            complaints.add(number, column, sentence)
    complaints.raise_any()


def _find_faults(
    line: StatementLine, currencies: Mapping[str, Currency], limits: ImportLimits
) -> Iterable[tuple[str, str]]:
    longest = limits.reference_characters
    if not 0 < len(line.id) <= longest:
        yield "id", f"An id has 1 to {longest} characters."
    for column, name in (("reference", line.reference), ("about", line.about)):
        if name is not None and len(name) > longest:
            yield column, f"A reference has {longest} characters at most."
    if len(line.text) > limits.text_characters:
        yield "text", f"A text has {limits.text_characters} characters at most."
    if "\0" in line.id or "\0" in line.text or "\0" in f"{line.reference}{line.about}":
        yield "text", "No text has NUL in it."
    if type(line.amount) is not int or abs(line.amount) > MAX_AMOUNT_MINOR:
        yield "amount", _NO_AMOUNT
    if type(line.fee) is not int or abs(line.fee) > MAX_AMOUNT_MINOR:
        yield "fee", _NO_AMOUNT
    if line.currency not in currencies:
        yield "currency", "This currency is not known to the ledger."
    if line.at.tzinfo is not dt.UTC:
        yield "at", "A moment is in UTC."


_NO_AMOUNT: Final = "An amount is a whole number of minor units, of 63 bits and a sign."


def sort_out(lines: Iterable[StatementLine], known: Mapping[str, StatementLine]) -> Intake:
    """Which lines are new to us. `known`: by id, of the same gateway, as far as they occur here.

    Statements overlap, and are sent again. What a line is, all but its text says: that is for
    people, is written anew by some, and stays as it first was. Raises Conflict when one says
    otherwise what a line is: the gateway or the file is wrong, and nothing of it is taken in.
    """
    fresh: dict[str, StatementLine] = {}
    repeated = 0
    changed: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        before = known.get(line.id) or fresh.get(line.id)
        if before is None:
            fresh[line.id] = line
        elif before._replace(text=line.text) == line:
            repeated += 1
        else:
            changed.append(
                (f"/rows/{number}/id", "This line was there before, with other content.")
            )
    if changed:
        raise Conflict(
            f"{len(changed)} lines have the id of other lines. Nothing was taken in.",
            fields=changed[: IMPORT_LIMITS.complaints],
        )
    return Intake(tuple(fresh.values()), repeated)
