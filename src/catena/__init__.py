"""Catena: a wallet ledger service. Double-entry books on PostgreSQL, over HTTP."""

from catena.errors import CatenaError
from catena.settings import Settings, read_settings

__all__ = ["CatenaError", "Settings", "read_settings"]
