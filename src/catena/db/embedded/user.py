"""As whom PostgreSQL's programs run: PostgreSQL refuses to run as root.

Invariant: only the data directory ever changes hands; no account is made, no parent is touched.
It never runs a program itself, except to try whether one can be run.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from catena.errors import EmbeddedPostgresError

__all__ = ["RunAs", "can_run", "choose_user", "hand_over", "run_as_account", "run_as_mapped_user"]

# Accounts made for this (Debian, macOS), then the one every system has.
_UNPRIVILEGED_ACCOUNTS = ("postgres", "_postgres", "nobody")


class ProcessOptions(TypedDict, total=False):
    """The options of `subprocess` that change who a child is."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class RunAs:
    """How to run a program: a command put in front of it, or an account that becomes its own.

    Without either it runs as ourselves.
    """

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    @property
    def options(self) -> ProcessOptions:
        """What `subprocess` needs to become the account."""
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def run_as_mapped_user() -> RunAs | None:
    """Run in a user namespace where root is called by an unprivileged account's name.

    Nothing changes outside: to the system the process and its files stay root's, with none of
    root's privileges. None where there is no `unshare` (not Linux).
    """
    unshare = shutil.which("unshare")
    account = _unprivileged_account()
    if unshare is None or account is None:
        return None
    return RunAs(prefix=(unshare, "--user", f"--map-user={account.pw_uid}", "--"))


def run_as_account(uid: int) -> RunAs:
    """Run as an existing account, which then owns the cluster's files."""
    try:
        return RunAs(uid=uid, gid=pwd.getpwuid(uid).pw_gid)
    except KeyError as unknown:
        raise EmbeddedPostgresError(
            f"The files of the embedded PostgreSQL belong to uid {uid}, which has no account here."
        ) from unknown


def choose_user(cluster: Path, postgres: Path) -> RunAs:
    """Choose as whom to run the server of `cluster`, which need not exist yet.

    Anyone but root runs it as themselves. For root a cluster keeps the account that owns it;
    else a user namespace is taken where the system allows one, else an existing account.
    """
    if os.geteuid() != 0:
        return RunAs()
    if cluster.exists() and (owner := cluster.stat().st_uid) != 0:
        return run_as_account(owner)
    mapped = run_as_mapped_user()
    if mapped is not None and can_run(mapped, postgres, "--version"):
        return mapped
    account = _unprivileged_account()
    if account is None:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and this system has neither user namespaces nor"
            f" one of the accounts {', '.join(_UNPRIVILEGED_ACCOUNTS)}; run Catena as another user."
        )
    return run_as_account(account.pw_uid)


def can_run(run_as: RunAs, program: Path | str, *arguments: str) -> bool:
    """Whether `program` can be started so and succeeds."""
    try:
        finished = subprocess.run(
            [*run_as.prefix, str(program), *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **run_as.options,
        )
    except (FileNotFoundError, PermissionError):
        return False
    return finished.returncode == 0


def hand_over(directory: Path, run_as: RunAs) -> None:
    """Give a directory of ours, with all in it, to the account that will run PostgreSQL."""
    if run_as.uid is None or run_as.gid is None or directory.stat().st_uid == run_as.uid:
        return
    for parent, names, files in os.walk(directory):
        for name in (*names, *files):
            os.chown(Path(parent, name), run_as.uid, run_as.gid, follow_symlinks=False)
    # Last, so that an interrupted walk is seen as not done and starts again.
    os.chown(directory, run_as.uid, run_as.gid)


def _unprivileged_account() -> pwd.struct_passwd | None:
    for name in _UNPRIVILEGED_ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None
