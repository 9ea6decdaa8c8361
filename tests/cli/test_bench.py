"""`catena bench`: the load is put on a running service, or on one that is started for it."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import httpx2
import pytest

from tests.commands import Ended, call, is_database_gone, running

SHORT = ("--seconds", "0.3", "--connections", "4")
ROWS = ["transfers", "transfers in batches of 1,000", "balance reads"]


def read_rates(ended: Ended) -> dict[str, int]:
    """Operations a second, by what was done, as they were shown."""
    assert (ended.code, ended.err) == (0, "")
    rows = re.findall(r"(?m)^(\w[\w ,]*?) +\d+ +([\d,]+) +[\d.]+ +[\d.]+$", ended.out)
    return {what: int(rate.replace(",", "")) for what, rate in rows}


async def test_without_a_service_one_is_started(data_dir: Path) -> None:
    """In an empty directory the bench starts everything, shows three rates, and stops it all."""
    rates = read_rates(await call("bench", *SHORT, data_dir=data_dir))
    assert list(rates) == ROWS
    assert min(rates.values()) > 0
    assert is_database_gone(data_dir)


async def test_a_running_service_is_loaded_in_a_ledger_of_its_own(data_dir: Path) -> None:
    """The bench finds the service's key, leaves its first ledger alone, and the service running."""
    async with running("up", "--no-demo", data_dir=data_dir) as up:
        address = await up.read_value("address")
        key = await up.read_value("key")
        rates = read_rates(await call("bench", "--url", address, *SHORT, data_dir=data_dir))
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(base_url=address, headers=headers) as client:
            first, own = (await client.get("/v1/ledgers")).json()["items"]
            counts = {}
            for ledger in (first, own):
                page = await client.get("/v1/entries", headers={"Catena-Ledger": ledger["id"]})
                counts[ledger["name"]] = len(page.json()["items"])
        assert (await up.end(signal.SIGINT)).code == 0
    assert list(rates) == ROWS
    assert own["name"].startswith("bench_")
    assert counts == {"main": 0, own["name"]: 50}


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
