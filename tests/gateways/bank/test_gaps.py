"""What a statement leaves out is noticed: by balances for certain, by numbers as a hint."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.gateways.bank.camt import Balance, Kind, Statement
from catena.gateways.bank.gaps import Closing, Gap, GapCode, close_statement, find_gaps

AT = dt.datetime(2026, 10, 2, tzinfo=dt.UTC)


def head(
    *balances: tuple[str, int],
    electronic: int | None = 2,
    legal: int | None = None,
    id: str = "S2",
    page: int = 1,
    is_last: bool = True,
    said: int | None = None,
    kind: Kind = Kind.STATEMENT,
    at: dt.datetime = AT,
) -> Statement:
    """A statement's head; balances by code."""
    found = tuple(Balance(code, amount, "EUR", AT.date()) for code, amount in balances)
    return Statement(
        kind,
        "M",
        id,
        page,
        is_last,
        electronic,
        legal,
        at,
        None,
        None,
        is_copy=False,
        account="A",
        currency="EUR",
        balances=found,
        entries_said=said,
    )


BEFORE = close_statement(head(("OPBD", 0), ("CLBD", 100), id="S1", electronic=1))
WHOLE = (("OPBD", 100), ("CLBD", 150))

TABLE: dict[str, tuple[Closing | None, Statement, list[Gap]]] = {
    "whole": (BEFORE, head(*WHOLE), []),
    "the first": (None, head(*WHOLE), []),
    "without numbers": (BEFORE, head(*WHOLE, electronic=None), []),
    "legal numbers": (BEFORE._replace(electronic=None, legal=4), head(*WHOLE, legal=5), []),
    "an entry left out": (
        BEFORE,
        head(("OPBD", 100), ("CLBD", 170)),
        [Gap(GapCode.ENTRIES, 170, 150)],
    ),
    "a statement lost": (
        BEFORE,
        head(("OPBD", 120), ("CLBD", 170), electronic=3),
        [Gap(GapCode.BALANCE, 100, 120), Gap(GapCode.NUMBER, 2, 3)],
    ),
    "a number left out": (BEFORE, head(*WHOLE, electronic=3), [Gap(GapCode.NUMBER, 2, 3)]),
    "an older one": (BEFORE, head(*WHOLE, electronic=1), [Gap(GapCode.NUMBER, 2, 1)]),
    "a new year": (
        BEFORE._replace(electronic=250),
        head(*WHOLE, electronic=1, at=AT.replace(year=2027)),
        [],
    ),
    "no new year": (
        BEFORE._replace(electronic=250),
        head(*WHOLE, electronic=1),
        [Gap(GapCode.NUMBER, 251, 1)],
    ),
    "once more": (BEFORE, head(*WHOLE, id="S1"), [Gap(GapCode.REPEATED)]),
    "a wrong count": (BEFORE, head(*WHOLE, said=2), [Gap(GapCode.COUNT, 2, 1)]),
    "a right count": (BEFORE, head(*WHOLE, said=1), []),
    "a count of all pages": (BEFORE, head(("OPBD", 100), ("ITBD", 150), said=9, is_last=False), []),
    "previous closing": (BEFORE, head(("PRCD", 100), ("CLBD", 150)), []),
    "no opening": (BEFORE, head(("CLBD", 150)), [Gap(GapCode.UNTOLD, None, 150)]),
    "no balance": (BEFORE, head(), [Gap(GapCode.UNTOLD)]),
    "no closing before": (BEFORE._replace(balance=None), head(*WHOLE), []),
    "interim at the end": (
        BEFORE,
        head(("OPBD", 100), ("ITBD", 150)),
        [Gap(GapCode.UNTOLD, 100, None)],
    ),
    "a page between": (
        BEFORE._replace(statement_id="S2", is_last=False),
        head(("ITBD", 100), ("ITBD", 150), page=2, is_last=False),
        [],
    ),
    "the last page": (
        BEFORE._replace(statement_id="S2", is_last=False),
        head(("ITBD", 100), ("CLBD", 150), page=2),
        [],
    ),
    "one balance on a page": (
        BEFORE._replace(statement_id="S2", is_last=False),
        head(("ITBD", 100), page=2, is_last=False),
        [Gap(GapCode.UNTOLD)],
    ),
    "a page lost": (
        BEFORE._replace(statement_id="S2", is_last=False),
        head(("ITBD", 100), ("CLBD", 150), page=3),
        [Gap(GapCode.NUMBER, 2, 3)],
    ),
    "the last page lost": (
        BEFORE._replace(is_last=False),
        head(*WHOLE),
        [Gap(GapCode.NUMBER, 2, 1)],
    ),
    "the first page lost": (
        BEFORE,
        head(("ITBD", 100), ("CLBD", 150), page=2),
        [Gap(GapCode.NUMBER, 2, 2)],
    ),
    "a notification": (BEFORE, head(kind=Kind.NOTIFICATION), []),
}


@pytest.mark.parametrize("name", TABLE)
def test_gaps(name: str) -> None:
    """One entry of 50 cents was read; before it 100 cents stood on the account."""
    before, statement, expected = TABLE[name]
    assert find_gaps(before, statement, 50, 1) == expected


def test_other_currencies_are_left_out() -> None:
    """Only balances in the currency of the first are the account's."""
    statement = head(*WHOLE)
    foreign = Balance("CLBD", 7, "USD", AT.date())
    statement = statement._replace(balances=(*statement.balances, foreign))
    assert find_gaps(BEFORE, statement, 50, 1) == []


def test_what_proves() -> None:
    """Only balances prove that money is missing."""
    assert [code for code in GapCode if Gap(code).is_proof] == [GapCode.ENTRIES, GapCode.BALANCE]
