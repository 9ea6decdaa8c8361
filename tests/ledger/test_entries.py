"""Entries: each reason to refuse one, which of two is told, and what posting does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.ledger.accounts import (
    BALANCE_MAX,
    Account,
    AccountStatus,
    AccountType,
    Side,
    SystemRole,
)
from catena.ledger.entries import (
    EFFECTIVE_AGE_MAX,
    Draft,
    EntryType,
    Line,
    balance_by_currency,
    post_entry,
    refuse_entry,
    unpost_entry,
)
from catena.ledger.refusals import Refusal, RefusalCode

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)
DEBIT, CREDIT = Side.DEBIT, Side.CREDIT


def make_accounts() -> dict[str, Account]:
    """One account for each trouble, all of them wallets in dollars but where the name says else."""
    liability = AccountType.LIABILITY
    accounts = [
        Account("rich", liability, "USD", credits=1000),
        Account("also rich", liability, "USD", credits=1000),
        Account("poor", liability, "USD"),
        Account("credit line", liability, "USD", floor=-50),
        Account("savings", liability, "USD", floor=40, credits=100),
        Account("reserved", liability, "USD", credits=100, reserved=70),
        Account("capped", liability, "USD", ceiling=10),
        Account("full", liability, "USD", credits=BALANCE_MAX, debits=BALANCE_MAX),
        Account("closed", liability, "USD", status=AccountStatus.CLOSED),
        Account("blocked", liability, "USD", status=AccountStatus.BLOCKED, credits=1000),
        Account("frozen", liability, "USD", status=AccountStatus.FROZEN, credits=1000),
        Account("bank", AccountType.ASSET, "USD", debits=100),
        Account("overdrawable", liability, "USD", floor=None),
        Account("euros", liability, "EUR", credits=1000),
        Account("clearing", AccountType.ASSET, "USD", role="clearing", floor=None),
    ]
    return {account.id: account for account in accounts}


def debit(account: str, amount: int, currency: str = "USD") -> Line:
    """A debit line."""
    return Line(account, DEBIT, amount, currency)


def credit(account: str, amount: int, currency: str = "USD") -> Line:
    """A credit line."""
    return Line(account, CREDIT, amount, currency)


def refuse(
    lines: Sequence[Line],
    effective_at: dt.datetime | None = None,
    system: Sequence[tuple[str, str]] = (),
    *,
    free: bool = False,
) -> Refusal | None:
    """What `refuse_entry` says of these lines."""
    draft = Draft(EntryType.ADJUSTMENT, lines, effective_at=effective_at, system=system, free=free)
    return refuse_entry(draft, make_accounts(), NOW)


@pytest.mark.parametrize(
    ("code", "account", "line", "lines"),
    [
        ("unknown_account", "nobody", 1, [debit("rich", 5), credit("nobody", 5)]),
        ("system_account", "clearing", 0, [debit("clearing", 5), credit("rich", 5)]),
        ("account_closed", "closed", None, [debit("rich", 5), credit("closed", 5)]),
        ("account_blocked", "blocked", None, [debit("rich", 5), credit("blocked", 5)]),
        ("account_blocked", "blocked", None, [debit("blocked", 5), credit("rich", 5)]),
        ("account_frozen", "frozen", None, [debit("frozen", 5), credit("rich", 5)]),
        ("currency_mismatch", "euros", 1, [debit("rich", 5), credit("euros", 5)]),
        ("amount_not_positive", "rich", 0, [debit("rich", 0), credit("poor", 0)]),
        ("amount_not_positive", "poor", 1, [debit("rich", 5), credit("poor", -5)]),
        ("too_few_lines", None, None, []),
        ("too_few_lines", None, None, [credit("rich", 5)]),
        ("unbalanced", None, None, [debit("rich", 5), credit("poor", 6)]),
        ("unbalanced", None, None, [debit("rich", 5), credit("euros", 5, "EUR")]),
        ("insufficient_funds", "poor", None, [debit("poor", 1), credit("rich", 1)]),
        ("insufficient_funds", "credit line", None, [debit("credit line", 51), credit("rich", 51)]),
        ("insufficient_funds", "savings", None, [debit("savings", 61), credit("rich", 61)]),
        ("insufficient_funds", "reserved", None, [debit("reserved", 31), credit("rich", 31)]),
        ("insufficient_funds", "bank", None, [credit("bank", 101), debit("rich", 101)]),
        ("above_ceiling", "capped", None, [debit("rich", 11), credit("capped", 11)]),
        ("balance_out_of_range", "full", None, [debit("rich", 1), credit("full", 1)]),
        ("balance_out_of_range", "full", None, [debit("full", 1), credit("full", 1)]),
        (None, None, None, [debit("rich", 1000), credit("poor", 1000)]),
        (None, None, None, [debit("credit line", 50), credit("rich", 50)]),
        (None, None, None, [debit("savings", 60), credit("rich", 60)]),
        (None, None, None, [debit("reserved", 30), credit("rich", 30)]),
        (None, None, None, [credit("bank", 100), debit("rich", 100)]),
        (None, None, None, [debit("overdrawable", 10**18), credit("rich", 10**18)]),
        (None, None, None, [debit("rich", 10), credit("capped", 10)]),
        (None, None, None, [debit("rich", 5), credit("frozen", 5)]),
    ],
)  # fmt: skip
def test_each_reason(
    code: str | None, account: str | None, line: int | None, lines: Sequence[Line]
) -> None:
    """Each reason has its code, and names the account and line that it lies with."""
    refusal = refuse(lines)
    told = refusal and (refusal.code.code, refusal.account, refusal.line)
    assert told == (code and (code, account, line))


@pytest.mark.parametrize(
    ("effective_at", "code"),
    [
        (NOW + TICK, "effective_date_out_of_range"),
        (NOW, None),
        (NOW - EFFECTIVE_AGE_MAX, None),
        (NOW - EFFECTIVE_AGE_MAX - TICK, "effective_date_out_of_range"),
        (None, None),
    ],
)
def test_dates(effective_at: dt.datetime | None, code: str | None) -> None:
    """An entry counts from now or before, and at most ten years before; both ends belong to it."""
    refusal = refuse([debit("rich", 5), credit("poor", 5)], effective_at)
    assert (refusal and refusal.code.code) == code


@pytest.mark.parametrize(
    ("system", "free", "code"),
    [
        ((), False, "system_account"),
        ([(SystemRole.FEES, "USD"), (SystemRole.CLEARING, "EUR")], False, "system_account"),
        ([(SystemRole.FEES, "USD"), (SystemRole.CLEARING, "USD")], False, None),
        ((), True, None),
    ],
)
def test_system_accounts_are_named_by_who_may(
    system: Sequence[tuple[str, str]], *, free: bool, code: str | None
) -> None:
    """A draft names the system accounts that it is allowed; a free entry any that are there."""
    refusal = refuse([debit("clearing", 5), credit("rich", 5)], system=system, free=free)
    assert (refusal and refusal.code.code) == code


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([debit("poor", 9), credit("poor", 9)], None),
        ([debit("poor", 9), credit("poor", 4), credit("rich", 5)], "insufficient_funds"),
        ([debit("frozen", 4), credit("frozen", 9), debit("rich", 5)], None),
        ([debit("frozen", 9), credit("frozen", 4), credit("rich", 5)], "account_frozen"),
        ([credit("capped", 30), debit("capped", 25), debit("rich", 5)], None),
        ([credit("capped", 30), debit("capped", 15), debit("rich", 15)], "above_ceiling"),
    ],
)
def test_floors_and_ceilings_bind_the_net_change(lines: Sequence[Line], code: str | None) -> None:
    """What counts is the entry's net change of an account, not each of its lines."""
    refusal = refuse(lines)
    assert (refusal and refusal.code.code) == code


@pytest.mark.parametrize(
    ("lines", "thawed", "shielded", "code"),
    [
        ([debit("frozen", 5), credit("rich", 5)], ["frozen"], False, None),
        ([debit("frozen", 5), credit("rich", 5)], ["rich"], False, "account_frozen"),
        ([debit("frozen", 5), credit("rich", 5)], [], True, None),
        ([debit("blocked", 5), credit("rich", 5)], ["blocked"], False, "account_blocked"),
        ([debit("blocked", 5), credit("rich", 5)], [], True, None),
        ([debit("rich", 50), credit("capped", 50)], [], True, None),
        ([debit("poor", 5), credit("rich", 5)], ["poor"], True, "insufficient_funds"),
        ([debit("closed", 5), credit("rich", 5)], ["closed"], True, "account_closed"),
    ],
)
def test_what_is_waived_for_a_chain(
    lines: Sequence[Line],
    thawed: Sequence[str],
    shielded: bool,  # noqa: FBT001  # a column of the table
    code: str | None,
) -> None:
    """A freeze where the chain pays from its own pool; past its pivot also blocks and ceilings."""
    draft = Draft(EntryType.ADJUSTMENT, lines)
    refusal = refuse_entry(draft, make_accounts(), NOW, thawed=thawed, shielded=shielded)
    assert (refusal.code.code if refusal else None) == code


def test_what_is_below_its_floor_may_grow() -> None:
    """A floor or ceiling refuses only what leads further away."""
    accounts = {
        "under": Account("under", AccountType.LIABILITY, "USD", floor=100, credits=20),
        "over": Account("over", AccountType.LIABILITY, "USD", ceiling=10, credits=20),
    }
    draft = Draft(EntryType.TRANSFER, [debit("over", 5), credit("under", 5)])
    assert refuse_entry(draft, accounts, NOW) is None
    back = Draft(EntryType.TRANSFER, [debit("under", 5), credit("over", 5)])
    refusal = refuse_entry(back, accounts, NOW)
    assert refusal == Refusal(RefusalCode.INSUFFICIENT_FUNDS, "under")


# --- of two reasons, the earlier ------------------------------------------------------------------


class Trouble(NamedTuple):
    """What gives an entry one reason to be refused, alone or beside another."""

    code: str
    lines: Sequence[Line] = ()
    single: bool = False
    balanced: bool = True
    effective_at: dt.datetime | None = None


IN_PRECEDENCE = [
    Trouble("unknown_account",             [credit("nobody", 5)]),
    Trouble("system_account",              [credit("clearing", 5)]),
    Trouble("account_closed",              [credit("closed", 5)]),
    Trouble("account_blocked",             [credit("blocked", 5)]),
    Trouble("account_frozen",              [debit("frozen", 5)]),
    Trouble("currency_mismatch",           [credit("euros", 5)]),
    Trouble("amount_not_positive",         [credit("also rich", 0)]),
    Trouble("too_few_lines",               single=True),
    Trouble("unbalanced",                  balanced=False),
    Trouble("effective_date_out_of_range", effective_at=NOW + TICK),
    Trouble("insufficient_funds",          [debit("poor", 5)]),
    Trouble("above_ceiling",               [credit("capped", 50)]),
    Trouble("balance_out_of_range",        [credit("full", 5)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    list(combinations(IN_PRECEDENCE, 2)),
    ids=lambda trouble: trouble.code,
)
def test_the_earlier_reason_wins(first: Trouble, second: Trouble) -> None:
    """When two reasons apply, the answer is the one that comes first, whatever their lines."""
    troubles = (first, second)
    for ordered in (troubles, troubles[::-1]):
        lines = [line for trouble in ordered for line in trouble.lines]
        if any(trouble.single for trouble in troubles):
            lines = lines or [credit("rich", 5)]
        else:
            lines += [debit("rich", 2), credit("also rich", 1)]
        if all(trouble.balanced and not trouble.single for trouble in troubles):
            lines.append(credit("rich", balance_by_currency(lines)["USD"]))
            if lines[-1].amount < 0:
                lines[-1] = debit("rich", -lines[-1].amount)
        refusal = refuse(lines, first.effective_at or second.effective_at)
        assert refusal is not None
        assert refusal.code.code == first.code


def test_the_table_is_in_the_documented_order() -> None:
    """The order above is the order in which the codes are declared."""
    declared = [code.code for code in RefusalCode]
    told = [trouble.code for trouble in IN_PRECEDENCE]
    assert told == [code for code in declared if code in told]


def test_codes_are_closed_and_stable() -> None:
    """No code was renamed, moved or lost."""
    assert [code.code for code in RefusalCode] == [
        "reference_conflict",
        "unknown_entry",
        "chain_running",
        "already_reversed",
        "already_refunded",
        "not_refundable",
        "refund_exceeds_entry",
        "correction_too_deep",
        "correction_in_chain",
        "assignment_undone",
        "unknown_account",
        "stale_revision",
        "system_account",
        "account_closed",
        "account_blocked",
        "account_frozen",
        "no_floor",
        "not_reservable",
        "currency_mismatch",
        "amount_not_positive",
        "too_few_lines",
        "unbalanced",
        "effective_date_out_of_range",
        "insufficient_funds",
        "above_ceiling",
        "balance_out_of_range",
        "account_exists",
        "account_not_empty",
        "account_in_use",
        "floor_not_changeable",
        "floor_above_balance",
        "item_not_open",
    ]
    assert all(code.title and code.remedy for code in RefusalCode)


# --- posting --------------------------------------------------------------------------------------


def test_posting_grows_totals_line_by_line() -> None:
    """Each line adds to its account's debits or credits and takes its next number."""
    accounts = make_accounts()
    lines = [debit("rich", 7), credit("poor", 4), credit("poor", 3)]
    after = [
        (account.id, account.debits, account.credits, account.line_count)
        for account in post_entry(lines, accounts)
    ]
    assert after == [("rich", 7, 1000, 1), ("poor", 0, 4, 1), ("poor", 0, 7, 2)]


_lines = st.lists(
    st.builds(
        Line,
        st.sampled_from(["rich", "poor", "bank"]),
        st.sampled_from(Side),
        st.integers(1, 10**6),
        st.just("USD"),
    )
)


@given(before=_lines, lines=_lines)
def test_unposting_takes_back_what_was_posted(before: list[Line], lines: list[Line]) -> None:
    """After `unpost_entry` the accounts are as they were before `post_entry`."""
    accounts = make_accounts()
    list(post_entry(before, accounts))
    totals = {a.id: (a.debits, a.credits, a.line_count) for a in accounts.values()}
    list(post_entry(lines, accounts))
    unpost_entry(lines, accounts)
    assert {a.id: (a.debits, a.credits, a.line_count) for a in accounts.values()} == totals
