"""Processes of ours that a test kills and starts again.

Invariant: only what was started here is signalled, and nothing outlives its block.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["Victim", "alive"]


class Victim:
    """A command of ours, which says `ready` once it does what it is for."""

    def __init__(self, dsn: str, settings: Mapping[str, object], ready: str, *command: str) -> None:
        variables = {f"CATENA_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment = os.environ | {"CATENA_DATABASE_URL": dsn} | variables
        self._command = command
        self._message = ready
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.log: list[str] = []

    def start(self) -> Mapping[str, Any]:
        """Start it; gives what it says when it is ready."""
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-m", "catena.cli", *self._command],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line)
            if f'"{self._message}"' in line:
                break
        else:
            pytest.fail("It ended: " + "".join(self.log))
        self._reader = threading.Thread(target=self.log.extend, args=(process.stderr,), daemon=True)
        self._reader.start()
        told: Mapping[str, Any] = json.loads(self.log[-1])
        return told

    def kill(self) -> None:
        """SIGKILL it."""
        assert self._process is not None
        assert self._reader is not None
        assert self._process.stderr is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stderr.close()

    def remove(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()


@contextmanager
def alive(victim: Victim) -> Iterator[Mapping[str, Any]]:
    """It runs, or what was started in its place, until the block ends."""
    try:
        yield victim.start()
    finally:
        victim.remove()
