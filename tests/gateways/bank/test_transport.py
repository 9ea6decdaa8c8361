"""Over HTTP a file is taken, refused or unknown; and nothing that the bank has for us is lost."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from catena.gateways.bank.transport import (
    BankAddress,
    BankUnreachable,
    Delivered,
    Delivery,
    HttpBank,
    is_file_name,
)
from catena.outside.client import OutsideClient
from catena.settings import Settings
from tests.gateways.bank.bank_server import BankServer, run_bank_server

FILE = b"<Document/>"


@pytest.fixture
def server() -> Iterator[BankServer]:
    """A bank that answers as it is told."""
    with run_bank_server() as running:
        yield running


@pytest.fixture
async def bank(server: BankServer) -> AsyncIterator[HttpBank]:
    """The road to it."""
    address = BankAddress(
        f"{server.url}/payments",
        f"{server.url}/files",
        f"{server.url}/files/{{name}}",
        f"{server.url}/files/{{name}}",
        "us",
        "secret",
    )
    async with OutsideClient(Settings(allow_private_addresses=True)) as client:
        yield HttpBank(address, client)


def refusal(code: object, **more: object) -> bytes:
    """How a bank refuses a file."""
    said = {"msg_id": "M1", "status": "RJCT", "reason": code, "reason_text": "so", **more}
    return json.dumps(said).encode()


ANSWERS = {
    "taken": (202, b"{}", Delivered(Delivery.TAKEN)),
    "taken, whatever it says of its orders": (202, refusal("AC04"), Delivered(Delivery.TAKEN)),
    "refused": (422, refusal("AM10"), Delivered(Delivery.REFUSED, "AM10", "so")),
    "refused without words": (
        400,
        refusal("FF01", reason_text=None),
        Delivered(Delivery.REFUSED, "FF01"),
    ),
    "it has it from before": (422, refusal("DUPL"), Delivered(Delivery.TAKEN, "DUPL", "so")),
    "another file is meant": (
        422,
        refusal("AM10", msg_id="M2"),
        Delivered(Delivery.UNKNOWN, "http_422"),
    ),
    "no reason": (422, refusal(None), Delivered(Delivery.UNKNOWN, "http_422")),
    "no code": (422, refusal("not a code!"), Delivered(Delivery.UNKNOWN, "http_422")),
    "another word": (422, refusal("AM10", status="no"), Delivered(Delivery.UNKNOWN, "http_422")),
    "a page": (422, b"<html>", Delivered(Delivery.UNKNOWN, "http_422")),
    "a list": (422, b"[]", Delivered(Delivery.UNKNOWN, "http_422")),
    "not allowed": (401, refusal("AM10"), Delivered(Delivery.UNKNOWN, "http_401")),
    "broken": (500, b"", Delivered(Delivery.UNKNOWN, "http_500")),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_delivering(server: BankServer, bank: HttpBank, name: str) -> None:
    """Only a bank that says so, of this file, has refused it."""
    status, body, expected = ANSWERS[name]
    server.answers["POST /payments"] = status, body
    assert await bank.deliver("M1", FILE) == expected
    ((asked, headers, content),) = server.heard
    assert (asked, content) == ("POST /payments", FILE)
    assert headers["authorization"] == f"Basic {base64.b64encode(b'us:secret').decode()}"


async def test_no_answer(server: BankServer, bank: HttpBank) -> None:
    """It may have been taken: the same again."""
    assert await bank.deliver("M1", FILE) == (Delivery.UNKNOWN, "connection_lost", "")
    assert server.heard[0][2] == FILE


async def test_reading(server: BankServer, bank: HttpBank) -> None:
    """What the bank has is listed, read as often as we like, and dropped when we say so."""
    server.answers["GET /files"] = 200, b'[{"id": 7}, {"id": "x.xml"}]'
    server.answers["GET /files/x.xml"] = 200, FILE
    server.answers["DELETE /files/x.xml"] = 204, b""
    assert await bank.list_files() == ["7", "x.xml"]
    assert await bank.read_file("x.xml") == await bank.read_file("x.xml") == FILE
    await bank.acknowledge("x.xml")
    server.answers["DELETE /files/x.xml"] = 404, b""
    await bank.acknowledge("x.xml")
    server.answers["DELETE /files/x.xml"] = 500, b""
    with pytest.raises(BankUnreachable, match="http_500"):
        await bank.acknowledge("x.xml")


@pytest.mark.parametrize("body", [b"", b"{}", b"[7]", b"[{}]", b"[" * 100_000])
async def test_a_list_that_cannot_be_read(server: BankServer, bank: HttpBank, body: bytes) -> None:
    """One that names nothing is refused, with all that stands beside it."""
    server.answers["GET /files"] = 200, body
    with pytest.raises(BankUnreachable, match="answer_unreadable"):
        await bank.list_files()


async def test_a_name_that_leads_elsewhere(server: BankServer, bank: HttpBank) -> None:
    """It is listed, so that a person is told, and nothing is asked for by it."""
    server.answers["GET /files"] = 200, b'[{"id": "../x"}, {"id": "x.xml"}]'
    assert await bank.list_files() == ["../x", "x.xml"]
    with pytest.raises(BankUnreachable, match="name_refused"):
        await bank.read_file("../x")


async def test_out_of_reach(server: BankServer, bank: HttpBank) -> None:
    """What the bank has, it keeps."""
    server.answers["GET /files"] = 503, b""
    with pytest.raises(BankUnreachable, match="http_503"):
        await bank.list_files()
    with pytest.raises(BankUnreachable):
        await bank.read_file("x.xml")


async def test_a_bank_that_keeps_all(server: BankServer) -> None:
    """Where there is nothing to acknowledge at, nothing is said; nor who we are, to nobody."""
    address = BankAddress(f"{server.url}/payments", "", "")
    server.answers["POST /payments"] = 200, b""
    async with OutsideClient(Settings(allow_private_addresses=True)) as client:
        bank = HttpBank(address, client)
        await bank.acknowledge("x")
        assert (await bank.deliver("M1", FILE)).outcome is Delivery.TAKEN
    assert ["authorization" in headers for _, headers, _ in server.heard] == [False]


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a b", "x" * 201, "a\n"])
def test_bad_names(name: str) -> None:
    """A name stands for itself, in a URL and in a folder."""
    assert not is_file_name(name)
