"""Whatever callers write as text, the programs read the journal as it was meant."""

from __future__ import annotations

import datetime as dt
import json
import random
import unicodedata
from pathlib import Path

import pytest

from catena.db.export import Dates
from catena.db.export.beancount import BeancountStyle
from catena.db.export.hledger import HledgerStyle
from catena.db.export.rows import AccountRow, BalanceRow, EntryRow, LineRow, Style
from catena.money import iso_currency
from tests.books import NASTY_TEXTS
from tests.oracles.books import run_bean_check, run_hledger

USD = iso_currency("USD")
NOON = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)
PIECES = [
    *(chr(code) for code in range(1, 0xA1)),
    *(chr(code) for code in range(0x2000, 0x2070) if unicodedata.category(chr(code)) != "Cn"),
    *("\ufeff", "\ufffe", "\U0001f9fe", "\U0010ffff", "e\u0301"),
    *("date:2020-01-01", "[2020-01-01]", "\n2026-01-01 open", "\n    asset:x  1 USD", "include /"),
]


def draw_texts() -> list[str]:
    """Every piece by itself, all nasty texts, and pieces put together at random."""
    pick = random.Random(11)
    mixed = ["".join(pick.choices(PIECES, k=pick.randrange(1, 30))) for _ in range(300)]
    return [*dict.fromkeys([*PIECES, *NASTY_TEXTS, *mixed])]


def write_journal(style: Style, texts: list[str]) -> str:
    """An entry of one cent for each text, which stands everywhere in it."""
    parts = [style.write_head(texts[0], [USD])]
    for type, id in (("asset", "acct_a"), ("liability", "acct_b")):
        row = AccountRow(id, type, USD, NOON.date(), None, texts[1], texts[-1])
        parts.append(style.write_account(row))
    for number, text in enumerate(texts, 1):
        metadata = json.dumps({text: [text]}, ensure_ascii=False)
        lines = [
            LineRow("acct_a", "asset", 1, number, USD),
            LineRow("acct_b", "liability", -1, -number, USD),
        ]
        entry = EntryRow(
            *(f"ent_{number}", number, "transfer", NOON, NOON, text, text, metadata, None, None),
            lines,
        )
        parts.append(style.write_entry(entry, Dates.RECORDED))
    parts += [
        style.write_balance(BalanceRow("acct_a", "asset", NOON.date(), len(texts), USD)),
        style.write_balance(BalanceRow("acct_b", "liability", NOON.date(), -len(texts), USD)),
    ]
    return "".join(parts)


@pytest.mark.oracle("hledger")
def test_hledger_reads_texts_back() -> None:
    """Every text is read back from its tag, and none has become a date, a tag or a directive."""
    texts = draw_texts()
    journal = write_journal(HledgerStyle(), texts)
    checked = run_hledger(journal, "check", "--strict")
    assert (checked.returncode, checked.stderr) == (0, "")
    references = run_hledger(journal, "tags", "--values", "^reference$").stdout.splitlines()
    assert sorted(json.loads(reference) for reference in references) == sorted(texts)
    dates = run_hledger(journal, "print", "--end", "2026-03-04")
    assert (dates.returncode, dates.stdout) == (0, "")
    register = run_hledger(journal, "register", "asset", "--output-format", "csv").stdout
    assert register.count('"asset:acct_a","0.01 USD"') == len(texts)


@pytest.mark.oracle("bean-check")
def test_beancount_reads_texts(tmp_path: Path) -> None:
    """Every text is a string; one cent moved for each of them, and nothing else."""
    journal = write_journal(BeancountStyle(), draw_texts())
    checked = run_bean_check(journal, tmp_path)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
