"""By a folder: what is there is whole, and what was stored is moved away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catena.gateways.bank.folder import FolderBank
from catena.gateways.bank.transport import BankUnreachable, Delivery

FILE = b"<Document/>"


async def test_delivering(tmp_path: Path) -> None:
    """A file appears whole under its message id; the same again changes nothing."""
    bank = FolderBank(tmp_path)
    for _ in range(2):
        assert (await bank.deliver("M1", FILE)).outcome is Delivery.TAKEN
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["M1.xml"]
    assert (tmp_path / "out" / "M1.xml").read_bytes() == FILE


async def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """It is not made anew: what is written there would reach nobody, and count as taken."""
    bank = FolderBank(tmp_path / "mount")
    assert (await bank.deliver("M1", FILE)).outcome is Delivery.UNKNOWN
    with pytest.raises(BankUnreachable, match="folder_unusable"):
        await bank.list_files()
    assert not (tmp_path / "mount").exists()


async def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A message id that stands for something else is for a person to look at."""
    bank = FolderBank(tmp_path)
    await bank.deliver("M1", FILE)
    assert await bank.deliver("M1", b"other") == (Delivery.UNKNOWN, "content_differs", "")
    assert (tmp_path / "out" / "M1.xml").read_bytes() == FILE


async def test_bad_message_ids(tmp_path: Path) -> None:
    """A message id with a slash is no name of a file."""
    assert (await FolderBank(tmp_path).deliver("a/b", FILE)).code == "name_refused"


async def test_reading(tmp_path: Path) -> None:
    """Whole files, oldest first; they stay until they are acknowledged, and are kept afterwards."""
    bank = FolderBank(tmp_path)
    assert await bank.list_files() == []
    names = ("b.xml", "a.xml", ".hidden", "c.part", "d.tmp", "e f")
    for number, name in enumerate(names):
        path = tmp_path / "in" / name
        path.write_bytes(FILE)
        os.utime(path, (number, number))
    (tmp_path / "in" / "folder").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in" / "a.xml")
    assert await bank.list_files() == ["b.xml", "a.xml", "e f"]
    assert await bank.read_file("b.xml") == FILE
    for _ in range(2):
        await bank.acknowledge("b.xml")
    assert await bank.list_files() == ["a.xml", "e f"]
    with pytest.raises(BankUnreachable, match="file_unreadable"):
        await bank.read_file("link")
    assert (tmp_path / "done" / "b.xml").read_bytes() == FILE


@pytest.mark.parametrize("name", ["../secret", "", "..", "e f", "a\udcff"])
async def test_bad_names(tmp_path: Path, name: str) -> None:
    """Nothing outside of the folder is read or moved."""
    bank = FolderBank(tmp_path)
    for act in (bank.read_file, bank.acknowledge):
        with pytest.raises(BankUnreachable, match="name_refused"):
            await act(name)


async def test_too_large(tmp_path: Path) -> None:
    """No more is read than a file may have."""
    bank = FolderBank(tmp_path, file_bytes=4)
    await bank.list_files()
    (tmp_path / "in" / "a.xml").write_bytes(FILE)
    with pytest.raises(BankUnreachable, match="file_too_large"):
        await bank.read_file("a.xml")


async def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """A road that is blocked is said to be so, and delivers nothing."""
    (tmp_path / "bank").write_text("a file", encoding="utf-8")
    bank = FolderBank(tmp_path / "bank")
    assert (await bank.deliver("M1", FILE)).code == "folder_unusable"
    for ask in (bank.list_files(), bank.read_file("x"), bank.acknowledge("x")):
        with pytest.raises(BankUnreachable, match="folder_unusable"):
            await ask
