"""A report as one page of HTML, to be read and printed: no scripts, nothing from elsewhere.

Invariant: whatever was written by others is escaped; the page says on its first line whether
anything is unexplained.
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from catena.money import Currency, format_amount
from catena.reconciliation.report_csv import name_references
from catena.reconciliation.sentences import ADVICE_ON_FEES, HOW_WORDS, KIND_WORDS, describe
from catena.reconciliation.sheets import Listed, Report, Sheet

__all__ = ["render_html"]

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; margin: 2rem auto; max-width: 75rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { margin-top: 2.5rem; }
h3 { margin: 1.5rem 0 .3rem; font-size: 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #d0d7de; padding: .3rem .6rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; background: #f6f8fa; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.total td { font-weight: 600; border-top: 2px solid #57606a; }
.good { color: #116329; } .bad { color: #a40e26; font-weight: 600; }
.quiet { color: #57606a; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } h2 { break-before: page; }
  h2.first { break-before: auto; } tr { break-inside: avoid; }
  thead { display: table-header-group; } }
"""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""

_Row = Sequence[str]


def render_html(report: Report, currencies: Mapping[str, Currency], rows: int) -> str:
    """The page; `currencies`: those of the ledger, by code. Of each list `rows` at most are shown,
    and how many there are: the CSV has them all.
    """
    title = f"Reconciliation of {report.gateway}, {report.begins:%Y-%m-%d} to {_last_day(report)}"
    made = f"Made on {report.made_at:%Y-%m-%d at %H:%M} UTC. What came in is positive."
    body = [f"<h1>{_escape(title)}</h1>", f'<p class="quiet">{made}</p>', _tell_result(report)]
    for number, sheet in enumerate(report.sheets):
        page = _Page(sheet, currencies[sheet.currency], rows)
        body.append(f"<h2{'' if number else _FIRST}>{_escape(sheet.currency)}</h2>")
        body += page.list_parts()
    return _PAGE.format(title=_escape(title), style=_STYLE, body="\n".join(body))


_FIRST: Final = ' class="first"'


def _last_day(report: Report) -> str:
    return f"{report.until - dt.timedelta(microseconds=1):%Y-%m-%d}"


def _escape(text: str) -> str:
    return html.escape(text)


def _tell_result(report: Report) -> str:
    if report.is_explained:
        return '<p class="good">What is listed below explains every difference.</p>'
    names = ", ".join(sheet.currency for sheet in report.sheets if sheet.unexplained)
    return (
        f'<p class="bad">There are unexplained differences in {_escape(names)}: do not close the'
        " period before they are found.</p>"
    )


class _Page:
    """One sheet as HTML."""

    def __init__(self, sheet: Sheet, currency: Currency, rows: int) -> None:
        self._sheet = sheet
        self._currency = currency
        self._rows = rows

    def _money(self, amount: int) -> str:
        whole, dot, places = format_amount(amount, self._currency).partition(".")
        sign = "\N{MINUS SIGN}" * whole.startswith("-")
        return f"{sign}{int(whole.removeprefix('-')):,}{dot}{places}"

    def list_parts(self) -> Iterator[str]:
        """Balances and movements, what explains the difference, and each list."""
        sheet = self._sheet
        yield from self._list_movements()
        yield from self._list_explanation()
        yield from self._list_matched()
        yield from self._list_fees()
        yield from self._list_findings("Open: somebody has to look at these", sheet.open)
        yield from self._list_findings("In transit: no discrepancies yet", sheet.in_transit)
        yield from self._list_findings("Accepted: these differences stay", sheet.accepted)

    def _list_movements(self) -> Iterator[str]:
        sheet = self._sheet
        opening = self._money(sheet.statement_opening)
        rows = [("Opening balance", "", self._money(sheet.books_opening), "", opening)]
        rows += [
            (f"Our entries: {one.kind}", str(one.lines), self._money(one.amount), "", "")
            for one in sheet.books_moved
        ]
        rows += [
            (f"Statement: {one.kind}", "", "", str(one.lines), self._money(one.amount))
            for one in sheet.statement_moved
        ]
        if sheet.fees_withheld:
            rows.append(("Statement: fees withheld", "", "", "", self._money(-sheet.fees_withheld)))
        total = ("Closing balance", "", self._money(sheet.books_closing), "")
        rows.append((*total, self._money(sheet.statement_closing)))
        names = ("", "entries", "our books", "lines", "statement")
        yield from _make_table("From opening to closing balance", names, rows, 1, total=True)
        gaps = (
            (sheet.books_gap, "Our own closing balance is not the opening balance and the entries"),
            (sheet.statement_gap, "The statement's closing balance is not its opening and lines"),
        )
        for gap, sentence in gaps:
            if gap:
                yield (
                    f'<p class="bad">{sentence}: {self._money(gap)} more. Something is missing'
                    " from what was imported.</p>"
                )

    def _list_explanation(self) -> Iterator[str]:
        sheet = self._sheet
        rows = [("Statement less our books, at the end", "", self._money(sheet.difference))]
        for name, listed in (
            ("open", sheet.open),
            ("in transit", sheet.in_transit),
            ("accepted", sheet.accepted),
        ):
            total = sum(one.difference for one in listed)
            rows.append((f"of which {name}", str(len(listed)), self._money(total)))
        rows.append(("of which fees to be booked", "", self._money(-sheet.fees_to_book)))
        rows.append(("Unexplained", "", self._money(sheet.unexplained)))
        yield from _make_table("The difference", ("", "items", "amount"), rows, 1, total=True)
        if sheet.opening_unexplained:
            amount = self._money(sheet.opening_unexplained)
            yield (
                f'<p class="bad">{amount} of it was there at the beginning: an opening balance is'
                " not right, or earlier lines are missing.</p>"
            )

    def _list_matched(self) -> Iterator[str]:
        rows = [
            (HOW_WORDS[way.how], str(way.our_lines), str(way.their_lines), self._money(way.amount))
            for way in self._sheet.matched
        ]
        names = ("by", "entries", "statement lines", "net amount")
        yield from _make_table("Matched", names, rows, 1)

    def _list_fees(self) -> Iterator[str]:
        sheet = self._sheet
        rows = [
            ("Open from before", self._money(sheet.carried_fees)),
            ("Taken by the gateway", self._money(sheet.fees_taken)),
            ("Booked by us", self._money(-sheet.fees_booked)),
            ("To be booked", self._money(sheet.fees_to_book)),
        ]
        if any((sheet.carried_fees, sheet.fees_taken, sheet.fees_booked)):
            yield from _make_table("Fees", ("", "amount"), rows, 1, total=True)
        if sheet.fees_to_book:
            yield f"<p>{_escape(ADVICE_ON_FEES)}</p>"

    def _list_findings(self, title: str, listed: Sequence[Listed]) -> Iterator[str]:
        rows = [self._list_one(one) for one in listed[: self._rows]]
        names = (
            *("what", "date", "days", "our books", "statement", "difference"),
            *("reference", "what it means, and what to do"),
        )
        yield from _make_table(title, names, rows, 2, 4)
        if len(listed) > len(rows):
            yield f'<p class="quiet">And {len(listed) - len(rows)} more, in the CSV.</p>'

    def _list_one(self, one: Listed) -> _Row:
        sentences = describe(one)
        text = f"{sentences.meaning} {sentences.advice}"
        if one.item:
            text += f" Item {one.item}, {one.state}: {one.reason}"
        return (
            KIND_WORDS[one.finding.kind],
            f"{one.finding.at:%Y-%m-%d}",
            str(one.age_days),
            self._money(one.ours) if one.finding.ours else "",
            self._money(one.theirs) if one.finding.theirs else "",
            self._money(one.difference),
            name_references(one.finding),
            text,
        )


def _make_table(
    title: str,
    names: _Row,
    rows: Sequence[_Row],
    first: int,
    figures: int | None = None,
    *,
    total: bool = False,
) -> Iterator[str]:
    """A table, if it has rows. From the column `first` on are figures, `figures` of them or all."""
    if not rows:
        return
    last = len(names) if figures is None else first + figures
    yield f"<h3>{_escape(title)}</h3>"
    yield "<table><thead>" + _make_row("th", names, first, last, "") + "</thead><tbody>"
    for number, row in enumerate(rows, 1):
        mark = ' class="total"' if total and number == len(rows) else ""
        yield _make_row("td", row, first, last, mark)
    yield "</tbody></table>"


def _make_row(tag: str, cells: Iterable[str], first: int, last: int, mark: str) -> str:
    made = [
        f"<{tag}{_FIGURE if first <= place < last else ''}>{_escape(cell)}</{tag}>"
        for place, cell in enumerate(cells)
    ]
    return f"<tr{mark}>{''.join(made)}</tr>"


_FIGURE: Final = ' class="n"'
