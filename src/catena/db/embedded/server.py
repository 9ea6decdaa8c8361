"""Starting, joining and leaving the embedded PostgreSQL.

Invariant: whoever starts the server is only its first user, and the last user to leave stops it.
So a server left over by a killed process is found, joined, and stopped in the end.
It never stops a server under another user, unless told to crash it.
"""

from __future__ import annotations

import signal
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from catena.db.embedded.binaries import Binaries, copy_binaries, find_binaries
from catena.db.embedded.cluster import (
    ADMIN,
    DATABASE,
    OWNER,
    SERVICE,
    check_version,
    create_cluster,
    read_passwords,
)
from catena.db.embedded.directory import (
    DataDirectory,
    ReportProgress,
    holding,
    opening_lock,
    try_lock,
)
from catena.db.embedded.postmaster import (
    Address,
    choose_address,
    forget_dead_server,
    launch,
    read_postmaster,
    signal_server,
    wait_until_gone,
    wait_until_ready,
)
from catena.db.embedded.trouble import check_free_space, explain, telling_plainly
from catena.db.embedded.user import RunAs, can_run, choose_user, hand_over
from catena.errors import EmbeddedPostgresError

__all__ = ["SETTINGS", "EmbeddedPostgres", "start_embedded"]

# A small machine, many short transactions, nothing acknowledged before it is on disk.
SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # The wheel is built without lz4, and pglz costs the processor more than it saves the disk.
    "wal_compression": "off",
    "shared_buffers": "256MB",
    "max_connections": "100",
    # Few checkpoints: after each one, every page's first change writes the whole page.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    # A transaction that a dead client left open would keep its locks and hold up vacuum.
    "idle_in_transaction_session_timeout": "1min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_lock_waits": "on",
    # Without details, which quote rows: a caller's data does not belong in a log.
    "log_error_verbosity": "terse",
    # During crash recovery each second leaves a line, which whoever waits is shown.
    "log_startup_progress_interval": "1s",
}

_STOP_FAST = signal.SIGINT
_STOP_IMMEDIATELY = signal.SIGQUIT


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server, ours to use until `stop`; as a context manager it stops at the end.

    `joined` tells that it ran already when we came.
    """

    data_dir: Path
    address: Address
    joined: bool
    _passwords: Mapping[str, str] = field(repr=False)
    _use: ExitStack = field(repr=False)

    @property
    def owner_dsn(self) -> str:
        """For migrations: the role that owns the database, and is no superuser."""
        return self.dsn(OWNER)

    @property
    def service_dsn(self) -> str:
        """For the service: a role that owns nothing and may do what migrations grant it."""
        return self.dsn(SERVICE)

    @property
    def admin_dsn(self) -> str:
        """For making databases: the superuser. The service never uses it."""
        return self.dsn(ADMIN)

    @property
    def pid(self) -> int:
        """The server's process id; `EmbeddedPostgresError` when it has stopped."""
        postmaster = read_postmaster(DataDirectory(self.data_dir).cluster)
        if postmaster is None:
            raise EmbeddedPostgresError(f"No PostgreSQL runs in {self.data_dir}.")
        return postmaster.pid

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """A database's address for a role, password included, as a URL. Not for logs."""
        login = f"postgresql://{role}:{self._passwords[role]}"
        host, port = self.address.host, self.address.port
        if self.address.is_socket:
            return f"{login}@/{database}?host={quote(host, safe='')}&port={port}"
        return f"{login}@{host}:{port}/{database}?sslmode=disable"

    def stop(self) -> bool:
        """Leave the server; when nobody else uses it, stop it and wait for its checkpoint.

        Returns whether it is stopped. A second call does nothing.
        """
        place = DataDirectory(self.data_dir)
        with telling_plainly(place.root), holding(place.turn_lock):
            self._use.close()
            if not _is_unused(place):
                return False
            signal_server(place, _STOP_FAST)
            wait_until_gone(place)
            return True

    def stop_immediately(self) -> None:
        """Stop the server for all its users without a checkpoint; the next start recovers."""
        place = DataDirectory(self.data_dir)
        with telling_plainly(place.root), holding(place.turn_lock):
            self._use.close()
            signal_server(place, _STOP_IMMEDIATELY)
            wait_until_gone(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def start_embedded(
    data_dir: Path,
    *,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
    report: ReportProgress | None = None,
    run_as: RunAs | None = None,
) -> EmbeddedPostgres:
    """Start the server of `data_dir`, which is made on first use, or join the one that runs.

    Blocks until the server takes connections, through crash recovery as long as it takes; about
    once a second `report` is told what we wait for. The server listens on a Unix socket in
    `data_dir` (on a free loopback port where that path is too long), or on loopback at `port`.
    `settings` are laid over `SETTINGS`. When joining, the running server's port and settings stay.
    `run_as` overrides as whom root runs the server.

    Raises `EmbeddedPostgresError` with the reason in plain words when the server cannot run.
    """
    place = DataDirectory(data_dir.absolute())
    tell = report or _say_nothing
    with telling_plainly(place.root):
        place.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with holding(place.turn_lock, tell):
            use = _become_user(place)
            try:
                joined = wait_until_ready(place, tell)
                if not joined:
                    _start_server(place, port, {**SETTINGS, **(settings or {})}, tell, run_as)
                address = _find_address(place)
                return EmbeddedPostgres(
                    place.root, address, joined, read_passwords(place.passwords), use
                )
            except BaseException:
                # So a Ctrl-C during a long recovery leaves no server behind.
                use.close()
                if _is_unused(place):
                    signal_server(place, _STOP_FAST)
                raise


def _start_server(
    place: DataDirectory,
    port: int | None,
    settings: Mapping[str, str],
    report: ReportProgress,
    run_as: RunAs | None,
) -> None:
    check_free_space(place.root)
    binaries = find_binaries()
    run_as = run_as or choose_user(place.cluster, binaries.program("postgres"))
    binaries = _make_reachable(place, binaries, run_as)
    with opening_lock(place.server_lock) as server_lock:
        try_lock(server_lock)
        if not place.cluster.exists():
            report("Creating the database")
            durable = settings["fsync"] != "off"
            create_cluster(place, binaries, run_as, server_lock=server_lock, durable=durable)
        check_version(place.cluster, binaries)
        hand_over(place.cluster, run_as)
        forget_dead_server(place.cluster)
        address = choose_address(place.cluster, port)
        launch(place, binaries, run_as, address, settings, server_lock)
    if not wait_until_ready(place, report):
        why = explain(place.log.read_text(errors="replace"))
        raise EmbeddedPostgresError(f"{why} (log: {place.log})")


def _make_reachable(place: DataDirectory, binaries: Binaries, run_as: RunAs) -> Binaries:
    """See that the account can enter the data directory and run the programs, or a copy there."""
    if run_as.uid is None:
        return binaries
    place.root.chmod(place.root.stat().st_mode | stat.S_IXOTH)
    if not can_run(run_as, "/bin/sh", "-c", 'cd -- "$1"', "sh", str(place.root)):
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, and the account it would run as cannot enter"
            f" {place.root}: a directory above is closed to it. Choose a data directory that"
            f" everyone may pass to, such as /var/lib/catena, or run Catena as another user."
        )
    if can_run(run_as, binaries.program("postgres"), "--version"):
        return binaries
    copy = copy_binaries(binaries, place.root)
    hand_over(copy.root, run_as)
    return copy


def _become_user(place: DataDirectory) -> ExitStack:
    """Take our share of the users' lock, given back by closing what is returned."""
    use = ExitStack()
    try_lock(use.enter_context(opening_lock(place.users_lock)), shared=True)
    return use


def _is_unused(place: DataDirectory) -> bool:
    with opening_lock(place.users_lock) as lock:
        return try_lock(lock)


def _find_address(place: DataDirectory) -> Address:
    postmaster = read_postmaster(place.cluster)
    if postmaster is None:
        raise EmbeddedPostgresError(f"PostgreSQL stopped as soon as it had started: {place.log}")
    return postmaster.address


def _say_nothing(_: str) -> None:
    """For callers who do not want to be told."""
