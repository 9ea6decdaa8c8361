"""Requests to Stripe and what came back, read as far as it is certain; one call is one request.

Source: "API errors", "Idempotent requests", "Error handling (advanced)". Invariant: each POST has
an idempotency key, and the API key stands nowhere but in a request's header.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from urllib.parse import urlencode

from catena.clock import Clock, monotonic
from catena.gateways.stripe.limits import PAGE_OBJECTS
from catena.gateways.stripe.objects import NOTHING, Object, part_of, read, text_of
from catena.outside.client import NoAnswer, NotSent, OutsideClient, Request, Response

__all__ = ["Api", "Calls", "Params", "Reply", "Told"]

Params = Mapping[str, object]
"""What a request says: texts, whole numbers, truths; objects and lists of them within."""


class Told(Enum):
    """What an answer says about what was asked."""

    DONE = auto()
    """2xx and a JSON object: this is what it is."""
    REFUSED = auto()
    """It was judged and refused; the same request would be refused again."""
    LATER = auto()
    """It was turned away unjudged: too many requests."""
    STRANGER = auto()
    """It was turned away unjudged: our API key is not in force, or may not do this."""
    UNSURE = auto()
    """It may be at work, may have broken, or its key stands for another request."""
    UNSENT = auto()
    """No byte of it has left."""


_DECLINED: Final = 402
_CREDENTIALS: Final = frozenset({401, 403})
_TOO_MANY: Final = 429
_AT_WORK: Final = frozenset({408, 409, 424, 425})
"""The key's first request is still at work (409), or somebody behind Stripe did not answer."""

_MISUSED: Final = "idempotency_error"
"""The key stands for another request, or another endpoint."""

_LOCKED: Final = "lock_timeout"
"""Somebody else had the object. It comes with 429, and what was done by then nobody says."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back of one request. `code` says why nothing did, or what Stripe said."""

    told: Told
    status: int = 0
    body: Object = field(default_factory=dict, repr=False)
    code: str = ""
    detail: str = ""
    is_replay: bool = False
    """It is the answer that was given when the key was first used, and may be out of date."""

    @property
    def is_decline(self) -> bool:
        """It was made, and the payer's bank or Stripe's own rules said no."""
        return self.status == _DECLINED

    @property
    def error(self) -> Object:
        """What a refusal says."""
        return part_of(self.body, "error")


@dataclass(frozen=True, slots=True)
class Api:
    """Where Stripe is, as whom we speak to it and in which version of its API."""

    client: OutsideClient
    clock: Clock
    base: str
    version: str
    key: str = field(repr=False)

    def begin(self, timeout_seconds: float) -> Calls:
        """Requests that take so long together, at most."""
        return Calls(self, monotonic() + timeout_seconds)

    async def send(
        self, method: str, path: str, params: Params, key: str, timeout_seconds: float
    ) -> Reply:
        """Make one request. `key`: for what is done once; empty for what only reads."""
        form = urlencode(list(_flatten(params)))
        headers = {"authorization": f"Bearer {self.key}", "stripe-version": self.version}
        url, body = f"{self.base}{path}", b""
        if method == "POST":
            body = form.encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
            headers["idempotency-key"] = key
        elif form:
            url = f"{url}?{form}"
        request = Request(method, url, body, headers, timeout_seconds)
        match await self.client.send(request):
            case NotSent(reason=reason):
                return Reply(Told.UNSENT, code=reason)
            case NoAnswer(reason=reason):
                return Reply(Told.UNSURE, code=reason)
            case Response() as response:
                return _read(response, self.key)


@dataclass(frozen=True, slots=True)
class Calls:
    """The requests of one order, which end together; `deadline` in monotonic seconds."""

    api: Api
    deadline: float

    async def post(self, path: str, params: Params, key: str) -> Reply:
        """Ask for something to be done, once for this key."""
        return await self._send("POST", path, params, key)

    async def get(self, path: str, params: Params = NOTHING) -> Reply:
        """Read."""
        return await self._send("GET", path, params, "")

    async def page(self, path: str, params: Params, after: str) -> Reply:
        """One page of a list, newest first. `after`: the id that the last page ended with."""
        more = {"starting_after": after} if after else {}
        return await self.get(path, {"limit": PAGE_OBJECTS, **params, **more})

    async def _send(self, method: str, path: str, params: Params, key: str) -> Reply:
        left = self.deadline - monotonic()
        if left <= 0:
            return Reply(Told.UNSENT, code="timeout")
        return await self.api.send(method, path, params, key, left)


def _flatten(params: Params, within: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts as Stripe's forms have them: `a[b]=c`, `a[]=b`."""
    for name, value in params.items():
        whole = f"{within}[{name}]" if within else name
        match value:
            case Mapping():
                yield from _flatten(value, whole)
            case bool():
                yield whole, "true" if value else "false"
            case str() | int():
                yield whole, str(value)
            case Sequence():
                yield from ((f"{whole}[]", str(one)) for one in value)
            case _:
                raise TypeError(f"{whole} is no text, number, truth, object or list.")


def _read(response: Response, key: str) -> Reply:
    """What an answer says. Its own words are left out where they might repeat our key."""
    body = read(response.body)
    error = part_of(body, "error")
    told = _judge(response, error, is_object=bool(body))
    code = "" if told is Told.DONE else text_of(error, "code") or _name(response.status, error)
    is_secret = told is Told.STRANGER or key.encode() in response.body
    detail = "" if is_secret else text_of(error, "message")
    is_replay = response.headers.get("idempotent-replayed") == "true"
    return Reply(told, response.status, body, code, detail, is_replay)


def _name(status: int, error: Object) -> str:
    """A code for an answer that has none."""
    if 200 <= status < 300:  # noqa: PLR2004  # success
        return "answer_unreadable"
    return _MISUSED if text_of(error, "type") == _MISUSED else f"http_{status}"


def _judge(response: Response, error: Object, *, is_object: bool) -> Told:
    """What a status means. `Stripe-Should-Retry` says that the same request may yet do better."""
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004  # success
        return Told.DONE if is_object else Told.UNSURE
    if status == _TOO_MANY:
        return Told.UNSURE if text_of(error, "code") == _LOCKED else Told.LATER
    if status in _CREDENTIALS:
        return Told.STRANGER
    asks_again = response.headers.get("stripe-should-retry") == "true"
    is_open = asks_again or status in _AT_WORK or text_of(error, "type") == _MISUSED
    return Told.REFUSED if 400 <= status < 500 and not is_open else Told.UNSURE  # noqa: PLR2004
