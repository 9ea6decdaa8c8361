"""The entries that docs/guides/bank.md draws are those that each path posts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tests.flows.bank.double import CLOSED, OTHER
from tests.flows.bank.running import Payer
from tests.flows.gateways import find_out
from tests.stories.drawn import list_entries, read_drawn, read_rows
from tests.tidy.rules import REPO

PAGE: Final = REPO / "docs" / "guides" / "bank.md"
FEE: Final = [{"type": "fixed", "name": "ours", "amount": 100}]


def pay(payer: Payer, wallet: str, iban: str = OTHER) -> str:
    """20.00 and a fee of 1.00; what the bank takes is booked. Gives the EndToEndId."""
    payout = payer.pay(wallet, 2000, iban, fees=FEE)
    name = payer.until_sent(payout)
    if name in payer.bank.payments:
        payer.bank.book(name)
    payer.until(payout)
    return name


def give_back(payer: Payer, wallet: str) -> None:
    """What was paid comes back, less 0.35 that a bank on the way has kept."""
    payer.bank.give_back(pay(payer, wallet), 1965)


def credit_by_reference(payer: Payer, wallet: str) -> None:
    """50.00 that name their wallet."""
    made = payer.service.make("/v1/deposit_references", {"account_id": wallet})
    payer.bank.credit(5000, f"NAMED-{wallet}", text=made["reference"])


def assign(payer: Payer, wallet: str, amount: int) -> None:
    """What is in suspense is the wallet's."""
    found = find_out(lambda: [it for it in payer.suspense() if it["amount"] == amount], bool)
    find_out(lambda: payer.posted("holding"), lambda left: left == 0)
    body = {"account_id": wallet, "reason": "A person knows"}
    assert payer.service.post(f"/v1/suspense/{found[0]['id']}/assign", body).status_code == 201


def credit_nobody(payer: Payer, wallet: str) -> None:
    """50.00 that name nobody; then a person does."""
    payer.bank.credit(5000, f"NOBODY-{wallet}", text="hello")
    assign(payer, wallet, 5000)


def take_back(payer: Payer, wallet: str) -> None:
    """The bank takes 50.00 back; a person knows whose they were."""
    payer.bank.take_back(5000, f"BACK-{wallet}")
    assign(payer, wallet, -5000)


PATHS: dict[str, Callable[[Payer, str], object]] = {
    "Payout": pay,
    "Payout, rejected": lambda payer, wallet: pay(payer, wallet, CLOSED),
    "Payout that is returned": give_back,
    "Credit that names its wallet": credit_by_reference,
    "Credit that names nobody": credit_nobody,
    "Credit that the bank takes back": take_back,
}


def test_every_path_is_drawn() -> None:
    """What the page draws is what is played here, and no more."""
    assert read_drawn(PAGE).keys() == PATHS.keys()


@pytest.mark.parametrize("path", PATHS)
def test_a_path_posts_what_is_drawn(payer: Payer, path: str) -> None:
    """The same entries in the same order, and nothing is left in holding."""
    wallet, drawn = payer.funded(10_000), read_drawn(PAGE)[path]
    before = list_entries(payer.service)
    PATHS[path](payer, wallet)
    found = find_out(lambda: read_rows(payer.service, before), lambda rows: len(rows) >= len(drawn))
    assert found == drawn
    find_out(lambda: payer.posted("holding"), lambda left: left == 0)
