"""The guard at the connection: what was judged is connected to, under the partner's name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence

import pytest

from catena.outside.client import NoAnswer, NotSent, OutsideClient, Response
from catena.outside.network import Resolver, open_socket, resolve_name
from tests.outside.partner import (
    CERTIFICATE,
    Partner,
    answer,
    ask,
    is_silent,
    make_settings,
    run_partner,
    says,
    trust,
)

OK = Response(200, {"content-length": "2"}, b"ok")
PUBLIC, OTHER_PUBLIC, PRIVATE = "93.184.216.34", "2606:4700::1111", "127.0.0.1"


class Internet:
    """Where every address leads to our partner, and `asked` says which were connected to.

    Those in `dead` refuse; those in `lost` never answer.
    """

    def __init__(self, dead: Sequence[str] = (), lost: Sequence[str] = ()) -> None:
        self.asked: list[str] = []
        self.dead = dead
        self.lost = lost

    async def open_to(self, address: str, port: int) -> socket.socket:
        """A connection to this port of ours."""
        self.asked.append(address)
        if address in self.lost:
            await asyncio.Event().wait()
        if address in self.dead:
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = server.getsockname()[1]
        return await open_socket("127.0.0.1", port)


def resolve_to(*answers: Sequence[str], asked: list[str] | None = None) -> Resolver:
    """A name server that answers so, one look-up after the other, and then no more."""
    left: Iterator[Sequence[str]] = iter(answers)

    async def resolve(host: str, _: int) -> Sequence[str]:
        if asked is not None:
            asked.append(host)
        return next(left, ())

    return resolve


def at(partner: Partner, host: str = "partner.test", scheme: str = "http") -> str:
    """The partner's URL under a name."""
    return f"{scheme}://{host}:{partner.port}/"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "[::]"],  # noqa: S104
)
async def test_a_private_address_is_not_connected_to(host: str) -> None:
    """Unless the setting allows it, no byte and no connection goes to our own network."""
    internet = Internet()
    async with (
        run_partner(says(answer())) as partner,
        OutsideClient(make_settings(private=False), open_to=internet.open_to) as client,
    ):
        assert await ask(client, at(partner, host)) == NotSent("address_refused")
    assert (partner.connections, internet.asked) == (0, [])


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1"])
async def test_a_name_for_a_private_address_is_no_way_around(host: str) -> None:
    """What the system itself makes of a name is judged, however the name is written."""
    async with (
        run_partner(says(answer())) as partner,
        OutsideClient(make_settings(private=False)) as client,
    ):
        assert await ask(client, at(partner, host)) == NotSent("address_refused")
    assert partner.connections == 0


async def test_a_setting_allows_private_addresses() -> None:
    """For a partner on the same machine, and for these tests."""
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        assert await ask(client, at(partner, "localhost")) == OK
        assert await ask(client, at(partner, "127.0.0.1")) == OK


async def test_a_name_is_looked_up_once_for_a_connection() -> None:
    """A name that is public when it is judged and private a moment later leads to the public one:
    nobody asks a second time. A new connection is judged anew.
    """
    internet, asked = Internet(), list[str]()
    resolve = resolve_to([PUBLIC], [PRIVATE], asked=asked)
    settings = make_settings(private=False)
    async with (
        run_partner(says(answer(), closes=True)) as partner,
        OutsideClient(settings, resolve=resolve, open_to=internet.open_to) as client,
    ):
        assert await ask(client, at(partner)) == OK
        assert (asked, internet.asked) == (["partner.test"], [PUBLIC])
        assert await ask(client, at(partner)) == NotSent("address_refused")
    assert (len(asked), internet.asked, partner.connections) == (2, [PUBLIC], 1)


async def test_only_public_addresses_of_a_name_are_tried() -> None:
    """A name with both kinds leads to its public ones alone, also when those do not answer."""
    internet = Internet(dead=[PUBLIC, OTHER_PUBLIC])
    resolve = resolve_to([PRIVATE, PUBLIC, "10.0.0.1", OTHER_PUBLIC, "::1"])
    settings = make_settings(private=False)
    async with (
        run_partner(says(answer())) as partner,
        OutsideClient(settings, resolve=resolve, open_to=internet.open_to) as client,
    ):
        assert await ask(client, at(partner)) == NotSent("connection_refused")
    assert (internet.asked, partner.connections) == ([PUBLIC, OTHER_PUBLIC], 0)


@pytest.mark.parametrize("kind", ["dead", "lost"])
async def test_the_next_address_is_tried(kind: str) -> None:
    """One address that refuses or never answers does not take the time of the others."""
    internet = Internet(**{kind: [PUBLIC]})
    resolve = resolve_to([PUBLIC, OTHER_PUBLIC])
    settings = make_settings(private=False, connect=2)
    async with (
        run_partner(says(answer())) as partner,
        OutsideClient(settings, resolve=resolve, open_to=internet.open_to) as client,
    ):
        assert await ask(client, at(partner)) == OK
    assert internet.asked == [PUBLIC, OTHER_PUBLIC]


async def test_an_address_that_never_answers_is_not_sent() -> None:
    """The time to connect is over before the call's is, and nothing has left."""
    internet = Internet(lost=[PUBLIC])
    settings = make_settings(private=False, connect=0.1)
    async with OutsideClient(
        settings, resolve=resolve_to([PUBLIC]), open_to=internet.open_to
    ) as client:
        assert await ask(client, "http://partner.test/") == NotSent("connect_timeout")


async def test_a_partner_keeps_its_name() -> None:
    """The address is only where to go: Host, SNI and certificate are those of the name."""
    resolve = resolve_to([PRIVATE])
    async with (
        run_partner(says(answer()), tls=True) as partner,
        OutsideClient(make_settings(), resolve=resolve, tls=trust()) as client,
    ):
        url = at(partner, scheme="https")
        assert [await ask(client, url) for _ in range(2)] == [OK, OK]
    assert partner.names == ["partner.test"]
    assert [f"Host: partner.test:{partner.port}".encode() in one for one in partner.heard] == [
        True,
        True,
    ]


async def test_a_certificate_of_another_is_refused() -> None:
    """A partner that cannot prove its name has received no request."""
    resolve = resolve_to([PRIVATE])
    async with (
        run_partner(says(answer()), tls=True) as partner,
        OutsideClient(make_settings(), resolve=resolve, tls=trust()) as client,
    ):
        outcome = await ask(client, at(partner, "other.test", "https"))
    assert outcome == NotSent("tls_failed")
    assert partner.heard == []


async def test_an_unknown_certificate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default only those are trusted whom the system trusts, whatever the environment says."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    resolve = resolve_to([PRIVATE])
    async with (
        run_partner(says(answer()), tls=True) as partner,
        OutsideClient(make_settings(), resolve=resolve) as client,
    ):
        outcome = await ask(client, at(partner, scheme="https"))
    assert outcome == NotSent("tls_failed")
    assert partner.heard == []


async def test_a_partner_without_tls_is_not_sent_to() -> None:
    """A handshake that meets something else ends before the request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65_536))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    heard: list[bytes] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, OutsideClient(make_settings(), tls=trust()) as client:
        outcome = await ask(client, f"https://127.0.0.1:{port}/", body=b"hush")
    assert outcome == NotSent("tls_failed")
    assert [b"hush" in one for one in heard] == [False]


@pytest.mark.parametrize(("connect", "whole"), [(0.2, 600), (600, 0.2)])
async def test_a_slow_handshake_is_not_sent(connect: float, whole: float) -> None:
    """The handshake belongs to the time to connect, and the request comes after it."""
    settings = make_settings(connect=connect)
    async with (
        run_partner(is_silent) as partner,
        OutsideClient(settings, tls=trust()) as client,
    ):
        outcome = await ask(client, at(partner, "127.0.0.1", "https"), timeout_seconds=whole)
    assert outcome == NotSent("connect_timeout")


async def test_an_answer_cut_within_tls_is_no_answer() -> None:
    """Encryption changes nothing about what is certain."""
    cut = says(answer(b"abcd")[:-1], closes=True)
    async with (
        run_partner(cut, tls=True) as partner,
        OutsideClient(make_settings(), resolve=resolve_to([PRIVATE]), tls=trust()) as client,
    ):
        outcome = await ask(client, at(partner, scheme="https"))
    assert outcome == NoAnswer("connection_lost")


async def test_the_system_says_where_a_name_is() -> None:
    """Each address of a name comes once."""
    found = await resolve_name("localhost", 80)
    assert set(found) <= {"127.0.0.1", "::1"}
    assert len(set(found)) == len(found) > 0
