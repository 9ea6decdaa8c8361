"""What the everyday operations are as entries: which accounts they touch, on which side.

Invariant: each draft balances by construction. Never decides whether it can be posted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from catena.ledger.accounts import Side, SystemRole, system_account_id
from catena.ledger.entries import Draft, EntryType, Line
from catena.ledger.exchange import Quote
from catena.ledger.fees import ChargedFee, PaidBy
from catena.money import format_rate

__all__ = ["draft_deposit", "draft_exchange", "draft_transfer", "draft_withdrawal"]


def draft_transfer(
    ledger_id: str,
    source: str,
    destination: str,
    amount: int,
    currency: str,
    fees: Sequence[ChargedFee] = (),
) -> Draft:
    """Debit source, credit destination: two lines, and one more for each fee."""
    if not fees:
        lines = (
            Line(source, Side.DEBIT, amount, currency),
            Line(destination, Side.CREDIT, amount, currency),
        )
        return Draft(EntryType.TRANSFER, lines)
    return _draft_move(EntryType.TRANSFER, ledger_id, source, destination, amount, currency, fees)


def draft_deposit(
    ledger_id: str,
    wallet: str,
    amount: int,
    currency: str,
    fees: Sequence[ChargedFee] = (),
    *,
    through: str = SystemRole.CLEARING,
) -> Draft:
    """Debit the system account that the money came through, credit the wallet."""
    source = system_account_id(ledger_id, through, currency)
    draft = _draft_move(EntryType.DEPOSIT, ledger_id, source, wallet, amount, currency, fees)
    return _allow(draft, {source: (through, currency)}, named=(wallet,))


def draft_withdrawal(
    ledger_id: str,
    wallet: str,
    amount: int,
    currency: str,
    fees: Sequence[ChargedFee] = (),
    *,
    through: str = SystemRole.CLEARING,
) -> Draft:
    """Debit the wallet, credit the system account that the money leaves through."""
    destination = system_account_id(ledger_id, through, currency)
    draft = _draft_move(
        EntryType.WITHDRAWAL, ledger_id, wallet, destination, amount, currency, fees
    )
    return _allow(draft, {destination: (through, currency)}, named=(wallet,))


def draft_exchange(ledger_id: str, source: str, destination: str, quote: Quote) -> Draft:
    """Four lines through the fx accounts of both currencies; fx keeps what rounding leaves."""
    sold, bought = quote.source.code, quote.destination.code
    fx_sold = system_account_id(ledger_id, SystemRole.FX, sold)
    fx_bought = system_account_id(ledger_id, SystemRole.FX, bought)
    lines = (
        Line(source, Side.DEBIT, quote.source_amount, sold),
        Line(fx_sold, Side.CREDIT, quote.source_amount, sold),
        Line(fx_bought, Side.DEBIT, quote.destination_amount, bought),
        Line(destination, Side.CREDIT, quote.destination_amount, bought),
    )
    details = {
        "exchange": {
            "rate": format_rate(quote.rate),
            "source": {"amount": quote.source_amount, "currency": sold},
            "destination": {"amount": quote.destination_amount, "currency": bought},
        }
    }
    draft = Draft(EntryType.EXCHANGE, lines, details=json.dumps(details, separators=(",", ":")))
    fx = {fx_sold: (SystemRole.FX, sold), fx_bought: (SystemRole.FX, bought)}
    return _allow(draft, fx, named=(source, destination))


def _allow(draft: Draft, system: Mapping[str, tuple[str, str]], named: Sequence[str]) -> Draft:
    """Let the draft name these system accounts, by id, too.

    Not one that the caller `named` as its own side: it has no floor, so that would make money.
    """
    allowed = [account for id, account in system.items() if id not in named]
    return draft._replace(system=(*(draft.system), *allowed))


def _draft_move(  # what a movement is made of
    type: EntryType,
    ledger_id: str,
    source: str,
    destination: str,
    amount: int,
    currency: str,
    fees: Sequence[ChargedFee],
) -> Draft:
    """Source pays the amount and its fees; destination gets the amount less its fees."""
    on_top = sum(fee.amount for fee in fees if fee.paid_by is PaidBy.SOURCE)
    deducted = sum(fee.amount for fee in fees if fee.paid_by is PaidBy.DESTINATION)
    earner = system_account_id(ledger_id, SystemRole.FEES, currency)
    lines = [Line(source, Side.DEBIT, amount + on_top, currency)]
    if amount > deducted:
        lines.append(Line(destination, Side.CREDIT, amount - deducted, currency))
    lines.extend(Line(fee.account or earner, Side.CREDIT, fee.amount, currency) for fee in fees)
    details = None
    if fees:
        charged = [
            {
                "name": fee.name,
                "amount": fee.amount,
                "currency": currency,
                "account_id": fee.account or earner,
                "paid_by": fee.paid_by,
            }
            for fee in fees
        ]
        details = json.dumps({"fees": charged}, separators=(",", ":"))
    draft = Draft(type, lines, details=details)
    fees_account = {earner: (SystemRole.FEES, currency)} if fees else {}
    return _allow(draft, fees_account, named=(source, destination))
