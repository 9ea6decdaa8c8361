"""Draws docs/reference/errors.md from the codes themselves, and openapi.json from the routes."""

from __future__ import annotations

from collections.abc import Iterable

from catena.api.documentation import list_codes, render_openapi
from catena.api.http import ROUTES
from catena.api.problems import status_of
from catena.chains.refusals import ChainRefusal
from catena.errors import SetupError
from catena.ledger.refusals import RefusalCode

__all__ = ["render_document", "render_errors"]

_OPENING = """\
# Errors

Over HTTP each is a problem document (RFC 9457). Programs look at its `code`, which never changes;
`detail` is for people. Nothing that was sent is repeated in it.

## Before anything ran

Nothing is written, and nothing is remembered of the Idempotency-Key. Retryable: the same request
with the same key may succeed later.
"""
_REFUSALS = """\
## Refusals of the ledger

The request was understood, and the books say no. When several apply, the first in this order is
the answer. It is the answer of its Idempotency-Key for good: mend the cause, then send a new key.
"""
_CHAINS = """\
## Refusals of chains

The chain, as it stands, cannot be told this. It is the answer of its Idempotency-Key for good.
"""
_COMMANDS = """\
## Of commands

These end a command with one sentence and exit code 2.
"""


def render_errors() -> str:
    """The page docs/reference/errors.md."""
    codes = list_codes()
    refusals = [refusal.code for refusal in RefusalCode]
    chains = [refusal.code for refusal in ChainRefusal]
    ending: list[type[SetupError]] = [SetupError, *SetupError.__subclasses__()]
    setup = [error.code for error in ending]
    errors = [code for code in codes if code not in {*refusals, *chains, *setup}]
    return "\n".join(
        [
            _OPENING,
            _table("code", "title", "HTTP status", "retryable", "what to do"),
            *(
                _row(f"`{code}`", f"{title}.", status_of(code), "yes" if again else "no", remedy)
                for code in errors
                for title, remedy, again in [codes[code]]
            ),
            "",
            _REFUSALS,
            _table("code", "title", "HTTP status", "retryable", "what to do"),
            *(
                _row(f"`{code}`", f"{codes[code][0]}.", status_of(code), "no", codes[code][1])
                for code in refusals
            ),
            "",
            _CHAINS,
            _table("code", "title", "HTTP status", "retryable", "what to do"),
            *(
                _row(f"`{code}`", f"{codes[code][0]}.", status_of(code), "no", codes[code][1])
                for code in chains
            ),
            "",
            _COMMANDS,
            _table("code", "title", "what to do"),
            *(_row(f"`{code}`", f"{codes[code][0]}.", codes[code][1]) for code in setup),
            "",
        ]
    )


def render_document() -> str:
    """docs/reference/openapi.json, as a service serves it at /openapi.json."""
    return render_openapi(ROUTES)


def _table(*columns: str) -> str:
    return "\n".join([_row(*columns), _row(*("---" for _ in columns))])


def _row(*cells: object) -> str:
    return f"| {' | '.join(_cells(cells))} |"


def _cells(cells: Iterable[object]) -> Iterable[str]:
    return (str(cell).replace("|", "\\|") for cell in cells)
