"""Money that is nobody's so far, read from the books themselves: what stands in suspense, and why.

Invariant: what is listed comes to what the flows and the work list of reconciliation have put into
suspense, less what was taken back of it and what is assigned: by an entry in force that has its id
for a reference, the first time, or again after that was reversed.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.ids import CHAIN, ENTRY, ITEM, SUSPENSE, name_again, position_of

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = ["Suspended", "find_suspended", "list_suspended", "reopen_suspended"]


class Suspended(NamedTuple):
    """Money that is nobody's. Amounts in minor units, negative: it has left, or was taken back.

    `entry` has put it there, a chain's (`chain`) or one that settles a discrepancy (`item`);
    `standing`: of it, as far as it was not reversed; `amount`: less what is assigned. `undone`: how
    many assignments of it were reversed and counted.
    """

    entry: str
    position: int
    chain: str | None
    item: str | None
    gateway: str
    reference: str | None
    standing: int
    amount: int
    currency: str
    payer_name: str | None
    payer_iban: str | None
    text: str
    at: dt.datetime
    undone: int

    @property
    def id(self) -> str:
        """Its own, as the API knows it: the digits of the entry that has put it there."""
        return SUSPENSE + self.entry[len(ENTRY) :]

    @property
    def assigned_by(self) -> str:
        """The reference of the entry that assigns it, first or after others were undone."""
        return name_again(self.id, self.undone + 1)


_AMOUNT: Final = "CASE WHEN {0}.is_debit THEN -{0}.amount ELSE {0}.amount END"

# What the entry that assigns it, `Suspended.assigned_by`, has moved, if it is in force.
_ASSIGNED: Final = f"""
SELECT {_AMOUNT.format("l")} AS amount FROM entries a
 CROSS JOIN LATERAL (
       SELECT * FROM lines WHERE ledger_id = $1 AND position = a.position OFFSET 0) l
 WHERE a.ledger_id = $1 AND a.type = 'adjustment' AND a.chain_id IS NULL
   AND a.reference = '{SUSPENSE}' || replace(e.entry_id::text, '-', '')
       || CASE WHEN u.undone > 0 THEN '#' || u.undone + 1 ELSE '' END
   AND l.account_id = s.account_id
   AND NOT EXISTS (SELECT FROM corrections
                    WHERE ledger_id = $1 AND position = a.position AND reversal IS NOT NULL
                   OFFSET 0)"""  # noqa: S608  # only constants of ours go into the text

# What a notice says of the chain that it began: it was about that, or about the chain's reference.
_TOLD: Final = """
SELECT gateway, coalesce(notice ->> 'reference', id) AS reference,
       (notice ->> 'at')::timestamptz AS at,
       coalesce(notice ->> 'text', notice ->> 'code', subject) AS text,
       notice -> 'details' ->> 'debtor_name' AS payer_name,
       notice -> 'details' ->> 'debtor_iban' AS payer_iban
  FROM notices
 WHERE ledger_id = $1 AND began = e.chain_id
   AND chain_id = ANY (ARRAY[e.chain_id, CASE WHEN c.reference ~ '^cte_[0-9a-f]{32}$'
                                              THEN substr(c.reference, 5)::uuid END])
 ORDER BY received_at, id LIMIT 1"""

# What was put there by a step of a flow, or as the settling of an item.
_FOUND: Final = f"""
SELECT e.entry_id, s.position, e.chain_id, CASE WHEN e.chain_id IS NULL THEN i.item_id END AS item,
       coalesce(n.gateway, i.gateway, '') AS gateway, n.reference, m.standing,
       m.standing + coalesce(g.amount, 0) AS amount, s.currency, n.payer_name, n.payer_iban,
       coalesce(n.text, e.description, '') AS text, coalesce(n.at, e.effective_at) AS at, u.undone
  FROM lines s
 CROSS JOIN LATERAL (
       SELECT * FROM entries WHERE ledger_id = $1 AND position = s.position OFFSET 0) e
  LEFT JOIN LATERAL (
       SELECT * FROM corrections WHERE ledger_id = $1 AND position = s.position OFFSET 0) k ON true
 CROSS JOIN LATERAL (
       SELECT CASE WHEN k.reversal IS NOT NULL THEN 0
                   ELSE {_AMOUNT.format("s")} + CASE WHEN s.is_debit THEN 1 ELSE -1 END
                        * coalesce(k.refunded, 0) END AS standing) m
  LEFT JOIN LATERAL (
       SELECT * FROM chains WHERE ledger_id = $1 AND chain_id = e.chain_id OFFSET 0) c ON true
  LEFT JOIN LATERAL ({_TOLD}) n ON e.chain_id IS NOT NULL
  LEFT JOIN LATERAL (
       SELECT * FROM reconciliation_items
        WHERE ledger_id = $1
          AND item_id = CASE WHEN e.reference ~ '^{ITEM}[0-9a-f]{{32}}'
                             THEN substr(e.reference, {len(ITEM) + 1}, 32)::uuid END
       OFFSET 0) i ON true
 CROSS JOIN LATERAL (
       SELECT coalesce((SELECT undone FROM suspense_undone
                         WHERE ledger_id = $1 AND entry_id = e.entry_id), 0) AS undone) u
  LEFT JOIN LATERAL ({_ASSIGNED}) g ON true
 WHERE s.ledger_id = $1 AND e.corrects IS NULL
   AND CASE WHEN e.chain_id IS NULL
            THEN i.item_id IS NOT NULL AND e.metadata ->> 'settling' = 'park'
            ELSE e.step = 'suspend' AND starts_with(c.type, 'gateway.') END"""  # noqa: S608  # likewise

_FIND: Final = f"""{_FOUND}
   AND s.position = $2 AND EXISTS (SELECT FROM accounts p
                                    WHERE p.ledger_id = $1 AND p.account_id = s.account_id
                                      AND p.role = 'suspense')"""

_LIST: Final = f"""
SELECT f.* FROM accounts p
 CROSS JOIN LATERAL (
       SELECT * FROM ({_FOUND} AND s.account_id = p.account_id AND s.position > $2) f
        WHERE f.amount <> 0 ORDER BY f.position LIMIT $3) f
 WHERE p.ledger_id = $1 AND p.role = 'suspense'
 ORDER BY f.position LIMIT $3"""  # noqa: S608  # likewise


async def find_suspended(connection: Connection, ledger: int, id: str) -> Suspended | None:
    """One of them, whether it was assigned meanwhile or not."""
    rows = await connection.fetch(_FIND, ledger, position_of(id))
    found = (_suspended(row) for row in rows)
    return next((one for one in found if one.id == id), None)


async def list_suspended(
    connection: Connection, ledger: int, *, after: int, limit: int
) -> list[Suspended]:
    """What is nobody's, the oldest first, from behind the position `after` on."""
    return [_suspended(row) for row in await connection.fetch(_LIST, ledger, after, limit)]


_REOPEN: Final = """
INSERT INTO suspense_undone AS u (ledger_id, entry_id, undone)
SELECT $1, $2, $4 + 1 FROM entries a
  JOIN corrections k ON k.ledger_id = $1 AND k.position = a.position
 WHERE a.ledger_id = $1 AND a.type = 'adjustment' AND a.chain_id IS NULL AND a.reference = $3
   AND k.reversal IS NOT NULL
    ON CONFLICT (ledger_id, entry_id) DO UPDATE SET undone = EXCLUDED.undone
 WHERE u.undone < EXCLUDED.undone
RETURNING undone"""


async def reopen_suspended(connection: Connection, ledger: int, one: Suspended) -> bool:
    """Count the last assignment as undone if its entry was reversed: before there is a next one.

    False: it was not, or is counted. Since a reversal of an assignment is never undone, what was
    counted stays true.
    """
    entry = one.entry[len(ENTRY) :]
    place = ledger, entry, one.assigned_by, one.undone
    return await connection.fetchval(_REOPEN, *place) is not None


def _suspended(row: asyncpg.Record) -> Suspended:
    entry, position, chain, item, *rest = row.values()
    return Suspended(
        ENTRY + entry.hex,
        position,
        CHAIN + chain.hex if chain else None,
        ITEM + item.hex if item else None,
        *rest,
    )
