"""Creating PostgreSQL's files: initdb, the roles and their passwords, the database `catena`.

Invariant: a cluster appears complete or not at all, and no password leaves the 0600 file.
It never touches a cluster that exists.
"""

from __future__ import annotations

import os
import secrets  # noqa: TID251 - a password is a secret and no id
import shutil
import subprocess
from pathlib import Path

from catena.db.embedded.binaries import Binaries
from catena.db.embedded.directory import DataDirectory
from catena.db.embedded.postmaster import CLEAN_ENVIRONMENT
from catena.db.embedded.trouble import explain
from catena.db.embedded.user import RunAs, hand_over
from catena.errors import EmbeddedPostgresError

__all__ = [
    "ADMIN",
    "DATABASE",
    "OWNER",
    "SERVICE",
    "check_version",
    "create_cluster",
    "read_passwords",
]

DATABASE = "catena"
ADMIN = "postgres"
OWNER = "catena_owner"
SERVICE = "catena_service"

_PASSWORD_BYTES = 24

# Only passwords, no trust in whoever is logged in on the machine. There is no line for replication.
_HOST_RULES = """\
# Written by Catena. TYPE DATABASE USER ADDRESS METHOD
local   all   all                  scram-sha-256
host    all   all   127.0.0.1/32   scram-sha-256
"""

# Single-user mode reads a statement up to a semicolon and an empty line.
_CREATE_ROLES = f"""\
ALTER ROLE {ADMIN} PASSWORD '{{{ADMIN}}}';

CREATE ROLE {OWNER} LOGIN PASSWORD '{{{OWNER}}}';

CREATE ROLE {SERVICE} LOGIN PASSWORD '{{{SERVICE}}}';

CREATE DATABASE {DATABASE} OWNER {OWNER};

"""


def create_cluster(
    place: DataDirectory, binaries: Binaries, run_as: RunAs, *, server_lock: int, durable: bool
) -> None:
    """Create the cluster beside its place and move it there when it is complete.

    Nothing is forced to disk until the end, then all of it at once, unless `durable` is false.
    The programs inherit `server_lock`: should we die, nobody begins anew before they end too.
    """
    draft = place.root / "cluster.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    hand_over(draft, run_as)
    initdb = str(binaries.program("initdb"))
    _run(
        run_as,
        server_lock,
        [
            initdb,
            f"--pgdata={draft}",
            f"--username={ADMIN}",
            "--auth=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--no-instructions",
            "--no-sync",
        ],
    )
    # Written into the file that initdb made, so that its owner and mode stay.
    (draft / "pg_hba.conf").write_text(_HOST_RULES)
    passwords = _write_passwords(place.passwords)
    _run(
        run_as,
        server_lock,
        [
            str(binaries.program("postgres")),
            "--single",
            "-j",
            "-F",
            *("-c", "exit_on_error=on"),
            # A statement that fails is not logged: it may hold a password.
            *("-c", "log_min_error_statement=panic"),
            *("-D", str(draft)),
            ADMIN,
        ],
        statements=_CREATE_ROLES.format_map(passwords),
    )
    if durable:
        _run(run_as, server_lock, [initdb, f"--pgdata={draft}", "--sync-only"])
    draft.rename(place.cluster)
    if durable:
        _sync_directory(place.root)


def check_version(cluster: Path, binaries: Binaries) -> None:
    """Refuse a cluster of another major version: PostgreSQL cannot read its files."""
    found = (cluster / "PG_VERSION").read_text().strip()
    if found != binaries.major:
        raise EmbeddedPostgresError(
            f"The data in {cluster} is of PostgreSQL {found}, the embedded server is"
            f" {binaries.version}. Export it with the Catena release that wrote it, or run"
            f" pg_upgrade; nothing was changed."
        )


def read_passwords(path: Path) -> dict[str, str]:
    """Read the password of each role from the password file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as missing:
        raise EmbeddedPostgresError(
            f"The passwords of the embedded PostgreSQL are missing: {path}. Restore this file."
        ) from missing
    return {role: password for *_, role, password in (line.split(":") for line in lines)}


def _write_passwords(path: Path) -> dict[str, str]:
    """Make up a password for each role and keep them where only we can read them."""
    passwords = {role: secrets.token_urlsafe(_PASSWORD_BYTES) for role in (ADMIN, OWNER, SERVICE)}
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"*:*:*:{role}:{password}\n" for role, password in passwords.items())
        file.flush()
        os.fsync(file.fileno())
    return passwords


def _run(run_as: RunAs, server_lock: int, command: list[str], *, statements: str = "") -> None:
    finished = subprocess.run(
        [*run_as.prefix, *command],
        check=False,
        input=statements,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env=CLEAN_ENVIRONMENT,
        start_new_session=True,
        pass_fds=(server_lock,),
        **run_as.options,
    )
    if finished.returncode != 0:
        raise EmbeddedPostgresError(explain(finished.stdout))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
