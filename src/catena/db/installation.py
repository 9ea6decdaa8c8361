"""What belongs to the installation and not to a book: ledgers, API keys, its own secrets."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.ids import KEY, LEDGER, random_bytes

if TYPE_CHECKING:
    import uuid

    from catena.db.pool import Connection

__all__ = [
    "KeyDescription",
    "KeyRow",
    "Ledger",
    "create_key",
    "create_ledger",
    "find_key",
    "list_keys",
    "list_ledgers",
    "put_asset",
    "read_secret",
    "revoke_key",
]


class Ledger(NamedTuple):
    """A book. `number` leads its rows, `id` is what callers see; `assets`: code to exponent.

    `payload` fingerprints the request that made it (hex).
    """

    number: int
    id: str
    name: str
    assets: dict[str, int]
    created_at: dt.datetime
    payload: str | None


class KeyRow(NamedTuple):
    """An API key that is in force. `ledgers`: ids it is limited to, None for all."""

    id: str
    scopes: Sequence[str]
    ledgers: Sequence[str] | None


_LEDGERS: Final = """
SELECT ledger_id, id, name, assets::text AS assets, created_at, payload
  FROM ledgers ORDER BY ledger_id"""


async def list_ledgers(connection: Connection) -> list[Ledger]:
    """Every ledger, the oldest first."""
    return [
        Ledger(
            row["ledger_id"],
            LEDGER + row["id"].hex,
            row["name"],
            json.loads(row["assets"]),
            row["created_at"],
            row["payload"].hex if row["payload"] else None,
        )
        for row in await connection.fetch(_LEDGERS)
    ]


async def create_ledger(
    connection: Connection, id: str, name: str, assets: dict[str, int], payload: str | None = None
) -> bool:
    """Create a ledger, empty, at position 0; False when one with this id is there already."""
    async with connection.transaction():
        number = await connection.fetchval(
            "INSERT INTO ledgers (id, name, assets, payload) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (id) DO NOTHING RETURNING ledger_id",
            id[len(LEDGER) :],
            name,
            json.dumps(assets),
            payload,
        )
        if number is not None:
            await connection.execute(
                "INSERT INTO positions (ledger_id, position, recorded_at)"
                " VALUES ($1, 0, clock_timestamp())",
                number,
            )
    return number is not None


async def put_asset(connection: Connection, ledger: int, code: str, exponent: int) -> int:
    """Register an asset unless it is; gives the exponent that it has from now on."""
    kept: int = await connection.fetchval(
        "UPDATE ledgers SET assets = jsonb_build_object($2::text, $3::integer) || assets"
        " WHERE ledger_id = $1 RETURNING (assets ->> $2)::integer",
        ledger,
        code,
        exponent,
    )
    return kept


async def create_key(  # the columns of a key
    connection: Connection,
    id: str,
    name: str,
    secret_hash: bytes,
    scopes: Sequence[str],
    ledgers: Sequence[str] | None,
) -> None:
    """Store a new API key. Its secret is never stored."""
    await connection.execute(
        "INSERT INTO api_keys (id, name, secret_hash, scopes, ledgers) VALUES ($1, $2, $3, $4, $5)",
        id[len(KEY) :],
        name,
        secret_hash,
        list(scopes),
        None if ledgers is None else [ledger[len(LEDGER) :] for ledger in ledgers],
    )


async def find_key(connection: Connection, secret_hash: bytes) -> KeyRow | None:
    """The key with this hash, unless it was revoked."""
    row = await connection.fetchrow(
        "SELECT id, scopes, ledgers FROM api_keys WHERE secret_hash = $1 AND revoked_at IS NULL",
        secret_hash,
    )
    if row is None:
        return None
    return KeyRow(KEY + row["id"].hex, row["scopes"], _ledger_ids(row["ledgers"]))


class KeyDescription(NamedTuple):
    """What is known of an API key; never its secret. `revoked_at`: None while it is in force."""

    id: str
    name: str
    scopes: Sequence[str]
    ledgers: Sequence[str] | None
    created_at: dt.datetime
    revoked_at: dt.datetime | None


async def list_keys(connection: Connection) -> list[KeyDescription]:
    """Every API key there ever was, the oldest first."""
    rows = await connection.fetch(
        "SELECT id, name, scopes, ledgers, created_at, revoked_at FROM api_keys"
        " ORDER BY created_at, id"
    )
    return [
        KeyDescription(
            KEY + row["id"].hex,
            row["name"],
            row["scopes"],
            _ledger_ids(row["ledgers"]),
            row["created_at"],
            row["revoked_at"],
        )
        for row in rows
    ]


def _ledger_ids(ledgers: Sequence[uuid.UUID] | None) -> list[str] | None:
    return None if ledgers is None else [LEDGER + ledger.hex for ledger in ledgers]


async def revoke_key(connection: Connection, id: str) -> bool:
    """Revoke a key; False when no such key is in force."""
    done = await connection.fetchval(
        "UPDATE api_keys SET revoked_at = clock_timestamp()"
        " WHERE id = $1 AND revoked_at IS NULL RETURNING id",
        id[len(KEY) :],
    )
    return done is not None


async def read_secret(connection: Connection, name: str) -> bytes:
    """A secret of this installation (32 random bytes), made when it is first asked for."""
    await connection.execute(
        "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        name,
        random_bytes(32).hex(),
    )
    value = await connection.fetchval("SELECT value FROM installation WHERE name = $1", name)
    return bytes.fromhex(value)
