"""A webhook on the protocol's own road, and on the ordinary one: answered the same."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pytest

from catena.clock import system_clock
from catena.outside.signing import parse_secret, sign
from tests.flows.gateways import Shop, View
from tests.server import ORDINARY, compare_roads, took_hot_road

_JSON: Final = {"content-type": "application/json"}


def event(type: str = "charge.approved", **more: object) -> View:
    """Something that the sandbox could say, of a charge that nobody knows."""
    thing = {"id": f"ch_{uuid4().hex}", "object": "charge", "status": "approved"}
    return {
        "id": f"evt_{uuid4().hex}",
        "type": type,
        "created": "2026-03-01T12:00:00Z",
        "data": {**thing, "amount": 100, "currency": "USD", **more},
    }


def signed(shop: Shop, said: View, *, old: bool = False) -> tuple[dict[str, str], bytes]:
    """Headers and body as the sandbox sends them."""
    body = json.dumps(said).encode()
    at = system_clock() - timedelta(days=1) * old
    return sign(parse_secret(shop.secret), said["id"], at, body) | _JSON, body


def post(
    shop: Shop, headers: Mapping[str, str], body: bytes, *, hot: bool = True
) -> httpx2.Response:
    """Deliver it."""
    more = () if hot else ORDINARY
    with httpx2.Client(trust_env=False, timeout=30) as http:
        return http.post(shop.hooks, content=body, headers=[*headers.items(), *more])


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({}, 1),
        ({"type": "dispute.opened", "about": "ch_9"}, 2),
        ({"type": "clock.advanced"}, 0),
    ],
    ids=["one thing", "two things", "no concern of ours"],
)
def test_it_is_taken_the_same(shop: Shop, said: dict[str, Any], taken: int) -> None:
    """Whichever road was first, the other knows that it was taken in."""
    ways = []
    for first in (True, False):
        fresh = signed(shop, event(**said))
        ways.append([post(shop, *fresh, hot=first), post(shop, *fresh, hot=not first)])
    for answers, receipt in zip(
        zip(*ways, strict=True),
        ({"taken": taken, "again": 0}, {"taken": 0, "again": taken}),
        strict=True,
    ):
        assert [one.status_code for one in answers] == [200, 200]
        assert [one.json() for one in answers] == [receipt] * 2
    (hot, ordinary), (again, hot_again) = ways[0], ways[1]
    assert took_hot_road(hot)
    assert took_hot_road(hot_again)
    assert not took_hot_road(ordinary)
    assert not took_hot_road(again)
    compare_roads(hot, again)


def test_what_is_not_theirs_is_refused_on_the_ordinary_road(shop: Shop) -> None:
    """Forged, too old, of no form that is known: nothing is kept, and it is said why."""
    before = len(shop.unmatched())
    headers, body = signed(shop, event())
    plain = b"{}"
    unknown = sign(parse_secret(shop.secret), "evt_1", system_clock(), plain) | _JSON
    for sent, status in (
        ((headers, body.replace(b"100", b"900")), 403),
        ((_JSON, body), 403),
        (signed(shop, event(), old=True), 403),
        ((unknown, plain), 422),
    ):
        answer = post(shop, *sent)
        assert answer.status_code == status
        assert not took_hot_road(answer)
    assert len(shop.unmatched()) == before


def test_it_may_come_in_parts(shop: Shop) -> None:
    """A body that arrives behind its head is waited for."""
    headers, body = signed(shop, event())
    place = urlsplit(shop.hooks)
    assert place.hostname is not None
    lines = [f"POST {place.path} HTTP/1.1", "Host: catena", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    with socket.create_connection((place.hostname, place.port or 80), timeout=30) as connection:
        connection.sendall(head + body[:50])
        for part in (body[50:], head, body):
            connection.sendall(part)
        with connection.makefile("rb") as stream:
            told = [read_body(stream) for _ in range(2)]
    assert told == [{"taken": 1, "again": 0}, {"taken": 0, "again": 1}]


def read_body(stream: Any) -> object:  # noqa: ANN401  # a socket's file
    """The JSON of an answer that is well."""
    assert stream.readline().split()[1] == b"200"
    length = 0
    while line := stream.readline().strip():
        name, _, value = line.lower().partition(b":")
        length = int(value) if name == b"content-length" else length
    return json.loads(stream.read(length))


def test_nobody_is_there(shop: Shop) -> None:
    """A gateway that is not, and a body larger than any webhook."""
    headers, body = signed(shop, event())
    elsewhere = shop.hooks.rpartition("gw_")[0] + "gw_" + "0" * 32
    assert httpx2.post(elsewhere, content=body, headers=headers).status_code == 404
    assert post(shop, headers, body + b" " * 2_000_000).status_code == 413
