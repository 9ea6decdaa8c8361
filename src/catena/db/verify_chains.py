"""Proves chains against their histories: folds each anew, and names every row that disagrees.

Invariant: chains come from a cursor, a few at a time; what is expected of their rows follows from
their events alone, written here a second time and not asked of who wrote them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from catena.chains.chain import Chain
from catena.chains.needs import named_accounts, references_of
from catena.chains.states import StepState
from catena.db.snapshot import stream
from catena.db.verify_history import Commit, Fold, Wrong, declared_liens, fold_history
from catena.ids import CHAIN, position_of

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection
    from catena.liens.liens import Lien

__all__ = ["CLAIM", "CLAIMS", "find_wrong_chains"]

CLAIMS: Final = (
    "chain_history, chain_order, chain_calls, chain_pivot, chain_draws, chain_ends, chain_cards,"
    " chain_liens, chain_entries, chain_accounts, chain_names, chain_claims, chain_waits,"
    " chain_messages"
)

CLAIM: Final = (
    "A chain's events are numbered without gaps and follow the tables of states, each under the"
    " type of the state that it leads to (I7); steps commit one after another, and what the books"
    " did is undone in the reverse order, once no call is out (I5); calls are counted, and made"
    " only while the chain executes or rolls back (I12); nothing fails or is undone past the pivot"
    " (I13); nothing is drawn that is not there; a chain ends when all is done, or undone"
    " (I6); its card, liens, entries and accounts are those that its history tells of, no others;"
    " it is found by what its waits wait for and what gateways call its calls, and was signalled"
    " what it was given (I11)."
)

_ROWS: Final = 100
"""Chains that one round trip brings."""

_CLOCKS_APART: Final = dt.timedelta(minutes=5)
"""A lien's expiry is written by the clock that decided it, its history by that of its commit."""

_CHAINS: Final = """
WITH told AS (
    SELECT subject AS chain_id,
           array_agg(position ORDER BY position) AS positions,
           array_agg(event_id ORDER BY position) AS ids,
           array_agg(recorded_at ORDER BY position) AS ats,
           array_agg(type ORDER BY position) AS types,
           array_agg(data::text ORDER BY position) AS datas
      FROM events
     WHERE ledger_id = $1 AND subject BETWEEN $2 AND $3 AND starts_with(type, 'chain.')
     GROUP BY subject
), cards AS (
    SELECT chain_id, to_json(c)::text AS card
      FROM chains c WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3
), held AS (
    SELECT chain_id, json_agg(l)::text AS liens
      FROM liens l WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3 GROUP BY chain_id
), posted AS (
    SELECT chain_id, array_agg(entry_id) AS entry_ids, array_agg(position) AS entry_positions,
           array_agg(step) AS entry_steps, array_agg(is_undo) AS entry_undoes
      FROM entries WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3 GROUP BY chain_id
), named AS (
    SELECT chain_id, array_agg(account_id) AS accounts
      FROM chain_accounts WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3 GROUP BY chain_id
), referred AS (
    SELECT chain_id, json_agg(json_build_array(gateway, reference, step))::text AS called
      FROM chain_references
     WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3 GROUP BY chain_id
), claimed AS (
    SELECT chain_id, json_agg(json_build_array(type, reference, content))::text AS claims
      FROM claims WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3 GROUP BY chain_id
), awaited AS (
    SELECT chain_id, array_agg(correlation) AS correlations
      FROM correlations WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3 GROUP BY chain_id
), given AS (
    SELECT chain_id,
           json_agg(json_build_array(source, id, payload) ORDER BY source, id)::text AS given
      FROM inbox WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3 GROUP BY chain_id
)
SELECT *
  FROM told FULL JOIN cards USING (chain_id) FULL JOIN held USING (chain_id)
  FULL JOIN posted USING (chain_id) FULL JOIN named USING (chain_id)
  FULL JOIN referred USING (chain_id) FULL JOIN awaited USING (chain_id)
  FULL JOIN given USING (chain_id) FULL JOIN claimed USING (chain_id)"""

Row = Mapping[str, Any]


async def find_wrong_chains(
    connection: Connection, ledger: int, low: UUID, high: UUID
) -> AsyncIterator[Row]:
    """What is wrong with the chains within these ends, and with rows that name them."""
    async for row in stream(connection, _CHAINS, ledger, low, high, rows=_ROWS):
        for found in _judge_chain(row):
            yield found


def _judge_chain(row: asyncpg.Record) -> Iterator[Row]:
    fold = fold_history(CHAIN + row["chain_id"].hex, list(_read_commits(row)))
    for wrong in fold.wrong:
        yield _tell_chain(fold, wrong)
    if fold.is_whole:
        yield from _compare_card(fold, row)
        yield from _compare_liens(fold, json.loads(row["liens"] or "[]"))
        yield from _compare_entries(fold.chain, row)
        yield from _compare_accounts(fold, row)
        yield from _compare_names(fold.chain, row)
        yield from _compare_claims(fold.chain, row)
        yield from _compare_waits(fold.chain, row)
        yield from _compare_messages(fold.chain, row)


def _read_commits(row: asyncpg.Record) -> Iterator[Commit]:
    if row["positions"] is not None:
        ids = [id.hex for id in row["ids"]]
        columns = (row["positions"], ids, row["ats"], row["types"], row["datas"])
        yield from map(Commit, *columns)


def _tell(check: str, kind: str, id: str, position: int | None, expected: str, found: str) -> Row:
    """One row that is wrong, as the queries of `verify_chains.sql` give theirs."""
    return {
        "check": check,
        "kind": kind,
        "id": UUID(hex=id[-32:]),
        "number": None,
        "position": position,
        "expected": expected,
        "found": found,
    }


def _tell_chain(fold: Fold, wrong: Wrong) -> Row:
    told = _tell(wrong.check, "chain", fold.chain.id, wrong.position, wrong.expected, wrong.found)
    return {**told, "number": wrong.number}


def _differ(expected: Mapping[str, object], found: Mapping[str, object]) -> tuple[str, str] | None:
    """What differs, in words; None where nothing does."""
    names = [name for name, value in expected.items() if found[name] != value]
    if not names:
        return None
    words = [", ".join(f"{name} {row[name]}" for name in names) for row in (expected, found)]
    return words[0], words[1]


# --- cards -------------------------------------------------------------------------------------


def _compare_card(fold: Fold, row: asyncpg.Record) -> Iterator[Row]:
    chain = fold.chain
    if row["positions"] is None:
        if row["card"] is not None:
            yield _tell("chain_cards", "chain", chain.id, None, "no card", "one without a history")
        return
    position = row["positions"][-1]
    if row["card"] is None:
        yield _tell("chain_cards", "chain", chain.id, position, "a card", "none")
        return
    card = json.loads(row["card"])
    for name in ("created_at", "updated_at"):
        card[name] = dt.datetime.fromisoformat(card[name])
    expected = {
        "events": chain.number,
        "state": chain.state,
        "type": chain.definition.type,
        "reference": chain.definition.reference,
        "parked": any(run.parked for run in chain.steps.values()),
        "steps": len(chain.steps),
        "done": chain.count_done(),
        "position": position,
        "created_at": row["ats"][0],
        "updated_at": row["ats"][-1],
    }
    different = _differ(expected, card)
    if different is not None:
        yield _tell("chain_cards", "chain", chain.id, position, *different)


# --- liens -------------------------------------------------------------------------------------


def _liens_of(chain: Chain) -> dict[str, Lien]:
    return {lien.id: lien for lien in (*chain.pool.liens.values(), *declared_liens(chain))}


def _compare_liens(fold: Fold, rows: list[dict[str, Any]]) -> Iterator[Row]:
    """Every lien that outlived a commit has its row; one that did not may have one."""
    liens = _liens_of(fold.chain)
    found = {UUID(row["lien_id"]).hex: row for row in rows}
    for id, lien in liens.items():
        row = found.pop(id[-32:], None)
        if row is not None:
            different = _differ_lien(lien, row, fold.seen.get(id))
            if different is not None:
                yield _tell("chain_liens", "lien", id, None, *different)
        elif id in fold.seen:
            told = f"{lien.kind} of {lien.amount} by step {lien.step}, {lien.state}"
            yield _tell("chain_liens", "lien", id, None, told, "none")
    for id in found:
        yield _tell("chain_liens", "lien", id, None, f"none of {fold.chain.id}", "one")


def _differ_lien(
    lien: Lien, row: dict[str, Any], since: dt.datetime | None
) -> tuple[str, str] | None:
    expected = {
        "step": lien.step,
        "account_id": lien.account[-32:],
        "kind": lien.kind,
        "state": lien.state,
        "amount": lien.amount,
        "remaining": lien.remaining,
        "drawn": lien.drawn,
        "released": lien.released,
        "taken_back": lien.taken_back,
        "expires_at": lien.expires_at,
    }
    if since is not None:
        expected["created_at"] = since
    found: dict[str, Any] = {**row, "account_id": UUID(row["account_id"]).hex}
    for name in ("created_at", "expires_at"):
        if found[name] is not None:
            found[name] = dt.datetime.fromisoformat(found[name])
    if _is_near(lien.expires_at, found["expires_at"]):
        del expected["expires_at"]
    return _differ(expected, found)


def _is_near(expected: dt.datetime | None, found: dt.datetime | None) -> bool:
    if expected is None or found is None:
        return expected is found
    return abs(expected - found) <= _CLOCKS_APART


# --- entries -----------------------------------------------------------------------------------


def _compare_entries(chain: Chain, row: asyncpg.Record) -> Iterator[Row]:
    """Each step's entry stands where the event says, and so does the one that undoes it."""
    expected = {
        id[-32:]: (run.name, is_undo)
        for run in chain.steps.values()
        for id, is_undo in ((run.entry, False), (run.undone_by, True))
        if id is not None
    }
    found = dict(_read_entries(row))
    for id in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(id), found.get(id)
        if wanted != there:
            yield _tell(
                "chain_entries",
                "entry",
                id,
                position_of(id),
                _say(wanted, f"none of {chain.id}"),
                _say(there, "none"),
            )


def _read_entries(row: asyncpg.Record) -> Iterator[tuple[str, tuple[str, bool]]]:
    if row["entry_ids"] is not None:
        columns = (row["entry_ids"], row["entry_steps"], row["entry_undoes"])
        for id, step, is_undo in zip(*columns, strict=True):
            yield id.hex, (step, is_undo)


def _say(entry: tuple[str, bool] | None, nothing: str) -> str:
    if entry is None:
        return nothing
    step, is_undo = entry
    return f"the one that undoes step {step}" if is_undo else f"the one of step {step}"


# --- accounts ----------------------------------------------------------------------------------


def _compare_accounts(fold: Fold, row: asyncpg.Record) -> Iterator[Row]:
    """The accounts that its steps name, and those of its liens; more only where it has posted."""
    chain = fold.chain
    liens = chain.pool.liens.values()
    steps = (run.definition for run in chain.steps.values())
    expected = {id[-32:] for id in (*named_accounts(steps), *(lien.account for lien in liens))}
    found = {id.hex for id in row["accounts"] or ()}
    position = row["positions"][-1] if row["positions"] else None
    missing = ", ".join(sorted(expected - found))
    if missing:
        yield _tell("chain_accounts", "chain", chain.id, position, f"{missing} noted", "not noted")
    extra = ", ".join(sorted(found - expected))
    if extra and row["entry_ids"] is None:
        told = f"{extra} noted"
        yield _tell("chain_accounts", "chain", chain.id, position, "no other account", told)


def _compare_names(chain: Chain, row: asyncpg.Record) -> Iterator[Row]:
    """What gateways call what its steps have asked of them; they may have changed their minds."""
    found = {tuple(names) for names in json.loads(row["called"] or "[]")}
    for gateway, reference, step in sorted(references_of(chain) - found):
        told = f"{reference} of {gateway} noted for {step}"
        yield _tell("chain_names", "chain", chain.id, None, told, "not noted")


def _compare_claims(chain: Chain, row: asyncpg.Record) -> Iterator[Row]:
    """The reference that it has in the place of an entry is noted as its, and no other is."""
    claim = chain.definition.claim
    expected = set() if claim is None else {(*claim[:2], str(UUID(claim.content)))}
    found = {tuple(noted) for noted in json.loads(row["claims"] or "[]")}
    if expected != found:
        words = [", ".join(sorted(" ".join(one) for one in both)) for both in (expected, found)]
        told = [text or "none" for text in words]
        yield _tell("chain_claims", "chain", chain.id, None, *told)


# --- waits and messages ------------------------------------------------------------------------


def _compare_waits(chain: Chain, row: asyncpg.Record) -> Iterator[Row]:
    """What its waits wait for now leads to the chain, and nothing else does."""
    waiting = (run for run in chain.steps.values() if run.state is StepState.WAITING)
    expected = {run.correlation for run in waiting if run.correlation is not None}
    found = set(row["correlations"] or ())
    if expected != found:
        position = row["positions"][-1] if row["positions"] else None
        words = [", ".join(sorted(these)) or "nothing" for these in (expected, found)]
        yield _tell("chain_waits", "chain", chain.id, position, *words)


def _compare_messages(chain: Chain, row: asyncpg.Record) -> Iterator[Row]:
    """Each message that it was given is one of the signals in its history."""
    if row["given"] is None:
        return
    events = (event for data in row["datas"] or () for event in json.loads(data)["events"])
    left = Counter(
        _key(told.get("by"), told.get("payload"))
        for step, to, told in events
        if not step and to == "signal"
    )
    for source, id, payload in json.loads(row["given"]):
        if not left[_key(source, payload)]:
            told = f"the signal of message {id} of {source}"
            yield _tell("chain_messages", "chain", chain.id, None, told, "none")
        left[_key(source, payload)] -= 1


def _key(source: str | None, payload: object) -> tuple[str | None, str]:
    return source, json.dumps(payload, sort_keys=True)
