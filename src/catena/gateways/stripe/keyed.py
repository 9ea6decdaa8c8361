"""What Stripe does once for each key, and how it is found out what became of a key.

Stripe forgets a key after a day ("Idempotent requests"), and has no look-up by key: what a key has
made bears it in its metadata, and lists show it at once. Invariant: under a key that may be
forgotten nothing is sent before a whole list has shown that the key has made nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final, NamedTuple

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import Act, Order
from catena.gateways.stripe.amounts import Unrepresentable
from catena.gateways.stripe.api import Api, Calls, Params, Reply, Told
from catena.gateways.stripe.limits import KEY_AGE_MAX, PAGES_LATE, PAGES_SOON
from catena.gateways.stripe.objects import NOTHING, Object, part_of, text_of

__all__ = [
    "KEY",
    "UNJUDGED",
    "Extent",
    "Found",
    "Keyed",
    "Post",
    "Unsendable",
    "label",
    "put_off",
    "refuse",
    "seek",
    "unknown",
]

KEY: Final = "catena_key"
"""The name in metadata under which an object bears the key that made it."""

UNJUDGED: Final = frozenset({Told.LATER, Told.STRANGER, Told.UNSENT})
"""Nothing was done by this request."""


class Unsendable(Exception):
    """Stripe cannot be asked for this. `code` is stable, `detail` a sentence."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code, self.detail = code, detail


class Post(NamedTuple):
    """A request that does something."""

    path: str
    params: Params


class Extent(Enum):
    """How far a search came."""

    WHOLE = auto()
    """Everything was seen."""
    TOO_LONG = auto()
    """There is more than may be looked through."""
    BROKEN = auto()
    """What was asked for did not come."""


class Found(NamedTuple):
    """What a key has made, where it was found. Only of a whole search nothing means nothing."""

    object: Object = NOTHING
    extent: Extent = Extent.WHOLE


class Keyed(NamedTuple):
    """Something that is done once for each key.

    `name` ends the idempotency key, since a key stands for one endpoint. `kind` and `path` are
    those of the object that it makes or changes, `expand` what it is read with. `form` raises
    Unsendable or Unrepresentable. `find` seeks what the key has made or changed, in so many pages
    at most; `judge` says what an object, as it is now, means for an order.
    """

    name: str
    kind: str
    path: str
    expand: tuple[str, ...]
    form: Callable[[Order], Post]
    find: Callable[[Calls, Order, int], Awaitable[Found]]
    judge: Callable[[Calls, Order, Object], Awaitable[Answer]]

    def acting(self, api: Api) -> Act:
        """Does it."""

        async def act(order: Order) -> Answer:
            try:
                post = self.form(order)
            except (Unsendable, Unrepresentable) as refused:
                return refuse(refused)
            calls = api.begin(order.timeout_seconds)
            if not _is_remembered(api, order):
                found = await self.find(calls, order, PAGES_LATE)
                if found.object:
                    return await self._judge(calls, order, found.object)
                if found.extent is not Extent.WHOLE:
                    return _SOUGHT_IN_VAIN
            reply = await self._send(calls, order, post)
            return await self._read(calls, order, reply, is_past=order.repeats)

        return act

    def looking_up(self, api: Api) -> Act:
        """Asks what has become of it. What is found answers, as it stands now.

        A list does not show what is still at work. So where nothing is found of an order that was
        sent, the very same request is sent again, while Stripe remembers its key: it is answered
        as the first one was, or told that that one is at work, or is the first one to come. A
        refusal is of the call, then, even one for now.
        """

        async def look_up(order: Order) -> Answer:
            answer = await ask(order)
            return answer._replace(of_the_call=answer.outcome is Outcome.DECLINED)

        async def ask(order: Order) -> Answer:
            calls, remembered = api.begin(order.timeout_seconds), _is_remembered(api, order)
            pages = PAGES_SOON if remembered else PAGES_LATE
            found = await self.find(calls, order, pages)
            if found.object:
                return await self._judge(calls, order, found.object)
            try:
                post = self.form(order)
            except (Unsendable, Unrepresentable) as refused:
                return refuse(refused) if found.extent is Extent.WHOLE else _SOUGHT_IN_VAIN
            if remembered and (order.repeats or found.extent is Extent.TOO_LONG):
                reply = await self._send(calls, order, post)
                return await self._read(calls, order, reply, is_past=True)
            whole = found.extent is Extent.WHOLE
            return Answer(Outcome.NOT_FOUND) if whole else _SOUGHT_IN_VAIN

        return look_up

    async def _send(self, calls: Calls, order: Order, post: Post) -> Reply:
        return await calls.post(post.path, post.params, f"{order.key}:{self.name}")

    async def _read(self, calls: Calls, order: Order, reply: Reply, *, is_past: bool) -> Answer:
        """What an answer means. `is_past`: it may be a replay, and what it shows has moved on."""
        made = reply.body if reply.told is Told.DONE else part_of(reply.error, self.kind)
        if made:
            if is_past or reply.is_replay:
                made = await self._read_anew(calls, made)
            return await self._judge(calls, order, made) if made else unknown("not_read_anew")
        if reply.told is not Told.REFUSED:
            is_certain = reply.told in UNJUDGED and not is_past
            return put_off(reply) if is_certain else unknown(reply.code, reply.detail)
        if reply.is_decline:  # what it has left behind could still take money
            found = await self.find(calls, order, PAGES_SOON)
            if found.object:
                return await self._judge(calls, order, found.object)
            if found.extent is not Extent.WHOLE:
                return _SOUGHT_IN_VAIN
        return Answer(Outcome.DECLINED, {}, reply.code, reply.detail)

    async def _read_anew(self, calls: Calls, made: Object) -> Object:
        id = text_of(made, "id")
        reply = await calls.get(f"{self.path}/{id}", {"expand": self.expand})
        return reply.body if id and reply.told is Told.DONE else NOTHING

    async def _judge(self, calls: Calls, order: Order, made: Object) -> Answer:
        if made.get("object") != self.kind or not text_of(made, "id"):
            return unknown("answer_unreadable")
        try:
            return await self.judge(calls, order, made)
        except Unrepresentable as error:
            return unknown(error.reason)


def label(order: Order, key: str = KEY) -> Params:
    """The metadata by which what an order makes is found again."""
    return {key: order.key}


def unknown(code: str, detail: str = "") -> Answer:
    """It may or may not have been done."""
    return Answer(Outcome.UNKNOWN, {}, code, detail)


async def seek(calls: Calls, path: str, params: Params, key: str, pages: int) -> Found:
    """The newest object of a list that bears this key, in so many pages at most."""
    after = ""
    for _ in range(pages):
        reply = await calls.page(path, params, after)
        items = reply.body.get("data")
        if reply.told is not Told.DONE or not isinstance(items, list):
            return _BROKEN
        for item in items:
            if not isinstance(item, dict):
                return _BROKEN
            if text_of(part_of(item, "metadata"), KEY) == key:
                return Found(item)
        if reply.body.get("has_more") is False:
            return Found()
        last = text_of(items[-1], "id") if items else ""
        if last in ("", after):
            return _BROKEN
        after = last
    return Found(extent=Extent.TOO_LONG)


_BROKEN: Final = Found(extent=Extent.BROKEN)
_SOUGHT_IN_VAIN: Final = unknown("search_incomplete")


def _is_remembered(api: Api, order: Order) -> bool:
    """Whether Stripe certainly still knows what this key has done, if it was sent."""
    return api.clock() - order.first_at < KEY_AGE_MAX


def refuse(refused: Unsendable | Unrepresentable) -> Answer:
    """It was never sent, and never will be."""
    if isinstance(refused, Unrepresentable):
        return Answer(Outcome.DECLINED, {}, refused.reason)
    return Answer(Outcome.DECLINED, {}, refused.code, refused.detail)


def put_off(reply: Reply) -> Answer:
    """Nothing was done, and it may be tried again. Our own credentials are no word on a payment."""
    code = "credentials_refused" if reply.told is Told.STRANGER else reply.code
    return Answer(Outcome.DECLINED, {}, code, reply.detail, permanent=False)
