"""`catena keys`: what a key may do, and that it may nothing once it is revoked."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2

from catena.outside.signing import parse_secret
from tests.commands import call, running
from tests.postgres import Database


def read_value(out: str, name: str) -> str:
    """What was printed behind this name."""
    (value,) = (line.split()[1] for line in out.splitlines() if line.startswith(name))
    return value


async def test_a_key_opens_what_its_scopes_name(data_dir: Path, database: Database) -> None:
    """A key reads what it may and nothing else, from its making to its revocation."""
    settings = {
        "database_url": database.service_dsn,
        "migration_url": database.owner_dsn,
        "credential_cache_seconds": 0,
    }
    async with running("up", data_dir=data_dir, settings=settings) as up:
        address = await up.read_value("address")
        made = await call(
            *("keys", "create", "--name", "reports", "--scope", "ledgers:read"),
            data_dir=data_dir,
            settings=settings,
        )
        assert (made.code, made.err) == (0, "")
        headers = {"Authorization": f"Bearer {read_value(made.out, 'secret')}"}
        async with httpx2.AsyncClient(base_url=address, headers=headers) as client:
            (ledger,) = (await client.get("/v1/ledgers")).json()["items"]
            assert (await client.get("/v1/entries")).status_code == 403

            limited = await call(
                *("keys", "create", "--name", "one", "--scope", "all", "--ledger", ledger["id"]),
                data_dir=data_dir,
                settings=settings,
            )
            secret = read_value(limited.out, "secret")
            answer = await client.get("/v1/entries", headers={"Authorization": f"Bearer {secret}"})
            assert answer.status_code == 200

            shown = await call(
                "keys", "signing", ledger["id"], data_dir=data_dir, settings=settings
            )
            assert parse_secret(shown.out.strip())
            again = await call(
                "keys", "signing", ledger["id"], data_dir=data_dir, settings=settings
            )
            assert again.out == shown.out

            id = read_value(made.out, "id")
            revoked = await call("keys", "revoke", id, data_dir=data_dir, settings=settings)
            assert revoked.out == f"Revoked {id}.\n"
            assert (await client.get("/v1/ledgers")).status_code == 401
        listed = await call("keys", "list", data_dir=data_dir, settings=settings)
        rows = [line.split("\t") for line in listed.out.splitlines()]
        assert [(row[1], row[4]) for row in rows] == [
            ("in force", "all"),
            ("revoked", "ledgers:read"),
            ("in force", "all"),
        ]
        assert [row[5] for row in rows] == ["every ledger", "every ledger", ledger["id"]]
        assert (rows[1][0], rows[1][3]) == (id, "reports")
        assert secret not in listed.out
        again = await call("keys", "revoke", id, data_dir=data_dir, settings=settings)
        assert (again.code, again.err) == (2, "catena: No key with this id is in force.\n")
        assert (await up.end(signal.SIGINT)).code == 0


async def test_a_key_needs_scopes_and_ledgers_that_are_there(
    data_dir: Path, database: Database
) -> None:
    """Unknown scopes, ledgers and ids are refused, and no secret is shown."""
    settings = {"database_url": database.service_dsn}
    nobody = "ldg_" + "0" * 32
    for arguments, words in (
        (["create", "--name", "x", "--scope", "everything"], "is none of: all, accounts:read"),
        (["create", "--name", "x"], "Missing option '--scope'"),
        (["create", "--name", "x", "--scope", "all", "--ledger", nobody], "no ledger"),
        (["revoke", "nonsense"], "starts with key_"),
        (["signing", "nonsense"], "no ledger"),
    ):
        ended = await call("keys", *arguments, data_dir=data_dir, settings=settings)
        assert (ended.code, ended.out) == (2, "")
        assert words in ended.err
