"""Connections that are kept: never too many, never too long, and no answer before its question."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter

import pytest

from catena.outside.client import NoAnswer, NotSent, OutsideClient, Response
from catena.outside.network import GuardedConnector
from tests.outside.partner import (
    Behaviour,
    Partner,
    answer,
    ask,
    die,
    is_silent,
    make_settings,
    reset,
    run_partner,
    says,
)

OK = Response(200, {"content-length": "2"}, b"ok")
HEAD = b"HTTP/1.1 200 OK\r\n"


async def test_a_connection_is_kept() -> None:
    """Calls to one partner share a connection."""
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        assert [await ask(client, partner.url) for _ in range(5)] == [OK] * 5
    assert partner.connections == 1


async def test_a_kept_connection_that_was_closed_is_not_used() -> None:
    """A partner that closes behind its answer, without saying so, is called on a new one."""
    async with (
        run_partner(says(answer(), closes=True)) as partner,
        OutsideClient(make_settings()) as client,
    ):
        assert [await ask(client, partner.url) for _ in range(5)] == [OK] * 5
    assert partner.connections == 5


@pytest.mark.parametrize("method", ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"])
@pytest.mark.parametrize("ends", [die, reset])
async def test_a_kept_connection_that_ends_under_a_call_is_no_answer(
    method: str, ends: Behaviour
) -> None:
    """The partner had read the request when it closed: it is not sent again, nor called unsent."""

    async def answers_once(partner: Partner, reader: StreamReader, writer: StreamWriter) -> None:
        if len(partner.heard) == 1:
            writer.write(answer())
        else:
            await ends(partner, reader, writer)

    async with run_partner(answers_once) as partner, OutsideClient(make_settings()) as client:
        assert await ask(client, partner.url) == OK
        assert await ask(client, partner.url, method=method) == NoAnswer("connection_lost")
    assert (len(partner.heard), partner.connections) == (2, 1)


STALE = answer(b"stale")

BEHIND: dict[str, tuple[bytes, ...]] = {
    "an answer in one piece": (answer() + STALE,),
    "an answer without a body": (answer() + answer(b""),),
    "an answer to the end of the body": (answer()[:-1], answer()[-1:] + STALE),
    "an answer to the last chunk": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"0\r\n\r\n" + STALE,
    ),
    "half an answer": (answer() + STALE[:-2],),
    "half a head": (answer() + STALE[:20],),
    "an answer a moment later": (answer(), STALE),
    "the end a moment later": (answer(), b""),
}


@pytest.mark.parametrize("name", BEHIND)
async def test_what_nobody_asked_for_is_no_answer(name: str) -> None:
    """What a partner sends behind its answer is never taken for the answer to the next call. The
    rest of it may come when that call has been sent: then the partner may have received it.
    """
    parts = BEHIND[name]
    turns = 5 if name.startswith("an answer to the") else 0  # so that the client reads twice

    async def goes_on(partner: Partner, reader: StreamReader, writer: StreamWriter) -> None:
        if len(partner.heard) == 1:
            for part in parts:
                writer.write(part)
                for _turn in range(turns):
                    await asyncio.sleep(0)
                if not part:
                    writer.close()
        else:
            rest = STALE[20:] if name == "half a head" and partner.connections == 1 else b""
            writer.write(rest + answer())
        del reader

    async with run_partner(goes_on) as partner, OutsideClient(make_settings()) as client:
        first = await ask(client, partner.url)
        assert isinstance(first, Response)
        assert first.body == b"ok"
        second = await ask(client, partner.url)
        third = await ask(client, partner.url)
    expected = NoAnswer("answer_malformed") if name == "half a head" else OK
    assert (second, third) == (expected, OK)
    assert partner.connections == 2


async def test_an_answer_with_garbage_behind_it_is_no_answer() -> None:
    """What comes in one piece is read as one: who frames one badly may have meant another."""
    garbled = says(answer() + b"garbage")
    async with run_partner(garbled) as partner, OutsideClient(make_settings()) as client:
        assert await ask(client, partner.url) == NoAnswer("answer_malformed")


@pytest.mark.parametrize("extra", [STALE, b"garbage", b"\r\n"])
async def test_what_comes_while_a_connection_rests_ends_it(extra: bytes) -> None:
    """A partner that goes on speaking is not listened to."""

    async def adds_later(partner: Partner, _: StreamReader, writer: StreamWriter) -> None:
        writer.write(answer())
        later.append(writer)
        del partner

    later: list[StreamWriter] = []
    async with run_partner(adds_later) as partner, OutsideClient(make_settings()) as client:
        assert await ask(client, partner.url) == OK
        later[0].write(extra)
        async with asyncio.timeout(20):
            await partner.left.wait()
        assert partner.open == 0
        assert await ask(client, partner.url) == OK


async def test_resting_connections_count() -> None:
    """Those that are kept leave for new ones, the longest idle first: never more than allowed."""
    settings = make_settings(connections=2)
    async with (
        run_partner(says(answer())) as first,
        run_partner(says(answer())) as second,
        run_partner(says(answer())) as third,
        OutsideClient(settings) as client,
    ):
        for partner in (first, second, first, third):
            assert await ask(client, partner.url) == OK
        async with asyncio.timeout(20):
            await second.left.wait()
        assert (first.open, second.open, third.open) == (1, 0, 1)
        for partner in (third, first):
            assert await ask(client, partner.url) == OK
        assert [one.connections for one in (first, second, third)] == [1, 1, 1]


async def test_a_connection_that_ended_is_forgotten() -> None:
    """However it ended, nothing of it is left to be counted."""
    async with OutsideClient(make_settings()) as client:
        for behaviour in (die, reset, says(b"hello\r\n\r\n"), says(answer(), closes=True)):
            async with run_partner(behaviour) as partner:
                for _ in range(5):
                    await ask(client, partner.url)
                    async with asyncio.timeout(20):
                        await partner.left.wait()
                    partner.left.clear()
        connector = client._session.connector
        assert isinstance(connector, GuardedConnector)
    assert (connector._lines, connector._idle) == (set(), {})


async def test_a_resting_connection_expires() -> None:
    """It is ended by us before the partner is likely to end it."""
    settings = make_settings(idle=0.05)
    async with run_partner(says(answer())) as partner, OutsideClient(settings) as client:
        assert await ask(client, partner.url) == OK
        async with asyncio.timeout(20):
            await partner.left.wait()
        assert await ask(client, partner.url) == OK
    assert partner.connections == 2


async def test_who_waits_for_a_connection_gets_one_in_turn() -> None:
    """First come, first served, also across partners, and who gives up while waiting leaves no
    gap.
    """
    settings = make_settings(connections=1)
    async with (
        run_partner(is_silent) as busy,
        run_partner(says(answer())) as one,
        run_partner(says(answer())) as other,
        OutsideClient(settings) as client,
    ):
        done: list[str] = []

        async def wait(name: str, url: str) -> None:
            assert await ask(client, url) == OK
            done.append(name)

        holding = asyncio.create_task(ask(client, busy.url))
        await busy.arrived.wait()
        urls = {"a": one.url, "b": other.url, "c": one.url, "d": other.url}
        waiting = {name: asyncio.create_task(wait(name, url)) for name, url in urls.items()}
        late = await ask(client, one.url, timeout_seconds=0.1)
        assert late == NotSent("no_connection_free")
        waiting.pop("b").cancel()
        holding.cancel()
        await asyncio.gather(*waiting.values())
        assert done == ["a", "c", "d"]
        busy.released.set()
