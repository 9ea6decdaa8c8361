"""How long, how many and how much: in files of ISO 20022, in SEPA, and in what we read.

Ids have the XSD's Max35Text. What SEPA narrows is from the EPC's implementation guidelines of
the credit transfer (EPC132-08); sizes of what is read are our own.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AMOUNT_MINOR_MAX",
    "FILE_BYTES_MAX",
    "FILE_NAME_CHARACTERS_MAX",
    "FILE_ORDERS_MAX",
    "ID_CHARACTERS_MAX",
    "ID_CHARACTERS_READ_MAX",
    "MESSAGE_ID_CHARACTERS_MAX",
    "NAME_CHARACTERS_MAX",
    "PIECE_BYTES_MAX",
    "PROLOG_BYTES_MAX",
    "REFERENCE_CHARACTERS_MIN",
    "REMITTANCE_CHARACTERS_MAX",
    "TEXT_CHARACTERS_MAX",
]

ID_CHARACTERS_MAX: Final = 35
"""Any id within a file: EndToEndId, InstrId, PmtInfId."""

ID_CHARACTERS_READ_MAX: Final = 140
"""An id that a bank has given to a file or a statement: four times what the XSD allows."""

MESSAGE_ID_CHARACTERS_MAX: Final = 30
"""A file's own id: its payment blocks are named after it, with a dash and up to four digits."""

NAME_CHARACTERS_MAX: Final = 70
REMITTANCE_CHARACTERS_MAX: Final = 140
AMOUNT_MINOR_MAX: Final = 99_999_999_999
"""999,999,999.99 EUR, the most that one SEPA credit transfer carries."""

FILE_ORDERS_MAX: Final = 9_999
"""Orders of one file; banks allow more, and none of ours needs a larger one."""

FILE_BYTES_MAX: Final = 268_435_456
"""Size of a file that is read: 256 MiB, 400,000 entries and more."""

PIECE_BYTES_MAX: Final = 16_777_216
"""Size of one entry with all its details; what is held in memory at once is a multiple of it."""

PROLOG_BYTES_MAX: Final = 4_096
"""What may stand before the first element: a declaration, comments, and no document type."""

FILE_NAME_CHARACTERS_MAX: Final = 200
REFERENCE_CHARACTERS_MIN: Final = 6
"""Letters and digits of a reference that is looked for in a payer's text; a shorter one is found
there by chance."""

TEXT_CHARACTERS_MAX: Final = 500
"""Length of what is kept of a text that a bank or a payer wrote."""
