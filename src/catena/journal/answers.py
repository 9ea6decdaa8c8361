"""From decisions to answers: of a commit just made, and of one that a key was used for before.

Invariant: an answer comes from immutable rows alone, so it is the same every time.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from catena.chains.refusals import ChainRefusal, ChainRefused
from catena.chains.validator import Flaw
from catena.db.inbox import Message
from catena.db.load import ReferenceRow, StoredKey, load_entries, load_events
from catena.db.load_chains import load_chains_at
from catena.errors import CatenaError, IdempotencyKeyReused
from catena.ids import ACCOUNT, CHAIN, ENTRY, Numbering
from catena.journal.book import Decided
from catena.journal.cards import ChainFound, ChainMoved, Unchanged
from catena.journal.decide import Decision
from catena.journal.operations import (
    ITEM_EVENTS,
    MESSAGE_EVENT,
    AccountState,
    ChainResult,
    ItemChanged,
    Result,
    Taken,
)
from catena.journal.pieces import Answer, Piece
from catena.ledger.accounts import AccountStatus, AccountType
from catena.ledger.entries import Draft, Entry
from catena.ledger.refusals import Refusal, RefusalCode
from catena.ledger.terms import Profile

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = [
    "answer_again",
    "build_result",
    "describe_exceptions",
    "describe_refused",
    "first_offset",
]

_CODES = {code.code: code for code in RefusalCode}
_CHAIN_CODES = {code.code: code for code in ChainRefusal}


def first_offset(decisions: Sequence[Decision]) -> int | None:
    """The offset of the first operation that took a number of its own."""
    return next((d.offset for d in decisions if isinstance(d, Decided | ChainMoved)), None)


def describe_exceptions(decisions: Sequence[Decision]) -> str | None:
    """JSON of the operations that did not take the next number: refused, or there already."""
    if len(decisions) == 1 and isinstance(decisions[0], Decided | ChainMoved):
        return None  # most requests are this
    first = first_offset(decisions)
    expected = first
    exceptions: dict[str, object] = {}
    for index, decision in enumerate(decisions):
        match decision:
            case Decided(offset=offset) | ChainMoved(offset=offset) if offset == expected:
                expected = offset + 1
            case Decided(offset=offset) | ChainMoved(offset=offset):
                exceptions[str(index)] = {"offset": offset - (first or 0)}
            case ReferenceRow(position=position, reversal=reversal):
                exceptions[str(index)] = {"position": position}
                if reversal is not None:
                    exceptions[str(index)] = {"position": position, "reversed_by": reversal}
            case ChainFound():
                exceptions[str(index)] = {"position": decision.position}
            case Unchanged():
                pass  # only what has no key may find nothing to do
            case Refusal() | ChainRefused():
                exceptions[str(index)] = _describe_refusal(decision)
    return json.dumps(exceptions) if exceptions else None


def describe_refused(index: int, refusal: Refusal | ChainRefused) -> str:
    """JSON of an atomic piece that was refused for its operation at `index`."""
    return json.dumps({str(index): _describe_refusal(refusal)})


def _describe_refusal(refusal: Refusal | ChainRefused) -> dict[str, object]:
    """A refusal as it is stored."""
    found = {name: v for name, v in refusal._asdict().items() if name != "code" and v}
    if isinstance(refusal, Refusal) and refusal.line is not None:
        found["line"] = refusal.line
    return {"refusal": refusal.code.code, **found}


def build_result(
    decision: Decision,
    base: int,
    at: dt.datetime,
    numbering: Numbering,
    earlier: Mapping[int, Entry],
) -> Result:
    """What the caller is told of one decision of a commit that was made."""
    match decision:
        case Refusal() | ChainRefused():
            return decision
        case ChainMoved():
            return ChainResult(partial(decision.read, base, at, numbering), decision.value)
        case ChainFound():
            return ChainResult(decision.read)
        case Unchanged(value=value):
            return ChainResult(None, value)
        case ReferenceRow(position=position, reversal=reversal):
            return earlier[position]._replace(reversed_by=reversal)
        case Decided(offset=offset, value=value):
            return _result_of(value, base + offset, at, numbering)


def _result_of(
    value: Draft | Profile | Taken | ItemChanged,
    position: int,
    at: dt.datetime,
    numbering: Numbering,
) -> Result:
    if isinstance(value, Draft):
        return _entry_of(value, numbering.id_at(ENTRY, position), position, at)
    if isinstance(value, Profile):
        return AccountState(value, value.created_at or at, at)
    return value._replace(at=at) if isinstance(value, ItemChanged) else value


def _entry_of(draft: Draft, id: str, position: int, at: dt.datetime) -> Entry:
    return Entry(
        id,
        position,
        draft.type,
        draft.lines,
        draft.effective_at or at,
        at,
        draft.description,
        draft.reference,
        draft.metadata,
        draft.details,
        draft.corrects,
    )


async def answer_again(
    connection: Connection, ledger: int, piece: Piece, stored: StoredKey
) -> Answer | CatenaError:
    """The answer that the piece's key was given first, or that it was used for something else."""
    if stored.payload != piece.payload:
        return IdempotencyKeyReused()
    exceptions: dict[str, Any] = json.loads(stored.exceptions or "{}")
    if piece.atomic:
        for index, exception in exceptions.items():
            if "refusal" in exception:
                return Answer([_refusal_of(exception)], replayed=True, refused=int(index))
    places = _places(len(piece.operations), stored.first, exceptions)
    positions = [place for place in places if isinstance(place, int)]
    entries = await load_entries(connection, ledger, positions)
    events = await load_events(connection, ledger, [p for p in positions if p not in entries])
    results: list[Result] = []
    for number, place in enumerate(places):
        if isinstance(place, Refusal | ChainRefused):
            results.append(place)
        elif place in entries:
            # What has become of the entry since then is no part of the first answer.
            reversed_by = exceptions.get(str(number), {}).get("reversed_by")
            results.append(entries[place]._replace(reversed_by=reversed_by))
        elif events[place][0].startswith("chain."):
            id = CHAIN + events[place][1]
            chains = await load_chains_at(connection, ledger, [id], place)
            results.append(ChainResult(partial(chains.__getitem__, id)))
        elif events[place][0] == MESSAGE_EVENT:
            told = json.loads(events[place][3])
            message = Message(told["source"], told["id"], told["correlation"])
            results.append(Taken(message, told["chain"], again=told["again"]))
        elif events[place][0].startswith(ITEM_EVENTS):
            results.append(ItemChanged(**json.loads(events[place][3]), at=events[place][2]))
        else:
            results.append(_state_of(*events[place][1:]))
    return Answer(results, replayed=True)


def _places(
    count: int, first: int | None, exceptions: Mapping[str, Any]
) -> list[int | Refusal | ChainRefused]:
    """For each operation the position of its result, or its refusal."""
    places: list[int | Refusal | ChainRefused] = []
    following = first or 0
    for index in range(count):
        exception = exceptions.get(str(index))
        if exception is None:
            places.append(following)
            following += 1
        elif "refusal" in exception:
            places.append(_refusal_of(exception))
        else:
            places.append(exception.get("position") or (first or 0) + exception["offset"])
    return places


def _refusal_of(stored: Mapping[str, Any]) -> Refusal | ChainRefused:
    code = _CHAIN_CODES.get(stored["refusal"])
    if code is not None:
        told = {name: value for name, value in stored.items() if name != "refusal"}
        flaws = [Flaw(*flaw) for flaw in told.pop("flaws", ())]
        return ChainRefused(code, **told, flaws=flaws)
    return Refusal(_CODES[stored["refusal"]], stored.get("account"), stored.get("line"))


def _state_of(subject: str, at: dt.datetime, data: str) -> AccountState:
    row = json.loads(data)
    row["type"], row["status"] = AccountType(row["type"]), AccountStatus(row["status"])
    row["metadata"] = json.dumps(row["metadata"], separators=(",", ":"))
    created_at = row.pop("created_at")
    opened_at = dt.datetime.fromisoformat(created_at) if created_at else at
    return AccountState(Profile(id=ACCOUNT + subject, **row), opened_at, at)
