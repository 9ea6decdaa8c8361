"""The step type `http`: a signed request to a partner, and a declared one that undoes it.

A partner acts once for each Idempotency-Key, and answers a repeated key as it answered first: we
rely on nothing else. So a call without an answer is asked about by sending it again, unless the
step names a URL to look it up by. What answers mean is in docs/guides/partners.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from catena.chains.reasons import tidy_code, tidy_reason
from catena.chains.step_types import (
    HTTP,
    HTTP_METHODS,
    Answer,
    Call,
    Direction,
    Fault,
    Outcome,
)
from catena.outside.addresses import is_public
from catena.outside.client import NoAnswer, NotSent, OutsideClient, Request, Response
from catena.outside.requests import Refused, form_request
from catena.outside.signing import SIGNATURE, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from catena.clock import Clock

__all__ = ["HttpStep"]

_ASKING: Final = frozenset({Direction.LOOK_UP, Direction.CANCEL, Direction.UNDO_LOOK_UP})
_OF_THE_CALL: Final = frozenset({402, 410, 422})
"""Refusals that, to a question, speak of the call; others speak of the question."""

_AT_WORK: Final = 409
"""To a key that was sent before: the first request may still be at work, so nothing is certain
(draft-ietf-httpapi-idempotency-key-header, 2.7).
"""

_URLS: Final = frozenset({"url", "look_up_url", "cancel_url"})
_LATER: Final = frozenset({408, 425, 429})
_BODY_BYTES: Final = 65_536
"""Size of an answer's body that a chain keeps, at most; of a larger one only what it means."""


class HttpStep:
    """Calls partners over HTTP. `secret_of` gives the secret that a ledger's requests are signed
    with. `allows_private`: partners can be at addresses that are not public.
    """

    type = HTTP

    def __init__(
        self,
        client: OutsideClient,
        secret_of: Callable[[str], bytes],
        clock: Clock,
        *,
        allows_private: bool = False,
    ) -> None:
        self._client = client
        self._allows_private = allows_private
        self._secret_of = secret_of
        self._clock = clock

    def check(
        self, inputs: Mapping[str, Any], compensation: Mapping[str, Any] | None, ledger_id: str
    ) -> Iterator[Fault]:
        """Why a step cannot ask for this."""
        del ledger_id
        for part, words in (("inputs", inputs), ("compensation", compensation or {})):
            if words.get("method", "POST") not in HTTP_METHODS:
                yield Fault(f"{part}/method", f"The method is one of {', '.join(HTTP_METHODS)}.")
            for name in _URLS & words.keys():
                if isinstance(words[name], str) and (said := self._blame_url(words[name])):
                    yield Fault(f"{part}/{name}", said)

    def _blame_url(self, url: str) -> str:
        """Why nothing can be called there, as far as the URL itself says; an empty text: it can."""
        try:
            wire = form_request(Request("GET", url, b"", {}, 1.0))
            host = wire.url.host or ""
        except (Refused, UnicodeError):  # a host in punycode that is none
            return "A URL starts with http:// or https:// and a host, and has no user in it."
        if self._allows_private or not _is_address(host) or is_public(host):
            return ""
        return "This address is not a public one."

    async def call(self, call: Call) -> Answer:
        """Make a call."""
        undoing = call.direction in (Direction.UNDO, Direction.UNDO_LOOK_UP)
        words = dict((call.compensation if undoing else call.inputs) or {})
        cancels = call.direction is Direction.CANCEL and "cancel_url" in words
        # Who cannot be asked to give up is asked what has become of it: its answer decides.
        asking = call.direction in _ASKING and not cancels
        if asking and "look_up_url" in words:
            request = self._form(call, "GET", words["look_up_url"], None)
        elif cancels:
            request = self._form(call, "POST", words["cancel_url"], {"cancels": call.key})
        else:
            body = words.get("body")
            if undoing and body is None:
                body = {"undoes": f"{call.chain}.{call.step}", "result": dict(call.result)}
            request = self._form(call, words.get("method", "POST"), words["url"], body)
        answer = _read(await self._client.send(request), request)
        if call.repeats and answer.result.get("status") == _AT_WORK:
            return Answer(Outcome.UNKNOWN, code=answer.code, detail=answer.detail)
        if call.direction in _ASKING:
            return _read_told(answer, looked_up=asking and "look_up_url" in words)
        return answer

    def _form(self, call: Call, method: str, url: str, body: object) -> Request:
        """The request, signed; its key is the same for every try of one round."""
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        id = call.key.replace(".", "-")
        headers = {
            "content-type": "application/json",
            "idempotency-key": call.key,
            "catena-chain": call.chain,
            "catena-step": call.step,
            **sign(self._secret_of(call.ledger), id, self._clock(), content),
        }
        return Request(method, url, content, headers, call.timeout_seconds)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _read_told(answer: Answer, *, looked_up: bool) -> Answer:
    """What a question's answer says of the call that it is about: a refusal to answer says nothing.

    `looked_up`: at a URL of its own, which knows nothing of a key that never came.
    """
    if answer.outcome is not Outcome.DECLINED:
        return answer
    status = answer.result.get("status", 0)
    if looked_up and status == 404:  # noqa: PLR2004  # not found
        return Answer(Outcome.NOT_FOUND)
    of_the_call = status < 400 or status in _OF_THE_CALL  # noqa: PLR2004  # a success, in words
    if answer.permanent and of_the_call:
        return answer
    return Answer(Outcome.UNKNOWN, code=answer.code, detail=answer.detail)


def _read(outcome: Response | NotSent | NoAnswer, request: Request) -> Answer:
    match outcome:
        case NotSent(reason=reason):
            return Answer(Outcome.DECLINED, code=reason, permanent=False)
        case NoAnswer(reason=reason):
            return Answer(Outcome.UNKNOWN, code=reason)
        case Response(status=status, body=content):
            answer = _read_answer(status, content)
            # Who repeats our signature, or a URL's query, may repeat a secret.
            ours = (request.headers[SIGNATURE], request.url.partition("?")[2])
            repeats = any(text and text.encode() in content for text in ours)
            return answer._replace(detail="") if repeats else answer


def _read_answer(status: int, content: bytes) -> Answer:
    """What an answer means. A success approves if its body says so, or says nothing at all."""
    body = _read_body(content)
    result = {"status": status, "body": _keep(body, content)}
    told = body if isinstance(body, dict) else {}
    if 200 <= status < 300:  # noqa: PLR2004  # success
        meant = _mean(status, told, readable=isinstance(body, dict) or not content)
        if meant is Outcome.UNKNOWN and not told:
            return Answer(meant, code="answer_unreadable")
        if meant is Outcome.UNKNOWN:
            word = told["status"]
            detail = tidy_reason(word) if isinstance(word, str) else ""
            return Answer(meant, code="status_unrecognised", detail=detail)
        if meant is Outcome.DECLINED:
            return Answer(meant, result, *_find_reason(told, "declined"))
        return Answer(meant, result)
    code, detail = _find_reason(told, f"http_{status}")
    if 400 <= status < 500:  # noqa: PLR2004  # a refusal
        return Answer(Outcome.DECLINED, result, code, detail, permanent=status not in _LATER)
    return Answer(Outcome.UNKNOWN, code=f"http_{status}", detail=detail)


def _find_reason(told: Mapping[str, Any], code: str) -> tuple[str, str]:
    """The code that a body says, else this one, and its reason in words."""
    error = told.get("error")
    sources = (told, error) if isinstance(error, dict) else (told,)
    codes = (tidy_code(source.get("code")) for source in sources)
    texts = (source.get(name) for source in sources for name in _REASONS)
    text = next((text for text in texts if isinstance(text, str) and text), "")
    return next(filter(None, codes), code), tidy_reason(text)


_REASONS: Final = ("reason", "message", "detail", "error")
"""Where a partner says why, in words; the first that it has."""


def _mean(status: int, told: Mapping[str, Any], *, readable: bool) -> Outcome:
    """What a success means. A word that we do not know approves nothing, nor does a page."""
    taken = status == 202  # noqa: PLR2004  # taken, and not decided
    if "status" in told:
        said = told["status"]
        return _WORDS.get(said.lower() if isinstance(said, str) else "", Outcome.UNKNOWN)
    if taken:
        return Outcome.PENDING
    return Outcome.APPROVED if readable else Outcome.UNKNOWN


_WORDS: Final = {
    "approved": Outcome.APPROVED,
    "declined": Outcome.DECLINED,
    "pending": Outcome.PENDING,
}
"""What the `status` of an answer can say, in small letters."""


def _read_body(content: bytes) -> Any:  # noqa: ANN401  # any JSON
    """The JSON of an answer; None for what is none."""
    try:
        return json.loads(content, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def _keep(body: Any, content: bytes) -> Any:  # noqa: ANN401  # any JSON
    """What a chain keeps of a body: None for too much, and for texts that nobody can store."""
    if len(content) > _BODY_BYTES or b"\\u0000" in content:
        return None
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a character
        return None
    return body
