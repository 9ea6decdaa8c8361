"""Twins whose rules are broken: each is caught by a test of the rules, run on the twin."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.twins.planting import Replacement, planted

ENTRIES, CORRECTIONS = "catena.ledger.entries", "catena.ledger.corrections"
DECIDE, MONEY, TERMS = "catena.journal.decide", "catena.money", "catena.ledger.terms"
OPERATIONS, ACCOUNTS = "catena.ledger.operations", "catena.ledger.accounts"

MACHINE = "tests.properties.test_pure_ledger:PureLedger"
REASONS = "tests.ledger.test_entries:test_each_reason"
NET = "tests.ledger.test_entries:test_floors_and_ceilings_bind_the_net_change"
PRECEDENCE = "tests.ledger.test_entries:test_the_earlier_reason_wins"
PARTS = "tests.ledger.test_corrections:test_refunds_in_parts_add_up_to_every_line"
OUT_OF_ORDER = "tests.ledger.test_corrections:test_refunds_are_undone_out_of_order_and_made_again"
SEQUENCES = "tests.ledger.test_corrections:test_every_sequence_of_corrections"
CHANGES = "tests.ledger.test_terms:test_each_reason"
PLATFORM = "tests.ledger.test_operations:test_a_caller_cannot_act_for_the_platform"
TRANSFERS = "tests.ledger.test_operations:test_a_transfer"


class Twin(NamedTuple):
    """What is wrong with it, the check that notices, and where it differs."""

    wrong: str
    check: str
    where: str
    old: str
    new: str


TWINS = [
    Twin(
        "lets unbalanced entries through",
        REASONS,
        ENTRIES,
        "if any(balance_by_currency(draft.lines).values()):",
        "if False:",
    ),
    Twin(
        "lets reserved money be spent",
        REASONS,
        ENTRIES,
        "posted - account.reserved < floor",
        "posted < floor",
    ),
    Twin(
        "lets an account fall one below its floor",
        REASONS,
        ENTRIES,
        "posted - account.reserved < floor",
        "posted - account.reserved < floor - 1",
    ),
    Twin(
        "holds a ceiling against each line instead of the entry",
        NET,
        ENTRIES,
        "ceiling is not None and posted > ceiling",
        "ceiling is not None and account.posted + max(debits, credits) > ceiling",
    ),
    Twin(
        "lets frozen accounts pay",
        MACHINE,
        ENTRIES,
        "(change < 0 or status is not AccountStatus.FROZEN)",
        "(change > 0 or status is not AccountStatus.FROZEN)",
    ),
    Twin(
        "gives the first reason that it meets",
        PRECEDENCE,
        ENTRIES,
        "min(reasons, key=lambda reason: reason.code.precedence)",
        "reasons[0]",
    ),
    Twin(
        "takes back money but not the line's number",
        MACHINE,
        ENTRIES,
        "account.line_count -= 1",
        "pass",
    ),
    Twin(
        "lets liabilities grow by debits",
        MACHINE,
        ACCOUNTS,
        "in (AccountType.ASSET, AccountType.EXPENSE)",
        "in (AccountType.ASSET, AccountType.EXPENSE, AccountType.LIABILITY)",
    ),
    Twin(
        "does not open an entry when its reversal is undone",
        SEQUENCES,
        CORRECTIONS,
        "correction.set(entry.id if in_force else None, ())",
        "pass",
    ),
    Twin(
        "lets an undone refund return over a reversal",
        SEQUENCES,
        CORRECTIONS,
        "return _refuse_refund_again(corrected, correction, entry) if in_force else None",
        "return None",
    ),
    Twin(
        "counts each refund alone",
        OUT_OF_ORDER,
        CORRECTIONS,
        "sum_refunded(entry, correction.shares) + amount > _entry_amount(entry)",
        "amount > _entry_amount(entry)",
    ),
    Twin(
        "splits each refund as if it were the first",
        PARTS,
        CORRECTIONS,
        "left = [entry.lines[i].amount - before[i] for i in places]",
        "left = [entry.lines[i].amount for i in places]",
    ),
    Twin(
        "loses what rounding leaves over",
        PARTS,
        MONEY,
        "for _ in range(amount - sum(shares)):",
        "for _ in range(amount - sum(shares) - 1):",
    ),
    Twin(
        "opens system accounts for refused entries",
        MACHINE,
        DECIDE,
        "    if isinstance(decision, Refusal):\n        book.drop_unused(draft)",
        "    pass",
    ),
    Twin(
        "closes accounts that hold money",
        CHANGES,
        TERMS,
        "closes and bool(account.posted or account.reserved)",
        "closes and bool(account.reserved)",
    ),
    Twin(
        "lets callers spend what the platform has earned",
        PLATFORM,
        OPERATIONS,
        "for id, account in system.items() if id not in named",
        "for id, account in system.items()",
    ),
    Twin(
        "pays a fee that nobody pays for",
        TRANSFERS,
        OPERATIONS,
        "Line(source, Side.DEBIT, amount + on_top, currency)",
        "Line(source, Side.DEBIT, amount, currency)",
    ),
]


def check(name: str) -> None:
    """Run a state machine, or a test with each row of its table."""
    module, _, member = name.partition(":")
    found: Any = getattr(import_module(module), member)
    if isinstance(found, type):
        run_state_machine_as_test(
            found,
            settings=settings(
                max_examples=100,
                stateful_step_count=15,
                phases=[Phase.generate],
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        return
    for mark in getattr(found, "pytestmark", []):
        names, rows = mark.args
        for row in rows:
            found(**dict(zip(names, row, strict=True))) if isinstance(names, tuple) else found(row)
    if not hasattr(found, "pytestmark"):
        found()


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.wrong)
def test_a_twin_is_caught(twin: Twin) -> None:
    """The check that passes on the real one fails on the twin."""
    with planted([Replacement(twin.where, twin.old, twin.new)]), pytest.raises(AssertionError):
        check(twin.check)


@pytest.mark.parametrize("name", sorted({twin.check for twin in TWINS} - {MACHINE}))
def test_the_checks_pass_on_the_real_one(name: str) -> None:
    """Imported anew without a change, it passes: it is the change that is caught."""
    with planted([]):
        check(name)
