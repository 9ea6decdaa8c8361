"""The journal format of hledger. Source: hledger.org/hledger.html, "Journal".

Invariant: text of a caller's stays where it is put: it starts no line and no comment, and makes no
tag, date, assertion or directive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from catena.db.export.rows import AccountRow, BalanceRow, Dates, EntryRow, LineRow, write_amount
from catena.money import Currency

__all__ = ["HledgerStyle"]


class HledgerStyle:
    """A transaction is dated twice where its times differ (`2026-02-03=2026-01-31`).

    With recorded dates first, `hledger --date2` reports by effective dates.
    """

    running_by_day = False

    def write_head(self, title: str, currencies: Sequence[Currency]) -> str:
        """Comment, and the commodities with their decimal places."""
        # hledger wants a decimal mark here even where no places follow.
        places = ("1." + "0" * currency.exponent for currency in currencies)
        return "".join(
            [
                f"; {_write_plain(title)}\n\ndecimal-mark .\n",
                *(
                    f"commodity {form} {_write_symbol(currency)}\n"
                    for form, currency in zip(places, currencies, strict=True)
                ),
                "\n",
            ]
        )

    def write_account(self, account: AccountRow) -> str:
        """A directive, so that `hledger check --strict` knows every account."""
        tags = {
            "role": account.role,
            "user_id": _quote(account.user_id),
            "name": _quote(account.name),
        }
        return f"account {_name(account.type, account.id)}\n" + "".join(_write_tags(tags)) + "\n"

    def write_entry(self, entry: EntryRow, dates: Dates) -> str:
        """A transaction with the position as its code."""
        recorded, effective = entry.recorded_at.date(), entry.effective_at.date()
        if dates is Dates.EFFECTIVE:
            day = f"{effective}"
        else:
            day = f"{recorded}" if recorded == effective else f"{recorded}={effective}"
        given = entry.description or ""
        title = _write_plain(given) or entry.type
        tags = {
            "id": entry.id,
            "type": entry.type,
            "recorded": entry.recorded_at.isoformat(),
            "effective": entry.effective_at.isoformat(),
            "corrects": entry.corrects,
            "description": _quote(given) if given and given != title else None,
            "reference": _quote(entry.reference),
            "metadata": _guard(entry.metadata),
            "details": _guard(entry.details),
        }
        postings = (_write_posting(line, dates) for line in entry.lines)
        return "".join([f"{day} ({entry.position}) {title}\n", *_write_tags(tags), *postings, "\n"])

    def write_balance(self, balance: BalanceRow) -> str:
        """A transaction that moves nothing and asserts."""
        symbol = _write_symbol(balance.currency)
        nothing = write_amount(0, balance.currency, symbol)
        total = write_amount(balance.total, balance.currency, symbol)
        name = _name(balance.account_type, balance.account)
        return f"{balance.day} Stored balance\n    {name}  {nothing} = {total}\n\n"


def _write_posting(line: LineRow, dates: Dates) -> str:
    symbol = _write_symbol(line.currency)
    amount = write_amount(line.amount, line.currency, symbol)
    posting = f"    {_name(line.account_type, line.account)}  {amount}"
    if dates is Dates.RECORDED:
        return f"{posting} = {write_amount(line.running, line.currency, symbol)}\n"
    return f"{posting}\n"


def _name(type: str, account: str) -> str:
    """The first word tells hledger the type: asset, liability, equity, revenue, expense."""
    return f"{type}:{account}"


def _write_symbol(currency: Currency) -> str:
    """Letters may stand alone, digits only between quotes."""
    return currency.code if currency.code.isalpha() else f'"{currency.code}"'


def _write_plain(text: str) -> str:
    """Text on one line without what ends a description; what changed is kept in a tag."""
    return " ".join(_ENDS_DESCRIPTION.sub(" ", text).split())


def _write_tags(tags: Mapping[str, str | None]) -> Iterator[str]:
    return (f"    ; {tag}: {text}\n" for tag, text in tags.items() if text is not None)


def _quote(text: str | None) -> str | None:
    """A caller's text as a JSON string."""
    return None if text is None else _guard(json.dumps(text, ensure_ascii=False))


def _guard(text: str | None) -> str | None:
    """The same JSON, with no character in its strings that means something in a comment."""
    return None if text is None else _STRING.sub(_escape_string, text)


def _escape_string(string: re.Match[str]) -> str:
    return _MEANS_SOMETHING.sub(lambda found: f"\\u{ord(found[0]):04x}", string[0])


_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_MEANS_SOMETHING: Final = re.compile(r"[:,\[\]\x7f-\x9f\u2028\u2029]")
_ENDS_DESCRIPTION: Final = re.compile(r"[;\x00-\x1f\x7f-\x9f\u2028\u2029]")
