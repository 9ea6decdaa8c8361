"""The report: its figures, its sentences, and the example that is committed."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

import pytest

from catena.gateways.contract import Subject
from catena.ledger.entries import EntryType
from catena.money import ISO_CURRENCIES
from catena.reconciliation.findings import Finding, How, Kind
from catena.reconciliation.lines import BookLine
from catena.reconciliation.matching import Carried, Reconciliation
from catena.reconciliation.report_csv import name_references, render_csv
from catena.reconciliation.report_html import render_html
from catena.reconciliation.sentences import HOW_WORDS, KIND_WORDS, describe
from catena.reconciliation.sheets import Balances, Listed, Report, Sheet, build_report
from catena.reconciliation.work import update_work
from tests.reconciliation import month
from tests.reconciliation.lines import BEGIN, day, ours, run, theirs


def report_on(found: Reconciliation, balances: Balances, carried: Carried = Carried()) -> Report:  # noqa: B008
    """The report on a run, with what it opened."""
    work = update_work([], found, "bank", day(60)).items
    return build_report("bank", BEGIN, carried, found, work, {"EUR": balances}, day(60))


def sheet_of(report: Report) -> Sheet:
    """The one sheet."""
    (sheet,) = report.sheets
    return sheet


@pytest.mark.parametrize("name", ["month.csv", "month.html"])
def test_the_example_is_what_is_made(name: str) -> None:
    """The files in golden/ are what the code makes; `python -m tests.reconciliation.month`."""
    assert month.render()[name] == (month.GOLDEN / name).read_bytes().decode()


def test_the_example_is_explained() -> None:
    """Nothing is unexplained, and there is something of everything."""
    report = month.make_report()
    assert report.is_explained
    listed = [one for sheet in report.sheets for one in (*sheet.open, *sheet.accepted)]
    assert {one.finding.kind for one in listed} >= {
        Kind.MISSING_HERE,
        Kind.MISSING_THERE,
        Kind.DIFFERING_AMOUNT,
    }
    assert any(sheet.accepted for sheet in report.sheets)
    assert any(sheet.in_transit for sheet in report.sheets)
    assert any(sheet.fees_to_book for sheet in report.sheets)
    assert all(sheet.opening_unexplained == 0 for sheet in report.sheets)


class Page(HTMLParser):
    """The tags of a page, and whether they close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        del attrs
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It closes what was opened last."""
        assert self.open.pop() == tag


def test_the_page_is_whole_and_has_no_scripts() -> None:
    """Every tag closes; whatever others wrote is text; nothing is fetched."""
    text = month.render()["month.html"]
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.seen & {"script", "img", "link", "iframe", "a"} == set()
    assert "&lt;script&gt;" in text
    assert "http" not in text.replace("http-equiv", "")


def test_the_table_has_no_formulas() -> None:
    """Every row is as wide as the header, and no text of others is calculated."""
    rows = list(csv.reader(io.StringIO(month.render()["month.csv"], newline="")))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)
    assert any("'=HYPERLINK" in cell for row in rows for cell in row)


def test_a_gap_in_the_statement_is_unexplained() -> None:
    """A closing balance that its lines do not make up is said, in red, and on the first line."""
    found = run([ours("a", "pi_1", 100)], [theirs("x", "pi_1", 100)])
    report = report_on(found, Balances(0, 100, 0, 130))
    sheet = sheet_of(report)
    assert (sheet.unexplained, sheet.statement_gap, sheet.books_gap) == (30, 30, 0)
    text = render_html(report, ISO_CURRENCIES, rows=5)
    assert "unexplained differences in EUR" in text
    assert "The statement&#x27;s closing" in text or "The statement's closing" in text


def test_a_gap_in_our_books_is_unexplained() -> None:
    """So is an entry that was not given to the run, and a difference from before."""
    found = run([ours("a", "pi_1", 100)], [theirs("x", "pi_1", 100)])
    sheet = sheet_of(report_on(found, Balances(0, 90, 5, None)))
    assert (sheet.books_gap, sheet.opening_unexplained) == (-10, 5)
    assert (sheet.statement_closing, sheet.unexplained) == (105, 15)
    text = render_html(report_on(found, Balances(0, 90, 5, None)), ISO_CURRENCIES, rows=5)
    assert "was there at the beginning" in text


def test_lead_in_explains_the_beginning() -> None:
    """What came here before the beginning and there after it is known, and not an error."""
    found = run([ours("a", "pi_1", 100, -1)], [theirs("x", "pi_1", 100, 1)])
    sheet = sheet_of(report_on(found, Balances(100, 100, 0, 100)))
    assert (sheet.opening_explained, sheet.opening_unexplained, sheet.unexplained) == (-100, 0, 0)


def test_long_lists_are_cut_on_the_page_alone() -> None:
    """The page says how many more there are; the table has them all."""
    lines = [theirs(f"x{number}", f"pi_{number}", 100) for number in range(5)]
    report = report_on(run([], lines), Balances(0, 0, 0))
    assert "And 3 more, in the CSV." in render_html(report, ISO_CURRENCIES, rows=2)
    assert render_csv(report, ISO_CURRENCIES).count("EUR,open,") == 5


def test_nothing_happened() -> None:
    """A month without lines has a sheet for each balance, and no lists."""
    report = report_on(run([], []), Balances(7, 7, 7))
    assert sheet_of(report).unexplained == 0
    assert "<h3>Open" not in render_html(report, ISO_CURRENCIES, rows=2)


def list_one(kind: Kind, how: How, ours_amount: int, theirs_amount: int, **more: object) -> Listed:
    """A listed finding of that kind, with those amounts."""
    subject = Subject.DISPUTE if more.get("dispute") else Subject.CHARGE
    here: tuple[BookLine, ...] = ()
    if ours_amount:
        here = (ours("a", "pi_1", ours_amount, type=EntryType.DEPOSIT),)
    there = (theirs("x", "pi_1", theirs_amount, subject=subject),) if theirs_amount else ()
    waits = day(9) if more.get("waits") else None
    return Listed(Finding(kind, how, here, there, waits), ours_amount, theirs_amount, 3)


SENTENCES = [
    (list_one(Kind.MISSING_HERE, How.REPEATED, 0, 5), "once more than our books", "suspense"),
    (list_one(Kind.MISSING_HERE, How.NOTHING, 0, -5, dispute=True), "dispute", "losses"),
    (list_one(Kind.MISSING_HERE, How.NOTHING, 0, 5), "came in", "whose"),
    (list_one(Kind.MISSING_HERE, How.NOTHING, 0, -5), "went out", "who sent"),
    (list_one(Kind.MISSING_THERE, How.REPEATED, 5, 0), "than the statement", "reverse"),
    (list_one(Kind.MISSING_THERE, How.NOTHING, 5, 0), "came in", "write it off"),
    (list_one(Kind.MISSING_THERE, How.NOTHING, -5, 0), "went out", "pay again"),
    (list_one(Kind.DIFFERING_AMOUNT, How.BATCH, -5, -6), "file", "bank"),
    (list_one(Kind.DIFFERING_AMOUNT, How.REFERENCE, 5, 4), "less", "fee"),
    (list_one(Kind.DIFFERING_AMOUNT, How.REFERENCE, 5, 6), "more", "surplus"),
    (list_one(Kind.DIFFERING_CURRENCY, How.REFERENCE, 5, 6), "currencies", "exchange"),
    (list_one(Kind.DIFFERING_DATE, How.REFERENCE, 5, 5), "further apart", "Accept"),
    (list_one(Kind.MISSING_HERE, How.NOTHING, 0, 5, waits=True), "our books may", "Nothing yet"),
    (list_one(Kind.MISSING_THERE, How.NOTHING, 5, 0, waits=True), "the statement", "Nothing yet"),
    (list_one(Kind.DIFFERING_AMOUNT, How.SUM, 5, 4, waits=True), "parts", "Nothing yet"),
]


@pytest.mark.parametrize(("one", "meaning", "advice"), SENTENCES)
def test_sentences(one: Listed, meaning: str, advice: str) -> None:
    """Every kind says what it means and what to do."""
    sentences = describe(one)
    assert meaning in sentences.meaning
    assert advice in sentences.advice


def test_every_word_is_there() -> None:
    """Each kind and each way has its words."""
    assert KIND_WORDS.keys() == {*Kind}
    assert HOW_WORDS.keys() == {*How}


def test_many_references_are_counted() -> None:
    """Of a file with many payments the first references are named, each once."""
    lines = tuple(ours(f"a{number}", f"E{number}", 1) for number in range(5))
    finding = Finding(Kind.MATCHED, How.BATCH, lines, (theirs("x", "E0", 5),))
    assert name_references(finding) == "E0 E1 E2 and 2 more"
