"""What the journal reads to decide: accounts, entries, what corrects them, references, keys.

Invariant: with `lock`, accounts are locked in the order of their ids and stay so to the commit.
`OFFSET 0` is a fence: behind it each row is looked up by its whole key, even by a plan that was
made while the books were empty and reading all of them seemed as cheap.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.db.rows import line_from_row, profile_from_row
from catena.db.write import telling_stale
from catena.ids import ACCOUNT, CHAIN, ENTRY, position_of
from catena.ledger.accounts import Account, AccountStatus, AccountType
from catena.ledger.corrections import Correction
from catena.ledger.entries import Entry, EntryType
from catena.ledger.terms import Profile

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = [
    "ClaimRow",
    "ReferenceRow",
    "StoredKey",
    "load_accounts",
    "load_assets",
    "load_corrected",
    "load_corrections",
    "load_entries",
    "load_events",
    "load_keys",
    "load_profiles",
    "load_references",
    "read_now",
]

_ACCOUNTS: Final = """
SELECT b.account_id, a.type, a.currency, a.role, b.floor, b.ceiling, b.status, b.debits, b.credits,
       b.reserved, b.line_count, b.version
  FROM balances b
 CROSS JOIN LATERAL (
       SELECT type, currency, role FROM accounts
        WHERE ledger_id = $1 AND account_id = b.account_id OFFSET 0) a
 WHERE b.ledger_id = $1 AND b.account_id = ANY($2::uuid[])"""
_LOCKED_ACCOUNTS: Final = """
SELECT b.account_id, a.type, a.currency, a.role, b.floor, b.ceiling, b.status, b.debits, b.credits,
       b.reserved, b.line_count, b.version
  FROM journal_lock($1, $2::uuid[]) b
 CROSS JOIN LATERAL (
       SELECT type, currency, role FROM accounts
        WHERE ledger_id = $1 AND account_id = b.account_id OFFSET 0) a"""


async def load_accounts(
    connection: Connection, ledger: int, ids: Iterable[str], *, lock: bool
) -> dict[str, Account]:
    """The accounts that exist among `ids`, as decisions read them. With `lock`, raises Stale."""
    statement = _LOCKED_ACCOUNTS if lock else _ACCOUNTS
    with telling_stale():
        rows = await connection.fetch(statement, ledger, [id[5:] for id in ids])
    accounts = (
        Account(
            ACCOUNT + row["account_id"].hex,
            AccountType(row["type"]),
            row["currency"],
            role=row["role"],
            floor=row["floor"],
            ceiling=row["ceiling"],
            status=AccountStatus(row["status"]),
            debits=row["debits"],
            credits=row["credits"],
            reserved=row["reserved"],
            line_count=row["line_count"],
            version=row["version"],
        )
        for row in rows
    )
    return {account.id: account for account in accounts}


async def read_now(connection: Connection) -> dt.datetime:
    """The database's clock, now."""
    now: dt.datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


_PROFILES: Final = """
SELECT a.account_id, a.type, a.currency, a.role, a.user_id, a.name, a.metadata::text AS metadata,
       b.status, b.floor, b.ceiling, a.revision, a.created_at
  FROM accounts a
 CROSS JOIN LATERAL (
       SELECT status, floor, ceiling FROM balances
        WHERE ledger_id = $1 AND account_id = a.account_id OFFSET 0) b
 WHERE a.ledger_id = $1 AND a.account_id = ANY($2::uuid[])"""


async def load_profiles(
    connection: Connection, ledger: int, ids: Iterable[str]
) -> dict[str, Profile]:
    """The accounts that exist among `ids`, as people see them."""
    rows = await connection.fetch(_PROFILES, ledger, [id[5:] for id in ids])
    profiles = map(profile_from_row, rows)
    return {profile.id: profile for profile in profiles}


_ENTRIES: Final = """
SELECT e.position, e.entry_id, e.type, e.effective_at, e.recorded_at, e.description, e.reference,
       e.metadata::text AS metadata, e.details::text AS details, e.chain_id, e.step,
       c.entry_id AS corrects, r.entry_id AS reversed_by
  FROM entries e
  LEFT JOIN LATERAL (
       SELECT entry_id FROM entries
        WHERE ledger_id = $1 AND position = e.corrects OFFSET 0) c ON true
  LEFT JOIN LATERAL (
       SELECT reversal FROM corrections
        WHERE ledger_id = $1 AND position = e.position OFFSET 0) k ON true
  LEFT JOIN LATERAL (
       SELECT entry_id FROM entries
        WHERE ledger_id = $1 AND position = k.reversal OFFSET 0) r ON true
 WHERE e.ledger_id = $1 AND e.position = ANY($2::bigint[])"""
_LINES: Final = """
SELECT l.position, l.account_id, l.is_debit, l.amount, l.currency
  FROM (SELECT DISTINCT position FROM unnest($2::bigint[]) AS position) wanted
 CROSS JOIN LATERAL (
       SELECT position, account_id, is_debit, amount, currency, ordinal FROM lines
        WHERE ledger_id = $1 AND position = wanted.position OFFSET 0) l
 ORDER BY l.position, l.ordinal"""


async def load_entries(
    connection: Connection, ledger: int, positions: Sequence[int]
) -> dict[int, Entry]:
    """The entries that stand at these positions, with their lines, by position."""
    if not positions:
        return {}
    rows = await connection.fetch(_ENTRIES, ledger, positions)
    lines: dict[int, list[Any]] = {row["position"]: [] for row in rows}
    for row in await connection.fetch(_LINES, ledger, positions):
        lines[row["position"]].append(line_from_row(row))
    return {
        row["position"]: Entry(
            ENTRY + row["entry_id"].hex,
            row["position"],
            EntryType(row["type"]),
            lines[row["position"]],
            row["effective_at"],
            row["recorded_at"],
            row["description"],
            row["reference"],
            row["metadata"],
            row["details"],
            ENTRY + row["corrects"].hex if row["corrects"] else None,
            ENTRY + row["reversed_by"].hex if row["reversed_by"] else None,
            CHAIN + row["chain_id"].hex if row["chain_id"] else None,
            row["step"],
        )
        for row in rows
    }


_CORRECTED: Final = """
WITH RECURSIVE chain (position, depth) AS (
    SELECT p, 0 FROM unnest($2::bigint[]) AS p
    UNION
    SELECT e.corrects, chain.depth + 1
      FROM chain
     CROSS JOIN LATERAL (
           SELECT corrects FROM entries
            WHERE ledger_id = $1 AND position = chain.position OFFSET 0) e
     WHERE e.corrects IS NOT NULL AND chain.depth < $3
)
SELECT DISTINCT position FROM chain"""
_CORRECTIONS: Final = """
SELECT k.position, r.entry_id AS reversal, k.shares::text AS shares, k.version
  FROM corrections k
  LEFT JOIN LATERAL (
       SELECT entry_id FROM entries
        WHERE ledger_id = $1 AND position = k.reversal OFFSET 0) r ON true
 WHERE k.ledger_id = $1 AND k.position = ANY($2::bigint[])"""


async def load_corrected(
    connection: Connection, ledger: int, ids: Iterable[str], depth: int
) -> dict[str, Entry]:
    """The entries with what they correct, `depth` times over: facts, which need no lock."""
    wanted = [position_of(id) for id in ids]
    if not wanted:
        return {}
    rows = await connection.fetch(_CORRECTED, ledger, wanted, depth)
    entries = await load_entries(connection, ledger, [row["position"] for row in rows])
    return {entry.id: entry for entry in entries.values()}


async def load_corrections(
    connection: Connection, ledger: int, entries: Mapping[str, Entry]
) -> dict[str, Correction]:
    """What undoes each of these entries; read when the accounts of their lines have been."""
    corrections = {id: Correction(id) for id in entries}
    if not entries:
        return corrections
    by_position = {entry.position: id for id, entry in entries.items()}
    for row in await connection.fetch(_CORRECTIONS, ledger, list(by_position)):
        id = by_position[row["position"]]
        reversal = ENTRY + row["reversal"].hex if row["reversal"] else None
        corrections[id] = Correction(
            id, reversal, json.loads(row["shares"] or "[]"), row["version"]
        )
    return corrections


class ClaimRow(NamedTuple):
    """A chain that bears a reference, as an entry would; `content` as that of a ReferenceRow."""

    chain: str
    content: str


class ReferenceRow(NamedTuple):
    """An entry that bears a reference, with the fingerprint of what was sent under it.

    `reversal`: the id of the reversal that was in force when it was read.
    """

    position: int
    content: str
    reversal: str | None = None


_REFERENCES: Final = """
SELECT u.type, u.reference, e.position, e.content, r.entry_id AS reversal, NULL AS chain_id
  FROM unnest($2::text[], $3::text[]) AS u (type, reference)
 CROSS JOIN LATERAL (
       SELECT position, content FROM entries
        WHERE ledger_id = $1 AND type = u.type AND reference = u.reference
          AND chain_id IS NULL OFFSET 0) e
  LEFT JOIN LATERAL (
       SELECT reversal FROM corrections
        WHERE ledger_id = $1 AND position = e.position OFFSET 0) k ON true
  LEFT JOIN LATERAL (
       SELECT entry_id FROM entries
        WHERE ledger_id = $1 AND position = k.reversal OFFSET 0) r ON true
 UNION ALL
SELECT u.type, u.reference, NULL, c.content, NULL, c.chain_id
  FROM unnest($2::text[], $3::text[]) AS u (type, reference)
 CROSS JOIN LATERAL (
       SELECT content, chain_id FROM claims
        WHERE ledger_id = $1 AND type = u.type AND reference = u.reference OFFSET 0) c"""


async def load_references(
    connection: Connection, ledger: int, wanted: Iterable[tuple[EntryType, str]]
) -> dict[tuple[str, str], ReferenceRow | ClaimRow]:
    """The references that are taken, by type and reference."""
    pairs = list(wanted)
    if not pairs:
        return {}
    rows = await connection.fetch(
        _REFERENCES,
        ledger,
        [type for type, _ in pairs],
        [reference for _, reference in pairs],
    )
    return {
        (row["type"], row["reference"]): ClaimRow(CHAIN + row["chain_id"].hex, row["content"].hex)
        if row["chain_id"]
        else ReferenceRow(
            row["position"],
            row["content"].hex,
            ENTRY + row["reversal"].hex if row["reversal"] else None,
        )
        for row in rows
    }


class StoredKey(NamedTuple):
    """What an idempotency key was used for. `exceptions`: JSON text."""

    payload: str
    first: int | None
    exceptions: str | None


async def load_keys(
    connection: Connection, ledger: int, keys: Sequence[str]
) -> dict[str, StoredKey]:
    """Those of the keys that are taken."""
    rows = await connection.fetch(
        "SELECT key, payload, first, exceptions::text AS exceptions FROM idempotency"
        " WHERE ledger_id = $1 AND key = ANY($2::uuid[])",
        ledger,
        keys,
    )
    return {
        row["key"].hex: StoredKey(row["payload"].hex, row["first"], row["exceptions"])
        for row in rows
    }


async def load_events(
    connection: Connection, ledger: int, positions: Sequence[int]
) -> dict[int, tuple[str, str, dt.datetime, str]]:
    """The events at these positions: type, subject (hex), recorded_at and data (JSON text)."""
    if not positions:
        return {}
    rows = await connection.fetch(
        "SELECT position, type, subject, recorded_at, data::text AS data FROM events"
        " WHERE ledger_id = $1 AND position = ANY($2::bigint[])",
        ledger,
        positions,
    )
    return {
        row["position"]: (row["type"], row["subject"].hex, row["recorded_at"], row["data"])
        for row in rows
    }


async def load_assets(connection: Connection, ledger: int) -> dict[str, int]:
    """Exponents of the assets that a ledger has registered, by code."""
    text = await connection.fetchval(
        "SELECT assets::text FROM ledgers WHERE ledger_id = $1", ledger
    )
    assets: dict[str, int] = json.loads(text)
    return assets
