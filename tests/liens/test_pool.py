"""A chain's pool: reserving, drawing, proceeds, and each way in which a lien ends."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import pytest

from catena.ledger.accounts import Account, AccountStatus, AccountType, Side
from catena.ledger.corrections import mirror_lines
from catena.ledger.entries import Draft, EntryType, Line, post_entry, refuse_entry
from catena.ledger.refusals import Refusal, RefusalCode
from catena.liens.liens import Lien, LienKind, LienState, OutOfOrder
from catena.liens.pool import Draw, Pool, Posted, Spending
from tests.liens.clock import NOW

DEBIT, CREDIT = Side.DEBIT, Side.CREDIT


class Books:
    """A few accounts and one chain."""

    def __init__(self) -> None:
        liability = AccountType.LIABILITY
        accounts = [
            Account("ada", liability, "USD", credits=100),
            Account("bob", liability, "USD"),
            Account("line", liability, "USD", floor=-50),
            Account("frozen", liability, "USD", credits=100, status=AccountStatus.FROZEN),
            Account("closed", liability, "USD", status=AccountStatus.CLOSED),
            Account("bank", AccountType.ASSET, "USD", floor=None, debits=200),
            Account("till", AccountType.ASSET, "USD", debits=200),
        ]
        self.accounts = {account.id: account for account in accounts}
        self.pool = Pool()
        self._numbers = count(1)

    def lien(self, account: str, amount: int, kind: LienKind = LienKind.RESERVE) -> Lien:
        """A lien that is declared: "lien 1" and so on."""
        return Lien(f"lien {next(self._numbers)}", "chain", "step", account, kind, amount)

    def reserve(self, account: str, amount: int) -> Refusal | None:
        """Reserve it for the chain."""
        return self.pool.reserve(self.lien(account, amount), self.accounts.get(account))

    def post(
        self, *lines: tuple[str, Side, int], spending: Spending | None = None
    ) -> Posted | Refusal:
        """Post an entry of the chain."""
        draft = Draft(EntryType.TRANSFER, [Line(*line, "USD") for line in lines], free=True)
        return self.pool.post(
            draft,
            self.accounts,
            lambda covered: refuse_entry(draft, self.accounts, NOW, thawed=covered),
            lambda account, amount: self.lien(account, amount, LienKind.PROCEEDS),
            spending or Spending(),
        )

    def pay(
        self, source: str, destination: str, amount: int, spending: Spending | None = None
    ) -> Posted:
        """Post a transfer of the chain that is not refused."""
        lines = (source, DEBIT, amount), (destination, CREDIT, amount)
        posted = self.post(*lines, spending=spending)
        assert isinstance(posted, Posted)
        return posted

    def see(self, account: str) -> tuple[int, int, int | None, int | None]:
        """Posted, reserved, available and what the chain may spend."""
        found = self.accounts[account]
        return found.posted, found.reserved, found.available, self.pool.virtual(found)

    def remaining(self) -> dict[str, int]:
        """What each open lien has."""
        return {lien.id: lien.remaining for lien in self.pool.liens.values() if lien.is_open}


@pytest.fixture
def books() -> Books:
    """Ada has 100, Bob nothing, a credit line of 50."""
    return Books()


def test_a_reservation_is_the_chains_alone(books: Books) -> None:
    """What is reserved nobody else can spend; the chain can."""
    assert books.reserve("ada", 60) is None
    assert books.see("ada") == (100, 60, 40, 100)
    assert books.reserve("line", 50) is None
    assert books.see("line") == (0, 50, 0, 50)
    assert books.see("bank")[2:] == (None, None)


@pytest.mark.parametrize(
    ("account", "amount", "code"),
    [
        ("nobody", 1, RefusalCode.UNKNOWN_ACCOUNT),
        ("frozen", 1, RefusalCode.ACCOUNT_FROZEN),
        ("closed", 1, RefusalCode.ACCOUNT_CLOSED),
        ("bank", 1, RefusalCode.NO_FLOOR),
        ("till", 1, RefusalCode.NOT_RESERVABLE),
        ("ada", 0, RefusalCode.AMOUNT_NOT_POSITIVE),
        ("ada", 101, RefusalCode.INSUFFICIENT_FUNDS),
        ("line", 51, RefusalCode.INSUFFICIENT_FUNDS),
    ],
)
def test_a_reservation_that_does_not_fit(
    books: Books, account: str, amount: int, code: RefusalCode
) -> None:
    """It is refused at once, and nothing is reserved."""
    assert books.reserve(account, amount) == Refusal(code, account)
    assert books.pool.liens == {}
    assert all(found.reserved == 0 for found in books.accounts.values())


def test_proceeds_are_the_chains_until_its_outcome(books: Books) -> None:
    """A credit inside is spendable inside, and for everyone when the chain has ended."""
    assert books.reserve("ada", 60) is None
    posted = books.pay("ada", "bob", 60)
    assert posted.draws == [Draw("lien 1", 60)]
    assert [(lien.account, lien.amount, lien.kind) for lien in posted.proceeds] == [
        ("bob", 60, LienKind.PROCEEDS)
    ]
    assert books.see("bob") == (60, 60, 0, 60)
    assert books.pool.liens["lien 1"].state is LienState.UTILIZED
    books.pay("bob", "bank", 20)
    assert books.see("bob") == (40, 40, 0, 40)
    books.pool.settle(books.accounts)
    assert books.see("bob") == (40, 0, 40, 40)
    assert {lien.state for lien in books.pool.liens.values()} == {LienState.RELEASED}


def test_what_is_the_receivers_at_once_makes_no_lien(books: Books) -> None:
    """A capture credits without proceeds."""
    assert books.pay("ada", "bob", 60, Spending(keeps=False)).proceeds == []
    assert books.see("bob") == (60, 0, 60, 60)


def test_the_lines_show_the_accounts_after_them(books: Books) -> None:
    """Totals and numbers of lines run through the lines of an entry."""
    posted = books.post(("ada", DEBIT, 30), ("ada", DEBIT, 20), ("bob", CREDIT, 50))
    assert isinstance(posted, Posted)
    shown = [(account.id, account.debits, account.line_count) for account in posted.accounts]
    assert shown == [("ada", 30, 1), ("ada", 50, 2), ("bob", 0, 1)]


def test_draws_go_to_the_named_lien_then_the_oldest_then_what_is_free(books: Books) -> None:
    """The pool is drawn first, and only what it does not cover comes from `available`."""
    for amount in (10, 20, 30):
        assert books.reserve("ada", amount) is None
    posted = books.pay("ada", "bank", 25, Spending(lien="lien 2"))
    assert posted.draws == [Draw("lien 2", 20), Draw("lien 1", 5)]
    assert books.see("ada") == (75, 35, 40, 75)
    posted = books.pay("ada", "bank", 45)
    assert posted.draws == [Draw("lien 1", 5), Draw("lien 3", 30)]
    assert books.see("ada") == (30, 0, 30, 30)


def test_pool_only_spends_nothing_that_is_free(books: Books) -> None:
    """A decrease beyond the pool is refused, and the pool is as it was."""
    assert books.reserve("ada", 60) is None
    lines = ("ada", DEBIT, 61), ("bob", CREDIT, 61)
    refused = books.post(*lines, spending=Spending(pool_only=True))
    assert refused == Refusal(RefusalCode.INSUFFICIENT_FUNDS, "ada")
    assert books.remaining() == {"lien 1": 60}
    assert books.see("ada") == (100, 60, 40, 100)
    books.pay("ada", "bob", 60, Spending(pool_only=True))
    assert books.see("ada") == (40, 0, 40, 40)


def test_lien_only_spends_no_other_lien(books: Books) -> None:
    """A decrease beyond the lien that is named is refused, whatever else the chain has."""
    for amount in (10, 20):
        assert books.reserve("ada", amount) is None
    lines = ("ada", DEBIT, 21), ("bob", CREDIT, 21)
    for lien in ("lien 2", "lien 9", None):
        refused = books.post(*lines, spending=Spending(lien, lien_only=True))
        assert refused == Refusal(RefusalCode.INSUFFICIENT_FUNDS, "ada")
        assert books.see("ada") == (100, 30, 70, 100)
    posted = books.pay("ada", "bob", 20, Spending("lien 2", lien_only=True))
    assert posted.draws == [Draw("lien 2", 20)]
    assert books.see("ada") == (80, 10, 70, 80)


def test_what_the_ledger_refuses_changes_nothing(books: Books) -> None:
    """The draws are taken back; the ledger's own reason is told before any of the pool."""
    assert books.reserve("ada", 60) is None
    lines = ("ada", DEBIT, 70), ("nobody", CREDIT, 70)
    refused = books.post(*lines, spending=Spending(pool_only=True))
    assert refused == Refusal(RefusalCode.UNKNOWN_ACCOUNT, "nobody", 1)
    assert books.remaining() == {"lien 1": 60}
    refused = books.post(("ada", DEBIT, 101), ("bob", CREDIT, 101))
    assert refused == Refusal(RefusalCode.INSUFFICIENT_FUNDS, "ada")
    assert books.see("ada") == (100, 60, 40, 100)


def undo(books: Books, posted: Posted, lines: Iterable[tuple[str, Side, int]]) -> None:
    """Undo a posting as the engine does: its mirror image, and its liens."""
    mirrored = mirror_lines([Line(*line, "USD") for line in lines])
    list(post_entry(mirrored, books.accounts))
    books.pool.undo_post(posted.draws, posted.proceeds, books.accounts)


def test_undo_in_reverse_order_finds_everything(books: Books) -> None:
    """Ada pays Bob, Bob pays the bank: undone, each has what it had, and the liens too."""
    assert books.reserve("ada", 60) is None
    first = books.pay("ada", "bob", 70)
    second = books.pay("bob", "bank", 65)
    undo(books, second, [("bob", DEBIT, 65), ("bank", CREDIT, 65)])
    assert books.see("bob") == (70, 70, 0, 70)
    undo(books, first, [("ada", DEBIT, 70), ("bob", CREDIT, 70)])
    assert books.see("bob") == (0, 0, 0, 0)
    assert books.see("ada") == (100, 60, 40, 100)
    assert books.remaining() == {"lien 1": 60}
    taken = books.pool.liens["lien 2"]
    assert (taken.state, taken.taken_back, taken.remaining) == (LienState.RELEASED, 70, 0)


def test_undo_out_of_order_is_noticed(books: Books) -> None:
    """The first credit cannot be taken back while what was spent of it is not."""
    first = books.pay("ada", "bob", 70)
    books.pay("bob", "bank", 65)
    with pytest.raises(OutOfOrder):
        undo(books, first, [("ada", DEBIT, 70), ("bob", CREDIT, 70)])


@pytest.mark.parametrize("state", [LienState.RELEASED, LienState.EXPIRED])
def test_what_comes_back_to_an_ended_reservation_is_free(books: Books, state: LienState) -> None:
    """Its unused rest ended early; an undo of what was drawn gives to everyone."""
    assert books.reserve("ada", 60) is None
    posted = books.pay("ada", "bank", 20)
    lien = books.pool.liens["lien 1"]
    books.pool.release(lien, books.accounts["ada"], state)
    assert (lien.state, lien.drawn, lien.released) == (state, 20, 40)
    assert books.see("ada") == (80, 0, 80, 80)
    undo(books, posted, [("ada", DEBIT, 20), ("bank", CREDIT, 20)])
    assert (lien.state, lien.drawn, lien.released, lien.remaining) == (state, 0, 60, 0)
    assert books.see("ada") == (100, 0, 100, 100)


def test_settling_ends_what_is_open_and_nothing_twice(books: Books) -> None:
    """A lien that has ended already gives nothing more."""
    assert books.reserve("ada", 60) is None
    assert books.reserve("ada", 10) is None
    books.pool.release(books.pool.liens["lien 1"], books.accounts["ada"])
    books.pool.settle(books.accounts)
    assert books.see("ada") == (100, 0, 100, 100)
    assert [lien.released for lien in books.pool.liens.values()] == [60, 10]


def test_what_has_expired_stays_so(books: Books) -> None:
    """Neither the undo of its step nor the chain's outcome ends a lien once more."""
    assert books.reserve("ada", 60) is None
    lien, ada = books.pool.liens["lien 1"], books.accounts["ada"]
    books.pool.release(lien, ada, LienState.EXPIRED)
    books.pool.release(lien, ada)
    books.pool.settle(books.accounts)
    assert (lien.state, lien.released) == (LienState.EXPIRED, 60)
    assert books.see("ada") == (100, 0, 100, 100)


def test_proceeds_do_not_end_early(books: Books) -> None:
    """A reservation may, while it is open."""
    assert books.reserve("ada", 60) is None
    (proceeds,) = books.pay("ada", "bob", 10).proceeds
    reserved = books.pool.liens["lien 1"]
    assert (reserved.may_end_early, proceeds.may_end_early) == (True, False)
    books.pool.settle(books.accounts)
    assert not reserved.may_end_early
