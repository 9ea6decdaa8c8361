"""Chains played dry: over copies of the books' accounts, with partners that approve everything.

Invariant: nothing that it is given changes, and what the books would refuse, it refuses.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from catena.chains import machine
from catena.chains.answers import answer
from catena.chains.books import Books, Entry, How, make_proceeds
from catena.chains.calls import begin, due_calls
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import NO_RETRY, Definition, Family, Step
from catena.chains.expressions import find_expressions
from catena.chains.history import Failure
from catena.chains.postings import Assets
from catena.chains.resolve import ancestors, names_result
from catena.chains.states import StepState
from catena.chains.step_types import Answer, Catalogue, Direction, Outcome
from catena.ledger.accounts import Account, open_system_account
from catena.ledger.corrections import Correction, draft_correction, mirror_lines, record_correction
from catena.ledger.entries import Draft, Line, post_entry, refuse_entry
from catena.ledger.entries import Entry as PostedEntry
from catena.ledger.refusals import Refusal, RefusalCode

__all__ = ["DryBooks", "Played", "Standing", "find_refused", "play"]

_ROUNDS: Final = 1_000
"""Steps of the world until a play is given up: more than any chain has steps that wait."""


class _Copies(Mapping[str, Account]):
    """Accounts that are copied from others when they are first asked for."""

    def __init__(self, source: Mapping[str, Account]) -> None:
        self.source = source
        self.copied: dict[str, Account] = {}

    def __getitem__(self, id: str) -> Account:
        found = self.copied.get(id)
        if found is None:
            found = self.copied[id] = self.source[id].copy()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.copied)

    def __len__(self) -> int:
        return len(self.copied)


class DryBooks:
    """Books that are nobody's (`chains.books.Books`): what is posted in them is gone with them.

    `entries` are those that steps correct, with what they correct; `corrections` what undoes those.
    `touched`: accounts since it was last cleared; `missing`: those that nobody had read.
    """

    def __init__(
        self,
        books: tuple[str, Assets, Catalogue, dt.datetime],
        accounts: Mapping[str, Account],
        entries: Mapping[str, PostedEntry] | None = None,
        corrections: Mapping[str, Correction] | None = None,
    ) -> None:
        self.ledger_id, self.assets, self.catalogue, self.now = books
        self.call_seconds = 0.0  # its partners answer at once
        self.accounts = _Copies(accounts)
        self.touched: dict[str, Account] = {}
        self.missing: set[str] = set()
        self._entries = entries or {}
        self._corrections = {id: copy(one) for id, one in (corrections or {}).items()}
        self._posted: dict[str, Sequence[Line]] = {}

    def account(self, id: str) -> Account | None:
        """The account, if it was read."""
        found = self.accounts.get(id)
        if found is None:
            self.missing.add(id)
        else:
            self.touched[id] = found
        return found

    def knows(self, account: str) -> bool:
        """Whether it was read; what was not is not there."""
        if account not in self.accounts:
            self.missing.add(account)
        return True

    def post(self, chain: Chain, run: StepRun, draft: Draft, how: How) -> Entry | Refusal:
        """Post an entry of the chain's."""
        corrected = self._entries.get(draft.corrects or "")
        draft = draft._replace(chain=chain.id, step=run.name)
        if draft.corrects is not None:
            if corrected is None:
                return Refusal(RefusalCode.UNKNOWN_ENTRY)
            correction = draft_correction(
                draft, corrected, self._entries, self._corrections, how.amount
            )
            if isinstance(correction, Refusal):
                return correction
            draft = correction
        for role, currency in draft.system:
            made = open_system_account(self.ledger_id, role, currency)
            if made.id not in self.accounts:
                self.accounts.copied[made.id] = made
        for line in draft.lines:
            self.account(line.account)
        posted = chain.pool.post(
            draft,
            self.accounts,
            lambda covered: refuse_entry(
                draft, self.accounts, self.now, thawed=covered, shielded=how.shielded
            ),
            partial(make_proceeds, chain, run),
            how.spending,
        )
        if isinstance(posted, Refusal):
            return posted
        if corrected is not None:
            record_correction(draft, corrected, self._entries, self._corrections)
        self._posted[run.name] = draft.lines
        return Entry(0, posted)

    def undo(self, chain: Chain, run: StepRun) -> int | None:
        """Post the mirror image of the step's entry; None where it was not posted here."""
        del chain
        lines = self._posted.get(run.name)
        if lines is None:
            return None
        list(post_entry(mirror_lines(lines), self.accounts))
        return 0

    def mark(self) -> tuple[dict[str, Account], dict[str, Correction]]:
        """A point to go back to."""
        accounts = {id: account.copy() for id, account in self.accounts.copied.items()}
        return accounts, {id: copy(one) for id, one in self._corrections.items()}

    def rewind(self, mark: Any) -> None:  # noqa: ANN401  # the machine knows no more of it
        """Drop everything that was done since."""
        self.accounts.copied, self._corrections = mark

    def jitter(self) -> float:
        """No luck, good or bad."""
        return 0.5


def find_refused(chain: Chain, books: Books, step: Step) -> Failure | None:
    """Why the chain could not do this step now if it were appended; None: it could.

    Without a code: the step is fine, but its chain comes to its end before.
    """
    world = (books.ledger_id, books.assets, books.catalogue, books.now)
    dry, played = DryBooks(world, books.accounts), Chain(chain.id, chain.history)
    machine.append(played, dry, [step], None)
    run = played.steps[step.name]
    if run.state is StepState.SKIPPED:
        return Failure("")
    return run.failure if run.parked or run.state is StepState.FAILED else None


class Standing(NamedTuple):
    """An account with a floor right after a step, in minor units. `virtual`: what the chain may
    spend.
    """

    account: str
    currency: str
    posted: int
    reserved: int
    available: int
    pool: int
    virtual: int


class Played(NamedTuple):
    """A chain that was played to its end, or to where it stands still. `standings`: by step, of the
    accounts that it touched. `missing`: accounts that it needs and nobody had read. `unknown`: by
    step that was left out, the one whose result was not assumed.
    """

    chain: Chain
    standings: Mapping[str, Sequence[Standing]]
    missing: frozenset[str]
    unknown: Mapping[str, str]


class _Watched(Chain):
    """A chain that notes how the accounts stand after each of its steps."""

    def __init__(self, id: str, books: DryBooks) -> None:
        super().__init__(id)
        self.books = books
        self.standings: dict[str, Sequence[Standing]] = {}

    def note(self, at: dt.datetime, step: str, to: str, /, **data: Any) -> None:  # noqa: ANN401  # any JSON
        """Decide an event."""
        super().note(at, step, to, **data)
        if step and to == StepState.COMPLETED:
            self.standings[step] = tuple(self._stand())
            self.books.touched = {}

    def _stand(self) -> Iterator[Standing]:
        for account in self.books.touched.values():
            if account.available is not None:
                pool = self.pool.funds(account.id)
                yield Standing(
                    account.id,
                    account.currency,
                    account.posted,
                    account.reserved,
                    account.available,
                    pool,
                    account.available + pool,
                )


def play(
    id: str,
    definition: Definition,
    make_books: Callable[[], DryBooks],
    assume: Mapping[str, Mapping[str, Any]],
    rounds: int = _ROUNDS,
) -> Played:
    """Play a chain: what is outside approves, with the results that are assumed, waits end at once.

    A refusal is final at once: another attempt would find the same books. A step that fails for
    want of a result which nobody assumed is no refusal: it is left out, with those behind it.
    """
    left, unknown = definition, dict[str, str]()
    while True:
        played = _play(id, left, make_books(), assume, rounds)
        source = _find_unsaid(played.chain, assume)
        if source is None:
            return played._replace(unknown=unknown)
        unknown |= _find_blind(left.steps, source)
        left = replace(left, steps=[step for step in left.steps if step.name not in unknown])


def _find_unsaid(chain: Chain, assume: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The step for want of whose result an expression of another came to nothing."""
    for run in chain.steps.values():
        if run.failure is not None and run.failure.code == "expression_failed":
            texts, others = _texts_of(run.definition), set(chain.steps)
            for name, other in chain.steps.items():
                asked = other.definition.family in (Family.OUTSIDE, Family.WAIT)
                if (
                    asked
                    and name not in assume
                    and any(names_result(text, name, others - {name}) for text in texts)
                ):
                    return name
    return None


def _find_blind(steps: Sequence[Step], source: str) -> dict[str, str]:
    """The steps whose expressions name the result of this one, and all that depend on them."""
    by_name = {step.name: step for step in steps}
    others = by_name.keys() - {source}
    first = {
        step.name
        for step in steps
        if any(names_result(text, source, others) for text in _texts_of(step))
    }
    return {
        name: source
        for name in by_name
        if name in first or not first.isdisjoint(ancestors(by_name, name))
    }


def _texts_of(step: Step) -> list[str]:
    return [*step.when, *find_expressions(step.inputs)]


def _play(
    id: str,
    definition: Definition,
    books: DryBooks,
    assume: Mapping[str, Mapping[str, Any]],
    rounds: int,
) -> Played:
    steps = [_play_step(step) for step in definition.steps]
    chain = _Watched(id, books)
    machine.create(chain, books, replace(definition, steps=steps, open=False), None)
    machine.start(chain, books)
    for _ in range(rounds):
        if chain.is_ended or not _move(chain, books, assume):
            break
    return Played(chain, chain.standings, frozenset(books.missing), {})


def _play_step(step: Step) -> Step:
    """The step without retries; undone in no words that need a result which nobody has assumed."""
    if step.retry is not NO_RETRY:
        step = replace(step, retry=NO_RETRY)
    return replace(step, compensation={}) if find_expressions(step.compensation) else step


def _move(chain: Chain, books: DryBooks, assume: Mapping[str, Mapping[str, Any]]) -> bool:
    """Have the world do the next thing; whether there was one."""
    for due in due_calls(chain, books.now, books.catalogue):
        if begin(chain, books, due.step) is None:
            return bool(chain.steps[due.step].failure)
        run, undoing = chain.steps[due.step], due.direction is Direction.UNDO
        result = {} if undoing else assume.get(due.step, {})
        attempt = run.undo_attempt if undoing else run.attempt
        told = Answer(Outcome.APPROVED, result)
        return answer(chain, books, due.step, due.direction, attempt, told)
    for step in _waits(chain.steps.values()):
        machine.finish_step(chain, books, step, {"payload": None, **assume.get(step.name, {})})
        machine.run(chain, books)
        return True
    return False


def _waits(steps: Iterable[StepRun]) -> Iterator[StepRun]:
    return (
        step
        for step in steps
        if step.definition.family is Family.WAIT and step.state is StepState.WAITING
    )
