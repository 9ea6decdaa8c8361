"""What keeps a bank's money from moving, though nothing has failed: told, and told when it is over.

Invariant: an alarm of these is open exactly as long as what it tells of lasts, unless a person has
acknowledged it. Nothing here changes what is done.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from catena.db.bank_inbox import Turn, note_turn
from catena.db.bank_names import find_statuses
from catena.flows.bank.standing import AlarmKind
from catena.ledger.accounts import AccountStatus, SystemRole, clearing_of, system_account_id

if TYPE_CHECKING:
    from catena.flows.bank.rail import Rail

__all__ = ["note_delivery", "note_mailbox", "watch_accounts"]

_CURRENCY: Final = "EUR"


async def watch_accounts(rail: Rail) -> None:
    """Tell of accounts that its money goes through and that do not take or give it."""
    roles = {
        system_account_id(rail.ledger.id, role, _CURRENCY): role
        for role in (clearing_of(rail.name), SystemRole.HOLDING, SystemRole.SUSPENSE)
    }
    async with rail.pool.acquire() as connection:
        found = await find_statuses(connection, rail.ledger.number, roles)
    shut = {id: status for id, status in found.items() if status != AccountStatus.ACTIVE}
    kind = AlarmKind.ACCOUNT_CLOSED_OFF
    told = ((roles[id], {"account_id": id, "status": status}) for id, status in shut.items())
    await rail.raise_alarms([rail.alarm(kind, role, **details) for role, details in told])
    await rail.end_alarms(kind, [role for id, role in roles.items() if id not in shut])


async def note_mailbox(rail: Rail, turn: Turn, code: str = "") -> None:
    """Whether the bank could be asked for what it has. `code`: why not; empty: it could."""
    place = rail.ledger.number, rail.name, turn
    async with rail.pool.acquire() as connection:
        since = await note_turn(connection, *place, fails=bool(code))
    await _note(rail, rail.name, since, code)


async def note_delivery(rail: Rail, file: str, sealed_at: dt.datetime, code: str = "") -> None:
    """Whether the bank has answered for a file. `code`: why not; empty: it has."""
    await _note(rail, file, sealed_at if code else None, code)


async def _note(rail: Rail, about: str, since: dt.datetime | None, code: str) -> None:
    kind = AlarmKind.OUT_OF_REACH
    if since is None:
        await rail.end_alarms(kind, [about])
    elif (rail.clock() - since).total_seconds() >= rail.settings.bank_silence_seconds:
        told = {"code": code, "since": since.isoformat()}
        await rail.raise_alarms([rail.alarm(kind, about, **told)])
