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
    extend_turn,
    keep_file,
    load_hashes,
)
from catena.flows.bank.standing import AlarmKind
from catena.gateways.bank.transport import BankUnreachable
from catena.ids import BANK_FILE, new_id

if TYPE_CHECKING:
    from catena.flows.bank.rail import Rail

__all__ = ["fetch_files"]

_TOO_LARGE: Final = frozenset({"file_too_large", "answer_too_large"})
"""It stays with the bank until `bank_file_bytes` is raised."""

_log = structlog.get_logger(__name__)


async def fetch_files(rail: Rail, turn: Turn) -> int:
    """Store what is new, and acknowledge what is stored; gives how many files were new."""
    fresh = 0
    try:
        names = list(dict.fromkeys(await rail.road.list_files()))
    except BankUnreachable as error:
        _log.warning("bank_not_read", gateway=rail.name, reason=error.code)
        return fresh
    async with rail.pool.acquire() as connection:
        stored = await load_hashes(connection, rail.ledger.number, rail.name, names)
    for name in names:
        before, done = stored.get(name, (None, False))
        if done and rail.options.keeps:
            continue
        if not await _still_ours(rail, turn):
            return fresh
        try:
            fresh += await _fetch_one(rail, name, before, done=done)
        except BankUnreachable as error:  # one that cannot be had is in no other's way
            _log.warning("bank_not_read", gateway=rail.name, file=name, reason=error.code)
            if error.code in _TOO_LARGE:
                alarm = rail.alarm(AlarmKind.UNREADABLE, name, code=error.code)
                await rail.raise_alarms([alarm])
    return fresh


async def _still_ours(rail: Rail, turn: Turn) -> bool:
    seconds = rail.settings.bank_lease_seconds
    async with rail.pool.acquire() as connection:
        return await extend_turn(connection, rail.ledger.number, rail.name, turn, seconds)


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
