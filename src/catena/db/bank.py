"""Orders of the bank rail, and the files that they leave in.

Invariant: an order is stored once, and is in one file at most; a file's bytes never change. None of
this is money: what has become of an order its chain is told by the journal.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.ids import BANK_FILE, CHAIN

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = [
    "FileState",
    "OpenOrders",
    "OrderRow",
    "OrderState",
    "SealedFile",
    "claim_file",
    "collect_order",
    "find_order",
    "list_files",
    "load_file_orders",
    "load_orders",
    "lock_open_orders",
    "move_orders",
    "settle_file",
    "store_file",
    "sum_open_orders",
]


class OrderState(StrEnum):
    """How far an order is."""

    OPEN = "open"
    """It waits for its file to be sealed, and can be called off."""
    SEALED = "sealed"
    """It is in a file: the bank may have it."""
    ACCEPTED = "accepted"
    """The bank says that it has it. Nothing is booked."""
    PAID = "paid"
    DECLINED = "declined"
    """Nothing was booked, and nothing will be."""
    RETURNED = "returned"
    """It was paid, and has come back."""


class FileState(StrEnum):
    """How far a file is."""

    SEALED = "sealed"
    TAKEN = "taken"
    REFUSING = "refusing"
    """The bank will carry out none of it; its orders are being declined."""
    REFUSED = "refused"


class OrderRow(NamedTuple):
    """An order as it is stored. `amount` in minor units; `told_by`: the notice of its state."""

    end_to_end_id: str
    key: str
    amount: int
    currency: str
    name: str
    iban: str
    requested_on: dt.date
    bic: str | None
    remittance: str
    state: OrderState = OrderState.OPEN
    code: str = ""
    told_by: str | None = None
    block_id: str | None = None


class OpenOrders(NamedTuple):
    """What waits for the next file: how many, since when, and the first day asked for."""

    orders: int
    oldest: dt.datetime
    first_day: dt.date


class SealedFile(NamedTuple):
    """A file, and how its delivery goes. `total` in minor units; `fence` of who delivers it."""

    id: str
    message_id: str
    orders: int
    total: int
    currency: str
    sealed_at: dt.datetime
    state: FileState
    code: str
    text: str
    tries: int
    due_at: dt.datetime
    fence: int
    content: bytes = b""


_ORDER: Final = """end_to_end_id, key, amount, currency, name, iban, requested_on, bic, remittance,
       state, code, told_by, block_id"""

_COLLECT: Final = """
INSERT INTO bank_orders (ledger_id, gateway, end_to_end_id, key, amount, currency, name, iban,
                         requested_on, bic, remittance, chain_id, collected_at, state, code)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now(), 'open', '')
    ON CONFLICT (ledger_id, gateway, end_to_end_id) DO NOTHING"""


async def collect_order(
    connection: Connection, ledger: int, gateway: str, order: OrderRow, chain: str | None
) -> OrderRow:
    """Store it unless it is there; gives it as it stands, which is what was asked for first.

    `chain`: whose order it is.
    """
    id = chain[len(CHAIN) :] if chain is not None else None
    await connection.execute(_COLLECT, ledger, gateway, *order[:9], id)
    found = await find_order(connection, ledger, gateway, order.end_to_end_id)
    assert found is not None  # noqa: S101  # nothing deletes one
    return found


async def find_order(
    connection: Connection, ledger: int, gateway: str, name: str
) -> OrderRow | None:
    """The order with this EndToEndId."""
    found = await load_orders(connection, ledger, gateway, [name])
    return found[0] if found else None


_LOAD: Final = f"""
SELECT {_ORDER} FROM unnest($3::text[]) AS u (wanted)
 CROSS JOIN LATERAL (SELECT * FROM bank_orders
                      WHERE ledger_id = $1 AND gateway = $2 AND end_to_end_id = u.wanted
                     OFFSET 0) o"""  # noqa: S608  # columns


async def load_orders(
    connection: Connection, ledger: int, gateway: str, names: Collection[str]
) -> list[OrderRow]:
    """Orders by their EndToEndIds, as far as they are there."""
    return [_order(row) for row in await connection.fetch(_LOAD, ledger, gateway, list(names))]


async def load_file_orders(
    connection: Connection, ledger: int, gateway: str, message_id: str
) -> list[OrderRow]:
    """The orders of a file; none: it is none of ours."""
    names = await connection.fetchval(
        "SELECT names FROM bank_files WHERE ledger_id = $1 AND gateway = $2 AND message_id = $3",
        ledger,
        gateway,
        message_id,
    )
    return await load_orders(connection, ledger, gateway, names or [])


async def sum_open_orders(connection: Connection, ledger: int, gateway: str) -> OpenOrders | None:
    """What waits for the next file; None: nothing does."""
    row = await connection.fetchrow(
        "SELECT count(*) AS count, min(collected_at) AS oldest, min(requested_on) AS first_day"
        " FROM bank_orders WHERE ledger_id = $1 AND gateway = $2 AND state = 'open'",
        ledger,
        gateway,
    )
    if row is None or not row["count"]:
        return None
    return OpenOrders(row["count"], row["oldest"], row["first_day"])


_LOCK: Final = f"""
SELECT {", ".join(f"o.{name.strip()}" for name in _ORDER.split(","))}, c.state AS chain_state
  FROM bank_orders o
  LEFT JOIN chains c ON c.ledger_id = o.ledger_id AND c.chain_id = o.chain_id
 WHERE o.ledger_id = $1 AND o.gateway = $2 AND o.state = 'open'
   AND c.state IS DISTINCT FROM 'held'
 ORDER BY o.collected_at, o.end_to_end_id LIMIT $3 FOR UPDATE OF o SKIP LOCKED"""  # noqa: S608  # columns


async def lock_open_orders(
    connection: Connection, ledger: int, gateway: str, limit: int
) -> list[tuple[OrderRow, str | None]]:
    """Those that have waited longest and nobody else is sealing, until the transaction ends; each
    with the state of its chain. Those of held chains wait on.
    """
    rows = await connection.fetch(_LOCK, ledger, gateway, limit)
    return [(_order(row), row["chain_state"]) for row in rows]


_STORE: Final = """
INSERT INTO bank_files (ledger_id, gateway, message_id, file_id, content, names, total, currency,
                        sealed_at, state, code, text, tries, due_at, fence)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'sealed', '', '', 0, now(), 0)"""

# The whole key comes with each row, and so does the state: a plan that was made while there was
# nothing looks each order up, too.
_SEAL: Final = """
UPDATE bank_orders o SET state = 'sealed', message_id = $3, block_id = u.block_id
  FROM (SELECT $1::integer AS ledger_id, $2::text AS gateway, unnest($4::text[]) AS name,
               unnest($5::text[]) AS block_id, 'open' AS before) u
 WHERE o.ledger_id = u.ledger_id AND o.gateway = u.gateway AND o.end_to_end_id = u.name
   AND o.state = u.before"""


async def store_file(
    connection: Connection,
    ledger: int,
    gateway: str,
    file: SealedFile,
    blocks: Mapping[str, str],
) -> None:
    """Store a file with the orders that have these EndToEndIds, each in its payment block.

    Within the transaction that has locked them.
    """
    place = ledger, gateway, file.message_id
    names = list(blocks)
    own = file.id[len(BANK_FILE) :], file.content, names, file.total, file.currency, file.sealed_at
    await connection.execute(_STORE, *place, *own)
    done = await connection.execute(_SEAL, *place, names, list(blocks.values()))
    assert done == f"UPDATE {len(names)}"  # noqa: S101  # they are locked


_FILE: Final = """file_id, message_id, cardinality(names) AS orders, total, currency, sealed_at,
       state, code, text, tries, due_at, fence"""

_CLAIM: Final = f"""
UPDATE bank_files SET fence = fence + 1, tries = tries + 1, due_at = now() + $3::interval
 WHERE ledger_id = $1 AND gateway = $2 AND message_id = ANY (ARRAY(
       SELECT message_id FROM bank_files
        WHERE ledger_id = $1 AND gateway = $2 AND state IN ('sealed', 'refusing')
          AND due_at <= now()
        ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED))
RETURNING {_FILE}, content"""  # noqa: S608  # columns


async def claim_file(
    connection: Connection, ledger: int, gateway: str, lease_seconds: float
) -> SealedFile | None:
    """Take a file that is to be delivered, or declined, now; nobody else has it until the lease
    ends.
    """
    lease = dt.timedelta(seconds=lease_seconds)
    row = await connection.fetchrow(_CLAIM, ledger, gateway, lease)
    return None if row is None else _file(row)


_SETTLE: Final = """
UPDATE bank_files SET state = $5, code = $6, text = $7, due_at = now() + $8::interval
 WHERE ledger_id = $1 AND gateway = $2 AND message_id = $3 AND fence = $4
   AND state IN ('sealed', 'refusing')
RETURNING message_id"""


async def settle_file(
    connection: Connection,
    ledger: int,
    gateway: str,
    file: SealedFile,
    state: FileState,
    *,
    code: str = "",
    text: str = "",
    again_seconds: float = 0.0,
) -> bool:
    """What became of its delivery; False: others have taken it meanwhile, and nothing is written.

    Still sealed: it is due again after so many seconds.
    """
    pause = dt.timedelta(seconds=again_seconds)
    place = ledger, gateway, file.message_id, file.fence
    return await connection.fetchval(_SETTLE, *place, state, code, text, pause) is not None


_MOVE: Final = """
UPDATE bank_orders o SET state = u.state, code = u.code, told_by = u.told_by
  FROM (SELECT $1::integer AS ledger_id, $2::text AS gateway, unnest($3::text[]) AS name,
               unnest($4::text[]) AS before, unnest($5::text[]) AS state,
               unnest($6::text[]) AS code, unnest($7::text[]) AS told_by) u
 WHERE o.ledger_id = u.ledger_id AND o.gateway = u.gateway AND o.end_to_end_id = u.name
   AND o.state = u.before
RETURNING o.end_to_end_id AS name"""


async def move_orders(
    connection: Connection,
    ledger: int,
    gateway: str,
    moves: Sequence[tuple[OrderRow, OrderState, str, str]],
) -> set[str]:
    """Set orders to a new state, with its code and the notice that tells it, as far as they are
    still as they were read. Gives the names of those that were.
    """
    rows = await connection.fetch(
        _MOVE,
        ledger,
        gateway,
        [order.end_to_end_id for order, *_ in moves],
        [order.state for order, *_ in moves],
        [state for _, state, *_ in moves],
        [code for _, _, code, _ in moves],
        [told_by for *_, told_by in moves],
    )
    return {row["name"] for row in rows}


_LIST: Final = f"""
SELECT gateway, {_FILE} FROM bank_files
 WHERE ledger_id = $1 AND (sealed_at, gateway, file_id)
       > (coalesce($2::timestamptz, '-infinity'), $3::text, $4::uuid)
 ORDER BY sealed_at, gateway, file_id LIMIT $5"""  # noqa: S608  # columns

_FIRST: Final = "0" * 32


async def list_files(
    connection: Connection,
    ledger: int,
    *,
    after: tuple[dt.datetime, str, str] | None,
    limit: int,
) -> list[tuple[str, SealedFile]]:
    """Files of every bank, without their bytes, the oldest first, from behind `after` on."""
    at, gateway, id = after or (None, "", BANK_FILE + _FIRST)
    rows = await connection.fetch(_LIST, ledger, at, gateway, id[len(BANK_FILE) :], limit)
    return [(row["gateway"], _file(row)) for row in rows]


def _order(row: asyncpg.Record) -> OrderRow:
    values: dict[str, Any] = {name: row[name] for name in OrderRow._fields}
    return OrderRow(**values | {"state": OrderState(values["state"])})


def _file(row: asyncpg.Record) -> SealedFile:
    return SealedFile(
        BANK_FILE + row["file_id"].hex,
        row["message_id"],
        row["orders"],
        row["total"],
        row["currency"],
        row["sealed_at"],
        FileState(row["state"]),
        row["code"],
        row["text"],
        row["tries"],
        row["due_at"],
        row["fence"],
        row.get("content", b""),
    )
