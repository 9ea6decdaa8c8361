"""`catena reconcile`: what it says, what it writes, and its exit code."""

from __future__ import annotations

from pathlib import Path

from tests.commands import Ended, call
from tests.postgres import Database
from tests.reconciliation.desk import GATEWAY, HEADER, days_ago, open_desk, row
from tests.scribe import connect_as_owner


async def run(database: Database, data_dir: Path, *arguments: str) -> Ended:
    """Run the command over this database."""
    settings = {"database_url": database.service_dsn}
    return await call("reconcile", *arguments, data_dir=data_dir, settings=settings)


def write_file(place: Path, *rows: str) -> str:
    """A statement as a file; gives its name."""
    place.mkdir(parents=True, exist_ok=True)
    file = place / "statement.csv"
    file.write_text("\n".join([HEADER, *rows]))
    return str(file)


def read_file(name: str) -> str:
    """What was written."""
    return Path(name).read_text("utf-8")


async def test_a_statement_is_reconciled(database: Database, data_dir: Path) -> None:
    """It says what it found, writes the report, and lists what somebody has to look at."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
    rows = [
        row("t1", days_ago(20), "charge", "10.00", "ch_1", "0.30"),
        row("t2", days_ago(19), "credit", "7.00"),
    ]
    file, until = write_file(data_dir.parent, *rows), f"{days_ago(2):%Y-%m-%d}"
    said = ""
    for name in ("report.html", "report.csv"):
        report = str(data_dir.parent / name)
        more = ("--statement", file, "--until", until, "--report", report)
        ended = await run(database, data_dir, GATEWAY, *more)
        assert (ended.code, ended.err) == (0, ""), ended
        assert "1 open" in ended.out
        assert "difference 6.70, fees to book 0.30, unexplained 0.00." in ended.out, ended.out
        assert "sandbox" in read_file(report)
        said = ended.out
    assert "nothing was new" in said
    listed = await run(database, data_dir, "items", GATEWAY)
    (line,) = listed.out.splitlines()
    assert line.split()[1:6] == [GATEWAY, "open", "missing_here", "7.00", "USD"]


async def test_the_work_list_is_worked_on(database: Database, data_dir: Path) -> None:
    """Accepted, reopened, settled by an entry; what cannot be is one sentence and exit code 2."""
    async with open_desk(database) as desk:
        await desk.take(row("t1", days_ago(20), "credit", "7.00"), ends=days_ago(2))
        await desk.take(row("t2", days_ago(1.5), "fee", "-1.00"))
        fees = await desk.run()
        (seen,) = await desk.items()
        item = seen.row.id
    assert (await run(database, data_dir, "accept", item, "--reason", "agreed")).code == 0
    assert (await run(database, data_dir, "reopen", item, "--reason", "not agreed")).code == 0
    unknown = await run(database, data_dir, "resolve", item, "--as", "theft", "--reason", "x")
    assert (unknown.code, unknown.out) == (2, "")
    done = await run(database, data_dir, "resolve", item, "--as", "park", "--reason", "whose?")
    assert (done.code, done.out.startswith("Posted ent_")) == (0, True)
    late = await run(database, data_dir, "accept", item, "--reason", "agreed")
    assert (late.code, late.err.startswith("catena: The item of the work list")) == (2, True)
    assert (await run(database, data_dir, "fees", fees.id)).out.startswith("Posted ent_")
    again = await run(database, data_dir, GATEWAY)
    assert (again.code, "1 cleared" in again.out) == (0, True)
    listed = await run(database, data_dir, "items", "--state", "cleared")
    assert listed.out.split()[0] == item


async def test_what_nothing_explains_is_exit_code_3(database: Database, data_dir: Path) -> None:
    """As when our own account has something that no run has read."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
        await desk.take(row("t1", days_ago(20), "charge", "10.00", "ch_1"))
        await desk.run()
    async with connect_as_owner(database) as owner:
        await owner.execute("UPDATE balances SET debits = debits + 5, credits = credits + 1")
    ended = await run(database, data_dir, GATEWAY)
    assert (ended.code, "unexplained -0.04." in ended.out) == (3, True), ended


async def test_without_a_statement_there_is_nothing_to_reconcile(
    database: Database, data_dir: Path
) -> None:
    """It says so."""
    async with open_desk(database):
        pass
    ended = await run(database, data_dir, GATEWAY)
    assert (ended.code, ended.err) == (2, "catena: There is no statement of this gateway yet.\n")
    wrong = await run(database, data_dir, GATEWAY, "--shape", "xml")
    assert (wrong.code, wrong.err) == (2, "catena: A file's shape is one of: plain, stripe.\n")


async def test_what_cannot_be_meant_is_said_before_anything_is_done(
    database: Database, data_dir: Path
) -> None:
    """A folder for a file, a report into nowhere, a state that no item has: exit code 2."""
    nowhere = str(data_dir.parent / "nowhere" / "report.csv")
    for words in (
        (GATEWAY, "--statement", str(data_dir.parent)),
        (GATEWAY, "--report", nowhere),
        ("items", "--state", "done"),
    ):
        ended = await run(database, data_dir, *words)
        assert (ended.code, ended.out, "Traceback" in ended.err) == (2, "", False), ended


async def test_a_gateway_that_there_is_not(database: Database, data_dir: Path) -> None:
    """Its name is refused with those that there are, with a file and without; nothing is stored."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
    file = write_file(data_dir.parent, row("t1", days_ago(20), "charge", "10.00", "ch_1"))
    for more in ((), ("--statement", file)):
        ended = await run(database, data_dir, "nosuch", *more)
        assert (ended.code, ended.out) == (2, "")
        assert (
            f"There is no gateway of this name in this ledger; there are: {GATEWAY}." in ended.err
        )
