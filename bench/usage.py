"""Processor time and memory of processes, from /proc (Linux)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["read_children_cpu", "read_cpu", "read_resident_mb"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _REAPED = 1, slice(11, 13), slice(13, 15)
"""Fields of /proc/PID/stat after the name: parent, utime and stime, those of reaped children."""


def _read_stat(pid: int | str) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _seconds(fields: list[str]) -> float:
    return sum(int(field) for field in fields) / _TICKS


def read_cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    return _seconds(_read_stat(pid)[_USER])


def read_children_cpu(pid: int) -> float:
    """Seconds of processor time of a process and all its children, living and gone."""
    own = _read_stat(pid)
    total = _seconds(own[_USER] + own[_REAPED])
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = _read_stat(entry.name)
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended while we looked; from now on its parent's time holds its own
            if int(fields[_PARENT]) == pid:
                total += _seconds(fields[_USER])
    return total


def read_resident_mb(pid: int) -> float:
    """Resident memory of a process in MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
