"""The life of an embedded PostgreSQL: made, used, shared, crashed, found again, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from catena.db.embedded import EmbeddedPostgres, start_embedded
from catena.db.embedded.cluster import OWNER, SERVICE
from catena.db.embedded.directory import DataDirectory
from catena.db.embedded.postmaster import wait_until_gone
from catena.db.embedded.server import SETTINGS
from tests.postgres import QUICK_AND_FORGETFUL, ask

# A process that uses the server until it is told to go, or is killed. A shell's background jobs, of
# which these tests may be one, ignore SIGINT.
USER = f"""
import signal, sys
from pathlib import Path
from catena.db.embedded import start_embedded

signal.signal(signal.SIGINT, signal.default_int_handler)
server = start_embedded(Path(sys.argv[1]), settings={QUICK_AND_FORGETFUL})
print(server.pid, server.joined, flush=True)
sys.stdin.readline()
print(server.stop())
"""


def start(data_dir: Path) -> EmbeddedPostgres:
    """Start or join, in this process."""
    return start_embedded(data_dir, settings=QUICK_AND_FORGETFUL)


def start_user(data_dir: Path) -> subprocess.Popen[str]:
    """Start or join, in a process of its own with a terminal's worth of process group."""
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def hear(user: subprocess.Popen[str]) -> list[str]:
    """The next words that a user says."""
    assert user.stdout is not None
    return user.stdout.readline().split()


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- what a new server is --------------------------------------------------------------------


def test_first_start_makes_the_database_and_its_two_roles(
    postgres_server: EmbeddedPostgres,
) -> None:
    """The owner owns the database, the service only logs in, and neither is a superuser."""
    owner_of_database = "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'catena'"
    may_anything = (
        "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication"
        " OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )
    assert ask(postgres_server.owner_dsn, "SELECT current_user::text") == OWNER
    assert ask(postgres_server.service_dsn, "SELECT current_user::text") == SERVICE
    assert ask(postgres_server.service_dsn, owner_of_database) == OWNER
    assert ask(postgres_server.owner_dsn, may_anything) is False
    assert ask(postgres_server.service_dsn, may_anything) is False


def test_the_service_can_make_nothing_until_it_is_granted(
    postgres_server: EmbeddedPostgres,
) -> None:
    """The role that the service logs in with cannot make a table."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        ask(postgres_server.service_dsn, "CREATE TABLE public.mine (id int)")


def test_text_sorts_by_code_point_and_pages_carry_checksums(
    postgres_server: EmbeddedPostgres,
) -> None:
    """Neither the machine's language nor its libraries decide about the books."""
    locale = (
        "SELECT pg_encoding_to_char(encoding) || ' ' || datlocprovider::text || ' ' ||"
        " datlocale FROM pg_database WHERE datname = 'catena'"
    )
    assert ask(postgres_server.service_dsn, locale) == "UTF8 b C.UTF-8"
    assert ask(postgres_server.service_dsn, "SHOW data_checksums") == "on"


def test_every_setting_is_in_force_unless_the_caller_says_otherwise(data_dir: Path) -> None:
    """A server is durable unless a test asks for less."""
    with start_embedded(data_dir, settings={"shared_buffers": "32MB"}) as server:
        in_force = {name: ask(server.service_dsn, f"SHOW {name}") for name in SETTINGS}
    assert in_force == {**SETTINGS, "shared_buffers": "32MB"}
    assert (in_force["fsync"], in_force["synchronous_commit"]) == ("on", "on")


# --- who gets in -----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["postgres", OWNER, SERVICE])
def test_nobody_gets_in_without_the_password(postgres_server: EmbeddedPostgres, role: str) -> None:
    """Being logged in on the machine, even as the server's own user, is not enough."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(
            postgres_server.dsn(role).replace(postgres_server._passwords[role], "guess"), "SELECT 1"
        )


def test_passwords_are_kept_for_their_owner_alone(postgres_server: EmbeddedPostgres) -> None:
    """The file with the passwords is readable for its owner only, and nothing prints them."""
    place = DataDirectory(postgres_server.data_dir)
    assert stat.S_IMODE(place.passwords.stat().st_mode) == 0o600
    shown = (
        repr(postgres_server)
        + place.log.read_text()
        + str(sorted(postgres_server.data_dir.iterdir()))
    )
    assert not [word for word in postgres_server._passwords.values() if word in shown]


def test_two_installations_have_different_passwords(data_dir: Path) -> None:
    """Passwords are drawn at random, one for each role of each installation."""
    with start(data_dir / "one") as one, start(data_dir / "two") as two:
        drawn = [*one._passwords.values(), *two._passwords.values()]
    assert len(set(drawn)) == 6


def test_without_a_port_no_port_is_open(postgres_server: EmbeddedPostgres) -> None:
    """The server is reached by its socket alone, which lies where only its owner can enter."""
    assert ask(postgres_server.service_dsn, "SHOW listen_addresses") == ""
    assert Path(postgres_server.address.socket_path).is_socket()
    assert stat.S_IMODE(Path(postgres_server.address.host).stat().st_mode) == 0o700


def test_with_a_port_it_listens_on_loopback_only(data_dir: Path, free_port: int) -> None:
    """A port asked for is opened for this machine and for no other."""
    with start_embedded(data_dir, port=free_port, settings=QUICK_AND_FORGETFUL) as server:
        assert f"127.0.0.1:{free_port}" in server.service_dsn
        assert ask(server.service_dsn, "SHOW listen_addresses") == "127.0.0.1"


def test_a_path_too_long_for_a_socket_gets_a_port(data_dir: Path) -> None:
    """A deep data directory works too: the kernel limits the path of a socket to 100 bytes."""
    with start(data_dir / ("deep" * 25)) as server:
        assert server.address.host == "127.0.0.1"
        assert ask(server.service_dsn, "SELECT 1") == 1


@pytest.mark.parametrize("name", ['mit "Ümlaut" 100%41 $HOME', "with,comma"])
def test_any_name_of_a_directory_will_do(data_dir: Path, name: str) -> None:
    """What a person called the directory means nothing to the server."""
    with start(data_dir / name) as server:
        assert ask(server.service_dsn, "SELECT 1") == 1


# --- stops and crashes -----------------------------------------------------------------------

ONE_ROW = ("CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (7)", "SELECT 1")


def test_a_clean_stop_needs_no_recovery(data_dir: Path) -> None:
    """What was written is there after a stop, and the log knows of no interruption."""
    with start(data_dir) as server:
        ask(server.owner_dsn, *ONE_ROW)
    with start(data_dir) as server:
        assert ask(server.owner_dsn, "SELECT id FROM kept") == 7
        assert "automatic recovery" not in DataDirectory(data_dir).log.read_text()


def test_stopping_disconnects_who_is_still_connected(data_dir: Path) -> None:
    """A client that forgot to leave does not hold up the stop."""

    async def stop_while_connected(server: EmbeddedPostgres) -> bool:
        connection = await asyncpg.connect(server.service_dsn)
        stopped = server.stop()
        connection.terminate()
        return stopped

    assert asyncio.run(stop_while_connected(start(data_dir)))


def test_stopping_twice_is_stopping_once(data_dir: Path) -> None:
    """A second stop finds nothing to do."""
    server = start(data_dir)
    assert server.stop()
    assert server.stop()


def test_an_immediate_stop_loses_nothing_acknowledged(data_dir: Path) -> None:
    """After a stop without a checkpoint the next start recovers every committed row."""
    server = start(data_dir)
    ask(server.owner_dsn, *ONE_ROW)
    server.stop_immediately()
    with start(data_dir) as server:
        assert ask(server.owner_dsn, "SELECT id FROM kept") == 7
        assert "automatic recovery" in DataDirectory(data_dir).log.read_text()


def test_a_killed_server_is_started_again(data_dir: Path) -> None:
    """SIGKILL leaves a stale postmaster.pid, and nothing acknowledged is lost."""
    server = start(data_dir)
    ask(server.owner_dsn, *ONE_ROW)
    os.kill(server.pid, signal.SIGKILL)
    wait_until_gone(DataDirectory(data_dir))
    with start(data_dir) as again:
        assert not again.joined
        assert ask(again.owner_dsn, "SELECT id FROM kept") == 7


def test_a_dead_servers_process_id_may_be_anybodys(data_dir: Path) -> None:
    """A postmaster.pid that names a living stranger (as after a container's restart) is stale."""
    server = start(data_dir)
    pid_file = DataDirectory(data_dir).cluster / "postmaster.pid"
    ours = pid_file.read_text().replace(str(server.pid), str(os.getppid()), 1)
    server.stop()
    pid_file.write_text(ours)
    with start(data_dir) as again:
        assert ask(again.service_dsn, "SELECT 1") == 1


def test_an_interrupted_creation_is_begun_anew(data_dir: Path) -> None:
    """A cluster is complete or not there: what a killed creation left behind is cleared away."""
    (data_dir / "cluster.new" / "base").mkdir(parents=True)
    (data_dir / "pgpass").write_text("half a li")
    with start(data_dir) as server:
        assert ask(server.service_dsn, "SELECT 1") == 1
        assert not (data_dir / "cluster.new").exists()


# --- recovery takes as long as it takes --------------------------------------------------------


@pytest.fixture
def endless_recovery(data_dir: Path) -> tuple[dict[str, str], Path]:
    """Settings under which the next start recovers until a file appears, and that file."""
    start(data_dir).stop()
    (DataDirectory(data_dir).cluster / "recovery.signal").touch()
    enough = data_dir / "enough"
    wait = f"until test -e '{enough}'; do sleep 0.01; done; false"
    return {**QUICK_AND_FORGETFUL, "restore_command": wait}, enough


def test_a_long_recovery_is_waited_for_and_reported(
    data_dir: Path, endless_recovery: tuple[dict[str, str], Path]
) -> None:
    """Whoever waits is told what for, and no time is too long."""
    settings, enough = endless_recovery
    heard: list[str] = []

    def report(message: str) -> None:
        heard.append(message)
        enough.touch()

    with start_embedded(data_dir, settings=settings, report=report) as server:
        assert ask(server.service_dsn, "SELECT 1") == 1
    assert heard[0].startswith("PostgreSQL is starting (1 s): ")
    assert "database system was shut down" in heard[0]


def test_giving_up_during_recovery_leaves_no_server(
    data_dir: Path, endless_recovery: tuple[dict[str, str], Path]
) -> None:
    """A Ctrl-C while the server recovers stops the server too."""
    settings, _ = endless_recovery

    def press_ctrl_c(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_embedded(data_dir, settings=settings, report=press_ctrl_c)
    wait_until_gone(DataDirectory(data_dir))


# --- several users of one server ---------------------------------------------------------------


def test_a_second_start_joins_the_first(data_dir: Path) -> None:
    """Two starts are one server; only the last to leave stops it."""
    first, second = start(data_dir), start(data_dir)
    assert (first.joined, second.joined) == (False, True)
    assert first.pid == second.pid
    assert not first.stop()
    assert ask(second.service_dsn, "SELECT 1") == 1
    assert second.stop()


def test_starts_at_the_same_moment_make_one_server(data_dir: Path) -> None:
    """However many processes start on an empty directory, one makes it and all use it."""
    users = [start_user(data_dir) for _ in range(4)]
    heard = [hear(user) for user in users]
    assert len({pid for pid, _ in heard}) == 1
    assert sorted(joined for _, joined in heard) == ["False", "True", "True", "True"]
    stopped = [user.communicate("go\n")[0].strip() for user in users]
    assert stopped == ["False", "False", "False", "True"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_server_outlives_its_starter_and_is_found_again(
    data_dir: Path, how: signal.Signals
) -> None:
    """Neither a kill nor a Ctrl-C in the starter's terminal ends it; the next start joins it.

    Being the only user then, the one who found it stops it.
    """
    starter = start_user(data_dir)
    pid, _ = hear(starter)
    os.killpg(starter.pid, how)
    starter.communicate()
    found = start(data_dir)
    assert found.joined
    assert found.pid == int(pid)
    assert found.stop()


def test_nobody_is_left_behind_as_a_zombie(data_dir: Path) -> None:
    """The server is not our child, so that its end leaves us nothing to clear away."""
    with start(data_dir) as server, pytest.raises(ChildProcessError):
        os.waitpid(server.pid, os.WNOHANG)  # this one: other tests here have children of their own
