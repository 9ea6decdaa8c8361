"""The sandbox's books: every thing, found by id and by key, and every effect that there was.

Invariant: an effect is entered when money really moves, never before, and is never changed. Ids of
effects and events count up, so that they sort as they came.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from catena.money import Rounding, round_ratio
from catena.sandbox.refusals import Refusal
from catena.sandbox.store import Store
from catena.sandbox.things import (
    Cancellation,
    Capture,
    Charge,
    Destination,
    Dispute,
    Effect,
    Method,
    Payout,
    Refund,
    Status,
    Thing,
)

__all__ = ["EFFECTS", "KINDS", "Books", "Fee", "Move"]

KINDS: Final[dict[str, type[Thing]]] = {
    "charge": Charge,
    "capture": Capture,
    "cancellation": Cancellation,
    "refund": Refund,
    "payout": Payout,
    "dispute": Dispute,
}
"""By the word that it is tagged with."""


class Fee(NamedTuple):
    """What the sandbox takes: a share in basis points, halves up, and minor units."""

    basis_points: int = 0
    flat: int = 0

    def of(self, amount: int) -> int:
        """The fee for so much, in minor units."""
        return round_ratio(amount * self.basis_points, 10_000, Rounding.HALF_UP) + self.flat


class Move(NamedTuple):
    """What a change of status moves. `sign`: of the amount. `apart`: the fee is a line of its own.

    `meaning`: what the statement's line says.
    """

    type: str
    sign: int
    meaning: str
    fee: Fee = Fee()
    apart: bool = False


_CARD_FEE: Final = Fee(basis_points=140, flat=25)

EFFECTS: Final[dict[tuple[str, Status], Move]] = {
    ("charge", Status.AUTHORISED): Move("authorisation", 0, "Set aside; no money moves."),
    ("charge", Status.APPROVED): Move("charge", 1, "A payer paid.", _CARD_FEE),
    ("capture", Status.APPROVED): Move("capture", 1, "What was set aside was taken.", _CARD_FEE),
    ("refund", Status.APPROVED): Move("refund", -1, "A payer got it back."),
    ("refund", Status.FAILED): Move("refund_returned", 1, "A refund came back."),
    ("payout", Status.APPROVED): Move("payout", -1, "It was paid out.", Fee(flat=20)),
    ("payout", Status.FAILED): Move("payout_returned", 1, "A payout came back."),
    ("dispute", Status.OPENED): Move(
        "dispute", -1, "A payer's bank took it back.", Fee(flat=1_500), apart=True
    ),
    ("dispute", Status.WON): Move("dispute_returned", 1, "A dispute was won."),
}
"""By kind and what became of it: what the statement says then. `fee` is a line, too: that of a
dispute, with an amount of its own."""

Sought = TypeVar("Sought", bound=Thing)


class Books:
    """Everything that the sandbox knows of money."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._things: dict[str, Thing] = {}
        self._by_key: dict[tuple[str, str], list[Thing]] = defaultdict(list)
        self._by_kind: dict[str, list[Thing]] = defaultdict(list)
        self.effects: list[Effect] = []
        for kind, type in KINDS.items():
            for thing in store.read(kind, type):
                self._enter(thing)
        self.effects.extend(store.read("effect", Effect))

    def _enter(self, thing: Thing) -> None:
        self._things[thing.id] = thing
        self._by_kind[thing.kind].append(thing)
        if thing.key is not None:
            self._by_key[thing.kind, thing.key].append(thing)

    def keep(self, thing: Thing) -> None:
        """Keep a thing that is new, or has changed."""
        if thing.id not in self._things:
            self._enter(thing)
        self._store.keep(thing.kind, thing.id, thing)

    def __iter__(self) -> Iterator[Thing]:
        return iter(self._things.values())

    def find(self, type: type[Sought], id: str) -> Sought:
        """The thing with this id. Raises Refusal."""
        found = self._things.get(id)
        if not isinstance(found, type):
            raise Refusal("not_found")
        return found

    def list(self, kind: str, *, key: str | None, about: str | None) -> Sequence[Thing]:
        """Those of a kind, with this key, about this charge or payout; in the order they came."""
        found = self._by_kind[kind] if key is None else self._by_key.get((kind, key), [])
        return found if about is None else [thing for thing in found if thing.about == about]

    def means_of(self, thing: Thing) -> Method | Destination:
        """How the thing, or the charge or payout behind it, is paid."""
        behind = self._things[thing.about] if thing.about else thing
        if isinstance(behind, Charge):
            return behind.method
        assert isinstance(behind, Payout)  # noqa: S101  # all others are about one of these
        return behind.destination

    def book(self, thing: Thing, at: dt.datetime) -> None:
        """Enter what the thing's new status moves, if it moves anything."""
        move = EFFECTS.get((thing.kind, thing.status))
        if move is None:
            return
        fee = move.fee.of(thing.amount)
        self._add(thing, at, move.type, move.sign * thing.amount, 0 if move.apart else fee)
        if move.apart and fee:
            self._add(thing, at, "fee", -fee, 0)

    def _add(self, thing: Thing, at: dt.datetime, type: str, amount: int, fee: int) -> None:
        effect = Effect(
            id=f"eff_{len(self.effects) + 1:012d}",
            type=type,
            key=thing.key,
            reference=thing.id,
            about=thing.about,
            amount=amount,
            fee=fee,
            currency=thing.currency,
            at=at,
        )
        self.effects.append(effect)
        self._store.keep("effect", effect.id, effect)

    def read_statement(
        self, since: dt.datetime | None, until: dt.datetime | None, after: str | None, limit: int
    ) -> Sequence[Effect]:
        """What moved money from `since` until just before `until`, behind the line `after`."""
        start = bisect.bisect_left(self.effects, since, key=_at) if since else 0
        end = bisect.bisect_left(self.effects, until, key=_at) if until else len(self.effects)
        if after is not None:
            start = max(start, bisect.bisect_right(self.effects, after, key=_id))
        moving = (effect for effect in self.effects[start:end] if effect.amount)
        return [effect for effect, _ in zip(moving, range(limit), strict=False)]

    def count_effects(self, key: str | None) -> dict[str, dict[str, int]]:
        """How often what was really done, by key; of one key or of all."""
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        for effect in self.effects:
            if effect.key is not None and key in (None, effect.key):
                counted[effect.key][effect.type] += 1
        return {name: dict(counts) for name, counts in counted.items()}


def _at(effect: Effect) -> dt.datetime:
    return effect.at


def _id(effect: Effect) -> str:
    return effect.id
