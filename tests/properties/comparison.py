"""Whether what was answered is what the naive ledger says, and whether the books agree with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from catena.ids import position_of
from catena.journal import AccountState, Result
from catena.ledger.entries import Entry
from catena.ledger.refusals import Refusal
from catena.ledger.terms import Profile
from tests.properties.naive_facts import Known, No, Posted
from tests.properties.naive_ledger import NaiveLedger

__all__ = ["check_answer", "check_entry", "check_replay"]

Told = Result | Profile


def check_answer(ledger: NaiveLedger, expected: Posted | Known | No, told: Told) -> None:
    """Assert that one operation was answered as the naive ledger answers it."""
    if isinstance(expected, No):
        assert isinstance(told, Refusal), (expected, told)
        assert (told.code.code, told.account, told.line) == expected
    elif isinstance(expected, Posted):
        assert isinstance(told, Entry), (expected, told)
        check_entry(ledger, expected.position, told)
    else:
        assert not isinstance(told, Entry | Refusal), (expected, told)
        assert isinstance(told, AccountState | Profile), told
        profile = told.profile if isinstance(told, AccountState) else told
        assert _describe(profile) == expected


def check_replay(first: Told, again: Told) -> None:
    """Assert that an answer is the first one; JSON may be spaced in another way."""
    assert _unspaced(first) == _unspaced(again)


def check_entry(ledger: NaiveLedger, position: int, told: Entry) -> None:
    """Assert that an entry is the fact that stands at this position."""
    fact = ledger.at(position)
    assert (told.position, position_of(told.id)) == (position, position)
    assert (told.type, told.reference) == (fact.type, fact.draft.reference)
    assert _plain(told.lines) == fact.lines
    assert told.effective_at == (fact.draft.effective_at or told.recorded_at)
    corrected = None if told.corrects is None else position_of(told.corrects)
    assert corrected == fact.corrects


def _unspaced(told: Told) -> object:
    if isinstance(told, Refusal | Profile):
        return told
    if isinstance(told, Entry):
        texts = {
            name: json.loads(getattr(told, name) or "null") for name in ("metadata", "details")
        }
        return told._replace(lines=tuple(told.lines), metadata=None, details=None), texts
    assert isinstance(told, AccountState), told
    metadata = json.loads(told.profile.metadata)
    profile = told.profile._replace(metadata="", created_at=None)
    return told._replace(profile=profile), metadata


def _plain(lines: Sequence[Any]) -> list[tuple[str, str, int, str]]:
    return [(line.account, str(line.side), line.amount, line.currency) for line in lines]


def _describe(profile: Profile) -> Known:
    return Known(
        profile.id,
        profile.revision,
        profile.status,
        profile.floor,
        profile.ceiling,
        profile.name,
        json.loads(profile.metadata),
    )
