"""Ledger steps as entries: what a step's inputs mean, once they are values.

Invariant: the same drafts as the everyday operations make (`ledger.operations`), so each balances.
Raises InvalidInput's kin for values that mean nothing; whether it can be posted is for the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from catena.errors import InvalidInput
from catena.ids import ACCOUNT, is_id
from catena.ledger.accounts import Side, SystemRole, parse_role, system_account_id
from catena.ledger.entries import Draft, EntryType, Line
from catena.ledger.exchange import quote, quote_destination
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
from catena.liens.pool import Spending
from catena.money import ISO_CURRENCIES, Currency, Rounding, define_asset, iso_currency, parse_rate
from catena.settings import LIMITS

__all__ = ["WORDS", "Assets", "build_draft", "read_fees", "results_of", "spending_of"]

Inputs = Mapping[str, Any]
Assets = Mapping[str, int]
"""Exponents of the assets that a ledger has registered, by code."""


def build_draft(type: str, inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    """The entry that a ledger step posts; a capture's lien's account is its `source_account_id`.

    Raises InvalidInput, InvalidFee, InvalidRate, InvalidAmount or UnknownCurrency.
    """
    try:
        draft = _BUILDERS[type](inputs, ledger_id, assets)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ):  # constants, and what expressions gave
        raise InvalidInput("The step's inputs are not of the shape that its type takes.") from None
    if WORDS.isdisjoint(inputs):
        return draft
    metadata = inputs.get("metadata")
    return draft._replace(
        description=inputs.get("description"),
        reference=inputs.get("reference"),
        metadata=json.dumps(metadata, separators=(",", ":")) if metadata else None,
    )


WORDS: Final = frozenset({"description", "reference", "metadata"})
"""Inputs that move nothing."""


def spending_of(type: str, inputs: Inputs, lien: str | None) -> Spending:
    """How the step spends. `lien`: the id of the one that its input names."""
    if type == "capture":
        return Spending(lien, lien_only=True, keeps=False)
    return Spending(lien, pool_only=bool(inputs.get("pool_only")))


def results_of(type: str, inputs: Inputs, draft: Draft) -> dict[str, Any]:
    """What the steps that follow may ask of it."""
    if type == "exchange":
        exchanged = json.loads(draft.details or "{}")["exchange"]
        return {
            "source_amount": exchanged["source"]["amount"],
            "destination_amount": exchanged["destination"]["amount"],
        }
    if type == "refund":
        return {"amount": inputs["amount"]}
    if "amount" in inputs:
        return {"amount": inputs["amount"], "currency": draft.lines[0].currency}
    return {}


def find_currency(code: str, assets: Assets) -> Currency:
    """The currency with this code. Raises UnknownCurrency."""
    if code in ISO_CURRENCIES or code not in assets:
        return iso_currency(code)
    return define_asset(code, assets[code])


def _build_transfer(inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    currency = find_currency(inputs["currency"], assets)
    source, destination = inputs["source_account_id"], inputs["destination_account_id"]
    if source == destination:
        raise InvalidInput("Source and destination must differ.")
    fees = _charge(inputs, currency, PaidBy.SOURCE)
    return draft_transfer(ledger_id, source, destination, inputs["amount"], currency.code, fees)


def _build_deposit(inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    currency = find_currency(inputs["currency"], assets)
    fees = _charge(inputs, currency, PaidBy.DESTINATION)
    through = parse_role(inputs.get("through", SystemRole.CLEARING))
    return draft_deposit(
        ledger_id, inputs["account_id"], inputs["amount"], currency.code, fees, through=through
    )


def _build_withdrawal(inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    currency = find_currency(inputs["currency"], assets)
    fees = _charge(inputs, currency, PaidBy.SOURCE)
    through = parse_role(inputs.get("through", SystemRole.CLEARING))
    return draft_withdrawal(
        ledger_id, inputs["account_id"], inputs["amount"], currency.code, fees, through=through
    )


def _build_fee(inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    code = find_currency(inputs["currency"], assets).code
    earner = inputs.get("fee_account_id")
    allowed = () if earner else ((SystemRole.FEES, code),)
    earner = earner or system_account_id(ledger_id, SystemRole.FEES, code)
    lines = (
        Line(inputs["account_id"], Side.DEBIT, inputs["amount"], code),
        Line(earner, Side.CREDIT, inputs["amount"], code),
    )
    return Draft(EntryType.FEE, lines, system=allowed)


def _build_exchange(inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    source = find_currency(inputs["source_currency"], assets)
    destination = find_currency(inputs["destination_currency"], assets)
    rate = parse_rate(inputs["rate"])
    match inputs.get("source_amount"), inputs.get("destination_amount"):
        case int(amount), None:
            quoted = quote(amount, source, destination, rate)
        case None, int(amount):
            quoted = quote_destination(amount, source, destination, rate)
        case _:
            raise InvalidInput("An exchange fixes one amount: of the source or the destination.")
    return draft_exchange(
        ledger_id, inputs["source_account_id"], inputs["destination_account_id"], quoted
    )


def _build_entry(inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    rows = inputs["lines"]
    if len(rows) > LIMITS.entry_lines:
        raise InvalidInput(f"An entry has {LIMITS.entry_lines} lines at most.")
    lines = [_read_line(line, ledger_id, assets) for line in rows]
    roles = dict.fromkeys((row["role"], row["currency"]) for row in rows if row.get("role"))
    type = EntryType(inputs.get("entry_type", EntryType.ADJUSTMENT))
    return Draft(type, lines, system=tuple(roles), free=True)


def _read_line(row: Inputs, ledger_id: str, assets: Assets) -> Line:
    """A line; its account is named by its id or, one of the platform's, by its role."""
    amount, currency = row["amount"], row["currency"]
    if type(amount) is not int or not isinstance(currency, str):
        raise InvalidInput("A line has a whole amount and a currency's code.")
    code = find_currency(currency, assets).code
    if row.get("role"):
        account = system_account_id(ledger_id, parse_role(row["role"]), code)
    else:
        account = row["account_id"]
    if not is_id(ACCOUNT, account):
        raise InvalidInput(f"An account's id starts with {ACCOUNT}.")
    return Line(account, Side(row["side"]), amount, code)


def _build_reversal(inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    del ledger_id, assets
    return Draft(EntryType.REVERSAL, (), corrects=inputs["entry_id"], free=True)


def _build_refund(inputs: Inputs, ledger_id: str, assets: Assets) -> Draft:
    del ledger_id, assets
    return Draft(EntryType.REFUND, (), corrects=inputs["entry_id"], free=True)


_BUILDERS: Final[Mapping[str, Callable[[Inputs, str, Assets], Draft]]] = {
    "transfer": _build_transfer,
    "capture": _build_transfer,
    "deposit": _build_deposit,
    "withdrawal": _build_withdrawal,
    "fee": _build_fee,
    "exchange": _build_exchange,
    "entry": _build_entry,
    "reversal": _build_reversal,
    "refund": _build_refund,
}


def _charge(inputs: Inputs, currency: Currency, paid_by: PaidBy) -> Sequence[ChargedFee]:
    fees = inputs.get("fees")
    if not fees:
        return ()
    return compute_fees(inputs["amount"], currency, read_fees(fees, currency, paid_by))


def read_fees(rows: Sequence[Inputs], currency: Currency, paid_by: PaidBy) -> list[Fee]:
    """Fees from their JSON; `paid_by` where one does not say. Raises InvalidFee's kin."""
    return [_read_fee(row, currency, paid_by) for row in rows]


def _read_fee(row: Inputs, currency: Currency, paid_by: PaidBy) -> Fee:
    name, account = row["name"], row.get("account_id")
    payer = PaidBy(row.get("paid_by") or paid_by)
    rounding = Rounding(row.get("rounding", Rounding.HALF_EVEN))
    if row["type"] == "fixed":
        return FixedFee(
            name=name, currency=currency, account=account, paid_by=payer, amount=row["amount"]
        )
    if row["type"] == "percentage":
        return PercentageFee(
            name=name,
            currency=currency,
            account=account,
            paid_by=payer,
            rate=parse_rate(row["rate"]),
            rounding=rounding,
            minimum=row.get("minimum") or 0,
            maximum=row.get("maximum"),
        )
    tiers = tuple(
        Tier(tier.get("up_to"), parse_rate(tier["rate"]), tier.get("fixed", 0))
        for tier in row["tiers"]
    )
    return TieredFee(
        name=name,
        currency=currency,
        account=account,
        paid_by=payer,
        tiers=tiers,
        mode=TierMode(row.get("mode", TierMode.GRADUATED)),
        rounding=rounding,
    )
