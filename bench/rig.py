"""The bench's own PostgreSQL, its databases, and the services over them.

Invariant: everything runs on one server with the settings that the service ships; each service is
one API process, started as a user would start it. Nothing of the user's is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import asyncpg

from bench.probes import Used
from bench.usage import read_children_cpu, read_cpu
from catena.auth.keys import hash_secret, new_secret
from catena.auth.scopes import ALL_SCOPES
from catena.db.embedded import EmbeddedPostgres, start_embedded
from catena.db.embedded.cluster import ADMIN, OWNER, SERVICE
from catena.db.embedded.directory import DataDirectory
from catena.db.migrate import migrate
from catena.ids import KEY, new_id

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Api", "Rig"]

_MAINTENANCE_DATABASE: Final = "postgres"
_STOP_SECONDS: Final = 30
_LOOK_SECONDS: Final = 0.02
_SERVES: Final = r'"(http://[^"]+)"'
_WORKS: Final = r'"(working)"'

_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class Api:
    """One process of the service over one database. `url` is empty where it is a worker alone."""

    database: str
    url: str
    pid: int
    stop: Callable[[], None] = field(repr=False)
    kill: Callable[[], None] = field(repr=False)
    """End it as a crash would."""


class Rig:
    """The server and what runs on it; everything ends with it."""

    def __init__(self, directory: Path, report: Callable[[str], None]) -> None:
        self.directory = directory
        self.report = report
        self._stack = ExitStack()
        self._services: dict[str, Api] = {}
        self.key = new_secret()
        """The API key that every database of this rig knows."""
        self.notes: dict[str, Any] = {}
        """What scenarios made here and share."""
        self.settings: dict[str, Mapping[str, object]] = {}
        """What was set for services beside their database, by its name."""
        self.server: EmbeddedPostgres

    def __enter__(self) -> Self:
        self.server = self._stack.enter_context(start_embedded(self.directory / "postgres"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for service in list(self._services.values()):
            service.stop()
        self._stack.close()

    @property
    def passwords(self) -> Path:
        """The server's password file, in libpq's format."""
        return DataDirectory(self.server.data_dir).passwords

    def ask(self, database: str, *statements: str) -> object:
        """Run statements as the superuser; the first value of the last one's answer."""

        async def run() -> object:
            connection = await asyncpg.connect(self.server.dsn(ADMIN, database))
            try:
                for statement in statements[:-1]:
                    await connection.execute(statement)
                return await connection.fetchval(statements[-1])
            finally:
                await connection.close()

        return asyncio.run(run())

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a database; anew if it is there. Nothing may be connected to the template."""
        copied = f" TEMPLATE {template} STRATEGY file_copy" if template else ""
        self.stop_service(name)
        self.ask(_MAINTENANCE_DATABASE, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.ask(_MAINTENANCE_DATABASE, f"CREATE DATABASE {name} OWNER {OWNER}{copied}")

    def create_schema(self, name: str) -> None:
        """Migrate a database and store the rig's key in it."""
        asyncio.run(migrate(self.server.dsn(OWNER, name)))
        scopes = ", ".join(f"'{scope}'" for scope in sorted(ALL_SCOPES))
        self.ask(
            name,
            "INSERT INTO catena.api_keys (id, name, secret_hash, scopes) VALUES"
            f" ('{new_id(KEY)[len(KEY) :]}', 'bench', '\\x{hash_secret(self.key).hex()}',"
            f" ARRAY[{scopes}])",
        )

    def keep(self, context: AbstractContextManager[_Kept]) -> _Kept:
        """Enter something that lives as long as the rig."""
        return self._stack.enter_context(context)

    def service(self, database: str, **settings: object) -> Api:
        """The service over a database; it is started, so set, when it is first asked for."""
        if database not in self._services:
            command = ["serve", "--port", "0"]
            self._services[database] = self._start(database, database, command, _SERVES, settings)
        return self._services[database]

    def worker(self, database: str, **settings: object) -> Api:
        """Another process over the database, which runs steps alone; whoever asks stops it."""
        name = f"{database}-worker"
        self._services[name] = self._start(name, database, ["worker"], _WORKS, settings)
        return self._services[name]

    def stop_service(self, database: str) -> None:
        """Stop the service over a database, if one runs."""
        if database in self._services:
            self._services[database].stop()

    def _start(
        self,
        name: str,
        database: str,
        command: Sequence[str],
        says: str,
        settings: Mapping[str, object],
    ) -> Api:
        if settings:
            self.settings[name] = settings
        log = self.directory / f"{name}.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CATENA_")}
        environment["CATENA_DATABASE_URL"] = self.server.dsn(SERVICE, database)
        environment |= {f"CATENA_{key.upper()}": str(value) for key, value in settings.items()}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "catena.cli", *command],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
        url = _await_line(process, log, says)

        def end(how: signal.Signals) -> None:
            del self._services[name]
            process.send_signal(how)
            process.wait(_STOP_SECONDS)

        stop, kill = partial(end, signal.SIGTERM), partial(end, signal.SIGKILL)
        return Api(database, url if says == _SERVES else "", process.pid, stop, kill)

    @contextmanager
    def measuring(self, service: Api | None) -> Iterator[Used]:
        """Fill in what is used until the end of the block."""
        used = Used()
        bytes_before, checkpoints_before = self._read_log()
        before = self._read_times(service)
        yield used
        after = self._read_times(service)
        used.cpu_seconds = {name: after[name] - before[name] for name in after}
        bytes_after, checkpoints_after = self._read_log()
        used.log_bytes = bytes_after - bytes_before
        used.checkpoints = checkpoints_after - checkpoints_before

    def _read_times(self, service: Api | None) -> dict[str, float]:
        # The generators are the only children of ours that end inside a block.
        own = os.times()
        times = {
            "generator": own.children_user + own.children_system,
            "postgres": read_children_cpu(self.server.pid),
        }
        if service is not None:
            times["api"] = read_cpu(service.pid)
        return times

    def _read_log(self) -> tuple[int, int]:
        """Bytes of write-ahead log and checkpoints so far."""
        reading = self.ask(
            _MAINTENANCE_DATABASE,
            "SELECT ARRAY[pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, num_done]"
            " FROM pg_stat_checkpointer",
        )
        assert isinstance(reading, list)  # noqa: S101  # an array
        return reading[0], reading[1]

    def settle(self) -> None:
        """Vacuum and analyze every database and write everything out, so that rounds are alike."""
        listed = self.ask(
            _MAINTENANCE_DATABASE, "SELECT array_agg(datname) FROM pg_database WHERE datallowconn"
        )
        assert isinstance(listed, list)  # noqa: S101  # an array
        for database in listed:
            self.ask(database, "VACUUM (ANALYZE)", "SELECT 1")
        self.ask(_MAINTENANCE_DATABASE, "CHECKPOINT", "SELECT 1")


def _await_line(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    """What the service says once it is ready, in a line of its log."""
    while process.poll() is None:
        said = re.search(pattern, log.read_text())
        if said:
            return said[1]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
    raise RuntimeError(f"The service did not start:\n{log.read_text()[-2000:]}")
