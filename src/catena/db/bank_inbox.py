"""What a bank has given us: its files, and the statements and lines in them.

Invariant: a file is stored as it came before anything is made of it, and is read until all of it is
taken in; a line counts once its file is. Turns say who reads.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.db.bank_alarms import Alarm, raise_alarms

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = [
    "BankFile",
    "BankLine",
    "Repeated",
    "StatementRow",
    "Turn",
    "acknowledge_file",
    "count_statements",
    "end_turn",
    "extend_turn",
    "fail_file",
    "find_before",
    "find_repeated",
    "finish_file",
    "keep_file",
    "list_lines",
    "load_hashes",
    "next_unread",
    "note_turn",
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


class Repeated(NamedTuple):
    """An order, or a block, that several lines have the name of. `total` in minor units."""

    reference: str
    is_debit: bool
    lines: int
    total: int


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


_NOTE_TURN: Final = """
UPDATE bank_turns SET failing_since = CASE WHEN $4 THEN coalesce(failing_since, now()) END
 WHERE ledger_id = $1 AND gateway = $2 AND task = $3
RETURNING failing_since"""


async def note_turn(
    connection: Connection, ledger: int, gateway: str, turn: Turn, *, fails: bool
) -> dt.datetime | None:
    """Whether something came of it; gives since when nothing does."""
    place = ledger, gateway, turn.task
    since: dt.datetime | None = await connection.fetchval(_NOTE_TURN, *place, fails)
    return since


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


async def count_statements(connection: Connection, ledger: int, gateway: str, account: str) -> int:
    """How many of this account were read: the highest number."""
    found: int = await connection.fetchval(
        "SELECT coalesce(max(number), 0) FROM bank_statements"
        " WHERE ledger_id = $1 AND gateway = $2 AND account = $3",
        ledger,
        gateway,
        account,
    )
    return found


_BEFORE: Final = """
SELECT account, statement_id, page, is_last, electronic, legal, balance, currency, entries,
       created_at, number
  FROM bank_statements
 WHERE ledger_id = $1 AND gateway = $2 AND account = $3
   AND (created_at <= $4 OR (statement_id = $5 AND page = $6))
 ORDER BY (statement_id = $5 AND page = $6 AND balance IS NOT DISTINCT FROM $7
           AND entries = $8) DESC, created_at DESC, number DESC LIMIT 1"""


async def find_before(
    connection: Connection, ledger: int, gateway: str, one: StatementRow
) -> StatementRow | None:
    """The statement that this one follows upon by its time, or the same one, if it was read
    before.
    """
    told = one.account, one.created_at, one.statement_id, one.page, one.balance, one.entries
    row = await connection.fetchrow(_BEFORE, ledger, gateway, *told)
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


_TWICE: Final = """
SELECT reference, amount < 0 AS is_debit, count(*) AS count, sum(amount)::text AS total
  FROM bank_lines
 WHERE ledger_id = $1 AND gateway = $2 AND subject = 'payout' AND reference = ANY ($3::text[])
 GROUP BY reference, amount < 0 HAVING count(*) > 1"""


async def find_repeated(
    connection: Connection, ledger: int, gateway: str, orders: Collection[str]
) -> list[Repeated]:
    """Those of these orders and blocks that were debited, or have come back, several times."""
    rows = await connection.fetch(_TWICE, ledger, gateway, list(orders))
    return [
        Repeated(row["reference"], row["is_debit"], row["count"], int(row["total"]))
        for row in rows  # a total may be over 64 bits
    ]


_LIST_LINES: Final = """
SELECT l.id, l.subject, l.amount, l.currency, l.reference, l.at, l.text
  FROM (SELECT * FROM bank_lines b
         WHERE b.ledger_id = $1 AND b.gateway = $2 AND b.at >= $3 AND b.at < $4
           AND EXISTS (SELECT FROM bank_inbox i
                        WHERE i.ledger_id = $1 AND i.gateway = $2 AND i.name = b.file
                          AND i.read_at IS NOT NULL OFFSET 0)
         UNION ALL
        SELECT b.* FROM bank_inbox i
         CROSS JOIN LATERAL (
               SELECT * FROM bank_lines
                WHERE ledger_id = $1 AND gateway = $2 AND file = i.name AND at < $3 OFFSET 0) b
         WHERE i.ledger_id = $1 AND i.gateway = $2 AND i.read_at >= $3) l
 ORDER BY l.at, l.number"""


async def list_lines(
    connection: Connection, ledger: int, gateway: str, start: dt.datetime, end: dt.datetime
) -> list[BankLine]:
    """What was booked from `start` on until just before `end`, of files that are taken in, and all
    that was booked before, of files that were since; each day's lines as they stood there.
    """
    rows = await connection.fetch(_LIST_LINES, ledger, gateway, start, end)
    return [BankLine(*row.values()) for row in rows]
