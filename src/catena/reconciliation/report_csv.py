"""A report as one CSV table, for spreadsheets: the figures, then every line that is listed.

Invariant: amounts are decimals of their currency, without grouping; text of others is no formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from catena.money import Currency, format_amount
from catena.reconciliation.findings import Finding
from catena.reconciliation.lines import fold_reference
from catena.reconciliation.sentences import ADVICE_ON_FEES, HOW_WORDS, KIND_WORDS, describe
from catena.reconciliation.sheets import Listed, Report, Sheet
from catena.reconciliation.tables import write_table

__all__ = ["name_references", "render_csv"]

_HEADER: Final = (
    *("gateway", "currency", "section", "what", "lines", "books", "statement", "difference"),
    *(
        "date",
        "age_days",
        "reference",
        "entries",
        "chains",
        "statement_lines",
        "item",
        "state",
        "reason",
    ),
    *("meaning", "what_to_do"),
)
_REFERENCES_SHOWN: Final = 3


def render_csv(report: Report, currencies: Mapping[str, Currency]) -> str:
    """The report; `currencies`: those of the ledger, by code."""
    rows = [list(_HEADER)]
    for sheet in report.sheets:
        rows += _Cells(report.gateway, sheet, currencies[sheet.currency]).list_rows()
    return write_table(rows)


class _Cells:
    """The rows of one sheet."""

    def __init__(self, gateway: str, sheet: Sheet, currency: Currency) -> None:
        self._front = [gateway, sheet.currency]
        self._sheet = sheet
        self._currency = currency

    def _row(
        self,
        section: str,
        what: str,
        lines: str = "",
        books: int | None = None,
        statement: int | None = None,
        difference: int | None = None,
        rest: tuple[str, ...] = (),
    ) -> list[str]:
        amounts = [
            "" if amount is None else format_amount(amount, self._currency)
            for amount in (books, statement, difference)
        ]
        cells = [*self._front, section, what, lines, *amounts, *rest]
        return cells + [""] * (len(_HEADER) - len(cells))

    def list_rows(self) -> Iterator[list[str]]:
        """Figures first, then what is listed."""
        sheet = self._sheet
        yield self._row(
            "balance",
            "opening",
            "",
            sheet.books_opening,
            sheet.statement_opening,
            sheet.statement_opening - sheet.books_opening,
        )
        for one in sheet.books_moved:
            yield self._row("movement", one.kind, str(one.lines), one.amount)
        for one in sheet.statement_moved:
            yield self._row("movement", one.kind, str(one.lines), None, one.amount)
        if sheet.fees_withheld:
            yield self._row("movement", "fees withheld", "", None, -sheet.fees_withheld)
        yield self._row(
            "balance",
            "closing",
            "",
            sheet.books_closing,
            sheet.statement_closing,
            sheet.difference,
        )
        for way in sheet.matched:
            lines = str(way.our_lines + way.their_lines)
            yield self._row("matched", HOW_WORDS[way.how], lines, way.amount, way.amount, 0)
        yield self._row("fees", "open from before", "", None, sheet.carried_fees)
        yield self._row("fees", "taken", "", None, sheet.fees_taken)
        yield self._row("fees", "booked", "", sheet.fees_booked)
        advice = ADVICE_ON_FEES if sheet.fees_to_book else ""
        rest = ("",) * 10 + (advice,)
        yield self._row("fees", "to be booked", "", None, None, -sheet.fees_to_book, rest)
        for section, listed in (
            ("open", sheet.open),
            ("in transit", sheet.in_transit),
            ("accepted", sheet.accepted),
        ):
            for one_listed in listed:
                yield self._list_one(section, one_listed)
        yield self._row("result", "unexplained", "", None, None, sheet.unexplained)

    def _list_one(self, section: str, one: Listed) -> list[str]:
        finding = one.finding
        sentences = describe(one)
        rest = (
            f"{finding.at:%Y-%m-%d}",
            str(one.age_days),
            name_references(finding),
            " ".join(line.entry for line in finding.ours[:_REFERENCES_SHOWN]),
            " ".join(line.chain for line in finding.ours[:_REFERENCES_SHOWN] if line.chain),
            " ".join(line.id for line in finding.theirs[:_REFERENCES_SHOWN]),
            one.item or "",
            one.state or "",
            one.reason,
            *sentences,
        )
        lines = str(len(finding.ours) + len(finding.theirs))
        what = KIND_WORDS[finding.kind]
        return self._row(section, what, lines, one.ours, one.theirs, one.difference, rest)


def name_references(finding: Finding) -> str:
    """The references of its lines, each once; of many the first, and how many more there are."""
    names: dict[str | None, str] = {}
    for line in finding.lines:
        names.setdefault(fold_reference(line.reference), line.reference or "")
    names.pop(None, None)
    more = len(names) - _REFERENCES_SHOWN
    shown = " ".join(list(names.values())[:_REFERENCES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
