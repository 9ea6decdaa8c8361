"""The entries that docs/guides/gateways.md draws are those that each path posts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from catena.db.embedded import EmbeddedPostgres
from tests.contract import Contract
from tests.flows.gateways import Shop, View, card, find_out, make_database, run_shop, to_bank
from tests.stories.drawn import Row, list_entries, read_drawn, read_rows
from tests.tidy.rules import REPO

PAGE: Final = REPO / "docs" / "guides" / "gateways.md"
pytestmark = pytest.mark.xdist_group("drawn")

FEE: Final = [{"type": "fixed", "name": "ours", "amount": 100}]


class Play:
    """One path, played in the shop; the entries that it posts are read off at its end."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.service = shop.service
        self.alice = shop.service.open_account()
        self.known = list_entries(self.service)

    def begin(self) -> None:
        """What was posted until now is not drawn."""
        self.known = list_entries(self.service)

    def pay_in(self, token: str, *states: str, **more: object) -> View:
        """A deposit of 50.00, once it is in one of these states."""
        made = self.shop.pay_in(self.alice, 5000, card(token), **more)
        return self.shop.until(made, *(states or ("completed",)))

    def refund(self, token: str, state: str = "completed") -> None:
        """A refund of 10.00 of a deposit that is not drawn."""
        deposit = self.pay_in(token)
        self.begin()
        self.shop.until(self.shop.refund(deposit, 1000), state)

    def pay_out(self, account: str, state: str = "completed", amount: int = 2000) -> None:
        """A withdrawal, with a fee of 1.00."""
        made = self.shop.pay_out(self.alice, amount, to_bank(account), fees=FEE)
        self.shop.until(made, state)

    def advance(self, seconds: float) -> None:
        """Set the sandbox's clock on, and let what it tells be done."""
        self.shop.advance(seconds)

    def rows(self) -> list[Row]:
        """The entries that were posted since the beginning, as the page draws them."""
        return read_rows(self.service, self.known)


def capture(play: Play) -> None:
    """30.00 out of 50.00."""
    deposit = play.pay_in("tok_approved", "authorised", capture="manual")
    play.shop.command(deposit, "capture", amount=3000)
    play.shop.until(deposit, "completed")


def credit_early(play: Play, token: str, state: str) -> None:
    """Before the money is there."""
    deposit = play.pay_in(token, "pending", credit="accepted")
    find_out(lambda: play.shop.read(deposit), lambda one: one["gateway_reference"] is not None)
    play.advance(10)
    play.shop.until(deposit, state)


def lose_refund(play: Play) -> None:
    """A refund that the payer's bank sends back."""
    play.refund("tok_refund_fails")
    play.advance(10)


def dispute(play: Play, token: str, left: int = 5000) -> None:
    """A deposit that is disputed, with so much left of it in the wallet."""
    play.pay_in(token)
    if left < 5000:
        play.pay_out("acct_paid", amount=5000 - left - 100)
    play.begin()
    play.advance(20)
    play.advance(20)


def withdraw(play: Play, account: str, state: str = "completed") -> None:
    """A withdrawal of what a deposit has brought."""
    play.pay_in("tok_approved")
    play.begin()
    play.pay_out(account, state)
    play.advance(10)


PATHS: dict[str, Callable[[Play], object]] = {
    "Deposit": lambda play: play.pay_in("tok_approved"),
    "Deposit with a fee": lambda play: play.pay_in("tok_approved", fees=FEE),
    "Early credit": lambda play: credit_early(play, "tok_pending_approved", "completed"),
    "Early credit, and the money never came": lambda play: credit_early(
        play, "tok_pending_declined", "failed"
    ),
    "Manual capture": capture,
    "Refund": lambda play: play.refund("tok_approved"),
    "Refund, refused": lambda play: play.refund("tok_refund_declined", "failed"),
    "Refund that comes back later": lose_refund,
    "Chargeback, lost": lambda play: dispute(play, "tok_dispute_lost"),
    "Chargeback, lost, with 20.00 left": lambda play: dispute(play, "tok_dispute_lost", 2000),
    "Chargeback, won": lambda play: dispute(play, "tok_dispute_won"),
    "Withdrawal": lambda play: withdraw(play, "acct_paid"),
    "Withdrawal, refused": lambda play: withdraw(play, "acct_rejected", "failed"),
    "Payout that comes back later": lambda play: withdraw(play, "acct_fails_after_paid"),
}


@pytest.fixture(scope="module")
def shop(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    contract: Contract,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """A service whose gateway is a sandbox."""
    with (
        make_database(postgres_server, migrated_template) as database,
        run_shop(database, contract, tmp_path_factory.mktemp("drawn")) as shop,
    ):
        yield shop


def test_every_path_is_drawn() -> None:
    """What the page draws is what is played below, and no more."""
    assert read_drawn(PAGE).keys() == PATHS.keys()


@pytest.mark.parametrize("path", PATHS)
def test_a_path_posts_what_is_drawn(shop: Shop, path: str) -> None:
    """The same entries in the same order, and nothing is left in holding."""
    play, drawn = Play(shop), read_drawn(PAGE)[path]
    PATHS[path](play)
    assert find_out(play.rows, lambda rows: len(rows) >= len(drawn)) == drawn
    assert shop.posted("holding") == 0
