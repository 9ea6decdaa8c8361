"""The wire of `catena bench`: every answer is seen once, however it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from catena.cli.wire import Address, exchange, make_request
from catena.errors import SetupError

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
REQUESTS = [make_request("GET", f"/{number}", {}) for number in range(7)]

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Address]:
    """A server that answers each request in this way."""
    ended: list[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ended.append(end)
        while await reader.readline():
            while await reader.readline() != b"\r\n":
                pass
            await answer(writer)
        writer.close()
        end.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield Address(*server.sockets[0].getsockname())
        await asyncio.gather(*ended)


async def load(address: Address, connections: int) -> Sequence[tuple[int, bytes]]:
    """Send all requests; gives what was seen."""
    seen: list[tuple[int, bytes]] = []

    def see(status: int, body: bytes, seconds: float) -> None:
        assert seconds > 0
        seen.append((status, body))

    await exchange(address, iter(REQUESTS), connections, see)
    return seen


@pytest.mark.parametrize("connections", [1, 3, 20])
async def test_every_request_is_answered_once(connections: int) -> None:
    """Whether there are fewer connections than requests or more, each is sent and seen once."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER)

    async with answering(answer) as address:
        assert await load(address, connections) == [(201, b"hello")] * len(REQUESTS)


async def test_an_answer_may_come_byte_by_byte() -> None:
    """An answer that arrives in pieces, or has no body, is one answer."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for byte in ANSWER:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with answering(answer) as address:
        assert await load(address, 2) == [(201, b"hello")] * len(REQUESTS)

    async def answer_nothing(writer: asyncio.StreamWriter) -> None:
        writer.write(EMPTY)

    async with answering(answer_nothing) as address:
        assert await load(address, 2) == [(204, b"")] * len(REQUESTS)


async def test_a_service_that_hangs_up_is_told() -> None:
    """A connection that is closed in the middle of an answer ends the exchange with an error."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER[:-1])
        writer.close()

    async with answering(answer) as address:
        with pytest.raises(SetupError, match="closed a connection"):
            await load(address, 2)
