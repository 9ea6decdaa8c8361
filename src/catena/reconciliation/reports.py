"""Files of others as statement lines: Stripe's balance report, and a plain CSV for everybody else.

Stripe: "Balance change from activity", itemised (docs.stripe.com/reports/report-types). Plain:
`id,at,subject,amount,currency` and, where there are any, `fee,reference,text,about`, in major
units; `subject` as in the contract. Other columns are passed over. No row is ever passed over.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from catena.errors import CatenaError, InvalidAmount, InvalidInput, UnknownCurrency
from catena.gateways.contract import OF_CHARGES, StatementLine, Subject
from catena.money import ISO_CURRENCIES, Currency
from catena.reconciliation.statements import check_lines
from catena.reconciliation.tables import (
    IMPORT_LIMITS,
    PLAIN,
    Complaints,
    Dialect,
    ImportLimits,
    parse_moment,
    parse_signed,
    read_table,
)

__all__ = ["Reading", "read_plain", "read_stripe"]


class Reading(NamedTuple):
    """How a file is read. `zone`: of moments without an offset. `currencies`: of the ledger."""

    dialect: Dialect = PLAIN
    zone: dt.tzinfo = dt.UTC
    currencies: Mapping[str, Currency] = ISO_CURRENCIES
    limits: ImportLimits = IMPORT_LIMITS

    def find_currency(self, text: str) -> Currency:
        """By its code, in whatever case. Raises UnknownCurrency."""
        try:
            return self.currencies[text.upper()]
        except KeyError:
            raise UnknownCurrency("This currency is not known to the ledger.") from None


_AS_READ: Final = Reading()

_SUBJECTS: Final = {
    "charge": Subject.CHARGE,
    "charge_failure": Subject.CHARGE,
    "partial_capture_reversal": Subject.CAPTURE,
    "refund": Subject.REFUND,
    "refund_failure": Subject.REFUND,
    "dispute": Subject.DISPUTE,
    "dispute_reversal": Subject.DISPUTE,
    "payout": Subject.PAYOUT,
    "payout_reversal": Subject.PAYOUT,
    "topup": Subject.CREDIT,
    "topup_reversal": Subject.CREDIT,
    "fee": Subject.FEE,
    "network_cost": Subject.FEE,
}
"""By Stripe's `reporting_category`. Others (transfers, reserves, adjustments) are taken by sign."""


class _Shape(NamedTuple):
    """What the columns are called that every shape has, and which of the others it must have.

    `at`: the first of them that there is; what ends on _utc is in UTC.
    """

    id: str
    at: tuple[str, ...]
    amount: str
    others: tuple[str, ...]


class _Rows:
    """The rows of a file in one shape. Raises InvalidInput when it lacks columns."""

    def __init__(self, raw: bytes, reading: Reading, shape: _Shape) -> None:
        table = read_table(raw, reading.dialect, reading.limits)
        self.rows = table.rows
        self.reading = reading
        self.shape = shape
        self._places = {name: place for place, name in enumerate(table.names)}
        self.at = next((name for name in shape.at if name in self._places), shape.at[0])
        self.zone = dt.UTC if self.at.endswith("_utc") else reading.zone
        required = (shape.id, self.at, "currency", shape.amount, *shape.others)
        missing = [name for name in required if name not in self._places]
        if missing:
            raise InvalidInput(
                "The file lacks columns: " + ", ".join(missing) + ".",
                fields=[(f"/rows/1/{name}", "This column is missing.") for name in missing],
            )

    def cell(self, row: Sequence[str], name: str) -> str:
        """What stands in a column; nothing when the file does not have it."""
        place = self._places.get(name)
        return "" if place is None else row[place].strip()

    def read(self, row: Sequence[str], subject: Subject | None) -> StatementLine:
        """The line with what every shape has. Raises CatenaError or ValueError."""
        currency = self.reading.find_currency(self.cell(row, "currency"))
        amount = self.parse(self.cell(row, self.shape.amount), currency)
        fee = self.parse(self.cell(row, "fee") or "0", currency)
        net = self.cell(row, "net")
        if net and self.parse(net, currency) != amount - fee:
            raise ValueError(_WRONG_NET)
        return StatementLine(
            self.cell(row, self.shape.id),
            subject or (Subject.CREDIT if amount > 0 else Subject.PAYOUT),
            amount,
            fee,
            currency.code,
            self.cell(row, "reference") or None,
            parse_moment(self.cell(row, self.at), self.zone),
            self.cell(row, "text"),
            self.cell(row, "about") or None,
        )

    def parse(self, text: str, currency: Currency) -> int:
        """An amount in minor units. Raises InvalidAmount."""
        return parse_signed(text, currency, self.reading.dialect.decimal_point)

    def read_all(self, read_row: Callable[[Sequence[str]], StatementLine]) -> list[StatementLine]:
        """Every line. Raises InvalidInput with what is wrong in which row and column."""
        complaints = Complaints(self.reading.limits)
        lines: list[StatementLine] = []
        for number, row in self.rows:
            try:
                lines.append(read_row(row))
            except (CatenaError, ValueError):
                for column, sentence in list(self._find_faults(row)) or _UNREADABLE:
                    complaints.add(number, column, sentence)
        complaints.raise_any()
        numbers = (number for number, _ in self.rows)
        check_lines(lines, self.reading.currencies, self.reading.limits, numbers)
        return lines

    def _find_faults(self, row: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Cell by cell; amounts only when there is a currency to read them in."""
        amounts: dict[str, int] = {}
        if (
            "subject" in self.shape.others
            and self.cell(row, "subject").lower() not in _SUBJECT_NAMES
        ):
            yield "subject", "A subject is one of: " + ", ".join(Subject) + "."
        try:
            parse_moment(self.cell(row, self.at), self.zone)
        except ValueError as error:
            yield self.at, str(error)
        try:
            currency = self.reading.find_currency(self.cell(row, "currency"))
        except UnknownCurrency as error:
            yield "currency", error.detail
            return
        for column in (self.shape.amount, "fee", "net"):
            text = self.cell(row, column)
            if text or column == self.shape.amount:
                try:
                    amounts[column] = self.parse(text, currency)
                except InvalidAmount as error:
                    yield column, error.detail
        if amounts.keys() >= {self.shape.amount, "net"}:
            gross, fee = amounts[self.shape.amount], amounts.get("fee", 0)
            if amounts["net"] != gross - fee:
                yield "net", _WRONG_NET


_WRONG_NET: Final = "The net is not the gross less the fee."
_UNREADABLE: Final = [("", "This row cannot be read.")]
_SUBJECT_NAMES: Final = frozenset(map(str, Subject))


def read_stripe(raw: bytes, reading: Reading = _AS_READ) -> list[StatementLine]:
    """The lines of an itemised "balance change from activity", any of its versions.

    A charge goes by its PaymentIntent, which is what we call it; the rest by `source_id`. Raises
    InvalidInput with what is wrong in which row and column, or PayloadTooLarge.
    """
    others = ("fee", "reporting_category", "source_id")
    at = ("created_utc", "created")
    rows = _Rows(raw, reading, _Shape("balance_transaction_id", at, "gross", others))
    longest = reading.limits.text_characters

    def read_row(row: Sequence[str]) -> StatementLine:
        category = rows.cell(row, "reporting_category")
        subject = _SUBJECTS.get(category)
        reference = rows.cell(row, "source_id")
        charge = rows.cell(row, "payment_intent_id") or rows.cell(row, "charge_id")
        about = charge or None if subject in OF_CHARGES else None
        if subject is Subject.CHARGE:
            reference = charge or reference
        description = rows.cell(row, "description")
        text = f"{category}: {description}"[:longest] if description else category
        return rows.read(row, subject)._replace(reference=reference or None, text=text, about=about)

    return rows.read_all(read_row)


def read_plain(raw: bytes, reading: Reading = _AS_READ) -> list[StatementLine]:
    """The lines of a plain CSV, whose columns the module names.

    Raises InvalidInput with what is wrong in which row and column, or PayloadTooLarge.
    """
    rows = _Rows(raw, reading, _Shape("id", ("at",), "amount", ("subject",)))
    return rows.read_all(lambda row: rows.read(row, Subject(rows.cell(row, "subject").lower())))
