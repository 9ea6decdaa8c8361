"""One call: what arrives at the partner, and what comes back whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from catena.outside.client import NotSent, OutsideClient, Request, Response
from tests.outside.partner import answer, ask, make_settings, run_partner, says


async def test_a_call_arrives_as_it_was_asked_for() -> None:
    """Method, path, query, headers and body arrive; the client adds only what frames them."""
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        await ask(
            client,
            f"{partner.url}v1/charges?a=b%20c#part",
            body=b'{"a":1}',
            headers={"x-key": "k 1"},
        )
    [request] = partner.heard
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert headers[0].startswith("Host: ")
    assert first == "POST /v1/charges?a=b%20c HTTP/1.1"
    assert sorted(headers) == [
        "Accept-Encoding: identity",
        "Content-Length: 7",
        f"Host: 127.0.0.1:{partner.port}",
        "User-Agent: catena",
        "x-key: k 1",
    ]
    assert body == b'{"a":1}'


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("", "/"),
        ("/%7Ea/%2f?x=%20+%C3%BC&y=[]", "/%7Ea/%2f?x=%20+%C3%BC&y=[]"),
        ("//a/b;c=1,2/@:~", "//a/b;c=1,2/@:~"),
        ("/ü?q=ü", "/%C3%BC?q=%C3%BC"),
        ("/a b", "/a%20b"),
        ("?a=b", "/?a=b"),
    ],
)
async def test_a_path_is_not_written_anew(path: str, sent: str) -> None:
    """What the caller quoted stays as it is; only what no request can carry is quoted."""
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        for _ in range(2):
            await ask(client, partner.url.removesuffix("/") + path)
    assert [one.split(b" ")[1].decode() for one in partner.heard] == [sent, sent]


@pytest.mark.parametrize("size", [0, 2, 5_000, 2_000_000])
async def test_every_byte_of_a_body_arrives(size: int) -> None:
    """A body is sent as it was signed, whatever its size."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        for method in ("DELETE", "GET", "POST"):
            assert isinstance(await ask(client, partner.url, method=method, body=body), Response)
    assert [one.partition(b"\r\n\r\n")[2] == body for one in partner.heard] == [True] * 3


async def test_a_request_leaves_in_one_piece() -> None:
    """Head and body are one write: a partner does not wait for the second half."""
    pieces: list[bytes] = []

    class Listener(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)  # uvloop's own class

        def data_received(self, data: bytes) -> None:
            pieces.append(data)
            if b"{}" in data:
                self.transport.write(answer())

    server = await asyncio.get_running_loop().create_server(Listener, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, OutsideClient(make_settings()) as client:
        for _ in range(20):
            assert isinstance(await ask(client, url), Response)
    assert [b"POST / HTTP/1.1" in one and one.endswith(b"{}") for one in pieces] == [True] * 20


async def test_an_answer_comes_back_whole() -> None:
    """Status, headers by lower-case name, and every byte of the body, however it was framed."""
    chunked = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
    parts = (chunked, b"3\r\nabc\r\n", b"2\r\nd\xff\r\n", b"0\r\n\r\n")
    async with run_partner(says(*parts)) as partner, OutsideClient(make_settings()) as client:
        outcome = await ask(client, partner.url)
    assert outcome == Response(201, {"transfer-encoding": "chunked", "x-a": "1, 2"}, b"abcd\xff")


@pytest.mark.parametrize("method", ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"])
async def test_a_call_without_a_body_is_framed(method: str) -> None:
    """A method that may carry a body says that there is none; the others say nothing."""
    said = answer(b"" if method == "HEAD" else b"ok")
    async with run_partner(says(said)) as partner, OutsideClient(make_settings()) as client:
        outcomes = [await ask(client, partner.url, method=method, body=b"") for _ in range(2)]
    assert [isinstance(outcome, Response) for outcome in outcomes] == [True, True]
    framed = [b"Content-Length: 0\r\n" in request for request in partner.heard]
    assert framed == [method in {"PATCH", "POST", "PUT"}] * 2
    assert partner.connections == 1


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "500 Broken"])
async def test_every_status_is_an_answer(status: str) -> None:
    """A refusal or a failure of the partner is an answer like any other."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    async with run_partner(says(head)) as partner, OutsideClient(make_settings()) as client:
        outcome = await ask(client, partner.url)
    assert outcome == Response(int(status[:3]), {"content-length": "0"}, b"")


async def test_an_answer_may_be_announced() -> None:
    """100 and 103 come before the answer and are not it."""
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
    async with (
        run_partner(says(early, answer())) as partner,
        OutsideClient(make_settings()) as client,
    ):
        outcome = await ask(client, partner.url)
    assert outcome == Response(200, {"content-length": "2"}, b"ok")


async def test_an_answer_may_be_as_large_as_the_limit() -> None:
    """The limit itself is allowed."""
    body = b"x" * 1000
    async with run_partner(says(answer(body))) as partner, OutsideClient(make_settings()) as client:
        outcome = await ask(client, partner.url)
    assert outcome == Response(200, {"content-length": "1000"}, body)


async def test_an_empty_answer_needs_no_length() -> None:
    """A partner that says only its status and closes has said all of it."""
    bare = says(b"HTTP/1.0 200 OK\r\n\r\n", closes=True)
    async with run_partner(bare) as partner, OutsideClient(make_settings()) as client:
        assert await ask(client, partner.url) == Response(200, {}, b"")


async def test_a_redirect_is_an_answer() -> None:
    """Nobody is called whom the caller did not name."""
    async with run_partner(says(answer())) as other, OutsideClient(make_settings()) as client:
        moved = answer(b"", f"Location: {other.url}", status="307 Temporary Redirect")
        async with run_partner(says(moved)) as partner:
            outcome = await ask(client, partner.url)
    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.headers["location"]) == (307, other.url)
    assert (len(partner.heard), other.connections) == (1, 0)


async def test_a_cookie_is_not_kept() -> None:
    """What one answer sets, the next call does not bring back."""

    async def resolve(_: str, __: int) -> Sequence[str]:
        return ["127.0.0.1"]

    sets = says(answer(b"ok", "Set-Cookie: a=b; Path=/"))
    settings = make_settings()
    async with run_partner(sets) as partner, OutsideClient(settings, resolve=resolve) as client:
        for _ in range(2):
            await ask(client, f"http://partner.test:{partner.port}/")
    assert [b"cookie" in request.lower() for request in partner.heard] == [False, False]


async def test_the_environment_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it says of proxies and passwords is not for us."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login hush password hush\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with (
        run_partner(says(answer(b"proxy"))) as proxy,
        run_partner(says(answer())) as partner,
    ):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        async with OutsideClient(make_settings()) as client:
            outcome = await ask(client, partner.url)
    assert outcome == Response(200, {"content-length": "2"}, b"ok")
    assert proxy.connections == 0
    [request] = partner.heard
    assert request.startswith(b"POST / HTTP/1.1\r\n")
    assert b"authorization" not in request.lower()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "partner.test/a",
        "//partner.test/",
        "ftp://partner.test/",
        "file:///etc/passwd",
        "ws://127.0.0.1/",
        "http://",
        "http:///path",
        "http://user:hush@127.0.0.1/",
        "http://user@127.0.0.1/",
        "http://evil\\@127.0.0.1/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:-1/",
        "http://127.0.0.1:x/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://a b/",
        "http://127.0.0.1%00.partner.test/",
        "http://127.0.0.1/\r\nX-A: b",
        "http://127.0.0.1/\0",
        "http://127.0.0.1/" + "a" * 70_000,
    ],
)
async def test_a_strange_url_is_refused(url: str) -> None:
    """Only http and https, a host, and nothing that two readers could read in two ways."""
    async with OutsideClient(make_settings()) as client:
        assert await ask(client, url) == NotSent("url_refused")


@pytest.mark.parametrize("method", ["", "get", "CONNECT", "TRACE", "GET /a HTTP/1.1\r\nX: "])
async def test_a_strange_method_is_refused(method: str) -> None:
    """Nothing is connected for a method that no partner's API has."""
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        assert await ask(client, partner.url, method=method) == NotSent("method_refused")
    assert partner.connections == 0


@pytest.mark.parametrize(
    "header",
    [
        {"Host": "other"},
        {"content-length": "3"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"Accept-Encoding": "gzip"},
        {"Expect": "100-continue"},
        {"Upgrade": "websocket"},
        {"X A": "b"},
        {"": "b"},
        {"X-A": "b\r\nX-B: c"},
        {"X-A": "b\n"},
        {"X-A": " b"},
        {"X-A": "ü"},
        {"X-Ä": "b"},
    ],
)
async def test_a_strange_header_is_refused(header: dict[str, str]) -> None:
    """How a message is framed, and where it goes, is not the caller's to say."""
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        assert await ask(client, partner.url, headers=header) == NotSent("header_refused")
    assert partner.connections == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
async def test_a_call_has_an_end(seconds: float) -> None:
    """Without time, or with time for ever, nothing is connected."""
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        outcome = await client.send(Request("GET", partner.url, b"", {}, seconds))
    assert outcome == NotSent("timeout_refused")
    assert partner.connections == 0


async def test_a_caller_may_name_its_agent() -> None:
    """A User-Agent of the caller's stands alone."""
    async with run_partner(says(answer())) as partner, OutsideClient(make_settings()) as client:
        await ask(client, partner.url, headers={"user-agent": "shop/1"})
    assert partner.heard[0].lower().count(b"user-agent: ") == 1
    assert b"user-agent: shop/1\r\n" in partner.heard[0]
