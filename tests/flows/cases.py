"""One row of a table of paths: what is asked for, what happens then, and what must come of it.

Amounts in minor units. What the gateway's statement has must be what its clearing account has,
and holding is empty, whatever a row says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chain_bodies import balance
from tests.flows.gateways import Shop, View, card, to_bank

__all__ = ["AMOUNT", "Case", "check_case", "check_counts"]

AMOUNT: Final = 1000

Script = Callable[[Shop, View], object]
"""What happens after it was asked for: told the deposit or withdrawal."""


@dataclass(frozen=True)
class Case:
    """A row. `method`: the magic of the card or account, `more`: what else of it; `terms`: what
    else is asked for. `wallet`: what it has at last, of `funded` before; `counts`: what the sandbox
    did in all for the chain, and for those that followed it.
    """

    name: str
    method: str
    state: str = "completed"
    wallet: int = AMOUNT
    counts: Mapping[str, int] = field(default_factory=lambda: {"charge": 1})
    script: Script | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    terms: Mapping[str, Any] = field(default_factory=dict)
    funded: int = 0
    clearing: int | None = None
    losses: int = 0
    suspense: int = 0
    code: str | None = None


def check_case(shop: Shop, case: Case) -> View:
    """Let a row happen, and check what came of it; gives the deposit or withdrawal at its end."""
    before = shop.books()
    wallet = shop.funded(case.funded)
    ask, means = (shop.pay_out, to_bank) if case.method.startswith("acct_") else (shop.pay_in, card)
    thing = ask(wallet, AMOUNT, means(case.method, **case.more), **case.terms)
    if case.script is not None:
        case.script(shop, thing)
    ended = shop.until(thing)
    assert ended["state"] == case.state, ended
    if case.code is not None:
        assert ended["failure"]["code"] == case.code
    check_counts(shop, case, ended, wallet)
    moved = case.wallet - case.funded if case.clearing is None else case.clearing
    shop.check_since(before, moved, 0, case.losses, case.suspense, moved)
    return ended


def check_counts(shop: Shop, case: Case, thing: View, wallet: str) -> None:
    """The wallet has what it must have, nothing is kept back, and nothing was done twice."""
    assert balance(shop.service, wallet) == (case.wallet, 0)
    assert shop.counts(thing["chain_id"]) == dict(case.counts)
