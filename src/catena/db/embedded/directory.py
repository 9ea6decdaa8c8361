"""The data directory: what lies where, and the locks by which processes agree about it.

Invariant: whether a server lives is told by a lock that the kernel drops with its last process,
never by a process id, which another process may have by now.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep  # noqa: TID251 - PostgreSQL tells that it is ready in a file only

__all__ = [
    "DataDirectory",
    "ReportProgress",
    "holding",
    "is_data_directory",
    "opening_lock",
    "try_lock",
    "waiting",
]

ReportProgress = Callable[[str], None]

_POLL_SECONDS = 0.01
_POLLS_PER_REPORT = 100


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths of all that the embedded server keeps below `root`."""

    root: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own files; its socket too, so that no other user reaches it."""
        return self.root / "cluster"

    @property
    def passwords(self) -> Path:
        """The roles' passwords, in the format of libpq's password file."""
        return self.root / "pgpass"

    @property
    def log(self) -> Path:
        """The server's log since its last start."""
        return self.root / "postgres.log"

    @property
    def previous_log(self) -> Path:
        """The log of the run before."""
        return self.root / "postgres.log.1"

    @property
    def turn_lock(self) -> Path:
        """Held while somebody starts or leaves the server: one at a time."""
        return self.root / "turn.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server's own processes, so for as long as one of them lives."""
        return self.root / "server.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by all who use the server; whoever can have it alone is the last of them."""
        return self.root / "users.lock"


@contextmanager
def opening_lock(path: Path) -> Iterator[int]:
    """Open a lock file; closing it gives the lock back, unless a child inherited it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


def try_lock(lock: int, *, shared: bool = False) -> bool:
    """Take a lock if nobody holds it against us; never waits."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def holding(path: Path, report: ReportProgress | None = None) -> Iterator[None]:
    """Hold a lock alone; wait for it as long as it takes, and report that we do."""
    with opening_lock(path) as lock:
        for seconds in waiting():
            if try_lock(lock):
                break
            if seconds and report is not None:
                report(f"Another process starts or stops this PostgreSQL ({seconds} s)")
        yield


def waiting() -> Iterator[int]:
    """Pace a loop that looks for a change: yields at once, then every few milliseconds.

    The value is 0, except about once a second, when it is time to tell a person: then it is the
    seconds waited so far. It counts its pauses, so no jump of a clock changes anything.
    """
    polls = 0
    while True:
        whole_seconds, rest = divmod(polls, _POLLS_PER_REPORT)
        yield whole_seconds if rest == 0 else 0
        sleep(_POLL_SECONDS)
        polls += 1


def is_data_directory(root: Path) -> bool:
    """Whether an embedded server was started here before."""
    return DataDirectory(root).passwords.exists()
