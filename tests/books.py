"""Random books for the checkers: everything that the journal can post, drawn from one seed.

Invariant: the books are written by the journal alone, so they are right unless it is wrong.
The same seed gives the same operations; only the times are the clock's.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from catena.clock import system_clock
from catena.db.installation import Ledger, create_ledger
from catena.db.pool import open_pool
from catena.errors import CatenaError, InvalidAmount, InvalidFee
from catena.ids import ACCOUNT, LEDGER, derive_id
from catena.journal import (
    Answer,
    ChangeAccount,
    Journal,
    OpenAccount,
    Operation,
    Piece,
    PostEntry,
    RefundEntry,
    ReverseEntry,
)
from catena.ledger.accounts import AccountStatus, AccountType, Side
from catena.ledger.entries import Draft, Entry, EntryType, Line
from catena.ledger.exchange import quote
from catena.ledger.fees import (
    ChargedFee,
    Fee,
    FixedFee,
    PaidBy,
    PercentageFee,
    Tier,
    TieredFee,
    TierMode,
    compute_fees,
)
from catena.ledger.operations import (
    draft_deposit,
    draft_exchange,
    draft_transfer,
    draft_withdrawal,
)
from catena.ledger.terms import Profile, TermsChange
from catena.money import Currency, Rate, define_asset, iso_currency
from catena.settings import Settings

if TYPE_CHECKING:
    from catena.db.pool import Pool

__all__ = ["CURRENCIES", "NASTY_TEXTS", "RandomBook", "write_book"]

ASSETS: Final = {"BTC": 8, "PTS2": 0, "WEI": 18}
CURRENCIES: Final[Sequence[Currency]] = (
    *(iso_currency(code) for code in ("USD", "EUR", "GBP", "JPY", "BHD", "KWD", "CLF", "ISK")),
    *(define_asset(code, exponent) for code, exponent in ASSETS.items()),
)

NASTY_TEXTS: Final = (
    "Rent for May",
    'the "quoted" one; and a comment',
    "two\nlines\n2020-01-01 open Assets:Injected",
    "\n2020-01-01 injected\n    asset:x  5 USD\n    asset:y\n",
    "date:2001-01-01, type:A [2001-01-01=2001-01-02]",
    '\\ back\\\\slashes \\n \\" at the end \\',
    "tab\tand\rreturn\u2028and\u0085others\x7f\x1b[0m",
    "   = 5 USD == 5 USD @ 3 EUR ~ | * ! (code) #tag ^link",
    "ünïcödé 支払い 🧾 \u202eright to left",
    "%s {} $1 ' -- /* */",
    "x" * 500,
    ";",
    "",
)

WALLETS_PER_CURRENCY: Final = 12
BATCH: Final = 400


async def write_book(dsn: str, seed: int, entries: int) -> Ledger:
    """Write a random book of at least so many entries to a migrated database, by its service."""
    settings = Settings()
    pool = await open_pool(settings, dsn)
    try:
        book = RandomBook(pool, settings, seed)
        try:
            await book.open()
            await book.write(entries)
        finally:
            await book.journal.close()
        return book.ledger
    finally:
        await pool.close()


def _can_stand_together(operations: Sequence[Operation]) -> bool:
    postings = [not isinstance(operation, ChangeAccount) for operation in operations]
    return len(operations) < 3 and all(postings)


class RandomBook:
    """A ledger that fills itself. `posted` holds what was posted, in order."""

    def __init__(self, pool: Pool, settings: Settings, seed: int) -> None:
        self.pool = pool
        self.journal = Journal(pool, settings, system_clock)
        self.random = random.Random(seed)
        id = derive_id(LEDGER, "random book", seed)
        self.ledger = Ledger(0, id, f"random {seed}", ASSETS, system_clock(), None)
        self.wallets: dict[str, list[str]] = {currency.code: [] for currency in CURRENCIES}
        self.posted: list[Entry] = []
        self._serial = 0
        self._draw = (
            [self._deposit] * 4
            + [self._transfer] * 8
            + [self._withdraw] * 3
            + [self._exchange] * 3
            + [self._adjust] * 2
            + [self._reverse] * 2
            + [self._reverse_reversal] * 2
            + [self._refund] * 3
            + [self._change_account]
        )

    async def open(self) -> None:
        """Create the ledger, with wallets of every currency that have something to spend."""
        async with self.pool.acquire() as connection:
            await create_ledger(connection, self.ledger.id, self.ledger.name, ASSETS)
            number = await connection.fetchval(
                "SELECT ledger_id FROM ledgers WHERE id = $1", self.ledger.id[len(LEDGER) :]
            )
        self.ledger = self.ledger._replace(number=number)
        await self.submit(list(self._open_wallets()), atomic=False)
        first = [
            self._post(draft_deposit(self.ledger.id, wallet, 10 ** (exponent // 2 + 7), code))
            for code, exponent in ((one.code, one.exponent) for one in CURRENCIES)
            for wallet in self.wallets[code]
        ]
        await self.submit(first)

    async def write(self, entries: int) -> None:
        """Post random operations until there are so many entries."""
        while len(self.posted) < entries:
            batches = [[self._next() for _ in range(size)] for size in (1, 2, 1, BATCH)]
            await asyncio.gather(
                *(self.submit(batch, atomic=_can_stand_together(batch)) for batch in batches)
            )

    async def submit(self, operations: Sequence[Operation], *, atomic: bool = True) -> Answer:
        """Submit one piece and wait for its answer; what it posted is remembered."""
        self._serial += 1
        answered: asyncio.Future[Answer | CatenaError] = asyncio.get_running_loop().create_future()
        key = derive_id("", self.ledger.id, self._serial)
        piece = Piece(operations, key=key, payload=key, done=answered.set_result, atomic=atomic)
        self.journal.submit(self.ledger, piece)
        answer = await answered
        if isinstance(answer, CatenaError):
            raise answer
        self.posted.extend(result for result in answer.results if isinstance(result, Entry))
        return answer

    def _next(self) -> Operation:
        return self.random.choice(self._draw)()

    def _open_wallets(self) -> Iterator[OpenAccount]:
        for currency in CURRENCIES:
            for number in range(WALLETS_PER_CURRENCY):
                id = derive_id(ACCOUNT, self.ledger.id, currency.code, number)
                self.wallets[currency.code].append(id)
                yield OpenAccount(
                    Profile(
                        id,
                        AccountType.LIABILITY,
                        currency.code,
                        None,
                        f"user {number}",
                        self.random.choice(NASTY_TEXTS),
                        json.dumps({self.random.choice(NASTY_TEXTS): number}),
                        AccountStatus.ACTIVE,
                        -(10**4) if number == 0 else 0,
                        None,
                        1,
                    )
                )

    def _post(self, draft: Draft) -> PostEntry:
        return PostEntry(self._adorn(draft))

    def _adorn(self, draft: Draft) -> Draft:
        """Sometimes a description, metadata, a reference, or a date in the past."""
        draw = self.random
        changes: dict[str, object] = {}
        if draw.random() < 0.5:
            changes["description"] = draw.choice(NASTY_TEXTS)
        if draw.random() < 0.3:
            changes["metadata"] = json.dumps(
                {draw.choice(NASTY_TEXTS): draw.choice(NASTY_TEXTS), "n": draw.randrange(9)}
            )
        if draw.random() < 0.3:
            reference = f"{draw.choice(NASTY_TEXTS)[:20]} {draw.randrange(10**6)}"
            changes.update(reference=reference, content=derive_id("", reference))
        if draw.random() < 0.3:
            ago = dt.timedelta(days=draw.randrange(3000), seconds=draw.randrange(86400))
            changes["effective_at"] = system_clock() - ago
        return draft._replace(**changes)  # type: ignore[arg-type]  # each of its field's type

    def _pick(self) -> tuple[Currency, str, str, int]:
        """A currency, two wallets of it, and an amount."""
        currency = self.random.choice(CURRENCIES)
        source, destination = self.random.sample(self.wallets[currency.code], 2)
        amount = self.random.randrange(1, 10 ** (currency.exponent // 2 + 5))
        return currency, source, destination, amount

    def _draw_fees(self, amount: int, currency: Currency) -> Sequence[ChargedFee]:
        """Up to three fees of all kinds, as far as the amount can bear them."""
        draw = self.random
        unit = 10**currency.exponent // 4 + 1
        kinds: Sequence[Fee] = (
            FixedFee(name="fixed", currency=currency, amount=draw.randrange(unit)),
            PercentageFee(
                name="share",
                currency=currency,
                rate=Rate(draw.randrange(500), 10_000),
                minimum=1,
                maximum=unit,
                paid_by=PaidBy.DESTINATION,
            ),
            TieredFee(
                name="tiers",
                currency=currency,
                account=self.wallets[currency.code][1],
                tiers=(Tier(100, Rate(1, 100)), Tier(None, Rate(1, 1000), 1)),
                mode=draw.choice(list(TierMode)),
            ),
        )
        try:
            return compute_fees(amount, currency, draw.sample(kinds, draw.randrange(4)))
        except InvalidFee:
            return ()

    def _deposit(self) -> Operation:
        currency, wallet, _, amount = self._pick()
        fees = self._draw_fees(amount, currency)
        return self._post(draft_deposit(self.ledger.id, wallet, amount, currency.code, fees))

    def _transfer(self) -> Operation:
        currency, source, destination, amount = self._pick()
        fees = self._draw_fees(amount, currency)
        return self._post(
            draft_transfer(self.ledger.id, source, destination, amount, currency.code, fees)
        )

    def _withdraw(self) -> Operation:
        currency, wallet, _, amount = self._pick()
        fees = self._draw_fees(amount, currency)
        return self._post(draft_withdrawal(self.ledger.id, wallet, amount, currency.code, fees))

    def _exchange(self) -> Operation:
        currency, source, _, amount = self._pick()
        other, destination, _, worth = self._pick()
        if other == currency:
            return self._exchange()
        # A rate with few digits near what makes the two amounts equal.
        exact = Fraction(worth, 10**other.exponent) / Fraction(amount, 10**currency.exponent)
        rate = Rate(round(exact * 10**9) + 1, 10**9)
        try:
            quoted = quote(amount, currency, other, rate)
        except InvalidAmount:
            return self._exchange()
        return self._post(draft_exchange(self.ledger.id, source, destination, quoted))

    def _adjust(self) -> Operation:
        """A free entry in two currencies that touches one account twice."""
        lines = []
        for _ in range(2):
            currency, source, destination, amount = self._pick()
            code = currency.code
            lines += [
                Line(source, Side.DEBIT, amount, code),
                Line(source, Side.CREDIT, 1, code),
                Line(destination, Side.CREDIT, amount, code),
                Line(destination, Side.DEBIT, 1, code),
            ]
        self.random.shuffle(lines)
        return PostEntry(self._adorn(Draft(EntryType.ADJUSTMENT, lines, free=True)))

    def _reverse(self) -> Operation:
        return self._reverse_one_of(self.posted)

    def _reverse_reversal(self) -> Operation:
        """Often the same few entries again, so that reversals stand on reversals."""
        reversals = [e for e in self.posted[-400:] if e.type is EntryType.REVERSAL]
        return self._reverse_one_of(reversals or self.posted)

    def _reverse_one_of(self, entries: Sequence[Entry]) -> Operation:
        corrects = self.random.choice(entries).id
        return ReverseEntry(self._adorn(Draft(EntryType.REVERSAL, (), corrects=corrects)))

    def _refund(self) -> Operation:
        """A part, or all that is left, often of an entry that was refunded before."""
        entry = self.random.choice(self.posted[-60:])
        amount = self.random.choice((None, entry.lines[0].amount // 3 + 1))
        return RefundEntry(self._adorn(Draft(EntryType.REFUND, (), corrects=entry.id)), amount)

    def _change_account(self) -> Operation:
        _, wallet, _, _ = self._pick()
        fields = self.random.choice(
            (
                {"name": self.random.choice(NASTY_TEXTS)},
                {"metadata": json.dumps({"changed": self.random.choice(NASTY_TEXTS)})},
                {"ceiling": self.random.choice((None, 10**18))},
                {"status": self.random.choice((AccountStatus.FROZEN, AccountStatus.ACTIVE))},
            )
        )
        return ChangeAccount(wallet, TermsChange(None, dict(fields)))
