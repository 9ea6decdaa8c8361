"""`catena export`: where it writes, and that what it leaves is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.books import write_book
from tests.commands import call, list_files
from tests.corruptions import Spoiled


@pytest.mark.parametrize("program", ["hledger", "beancount"])
async def test_a_file_is_what_is_printed(
    spoiled: Spoiled, data_dir: Path, tmp_path: Path, program: str
) -> None:
    """Standard output and a file get the same journal, whose last lines are assertions."""
    settings = {"database_url": spoiled.database.service_dsn}
    file = tmp_path / "main.journal"
    file.write_text("an older export", "utf-8")
    arguments = ("export", "--format", program)
    printed = await call(*arguments, data_dir=data_dir, settings=settings)
    written = await call(*arguments, "-o", str(file), data_dir=data_dir, settings=settings)
    assert (printed.code, printed.err) == (0, "")
    assert written == (0, "", "")
    assert file.read_text("utf-8") == printed.out
    assert list_files(tmp_path) == ["main.journal"]
    assert ("Stored balance" if program == "hledger" else " balance ") in printed.out[-200:]


async def test_one_ledger_at_a_time(spoiled: Spoiled, data_dir: Path) -> None:
    """With two ledgers, one has to be named; by id or by name."""
    other = await write_book(spoiled.database.service_dsn, seed=4, entries=150)
    settings = {"database_url": spoiled.database.service_dsn}
    unnamed = await call("export", data_dir=data_dir, settings=settings)
    assert unnamed.code == 2
    assert unnamed.err.startswith("catena: An export holds one ledger; name one by its id with")
    assert other.id in unnamed.err
    by_id = await call("export", "--ledger", other.id, data_dir=data_dir, settings=settings)
    by_name = await call("export", "--ledger", other.name, data_dir=data_dir, settings=settings)
    assert by_id.out.startswith(f"; Ledger {other.name} ({other.id}) to position ")
    assert by_id == by_name


async def test_no_place_to_write(spoiled: Spoiled, data_dir: Path, tmp_path: Path) -> None:
    """A file that cannot be written ends the command with the reason and leaves nothing."""
    settings = {"database_url": spoiled.database.service_dsn}
    file = tmp_path / "folder" / "main.journal"
    ended = await call("export", "-o", str(file), data_dir=data_dir, settings=settings)
    assert ended.code == 2
    assert ended.err == "catena: The export cannot be written: No such file or directory.\n"
    assert list_files(tmp_path) == []


def test_a_reader_that_goes_away(spoiled: Spoiled, tmp_path: Path) -> None:
    """When whoever reads wants no more, the command ends without a word."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "catena.cli", "export", "--data-dir", str(tmp_path)],
        env={"CATENA_DATABASE_URL": spoiled.database.service_dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
