"""Short ways to write lines of both sides, in tests that read as tables."""

from __future__ import annotations

import datetime as dt

from catena.gateways.contract import StatementLine, Subject
from catena.ledger.entries import EntryType
from catena.reconciliation.lines import BookLine, Terms
from catena.reconciliation.matching import Carried, Earlier, Reconciliation, reconcile

__all__ = ["BEGIN", "WINDOW", "brief", "day", "make_terms", "ours", "run", "theirs"]

BEGIN = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
WINDOW = dt.timedelta(days=5)


def day(number: float) -> dt.datetime:
    """The moment so many days after the beginning."""
    return BEGIN + dt.timedelta(days=number)


def make_terms(until: float = 60) -> Terms:
    """Until that day, with a window of five days."""
    return Terms(day(until), WINDOW, cut_characters=16)


def ours(
    id: str,
    reference: str | None,
    amount: int,
    at: float = 1,
    *,
    currency: str = "EUR",
    type: EntryType = EntryType.DEPOSIT,
    batch: str | None = None,
    settles: str | None = None,
) -> BookLine:
    """A line of our books on that day."""
    return BookLine(id, type, amount, currency, reference, day(at), batch, settles=settles)


def theirs(
    id: str,
    reference: str | None,
    amount: int,
    at: float = 1,
    *,
    currency: str = "EUR",
    subject: Subject = Subject.CHARGE,
    fee: int = 0,
) -> StatementLine:
    """A line of their statement on that day."""
    return StatementLine(id, subject, amount, fee, currency, reference, day(at), "a line")


def run(
    here: list[BookLine],
    there: list[StatementLine],
    until: float = 60,
    carried: Carried = Carried(),  # noqa: B008  # it cannot change
) -> Reconciliation:
    """Reconcile them; what is before the beginning is earlier."""
    return reconcile(
        [line for line in here if line.at >= BEGIN],
        [line for line in there if line.at >= BEGIN],
        make_terms(until),
        carried,
        Earlier(
            tuple(line for line in here if line.at < BEGIN),
            tuple(line for line in there if line.at < BEGIN),
        ),
    )


def brief(found: Reconciliation) -> set[tuple[str, str, str, str]]:
    """Each finding in four words: kind (or in transit), how, ids of ours and of theirs."""
    return {
        (
            "in_transit" if one.is_in_transit else one.kind.value,
            one.how.value,
            " ".join(line.id for line in one.ours),
            " ".join(line.id for line in one.theirs),
        )
        for one in found.findings
    }
