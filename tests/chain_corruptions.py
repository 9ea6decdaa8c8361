"""Chains of all kinds, and every way in which their rows and histories can be spoiled, as a table.

Invariant: as in `corruptions`, the journal writes them, a superuser spoils them past all guards,
and each row says which rows a proof must name, and no others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import ADMIN
from catena.db.verify import Finding
from catena.ids import CHAIN, ENTRY, LIEN
from tests.chain_story import CARDS, write_chains
from tests.corruptions import Corruption, Spoiled, Story, copy_database, drop_database
from tests.postgres import Database
from tests.scribe import open_ledger

__all__ = [
    "CHAIN_CORRUPTIONS",
    "SpoiledChains",
    "name_chain_row",
    "spoiled_chains",
    "written_chains",
]


class SpoiledChains(NamedTuple):
    """A database with chains, for a test to spoil; `names` of accounts, chains, liens, entries."""

    book: Spoiled
    names: dict[str, str]


Written = tuple[Database, Story, dict[str, str]]


async def _write(database: Database) -> tuple[Story, dict[str, str]]:
    async with open_ledger(database, cards=CARDS) as scribe:
        told = await write_chains(scribe)
        names = {id: name for part in told for name, id in part.items()}
        async with scribe.pool.acquire() as connection:
            for row in await connection.fetch("SELECT lien_id, chain_id, step FROM liens"):
                chain = names[CHAIN + row["chain_id"].hex]
                names[LIEN + row["lien_id"].hex] = f"{chain}/{row['step']}"
            for row in await connection.fetch("SELECT * FROM entries WHERE chain_id IS NOT NULL"):
                chain = names[CHAIN + row["chain_id"].hex]
                undone = "/undo" if row["is_undo"] else ""
                names[ENTRY + row["entry_id"].hex] = f"{chain}/{row['step']}{undone}"
        return Story(scribe.ledger, {**told.accounts, **told.chains}, {}), names


def name_chain_row(names: dict[str, str], finding: Finding) -> str:
    """A finding as the table writes it: the check, and the row by its name."""
    if finding.id is None:
        return f"{finding.check} {finding.kind}"
    return f"{finding.check} {names.get(finding.id, 'stranger')}"


@pytest.fixture(scope="session")
def written_chains(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Written]:
    """A database that holds chains of all kinds, for copying."""
    database = copy_database(postgres_server, migrated_template)
    story, names = asyncio.run(_write(database))
    yield database, story, names
    drop_database(postgres_server, database)


@pytest.fixture
def spoiled_chains(
    postgres_server: EmbeddedPostgres, written_chains: Written
) -> Iterator[SpoiledChains]:
    """A copy of the chains for the test to spoil."""
    template, story, names = written_chains
    database = copy_database(postgres_server, template.name)
    book = Spoiled(story, database, postgres_server.dsn(ADMIN, database.name))
    yield SpoiledChains(book, names)
    drop_database(postgres_server, database)


# --- how histories are spoiled: SQL in which {name} is a chain or an account --------------------


def _quote(json: str) -> str:
    return "'" + json.replace("{", "{{").replace("}", "}}") + "'"


def _change(chain: str, old: str, new: str) -> str:
    """Something else is told by the chain's events."""
    changed = f"replace(data::text, {_quote(old)}, {_quote(new)})::jsonb"
    return f"UPDATE events SET data = {changed} WHERE subject = {{{chain}}};"  # noqa: S608


def _add(chain: str, events: str, state: str = "", count: int = 1) -> str:
    """The chain's last event tells of more, and its card follows."""
    type = f", type = 'chain.{state}'" if state else ""
    told = f", state = '{state}'" if state else ""
    added = "jsonb_set(data, '{{events}}', (data -> 'events') || " + _quote(events) + ")"
    return (
        f"UPDATE events SET data = {added} {type} WHERE subject = {{{chain}}}"  # noqa: S608
        f" AND position = (SELECT position FROM chains WHERE chain_id = {{{chain}}});"
        f"UPDATE chains SET events = events + {count}{told} WHERE chain_id = {{{chain}}};"
    )


_OUT_OF_ORDER: Final = """
UPDATE events
   SET data = jsonb_set(data, '{{events}}', (
       SELECT jsonb_agg(data #> ARRAY['events', i::text] ORDER BY o)
         FROM unnest(ARRAY[0, 1, 2, 3, 6, 7, 4, 5, 8]) WITH ORDINALITY AS n (i, o)))
 WHERE subject = {declined} AND type = 'chain.rolled_back'"""

_NOBODYS: Final = "UPDATE entries SET chain_id = NULL, step = NULL, is_undo = NULL"

_HISTORIES: Final = (
    Corruption(
        "an event skips a number",
        _change("paid", '"first": 9', '"first": 10'),
        {"chain_history paid"},
    ),
    Corruption(
        "the last of a chain's events is deleted",
        "DELETE FROM events WHERE subject = {asked} AND data @> '{{\"first\": 8}}'",
        {"positions position", "chain_cards asked"},
    ),
    Corruption(
        "the first of a chain's events is deleted",
        "DELETE FROM events WHERE subject = {asked} AND data @> '{{\"first\": 1}}'",
        {"positions position", "chain_history asked", "keys stranger"},
    ),
    Corruption(
        "a chain goes where it cannot",
        _change("quick", '"validated"', '"held"'),
        {"chain_history quick"},
    ),
    Corruption(
        "a chain begins with something else",
        _change("quick", '["", "created"', '["", "appended"'),
        {"chain_history quick"},
    ),
    Corruption(
        "a step goes where it cannot",
        _change("waiting", '["hold", "executing"', '["hold", "waiting"'),
        {"chain_history waiting"},
    ),
    Corruption(
        "an event names a step that is not there",
        _change("waiting", '["pay", "executing"', '["paid", "executing"'),
        {"chain_history waiting"},
    ),
    Corruption(
        "an event is of no form at all",
        "UPDATE events SET data = '[7]' WHERE subject = {waiting}",
        {"chain_history waiting"},
    ),
    Corruption(
        "an event tells of nothing",
        'UPDATE events SET data = \'{{"first": 8, "events": []}}\''
        " WHERE subject = {held} AND type = 'chain.held'",
        {"chain_history held"},
    ),
    Corruption(
        "an event is of another type than the state it leads to",
        "UPDATE events SET type = 'chain.held' WHERE subject = {waiting}",
        {"chain_history waiting"},
    ),
    Corruption(
        "something happens after the end",
        _add("quick", '[["", "signal", {"name": "late"}]]'),
        {"chain_history quick"},
    ),
    Corruption(
        "a step stands in a chain twice",
        _change("quick", '"name": "back"', '"name": "pay"'),
        {"chain_history quick"},
    ),
    Corruption(
        "a step does not say where its entry is",
        _change("waiting", '"entry": 1, ', ""),
        {"chain_history waiting", "chain_entries waiting/pay"},
    ),
    Corruption(
        "the commit sequence jumps",
        _change("quick", '"seq": 3', '"seq": 9'),
        {"chain_order quick"},
    ),
    Corruption(
        "steps are undone in the order in which they were done",
        _OUT_OF_ORDER,
        {"chain_order declined"},
    ),
    Corruption(
        "a chain rolls back while a call is out",
        _add("asked", '[["", "failed", {}], ["", "rolling_back", {}]]', "rolling_back", 2),
        {"chain_order asked"},
    ),
    Corruption(
        "a step is undone in a chain that goes forward",
        _add("waiting", '[["hold", "compensating", {}]]'),
        {"chain_order waiting", "chain_cards waiting"},
    ),
    Corruption(
        "a call is counted wrongly",
        _change("asked", '"attempt": 1', '"attempt": 2'),
        {"chain_calls asked"},
    ),
    Corruption(
        "a key is used up by nobody",
        _change("parked", '"round": 2', '"round": 3'),
        {"chain_calls parked"},
    ),
    Corruption(
        "a call is made while the chain is held",
        _add("held", '[["ask", "executing", {"attempt": 1, "seconds": 10}]]'),
        {"chain_calls held"},
    ),
    Corruption(
        "a chain fails past its pivot",
        _add("parked", '[["", "failed", {"code": "cancelled"}]]', "failed"),
        {"chain_pivot parked"},
    ),
    Corruption(
        "a step is undone past the pivot",
        _add("captured", '[["hold", "compensating", {}]]'),
        {"chain_pivot captured", "chain_order captured", "chain_cards captured"},
    ),
    Corruption(
        "a chain has two pivots",
        _change("parked", '"type": "call", "needs": ["charge"]', '"type": "call", "pivot": true'),
        {"chain_pivot parked"},
    ),
    Corruption(
        "more is drawn than is there",
        _change("waiting", '", 300]], "entry"', '", 301]], "entry"'),
        {"chain_draws waiting", "chain_liens waiting/hold"},
    ),
    Corruption(
        "a lien of proceeds expires",
        _add("waiting", '[["", "lien_expired", {"lien": "LIEN"}]]')
        .replace("'[[", "replace('[[")
        .replace(
            "]]')",
            "]]', 'LIEN', (SELECT 'lien_' || replace(lien_id::text, '-', '')"
            " FROM liens WHERE chain_id = {waiting} AND step = 'pay'))::jsonb)",
        ),
        {"chain_draws waiting", "chain_liens waiting/pay"},
    ),
    Corruption(
        "a reservation makes two liens",
        _change("started", '"seq": 1, "lien"', '"seq": 1, "lien": "lien_0", "lein"'),
        {"chain_draws started"},
    ),
    Corruption(
        "a chain is completed while a step waits",
        _add("started", '[["", "completed", {}]]', "completed"),
        {"chain_ends started", "lien_ends started/hold", "chain_liens started/hold"},
    ),
    Corruption(
        "a chain is rolled back and not undone",
        _add(
            "resumed",
            '[["", "failed", {}], ["", "rolling_back", {}], ["", "rolled_back", {}]]',
            "rolled_back",
            3,
        ),
        {
            "chain_ends resumed",
            "lien_ends resumed/hold",
            "chain_liens resumed/hold",
            "work_chains resumed",
        },
    ),
)

_ROWS: Final = (
    Corruption(
        "something else is reserved than remains",
        "UPDATE balances SET reserved = reserved - 1 WHERE account_id = {bob}",
        {"reserved bob", "reserves bob"},
    ),
    Corruption(
        "it is told that something else was reserved last",
        "UPDATE reserves SET reserved = reserved + 1 WHERE account_id = {bob} AND position ="
        " (SELECT max(position) FROM reserves WHERE account_id = {bob})",
        {"reserves bob"},
    ),
    Corruption(
        "a change is told of that was none",
        "INSERT INTO reserves SELECT ledger_id, account_id, recorded_at, position - 1, reserved"
        " FROM reserves WHERE account_id = {bob} AND position ="
        " (SELECT max(position) FROM reserves WHERE account_id = {bob})",
        {"reserves bob"},
    ),
    Corruption(
        "what a gateway calls a charge leads to nobody",
        "DELETE FROM chain_references WHERE reference = 'ch_1'",
        {"chain_names charged"},
    ),
    Corruption(
        "the reference of a deposit by way of a gateway is free again",
        "DELETE FROM claims WHERE reference = 'order-2'",
        {"chain_claims claiming"},
    ),
    Corruption(
        "what a gateway has said was told to nobody",
        "UPDATE notices SET chain_id = gen_random_uuid() WHERE id = 'evt_1'",
        {"notices stranger"},
    ),
    Corruption(
        "a lien is moved to an account without a floor",
        "UPDATE liens SET account_id = {clearing} WHERE chain_id = {captured}",
        {
            "lien_accounts captured/hold",
            "reserved ann",
            "reserved clearing",
            "chain_liens captured/hold",
        },
    ),
    Corruption(
        "an account is closed that a running chain names",
        """
        ALTER TABLE balances DROP CONSTRAINT closed_is_empty;
        UPDATE balances SET status = 'closed' WHERE account_id = {eve}""",
        {"running_accounts eve", "closed_accounts eve", "revision_current eve"},
    ),
    Corruption(
        "an account is closed that a running chain has posted to, and no longer names",
        """
        ALTER TABLE balances DROP CONSTRAINT closed_is_empty;
        DELETE FROM chain_accounts WHERE account_id = {bob};
        UPDATE balances SET status = 'closed' WHERE account_id = {bob}""",
        {
            "running_accounts bob",
            "closed_accounts bob",
            "revision_current bob",
            "chain_accounts asked",
            "chain_accounts captured",
            "chain_accounts declined",
            "chain_accounts held",
            "chain_accounts paid",
            "chain_accounts quick",
            "chain_accounts refused",
            "chain_accounts stuck",
            "chain_accounts undone",
            "chain_accounts waiting",
        },
    ),
    Corruption(
        "a lien loses some of its amount",
        """
        ALTER TABLE liens DROP CONSTRAINT nothing_is_lost;
        UPDATE liens SET drawn = drawn - 1 WHERE chain_id = {waiting} AND step = 'hold'""",
        {"lien_amounts waiting/hold", "chain_liens waiting/hold"},
    ),
    Corruption(
        "a lien that has nothing left is active",
        "UPDATE liens SET state = 'active' WHERE chain_id = {waiting} AND step = 'hold'",
        {"lien_amounts waiting/hold", "chain_liens waiting/hold"},
    ),
    Corruption(
        "a lien is open and partly released",
        "UPDATE liens SET drawn = 299, released = 1 WHERE chain_id = {waiting} AND step = 'hold'",
        {"lien_amounts waiting/hold", "chain_liens waiting/hold"},
    ),
    Corruption(
        "proceeds are said to expire",
        "UPDATE liens SET expires_at = now() WHERE chain_id = {waiting} AND step = 'pay'",
        {"lien_amounts waiting/pay", "chain_liens waiting/pay"},
    ),
    Corruption(
        "a lien of a chain that has ended is open",
        "UPDATE liens SET state = 'utilized' WHERE chain_id = {paid} AND step = 'hold'",
        {"lien_ends paid/hold", "chain_liens paid/hold"},
    ),
    Corruption(
        "a lien is as large as nothing that was credited",
        """
        UPDATE liens SET amount = 301, remaining = 301 WHERE chain_id = {waiting} AND step = 'pay';
        UPDATE balances SET reserved = reserved + 1 WHERE account_id = {bob}""",
        {"proceeds waiting/pay", "chain_liens waiting/pay", "reserves bob"},
    ),
    Corruption(
        "a lien is lost",
        "DELETE FROM liens WHERE chain_id = {waiting} AND step = 'hold'",
        {"chain_liens waiting/hold"},
    ),
    Corruption(
        "a declared lien is lost",
        "DELETE FROM liens WHERE chain_id = {drafted} AND step = 'again'",
        {"chain_liens drafted/again"},
    ),
    Corruption(
        "a lien is made up",
        """
        INSERT INTO liens
        SELECT ledger_id, gen_random_uuid(), chain_id, step, account_id, kind, state, amount,
               remaining, drawn, released, taken_back, expires_at, created_at
          FROM liens WHERE chain_id = {waiting} AND step = 'hold'""",
        {"chain_liens stranger"},
    ),
    Corruption(
        "a lien is of no chain",
        "UPDATE liens SET chain_id = gen_random_uuid(), lien_id = gen_random_uuid()"
        " WHERE chain_id = {drafted} AND step = 'hold'",
        {"chain_liens drafted/hold", "chain_liens stranger"},
    ),
    Corruption(
        "a lien expires when it should not",
        "UPDATE liens SET expires_at = expires_at + interval '1 hour' WHERE chain_id = {resumed}",
        {"chain_liens resumed/hold"},
    ),
    Corruption(
        "a lien never expires",
        "UPDATE liens SET expires_at = NULL WHERE chain_id = {resumed}",
        {"chain_liens resumed/hold"},
    ),
    Corruption(
        "a lien is older than its chain",
        "UPDATE liens SET created_at = created_at - interval '1 day' WHERE chain_id = {resumed}",
        {"chain_liens resumed/hold"},
    ),
    Corruption(
        "a lien counts, and its chain does not know of it any more",
        """
        UPDATE liens SET state = 'active', remaining = 30, released = 0 WHERE chain_id = {expired};
        UPDATE balances SET reserved = reserved + 30 WHERE account_id = {ann}""",
        {"chain_liens expired/hold", "reserves ann"},
    ),
    Corruption(
        "work is noted for a chain that has ended",
        "INSERT INTO work SELECT ledger_id, {paid}, step, due_at, fence, leased FROM work"
        " WHERE chain_id = {asked}",
        {"work_chains paid"},
    ),
    Corruption(
        "work is noted for no chain",
        "UPDATE work SET chain_id = gen_random_uuid() WHERE chain_id = {asked}",
        {"work_chains stranger"},
    ),
    Corruption(
        "a step has two entries",
        """
        DROP INDEX entries_by_chain;
        UPDATE entries SET step = 'pay' WHERE chain_id = {quick} AND step = 'back'""",
        {"posted_once quick/back", "chain_entries quick/back"},
    ),
    Corruption(
        "an entry undoes a step of a completed chain",
        "UPDATE entries SET is_undo = true WHERE chain_id = {quick} AND step = 'back'",
        {"undo_entries quick/back", "chain_entries quick/back"},
    ),
    Corruption(
        "an undo reverses another step's entry",
        """
        WITH another AS (SELECT position FROM entries WHERE chain_id = {quick} AND step = 'pay'),
             moved AS (UPDATE corrections c SET position = a.position FROM another a, entries e
                        WHERE e.chain_id = {declined} AND NOT is_undo AND c.position = e.position)
        UPDATE entries e SET corrects = a.position FROM another a
         WHERE chain_id = {declined} AND is_undo
        """,
        {"undo_entries declined/pay/undo"},
    ),
    Corruption(
        "somebody else corrects an entry of a running chain",
        _NOBODYS + " WHERE chain_id = {stuck} AND is_undo",
        {"owned_entries stuck/pay/undo", "chain_entries stuck/pay/undo"},
    ),
    Corruption(
        "somebody else undoes what a chain rolls back",
        _NOBODYS + " WHERE chain_id = {declined} AND is_undo",
        {"chain_net declined", "chain_entries declined/pay/undo"},
    ),
    Corruption(
        "a chain forgets an entry",
        _NOBODYS + " WHERE chain_id = {quick} AND step = 'back'",
        {"chain_entries quick/back"},
    ),
    Corruption(
        "an entry is said to be a chain's",
        "UPDATE entries SET chain_id = {waiting}, step = 'more', is_undo = false"
        " WHERE position = (SELECT min(position) FROM entries)",
        {"chain_entries stranger"},
    ),
    Corruption(
        "an entry is of a chain that is not there",
        "UPDATE entries SET chain_id = gen_random_uuid(), step = 'more', is_undo = false"
        " WHERE position = (SELECT min(position) FROM entries)",
        {"chain_entries stranger"},
    ),
    *(
        Corruption(
            f"a card has another {column}",
            f"UPDATE chains SET {column} = {value} WHERE chain_id = {{{chain}}}",  # noqa: S608
            {f"chain_cards {chain}"},
        )
        for column, value, chain in (
            ("events", "events + 1", "waiting"),
            ("state", "'held'", "waiting"),
            ("type", "'other'", "paid"),
            ("reference", "NULL", "quick"),
            ("parked", "false", "parked"),
            ("steps", "steps + 1", "waiting"),
            ("done", "done - 1", "paid"),
            ("position", "position - 1", "waiting"),
            ("created_at", "created_at - interval '1 day'", "waiting"),
            ("updated_at", "updated_at + interval '1 day'", "paid"),
        )
    ),
    Corruption(
        "a card is lost",
        "DELETE FROM chains WHERE chain_id = {started}",
        {"chain_cards started"},
    ),
    Corruption(
        "a card is of a chain without a history",
        """
        INSERT INTO chains
        SELECT ledger_id, gen_random_uuid(), events, state, type, reference, parked, steps, done,
               position, created_at, updated_at
          FROM chains WHERE chain_id = {started}""",
        {"chain_cards stranger"},
    ),
    Corruption(
        "an account that a chain names is not noted",
        "DELETE FROM chain_accounts WHERE chain_id = {waiting} AND account_id = {bob}",
        {"chain_accounts waiting"},
    ),
    Corruption(
        "an account is noted that the chain does not name",
        "INSERT INTO chain_accounts SELECT ledger_id, {eve}, chain_id FROM chain_accounts"
        " WHERE chain_id = {started}",
        {"chain_accounts started"},
    ),
    Corruption(
        "a wait cannot be found",
        "DELETE FROM correlations WHERE chain_id = {listening}",
        {"chain_waits listening"},
    ),
    Corruption(
        "a wait is found by something else",
        "UPDATE correlations SET correlation = 'invoice 70' WHERE chain_id = {listening}",
        {"chain_waits listening"},
    ),
    Corruption(
        "a wait is found that is over",
        "INSERT INTO correlations SELECT ledger_id, 'invoice 8', chain_id FROM chains"
        " WHERE chain_id = {told}",
        {"chain_waits told"},
    ),
    Corruption(
        "a wait is found of a chain that is not there",
        "INSERT INTO correlations SELECT ledger_id, 'invoice 8', gen_random_uuid() FROM chains"
        " WHERE chain_id = {told}",
        {"chain_waits stranger"},
    ),
    Corruption(
        "a message is lost",
        "DELETE FROM inbox WHERE id = 'e8'",
        {"inbox message"},
    ),
    Corruption(
        "a message is about something else",
        "UPDATE inbox SET correlation = 'invoice 11' WHERE id = 'e10'",
        {"inbox message"},
    ),
    Corruption(
        "a message came at another time",
        "UPDATE inbox SET received_at = received_at - interval '1 hour' WHERE id = 'e10'",
        {"inbox message"},
    ),
    Corruption(
        "a message is there that never came",
        "INSERT INTO inbox SELECT ledger_id, source, 'e11', correlation, payload, chain_id,"
        " received_at FROM inbox WHERE id = 'e10'",
        {"inbox message"},
    ),
    Corruption(
        "a message was taken in twice",
        "UPDATE events SET data = data || '{{\"again\": false}}' WHERE data ->> 'id' = 'e8'",
        {"inbox message"},
    ),
    Corruption(
        "a message was given to another chain",
        "UPDATE inbox SET chain_id = {waiting} WHERE id = 'e8'",
        {"inbox message", "chain_messages waiting"},
    ),
    Corruption(
        "a message that was given is said to be unmatched",
        "UPDATE inbox SET chain_id = NULL WHERE id = 'e8'",
        {"inbox message"},
    ),
    Corruption(
        "a message was given that its chain does not know",
        "UPDATE inbox SET chain_id = {late} WHERE id = 'e9'",
        {"chain_messages late"},
    ),
    Corruption(
        "a message says something else than its chain was told",
        "UPDATE inbox SET payload = '{{\"amount\": 80}}' WHERE id = 'e8'",
        {"chain_messages told"},
    ),
    Corruption(
        "a message was given to a chain that is not there",
        "UPDATE inbox SET chain_id = gen_random_uuid() WHERE id = 'e10'",
        {"chain_messages stranger"},
    ),
    Corruption(
        "a message is left over that a chain waits for",
        "UPDATE work SET due_at = 'infinity' WHERE chain_id = {late}",
        {"unmatched message"},
    ),
    Corruption(
        "an account is noted for no chain",
        "UPDATE chain_accounts SET chain_id = gen_random_uuid()"
        " WHERE chain_id = {quick} AND account_id = {ann}",
        {"chain_accounts quick", "chain_accounts stranger"},
    ),
)

CHAIN_CORRUPTIONS: Final = (*_HISTORIES, *_ROWS)
