"""A program: stands where Stripe would, answers what it is told to, and loses what it is told to.

What no rule is for goes on to `--upstream`, once for each idempotency key, as at Stripe. Under
`/_/` it is told rules and asked what it has heard. Invariant: it binds loopback alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import ClientSession, web

__all__: list[str] = []

_KEPT = "idempotency-key"
_SAVED = {200, 402, 500}
"""What Stripe saves of what it has begun: successes, declines and its own failures."""

_IN_USE = (
    "There is currently another in-progress request using this Idempotent Key (that probably means"
    " you submitted twice, and the other request is still going through): {}. Please try again"
    " later."
)
_MISUSED = (
    "Keys for idempotent requests can only be used with the same parameters they were first used"
    " with. Try using a key other than '{}' if you meant to execute a different request."
)


@dataclass
class Rule:
    """How the next `times` requests like this are treated.

    `do`: answer (with `status`, `headers`, `body`), drop (nobody gets it, nobody is told), lose (it
    goes on, and nobody is told), hold (its key is taken; it goes on when `/_/release` is called).
    """

    method: str
    path: str
    do: str
    times: int = 1
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None

    def fits(self, request: web.Request) -> bool:
        """Whether it is about this request."""
        return (
            self.times > 0
            and request.method == self.method
            and re.fullmatch(self.path, request.path) is not None
        )


@dataclass
class Heard:
    """A request as it came. `form`: of its body, or of its query."""

    method: str
    path: str
    headers: dict[str, str]
    form: list[tuple[str, str]]
    raw: str


@dataclass
class Saved:
    """What became of a key: the request that it stands for, and its answer once there is one."""

    request: tuple[str, str, str]
    answer: tuple[int, bytes] | None = None


class Proxy:
    """What it was told, what it has heard, and the keys that it remembers."""

    def __init__(self, upstream: str, leaving_out: list[list[str]]) -> None:
        self.upstream = upstream
        self.leaving_out = leaving_out
        self.released = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Forget everything, and let go what is held."""
        self.released.set()
        self.rules: list[Rule] = []
        self.heard: list[Heard] = []
        self.saved: dict[str, Saved] = {}
        self.released = asyncio.Event()

    async def tell(self, request: web.Request) -> web.Response:
        """What the tests say to it and ask it."""
        match request.match_info["word"]:
            case "reset":
                self.reset()
            case "rules":
                self.rules += [Rule(**rule) for rule in await request.json()]
            case "forget":
                self.saved.clear()
            case "release":
                self.released.set()
                self.released = asyncio.Event()
            case "heard":
                return web.json_response([asdict(one) for one in self.heard])
            case "left":
                return web.json_response([asdict(rule) for rule in self.rules if rule.times > 0])
            case word:
                raise web.HTTPNotFound(reason=word)
        return web.json_response({})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Anything else is for Stripe."""
        raw = (await request.read()).decode()
        form = parse_qsl(raw if request.method == "POST" else request.query_string)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append(Heard(request.method, request.path, headers, form, raw))
        rule = next((rule for rule in self.rules if rule.fits(request)), None)
        if rule is None:
            return await self._pass_on(request, headers, form)
        rule.times -= 1
        if rule.do == "answer":
            return _answer(rule.status, rule.body, rule.headers)
        if rule.do == "hold":
            return await self._pass_on(request, headers, form, self.released)
        if rule.do == "lose":
            await self._pass_on(request, headers, form)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _pass_on(
        self,
        request: web.Request,
        headers: dict[str, str],
        form: list[tuple[str, str]],
        released: asyncio.Event | None = None,
    ) -> web.Response:
        """Ask upstream, once for a key; not before it is `released`."""
        if not self.upstream:
            if released is not None:
                await released.wait()
            return _answer(501, {"error": {"message": f"no rule: {request.method} {request.path}"}})
        key = headers.get(_KEPT)
        if request.method != "POST" or key is None:
            return _answer(*await self._forward(request, headers, form))
        asked = (request.method, request.path, _tidy(form))
        saved = self.saved.get(key)
        if saved is None:
            saved = self.saved[key] = Saved(asked)
            if released is not None:
                await released.wait()
            status, body = await self._forward(request, headers, form)
            if status in _SAVED:
                saved.answer = status, body
            else:
                self.saved.pop(key, None)
            return _answer(status, body)
        if saved.request != asked:
            return _refuse(400, {"type": "idempotency_error", "message": _MISUSED.format(key)})
        if saved.answer is None:
            words = {"code": "idempotency_key_in_use", "message": _IN_USE.format(key)}
            return _refuse(409, {"type": "invalid_request_error", **words})
        return _answer(*saved.answer, {"idempotent-replayed": "true"})

    async def _forward(
        self, request: web.Request, headers: dict[str, str], form: list[tuple[str, str]]
    ) -> tuple[int, bytes]:
        """Ask upstream, without what it does not know."""
        out = [
            name
            for method, path, name in self.leaving_out
            if method == request.method and re.fullmatch(path, request.path)
        ]
        kept = [(name, text) for name, text in form if not any(re.match(one, name) for one in out)]
        labels = [pair for pair in form if pair not in kept and pair[0].startswith("metadata[")]
        status, body = await self._send(request.method, request.path, headers, kept)
        if labels and status == 200:  # what cannot be said at once is said right after
            id = json.loads(body)["id"]
            path = f"/v1/payment_intents/{id}"
            status, body = await self._send("POST", path, headers, labels)
        return status, body

    async def _send(
        self, method: str, path: str, headers: dict[str, str], form: list[tuple[str, str]]
    ) -> tuple[int, bytes]:
        plain = {name: text for name, text in headers.items() if name == "authorization"}
        url, posts = f"{self.upstream}{path}", method == "POST"
        async with (
            ClientSession() as session,
            session.request(
                method,
                url,
                headers=plain,
                data=form if posts else None,
                params=None if posts else form,
            ) as answer,
        ):
            return answer.status, await answer.read()


def _tidy(form: list[tuple[str, str]]) -> str:
    """A form as Stripe compares it: in any order, and with lists that are numbered or not."""
    return urlencode(sorted((re.sub(r"\[\d+\]$", "[]", name), text) for name, text in form))


def _refuse(status: int, error: dict[str, str]) -> web.Response:
    return _answer(status, {"error": error})


def _answer(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    """An answer. `body`: bytes and texts as they are, anything else as JSON."""
    text = body.encode() if isinstance(body, str) else body
    content = text if isinstance(text, bytes) else json.dumps(text).encode()
    return web.Response(
        status=status, body=content, headers=headers, content_type="application/json"
    )


async def _run(upstream: str, leaving_out: list[list[str]]) -> None:
    proxy = Proxy(upstream, leaving_out)
    app = web.Application()
    app.router.add_route("*", "/_/{word}", proxy.tell)
    app.router.add_route("*", "/{path:.*}", proxy.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201  # who started it reads this
    await asyncio.to_thread(sys.stdin.read)  # until who started it is gone
    proxy.reset()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", default="")
    parser.add_argument("--leave-out", default="[]", help="[[method, path, name], ...] as patterns")
    given = parser.parse_args()
    asyncio.run(_run(given.upstream, json.loads(given.leave_out)))
