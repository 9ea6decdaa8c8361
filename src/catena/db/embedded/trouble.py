"""Telling a person plainly why PostgreSQL cannot run: a full disk, a read-only one, no permission.

Invariant: every reason ends in one error of the tree, with PostgreSQL's own words kept.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catena.errors import EmbeddedPostgresError

__all__ = ["check_free_space", "explain", "telling_plainly"]

# A segment of the write-ahead log is 16 MB; a start may write one and needs room to go on.
MIN_FREE_BYTES = 32 * 1024 * 1024

_PLAIN_WORDS = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "The disk quota is used up",
    errno.EROFS: "The disk is read-only",
    errno.EACCES: "Permission is denied",
    errno.EPERM: "Permission is denied",
    errno.EADDRINUSE: "The port is taken by another program",
}
# What PostgreSQL's programs print: the system's own words, in English by CLEAN_ENVIRONMENT; and its
# hint when only a part of a page could be written, which the system calls no error.
_COMPLAINTS = {os.strerror(number): plain for number, plain in _PLAIN_WORDS.items()} | {
    "Check free disk space": _PLAIN_WORDS[errno.ENOSPC]
}
_WORST_FIRST = (r"PANIC:  (.*)", r"FATAL:  (.*)", r"error: (.*)", r"ERROR:  (.*)", r"LOG:  (.*)")


def explain(output: str) -> str:
    """Say in one sentence what a PostgreSQL program's output complains about."""
    words = _quote_complaint(output)
    for complaint, plain in _COMPLAINTS.items():
        if complaint in output:
            return f"{plain}; PostgreSQL said: {words}"
    return f"PostgreSQL said: {words}"


@contextmanager
def telling_plainly(directory: Path) -> Iterator[None]:
    """Turn what the system refuses us in `directory` into an `EmbeddedPostgresError`."""
    try:
        yield
    except OSError as refused:
        plain = _PLAIN_WORDS.get(refused.errno or 0, "The system refuses")
        raise EmbeddedPostgresError(
            f"{plain}: {refused.filename or directory} ({refused.strerror})."
        ) from refused


def check_free_space(directory: Path) -> None:
    """Refuse to start on a full disk: PostgreSQL could not even write why in its log."""
    free = shutil.disk_usage(directory).free
    if free < MIN_FREE_BYTES:
        raise EmbeddedPostgresError(
            f"The disk is full: {directory} has {free // 2**20} MB left,"
            f" PostgreSQL needs {MIN_FREE_BYTES // 2**20} MB to start."
        )


def _quote_complaint(output: str) -> str:
    for pattern in _WORST_FIRST:
        if found := re.findall(pattern, output):
            return str(found[0])
    return output.strip() or "nothing"
