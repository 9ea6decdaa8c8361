"""The histories of chains as the API shows them: each commit's events, in its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from catena.api.views import Moment, settle
from catena.chains.history import Event, Record
from catena.ids import ENTRY, id_beside

__all__ = ["TransitionView", "list_transitions"]


class TransitionView(Struct, frozen=True, omit_defaults=True):
    """One event of a chain's history."""

    number: Annotated[int, Meta(description="Gapless within the chain, from 1.")]
    at: Moment
    event: Annotated[str, Meta(description="The state that was reached, or what happened.")]
    step: Annotated[str | None, Meta(description="Left out: it is the chain's own.")] = None
    by: Annotated[str | None, Meta(description="The key that asked for it.")] = None
    reason: str | None = None
    data: Annotated[Any, Meta(description="What else the event says.")] = None


def list_transitions(record: Record) -> Iterator[TransitionView]:
    """The events of one commit as the API shows them."""
    for number, event in enumerate(record.events, record.first):
        data = dict(_tell(event, record))
        yield TransitionView(
            number,
            record.at,
            event.to,
            event.step or None,
            event.data.get("by"),
            event.data.get("why") or None,
            settle(data) if data else None,
        )


_UNTOLD: Final = frozenset({"by", "why"})
_RENAMED: Final = {
    "lien": "lien_id",
    "account": "account_id",
    "seq": "commit_seq",
    "timeout": "timeout_seconds",
}


def _tell(event: Event, record: Record) -> Iterator[tuple[str, Any]]:
    """What else an event says, in the API's words."""
    for name, value in event.data.items():
        if name in _UNTOLD:
            continue
        if name == "entry":
            assert record.id is not None  # noqa: S101  # it is committed
            yield "entry_id", id_beside(ENTRY, record.id, value)
        elif name == "draws":
            yield name, [{"lien_id": lien, "amount": amount} for lien, amount in value]
        elif name == "liens":
            yield name, [_tell_lien(row) for row in value]
        elif name == "steps":
            yield name, [_tell_step(row) for row in value]
        else:
            yield _RENAMED.get(name, name), value


def _tell_lien(row: Sequence[Any]) -> Mapping[str, Any]:
    id, account, kind, amount, seconds = row
    told = {"lien_id": id, "account_id": account, "kind": kind, "amount": amount}
    return told if seconds is None else {**told, "expires_seconds": seconds}


def _tell_step(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A step as it was declared."""
    told = {_RENAMED.get(name, name): value for name, value in row.items()}
    needs = told.pop("needs", ())
    told["depends_on"] = [
        need if isinstance(need, Mapping) else {"step": need, "phase": "completed"}
        for need in needs
    ]
    if "retry" in told:
        told["retry"] = {_SECONDS.get(name, name): value for name, value in row["retry"].items()}
    if told.pop("goes_on", False):
        told["on_timeout"] = "continue"
    return told


_SECONDS: Final = {"first": "first_seconds", "cap": "cap_seconds"}
