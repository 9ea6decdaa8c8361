"""Answers that cannot be put together, or waited for, once what they tell of is committed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import httpx2

from catena.api.accounts import OPEN
from catena.api.http import create_http
from catena.api.writes import Context, Reply, Write, submit
from catena.auth.keys import Caller, hash_secret, new_secret
from catena.auth.scopes import ALL_SCOPES
from catena.db.installation import create_key
from catena.db.pool import open_pool
from catena.ids import KEY, new_id
from catena.journal import Result
from tests.engine.running import World, run_world
from tests.postgres import Database


def _break(results: Sequence[Result], context: Context) -> Reply:
    raise LookupError(results, context)


async def _ask(world: World, write: Write, caller: Caller) -> Reply:
    told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    context = Context(caller, world.scribe.ledger, "req_1")
    submit(write, context, "key", b'{"currency":"USD"}', world.app.journal, told.set_result)
    async with asyncio.timeout(20):
        return await told


async def test_an_answer_that_cannot_be_rendered_is_a_problem(database: Database) -> None:
    """Whoever asked is told, and waits no longer; what is committed stays, and is replayed."""
    caller = Caller(new_id(KEY), frozenset(ALL_SCOPES), None)
    async with run_world(database, works=False) as world:
        broken = await _ask(world, OPEN._replace(render=_break), caller)
        assert (broken.status, broken.content_type) == (500, "application/problem+json")
        problem = json.loads(broken.body)
        assert (problem["code"], problem["request_id"]) == ("internal_error", "req_1")
        whole = await _ask(world, OPEN, caller)
        assert (whole.status, (b"idempotency-replayed", b"true") in whole.headers) == (201, True)


async def test_a_chain_that_cannot_be_waited_for_is_answered_as_it_was(database: Database) -> None:
    """The database is lost while the caller waits: the chain is there, and that is no error."""
    async with run_world(database, works=False) as world:
        secret, scopes = new_secret(), ALL_SCOPES
        async with world.app.pool.acquire() as connection:
            await create_key(connection, new_id(KEY), "k", hash_secret(secret), scopes, None)
        lost = await open_pool(world.app.settings, database.service_dsn)
        await lost.close()
        http = create_http(world.app._replace(pool=lost))
        headers = {
            "Authorization": f"Bearer {secret}",
            "Catena-Ledger": world.scribe.ledger.id,
            "Idempotency-Key": "key",
            "Prefer": "wait=1",
        }
        transport = httpx2.ASGITransport(app=http)
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
            body = {"steps": [{"name": "w", "type": "wait"}]}
            answer = await client.post("/v1/chains", json=body, headers=headers)
        assert (answer.status_code, answer.json()["state"]) == (202, "executing"), answer.text
