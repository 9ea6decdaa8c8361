"""Terms: what may be changed about an account, and each reason not to."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from catena.ledger.accounts import Account, AccountStatus, AccountType
from catena.ledger.refusals import Refusal, RefusalCode
from catena.ledger.terms import Profile, TermsChange, change_terms, refuse_change

ACTIVE, FROZEN, BLOCKED, CLOSED = AccountStatus


def make(
    *,
    posted: int = 0,
    reserved: int = 0,
    floor: int | None = 0,
    status: AccountStatus = ACTIVE,
    role: str | None = None,
) -> tuple[Profile, Account]:
    """A wallet in its third revision, as people see it and as decisions read it."""
    type = AccountType.LIABILITY
    profile = Profile("acct_1", type, "USD", role, "ada", None, "{}", status, floor, None, 3)
    account = Account(
        "acct_1", type, "USD", floor=floor, status=status, credits=posted, reserved=reserved
    )
    return profile, account


def refuse(
    profile: Profile, account: Account, revision: int | None = None, **fields: object
) -> str | None:
    """The code with which a change is refused."""
    refusal = refuse_change(TermsChange(revision, fields), profile, account)
    if refusal is None:
        return None
    assert refusal == Refusal(refusal.code, "acct_1")
    return refusal.code.code


@pytest.mark.parametrize(
    ("there", "revision", "fields", "code"),
    [
        (make(),                               3,    {"name": "Ada"},    None),
        (make(),                               None, {"name": "Ada"},    None),
        (make(),                               2,    {"name": "Ada"},    "stale_revision"),
        (make(),                               4,    {"name": "Ada"},    "stale_revision"),
        (make(status=CLOSED),                  3,    {"name": "Ada"},    "account_closed"),
        (make(status=CLOSED),                  3,    {"status": ACTIVE}, "account_closed"),
        (make(status=CLOSED),                  3,    {"status": CLOSED}, "account_closed"),
        (make(status=BLOCKED),                 3,    {"status": ACTIVE}, None),
        (make(status=FROZEN),                  3,    {"status": CLOSED}, None),
        (make(posted=5),                       3,    {"status": FROZEN}, None),
        (make(posted=5),                       3,    {"status": CLOSED}, "account_not_empty"),
        (make(posted=-5, floor=-9),            3,    {"status": CLOSED}, "account_not_empty"),
        (make(posted=0, floor=-9, reserved=1), 3,    {"status": CLOSED}, "account_not_empty"),
        (make(),                               3,    {"status": CLOSED}, None),
        (make(role="clearing", floor=None),    3,    {"status": CLOSED}, "system_account"),
        (make(role="clearing", floor=None),    3,    {"status": FROZEN}, None),
        (make(),                               3,    {"floor": None},    "floor_not_changeable"),
        (make(floor=None),                     3,    {"floor": 0},       "floor_not_changeable"),
        (make(floor=None, posted=-7),          3,    {"floor": None},    None),
        (make(posted=50),                      3,    {"floor": 50},      None),
        (make(posted=50),                      3,    {"floor": 51},      "floor_above_balance"),
        (make(posted=50, reserved=20),         3,    {"floor": 31},      "floor_above_balance"),
        (make(posted=50, reserved=20),         3,    {"floor": 30},      None),
        (make(posted=-20, floor=-30),          3,    {"floor": -20},     None),
        (make(posted=-20, floor=-30),          3,    {"floor": -19},     "floor_above_balance"),
        (make(posted=50),                      3,    {"ceiling": 10},    None),
    ],
)  # fmt: skip
def test_each_reason(
    there: tuple[Profile, Account], revision: int | None, fields: dict[str, Any], code: str | None
) -> None:
    """Each change is made, or refused for its reason."""
    assert refuse(*there, revision, **fields) == code


IN_PRECEDENCE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("stale_revision",       {},                 {"revision": 2}),
    ("account_closed",       {"status": CLOSED}, {}),
    ("account_not_empty",    {"posted": 5},      {"status": CLOSED}),
    ("floor_not_changeable", {},                 {"floor": None}),
    ("floor_above_balance",  {"posted": 5},      {"floor": 6}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pair
        for pair in combinations(IN_PRECEDENCE, 2)
        # Both are about the same field, so they never meet.
        if {pair[0][0], pair[1][0]} != {"floor_not_changeable", "floor_above_balance"}
    ],
    ids=lambda trouble: trouble[0],
)
def test_the_earlier_reason_wins(
    first: tuple[str, dict[str, Any], dict[str, Any]],
    second: tuple[str, dict[str, Any], dict[str, Any]],
) -> None:
    """When two reasons apply, the answer is the one that is declared first."""
    there = make(**(second[1] | first[1]))
    assert refuse(*there, **(second[2] | first[2])) == first[0]
    declared = [code.code for code in RefusalCode]
    assert declared.index(first[0]) < declared.index(second[0])


def test_a_change_makes_the_next_revision() -> None:
    """What is named changes, for people and for decisions; the rest stays."""
    profile, account = make(posted=100)
    fields = {"status": FROZEN, "floor": -5, "ceiling": 900, "name": "Ada", "metadata": '{"a":1}'}
    changed = change_terms(TermsChange(3, dict(fields)), profile, account)
    assert changed == profile._replace(revision=4, **fields)  # type: ignore[arg-type]  # as above
    assert (account.status, account.floor, account.ceiling) == (FROZEN, -5, 900)
    assert account.posted == 100
