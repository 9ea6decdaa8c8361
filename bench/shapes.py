"""The chains that the load creates, as bodies of requests.

Those that move money are for chains.lua: each time they are sent, FROM and TO are random wallets.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.generators import write_list

if TYPE_CHECKING:
    from bench.book import Book

__all__ = [
    "SIGNAL",
    "call_partner",
    "five_steps",
    "long_chain",
    "wait_then_call",
    "wait_then_pay",
    "write_template",
]

SIGNAL: Final = "approval"
"""What chains that wait are told by."""

_FROM: Final = "{from}"
_TO: Final = "{to}"
_CURRENCY: Final = "USD"
_DAY_SECONDS: Final = 86_400

Body = dict[str, Any]


def five_steps(book: Book) -> Body:
    """A transfer, a fee, two liens, and a transfer out of one of them."""
    return {
        "steps": [
            _transfer("pay", _FROM, _TO, 100),
            _step("charge", "fee", account_id=_FROM, amount=5, fee_account_id=book.fees),
            _reserve("keep", _FROM, 50),
            _reserve("keep_more", _TO, 20),
            _transfer("settle", _FROM, _TO, 50, lien="keep"),
        ]
    }


def wait_then_pay() -> Body:
    """A transfer that somebody must approve within a day."""
    steps = [_wait(), _transfer("pay", _FROM, _TO, 100)]
    return {"timeout_seconds": _DAY_SECONDS, "steps": steps}


def call_partner(url: str) -> Body:
    """One call of the partner, which a refund would undo."""
    return {"steps": [_call(url)]}


def wait_then_call(url: str) -> Body:
    """The same, once it has been approved."""
    return {"steps": [_wait(), _call(url)]}


def long_chain(book: Book, steps: int, dice: random.Random) -> Body:
    """So many steps of all kinds that move or keep money, between random wallets."""
    made: list[Body] = []
    while len(made) < steps:
        source, destination = dice.sample(book.wallets, 2)
        number, kind = len(made), len(made) % 5
        match kind:
            case 1:
                fields = {"account_id": source, "amount": 5, "fee_account_id": book.fees}
                made.append(_step(f"s{number}", "fee", **fields))
            case 2 | 3:
                made.append(_reserve(f"s{number}", source, 50))
            case _:
                made.append(_transfer(f"s{number}", source, destination, 100))
    return {"steps": made}


def _step(name: str, type: str, **inputs: object) -> Body:
    return {"name": name, "type": type, "inputs": {"currency": _CURRENCY, **inputs}}


def _transfer(name: str, source: str, destination: str, amount: int, **more: object) -> Body:
    accounts = {"source_account_id": source, "destination_account_id": destination}
    return _step(name, "transfer", **accounts, amount=amount, **more)


def _reserve(name: str, account: str, amount: int) -> Body:
    return _step(name, "lien.reserve", account_id=account, amount=amount)


def _wait() -> Body:
    return {"name": SIGNAL, "type": "wait"}


def _call(url: str) -> Body:
    order = {"amount": "1000", "currency": "EUR", "reference": "an order of ours"}
    undo = {"url": f"{url}/undo"}
    inputs = {"url": url, "body": order}
    return {"name": "payout", "type": "http", "inputs": inputs, "compensation": undo}


def write_template(path: Path, body: Mapping[str, Any], wallets: Sequence[str]) -> Path:
    """The list that chains.lua reads."""
    return write_list(path, [json.dumps(body), *wallets])
