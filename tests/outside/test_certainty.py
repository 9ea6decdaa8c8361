"""What is certain when a call fails: NotSent only where the partner cannot have received it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence

import pytest

from catena.outside.client import NoAnswer, NotSent, Outcome, OutsideClient, Response
from catena.outside.network import open_socket
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


async def drip(head: bytes, writer: StreamWriter) -> None:
    """Say the head, then one byte every few milliseconds for as long as someone listens."""
    loop = asyncio.get_running_loop()
    gone = loop.create_future()

    def say() -> None:
        if writer.is_closing():
            gone.set_result(None)
        else:
            writer.write(b"a")
            loop.call_later(0.005, say)

    writer.write(head)
    say()
    await gone


async def drips_its_head(_: Partner, __: StreamReader, writer: StreamWriter) -> None:
    """A header that never ends."""
    await drip(HEAD + b"X-A: ", writer)


async def drips_its_body(_: Partner, __: StreamReader, writer: StreamWriter) -> None:
    """A body that comes, but not in time."""
    await drip(HEAD + b"Content-Length: 900\r\n\r\n", writer)


async def pours(_: Partner, __: StreamReader, writer: StreamWriter) -> None:
    """A body without end, as fast as it goes."""
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        await writer.drain()


FAILURES: dict[str, tuple[Behaviour, str]] = {
    "closes": (die, "connection_lost"),
    "resets": (reset, "connection_lost"),
    "half a head": (says(HEAD + b"Content-", closes=True), "connection_lost"),
    "half a body": (says(answer(b"abcd")[:-1], closes=True), "connection_lost"),
    "half a chunk": (
        says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", closes=True),
        "connection_lost",
    ),
    "no last chunk": (
        says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", closes=True),
        "connection_lost",
    ),
    "only 100": (says(b"HTTP/1.1 100 Continue\r\n\r\n", closes=True), "connection_lost"),
    "garbage": (says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "answer_malformed"),
    "a bad length": (says(HEAD + b"Content-Length: -1\r\n\r\n"), "answer_malformed"),
    "two lengths": (
        says(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        "answer_malformed",
    ),
    "a bad chunk": (
        says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc"),
        "answer_malformed",
    ),
    "the same length twice": (
        says(HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab"),
        "answer_malformed",
    ),
    "two lengths in one": (says(HEAD + b"Content-Length: 2, 2\r\n\r\nab"), "answer_malformed"),
    "a signed length": (says(HEAD + b"Content-Length: +2\r\n\r\nab"), "answer_malformed"),
    "a length and chunks": (
        says(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        "answer_malformed",
    ),
    "packed in transfer": (
        says(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        "answer_malformed",
    ),
    "an unknown transfer": (
        says(HEAD + b"Transfer-Encoding: gzip\r\n\r\nab", closes=True),
        "answer_malformed",
    ),
    "a header that controls": (says(answer(b"ok", "X-A: a\x01b")), "answer_malformed"),
    "a header with a zero": (says(answer(b"ok", "X-A: a\x00b")), "answer_malformed"),
    "another version": (
        says(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        "answer_malformed",
    ),
    "an old version": (
        says(b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        "answer_malformed",
    ),
    "no status": (says(answer(status="099 Odd")), "answer_malformed"),
    "many headers": (
        says(answer(b"ok", *(f"X-{number}: a" for number in range(300)))),
        "answer_malformed",
    ),
    "an endless head": (says(HEAD + b"X-A: " + b"a" * 300_000), "answer_malformed"),
    "another protocol": (
        says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        "answer_malformed",
    ),
    "a large body": (says(answer(b"x" * 1001)), "answer_too_large"),
    "a body without end": (pours, "answer_too_large"),
    "a packed body": (says(answer(b"\x1f\x8b", "Content-Encoding: gzip")), "answer_encoded"),
    "a body without length": (says(HEAD + b"\r\nok", closes=True), "answer_unframed"),
}

LATE: dict[str, Behaviour] = {
    "silence": is_silent,
    "a slow head": drips_its_head,
    "a slow body": drips_its_body,
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failure_after_sending_is_no_answer(failure: str) -> None:
    """The partner has heard the call, once, and nobody knows what it made of it."""
    behaviour, reason = FAILURES[failure]
    async with run_partner(behaviour) as partner, OutsideClient(make_settings()) as client:
        outcome = await ask(client, partner.url, body=b"hush")
    assert outcome == NoAnswer(reason)
    assert (len(partner.heard), partner.connections) == (1, 1)


@pytest.mark.parametrize("turns", range(12))
async def test_an_answer_that_goes_wrong_is_over_at_once(turns: int) -> None:
    """A chunk that is none ends the call, however far the client has come when it arrives."""

    async def goes_wrong(_: Partner, __: StreamReader, writer: StreamWriter) -> None:
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        for _turn in range(turns):
            await asyncio.sleep(0)
        writer.write(b"zz\r\n")

    async with run_partner(goes_wrong) as partner, OutsideClient(make_settings()) as client:
        assert await ask(client, partner.url) == NoAnswer("answer_malformed")


@pytest.mark.parametrize("failure", LATE)
async def test_a_late_answer_is_no_answer(failure: str) -> None:
    """The time of a call bounds all of it, also when every byte comes quickly after the last."""
    async with run_partner(LATE[failure]) as partner, OutsideClient(make_settings()) as client:
        outcome = await ask(client, partner.url, timeout_seconds=1)
        assert outcome == NoAnswer("timeout")
        assert len(partner.heard) == 1
        partner.released.set()


async def test_a_half_sent_request_may_have_been_received() -> None:
    """A partner that closes before the body is through is NoAnswer: it may act on what it has."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def take_and_close() -> None:
        connection, _ = server.accept()
        with server, connection:
            connection.recv(10)

    async with OutsideClient(make_settings()) as client:
        taking = asyncio.create_task(asyncio.to_thread(take_and_close))
        outcome = await ask(client, f"http://127.0.0.1:{port}/", body=b"x" * 20_000_000)
        await taking
    assert outcome == NoAnswer("connection_lost")


async def test_a_partner_that_does_not_listen_is_no_answer() -> None:
    """A body that is still leaving when the time is over may be acted upon; no more of it leaves,
    and its road is free.
    """
    size, settings = 20_000_000, make_settings(connections=1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        async with run_partner(says(answer())) as partner, OutsideClient(settings) as client:
            late = await ask(client, url, body=b"x" * size, timeout_seconds=0.3)
            assert late == NoAnswer("timeout")
            assert await ask(client, partner.url) == OK
            taken, _ = server.accept()
            with taken:
                assert await asyncio.to_thread(count_bytes, taken) < size


def count_bytes(connection: socket.socket) -> int:
    """How many come until the other side ends it."""
    count = 0
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            count += len(part)
    return count


async def test_an_answer_may_come_before_the_request_is_through() -> None:
    """A partner that refuses a body by its head has answered, and keeps no connection."""
    refusal = answer(b"no", status="413 Content Too Large")

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await done.wait()
        writer.close()

    done = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1_000)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, OutsideClient(make_settings(connections=1)) as client:
        for _ in range(2):
            outcome = await ask(client, url, body=b"x" * 20_000_000)
            assert outcome == Response(413, {"content-length": "2"}, b"no")
        done.set()


async def test_who_speaks_before_being_asked_is_not_asked() -> None:
    """A greeting is no answer, and whoever greets has received nothing."""
    others: list[socket.socket] = []

    async def greet(address: str, _: int) -> socket.socket:
        """The greeting is there when the connection is."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            road = await open_socket(address, server.getsockname()[1])
            other, _ = server.accept()
        other.sendall(answer())
        others.append(other)
        return road

    async with OutsideClient(make_settings(), open_to=greet) as client:
        outcome = await ask(client, "http://127.0.0.1:1/", body=b"hush")
    assert outcome == NotSent("connection_lost")
    [other] = others
    with other, contextlib.suppress(ConnectionResetError):
        assert other.recv(100) == b""


async def test_a_refused_connection_is_not_sent() -> None:
    """Where nobody listens, nobody has received."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with OutsideClient(make_settings()) as client:
        outcome = await ask(client, f"http://127.0.0.1:{port}/")
    assert outcome == NotSent("connection_refused")


@pytest.mark.parametrize("error", [socket.gaierror(-2, "hush"), UnicodeError("hush"), None])
async def test_an_unknown_name_is_not_sent(error: Exception | None) -> None:
    """A name that nobody knows, or that is none, or that has no address."""

    async def resolve(_: str, __: int) -> Sequence[str]:
        if error is not None:
            raise error
        return []

    async with OutsideClient(make_settings(), resolve=resolve) as client:
        assert await ask(client, "http://partner.test/") == NotSent("name_unresolved")


@pytest.mark.parametrize(("connect", "whole"), [(0.1, 600), (600, 0.1)])
async def test_a_slow_connection_is_not_sent(connect: float, whole: float) -> None:
    """Whichever time is over first, to connect or for the whole call, nothing has left."""

    async def resolve(_: str, __: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with OutsideClient(make_settings(connect=connect), resolve=resolve) as client:
        outcome = await ask(client, "http://partner.test/", timeout_seconds=whole)
    assert outcome == NotSent("connect_timeout")


async def test_without_a_free_connection_nothing_is_sent() -> None:
    """At most `outside_connections` are open; who waits for one in vain was not heard."""
    settings = make_settings(connections=2)
    async with run_partner(is_silent) as partner, OutsideClient(settings) as client:
        first = [asyncio.create_task(ask(client, partner.url)) for _ in "ab"]
        await partner.arrived.wait()
        outcome = await ask(client, partner.url, timeout_seconds=0.2)
        assert outcome == NotSent("no_connection_free")
        assert (partner.connections, len(partner.heard)) == (2, 2)
        for call in first:
            call.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        partner.released.set()


async def test_calls_that_fail_leave_room() -> None:
    """However calls end, in time or not or given up by who asked, their connections are free."""
    settings = make_settings(connections=2)
    async with run_partner(is_silent) as silent, OutsideClient(settings) as client:
        for _ in range(3):
            late = [ask(client, silent.url, timeout_seconds=0.1) for _ in "ab"]
            assert not any(isinstance(one, Response) for one in await asyncio.gather(*late))
        for _ in range(3):
            silent.arrived.clear()
            given_up = asyncio.create_task(ask(client, silent.url))
            await silent.arrived.wait()
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
        for behaviour in (die, reset, says(b"hello\r\n\r\n"), says(answer(b"x" * 2000))):
            async with run_partner(behaviour) as partner:
                for _ in range(3):
                    assert isinstance(await ask(client, partner.url), NoAnswer)
        async with run_partner(says(answer())) as partner:
            calls = [ask(client, partner.url) for _ in range(20)]
            assert await asyncio.gather(*calls) == [OK] * 20
            assert partner.connections <= 2
        silent.released.set()


async def test_a_closed_client_ends_its_calls() -> None:
    """Closing tells every call under way what is certain about it, and later ones are not sent."""
    asked = asyncio.Event()

    async def resolve(_: str, __: int) -> Sequence[str]:
        asked.set()
        await asyncio.Event().wait()
        return []

    async with run_partner(is_silent) as partner, run_partner(says(answer())) as other:
        client = OutsideClient(make_settings(), resolve=resolve)
        assert await ask(client, other.url) == OK
        sent = asyncio.create_task(ask(client, partner.url))
        await partner.arrived.wait()
        unsent = asyncio.create_task(ask(client, "http://partner.test/"))
        await asked.wait()
        await client.close()
        assert (sent.done(), unsent.done()) == (True, True)
        assert await sent == NoAnswer("client_closed")
        assert await unsent == NotSent("client_closed")
        assert await ask(client, partner.url) == NotSent("client_closed")
        await client.close()
        partner.released.set()


async def test_outcomes_are_never_taken_for_each_other() -> None:
    """The same reason with another certainty is another outcome."""
    sent: Outcome = NoAnswer("client_closed")
    assert sent != NotSent("client_closed")


def test_reasons_are_codes() -> None:
    """A reason is one stable word, which can be stored and counted."""
    reasons = [reason for _, reason in FAILURES.values()]
    assert [reason for reason in reasons if not re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)] == []
