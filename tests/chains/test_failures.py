"""The page of codes that say why a step failed."""

from __future__ import annotations

from catena.chains.failures import FAILURES, render_failures


def test_the_page_has_every_code_with_its_meaning() -> None:
    """Once, under its title."""
    page = render_failures()
    for title, codes in FAILURES.items():
        assert page.count(f"## {title}\n") == 1
        for code, meaning in codes.items():
            assert page.count(f"| `{code}` | {meaning} |\n") == 1
