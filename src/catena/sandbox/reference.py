"""The page docs/reference/sandbox.md, drawn from the tables that the sandbox goes by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from catena.sandbox.acts import ACTS
from catena.sandbox.books import EFFECTS, Fee
from catena.sandbox.courier import PAUSES_SECONDS
from catena.sandbox.magic import (
    ACCOUNTS,
    MANNERS,
    REASONS,
    TOKENS,
    WIRES,
    Magic,
    Manner,
    Wire,
)
from catena.sandbox.refusals import REFUSALS
from catena.sandbox.routes import READS, ROUTES
from catena.sandbox.world import FORGET_SECONDS

__all__ = ["render_sandbox"]

_OPENING: Final = """\
# The sandbox gateway

`catena sandbox` is a payment gateway to play with: a process of its own, with an API of its own,
where no money moves. `catena up` starts one beside the service; your own tests can start theirs:

    catena sandbox --port 0 --stopped --json --webhook http://127.0.0.1:9000/hooks

It says in one line where it listens, its key and what signs its webhooks. With `--data-dir` its
state survives restarts and kills; without, all is forgotten at the end. `GET /` says what it is,
and `GET /reference` is this page; neither needs the key.

* Callers send `Authorization: Bearer` and its key. Amounts are whole minor units.
* Acts of money need an `Idempotency-Key`. Within {hours} hours of its clock the same key with the
  same body is answered as before (`Idempotent-Replayed: true`), with another body refused (400),
  and while the first request is at work refused for now (409). After that the key is a new one,
  as with real gateways: look up before you repeat something old. What is malformed, unknown or
  answered 429 or 500 is not remembered.
* What it does takes time by a clock of its own, which goes as the real one until it is set on, or
  stopped. `POST /v1/clock/advance` is answered when all that was due is done.
* What happens is told by signed webhooks ([Standard Webhooks](https://www.standardwebhooks.com)),
  each tried again until it is answered with a 2xx, after {pauses} seconds.
"""
_ASKING: Final = """\
`method` of a charge: `{"type": "card", "token": TOKEN}`; `destination` of a payout: `{"type":
"bank", "account": ACCOUNT, "holder": NAME}`. Either can have `webhooks`, how its events are sent,
and `wires`, how requests about it are answered, by act: `{"refund": "timeout_after"}`.
"""
_ERRORS: Final = """\
One shape: `{"error": {"type", "code", "message", "permanent"}}`. A decline is a 402 of the type
`declined`, and has the `thing` that came of it.
"""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines] + [""]


def _describe_fee(fee: Fee, *, apart: bool) -> str:
    share = f"{fee.basis_points / 100:g} %" if fee.basis_points else ""
    parts = " and ".join(filter(None, (share, str(fee.flat) if fee.flat else "")))
    return f"{parts}, a line of its own" if apart else parts


def _list_paths() -> list[str]:
    bodies = {path: act.body.__struct_fields__ for path, act in ACTS.items()}
    acts = [
        (f"`POST {path}`", ", ".join(f"`{name}`" for name in names))
        for path, names in bodies.items()
    ]
    rest = [
        (f"`{method} {path}`", meaning)
        for (method, path), (meaning, _) in (*READS.items(), *ROUTES.items())
    ]
    return [
        *("## Acts of money", ""),
        *_table(("path", "its body"), acts),
        *("## The rest", ""),
        *_table(("path", "what it does"), rest),
    ]


def _list_magic() -> list[str]:
    tables: Mapping[tuple[str, str], Mapping[str, Magic | Manner | Wire]] = {
        ("token", "what a charge comes to"): TOKENS,
        ("account", "what a payout comes to"): ACCOUNTS,
        ("webhooks", "how events are sent"): MANNERS,
        ("wire", "how a request is answered"): WIRES,
    }
    lines = ["## Magic values", "", _ASKING]
    for head, table in tables.items():
        lines += _table(head, [(_quote(name), what.meaning) for name, what in table.items()])
    return lines


def _list_moves() -> list[str]:
    moves = [
        (f"`{move.type}`", move.meaning, _describe_fee(move.fee, apart=move.apart))
        for move in EFFECTS.values()
        if move.sign
    ]
    return ["## The statement", "", *_table(("line", "why", "fee, in minor units"), moves)]


def _list_errors() -> list[str]:
    refusals = [
        (f"`{code}`", int(kind.status), f"`{kind.type}`", _say(kind.permanent), kind.message)
        for code, kind in REFUSALS.items()
    ]
    declines = [
        (f"`{code}`", title, _say(reason.permanent), reason.message)
        for title, reasons in REASONS.items()
        for code, reason in reasons.items()
    ]
    return [
        *("## Errors", "", _ERRORS),
        *_table(("code", "status", "type", "permanent", "meaning"), refusals),
        *_table(("decline", "about", "permanent", "meaning"), declines),
    ]


def render_sandbox() -> str:
    """The page docs/reference/sandbox.md."""
    pauses = ", ".join(map(str, PAUSES_SECONDS))
    opening = _OPENING.format(hours=round(FORGET_SECONDS / 3_600), pauses=pauses)
    return "\n".join([opening, *_list_paths(), *_list_magic(), *_list_moves(), *_list_errors()])


def _quote(name: str) -> str:
    return f"`{name}`" if name else "left out"


def _say(lasts: bool) -> str:  # noqa: FBT001  # a cell of a table
    return "yes" if lasts else "no"
