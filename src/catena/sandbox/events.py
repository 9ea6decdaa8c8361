"""Says what has happened: one event for each change of status, sent as the magic manner has it.

Invariant: an event's `data` is the thing as it was at that moment. What is sent, and when, is
decided here; sending it is the courier's.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from catena.ids import IdSource
from catena.sandbox.clock import Agenda
from catena.sandbox.courier import Courier
from catena.sandbox.magic import Manner, find_manner
from catena.sandbox.refusals import Refusal
from catena.sandbox.store import Store
from catena.sandbox.things import Delivery, Destination, Event, Method, Status, Thing

__all__ = ["Announcer"]

_JSON: Final = msgspec.json.Encoder()
_UNDECIDED: Final = frozenset({Status.PENDING, Status.ACTION_NEEDED})


class Announcer:
    """Every event that there was, and how it was sent."""

    def __init__(self, store: Store, agenda: Agenda, courier: Courier, ids: IdSource) -> None:
        self._store = store
        self._agenda = agenda
        self._courier = courier
        self._ids = ids
        self._events = {event.id: event for event in store.read("event", Event)}
        self._of_event: dict[str, list[Delivery]] = defaultdict(list)
        self._of_thing: dict[str, list[Event]] = defaultdict(list)
        for event in self._events.values():
            self._of_thing[msgspec.json.decode(event.data)["id"]].append(event)
        for delivery in store.read("delivery", Delivery):
            self._of_event[delivery.event].append(delivery)

    def resume(self) -> None:
        """Send what was waiting before a restart."""
        for deliveries in self._of_event.values():
            for delivery in deliveries:
                if delivery.status == "waiting":
                    self._schedule(delivery, self._events[delivery.event])

    def announce(
        self, thing: Thing, means: Method | Destination, now: dt.datetime, *, is_new: bool
    ) -> None:
        """Say how the thing stands. `is_new`: nothing was said of it before."""
        manner = find_manner(means)
        undecided = thing.status in _UNDECIDED
        after = manner.stale_after if undecided else 0
        self._send(self._form(thing, now), manner, now, after)
        if manner.stale_after and is_new and not undecided:
            before = msgspec.structs.replace(thing, status=Status.PENDING, reason=None, plan=[])
            self._send(self._form(before, now), manner, now, manner.stale_after)

    def list(self, about: str | None, after: str | None, limit: int) -> Sequence[Event]:
        """Those about a thing, or all, behind the one that is named."""
        found: Iterable[Event] = self._events.values() if about is None else self._of_thing[about]
        behind = (event for event in found if after is None or event.id > after)
        return [event for event, _ in zip(behind, range(limit), strict=False)]

    def deliveries(self, event: Event) -> Sequence[Delivery]:
        """How it was sent, and to whom."""
        return self._of_event[event.id]

    def send_again(self, id: str, now: dt.datetime) -> Event:
        """Send an event once more, wherever events go now. Raises Refusal."""
        if id not in self._events:
            raise Refusal("not_found")
        event = self._events[id]
        self._send(event, Manner(""), now, 0)
        return event

    def _form(self, thing: Thing, now: dt.datetime) -> Event:
        event = Event(
            id=self._ids("evt_"),
            type=f"{thing.kind}.{thing.status}",
            created=now,
            data=msgspec.Raw(_JSON.encode(thing)),
        )
        self._events[event.id] = event
        self._of_thing[thing.id].append(event)
        self._store.keep("event", event.id, event)
        return event

    def _send(self, event: Event, manner: Manner, now: dt.datetime, after: int) -> None:
        due = now + dt.timedelta(seconds=manner.after + after)
        for endpoint in self._courier.endpoints:
            for disguise in (*manner.disguises, *[""] * manner.copies):
                delivery = Delivery(
                    id=self._ids("dlv_"),
                    event=event.id,
                    endpoint=endpoint,
                    due=due,
                    disguise=disguise,
                )
                self._of_event[event.id].append(delivery)
                self._store.keep("delivery", delivery.id, delivery)
                if due <= now:
                    self._courier.send(delivery, event)
                else:
                    self._schedule(delivery, event)

    def _schedule(self, delivery: Delivery, event: Event) -> None:
        self._agenda.add(delivery.due, lambda _: self._courier.send(delivery, event))
