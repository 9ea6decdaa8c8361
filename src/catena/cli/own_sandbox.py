"""The sandbox gateway that `catena up` has beside it: its secrets, its port, its process.

Invariant: a data directory has one process of it at most, which holds `sandbox.lock` while it
lives; its secrets are made once, and kept for their owner alone. Others who use the directory know
the gateway by the file.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from catena.cli.database import load_gateways, write_secret
from catena.cli.listen import open_listener
from catena.clock import monotonic
from catena.db.embedded.directory import opening_lock, try_lock
from catena.errors import SetupError
from catena.gateways.config import GatewayConfig
from catena.gateways.registry import connection_id
from catena.ids import random_bytes
from catena.outside.signing import format_secret

if TYPE_CHECKING:
    from catena.settings import Settings

__all__ = ["SANDBOX", "find_gateways", "find_sandbox_file", "running_sandbox"]

SANDBOX: Final = "sandbox"
"""The gateway's name, and the kind of adapter that it has."""

_HOST: Final = "127.0.0.1"
_PORT: Final = 8090
_FILE: Final = "sandbox.toml"
_LOCK: Final = "sandbox.lock"
_SECRET_BYTES: Final = 24

_LOOK_SECONDS: Final = 1.0
"""Pause between two looks whether the process that has it is gone."""
_STARTS_MAX: Final = 5
"""Starts in a row that may fail; then it is left alone."""
_STEADY_SECONDS: Final = 60.0
"""One that has run for so long was no failure."""
_STOP_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


def find_sandbox_file(settings: Settings) -> Path:
    """Where its address and secrets are kept: a gateways file, readable by its owner alone."""
    return settings.data_dir / _FILE


def find_gateways(settings: Settings) -> list[GatewayConfig]:
    """The gateways that are set, and the sandbox of the data directory. Raises SetupError."""
    found = load_gateways(settings)
    if settings.database_url or any(one.name == SANDBOX for one in found):
        return found
    kept = _read(find_sandbox_file(settings))
    return [*found, _configure(kept)] if kept else found


@asynccontextmanager
async def running_sandbox(
    settings: Settings, ledger: str, address: str
) -> AsyncIterator[GatewayConfig]:
    """Within, the sandbox runs as the gateway `sandbox` of a ledger; the process is our child.

    `address`: of the service, which its webhooks are sent to. Where another process has it already,
    that one is the gateway, and ours runs once it is gone. Raises SetupError.
    """
    file, hook = find_sandbox_file(settings), f"/v1/webhooks/{connection_id(ledger, SANDBOX)}"
    with opening_lock(settings.data_dir / _LOCK) as lock:
        kept = _read(file)
        listener = None
        if try_lock(lock):
            listener = _listen(kept)
            kept = _keep(file, kept, ledger, listener)
        if not kept:
            raise SetupError(f"Another process starts the sandbox of {settings.data_dir}.")
        keeper = _Keeper(settings.data_dir / SANDBOX, kept, address, hook, lock)
        task = asyncio.create_task(keeper.keep(listener), name="keep the sandbox")
        try:
            yield _configure(kept)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


# --- what is kept -----------------------------------------------------------------------------


def _read(file: Path) -> Mapping[str, str] | None:
    """What an earlier start has kept."""
    try:
        told = tomllib.loads(file.read_text("utf-8"))[SANDBOX]
        return {name: str(told[name]) for name in ("ledger", "url", "api_key", "webhook_secret")}
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SetupError(
            f"{file} cannot be read; remove it, and its secrets are made anew."
        ) from error


def _keep(
    file: Path, before: Mapping[str, str] | None, ledger: str, listener: socket.socket
) -> Mapping[str, str]:
    """Keep where it is now, with the secrets that it has or new ones."""
    kept = {
        "ledger": ledger,
        "url": f"http://{_HOST}:{listener.getsockname()[1]}",
        "api_key": f"sbx_{random_bytes(_SECRET_BYTES).hex()}",
        "webhook_secret": format_secret(random_bytes(_SECRET_BYTES)),
    }
    if before:
        kept |= {name: before[name] for name in ("api_key", "webhook_secret")}
    if kept != before:
        lines = (f'{name} = "{value}"' for name, value in kept.items())
        write_secret(file, "\n".join([f"[{SANDBOX}]", f'kind = "{SANDBOX}"', *lines]))
    return kept


def _configure(kept: Mapping[str, str]) -> GatewayConfig:
    options = {name: value for name, value in kept.items() if name != "ledger"}
    return GatewayConfig(SANDBOX, SANDBOX, kept["ledger"], options)


def _listen(kept: Mapping[str, str] | None) -> socket.socket:
    """A socket on the port that it had; on a free one if that is taken. Raises SetupError."""
    port = urlsplit(kept["url"]).port if kept else _PORT
    try:
        return open_listener(_HOST, port or _PORT)
    except SetupError:
        return open_listener(_HOST, 0)


# --- the process ------------------------------------------------------------------------------


class _Keeper:
    """Starts it, and starts it again when it ends."""

    def __init__(
        self, folder: Path, kept: Mapping[str, str], address: str, hook: str, lock: int
    ) -> None:
        self._folder = folder
        self._kept = kept
        self._url = address + hook
        self._hook = hook
        self._lock = lock

    async def keep(self, listener: socket.socket | None) -> None:
        """Until it is cancelled. Without a listener: once the process that has it is gone."""
        try:
            if listener is None:
                listener = await self._succeed()
            with listener:  # what connects while it is down waits in there
                await self._run_on(listener)
        except SetupError as error:
            _log.error("sandbox_not_started", why=error.detail)

    async def _succeed(self) -> socket.socket:
        """Have the lock, then the port: the one who had both may let go of the port a bit later."""
        port, told = urlsplit(self._kept["url"]).port or _PORT, False
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if try_lock(self._lock):
                try:
                    return open_listener(_HOST, port)
                except SetupError as error:
                    if not told:
                        _log.warning("sandbox_waits_for_its_port", why=error.detail)
                    told = True

    async def _run_on(self, listener: socket.socket) -> None:
        failed = 0
        while failed < _STARTS_MAX:
            began = monotonic()
            code = await self._run(listener)
            failed = 1 if monotonic() - began > _STEADY_SECONDS else failed + 1
            _log.warning("sandbox_ended", code=code)
            await asyncio.sleep(failed - 1)
        _log.error("sandbox_given_up")

    async def _run(self, listener: socket.socket) -> int:
        """One process of it; gives its exit code."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "catena.cli", "sandbox"),
            *("--listener", str(listener.fileno()), "--lifeline"),
            *("--data-dir", str(self._folder), "--webhook", self._url),
            env=os.environ
            | {
                "CATENA_SANDBOX_KEY": self._kept["api_key"],
                "CATENA_SANDBOX_WEBHOOK_SECRET": self._kept["webhook_secret"],
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            # The lock lives as long as the process, also when we are killed before it ends.
            pass_fds=[listener.fileno(), self._lock],
            # So that a Ctrl-C in the terminal reaches us alone, and we stop it.
            start_new_session=True,
        )
        tidying = asyncio.create_task(self._forget_old_hooks(), name="forget old hooks")
        try:
            return await process.wait()
        finally:
            tidying.cancel()
            if process.returncode is None:
                process.terminate()
                await _wait(process)

    async def _forget_old_hooks(self) -> None:
        """Have webhooks sent here alone, and not where the service listened before."""
        from httpx2 import AsyncClient, HTTPError

        headers = {"Authorization": f"Bearer {self._kept['api_key']}"}
        try:
            async with AsyncClient(
                base_url=self._kept["url"], headers=headers, timeout=60.0, trust_env=False
            ) as client:
                answer = await client.get("/v1/webhook_endpoints")
                known: Sequence[Mapping[str, str]] = answer.raise_for_status().json()["data"]
                for one in known:
                    if one["url"].endswith(self._hook) and one["url"] != self._url:
                        await client.delete(f"/v1/webhook_endpoints/{one['id']}")
        except HTTPError as error:
            _log.warning("sandbox_not_tidied", why=type(error).__name__)


async def _wait(process: asyncio.subprocess.Process) -> None:
    """Wait for its end; after a while, end it."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
