"""What becomes of things: one change of status at a time, with its effect and its event.

Invariant: a status changes here and nowhere else, and every change enters its effect, tells what
depends on it, and is announced, all at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from catena.ids import IdSource
from catena.sandbox.books import Books
from catena.sandbox.clock import Agenda
from catena.sandbox.events import Announcer
from catena.sandbox.magic import AUTHORISED_SECONDS, REASONS, Stage, find_magic
from catena.sandbox.things import Capture, Charge, Dispute, Planned, Reason, Refund, Status, Thing

__all__ = ["Course"]

_REASONS: Final[Mapping[str, Reason]] = dict(
    chain.from_iterable(reasons.items() for reasons in REASONS.values())
)
_NOTHING_DONE: Final = frozenset({Status.DECLINED, Status.CANCELLED, Status.FAILED})


@dataclass(frozen=True, slots=True)
class Course:
    """Lets things happen, now or later. `pay_url`: where a payer acts, before the charge's id."""

    books: Books
    agenda: Agenda
    announcer: Announcer
    ids: IdSource
    pay_url: str

    def begin(self, thing: Thing, stages: Iterable[Stage], now: dt.datetime) -> None:
        """Let a new thing take its course: the first stages are now, as a rule."""
        self._plan(thing, stages, now)
        if isinstance(thing, Refund):
            self._charge_of(thing).refunded += thing.amount
        self._follow(thing, now, is_new=True)

    def resume(self) -> None:
        """Take up what was planned before a restart."""
        for thing in self.books:
            if thing.plan:
                self.agenda.add(thing.plan[0].at, partial(self._follow, thing))

    def change(
        self,
        thing: Thing,
        status: Status,
        now: dt.datetime,
        *,
        code: str = "",
        is_new: bool = False,
    ) -> None:
        """Let this become of a thing."""
        if isinstance(thing, Charge):
            if status is Status.DISPUTED:
                if thing.left:
                    self.dispute(thing, thing.left, now)
                return
            status = self._change_charge(thing, status, now)
        thing.status = status
        thing.reason = _REASONS[code] if code else thing.reason
        self._tell_charge(thing, now)
        self.books.keep(thing)
        self.books.book(thing, now)
        self.announcer.announce(thing, self.books.means_of(thing), now, is_new=is_new)

    def dispute(self, charge: Charge, amount: int, now: dt.datetime) -> Dispute:
        """Open a dispute about so much of a charge; what that had planned is the dispute's."""
        plan, charge.plan = charge.plan, []
        dispute = Dispute(
            id=self.ids("dp_"),
            key=None,
            status=Status.PENDING,
            amount=amount,
            currency=charge.currency,
            created=now,
            about=charge.id,
            plan=[Planned(now, Status.OPENED), *plan],
        )
        self._follow(dispute, now)
        return dispute

    def _plan(self, thing: Thing, stages: Iterable[Stage], at: dt.datetime) -> None:
        thing.plan = []
        for stage in stages:
            at += dt.timedelta(seconds=stage.after)
            thing.plan.append(Planned(at, stage.becomes, stage.code))

    def _follow(self, thing: Thing, now: dt.datetime, *, is_new: bool = False) -> None:
        """Do what is planned until now, and remember the next."""
        while thing.plan and thing.plan[0].at <= now:
            planned = thing.plan.pop(0)
            self.change(thing, planned.becomes, planned.at, code=planned.code, is_new=is_new)
            is_new = False
        self.books.keep(thing)
        if thing.plan:
            self.agenda.add(thing.plan[0].at, partial(self._follow, thing))

    def _change_charge(self, charge: Charge, status: Status, now: dt.datetime) -> Status:
        """What this means for a charge: one that is not to be captured yet is only authorised."""
        charge.action = None
        if status is Status.ACTION_NEEDED:
            charge.action = {"url": f"{self.pay_url}{charge.id}"}
        elif status is Status.APPROVED and not charge.capture:
            expiry = Stage(AUTHORISED_SECONDS, Status.EXPIRED, "authorisation_expired")
            self._plan(charge, (expiry,), now)
            return Status.AUTHORISED
        elif status is Status.APPROVED:
            charge.captured = charge.amount
        return status

    def _tell_charge(self, thing: Thing, now: dt.datetime) -> None:
        """Enter in a charge what became of its capture, refund or dispute."""
        match thing:
            case Capture(status=Status.APPROVED):
                charge = self._charge_of(thing)
                charge.status, charge.captured = Status.APPROVED, thing.amount
                first = find_magic(charge.method).first
                # A payer who had to act has approved it beside what was planned.
                behind = next(
                    (n for n, stage in enumerate(first, 1) if _approves(stage)), len(first)
                )
                self._plan(charge, first[behind:], now)
                self._follow(charge, now)
            case Refund():
                charge = self._charge_of(thing)
                if thing.status in _NOTHING_DONE:
                    charge.refunded -= thing.amount
                self.books.keep(charge)
            case Dispute(status=Status.OPENED | Status.WON):
                charge = self._charge_of(thing)
                charge.disputed += thing.amount if thing.status is Status.OPENED else -thing.amount
                self.books.keep(charge)
            case _:
                pass

    def _charge_of(self, thing: Thing) -> Charge:
        return self.books.find(Charge, thing.about or "")


def _approves(stage: Stage) -> bool:
    return stage.becomes is Status.APPROVED
