"""`catena bench`: the load is put on one that is started for it, or on a running service."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import httpx2
import pytest

from tests.commands import Ended, call, running

SHORT = ("--seconds", "0.3", "--connections", "4")
ROWS = ["transfers", "transfers in batches of 1,000", "balance reads"]


def read_rates(ended: Ended) -> dict[str, int]:
    """Operations a second, by what was done, as they were shown."""
    assert (ended.code, ended.err) == (0, "")
    rows = re.findall(r"(?m)^(\w[\w ,]*?) +\d+ +([\d,]+) +[\d.]+ +[\d.]+$", ended.out)
    return {what: int(rate.replace(",", "")) for what, rate in rows}


async def test_without_a_url_a_service_is_started_and_removed(data_dir: Path) -> None:
    """The bench shows three rates, and leaves nothing: no database, no directory, no ledger."""
    room = data_dir.parent / "room"
    room.mkdir(parents=True)
    ended = await call("bench", *SHORT, data_dir=data_dir, environment={"TMPDIR": str(room)})
    rates = read_rates(ended)
    assert list(rates) == ROWS
    assert min(rates.values()) > 0
    assert list(room.iterdir()) == []
    assert {path.name for path in data_dir.parent.iterdir()} == {"room"}


async def test_a_running_service_is_loaded_in_the_ledger_that_is_named(data_dir: Path) -> None:
    """The bench finds the service's key, makes no ledger, and leaves the service running."""
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        address = await up.read_value("address")
        key = await up.read_value("key")
        headers = {"Authorization": f"Bearer {key}"}
        rates = read_rates(await call("bench", "--url", address, *SHORT, data_dir=data_dir))
        async with httpx2.AsyncClient(base_url=address, headers=headers) as client:
            (first,) = (await client.get("/v1/ledgers")).json()["items"]
            accounts = (await client.get("/v1/accounts")).json()["items"]
            assert any((one["user_id"] or "").startswith("bench_") for one in accounts)
            await client.post(
                "/v1/ledgers", json={"name": "second"}, headers={"Idempotency-Key": "second"}
            )
        several = await call("bench", "--url", address, *SHORT, data_dir=data_dir)
        named = ("--url", address, "--ledger", first["name"], *SHORT)
        assert list(read_rates(await call("bench", *named, data_dir=data_dir))) == ROWS
        none = await call(
            "bench", "--url", address, "--ledger", "nobody", *SHORT, data_dir=data_dir
        )
        assert (await up.end(signal.SIGINT)).code == 0
    assert list(rates) == ROWS
    said = "catena: There are several ledgers: name one by its id with --ledger.\n"
    assert (several.code, several.err) == (2, said)
    assert (none.code, none.err) == (2, "catena: There is no such ledger.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--url", "https://127.0.0.1:1"), "The load is plain HTTP: give an http:// URL."),
        (("--url", "http://127.0.0.1:port"), "That is no URL."),
        (("--url", "http://127.0.0.1:1"), "No service listens on 127.0.0.1, port 1."),
        (
            ("--url", "http://127.0.0.1:1", "--key-file", "none"),
            "The key cannot be read from none.",
        ),
    ],
    ids=["https", "no URL", "nobody listens", "no key"],
)
async def test_what_is_wrong_is_said_in_a_sentence(
    data_dir: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """Whatever keeps the bench from its work is said in one sentence, and ends it with code 2."""
    (data_dir.parent / "key").write_text("ctk_unknown")
    with_key = arguments if "--key-file" in arguments else (*arguments, "--key-file", "key")
    ended = await call("bench", *with_key, data_dir=data_dir)
    assert (ended.code, ended.out, ended.err) == (2, "", f"catena: {sentence}\n")
