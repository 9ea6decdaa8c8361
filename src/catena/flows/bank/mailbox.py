"""What the bank has for us: stored as it comes, and only then acknowledged.

Invariant: a file is stored whole under its name, once; other content under the same name is never
taken for it, and never acknowledged.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import structlog

from catena.db.bank_inbox import (
    Turn,
    acknowledge_file,
    keep_file,
    load_hashes,
)
from catena.flows.bank.standing import AlarmKind
from catena.flows.bank.watching import note_mailbox, watch_accounts
from catena.gateways.bank.limits import FILE_NAME_CHARACTERS_MAX
from catena.gateways.bank.transport import BankUnreachable, is_file_name
from catena.ids import BANK_FILE, new_id

if TYPE_CHECKING:
    from catena.flows.bank.rail import Rail

__all__ = ["fetch_files"]

_STAYS: Final = frozenset({"file_too_large", "answer_too_large", "file_unreadable"})
"""It stays with the bank until a person has done something about it."""

_log = structlog.get_logger(__name__)


async def fetch_files(rail: Rail, turn: Turn) -> int:
    """Store what is new, and acknowledge what is stored; gives how many files were new."""
    fresh = 0
    await watch_accounts(rail)
    try:
        listed = dict.fromkeys(await rail.road.list_files())
    except BankUnreachable as error:
        _log.warning("bank_not_read", gateway=rail.name, reason=error.code)
        await note_mailbox(rail, turn, error.code)
        return fresh
    await note_mailbox(rail, turn)
    names = [name for name in listed if is_file_name(name)]
    await rail.raise_alarms(
        [
            rail.alarm(AlarmKind.UNREADABLE, _show(name), code="name_refused")
            for name in listed
            if not is_file_name(name)
        ]
    )
    async with rail.pool.acquire() as connection:
        stored = await load_hashes(connection, rail.ledger.number, rail.name, names)
    for name in names:
        before, done = stored.get(name, (None, False))
        if done and rail.options.keeps:
            continue
        try:
            fresh += await _fetch_one(rail, name, before, done=done)
        except BankUnreachable as error:  # one that cannot be had is in no other's way
            _log.warning("bank_not_read", gateway=rail.name, file=name, reason=error.code)
            if error.code in _STAYS:
                alarm = rail.alarm(AlarmKind.UNREADABLE, name, code=error.code)
                await rail.raise_alarms([alarm])
    return fresh


def _show(name: str) -> str:
    """A name as it can be stored, whatever it is made of."""
    return name.encode("unicode_escape").decode()[:FILE_NAME_CHARACTERS_MAX]


async def _fetch_one(rail: Rail, name: str, before: bytes | None, *, done: bool) -> bool:
    """Store it and acknowledge it; whether it is new. `before`: SHA-256 of what is stored so."""
    place = rail.ledger.number, rail.name, name
    is_new = before is None
    if before is None or done:  # one that comes again may be another
        content = await rail.road.read_file(name)
        found = hashlib.sha256(content).digest()
        if before is None:
            async with rail.pool.acquire() as connection:
                id = new_id(BANK_FILE)[len(BANK_FILE) :]
                is_new = await keep_file(connection, *place, id, content, found)
                before = (await load_hashes(connection, *place[:2], [name]))[name][0]
        if found != before:
            told = {"stored": before.hex(), "came": found.hex()}
            await rail.raise_alarms([rail.alarm(AlarmKind.NAME_REUSED, name, **told)])
            return False
    await rail.road.acknowledge(name)
    async with rail.pool.acquire() as connection:
        await acknowledge_file(connection, *place)
    if is_new:
        _log.info("bank_file_stored", gateway=rail.name, file=name)
    return is_new
