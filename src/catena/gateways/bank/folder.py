"""The road to the bank by a folder, as clients of SFTP and EBICS hand files over.

`out/` is ours to write and theirs to take, `in/` the other way round, `done/` keeps what we have
stored. Invariant: a file in `out/` is whole, has its bytes on disk, and is never overwritten.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from catena.gateways.bank.limits import FILE_BYTES_MAX
from catena.gateways.bank.transport import BankUnreachable, Delivered, Delivery, is_file_name
from catena.ids import BANK_FILE, new_id

__all__ = ["FolderBank", "prepare_folder"]

_UNFINISHED: Final = (".part", ".tmp", ".filepart")
_ROOMS: Final = ("out", "in", "done")


def prepare_folder(folder: Path) -> None:
    """Make what is missing in it, and see that it can be written to. Raises OSError."""
    for room in _make_rooms(folder):
        probe = room / f".{new_id(BANK_FILE)}.tmp"
        probe.touch(exist_ok=False)
        probe.unlink()


def _make_rooms(folder: Path) -> list[Path]:
    rooms = [folder / name for name in _ROOMS]
    for room in rooms:
        room.mkdir(exist_ok=True)
    return rooms


class FolderBank:
    """A folder with `out/`, `in/` and `done/`, which are made where they are missing. The folder
    itself never is: one that is gone may be a mount that is, and a file beneath it reaches nobody.

    Whoever fills `in/` renames a file into it when it is whole, or gives it a name that begins with
    a dot or ends in .part or .tmp until it is.
    """

    def __init__(self, folder: Path, file_bytes: int = FILE_BYTES_MAX) -> None:
        """`file_bytes`: size of a file that is read, at most."""
        self._file_bytes = file_bytes
        self._folder = folder
        self._out, self._in, self._done = (folder / name for name in _ROOMS)

    async def deliver(self, message_id: str, content: bytes) -> Delivered:
        """Put a file into `out/`. It is taken when it is there, with its bytes on disk."""
        return await asyncio.to_thread(self._deliver, message_id, content)

    async def list_files(self) -> Sequence[str]:
        """The names of what is in `in/`, oldest first."""
        return await asyncio.to_thread(self._list_files)

    async def read_file(self, name: str) -> bytes:
        """The content of one."""
        return await asyncio.to_thread(self._read_file, name)

    async def acknowledge(self, name: str) -> None:
        """Move it to `done/`."""
        await asyncio.to_thread(self._acknowledge, name)

    def _deliver(self, message_id: str, content: bytes) -> Delivered:
        if not is_file_name(message_id):
            return Delivered(Delivery.UNKNOWN, "name_refused")
        target = self._out / f"{message_id}.xml"
        draft = self._out / f".{new_id(BANK_FILE)}.tmp"
        try:
            _make_rooms(self._folder)
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, target)  # unlike a rename, it fails where there is one already
            except FileExistsError:
                if target.read_bytes() != content:
                    return Delivered(Delivery.UNKNOWN, "content_differs")
            _sync(self._out)
        except OSError as error:
            return Delivered(Delivery.UNKNOWN, "folder_unusable", type(error).__name__)
        finally:
            with suppress(OSError):
                draft.unlink()
        return Delivered(Delivery.TAKEN)

    def _list_files(self) -> list[str]:
        try:
            _make_rooms(self._folder)
            found = [
                (entry.stat().st_mtime_ns, entry.name)
                for entry in os.scandir(self._in)
                if entry.is_file(follow_symlinks=False)
                and not entry.name.startswith(".")
                and not entry.name.endswith(_UNFINISHED)
            ]
        except OSError:
            raise BankUnreachable("folder_unusable") from None
        return [name for _, name in sorted(found)]

    def _read_file(self, name: str) -> bytes:
        if not is_file_name(name):
            raise BankUnreachable("name_refused")
        try:
            with open(self._in / name, "rb", opener=_open_itself) as file:
                content = file.read(self._file_bytes + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise BankUnreachable("folder_unusable") from None
        except OSError:
            raise BankUnreachable("file_unreadable") from None
        if len(content) > self._file_bytes:
            raise BankUnreachable("file_too_large")
        return content

    def _acknowledge(self, name: str) -> None:
        if not is_file_name(name):
            raise BankUnreachable("name_refused")
        try:
            (self._in / name).replace(self._done / name)
            _sync(self._done)
        except FileNotFoundError:
            return  # it was acknowledged before
        except OSError:
            raise BankUnreachable("folder_unusable") from None


def _open_itself(path: str, flags: int) -> int:
    """What was listed, and nothing that a link in its place leads to; a pipe is not waited for."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _sync(folder: Path) -> None:
    """Make sure that a folder's new names outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
