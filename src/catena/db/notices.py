"""What gateways have said, each thing once; and whose their names of things are."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.ids import CHAIN

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = [
    "Heard",
    "Named",
    "Told",
    "find_named",
    "list_notices",
    "load_notices",
]


class Told(NamedTuple):
    """Something that a gateway has said: `notice` is JSON, `id` the gateway's own."""

    gateway: str
    id: str
    subject: str
    notice: Mapping[str, Any]


class Heard(NamedTuple):
    """What became of it: the chain that it was told to, or that began for it; None: unmatched."""

    told: Told
    received_at: dt.datetime
    chain: str | None
    began: str | None


class Named(NamedTuple):
    """The step that a gateway's name is of."""

    reference: str
    chain: str
    step: str


_NOTICES: Final = """
SELECT n.*, n.notice::text AS text
  FROM unnest($2::text[], $3::text[]) AS u (gateway, id)
 CROSS JOIN LATERAL (SELECT * FROM notices
                      WHERE ledger_id = $1 AND gateway = u.gateway AND id = u.id OFFSET 0) n"""


async def load_notices(
    connection: Connection, ledger: int, ids: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Heard]:
    """Those that are there, by gateway and id."""
    pairs = list(ids)
    rows = await connection.fetch(
        _NOTICES, ledger, [gateway for gateway, _ in pairs], [id for _, id in pairs]
    )
    return {(row["gateway"], row["id"]): _heard(row) for row in rows}


_NAMED: Final = """
SELECT r.reference, r.chain_id, r.step
  FROM unnest($3::text[]) AS u (reference)
 CROSS JOIN LATERAL (SELECT * FROM chain_references
                      WHERE ledger_id = $1 AND gateway = $2 AND reference = u.reference
                      ORDER BY chain_id, step OFFSET 0) r"""


async def find_named(
    connection: Connection, ledger: int, gateway: str, references: Sequence[str]
) -> list[Named]:
    """The steps that these names are of, the oldest chain's first for each."""
    rows = await connection.fetch(_NAMED, ledger, gateway, list(references))
    return [Named(row["reference"], CHAIN + row["chain_id"].hex, row["step"]) for row in rows]


_LIST: Final = """
SELECT n.*, n.notice::text AS text
  FROM notices n
 WHERE n.ledger_id = $1 AND n.chain_id IS NULL
   AND (n.received_at, n.gateway, n.id)
       > (coalesce($2::timestamptz, '-infinity'), $3::text, $4::text)
 ORDER BY n.received_at, n.gateway, n.id LIMIT $5"""


async def list_notices(
    connection: Connection,
    ledger: int,
    *,
    after: tuple[dt.datetime, str, str] | None,
    limit: int,
) -> list[Heard]:
    """Those that nobody knows what to do with, the oldest first, from behind `after` on."""
    place = after or (None, "", "")
    return [_heard(row) for row in await connection.fetch(_LIST, ledger, *place, limit)]


def _heard(row: asyncpg.Record) -> Heard:
    told = Told(row["gateway"], row["id"], row["subject"], json.loads(row["text"]))
    chain, began = (CHAIN + id.hex if id else None for id in (row["chain_id"], row["began"]))
    return Heard(told, row["received_at"], chain, began)
