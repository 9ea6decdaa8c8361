"""A small month with one of everything, and its report as committed in `golden/`.

`python -m tests.reconciliation.month` writes the files anew; the tests compare.
"""

from __future__ import annotations

from pathlib import Path

from catena.gateways.contract import Subject
from catena.ledger.entries import EntryType
from catena.money import ISO_CURRENCIES
from catena.reconciliation.matching import Carried, reconcile
from catena.reconciliation.report_csv import render_csv
from catena.reconciliation.report_html import render_html
from catena.reconciliation.sheets import Balances, Report, build_report
from catena.reconciliation.work import Change, State, accept_item, carry_on, update_work
from tests.reconciliation.business import Fault, draw_deals, write_lines
from tests.reconciliation.lines import BEGIN, day, make_terms, ours, theirs

__all__ = ["GOLDEN", "make_report", "render"]

GOLDEN = Path(__file__).parent / "golden"
GATEWAY = "sandbox"
ENDS = 31


def make_report() -> Report:
    """Forty seeded deals, some of them wrong, and hostile words; a fortnight had left things."""
    deals = [deal for deal in draw_deals(11, 40, 0.4) if deal.fault is not Fault.NONE or deal.lag]
    made = [write_lines(deal) for deal in deals]
    here = [line for lines in made for line in lines.ours]
    there = [line for lines in made for line in lines.theirs]
    here.append(ours("ent-fee", "rec-run-1", -40, 15, type=EntryType.FEE))
    there += [
        theirs("txn-dispute", '<script>alert("1")</script>', -7_500, 16, subject=Subject.DISPUTE),
        theirs("txn-credit", '=HYPERLINK("x")', 123_456, 18, subject=Subject.CREDIT),
        theirs("txn-month", None, -2_900, 30, subject=Subject.FEE),
    ]
    first, last = day(14), make_terms(ENDS)
    fortnight = reconcile(
        [line for line in here if line.at < first],
        [line for line in there if line.at < first],
        make_terms(14),
    )
    work = {item.id: item for item in update_work([], fortnight, GATEWAY, first).items}
    for item in list(work.values())[:1]:
        change = Change(State.OPEN, first, "controller", "Agreed with the gateway.")
        work[item.id] = accept_item(item, change, 200)
    carried: Carried = carry_on(fortnight, work.values())
    month = reconcile(
        [line for line in here if first <= line.at < last.until],
        [line for line in there if first <= line.at < last.until],
        last,
        carried,
    )
    update = update_work(work.values(), month, GATEWAY, last.until)
    work |= {item.id: item for item in update.items}
    balances = {}
    for currency in ("EUR", "USD"):
        books = [(line.at, line.amount) for line in here if line.currency == currency]
        books = [(at, amount) for at, amount in books if at >= BEGIN]
        account = [(line.at, line.amount - line.fee) for line in there if line.currency == currency]
        balances[currency] = Balances(
            1_000_000 + sum(amount for at, amount in books if at < first),
            1_000_000 + sum(amount for at, amount in books if at < last.until),
            1_000_000 + sum(amount for at, amount in account if at < first),
            1_000_000 + sum(amount for at, amount in account if at < last.until),
        )
    return build_report(GATEWAY, first, carried, month, work.values(), balances, day(ENDS + 0.5))


def render() -> dict[str, str]:
    """The files of `golden/`, by name."""
    report = make_report()
    return {
        "month.csv": render_csv(report, ISO_CURRENCIES),
        "month.html": render_html(report, ISO_CURRENCIES, rows=100),
    }


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in render().items():
        (GOLDEN / name).write_text(text, encoding="utf-8", newline="")
