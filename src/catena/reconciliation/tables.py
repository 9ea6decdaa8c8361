"""Tables as CSV: read from whoever sent them, and written for whoever opens them.

Invariant: what is read has one header, each name once, and as many cells in every row; what is
wrong is named by row and column, and never repeated. What is written is text to a spreadsheet,
never a formula.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from catena.errors import InvalidInput, PayloadTooLarge
from catena.money import Currency, parse_amount

__all__ = [
    "IMPORT_LIMITS",
    "PLAIN",
    "Complaints",
    "Dialect",
    "ImportLimits",
    "Table",
    "neutralise",
    "parse_moment",
    "parse_signed",
    "read_table",
    "write_table",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLimits:
    """What one file may be. Each is a number of what its name says."""

    file_bytes: int = 67_108_864
    rows: int = 500_000
    columns: int = 200
    cell_characters: int = 5_000
    reference_characters: int = 200
    text_characters: int = 500
    complaints: int = 20


IMPORT_LIMITS: Final = ImportLimits()


class Dialect(NamedTuple):
    """How a file is written: what stands between cells, and what before decimal places."""

    delimiter: str = ","
    decimal_point: str = "."


PLAIN: Final = Dialect()
"""A comma between cells, a point before decimal places."""


class Table(NamedTuple):
    """The rows of a file, each with the number of the line that it ends on."""

    names: Sequence[str]
    rows: Sequence[tuple[int, list[str]]]


def read_table(raw: bytes, dialect: Dialect = PLAIN, limits: ImportLimits = IMPORT_LIMITS) -> Table:
    """The table in a CSV file: UTF-8 with or without a mark, or UTF-16 with one.

    Empty rows are passed over. Raises InvalidInput with what is wrong where, or PayloadTooLarge.
    """
    if len(raw) > limits.file_bytes:
        raise PayloadTooLarge(f"A file has {limits.file_bytes} bytes at most.")
    text = _decode(raw)
    if "\0" in text:
        raise InvalidInput("The file has characters that no table has (NUL).")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_names(names, limits)
        return Table(names, _read_rows(reader, len(names), limits))
    except csv.Error:
        raise InvalidInput(
            "The file is not written as CSV.",
            fields=(
                (f"/rows/{reader.line_num}", "Quotes do not close, or a cell is far too long."),
            ),
        ) from None


def _decode(raw: bytes) -> str:
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            "The file is neither UTF-8 nor UTF-16 with a byte order mark.",
            fields=((f"/rows/{row}", "Here are bytes that are no text."),),
        ) from None


def _check_names(names: Sequence[str], limits: ImportLimits) -> None:
    if not any(names):
        raise InvalidInput("The file has no header.")
    if len(names) > limits.columns:
        raise InvalidInput(f"A file has {limits.columns} columns at most.")
    twice = [place for place, name in enumerate(names, 1) if name in names[: place - 1]]
    if twice:
        raise InvalidInput(
            "The header names a column twice.",
            fields=[(f"/rows/1/{place}", "This column was named before.") for place in twice],
        )


def _read_rows(
    reader: Iterator[list[str]], width: int, limits: ImportLimits
) -> list[tuple[int, list[str]]]:
    rows: list[tuple[int, list[str]]] = []
    longest = limits.cell_characters
    complaints = Complaints(limits)
    for row in reader:
        if not row:
            continue
        number: int = reader.line_num  # type: ignore[attr-defined]  # a csv.reader has it
        if len(row) != width:
            complaints.add(number, None, f"The header has {width} cells, this row {len(row)}.")
        elif len(max(row, key=len)) > longest:
            complaints.add(number, None, f"A cell has {longest} characters at most.")
        rows.append((number, row))
        if len(rows) > limits.rows:
            raise PayloadTooLarge(f"A file has {limits.rows} rows at most.")
    complaints.raise_any()
    return rows


class Complaints:
    """What is wrong in a file, by row and column; the first ones, and how many there are."""

    def __init__(self, limits: ImportLimits = IMPORT_LIMITS) -> None:
        self._limits = limits
        self._fields: list[tuple[str, str]] = []
        self._count = 0

    def add(self, row: int, column: str | None, sentence: str) -> None:
        """`row` is a line of the file, the header's is 1."""
        self._count += 1
        if len(self._fields) < self._limits.complaints:
            place = f"/rows/{row}" if column is None else f"/rows/{row}/{column}"
            self._fields.append((place, sentence))

    def raise_any(self) -> None:
        """Raise InvalidInput if there was anything."""
        if self._count:
            shown = f", of which {len(self._fields)} are named" * (self._count > len(self._fields))
            raise InvalidInput(
                f"The file cannot be read as it stands: {self._count} complaints{shown}.",
                fields=self._fields,
            )


def parse_signed(text: str, currency: Currency, decimal_point: str = ".") -> int:
    """Minor units of a decimal in major units, with a sign or without. Raises InvalidAmount.

    No grouping, no exponent, no currency sign: what can be read in two ways is not read. Noughts
    behind the currency's last place change nothing, and are taken.
    """
    digits = text[1:] if text.startswith(("-", "+")) else text
    if decimal_point != ".":
        digits = digits.replace(".", "?").replace(decimal_point, ".")
    whole, _, places = digits.partition(".")
    if len(places) > currency.exponent:
        places = places[: currency.exponent] + places[currency.exponent :].rstrip("0")
        digits = f"{whole}.{places}" if places else whole
    amount = parse_amount(digits, currency)
    return -amount if text.startswith("-") else amount


def parse_moment(text: str, zone: dt.tzinfo = dt.UTC) -> dt.datetime:
    """A moment as ISO 8601 writes it, in UTC; one without an offset is of the zone.

    A day alone is its beginning. Raises ValueError with a sentence.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return moment if moment.tzinfo is dt.UTC else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError("A moment is written as 2026-04-01 12:30:00, or with an offset.") from None


def neutralise(text: str) -> str:
    """`text` as a spreadsheet shows it: an apostrophe goes before what it would calculate, at the
    beginning and behind semicolons, where many of them begin another cell.

    Control characters and marks that turn the direction of writing become spaces.
    Source: OWASP, "CSV Injection".
    """
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(one)[0] == "C" else one for one in text)
    parts = text.split(";")
    return ";".join(
        "'" + part if _FORMULA.match(unicodedata.normalize("NFKC", part)) else part
        for part in parts
    )


_FORMULA: Final = re.compile(r'[\s"]*[-=+@]')


def write_table(rows: Iterable[Sequence[str | int]]) -> str:
    """CSV as RFC 4180 has it. Numbers stand as they are; all other text is neutralised."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_write_cell(cell) for cell in row])
    return out.getvalue()


def _write_cell(cell: str | int) -> str:
    if isinstance(cell, int):
        return str(cell)
    return cell if _is_number(cell) else neutralise(cell)


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-").replace(".", "", 1)
    return digits.isascii() and digits.isdigit()
