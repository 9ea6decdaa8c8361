"""The decisions of the journal, without a database, against the naive ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from catena.ids import LEDGER, derive_id
from catena.journal import LedgerOperation
from catena.ledger.accounts import SystemRole, system_account_id
from tests.properties.comparison import check_answer
from tests.properties.memory import Memory
from tests.properties.naive_ledger import NaiveLedger
from tests.properties.workload import (
    PIECES,
    WishedPiece,
    describe_opening,
    fund_accounts,
    to_operations,
)

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
LEDGER_ID = derive_id(LEDGER, "properties")
DEPTH = 1_000


class PureLedger(RuleBasedStateMachine):
    """Commits of a few pieces each, decided twice."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(LEDGER_ID, NOW)
        self.naive = NaiveLedger(
            lambda role, currency: system_account_id(LEDGER_ID, SystemRole(role), currency), DEPTH
        )

    @initialize(count=st.integers(5, 10))
    def open_accounts(self, count: int) -> None:
        """A ledger has accounts, and most of them have money."""
        self._commit([([describe_opening(LEDGER_ID, number)], True) for number in range(count)])
        self._commit([(fund_accounts(self.naive, LEDGER_ID), False)])

    @rule(wished=st.lists(PIECES, min_size=1, max_size=4))
    def commit(self, wished: Sequence[WishedPiece]) -> None:
        """Some pieces are committed together."""
        ids = {entry.position: id for id, entry in self.memory.entries.items()}
        self._commit(
            [(to_operations(p, self.naive, LEDGER_ID, ids, NOW), p.atomic) for p in wished]
        )

    def _commit(self, pieces: Sequence[tuple[Sequence[LedgerOperation], bool]]) -> None:
        positions = {id: entry.position for id, entry in self.memory.entries.items()}
        expected = self.naive.commit(pieces, NOW, positions.get)
        decided = self.memory.commit(pieces)
        for wanted, decisions in zip(expected, decided, strict=True):
            if isinstance(wanted, tuple):
                assert isinstance(decisions, tuple)
                assert wanted[0] == decisions[0]
                check_answer(self.naive, wanted[1], decisions[1])
            else:
                assert isinstance(decisions, list)
                for answer, decision in zip(wanted, decisions, strict=True):
                    check_answer(self.naive, answer, self.memory.answer(decision))

    @invariant()
    def the_books_agree(self) -> None:
        """Positions, every account's totals and terms, and what is in force are the naive ones."""
        assert self.memory.position == self.naive.position
        assert self.memory.accounts.keys() == self.naive.accounts.keys()
        for id, account in self.naive.accounts.items():
            kept = self.memory.accounts[id]
            assert (kept.debits, kept.credits, kept.line_count) == self.naive.totals(id)
            assert (kept.floor, kept.ceiling) == (account.floor, account.ceiling)
            assert (kept.posted, str(kept.status)) == (self.naive.posted(id), account.status)
            assert account.floor is None or kept.posted >= account.floor
        for entry in self.naive.entries:
            row = self.memory.corrections.get(entry.position, {})
            reversals = [row["reversal"]] if row.get("reversal") else []
            assert reversals == self.naive.reversals(entry.position)
            shares = list(row.get("shares") or [0] * len(entry.lines))
            assert shares == self.naive.given_back(entry.position)


PureLedger.TestCase.settings = settings(
    max_examples=settings().max_examples // 2, stateful_step_count=20
)
TestPureLedger = PureLedger.TestCase
