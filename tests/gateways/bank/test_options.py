"""What an installation says of a bank is checked as a whole before anything is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from catena.errors import SetupError
from catena.gateways.bank.folder import FolderBank
from catena.gateways.bank.options import build_road, check_road, read_options
from catena.gateways.bank.pain001 import Version
from catena.gateways.bank.transport import HttpBank
from catena.outside.client import OutsideClient
from catena.settings import Settings

ROAD = {
    "payments_url": "https://bank.test/payments",
    "files_url": "https://bank.test/files",
    "file_url": "https://bank.test/files/{name}",
}
OWN = {"iban": "NL41 MOCK 0000 0000 01", "owner": "ACME Corporation"}


def test_what_is_left_out() -> None:
    """The newest version, a cut-off of 15:00 in Berlin, files of five minutes."""
    options = read_options("bank", {**OWN, "folder": "/spool"})
    assert (options.debtor.iban, options.folder) == ("NL41MOCK0000000001", Path("/spool"))
    assert (options.version, options.file_seconds, options.file_orders) == (Version.V09, 300, 9999)
    assert (options.keeps, options.delivery_seconds) == (False, 0)


async def test_a_road_over_http() -> None:
    """A bank that cannot be told that a file is stored goes on listing it."""
    options = read_options("bank", {**OWN, **ROAD, "timeout_seconds": 5, "account_number": "12-3"})
    assert (options.keeps, options.delivery_seconds) == (True, 5)
    assert options.numbers == {"NL41MOCK0000000001", "123"}
    told = read_options("bank", {**OWN, **ROAD, "acknowledge_url": "https://bank.test/{name}"})
    assert told.keeps is False
    async with OutsideClient(Settings()) as client:
        assert isinstance(build_road(options, client, 1), HttpBank)
        folder = read_options("bank", {**OWN, "folder": "/spool"})
        assert isinstance(build_road(folder, client, 1), FolderBank)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"folder": "/a", "colour": "red"}, "colour"),
        ({"folder": "/a", "iban": 7}, "iban"),
        ({"folder": "/a", "file_seconds": "soon"}, "file_seconds"),
        ({"folder": "/a", "file_seconds": True}, "file_seconds"),
        ({"folder": "/a", "mailbox_seconds": -1}, "mailbox_seconds"),
        ({"folder": "/a", "mailbox_seconds": float("nan")}, "mailbox_seconds"),
        ({"folder": "/a", "cutoff_lead_seconds": float("inf")}, "cutoff_lead_seconds"),
        ({"folder": "/a", "file_seconds": 1e308}, "file_seconds"),
        ({**ROAD, "timeout_seconds": 0}, "timeout_seconds"),
        ({"folder": "/a", "file_orders": 10_000}, "file_orders"),
        ({"folder": "/a", "file_orders": 0.5}, "file_orders"),
        ({"folder": "/a", "owner": ""}, "owner"),
        ({"folder": "/a", "iban": "nothing!"}, "iban"),
        ({"folder": "/a", "iban": "DE03 1203 0000 0000 2020 51"}, "iban"),
        ({"folder": "/a", "bic": "x"}, "bic"),
        ({"folder": "/a", "version": "pain.001.001.12"}, "version"),
        ({"folder": "/a", "cutoff": "noon"}, "cutoff"),
        ({"folder": "/a", "cutoff": "15:00+02:00"}, "cutoff"),
        ({"folder": "/a", "zone": "Mars/Olympus"}, "zone"),
        ({}, "folder"),
        ({**ROAD, "folder": "/a"}, "folder"),
        ({"payments_url": "https://bank.test"}, "files_url"),
        ({**ROAD, "file_url": "https://bank.test/files"}, "file_url"),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, object], word: str) -> None:
    """By the option, with what it must be."""
    with pytest.raises(SetupError, match=f"The gateway bank: .*{word}"):
        read_options("bank", {**OWN, **options})


def test_a_folder_is_tried(tmp_path: Path) -> None:
    """What is missing in it is made, and nothing is left behind; one that is gone never is."""
    place = tmp_path / "spool"
    options = read_options("bank", {**OWN, "folder": str(place)})
    with pytest.raises(SetupError, match="The gateway bank: `folder`") as caught:
        check_road("bank", options)
    assert "No such file" in str(caught.value)
    place.mkdir()
    check_road("bank", options)
    assert {room.name: list(room.iterdir()) for room in place.iterdir()} == {
        "out": [],
        "in": [],
        "done": [],
    }
    (place / "out").rmdir()
    (place / "out").touch()
    with pytest.raises(SetupError, match="cannot be used"):
        check_road("bank", options)
    check_road("bank", read_options("bank", {**OWN, **ROAD}))
