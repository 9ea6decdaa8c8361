"""What is wrong with what banks say, and who has dealt with it.

Invariant: there is one alarm of a kind about a thing. One that a person has acknowledged stays so
until it says something new; one that has ended by itself has no key, and begins anew.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.ids import BANK_ALARM

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = [
    "Acknowledged",
    "Alarm",
    "acknowledge_alarm",
    "end_alarms",
    "list_alarms",
    "raise_alarms",
]


class Acknowledged(NamedTuple):
    """Who has dealt with it, when and why. `key`, `payload`: of the request, in hex; empty: there
    was none, it has ended by itself.
    """

    at: dt.datetime
    by: str
    reason: str
    key: str
    payload: str


class Alarm(NamedTuple):
    """What a person has to look at. `about`: the order, file or statement; `details` is JSON."""

    gateway: str
    name: str
    kind: str
    about: str
    details: Mapping[str, Any]
    id: str
    raised_at: dt.datetime | None = None
    acknowledged: Acknowledged | None = None


_RAISE: Final = """
INSERT INTO bank_alarms AS a (ledger_id, gateway, id, kind, about, details, alarm_id, raised_at)
SELECT $1, u.gateway, u.name, u.kind, u.about, u.details::jsonb, u.id, now()
  FROM (SELECT unnest($2::text[]) AS gateway, unnest($3::text[]) AS name,
               unnest($4::text[]) AS kind, unnest($5::text[]) AS about,
               unnest($6::text[]) AS details, unnest($7::uuid[]) AS id) u
    ON CONFLICT (ledger_id, gateway, id) DO UPDATE
       SET details = EXCLUDED.details, raised_at = EXCLUDED.raised_at, acknowledged_at = NULL,
           acknowledged_by = NULL, reason = NULL, key = NULL, payload = NULL
     WHERE a.acknowledged_at IS NOT NULL AND (a.key IS NULL OR a.details <> EXCLUDED.details)
RETURNING a.id"""


async def raise_alarms(connection: Connection, ledger: int, alarms: Sequence[Alarm]) -> set[str]:
    """Have them listed, each once; gives the names of those that are new, or say something new."""
    once = [*{(one.gateway, one.name): one for one in alarms}.values()]
    if not once:
        return set()
    rows = await connection.fetch(
        _RAISE,
        ledger,
        [one.gateway for one in once],
        [one.name for one in once],
        [one.kind for one in once],
        [one.about for one in once],
        [json.dumps(dict(one.details)) for one in once],
        [one.id[len(BANK_ALARM) :] for one in once],
    )
    return {row["id"] for row in rows}


_END: Final = """
UPDATE bank_alarms SET acknowledged_at = now(), acknowledged_by = 'catena',
       reason = 'It has ended by itself.', key = NULL, payload = NULL
 WHERE ledger_id = $1 AND gateway = $2 AND id = ANY ($3::text[])
   AND (acknowledged_at IS NULL OR key IS NOT NULL)"""


async def end_alarms(
    connection: Connection, ledger: int, gateway: str, names: Collection[str]
) -> None:
    """What these told of is no more so: they are open no more, as far as they were raised."""
    await connection.execute(_END, ledger, gateway, list(names))


_COLUMNS: Final = """gateway, id, kind, about, details::text AS details, alarm_id, raised_at,
       acknowledged_at, acknowledged_by, reason, key, payload"""

_LIST: Final = f"""
SELECT {_COLUMNS} FROM bank_alarms
 WHERE ledger_id = $1 AND (acknowledged_at IS NOT NULL) = $5
   AND (raised_at, gateway, id) > (coalesce($2::timestamptz, '-infinity'), $3::text, $4::text)
 ORDER BY raised_at, gateway, id LIMIT $6"""  # noqa: S608  # columns


async def list_alarms(
    connection: Connection,
    ledger: int,
    *,
    after: tuple[dt.datetime, str, str] | None,
    acknowledged: bool,
    limit: int,
) -> list[Alarm]:
    """Those that are open, or those that are not, the oldest first, from behind `after` on."""
    place = after or (None, "", "")
    rows = await connection.fetch(_LIST, ledger, *place, acknowledged, limit)
    return [_alarm(row) for row in rows]


_ACKNOWLEDGE: Final = """
UPDATE bank_alarms
   SET acknowledged_at = $3, acknowledged_by = $4, reason = $5, key = $6, payload = $7
 WHERE ledger_id = $1 AND alarm_id = $2 AND acknowledged_at IS NULL"""


async def acknowledge_alarm(
    connection: Connection, ledger: int, id: str, said: Acknowledged
) -> Alarm | None:
    """Have it acknowledged, unless it is; gives what the request's key has done before, or else the
    alarm as it is now. None: there is none.
    """
    select = f"SELECT {_COLUMNS} FROM bank_alarms WHERE ledger_id = $1"  # noqa: S608  # columns
    row = await connection.fetchrow(f"{select} AND key = $2", ledger, said.key)
    if row is None:
        place = ledger, id[len(BANK_ALARM) :]
        await connection.execute(_ACKNOWLEDGE, *place, *said)
        row = await connection.fetchrow(f"{select} AND alarm_id = $2", *place)
    return None if row is None else _alarm(row)


def _alarm(row: asyncpg.Record) -> Alarm:
    said = None
    if row["acknowledged_at"] is not None:
        keys = [row[name].hex if row[name] else "" for name in ("key", "payload")]
        said = Acknowledged(row["acknowledged_at"], row["acknowledged_by"], row["reason"], *keys)
    return Alarm(
        row["gateway"],
        row["id"],
        row["kind"],
        row["about"],
        json.loads(row["details"]),
        BANK_ALARM + row["alarm_id"].hex,
        row["raised_at"],
        said,
    )
