"""What gateways say, given to the journal: about a call of ours, or as the reason of a chain.

Invariant: nothing is guessed. A notice names a call by our key or by the gateway's own name of it,
or something else that was done about one; what names nothing that we know, or what it would change
is not decided yet, is listed for a person and tried again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from catena.chains import machine
from catena.chains.answers import hear, is_stray
from catena.chains.books import Books
from catena.chains.calls import Key, read_key
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Definition
from catena.chains.history import Failure
from catena.chains.needs import adapter_of, name_adapter
from catena.chains.states import StepState
from catena.chains.step_types import Answer, Call, Catalogue, Direction, Outcome
from catena.db.notices import Told, find_named
from catena.db.read.chains import read_chain
from catena.db.read.deposits import read_followers
from catena.engine.stray import define_stray, stray_id
from catena.errors import CatenaError
from catena.flows import reactions
from catena.flows.deposit import AUTHORISE, DEPOSIT, DepositState, state_of_deposit
from catena.flows.reactions import (
    CAME_BACK,
    GIVEN_BACK,
    PAID_LATE,
    TAKEN_BACK,
    WON_BACK,
    Moved,
    wallet_of,
)
from catena.flows.refund import REFUND
from catena.gateways.contract import Notice, Subject
from catena.gateways.steps import differs
from catena.ids import CHAIN, derive_within
from catena.journal import ChainResult, Follow, NoticeTaken, TakeNotice

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.journal import Journal
    from catena.ledger.accounts import Account

__all__ = ["Intake", "describe_notice", "read_notice"]

_log = structlog.get_logger(__name__)

_CALLS: Final = frozenset({Subject.CHARGE, Subject.CAPTURE, Subject.REFUND, Subject.PAYOUT})
_UNREADABLE: Final = (ValueError, KeyError, TypeError)
_LEFT: Final = frozenset({Subject.CHARGE, Subject.CAPTURE})
"""Of these a refusal after an approval means that the payer has the money again."""

_REVERSALS: Final[Mapping[Subject, tuple[str, str, str]]] = {
    Subject.DISPUTE: ("dispute", TAKEN_BACK, WON_BACK),
    Subject.REFUND: ("refund", GIVEN_BACK, CAME_BACK),
}
"""What gives a charge back without our having asked for it: its word in the ids of the chains that
follow, and the types of these: when the payer has the money, and when we have it after all.
"""


def describe_notice(notice: Notice) -> dict[str, Any]:
    """A notice as JSON, without what it does not say."""
    told = notice._asdict() | {"at": notice.at.isoformat()}
    if notice.permanent:
        del told["permanent"]
    return {name: value for name, value in told.items() if value not in (None, "", {})}


def read_notice(told: Mapping[str, Any]) -> Notice:
    """A notice from its JSON. Raises ValueError, KeyError or TypeError for what is none."""
    subject, outcome = Subject(told["subject"]), Outcome(told["outcome"])
    at = dt.datetime.fromisoformat(told["at"])
    return Notice(**{**told, "subject": subject, "outcome": outcome, "at": at})


class _Found(NamedTuple):
    """Whose a gateway's name is. `own`: of what the notice is of, and not of what it is about."""

    key: Key
    chain: Chain
    own: bool


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes notices in."""

    pool: Pool
    journal: Journal
    catalogue: Catalogue

    async def take(self, ledger: Ledger, gateway: str, notice: Notice) -> NoticeTaken:
        """Take one in; it is committed when this returns. Raises CatenaError where it was not."""
        return await self._submit(ledger, await self._form(ledger, gateway, notice))

    async def apply(self, ledger: Ledger, told: Told) -> bool:
        """Apply one that was taken in; whether somebody knows now what to do with it. One that
        cannot be applied now, or never, is logged, and stays listed.
        """
        try:
            operation = await self._form(ledger, told.gateway, read_notice(told.notice))
            if operation.chain is None and operation.follow is None:
                return False
            return (await self._submit(ledger, operation)).chain is not None
        except (CatenaError, *_UNREADABLE) as error:
            reason = type(error).__name__
            _log.warning("notice_not_applied", gateway=told.gateway, id=told.id, error=reason)
            return False

    async def _submit(self, ledger: Ledger, operation: TakeNotice) -> NoticeTaken:
        result = await self.journal.ask(ledger, operation)
        assert isinstance(result, ChainResult)  # noqa: S101  # what the operation gives
        taken: NoticeTaken = result.value
        return taken

    async def _form(self, ledger: Ledger, gateway: str, notice: Notice) -> TakeNotice:
        told = Told(gateway, notice.id, notice.subject, describe_notice(notice))
        key = read_key(notice.key) if notice.key is not None else None
        if key is not None and notice.subject in _CALLS:
            chain = None
            if notice.outcome is Outcome.DECLINED:
                id = _late_id(key, notice)
                if id is not None and await self._read(ledger, id) is not None:
                    return TakeNotice(
                        told, id, follow=_returned_late(told.gateway, id, notice, ledger)
                    )
                chain = await self._read(ledger, key.chain)
            return self._about(told, ledger, key, notice, chain)
        found = await self._look(ledger, gateway, notice)
        if found is None:
            return TakeNotice(told)
        if notice.subject in _CALLS and found.own:
            return self._about(told, ledger, found.key, notice, found.chain)
        if notice.subject in _REVERSALS:
            return await self._reversed(told, ledger, found.chain, notice)
        return TakeNotice(told)

    async def _look(self, ledger: Ledger, gateway: str, notice: Notice) -> _Found | None:
        """The call that a gateway's own name is of, or that of what it is about."""
        names = [name for name in (notice.reference, notice.about) if name is not None]
        if not names:
            return None
        async with self.pool.acquire() as connection:
            named = await find_named(connection, ledger.number, gateway, names)
        if not named:
            return None
        # Its own name says it best; of a name that is on several, the first has it.
        found = min(named, key=lambda one: names.index(one.reference))
        chain = await self._read(ledger, found.chain)
        assert chain is not None  # noqa: S101  # it has given the name
        number = chain.steps[found.step].round
        key = Key(chain.id, found.step, forward=True, round=number)
        return _Found(key, chain, found.reference == notice.reference)

    async def _read(self, ledger: Ledger, chain: str) -> Chain | None:
        async with self.pool.acquire() as connection:
            return await read_chain(connection, ledger.number, chain)

    def _about(
        self, told: Told, ledger: Ledger, key: Key, notice: Notice, chain: Chain | None
    ) -> TakeNotice:
        """A notice of a call of ours. `chain`: its chain, for a refusal; None: there is none."""
        result = {
            "reference": notice.reference,
            "amount": notice.amount,
            "currency": notice.currency,
            "action": notice.details.get("action"),
            "details": dict(notice.details) or None,
        }
        kept = {name: value for name, value in result.items() if value is not None}
        found = Answer(notice.outcome, kept, notice.code, notice.text, permanent=notice.permanent)
        tell = partial(_hear, key=key, found=found)
        follow = None
        if notice.outcome is Outcome.APPROVED:
            follow = _paid_late(told.gateway, key, notice, ledger)
            follow = follow or self._stray(ledger, key, notice, found)
        elif notice.outcome is Outcome.DECLINED and chain is not None:
            run = chain.steps.get(key.step)
            if run is not None and run.definition.type == AUTHORISE:
                tell = partial(_hear_of_end, key=key, found=found, by=told.gateway)
            elif run is not None:
                follow = _undone(told.gateway, key, notice, chain, run, ledger.id)
        undoes = notice.outcome is not Outcome.APPROVED
        fits = partial(_has_asked, key=key, gateway=told.gateway)
        return TakeNotice(told, key.chain, tell, undoes, follow, fits)

    def _stray(self, ledger: Ledger, key: Key, notice: Notice, found: Answer) -> Follow | None:
        """An approval that came too late is made good by a chain of its own, as the engine does."""
        if notice.key is None or not key.forward:
            return None
        call = Call(
            ledger.id,
            key.chain,
            key.step,
            "",
            Direction.FORWARD,
            notice.key,
            0,
            {},
            None,
            found.result,
            notice.at,
            0.0,
            notice.at,
        )

        def define(chain: Chain | None, accounts: Mapping[str, Account]) -> Definition | None:
            del accounts
            attempt = _find_stray(chain, key)
            if chain is None or attempt is None:
                return None
            run = chain.steps[key.step]
            made = call._replace(
                type=run.definition.type,
                attempt=attempt,
                inputs=run.inputs if run.inputs is not None else run.definition.inputs,
            )
            return define_stray(chain, made, found, self.catalogue)

        return Follow(stray_id(call), key.chain, [], define)

    async def _reversed(
        self, told: Told, ledger: Ledger, chain: Chain, notice: Notice
    ) -> TakeNotice:
        """A charge is given back without our having asked for it, or is so no more."""
        if notice.outcome not in (Outcome.APPROVED, Outcome.DECLINED):
            return TakeNotice(told, chain.id)
        moved = _moved(told.gateway, notice, {}, chain.id)
        if moved is None or not chain.is_ended:
            return TakeNotice(told)  # whose money it is will be known
        word, taking, regaining = _REVERSALS[notice.subject]
        taken = derive_within(CHAIN, chain.id, word, told.gateway, moved.reference)
        wallet = wallet_of(chain)
        accounts = reactions.touched_by(moved, wallet, ledger.id)
        if notice.outcome is Outcome.APPROVED:
            in_air = await self._count_in_air(ledger, chain, moved.currency)

            def take_back(_: Chain | None, accounts: Mapping[str, Account]) -> Definition:
                return reactions.taken_back(moved, wallet, accounts, taking, in_air)

            follow = Follow(taken, told.gateway, accounts, take_back)
            return TakeNotice(told, chain.id, follow=follow)
        before = await self._read(ledger, taken)
        if before is None:
            return TakeNotice(told)  # the notice that it was taken may still come

        def win_back(_: Chain | None, accounts: Mapping[str, Account]) -> Definition:
            return reactions.won_back(moved, before, accounts, regaining)

        won = derive_within(CHAIN, chain.id, f"{word}_won", told.gateway, moved.reference)
        return TakeNotice(told, taken, follow=Follow(won, told.gateway, accounts, win_back))

    async def _count_in_air(self, ledger: Ledger, deposit: Chain, currency: str) -> int:
        """What refunds of the deposit have taken that are not decided, in minor units."""
        async with self.pool.acquire() as connection:
            found = await read_followers(connection, ledger.number, [deposit.id], [REFUND], "")
        running = (chain for chain in found.get(deposit.id, ()) if not chain.is_ended)
        asked = (chain.steps["refund"].definition.inputs for chain in running)
        return sum(inputs["amount"] for inputs in asked if inputs["currency"] == currency)


def _find_stray(chain: Chain | None, key: Key) -> int | None:
    """The attempt of this key that an approval is of which comes too late; None: it does not."""
    run = chain.steps.get(key.step) if chain is not None else None
    if chain is None or run is None or key.round > run.round:
        return None
    attempt = run.attempt if key.round == run.round else 0
    is_late = is_stray(chain, key.step, Direction.FORWARD, attempt, Outcome.APPROVED)
    return attempt if is_late else None


def _late_id(key: Key, notice: Notice) -> str | None:
    """The chain that books a payout which a bank has moved after it had declined it, if it has."""
    if notice.subject is not Subject.PAYOUT or not notice.details.get("moved") or not key.forward:
        return None
    return derive_within(CHAIN, key.chain, "late", notice.key)


def _paid_late(gateway: str, key: Key, notice: Notice, ledger: Ledger) -> Follow | None:
    """It has left, and nobody's wallet has given it: out of suspense, until a person knows more."""
    id, moved = _late_id(key, notice), _moved(gateway, notice, {}, key.chain)
    if id is None or moved is None:
        return None

    def define(chain: Chain | None, _: Mapping[str, Account]) -> Definition | None:
        if _find_stray(chain, key) is None:
            return None
        return reactions.out_of_suspense(moved, PAID_LATE)

    return Follow(id, key.chain, reactions.touched_by(moved, None, ledger.id), define)


def _returned_late(gateway: str, late: str, notice: Notice, ledger: Ledger) -> Follow | None:
    """It has come back: into suspense, where what was paid is missing."""
    moved = _moved(gateway, notice, {}, late)
    if moved is None:
        return None

    def define(_: Chain | None, accounts: Mapping[str, Account]) -> Definition:
        return reactions.came_back(moved, None, accounts)

    id = derive_within(CHAIN, late, "undone", gateway)
    return Follow(id, gateway, reactions.touched_by(moved, None, ledger.id), define)


def _has_asked(chain: Chain, key: Key, gateway: str) -> bool:
    """Whether this gateway was asked under this key: what others say of it tells nothing."""
    run = chain.steps.get(key.step)
    if run is None:
        return False
    return adapter_of(run.definition.type, run.definition.inputs) == name_adapter(gateway)


def _hear(chain: Chain, books: Books, key: Key, found: Answer) -> bool:
    """Tell the step; of what was not asked for so, the gateway is asked itself."""
    run = chain.steps.get(key.step)
    if key.forward and run is not None:
        asked = run.inputs if run.inputs is not None else run.definition.inputs
        if differs(found, asked):
            found = Answer(Outcome.UNKNOWN, code="amount_differs")
    return hear(chain, books, key, found)


def _hear_of_end(chain: Chain, books: Books, key: Key, found: Answer, by: str) -> bool:
    """A refusal of an authorisation. One after its approval ends a deposit that waits to be
    captured; no money had moved.
    """
    if hear(chain, books, key, found):
        return True
    waits = chain.definition.type == DEPOSIT and (
        state_of_deposit(chain) is DepositState.AUTHORISED
    )
    if not waits or key.round != chain.steps[key.step].round:
        return False
    machine.cancel(chain, books, Failure(found.code or "declined", found.detail), by)
    return True


def _undone(
    gateway: str, key: Key, notice: Notice, chain: Chain, run: StepRun, ledger_id: str
) -> Follow | None:
    """What was approved is refused after all: the money is back where it came from."""
    if key.round != (run.round if key.forward else run.undo_round):
        return None
    known = run.result if key.forward else {}
    moved = _moved(gateway, notice, known, chain.id)
    if moved is None:
        return None
    # What an undo gave back and could not is the payer's: a person finds another way.
    wallet = wallet_of(chain) if key.forward else None
    left = key.forward and notice.subject in _LEFT
    react = reactions.taken_back if left else reactions.came_back
    approved = StepState.COMPLETED if key.forward else StepState.COMPENSATED

    def define(chain: Chain | None, accounts: Mapping[str, Account]) -> Definition | None:
        if chain is None or chain.steps[key.step].state is not approved:
            return None  # it had never been approved
        return react(moved, wallet, accounts)

    way = () if key.forward else ("undo",)
    id = derive_within(CHAIN, chain.id, "undone", gateway, key.step, *way)
    return Follow(id, gateway, reactions.touched_by(moved, wallet, ledger_id), define)


def _moved(gateway: str, notice: Notice, known: Mapping[str, Any], about: str) -> Moved | None:
    """The money that it speaks of; None where it does not say, and we do not know."""
    amount = notice.amount if notice.amount is not None else known.get("amount")
    currency = notice.currency or known.get("currency")
    reference = notice.reference or known.get("reference")
    if not amount or currency is None or reference is None:
        return None
    text = notice.text or notice.code or f"{notice.subject} {notice.outcome}"
    return Moved(gateway, reference, amount, currency, text, about)
