"""One ledger as a text that other people's accounting programs read and recompute.

Invariant: what is stored (balances, running totals) is written as assertions beside the lines, so
the program that reads it refuses a book that does not add up. Never corrects what it writes.
"""

from catena.db.export.journal import Dates, Format, Report, export_ledger

__all__ = ["Dates", "Format", "Report", "export_ledger"]
