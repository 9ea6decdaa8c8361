"""The inbox: what has come from outside, each message once, and which chain waits for what."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.ids import CHAIN

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = [
    "Message",
    "Received",
    "Unmatched",
    "find_waiting",
    "list_unmatched",
    "load_inbox",
    "load_messages",
]


class Message(NamedTuple):
    """Something that came from outside. `source` and `id` name it; `correlation` what it is about.

    The payload is JSON.
    """

    source: str
    id: str
    correlation: str
    payload: Any = None

    def says(self) -> str:
        """All that it says, as one text: two messages that say the same have the same."""
        return json.dumps([self.correlation, self.payload], sort_keys=True)


class Received(NamedTuple):
    """A message that was taken in, and the chain that it was given to."""

    message: Message
    chain: str | None


class Unmatched(NamedTuple):
    """A message that nobody has waited for so far."""

    message: Message
    received_at: dt.datetime


async def load_inbox(
    connection: Connection, ledger: int, messages: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Received]:
    """Those of the messages that are there."""
    pairs = list(messages)
    rows = await connection.fetch(
        "SELECT i.source, i.id, i.correlation, i.payload::text AS payload, i.chain_id"
        "  FROM unnest($2::text[], $3::text[]) AS u (source, id)"
        " CROSS JOIN LATERAL (SELECT * FROM inbox"
        "  WHERE ledger_id = $1 AND source = u.source AND id = u.id OFFSET 0) i",
        ledger,
        [source for source, _ in pairs],
        [id for _, id in pairs],
    )
    return {
        (row["source"], row["id"]): Received(
            _message(row), CHAIN + row["chain_id"].hex if row["chain_id"] else None
        )
        for row in rows
    }


async def find_waiting(
    connection: Connection, ledger: int, correlations: Iterable[str]
) -> list[str]:
    """The chains that wait for one of these."""
    rows = await connection.fetch(
        "SELECT DISTINCT chain_id FROM correlations"
        " WHERE ledger_id = $1 AND correlation = ANY ($2::text[])",
        ledger,
        list(correlations),
    )
    return [CHAIN + row["chain_id"].hex for row in rows]


# A plan that was made when nothing was there cannot tell one index of what is unmatched from the
# other; in this order only the one by correlation needs no sorting.
_MESSAGES: Final = """
SELECT DISTINCT ON (i.received_at, i.source, i.id)
       c.chain_id, i.source, i.id, i.correlation, i.payload::text AS payload
  FROM correlations c
 CROSS JOIN LATERAL (
       SELECT * FROM inbox
        WHERE ledger_id = $1 AND correlation BETWEEN c.correlation AND c.correlation
          AND chain_id IS NULL
        ORDER BY correlation, received_at OFFSET 0) i
 WHERE c.ledger_id = $1 AND c.chain_id = ANY ($2::uuid[])
 ORDER BY i.received_at, i.source, i.id, c.chain_id"""


async def load_messages(
    connection: Connection, ledger: int, chains: Sequence[str]
) -> dict[str, list[Message]]:
    """The messages that came before these chains began to wait for them, the oldest first."""
    found: dict[str, list[Message]] = {}
    for row in await connection.fetch(_MESSAGES, ledger, [id[4:] for id in chains]):
        found.setdefault(CHAIN + row["chain_id"].hex, []).append(_message(row))
    return found


_UNMATCHED: Final = """
SELECT source, id, correlation, payload::text AS payload, received_at
  FROM inbox
 WHERE ledger_id = $1 AND chain_id IS NULL
   AND (received_at, source, id) > (coalesce($2::timestamptz, '-infinity'), $3::text, $4::text)
 ORDER BY received_at, source, id LIMIT $5"""


async def list_unmatched(
    connection: Connection,
    ledger: int,
    *,
    after: tuple[dt.datetime, str, str] | None,
    limit: int,
) -> list[Unmatched]:
    """The messages that nobody has waited for so far, the oldest first, from behind `after` on."""
    place = after or (None, "", "")
    rows = await connection.fetch(_UNMATCHED, ledger, *place, limit)
    return [Unmatched(_message(row), row["received_at"]) for row in rows]


def _message(row: asyncpg.Record) -> Message:
    payload = json.loads(row["payload"] or "null")
    return Message(row["source"], row["id"], row["correlation"], payload)
