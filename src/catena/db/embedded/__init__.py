"""An embedded PostgreSQL: created, started, shared and stopped, without an installation.

Invariant: nothing outside the data directory is written, and no permission outside it changes.
It never speaks SQL to a running server; that is the pool's work.
"""

from catena.db.embedded.directory import is_data_directory
from catena.db.embedded.server import EmbeddedPostgres, start_embedded

__all__ = ["EmbeddedPostgres", "is_data_directory", "start_embedded"]
