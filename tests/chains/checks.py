"""What must hold in every state and after every move, named as in docs/concepts/invariants.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family
from catena.chains.states import ChainState, StepState
from catena.ledger.accounts import Account, Side
from catena.ledger.entries import Line, balance_by_currency
from catena.liens.liens import Lien, LienState

if TYPE_CHECKING:
    from tests.chains.world import World

__all__ = ["Violation", "check_commit", "check_move", "check_post", "check_world", "insist"]

_OUT = frozenset({StepState.EXECUTING, StepState.WAITING, StepState.UNKNOWN})


class Violation(AssertionError):
    """An invariant does not hold; the message begins with its name."""


def insist(name: str, holds: object) -> None:
    """Raise Violation unless it holds."""
    if not holds:
        raise Violation(name)


def check_post(
    lines: Sequence[Line],
    before: Mapping[str, Account],
    after: Mapping[str, Account],
    funds: Mapping[str, int],
    *,
    keeps: bool,
) -> None:
    """I1 and I4 of one entry of a chain's, which had so much under lien."""
    insist("I1 conservation", not any(balance_by_currency(lines).values()))
    for line in lines:
        account = after[line.account]
        if account.available is None:
            continue
        then = before[line.account].available
        assert then is not None
        if line.side is Side.CREDIT:
            insist("I4 a credit inside", account.available == then or not keeps)
        else:
            beyond = max(0, line.amount - funds[line.account])
            insist("I4 a draw", account.available == then - beyond)


def check_commit(before: Chain | None, decided: Chain, committed: Chain) -> None:
    """I7: a history is gapless, and what is read back is what was decided."""
    first = 0 if before is None else before.number
    insist("I7 gapless", committed.number == first + len(decided.new))
    insist("I7 what is read back", describe(decided) == describe(committed))


def describe(chain: Chain) -> object:
    """All that a chain is but the ids of entries, which are known when they are committed."""
    rest = {
        name: value
        for name, value in vars(chain).items()
        if name not in ("history", "new", "steps", "pool", "pivot", "definition")
    }
    runs = [
        {
            name: getattr(run, name)
            for name in StepRun.__slots__
            if name not in ("definition", "entry", "undone_by")
        }
        for run in chain.steps.values()
    ]
    liens = [[getattr(lien, name) for name in Lien.__slots__] for lien in chain.pool.liens.values()]
    return rest, runs, liens


def check_world(world: World) -> None:
    """What holds in every state."""
    chains = list(world.chains.values())
    for id, account in world.accounts.items():
        liens = [lien for chain in chains for lien in chain.pool.liens.values()]
        remaining = sum(one.remaining for one in liens if one.account == id and one.is_open)
        insist("I2 reserved", account.reserved == remaining)
        if account.available is not None:
            insist("I3 no overdraft", account.available >= 0)
    _check_balances(world)
    for chain in chains:
        _check_liens(chain)
        _check_states(chain)
        _check_effects(world, chain)
        if chain.is_ended:
            _check_end(world, chain)


def _check_balances(world: World) -> None:
    for id, account in world.accounts.items():
        lines = [line for posting in world.postings for line in posting.lines if line.account == id]
        begun = world.begun[id]
        for side, total in ((Side.DEBIT, account.debits), (Side.CREDIT, account.credits)):
            moved = sum(line.amount for line in lines if line.side is side)
            insist("I2 balances", total == moved + (begun if side is Side.CREDIT else 0))


def _check_liens(chain: Chain) -> None:
    for lien in chain.pool.liens.values():
        parts = lien.remaining + lien.drawn + lien.released + lien.taken_back
        insist("I8 the parts of a lien", lien.amount == parts)
        insist("I8 nothing below zero", min(lien.remaining, lien.drawn, lien.released) >= 0)
        insist("I8 a terminal chain has no open lien", not (chain.is_ended and lien.is_open))
        utilized = lien.state is LienState.UTILIZED
        insist("I8 its state", not lien.is_open or utilized == (lien.remaining == 0))


def _check_states(chain: Chain) -> None:
    runs = chain.steps.values()
    pivot = next((run for run in runs if run.definition.pivot), None)
    if pivot is not None and pivot.state in _OUT:
        insist(
            "I13 no failure while the pivot is out",
            chain.state in (ChainState.EXECUTING, ChainState.HELD),
        )
    if pivot is not None and pivot.state is StepState.COMPLETED:
        forward = ChainState.EXECUTING, ChainState.HELD, ChainState.COMPLETED
        insist("I13 only forward past the pivot", chain.state in forward)
    undone = [run for run in runs if run.state is StepState.COMPENSATED]
    out = [run for run in runs if run.definition.family is Family.OUTSIDE and run.state in _OUT]
    insist("nothing is undone while a call is out", not (undone and out))
    insist("I10 a parked step", all(chain.state is not ChainState.FAILED for r in runs if r.parked))
    if chain.is_ended:
        done = (StepState.COMPLETED, StepState.SKIPPED, StepState.FAILED, StepState.COMPENSATED)
        insist("a terminal chain has no open step", all(run.state in done for run in runs))


def _check_effects(world: World, chain: Chain) -> None:
    """I7: at most one outside effect per step and direction, and no undo of what was not done."""
    for run in chain.steps.values():
        if run.definition.family is not Family.OUTSIDE:
            continue
        forward, undo = (list(_done(world, chain, run, way)) for way in ("forward", "undo"))
        insist("I7 one outside effect", len(forward) <= 1 and len(undo) <= 1)
        insist("I7 an undo of what was not done", not undo or forward)


def _done(world: World, chain: Chain, run: StepRun, way: str) -> Iterator[str]:
    start = f"{chain.id}.{run.name}.{way}."
    return (key for key, said in world.partner.items() if said == "done" and key.startswith(start))


def _check_end(world: World, chain: Chain) -> None:
    """I6: rolled back nets to zero; completed to what was declared, here and outside."""
    net: dict[str, int] = dict.fromkeys(world.accounts, 0)
    for posting in world.postings:
        if posting.chain == chain.id:
            _add(net, posting.lines)
    declared: dict[str, int] = dict.fromkeys(world.accounts, 0)
    for run in chain.steps.values():
        outside = run.definition.type == "call"
        forward = any(_done(world, chain, run, "forward"))
        undo = any(_done(world, chain, run, "undo"))
        if chain.state is ChainState.COMPLETED:
            inputs = run.definition.inputs
            if run.state is StepState.COMPLETED and run.definition.type == "transfer":
                declared[inputs["source_account_id"]] -= inputs["amount"]
                declared[inputs["destination_account_id"]] += inputs["amount"]
            kept = run.state is StepState.COMPLETED
            insist("I6 outside effect", not outside or (forward == kept and not undo))
        else:
            insist("I6 outside effect", not outside or forward == undo)
    insist("I6 net effect", net == declared)


def _add(net: dict[str, int], lines: Sequence[Line]) -> None:
    for line in lines:
        net[line.account] += line.amount if line.side is Side.CREDIT else -line.amount


def check_move(before: World, after: World) -> None:
    """What no move may do: change what has ended, or end a lien while the pivot is out."""
    for id, chain in before.chains.items():
        now = after.chains[id]
        insist("terminal states absorb", not chain.is_ended or now is chain)
        if now is chain:
            continue
        held = chain.state is ChainState.HELD and now.state is ChainState.HELD
        suspended = (
            held
            or (_pivot_is_dispatched(chain) and _pivot_is_dispatched(now))
            or (_is_unknown(chain) and _is_unknown(now))
        )
        grown = _expired(now) > _expired(chain)
        insist("I13 no lien expires while that is suspended", not (suspended and grown))
        if held:
            begun = [
                name for name, run in now.steps.items() if run.attempt > chain.steps[name].attempt
            ]
            insist("I12 hold", not begun)


def _pivot_is_dispatched(chain: Chain) -> bool:
    states = (*_OUT, StepState.COMPLETED)
    return any(run.definition.pivot and run.state in states for run in chain.steps.values())


def _is_unknown(chain: Chain) -> bool:
    return any(run.state is StepState.UNKNOWN for run in chain.steps.values())


def _expired(chain: Chain) -> set[Any]:
    liens = chain.pool.liens.values()
    return {lien.id for lien in liens if lien.state is LienState.EXPIRED}
