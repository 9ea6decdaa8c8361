"""HTTP itself, byte by byte: pipelines, upgrades, broken requests, and the protocol's own road."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from tests.contract import REQUEST_ID, Contract
from tests.postgres import Database
from tests.server import ORDINARY, Api, compare_roads, make_key, run_api


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came over the wire. `body`: its JSON."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Wire:
    """Two wallets, and requests about them as bytes."""

    service: Api
    al: str
    bo: str

    def get(self, version: str = "1.1", *headers: str) -> bytes:
        """Read bo's balance."""
        return self.frame("GET", f"/v1/accounts/{self.bo}/balance", version, *headers)

    def post(self, amount: int = 1, *headers: str, key: str = "") -> bytes:
        """Transfer to bo."""
        move = {"source_account_id": self.al, "destination_account_id": self.bo}
        body = json.dumps({**move, "amount": amount, "currency": "USD"}).encode()
        more = (f"Idempotency-Key: {key or uuid4().hex}", f"Content-Length: {len(body)}")
        return self.frame("POST", "/v1/transfers", "1.1", *more, *headers) + body

    def frame(self, method: str, path: str, version: str, *headers: str) -> bytes:
        """The head of a request with everything that it needs."""
        lines = [
            f"{method} {path} HTTP/{version}",
            "Host: catena",
            f"Authorization: Bearer {self.service.key.secret}",
            f"Catena-Ledger: {self.service.ledger}",
            "Content-Type: application/json",
            *headers,
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def send(self, *parts: bytes, answers: int = 1) -> list[Answer]:
        """Send the parts one after the other and read this many answers."""
        with socket.create_connection(self.service.api.place, timeout=30) as connection:
            for part in parts:
                connection.sendall(part)
            with connection.makefile("rb") as stream:
                return [_read_answer(stream) for _ in range(answers)]

    def send_until_closed(self, *parts: bytes) -> list[Answer]:
        """Send the parts and read what comes until the other side closes."""
        found = []
        with socket.create_connection(self.service.api.place, timeout=30) as connection:
            for part in parts:
                connection.sendall(part)
            with connection.makefile("rb") as stream:
                while stream.peek(1):
                    found.append(_read_answer(stream))
        return found


def _read_answer(stream: Any) -> Answer:  # noqa: ANN401  # a socket's file
    status = int(stream.readline().split()[1])
    headers: dict[str, str] = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if status == 100:
        return Answer(status, headers, None)
    assert REQUEST_ID.fullmatch(headers["request-id"])
    return Answer(status, headers, json.loads(stream.read(int(headers["content-length"]))))


@pytest.fixture
def wire(service: Api) -> Wire:
    """Two wallets, one with money in it."""
    return Wire(service, service.open_account(funded=1000), service.open_account())


def expect_bad_request(answer: Answer) -> None:
    """Fail unless it is the problem that says so, and the connection ends with it."""
    assert (answer.status, answer.body["code"]) == (400, "bad_request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.body["request_id"] == answer.headers["request-id"]
    assert answer.body["type"] == "/errors/bad_request"
    assert answer.body["retryable"] is False


BROKEN: dict[str, bytes] = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no HTTP at all": b"hello there\r\n\r\n",
    "an unknown method": b"STEAL /v1/transfers HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown version": b"GET /livez HTTP/3.7\r\nHost: x\r\n\r\n",
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "bare newlines": b"GET /livez HTTP/1.1\nHost: x\n\n",
    "a space before the colon": b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded header": b"GET /livez HTTP/1.1\r\nX-A: a\r\n b\r\n\r\n",
    "NUL in a header": b"GET /livez HTTP/1.1\r\nX-A: a\0b\r\n\r\n",
    "DEL in a header": b"GET /livez HTTP/1.1\r\nX-A: a\x7fb\r\n\r\n",
    "bytes in the path": b"GET /a\x80b HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": b"POST /livez HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length and chunks": (
        b"POST /livez HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a negative length": b"POST /livez HTTP/1.1\r\nContent-Length: -3\r\n\r\n",
    "a length of 5,000 digits": (
        b"POST /livez HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"
    ),
    "a proxy's request": b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a proxy's request with a path": b"CONNECT /v1/transfers HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_http_is_a_problem_too(wire: Wire, name: str) -> None:
    """One problem document, then the connection is closed."""
    (answer,) = wire.send_until_closed(BROKEN[name])
    expect_bad_request(answer)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Transfer-Encoding: chunked", b"zz\r\n"),
        ("Transfer-Encoding: chunked", b"5\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"ffffffffffffffffff\r\n"),
        ("Transfer-Encoding: gzip", b"xyz"),
        ("Transfer-Encoding: chunked, gzip", b"xyz"),
    ],
)
def test_a_broken_body_of_a_transfer_is_no_transfer(wire: Wire, head: str, body: bytes) -> None:
    """Chunks that are none, and encodings that are not offered: 400, nothing written."""
    before = wire.service.count_rows()
    frame = wire.frame("POST", "/v1/transfers", "1.1", "Idempotency-Key: k", head)
    (answer,) = wire.send_until_closed(frame + body)
    expect_bad_request(answer)
    assert wire.service.count_rows() == before


def test_a_client_that_hangs_up_within_its_body_writes_nothing(wire: Wire) -> None:
    """A request that never became whole has no effect, and no error is logged for it."""
    before = wire.service.count_rows()
    whole = wire.post()
    logged = len(wire.service.api.log)
    for part in (whole[:20], whole[:-1]):
        with socket.create_connection(wire.service.api.place, timeout=30) as connection:
            connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
    assert wire.service.count_rows() == before
    assert [line for line in wire.service.api.log[logged:] if '"error"' in line] == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * 1_000_000,
        b"GET /livez HTTP/1.1\r\n" + b"X-A: a\r\n" * 100_000,
        b"GET /" + b"a" * 1_000_000,
    ],
)
def test_a_head_that_does_not_end_is_given_up(wire: Wire, head: bytes) -> None:
    """A header, many headers or a path without end: 400 long before memory is gone."""
    with socket.create_connection(wire.service.api.place, timeout=30) as connection:
        try:
            for start in range(0, len(head), 10_000):
                connection.sendall(head[start : start + 10_000])
        except ConnectionError:
            return  # it was given up while we were sending
        with connection.makefile("rb") as stream:
            expect_bad_request(_read_answer(stream))


def test_a_transfer_of_endless_length_is_refused(wire: Wire) -> None:
    """More digits than Python reads as a number: 400, and no error is logged."""
    wire.send(wire.post(1))
    logged = len(wire.service.api.log)
    head = wire.frame("POST", "/v1/transfers", "1.1", "Idempotency-Key: k")
    (answer,) = wire.send_until_closed(head[:-2] + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n")
    expect_bad_request(answer)
    assert wire.service.api.log[logged:] == []


def test_requests_in_a_pipeline_are_answered_in_their_order(wire: Wire) -> None:
    """Each on its own, on both roads, and each sees what those before it did."""
    requests = [wire.post(1), wire.get(), wire.post(2), wire.post(5000), wire.get(), wire.post(3)]
    answers = wire.send(b"".join(requests), answers=6)
    assert [answer.status for answer in answers] == [201, 200, 201, 422, 200, 201]
    assert [answers[1].body["posted"], answers[4].body["posted"]] == [1, 3]
    assert wire.service.read_posted(wire.bo) == [6]


def test_a_request_may_come_byte_by_byte(wire: Wire) -> None:
    """How a request is cut into packets does not matter."""
    request = wire.post(4)
    (answer,) = wire.send(*(request[i : i + 1] for i in range(len(request))))
    assert answer.status == 201
    head, body = request.split(b"\r\n\r\n", 1)
    (answer,) = wire.send(wire.post(3)[: len(head)] + b"", wire.post(3)[len(head) :])
    assert answer.status == 201
    assert wire.service.read_posted(wire.bo) == [7]
    assert body.startswith(b"{")


def test_a_request_may_be_cut_anywhere(wire: Wire) -> None:
    """Its head alone, part of its body, or its end together with the next request."""
    request = wire.post(1, key="k")
    head = request.index(b"\r\n\r\n") + 4
    cuts = [(head - 2,), (head,), (head + 1,), (head, head + 9), (len(request) - 1,)]
    for number, cut in enumerate(cuts):
        whole = wire.post(1, key=f"k{number}0") + wire.get() + wire.post(1, key=f"k{number}1")
        places = [0, *(place + 1 for place in cut), len(whole)]  # one more: the key is longer
        with socket.create_connection(wire.service.api.place, timeout=30) as connection:
            for start, end in pairwise(places):
                connection.sendall(whole[start:end])
                wire.send(wire.get())  # by now the part was read
            with connection.makefile("rb") as stream:
                answers = [_read_answer(stream) for _ in range(3)]
        assert [answer.status for answer in answers] == [201, 200, 201]
        assert answers[1].body["posted"] == 2 * number + 1


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(
    database: Database, contract: Contract
) -> None:
    """A connection lives as long as hot requests come, and a second longer."""
    key = make_key(database.service_dsn)
    with run_api(database.service_dsn, keep_alive_seconds=1) as running:
        service = Api(running, database, key, contract)
        wallet = service.open_account()
        request = Wire(service, wallet, wallet).get()
        with socket.create_connection(running.place, timeout=30) as connection:
            stream = connection.makefile("rb")
            began = monotonic()
            while monotonic() < began + 2.5:
                connection.sendall(request)
                assert _read_answer(stream).status == 200
            ended = monotonic()
            assert stream.read() == b""
            assert monotonic() - ended >= 0.9
        service.close()


def test_what_is_no_request_never_answers_for_a_whole_one(wire: Wire) -> None:
    """A transfer with rubbish behind it gets its own answer; then the connection ends."""
    for behind in (b"rubbish\r\n\r\n", b"\0\0\0\0", wire.get()[:-4] + b"\r\nX : y\r\n\r\n"):
        answers = wire.send_until_closed(wire.post(1) + behind)
        assert [answer.status for answer in answers] == [201]
        assert answers[0].headers["connection"] == "close"
    assert wire.service.read_posted(wire.bo) == [3]
    chunked = wire.frame("POST", "/v1/transfers", "1.1", "Transfer-Encoding: chunked")
    answers = wire.send_until_closed(wire.post(1, key="k") + chunked + b"zz\r\n")
    assert [answer.status for answer in answers] == [201]
    (answer,) = wire.send(wire.post(1, key="k"))
    assert (answer.status, wire.service.read_posted(wire.bo)) == (201, [4])


@pytest.mark.parametrize(
    "offer",
    [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        ("Connection: upgrade", "Upgrade: TLS/1.2"),
    ],
)
def test_an_offer_to_upgrade_is_passed_over(wire: Wire, offer: tuple[str, ...]) -> None:
    """The request is done as if it were not there: its body counts, and the connection goes on."""
    first, second = wire.post(1, *offer), wire.get("1.1", *offer)
    answers = wire.send(first + second + wire.get(), answers=3)
    assert [answer.status for answer in answers] == [201, 200, 200]
    many = 500
    assert len(wire.send(second * many, answers=many)) == many
    cut = len(first) - 10
    answers = wire.send(first[:cut].replace(b"Key: ", b"Key: x"), first[cut:], answers=1)
    assert answers[0].status == 201
    assert wire.service.read_posted(wire.bo) == [2]


def test_a_caller_may_ask_before_it_sends_its_body(wire: Wire) -> None:
    """Expect: 100-continue is answered first."""
    request = wire.post(1, "Expect: 100-continue")
    first, second = wire.send(request, answers=2)
    assert (first.status, second.status) == (100, 201)


def test_connections_end_when_they_are_asked_to(wire: Wire) -> None:
    """HTTP/1.0 and Connection: close get one answer; else the connection is kept."""
    for request in (
        wire.get("1.0"),
        wire.get("1.0", "Connection: keep-alive"),
        wire.get("1.1", "Connection: close"),
        wire.post(1, "Connection: close"),
        wire.post(1, "Proxy-Connection: close"),
        wire.frame("GET", "/livez", "1.1", "Connection: close"),
    ):
        (answer,) = wire.send_until_closed(request)
        assert answer.status in {200, 201}
        assert answer.headers["connection"] == "close"
    assert len(wire.send(wire.get(), wire.get(), answers=2)) == 2


def test_a_body_where_none_is_wanted_is_passed_over(wire: Wire) -> None:
    """A read with a body reads, and the next request on the connection is not lost."""
    for size in (5, 100_000):
        read = wire.get("1.1", f"Content-Length: {size}") + b"x" * size
        answers = wire.send(read + wire.get(), answers=2)
        assert [answer.status for answer in answers] == [200, 200]


def test_a_refused_body_leaves_the_connection_usable(wire: Wire) -> None:
    """After 413 the rest of the body is read away."""
    big = wire.frame("POST", "/v1/transfers", "1.1", "Idempotency-Key: k", "Content-Length: 300000")
    answers = wire.send(big + b"x" * 300_000 + wire.get(), answers=2)
    assert [answer.status for answer in answers] == [413, 200]


def test_a_head_like_the_last_one_is_read_the_same(wire: Wire) -> None:
    """Whatever follows a transfer on its connection is answered as on a connection of its own."""
    plain, key = wire.post(), b"\r\nIdempotency-Key: "
    start = plain.index(key) + len(key)
    end = plain.index(b"\r\n", start)
    length = plain.index(b"\r\n", plain.index(b"Content-Length: "))

    def keyed(value: bytes) -> bytes:
        return plain[:start] + value + plain[end:]

    followers = {
        "another key": keyed(b"another"),
        "a key of digits": keyed(b"999"),
        "a key in quotes": keyed(b'"quoted"'),
        "an empty key": keyed(b""),
        "a key of spaces": keyed(b"  "),
        "a key with a space behind": keyed(b"behind "),
        "a key with a tab": keyed(b"a\tb"),
        "a key beyond ASCII": keyed(b"\xe9"),
        "a key with a bare newline": keyed(b"a\nX: b"),
        "a key too long": keyed(b"k" * 256),
        "one header more": keyed(b"more\r\nX-More: 1"),
        "a second key": keyed(b"one\r\nIdempotency-Key: two"),
        "a second length": plain[:length] + b"\r\nContent-Length: 1" + plain[length:],
        "a length that is none": plain[:length] + b"x" + plain[length:],
        "a length with a sign": plain.replace(b"Content-Length: ", b"Content-Length: +"),
        "a length too large": plain[:length] + b"00000000" + plain[length:],
        "a length with zeros before it": plain.replace(b"Content-Length: ", b"Content-Length: 00"),
        "no key": plain[: start - len(key)] + plain[end:],
        "another caller": plain.replace(b"Bearer ctk_", b"Bearer xyz_"),
        "another ledger": plain.replace(b"Catena-Ledger: ldg_", b"Catena-Ledger: xyz_"),
        "another type": plain.replace(b"application/json", b"text/plain"),
        "another path": plain.replace(b"/v1/transfers", b"/v1/transferz"),
        "a balance": wire.get(),
    }
    transfers = 0
    for name, follower in followers.items():
        with socket.create_connection(wire.service.api.place, timeout=30) as connection:
            found = []
            for part in (wire.post(), follower):
                connection.sendall(part)
                stream = connection.makefile("rb")
                found.append(_read_answer(stream))
        [alone] = wire.send(follower)
        assert found[0].status == 201
        replayed = alone.headers.pop("idempotency-replayed", None)
        assert (replayed == "true") == (alone.status == 201), name
        for answer in (found[1], alone):
            for passing in ("date", "request-id"):
                answer.headers.pop(passing)
            answer.body.pop("request_id", None)
        assert (found[1].status, found[1].headers) == (alone.status, alone.headers), name
        assert found[1].body == alone.body, name
        transfers += 1 + (alone.status == 201)
    assert wire.service.read_posted(wire.bo) == [transfers]


def test_transfers_are_answered_the_same_on_both_roads(service: Api) -> None:
    """Successes, refusals and replays: whichever road was first, the other replays it."""
    al, bo = service.open_account(funded=1000), service.open_account()
    euros, missing = service.open_account("EUR"), "acct_" + "0" * 32
    fee = {"type": "percentage", "name": "f", "rate": "0.1"}
    base = {"source_account_id": al, "destination_account_id": bo, "currency": "USD", "amount": 9}
    changes: list[dict[str, Any]] = [
        {},
        {"metadata": {"b": 1, "a": "é"}, "description": "d"},
        {"fees": [fee], "effective_at": "2026-01-01T00:00:00Z"},
        {"reference": "r"},
        {"reference": "r"},
        {"reference": "r", "amount": 10},
        {"amount": 5000},
        {"destination_account_id": euros},
        {"destination_account_id": missing},
        {"effective_at": "2999-01-01T00:00:00Z"},
    ]
    for number, change in enumerate(changes):
        body = {**base, **change}
        roads = ((), ORDINARY)
        first, second = roads if number % 2 else roads[::-1]
        headers = [("Idempotency-Key", f"k{number}")]
        fresh = service.send("POST", "/v1/transfers", body, headers=[*headers, *first])
        assert "idempotency-replayed" not in fresh.headers
        again = service.send("POST", "/v1/transfers", body, headers=[*headers, *second])
        assert again.headers.pop("idempotency-replayed") == "true"
        compare_roads(*((fresh, again) if number % 2 else (again, fresh)))
        other = {**body, "description": "another"}
        compare_roads(
            *(
                service.send("POST", "/v1/transfers", other, headers=[*headers, *road])
                for road in roads
            )
        )


def test_balances_are_answered_the_same_on_both_roads(service: Api) -> None:
    """Balances that are there, that are not, and ids that are none."""
    al = service.open_account(funded=1000)
    poor = service.client("transfers:write")
    poor.send("GET", f"/v1/accounts/{al}/balance")
    for client, id in ((service, al), (service, "acct_" + "0" * 32), (poor, al)):
        path = f"/v1/accounts/{id}/balance"
        compare_roads(client.send("GET", path), client.send("GET", path, headers=ORDINARY))
    for id in ("acct_" + "z" * 32, "acct_" + "A" * 32, "ent__" + "0" * 32):
        answer = service.send("GET", f"/v1/accounts/{id}/balance")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_id")
    bad = "/v2/accountz/" + "0" * 37 + "/balance"
    assert service.send("GET", bad).status_code == 404
    assert service.read_posted(al) == [1000]


def test_headers_are_judged_the_same_on_both_roads(service: Api) -> None:
    """Keys, ledgers and types that the protocol cannot take are the ordinary road's to refuse."""
    al, bo = service.open_account(funded=1000), service.open_account()
    body = {"source_account_id": al, "destination_account_id": bo, "currency": "USD", "amount": 9}
    del service.http.headers["Catena-Ledger"]
    poor = service.client("accounts:read")
    poor.read(f"/v1/accounts/{al}/balance")  # its key is known from here on
    good = {
        "Idempotency-Key": "k",
        "Catena-Ledger": service.ledger,
        "Content-Type": "application/json",
    }
    for change, status in (
        ({"Idempotency-Key": ""}, 400),
        ({"Idempotency-Key": '""'}, 400),
        ({"Idempotency-Key": "é"}, 400),
        ({"Idempotency-Key": "x" * 256}, 400),
        ({"Catena-Ledger": ""}, 404),
        ({"Catena-Ledger": "ldg_" + "0" * 32}, 404),
        ({"Catena-Ledger": service.ledger.upper()}, 404),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Authorization": "Bearer x"}, 401),
        ({"Authorization": poor.http.headers["Authorization"], "Idempotency-Key": "x" * 256}, 403),
    ):
        headers = list({**good, **change}.items())
        answers = [
            service.send("POST", "/v1/transfers", body, headers=[*headers, *road])
            for road in ((), ORDINARY)
        ]
        assert [answer.status_code for answer in answers] == [status, status], change
        told = [{**answer.json(), "request_id": ""} for answer in answers]
        assert told[0] == told[1]
