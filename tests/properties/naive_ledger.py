"""The ledger as docs/concepts/ledger.md tells it: lists of facts, recomputed each time.

Invariant: it shares no rule with catena.ledger and remembers nothing that follows from the facts.
A decision lists every reason to refuse, in the documented order, and takes the first.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from catena.journal import (
    ChangeAccount,
    LedgerOperation,
    OpenAccount,
    PostEntry,
    RefundEntry,
    ReverseEntry,
)
from catena.ledger.entries import Draft
from tests.properties.naive_facts import (
    Known,
    Line,
    NaiveAccount,
    NaiveEntry,
    No,
    Posted,
    mirror,
    split_naively,
)

__all__ = ["NaiveLedger"]

TOTAL_MAX = 4_611_686_018_427_387_903
TEN_YEARS = dt.timedelta(days=3660)
GROWS_BY_DEBITS = ("asset", "expense")
NEVER_REFUNDED = ("reversal", "refund", "exchange")


@dataclass
class NaiveLedger:
    """Accounts and entries. `system_id` says which id a system account has."""

    system_id: Callable[[str, str], str]
    depth: int = 16
    accounts: dict[str, NaiveAccount] = field(default_factory=dict)
    entries: list[NaiveEntry] = field(default_factory=list)
    position: int = 0

    # --- what follows from the facts ------------------------------------------------------------

    def totals(self, account: str) -> tuple[int, int, int]:
        """Debits, credits and the number of lines."""
        lines = [line for entry in self.entries for line in entry.lines if line[0] == account]
        debits = sum(amount for _, side, amount, _ in lines if side == "debit")
        return debits, sum(amount for _, _, amount, _ in lines) - debits, len(lines)

    def posted(self, account: str) -> int:
        """The balance on the side on which the account grows."""
        debits, credits, _ = self.totals(account)
        grows_by_debits = self.accounts[account].type in GROWS_BY_DEBITS
        return debits - credits if grows_by_debits else credits - debits

    def at(self, position: int) -> NaiveEntry:
        """The entry at a position."""
        return next(entry for entry in self.entries if entry.position == position)

    def in_force(self, entry: NaiveEntry) -> bool:
        """An entry is in force as long as no reversal of it is."""
        return not self.reversals(entry.position)

    def reversals(self, position: int) -> list[int]:
        """The reversals in force of the entry at a position."""
        return [
            entry.position
            for entry in self.entries
            if entry.type == "reversal" and entry.corrects == position and self.in_force(entry)
        ]

    def given_back(self, position: int) -> list[int]:
        """How much of each line the refunds in force have given back."""
        sums = [0] * len(self.at(position).lines)
        for entry in self.entries:
            if entry.corrects == position and entry.shares and self.in_force(entry):
                sums = [a + b for a, b in zip(sums, entry.shares, strict=True)]
        return sums

    # --- commits --------------------------------------------------------------------------------

    def commit(
        self,
        pieces: Sequence[tuple[Sequence[LedgerOperation], bool]],
        now: dt.datetime,
        position_of: Callable[[str], int | None],
    ) -> list[list[Posted | Known | No] | tuple[int, No]]:
        """Decide pieces, each atomic or not, in order; an atomic one gives its index and its no.

        `position_of`: which entry an id means. System accounts that the commit used first are
        opened at its end.
        """
        missing: list[str] = []
        answers = [
            self._decide_piece(operations, now, position_of, missing, atomic=atomic)
            for operations, atomic in pieces
        ]
        for account in missing:
            self.accounts[account].revision = 1
            self.position += 1
        return answers

    def _decide_piece(
        self,
        operations: Sequence[LedgerOperation],
        now: dt.datetime,
        position_of: Callable[[str], int | None],
        missing: list[str],
        *,
        atomic: bool,
    ) -> list[Posted | Known | No] | tuple[int, No]:
        before = dict(self.accounts), list(self.entries), self.position
        answers: list[Posted | Known | No] = []
        for index, operation in enumerate(operations):
            answer = self._decide(operation, now, position_of, missing)
            if atomic and isinstance(answer, No):
                self.accounts, self.entries, self.position = before
                missing[:] = [account for account in missing if account in self.accounts]
                return index, answer
            answers.append(answer)
        return answers

    def _decide(
        self,
        operation: LedgerOperation,
        now: dt.datetime,
        position_of: Callable[[str], int | None],
        missing: list[str],
    ) -> Posted | Known | No:
        if isinstance(operation, OpenAccount):
            return self._open(operation)
        if isinstance(operation, ChangeAccount):
            return self._change(operation)
        draft = operation.draft
        named = (draft.type, draft.reference)
        for entry in self.entries:
            if draft.reference is not None and named == (entry.type, entry.draft.reference):
                same = entry.draft.content == draft.content
                return Posted(entry.position) if same else No("reference_conflict")
        if isinstance(operation, PostEntry):
            return self._post_to_system(draft, now, missing)
        corrects = position_of(draft.corrects or "")
        return No("unknown_entry") if corrects is None else self._correct(operation, corrects, now)

    # --- accounts -------------------------------------------------------------------------------

    def _open(self, operation: OpenAccount) -> Known | No:
        told = operation.profile
        if told.id in self.accounts:
            return No("account_exists", told.id)
        metadata = json.loads(told.metadata)
        self.accounts[told.id] = NaiveAccount(
            told.id,
            told.type,
            told.currency,
            None,
            told.floor,
            told.ceiling,
            told.status,
            1,
            told.name,
            metadata,
        )
        self.position += 1
        return self.accounts[told.id].tell()

    def _change(self, operation: ChangeAccount) -> Known | No:
        account, change = self.accounts.get(operation.account), operation.change
        if account is None or account.revision == 0:
            return No("unknown_account", operation.account)
        after = deepcopy(account)
        for name, value in change.fields.items():
            setattr(after, name, json.loads(str(value)) if name == "metadata" else value)
        posted = self.posted(account.id)
        reasons = {
            "stale_revision": change.revision not in (None, account.revision),
            "system_account": after.status == "closed" and account.role is not None,
            "account_closed": account.status == "closed",
            "account_not_empty": after.status == "closed" and posted != 0,
            "floor_not_changeable": (after.floor is None) != (account.floor is None),
            "floor_above_balance": after.floor is not None and posted < after.floor,
        }
        for code, applies in reasons.items():
            if applies:
                return No(code, account.id)
        after.revision += 1
        self.accounts[account.id] = after
        self.position += 1
        return after.tell()

    # --- entries --------------------------------------------------------------------------------

    def _post_to_system(self, draft: Draft, now: dt.datetime, missing: list[str]) -> Posted | No:
        opened = []
        for role, currency in draft.system:
            id = self.system_id(role, currency)
            if id not in self.accounts:
                types = {"clearing": "asset", "fees": "revenue", "losses": "expense"}
                type = types.get(role, "equity" if role == "fx" else "liability")
                self.accounts[id] = NaiveAccount(
                    id, type, currency, role, None, None, "active", 0, None, {}
                )
                opened.append(id)
        answer = self._post(
            draft, [tuple(line) for line in draft.lines], now, None if draft.free else draft.system
        )
        used = [id for id in opened if self.totals(id)[2]]
        for id in set(opened) - set(used):
            del self.accounts[id]
        missing.extend(used)
        return answer

    def _post(
        self,
        draft: Draft,
        lines: list[Any],
        now: dt.datetime,
        system: Any,  # noqa: ANN401  # what the draft says
        **more: Any,  # noqa: ANN401  # fields of the entry
    ) -> Posted | No:
        for no in self._reasons(lines, draft.effective_at, now, system):
            return no
        self.position += 1
        self.entries.append(NaiveEntry(self.position, draft.type, lines, draft, **more))
        return Posted(self.position)

    def _reasons(
        self,
        lines: list[Line],
        effective_at: dt.datetime | None,
        now: dt.datetime,
        system: Any,  # noqa: ANN401  # what the draft says
    ) -> Iterator[No]:
        """Every reason not to post these lines, in the order of docs/concepts/ledger.md."""
        known, numbered = self.accounts, list(enumerate(lines))
        yield from (No("unknown_account", id, n) for n, (id, *_) in numbered if id not in known)
        for number, (id, *_) in numbered:
            role, currency = known[id].role, known[id].currency
            if role and system is not None and (role, currency) not in list(system):
                yield No("system_account", id, number)
        named = list(dict.fromkeys(id for id, *_ in lines))
        grows = {id: self._growth(id, lines) for id in named}
        yield from (No("account_closed", id) for id in named if known[id].status == "closed")
        yield from (No("account_blocked", id) for id in named if known[id].status == "blocked")
        frozen = [id for id in named if known[id].status == "frozen"]
        yield from (No("account_frozen", id) for id in frozen if grows[id] < 0)
        yield from self._shape_reasons(lines)
        if effective_at is not None and (effective_at > now or effective_at < now - TEN_YEARS):
            yield No("effective_date_out_of_range")
        yield from self._money_reasons(named, grows, lines)

    def _shape_reasons(self, lines: list[Line]) -> Iterator[No]:
        numbered = list(enumerate(lines))
        for number, (id, _, _, currency) in numbered:
            if currency != self.accounts[id].currency:
                yield No("currency_mismatch", id, number)
        for number, (id, _, amount, _) in numbered:
            if amount < 1:
                yield No("amount_not_positive", id, number)
        if len(lines) in (0, 1):
            yield No("too_few_lines")
        for currency in {line[3] for line in lines}:
            sides = [(side, amount) for _, side, amount, code in lines if code == currency]
            if sum(a for s, a in sides if s == "debit") != sum(a for s, a in sides if s != "debit"):
                yield No("unbalanced")

    def _money_reasons(
        self, named: list[str], grows: dict[str, int], lines: list[Line]
    ) -> Iterator[No]:
        known = self.accounts
        for id in named:
            floor = known[id].floor
            if grows[id] < 0 and floor is not None and self.posted(id) + grows[id] < floor:
                yield No("insufficient_funds", id)
        for id in named:
            ceiling = known[id].ceiling
            if grows[id] > 0 and ceiling is not None and self.posted(id) + grows[id] > ceiling:
                yield No("above_ceiling", id)
        for id in named:
            debits, credits, _ = self.totals(id)
            for side, total in (("debit", debits), ("credit", credits)):
                more = sum(amount for i, s, amount, _ in lines if (i, s) == (id, side))
                if total + more > TOTAL_MAX:
                    yield No("balance_out_of_range", id)

    def _growth(self, account: str, lines: list[Line]) -> int:
        by_debits = self.accounts[account].type in GROWS_BY_DEBITS
        return sum(
            amount if (side == "debit") == by_debits else -amount
            for id, side, amount, _ in lines
            if id == account
        )

    # --- corrections ----------------------------------------------------------------------------

    def _correct(
        self, operation: ReverseEntry | RefundEntry, corrects: int, now: dt.datetime
    ) -> Posted | No:
        if isinstance(operation, ReverseEntry):
            return self._reverse(operation.draft, self.at(corrects), now)
        return self._refund(operation.draft, self.at(corrects), operation.amount, now)

    def _reverse(self, draft: Draft, entry: NaiveEntry, now: dt.datetime) -> Posted | No:
        """Post it as if it were allowed, look at what it makes of the books, and think again."""
        if self.reversals(entry.position):
            return No("already_reversed")
        if any(self.given_back(entry.position)):
            return No("already_refunded")
        reversed_before = {e.position for e in self.entries if self.reversals(e.position)}
        reversal = NaiveEntry(self.position + 1, "reversal", [], draft, entry.position)
        self.entries.append(reversal)
        wrongs = {no for e in self.entries for no in self._wrongs(e, reversed_before)}
        del self.entries[-1]
        for code in ("already_reversed", "already_refunded", "refund_exceeds_entry"):
            if code in wrongs:
                return No(code)
        if self._height(entry) > self.depth:
            return No("correction_too_deep")
        return self._post(draft, mirror(entry.lines), now, None, corrects=entry.position)

    def _height(self, entry: NaiveEntry) -> int:
        return 0 if entry.corrects is None else 1 + self._height(self.at(entry.corrects))

    def _wrongs(self, entry: NaiveEntry, reversed_before: set[int]) -> Iterator[str]:
        """What must never be: two reversals in force, one beside a refund, or too much refunded."""
        reversals, back = self.reversals(entry.position), self.given_back(entry.position)
        if len(reversals) > 1:
            yield "already_reversed"
        if reversals and any(back):
            yield "already_reversed" if entry.position in reversed_before else "already_refunded"
        if any(a > line[2] for a, line in zip(back, entry.lines, strict=True)):
            yield "refund_exceeds_entry"

    def _refund(
        self, draft: Draft, entry: NaiveEntry, amount: int | None, now: dt.datetime
    ) -> Posted | No:
        back = self.given_back(entry.position)
        left = [line[2] - a for line, a in zip(entry.lines, back, strict=True)]
        debits = [n for n, line in enumerate(entry.lines) if line[1] == "debit"]
        rest = sum(left[n] for n in debits)
        wanted = rest if amount is None else amount
        if self.reversals(entry.position):
            return No("already_reversed")
        if entry.type in NEVER_REFUNDED or len({line[3] for line in entry.lines}) > 1:
            return No("not_refundable")
        if wanted < 1 or wanted > rest:
            return No("refund_exceeds_entry")
        shares = [0] * len(left)
        for numbers in (debits, [n for n in range(len(left)) if n not in debits]):
            for n, share in zip(
                numbers, split_naively(wanted, [left[n] for n in numbers]), strict=True
            ):
                shares[n] = share
        whole = [
            (id, side, share, code)
            for (id, side, _, code), share in zip(entry.lines, shares, strict=True)
            if share
        ]
        return self._post(draft, mirror(whole), now, None, corrects=entry.position, shares=shares)
