"""One server process: launch it, wait until it takes connections, stop it.

Invariant: the server is nobody's child and in a session of its own, so neither a Ctrl-C in the
terminal nor the death of whoever started it reaches it. It listens for this machine only.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from catena.db.embedded.binaries import Binaries
from catena.db.embedded.directory import (
    DataDirectory,
    ReportProgress,
    opening_lock,
    try_lock,
    waiting,
)
from catena.db.embedded.user import RunAs
from catena.errors import EmbeddedPostgresError

__all__ = [
    "CLEAN_ENVIRONMENT",
    "Address",
    "Postmaster",
    "choose_address",
    "forget_dead_server",
    "launch",
    "read_postmaster",
    "signal_server",
    "wait_until_gone",
    "wait_until_ready",
]

# No PG* variable and no language of the caller reaches PostgreSQL: its messages stay in the
# English that `trouble` reads.
CLEAN_ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}

_LOOPBACK = "127.0.0.1"
_SOCKET_PORT = 5432
# The kernel's limit for a Unix socket's path: 108 on Linux, 104 on macOS, with the closing zero.
_SOCKET_PATH_BYTES_MAX = 103
# The last line of `postmaster.pid` comes when the server listens, and may still recover.
_LINES_OF_A_SERVER = 8
# The shortest exchange of PostgreSQL's protocol (its documentation's "SSLRequest"): yes or no.
_ENCRYPTION_REQUEST = struct.pack("!ii", 8, 80877103)
_ENCRYPTION_ANSWERS = (b"S", b"N")
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens: the directory of its Unix socket, or a loopback address; a port."""

    host: str
    port: int

    @property
    def is_socket(self) -> bool:
        """Whether `host` is a directory."""
        return self.host.startswith("/")

    @property
    def socket_path(self) -> str:
        """PostgreSQL names the socket after the port, also when it opens no port."""
        return f"{self.host}/.s.PGSQL.{self.port}"

    def answers(self) -> bool:
        """Whether a server speaks there. That somebody listens is not enough: the socket of one
        that was killed takes connections until the system has put it away.
        """
        family = socket.AF_UNIX if self.is_socket else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(_ANSWER_SECONDS)
            try:
                probe.connect(self.socket_path if self.is_socket else self._pair)
                probe.sendall(_ENCRYPTION_REQUEST)
                return probe.recv(1) in _ENCRYPTION_ANSWERS
            except OSError:
                return False

    @property
    def _pair(self) -> tuple[str, int]:
        return self.host, self.port


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What the server wrote about itself in `postmaster.pid`."""

    pid: int
    address: Address
    ready: bool


def choose_address(cluster: Path, port: int | None) -> Address:
    """A socket in the cluster, which only its owner can enter; a port when asked or needed."""
    if port is not None:
        return Address(_LOOPBACK, port)
    inside = Address(str(cluster), _SOCKET_PORT)
    # A comma separates hosts in a connection URL.
    if len(os.fsencode(inside.socket_path)) <= _SOCKET_PATH_BYTES_MAX and "," not in inside.host:
        return inside
    with socket.socket() as free:
        free.bind((_LOOPBACK, 0))
        return Address(_LOOPBACK, free.getsockname()[1])


def launch(
    place: DataDirectory,
    binaries: Binaries,
    run_as: RunAs,
    address: Address,
    settings: Mapping[str, str],
    server_lock: int,
) -> None:
    """Start the server and return at once; it holds `server_lock`, inherited, while it lives."""
    quoted_host = '"' + address.host.replace('"', '""') + '"'
    listen = {
        "listen_addresses": "" if address.is_socket else address.host,
        "unix_socket_directories": quoted_host if address.is_socket else "",
        "port": str(address.port),
    }
    options = [f"--{name}={value}" for name, value in {**settings, **listen}.items()]
    server = [*run_as.prefix, str(binaries.program("postgres")), "-D", str(place.cluster), *options]
    if place.log.exists():
        place.log.replace(place.previous_log)
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # The shell leaves the server behind and ends, so that the server is nobody's child: it
        # outlives us without complaint and is never a zombie of ours.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *server],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            start_new_session=True,
            pass_fds=(server_lock,),
            **run_as.options,
        )
    finally:
        os.close(log)


def read_postmaster(cluster: Path) -> Postmaster | None:
    """Read `postmaster.pid`; None when it is missing or not complete yet.

    Its lines (PostgreSQL's `miscadmin.h`): process id, data directory, start time, port, socket
    directory, listen address, shared memory key, status.
    """
    try:
        lines = os.fsdecode((cluster / "postmaster.pid").read_bytes()).splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < _LINES_OF_A_SERVER:
        return None
    address = Address(lines[4] or lines[5], int(lines[3]))
    return Postmaster(int(lines[0]), address, lines[7].strip() == "ready")


def forget_dead_server(cluster: Path) -> None:
    """Remove the lock files of a dead server; only while nobody holds the server's lock.

    PostgreSQL itself would refuse to start when the process id in them is in use again (the rule
    in a container) or a zombie's. Raises `EmbeddedPostgresError` when a server that somebody else
    started answers for them.
    """
    postmaster = read_postmaster(cluster)
    if postmaster is not None and _exists(postmaster.pid) and postmaster.address.answers():
        raise EmbeddedPostgresError(
            f"A server that Catena did not start runs on {cluster} (process {postmaster.pid});"
            " stop it first."
        )
    for stale in (cluster / "postmaster.pid", *cluster.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)


def wait_until_ready(place: DataDirectory, report: ReportProgress) -> bool:
    """Wait for a server that lives until it takes connections, through any recovery.

    False when none lives, or none any more.
    """
    with opening_lock(place.server_lock) as lock:
        for seconds in waiting():
            if try_lock(lock):
                return False
            postmaster = read_postmaster(place.cluster)
            if postmaster is not None and postmaster.ready and postmaster.address.answers():
                return True
            if seconds:
                report(f"PostgreSQL is starting ({seconds} s): {_read_last_line(place.log)}")
    raise AssertionError("waiting() never ends")


def wait_until_gone(place: DataDirectory) -> None:
    """Wait until the last process of the server has ended."""
    with opening_lock(place.server_lock) as lock:
        for _ in waiting():
            if try_lock(lock):
                return


def signal_server(place: DataDirectory, how: signal.Signals) -> None:
    """Send the server a signal, if one lives. Its files alone would not do: they outlive it."""
    postmaster = read_postmaster(place.cluster)
    with opening_lock(place.server_lock) as lock:
        alive = not try_lock(lock)
    if alive and postmaster is not None and postmaster.address.answers():
        os.kill(postmaster.pid, how)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read_last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "no word yet"
