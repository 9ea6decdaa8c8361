"""What a bank has given us: its files, the statements in them, and what is wrong with any of it.

Invariant: a file is stored as it came before anything is made of it, and is read until all of it is
taken in; a line counts once its file is. Turns say who reads.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = [
    "Alarm",
    "BankFile",
    "BankLine",
    "StatementRow",
    "Turn",
    "acknowledge_file",
    "end_turn",
    "extend_turn",
    "fail_file",
    "find_last_statement",
    "finish_file",
    "keep_file",
    "list_alarms",
    "list_lines",
    "load_hashes",
    "next_unread",
    "raise_alarms",
    "store_lines",
    "take_turn",
]


class BankFile(NamedTuple):
    """A file of the bank's. `id`: hex digits of a UUIDv7, of when it was stored."""

    name: str
    id: str
    content: bytes
    received_at: dt.datetime


class Turn(NamedTuple):
    """The right to do something that one process does at a time, while its lease lasts."""

    task: str
    fence: int


class StatementRow(NamedTuple):
    """A statement that was read. `balance`: at its end, in minor units; `number`: ours."""

    account: str
    statement_id: str
    page: int
    is_last: bool
    electronic: int | None
    legal: int | None
    balance: int | None
    currency: str
    entries: int
    created_at: dt.datetime
    number: int


class BankLine(NamedTuple):
    """A booked movement, as reconciliation reads it. `amount` in minor units, positive: to us."""

    id: str
    subject: str
    amount: int
    currency: str
    reference: str | None
    at: dt.datetime
    text: str


class Alarm(NamedTuple):
    """What a person has to look at. `about`: the order, file or statement; `details` is JSON."""

    gateway: str
    id: str
    kind: str
    about: str
    details: Mapping[str, Any]
    raised_at: dt.datetime | None = None


# --- turns --------------------------------------------------------------------------------------


async def take_turn(
    connection: Connection, ledger: int, gateway: str, task: str, lease_seconds: float
) -> Turn | None:
    """Take a turn that is due, unless somebody has it."""
    place = ledger, gateway, task
    await connection.execute(
        "INSERT INTO bank_turns (ledger_id, gateway, task, due_at, lease_until, fence)"
        " VALUES ($1, $2, $3, '-infinity', '-infinity', 0) ON CONFLICT DO NOTHING",
        *place,
    )
    fence = await connection.fetchval(
        "UPDATE bank_turns SET fence = fence + 1, lease_until = now() + $4::interval"
        " WHERE ledger_id = $1 AND gateway = $2 AND task = $3"
        " AND due_at <= now() AND lease_until <= now() RETURNING fence",
        *place,
        dt.timedelta(seconds=lease_seconds),
    )
    return None if fence is None else Turn(task, fence)


async def extend_turn(
    connection: Connection, ledger: int, gateway: str, turn: Turn, lease_seconds: float
) -> bool:
    """Have the lease last so much longer from now on; False: somebody else has it by now."""
    done = await connection.fetchval(
        "UPDATE bank_turns SET lease_until = now() + $5::interval"
        " WHERE ledger_id = $1 AND gateway = $2 AND task = $3 AND fence = $4 RETURNING fence",
        ledger,
        gateway,
        *turn,
        dt.timedelta(seconds=lease_seconds),
    )
    return done is not None


async def end_turn(
    connection: Connection, ledger: int, gateway: str, turn: Turn, due_seconds: float
) -> None:
    """Give it back; it is due again after so many seconds."""
    await connection.execute(
        "UPDATE bank_turns SET lease_until = '-infinity', due_at = now() + $5::interval"
        " WHERE ledger_id = $1 AND gateway = $2 AND task = $3 AND fence = $4",
        ledger,
        gateway,
        *turn,
        dt.timedelta(seconds=due_seconds),
    )


# --- files --------------------------------------------------------------------------------------


async def load_hashes(
    connection: Connection, ledger: int, gateway: str, names: Sequence[str]
) -> dict[str, tuple[bytes, bool]]:
    """Which of these are stored: the SHA-256 of each, and whether it was acknowledged."""
    rows = await connection.fetch(
        "SELECT name, hash, acknowledged_at IS NOT NULL AS done FROM bank_inbox"
        " WHERE ledger_id = $1 AND gateway = $2 AND name = ANY ($3::text[])",
        ledger,
        gateway,
        list(names),
    )
    return {row["name"]: (row["hash"], row["done"]) for row in rows}


_KEEP: Final = """
INSERT INTO bank_inbox (ledger_id, gateway, name, id, content, hash, received_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp())
    ON CONFLICT (ledger_id, gateway, name) DO NOTHING RETURNING name"""


async def keep_file(
    connection: Connection,
    ledger: int,
    gateway: str,
    name: str,
    id: str,
    content: bytes,
    sha256: bytes,
) -> bool:
    """Store it; False: one of this name is there."""
    kept = await connection.fetchval(_KEEP, ledger, gateway, name, id, content, sha256)
    return kept is not None


async def acknowledge_file(connection: Connection, ledger: int, gateway: str, name: str) -> None:
    """The bank was told that it is stored."""
    await connection.execute(
        "UPDATE bank_inbox SET acknowledged_at = now()"
        " WHERE ledger_id = $1 AND gateway = $2 AND name = $3",
        ledger,
        gateway,
        name,
    )


async def next_unread(connection: Connection, ledger: int, gateway: str) -> BankFile | None:
    """The oldest file that is neither taken in nor given up."""
    row = await connection.fetchrow(
        "SELECT name, id, content, received_at FROM bank_inbox"
        " WHERE ledger_id = $1 AND gateway = $2 AND read_at IS NULL AND failure IS NULL"
        " ORDER BY received_at, name LIMIT 1",
        ledger,
        gateway,
    )
    if row is None:
        return None
    return BankFile(row["name"], row["id"].hex, row["content"], row["received_at"])


async def fail_file(
    connection: Connection, ledger: int, gateway: str, name: str, failure: str
) -> None:
    """It cannot be read: it stays as it is, for a person."""
    await connection.execute(
        "UPDATE bank_inbox SET failure = $4"
        " WHERE ledger_id = $1 AND gateway = $2 AND name = $3 AND read_at IS NULL",
        ledger,
        gateway,
        name,
        failure,
    )


_STATEMENT: Final = """
INSERT INTO bank_statements (ledger_id, gateway, account, number, statement_id, page, is_last,
                             electronic, legal, balance, currency, entries, created_at, file)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"""


async def finish_file(
    connection: Connection,
    ledger: int,
    gateway: str,
    name: str,
    turn: Turn,
    statements: Sequence[StatementRow],
    alarms: Sequence[Alarm] = (),
) -> bool:
    """All of it is taken in: what is remembered of its statements, in one commit with that.

    False: somebody else has the turn, or it was read already; nothing is written.
    """
    async with connection.transaction():
        held = await connection.fetchval(
            "SELECT fence FROM bank_turns WHERE ledger_id = $1 AND gateway = $2 AND task = $3"
            " AND fence = $4 FOR UPDATE",
            ledger,
            gateway,
            *turn,
        )
        if held is None:
            return False
        read = await connection.fetchval(
            "UPDATE bank_inbox SET read_at = now() WHERE ledger_id = $1 AND gateway = $2"
            " AND name = $3 AND read_at IS NULL RETURNING name",
            ledger,
            gateway,
            name,
        )
        if read is None:
            return False
        for one in statements:
            await connection.execute(
                _STATEMENT, ledger, gateway, one.account, one.number, *one[1:10], name
            )
        await raise_alarms(connection, ledger, alarms)
    return True


async def find_last_statement(
    connection: Connection, ledger: int, gateway: str, account: str
) -> StatementRow | None:
    """The statement of this account that was read last."""
    row = await connection.fetchrow(
        "SELECT account, statement_id, page, is_last, electronic, legal, balance, currency,"
        " entries, created_at, number FROM bank_statements"
        " WHERE ledger_id = $1 AND gateway = $2 AND account = $3 ORDER BY number DESC LIMIT 1",
        ledger,
        gateway,
        account,
    )
    return None if row is None else StatementRow(*row.values())


# --- lines --------------------------------------------------------------------------------------

_LINES: Final = """
INSERT INTO bank_lines (ledger_id, gateway, id, subject, amount, currency, reference, at, text,
                        file)
SELECT $1, $2, u.id, u.subject, u.amount, u.currency, u.reference, u.at, u.text, $3
  FROM (SELECT unnest($4::text[]) AS id, unnest($5::text[]) AS subject,
               unnest($6::bigint[]) AS amount, unnest($7::text[]) AS currency,
               unnest($8::text[]) AS reference, unnest($9::timestamptz[]) AS at,
               unnest($10::text[]) AS text) u
    ON CONFLICT DO NOTHING"""


async def store_lines(
    connection: Connection, ledger: int, gateway: str, file: str, lines: Sequence[BankLine]
) -> None:
    """Store lines that are not there yet; they count once their file is taken in."""
    columns = [list(column) for column in zip(*lines, strict=True)]
    await connection.execute(_LINES, ledger, gateway, file, *columns)


_LIST_LINES: Final = """
SELECT l.id, l.subject, l.amount, l.currency, l.reference, l.at, l.text FROM bank_lines l
 WHERE l.ledger_id = $1 AND l.gateway = $2 AND l.at >= $3 AND l.at < $4
   AND EXISTS (SELECT FROM bank_inbox i
                WHERE i.ledger_id = $1 AND i.gateway = $2 AND i.name = l.file
                  AND i.read_at IS NOT NULL OFFSET 0)
 ORDER BY l.at, l.number"""


async def list_lines(
    connection: Connection, ledger: int, gateway: str, start: dt.datetime, end: dt.datetime
) -> list[BankLine]:
    """What was booked from `start` on until just before `end`, of files that are taken in, each
    day's lines as they stood there.
    """
    rows = await connection.fetch(_LIST_LINES, ledger, gateway, start, end)
    return [BankLine(*row.values()) for row in rows]


# --- alarms -------------------------------------------------------------------------------------

_RAISE: Final = """
INSERT INTO bank_alarms (ledger_id, gateway, id, kind, about, details, raised_at)
SELECT $1, u.gateway, u.id, u.kind, u.about, u.details::jsonb, now()
  FROM (SELECT unnest($2::text[]) AS gateway, unnest($3::text[]) AS id, unnest($4::text[]) AS kind,
               unnest($5::text[]) AS about, unnest($6::text[]) AS details) u
    ON CONFLICT DO NOTHING RETURNING id"""


async def raise_alarms(connection: Connection, ledger: int, alarms: Sequence[Alarm]) -> set[str]:
    """Have them listed, each once; gives the ids of those that are new."""
    if not alarms:
        return set()
    rows = await connection.fetch(
        _RAISE,
        ledger,
        [one.gateway for one in alarms],
        [one.id for one in alarms],
        [one.kind for one in alarms],
        [one.about for one in alarms],
        [json.dumps(dict(one.details)) for one in alarms],
    )
    return {row["id"] for row in rows}


_LIST_ALARMS: Final = """
SELECT gateway, id, kind, about, details::text AS details, raised_at FROM bank_alarms
 WHERE ledger_id = $1
   AND (raised_at, gateway, id) > (coalesce($2::timestamptz, '-infinity'), $3::text, $4::text)
 ORDER BY raised_at, gateway, id LIMIT $5"""


async def list_alarms(
    connection: Connection,
    ledger: int,
    *,
    after: tuple[dt.datetime, str, str] | None,
    limit: int,
) -> list[Alarm]:
    """All of a ledger's, the oldest first, from behind `after` on."""
    rows = await connection.fetch(_LIST_ALARMS, ledger, *(after or (None, "", "")), limit)
    return [
        Alarm(
            row["gateway"],
            row["id"],
            row["kind"],
            row["about"],
            json.loads(row["details"]),
            row["raised_at"],
        )
        for row in rows
    ]
