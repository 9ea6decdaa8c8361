"""Its clock, its statement, its state across restarts and kills, and the page about it all."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from catena.sandbox.reference import render_sandbox
from tests.gateways.receiver import Hook, run_receiver
from tests.sandbox.running import Play, card, run_sandbox, speaking, to_account
from tests.tidy import rules


def test_the_page_is_drawn_from_the_tables() -> None:
    """docs/reference/sandbox.md says what the sandbox does."""
    page = rules.REPO / "docs" / "reference" / "sandbox.md"
    assert page.read_text(encoding="utf-8") == render_sandbox()


async def test_the_clock_stands_and_goes(tmp_path: Path) -> None:
    """The clock goes by itself, stands when told, is set on, and goes on from there."""
    with run_sandbox("--data-dir", str(tmp_path)) as running:
        async with speaking(running) as play:
            first, second = [await play.read("/v1/clock") for _ in range(2)]
            assert first["now"] < second["now"]
            stopped = await play.do("/v1/clock/stop")
            assert (await play.read("/v1/clock"))["now"] == stopped["now"]
            await play.advance(86_400)
            went_on = await play.do("/v1/clock/run")
            assert dt.datetime.fromisoformat(went_on["now"]) >= dt.datetime.fromisoformat(
                stopped["now"]
            ) + dt.timedelta(days=1)
            assert not went_on["stands"]


async def test_time_that_goes_by_decides() -> None:
    """With its clock going, what is pending is decided and told without a word from anybody."""
    async with run_receiver() as receiver:
        with run_sandbox("--webhook", receiver.url) as running:
            async with speaking(running) as play:
                await play.charge("tok_pending_approved")
                await play.do("/v1/clock/stop")
                await play.advance(9.95)
                await play.do("/v1/clock/run")
                await receiver.wait_for(lambda hooks: len(hooks) == 2)
                assert b'"charge.approved"' in receiver.hooks[1].body


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_state_survives(tmp_path: Path, end: signal.Signals) -> None:
    """After a stop or a kill it knows its keys, things, effects, plans, endpoints and clock."""
    pending, last = uuid4().hex, uuid4().hex
    options = ("--stopped", "--data-dir", str(tmp_path))
    async with run_receiver() as receiver:
        with run_sandbox(*options, "--webhook", receiver.url) as running:
            async with speaking(running) as play:
                await play.advance(1_000_000)
                await play.send("POST", "/v1/charges", card("tok_pending_approved"), key=pending)
                clock = await play.read("/v1/clock")
                first = await play.send("POST", "/v1/charges", card(), key=last)
                running.process.send_signal(end)
                running.process.wait(20)
        with run_sandbox(*options) as again:
            assert again.api_key == running.api_key
            assert again.webhook_secrets == running.webhook_secrets
            async with speaking(again) as play:
                replay = await play.send("POST", "/v1/charges", card(), key=last)
                assert replay.content == first.content
                assert await play.read("/v1/clock") == clock
                assert [line["key"] for line in await read_statement(play)] == [last]
                await play.advance(10)
                assert await play.count(last) == {"charge": 1}
                assert await play.count(pending) == {"charge": 1}
                await receiver.wait_for(lambda hooks: any(map(tells_of(pending), hooks)))


def tells_of(key: str) -> Callable[[Hook], bool]:
    """Whether a webhook says that the charge with this key was approved."""
    return lambda hook: key.encode() in hook.body and b'"charge.approved"' in hook.body


def test_two_do_not_share_a_folder(tmp_path: Path) -> None:
    """A second one over the same state is told so in a sentence."""
    with run_sandbox("--data-dir", str(tmp_path)):
        command = [sys.executable, "-m", "catena.cli", "sandbox", "--port", "0", "--data-dir"]
        second = subprocess.run(
            [*command, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
        )
    assert second.returncode == 2
    assert "another one may run there" in second.stderr


def test_it_ends_with_who_started_it() -> None:
    """With a lifeline it stops when its standard input ends."""
    command = [sys.executable, "-m", "catena.cli", "sandbox", "--port", "0", "--json", "--lifeline"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=True)
    assert '"address"' in done.stdout


async def test_the_statement_adds_up(tmp_path: Path) -> None:
    """The lines are what moved, with fees, in the order in which it moved; windows part them."""
    with run_sandbox("--stopped", "--data-dir", str(tmp_path)) as running:
        async with speaking(running) as play:
            charge = await play.charge("tok_refund_fails", amount=100_00)
            start = (await play.read("/v1/clock"))["now"]
            await play.do("/v1/refunds", charge=charge["id"], amount=30_00)
            await play.advance(10)
            await play.do("/v1/payouts", **to_account("acct_fails_after_paid"))
            held = await play.charge(capture=False)
            await play.do(f"/v1/charges/{held['id']}/capture", amount=4_00)
            await play.advance(10)
            dispute = await play.do("/v1/disputes", charge=charge["id"], amount=50_00)
            await play.do(f"/v1/disputes/{dispute['id']}/close", outcome="won")
            end = (await play.read("/v1/clock"))["now"]
            lines = await read_statement(play, limit="3")
            assert await read_statement(play, since=start, until=end) == lines[:5]
            assert await read_statement(play, until=start) == []
    assert [(line["type"], line["amount"], line["fee"]) for line in lines] == [
        ("charge", 100_00, 1_65),
        ("refund", -30_00, 0),
        ("refund_returned", 30_00, 0),
        ("payout", -10_00, 20),
        ("capture", 4_00, 31),
        ("payout_returned", 10_00, 0),
        ("dispute", -50_00, 0),
        ("fee", -15_00, 0),
        ("dispute_returned", 50_00, 0),
    ]


async def read_statement(play: Play, **query: str) -> list[dict[str, object]]:
    """The lines of a statement, page by page."""
    lines: list[dict[str, object]] = []
    page = await play.read("/v1/statement", **query)
    while True:
        lines += page["data"]
        if page["next"] is None:
            return lines
        page = await play.read("/v1/statement", **query, after=page["next"])
