"""What callers may ask for, drawn by hypothesis, and what it means in a ledger as it stands.

Invariant: a wish is small numbers only, so that it shrinks; it becomes operations when it is its
turn, by what the ledger holds then. Wishes are often impossible: refusals are answers too.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from catena.ids import ACCOUNT, ENTRY, derive_id
from catena.journal import (
    ChangeAccount,
    LedgerOperation,
    OpenAccount,
    PostEntry,
    RefundEntry,
    ReverseEntry,
)
from catena.ledger.accounts import BALANCE_MAX, AccountStatus, AccountType, Side
from catena.ledger.entries import Draft, EntryType, Line
from catena.ledger.exchange import quote
from catena.ledger.fees import ChargedFee, PaidBy
from catena.ledger.operations import (
    draft_deposit,
    draft_exchange,
    draft_transfer,
    draft_withdrawal,
)
from catena.ledger.terms import Profile, TermsChange
from catena.money import MAX_AMOUNT_MINOR, Rate, iso_currency
from tests.properties.naive_ledger import NaiveLedger

__all__ = ["PIECES", "Wish", "WishedPiece", "describe_opening", "fund_accounts", "to_operations"]

CURRENCIES: Final = ("USD", "EUR")
UNKNOWN_ENTRY: Final = f"{ENTRY}{1 << 45:032x}"

UNKNOWN: Final = 23
SYSTEM: Final = 22
_choices = st.integers(0, UNKNOWN)
_amounts = st.one_of(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 2, 3, 100, 1000]),
    st.sampled_from([0, -3, 1000, MAX_AMOUNT_MINOR, BALANCE_MAX, BALANCE_MAX - 5000]),
)


class Wish(NamedTuple):
    """One operation to be: its kind, and small numbers that choose its parts."""

    kind: str
    first: int
    second: int
    amount: int
    adorned: int
    lines: Sequence[tuple[int, bool, int]] = ()


class WishedPiece(NamedTuple):
    """Operations under one key; `again`: the key and payload of an earlier piece, or None."""

    wishes: Sequence[Wish]
    atomic: bool
    again: int | None = None
    other_payload: bool = False


_MONEY: Final = ("deposit", "deposit", "transfer", "transfer", "withdrawal", "exchange", "fees")
_CORRECTIONS: Final = ("reversal", "reversal", "refund", "refund", "refund")
_wishes = st.builds(
    Wish,
    st.sampled_from([*_MONEY, *_CORRECTIONS, "free"]),
    _choices,
    _choices,
    _amounts,
    st.integers(0, 23),
    st.lists(st.tuples(_choices, st.booleans(), _amounts), max_size=4),
)
_terms = st.builds(
    Wish,
    st.sampled_from(["change", "change", "change", "open"]),
    _choices,
    _choices,
    _amounts,
    _choices,
)
_single = st.builds(WishedPiece, st.lists(_wishes, min_size=1, max_size=1), st.just(value=True))
_batch = st.builds(WishedPiece, st.lists(_wishes, min_size=2, max_size=4), st.booleans())
_repeat = st.builds(
    WishedPiece,
    st.lists(_wishes, min_size=1, max_size=3),
    st.booleans(),
    st.integers(0, 5),
    st.sampled_from([False, False, True]),
)
_alone = st.builds(WishedPiece, st.lists(_terms, min_size=1, max_size=1), st.just(value=True))
_mixture = st.builds(
    WishedPiece, st.lists(_terms | _wishes, max_size=4, min_size=2), st.just(value=False)
)
PIECES: Final = st.one_of(_single, _single, _single, _batch, _batch, _repeat, _alone, _mixture)
"""Changes of accounts stand alone or among operations that are each for themselves."""


def describe_opening(ledger_id: str, number: int) -> OpenAccount:
    """The opening of the ledger's account of that number: mostly wallets, of all kinds of terms."""
    floors = (0, 0, 0, -50, None)
    types = (AccountType.LIABILITY, AccountType.LIABILITY, AccountType.LIABILITY, AccountType.ASSET)
    return OpenAccount(
        Profile(
            derive_id(ACCOUNT, ledger_id, number),
            types[number % 4],
            CURRENCIES[number // 4 % 2],
            None,
            f"user {number}",
            None,
            json.dumps({"number": number}),
            AccountStatus.ACTIVE,
            floors[number % 5],
            100 if number % 7 == 6 else None,  # one in seven has a ceiling
            1,
        )
    )


def fund_accounts(ledger: NaiveLedger, ledger_id: str) -> list[LedgerOperation]:
    """An increase of each account; those with a ceiling refuse it."""
    return [
        PostEntry(
            (draft_withdrawal if account.type == AccountType.ASSET else draft_deposit)(
                ledger_id, account.id, 120, account.currency
            )
        )
        for account in ledger.accounts.values()
    ]


def to_operations(
    piece: WishedPiece,
    ledger: NaiveLedger,
    ledger_id: str,
    ids: dict[int, str],
    now: dt.datetime,
    writer: int = 0,
) -> list[LedgerOperation]:
    """What the wishes mean in the ledger as it stands. `ids`: of its entries, by position.

    Each `writer` has references of its own.
    """
    world = _World(ledger, ledger_id, ids, now, writer)
    return [_MAKERS[wish.kind](wish, world) for wish in piece.wishes]


class _World(NamedTuple):
    ledger: NaiveLedger
    ledger_id: str
    ids: dict[int, str]
    now: dt.datetime
    writer: int

    def account(self, number: int, currency: str | None = None) -> str:
        """Mostly a wallet of that currency; seldom a system account or one that is unknown."""
        found = [a for a in self.ledger.accounts.values() if currency in (None, a.currency)]
        wallets = [account.id for account in found if account.role is None]
        system = [account.id for account in found if account.role is not None]
        if number < SYSTEM and wallets:
            return wallets[number % len(wallets)]
        if number == SYSTEM and system:
            return system[-1]
        return derive_id(ACCOUNT, "nobody", number)

    def currency(self, number: int) -> str:
        return CURRENCIES[number % 2]

    def entry(self, number: int) -> str:
        """One of the last entries; seldom one that is not there."""
        last = [self.ids[entry.position] for entry in self.ledger.entries[-6:]]
        return last[-1 - number % len(last)] if last and number < UNKNOWN else UNKNOWN_ENTRY

    def adorn(self, draft: Draft, number: int) -> Draft:
        """Sometimes a reference (often used before), or a date: past, too far past, future."""
        if number in (1, 2, 3, 4):
            content = derive_id("", draft.type, number > 3, draft.corrects)
            return draft._replace(
                reference=f"reference {self.writer} {number % 3}", content=content
            )
        days = {5: -1, 6: -300, 7: -3659, 8: -3661, 9: 1}.get(number % 24)
        if days is not None:
            return draft._replace(effective_at=self.now + dt.timedelta(days=days))
        return draft


def _deposit(wish: Wish, world: _World) -> LedgerOperation:
    currency = world.currency(wish.adorned)
    wallet = world.account(wish.first, currency)
    draft = draft_deposit(world.ledger_id, wallet, wish.amount, currency)
    return PostEntry(world.adorn(draft, wish.second))


def _withdrawal(wish: Wish, world: _World) -> LedgerOperation:
    currency = world.currency(wish.second)
    wallet = world.account(wish.first, currency)
    draft = draft_withdrawal(world.ledger_id, wallet, wish.amount, currency)
    return PostEntry(world.adorn(draft, wish.adorned))


def _transfer(wish: Wish, world: _World) -> LedgerOperation:
    currency = world.currency(wish.adorned // 12)
    source, target = world.account(wish.first, currency), world.account(wish.second, currency)
    draft = draft_transfer(world.ledger_id, source, target, wish.amount, currency)
    return PostEntry(world.adorn(draft, wish.adorned))


def _fees(wish: Wish, world: _World) -> LedgerOperation:
    currency = world.currency(wish.adorned)
    source, target = world.account(wish.first, currency), world.account(wish.second, currency)
    amount = max(2, wish.amount % 1000)
    fees = [
        ChargedFee("on top", 1 + wish.second % 8, None, PaidBy.SOURCE),
        ChargedFee(
            "out of it", amount // 2, target if wish.adorned > 11 else None, PaidBy.DESTINATION
        ),
    ]
    draft = draft_transfer(world.ledger_id, source, target, amount, currency, fees)
    return PostEntry(world.adorn(draft, wish.adorned))


def _exchange(wish: Wish, world: _World) -> LedgerOperation:
    sold, bought = world.currency(wish.adorned), world.currency(wish.adorned + 1)
    source, target = world.account(wish.first, sold), world.account(wish.second, bought)
    amount = max(1, wish.amount % 1000)
    quoted = quote(amount, iso_currency(sold), iso_currency(bought), Rate(13, 10))
    return PostEntry(
        world.adorn(draft_exchange(world.ledger_id, source, target, quoted), wish.adorned)
    )


def _free(wish: Wish, world: _World) -> LedgerOperation:
    """Any lines at all: often neither balanced nor positive, in one currency or two."""
    currency = world.currency(wish.adorned)
    lines = []
    for number, is_debit, amount in wish.lines:
        side = Side.DEBIT if is_debit else Side.CREDIT
        # Usually of the entry's currency, and with a line that balances it.
        account = world.account(number, currency if wish.first % 8 else None)
        lines.append(Line(account, side, amount, currency))
        if wish.adorned % 3:
            other = world.account(wish.second, currency)
            lines.append(Line(other, side.opposite, amount, currency))
    return PostEntry(world.adorn(Draft(EntryType.ADJUSTMENT, lines, free=True), wish.adorned))


def _reversal(wish: Wish, world: _World) -> LedgerOperation:
    draft = Draft(EntryType.REVERSAL, (), corrects=world.entry(wish.first))
    return ReverseEntry(world.adorn(draft, wish.adorned))


def _refund(wish: Wish, world: _World) -> LedgerOperation:
    draft = Draft(EntryType.REFUND, (), corrects=world.entry(wish.first))
    amount = None if wish.second % 4 == 0 or wish.amount > 1000 else wish.amount
    return RefundEntry(world.adorn(draft, wish.adorned), amount)


def _open(wish: Wish, world: _World) -> LedgerOperation:
    known = sum(account.role is None for account in world.ledger.accounts.values())
    return describe_opening(world.ledger_id, known - (wish.first % 4 == 0))


def _change(wish: Wish, world: _World) -> LedgerOperation:
    account = world.account(wish.first)
    known = world.ledger.accounts.get(account)
    revisions = (None, None, known.revision if known else 1, 99)
    fields: tuple[dict[str, Any], ...] = (
        {"status": AccountStatus.FROZEN},
        {"status": AccountStatus.BLOCKED},
        {"status": AccountStatus.ACTIVE},
        {"status": AccountStatus.CLOSED},
        {"floor": -wish.amount},
        {"floor": 20 if wish.adorned > 11 else None},
        {"ceiling": None if wish.adorned > 11 else max(0, wish.amount)},
        {"name": f"name {wish.amount}", "metadata": json.dumps({"amount": wish.amount})},
    )
    return ChangeAccount(
        account, TermsChange(revisions[wish.adorned % 4], fields[wish.second % len(fields)])
    )


_MAKERS: Final[dict[str, Callable[[Wish, _World], LedgerOperation]]] = {
    "deposit": _deposit,
    "withdrawal": _withdrawal,
    "transfer": _transfer,
    "fees": _fees,
    "exchange": _exchange,
    "free": _free,
    "reversal": _reversal,
    "refund": _refund,
    "open": _open,
    "change": _change,
}
