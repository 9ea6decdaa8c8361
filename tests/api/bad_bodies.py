"""Bodies that cannot be: how each is made of a good transfer, and what is answered to it."""

from __future__ import annotations

import json
from collections.abc import Callable

__all__ = ["BAD_BODIES", "INVALID", "MALFORMED", "MARK", "Change"]

MARK = "s3cret-from-the-caller"
"""Stands in every body, and never in an answer."""
Change = Callable[[str], bytes]


def put(member: str, value: str) -> Change:
    """The transfer with this JSON text as the value of a member, beside or instead of its own."""

    def change(text: str) -> bytes:
        fields = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in json.loads(text).items()]
        kept = [field for field in fields if not field.startswith(f'"{member}"')]
        return ("{" + ", ".join([*kept, f'"{member}": {value}']) + "}").encode()

    return change


def add(more: str) -> Change:
    """The transfer with this text before its last brace."""
    return lambda text: f"{text[:-1]}, {more}}}".encode()


def send(raw: bytes) -> Change:
    """These bytes in the transfer's place."""
    return lambda _: raw


INVALID = (422, "invalid_request")
MALFORMED = (400, "malformed_json")
UNKNOWN = (422, "unknown_currency")
OUT_OF_RANGE = (422, "effective_date_out_of_range")

BAD_BODIES: dict[str, tuple[Change, tuple[int, str], str | None]] = {
    # what is no amount
    "a float": (put("amount", "5.5"), INVALID, "/amount"),
    "a whole float": (put("amount", "5.0"), INVALID, "/amount"),
    "an exponent": (put("amount", "5e2"), INVALID, "/amount"),
    "a string": (put("amount", '"5"'), INVALID, "/amount"),
    "a negative": (put("amount", "-5"), INVALID, "/amount"),
    "zero": (put("amount", "0"), INVALID, "/amount"),
    "minus zero": (put("amount", "-0"), INVALID, "/amount"),
    "2 ** 63": (put("amount", str(2**63)), INVALID, "/amount"),
    "2 ** 64 + 5": (put("amount", str(2**64 + 5)), INVALID, "/amount"),
    "4,000 digits": (put("amount", "9" * 4000), INVALID, "/amount"),
    "5,000 digits": (put("amount", "9" * 5000), MALFORMED, None),
    "5,000 digits elsewhere": (put("x", "9" * 5000), MALFORMED, None),
    "5,000 decimals": (put("amount", "1." + "9" * 5000), INVALID, "/amount"),
    "a boolean": (put("amount", "true"), INVALID, "/amount"),
    "null": (put("amount", "null"), INVALID, "/amount"),
    "a list": (put("amount", "[5]"), INVALID, "/amount"),
    "not a number": (put("amount", "NaN"), INVALID, "/amount"),
    "infinity": (put("amount", "Infinity"), INVALID, "/amount"),
    "a leading zero": (put("amount", "05"), MALFORMED, None),
    "a plus sign": (put("amount", "+5"), MALFORMED, None),
    "hexadecimal": (put("amount", "0x5"), MALFORMED, None),
    # currencies and accounts
    "an unknown currency": (put("currency", '"ZZZ"'), UNKNOWN, None),
    "a metal": (put("currency", '"XAU"'), UNKNOWN, None),
    "an unregistered asset": (put("currency", '"BTC"'), UNKNOWN, None),
    "lower case": (put("currency", '"usd"'), INVALID, "/currency"),
    "a currency with a newline": (put("currency", '"USD\\n"'), INVALID, "/currency"),
    "a wrong currency": (put("currency", '"EUR"'), (422, "currency_mismatch"), None),
    "no account": (put("source_account_id", f'"{MARK}"'), INVALID, "/source_account_id"),
    "an upper-case id": (
        put("source_account_id", f'"acct_{"A" * 32}"'),
        INVALID,
        "/source_account_id",
    ),
    "an id with a newline": (
        put("source_account_id", f'"acct_{"0" * 32}\\n"'),
        INVALID,
        "/source_account_id",
    ),
    "an unknown account": (
        put("source_account_id", f'"acct_{"0" * 32}"'),
        (404, "unknown_account"),
        None,
    ),
    # dates
    "a date without time": (put("effective_at", '"2026-01-01"'), INVALID, "/effective_at"),
    "a date without offset": (
        put("effective_at", '"2026-01-01T00:00:00"'),
        INVALID,
        "/effective_at",
    ),
    "seconds since 1970": (put("effective_at", "1767225600"), INVALID, "/effective_at"),
    "seconds in a string": (put("effective_at", '"1767225600"'), INVALID, "/effective_at"),
    "a 30th of February": (
        put("effective_at", '"2026-02-30T00:00:00Z"'),
        INVALID,
        "/effective_at",
    ),
    "before the calendar": (
        put("effective_at", '"0001-01-01T00:00:00+14:00"'),
        INVALID,
        "/effective_at",
    ),
    "behind the calendar": (
        put("effective_at", '"9999-12-31T23:59:59-14:00"'),
        INVALID,
        "/effective_at",
    ),
    "the year 1": (put("effective_at", '"0001-01-01T00:00:00Z"'), OUT_OF_RANGE, None),
    "the year 9999": (put("effective_at", '"9999-12-31T23:59:59Z"'), OUT_OF_RANGE, None),
    "a skewed clock": (put("effective_at", '"2999-01-01T00:00:00Z"'), OUT_OF_RANGE, None),
    # texts and metadata
    "a NUL": (put("description", '"a\\u0000b"'), INVALID, "/description"),
    "an empty text": (put("description", '""'), INVALID, "/description"),
    "501 characters": (put("description", f'"{"é" * 501}"'), INVALID, "/description"),
    "a long reference": (put("reference", f'"{"x" * 201}"'), INVALID, "/reference"),
    "a float in metadata": (put("metadata", '{"a": 1.5}'), INVALID, "/metadata/a"),
    "null in metadata": (put("metadata", '{"a": null}'), INVALID, "/metadata/a"),
    "metadata in metadata": (put("metadata", '{"a": {"b": 1}}'), INVALID, "/metadata/a"),
    "a list of metadata": (put("metadata", "[]"), INVALID, "/metadata"),
    "2 ** 63 in metadata": (put("metadata", f'{{"a": {2**63}}}'), INVALID, "/metadata/a"),
    "NUL in a key": (put("metadata", '{"a\\u0000": 1}'), INVALID, "/metadata/a\0"),
    # the shape
    "an unknown field": (put("amount_usd", f'"{MARK}"'), INVALID, "/amount_usd"),
    "a field of a batch": (put("operation", '"transfer"'), INVALID, "/operation"),
    "no field at all": (send(b"{}"), INVALID, "/amount"),
    "an array": (send(b"[]"), INVALID, ""),
    "null itself": (send(b"null"), INVALID, ""),
    "text itself": (send(f'"{MARK}"'.encode()), INVALID, ""),
    # what is no JSON, or no JSON of ours
    "nothing": (send(b""), MALFORMED, None),
    "no JSON": (send(MARK.encode()), MALFORMED, None),
    "half": (lambda text: text.encode()[:-9], MALFORMED, None),
    "more behind it": (lambda text: text.encode() + b"{}", MALFORMED, None),
    "a comment": (lambda text: b"/**/" + text.encode(), MALFORMED, None),
    "single quotes": (lambda text: text.replace('"', "'").encode(), MALFORMED, None),
    "a trailing comma": (lambda text: text[:-1].encode() + b",}", MALFORMED, None),
    "a name twice": (add('"amount": 6'), MALFORMED, None),
    "a name twice, escaped": (add('"\\u0061mount": 6'), MALFORMED, None),
    "the same name and value twice": (add('"amount": 5'), MALFORMED, None),
    "a wrong name twice": (add('"x": 1, "x": 2'), MALFORMED, None),
    "metadata twice": (add('"metadata": {"a": 1, "a": 2}'), MALFORMED, None),
    "a name twice beside colons": (add('"amount": 6, "reference": "::"'), MALFORMED, None),
    "a raw NUL": (lambda text: text.encode().replace(b"Rent", b"\0"), MALFORMED, None),
    "a NUL behind it": (lambda text: text.encode() + b"\0", MALFORMED, None),
    "a raw newline": (lambda text: text.encode().replace(b"Rent", b"\n"), MALFORMED, None),
    "invalid UTF-8": (lambda text: text.encode().replace(b"Rent", b"\xff\xfe"), MALFORMED, None),
    "an overlong slash": (
        lambda text: text.encode().replace(b"Rent", b"\xc0\xaf"),
        MALFORMED,
        None,
    ),
    "a surrogate in UTF-8": (
        lambda text: text.encode().replace(b"Rent", b"\xed\xa0\x80"),
        MALFORMED,
        None,
    ),
    "a lone surrogate": (put("description", '"\\ud800"'), MALFORMED, None),
    "surrogates turned": (put("description", '"\\udc00\\ud800"'), MALFORMED, None),
    "a lone surrogate as a name": (add('"\\udfff": 1'), MALFORMED, None),
    "UTF-16": (lambda text: text.encode("utf-16"), MALFORMED, None),
    "a byte order mark": (lambda text: b"\xef\xbb\xbf" + text.encode(), MALFORMED, None),
    "deep lists": (send(b"[" * 60_000), MALFORMED, None),
    "deep objects": (send(b'{"a":' * 10_000), MALFORMED, None),
    "deep and closed": (put("metadata", "[" * 5000 + "]" * 5000), MALFORMED, None),
    "deep metadata": (put("metadata", '{"a":' * 90 + "1" + "}" * 90), INVALID, "/metadata/a"),
}
