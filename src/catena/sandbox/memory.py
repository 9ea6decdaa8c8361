"""What the sandbox remembers of Idempotency-Keys: the first answer, for a while.

Invariant: a key that is remembered acts no more. One whose first request is still at work, or is
sent with another body, is refused. After `forget_seconds` of the sandbox's clock it is a new key.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter

from msgspec import Raw, Struct

from catena.sandbox.magic import Wire
from catena.sandbox.refusals import Refusal
from catena.sandbox.store import Store

__all__ = ["Memory", "Remembered"]


class Remembered(Struct, frozen=True, kw_only=True):
    """An answer that was given. `request`: a digest of what it answered."""

    key: str
    request: str
    status: int
    body: Raw
    at: dt.datetime


class Memory:
    """Keys, in the order in which they were first used, and tries of requests that go wrong."""

    def __init__(self, store: Store, forget_seconds: float) -> None:
        self._store = store
        self._lasts = dt.timedelta(seconds=forget_seconds)
        kept = sorted(store.read("key", Remembered), key=lambda one: one.at)
        self._answers = {one.key: one for one in kept}
        self._at_work: set[str] = set()
        self._tries: Counter[str] = Counter()

    def find(self, key: str, request: str, now: dt.datetime) -> Remembered | None:
        """The answer that was given to this key. Raises Refusal."""
        self._forget(now)
        if key in self._at_work:
            raise Refusal("idempotency_key_in_use")
        found = self._answers.get(key)
        if found is not None and found.request != request:
            raise Refusal("idempotency_key_reused")
        return found

    def remember(self, key: str, request: str, status: int, body: bytes, now: dt.datetime) -> None:
        """Give this answer from now on."""
        answer = Remembered(key=key, request=request, status=status, body=Raw(body), at=now)
        self._answers[key] = answer
        self._store.keep("key", key, answer)

    def begin(self, key: str) -> None:
        """A request with this key is at work for longer than a moment."""
        self._at_work.add(key)

    def end(self, key: str) -> None:
        """It no longer is."""
        self._at_work.discard(key)

    def goes_wrong(self, request: str, wire: Wire) -> bool:
        """Whether this try goes as the wire has it; after the last that does, tries count anew.

        Tries are counted by what is asked, not by key: whoever is told to come later may come with
        another key.
        """
        self._tries[request] += 1
        if wire.times is None or self._tries[request] <= wire.times:
            return True
        del self._tries[request]
        return False

    def _forget(self, now: dt.datetime) -> None:
        while self._answers:
            oldest = next(iter(self._answers.values()))
            if oldest.at + self._lasts > now:
                return
            del self._answers[oldest.key]
            self._store.keep("key", oldest.key, None)
