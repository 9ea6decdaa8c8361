"""The one way from a POST to the journal and back: decode, build, submit, render.

Every writing route is a `Write`, whichever way its request came in. Nothing is stored for a
request that never ran; what ran is answered the same for ever under its Idempotency-Key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from msgspec.structs import replace

from catena.api.bodies import Body, decode
from catena.api.problems import PROBLEM_JSON, problem_of_error, problem_of_refusal
from catena.api.views import encode
from catena.auth.scopes import may
from catena.chains.refusals import ChainRefusal, ChainRefused
from catena.chains.step_types import Catalogue
from catena.errors import CatenaError, Forbidden, InvalidIdempotencyKey
from catena.journal import Answer, Operation, Piece
from catena.ledger.refusals import Refusal, RefusalCode
from catena.money import ISO_CURRENCIES, Currency, define_asset, iso_currency
from catena.settings import LIMITS

if TYPE_CHECKING:
    from pydantic import BaseModel

    from catena.auth.keys import Caller
    from catena.db.installation import Ledger
    from catena.journal import Journal, Result

__all__ = [
    "JSON",
    "REPLAYED",
    "Context",
    "Reply",
    "Write",
    "digest",
    "fingerprint",
    "parse_key",
    "parse_revision",
    "problem_reply",
    "require",
    "submit",
]

_log: Final = structlog.get_logger(__name__)

JSON: Final = "application/json"
REPLAYED: Final = (b"idempotency-replayed", b"true")


class Reply(NamedTuple):
    """An HTTP answer. Header names and values are ready to be sent."""

    status: int
    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    content_type: str = JSON


class Context(NamedTuple):
    """For whom and where a request is done. `params`: of the path; `revision`: of If-Match.

    `catalogue`: the step types that chains have here.
    """

    caller: Caller
    ledger: Ledger
    request_id: str
    params: Mapping[str, str] = {}
    revision: int | None = None
    catalogue: Catalogue = Catalogue()

    def currency(self, code: str) -> Currency:
        """The currency with this code in this ledger. Raises UnknownCurrency."""
        if code in ISO_CURRENCIES:
            return ISO_CURRENCIES[code]
        exponent = self.ledger.assets.get(code)
        return iso_currency(code) if exponent is None else define_asset(code, exponent)


class Write(NamedTuple):
    """A route that writes: what it takes, what it asks of the journal, how it answers.

    `build`: of the request and its context, and of what a route may bind to it. `scope`: what the
    caller needs; None when `build` asks for it. `atomic` decides from the
    request whether its operations stand or fall together. `conditional`: it changes what was read,
    so it comes with If-Match instead of an Idempotency-Key. `explain` says of a refusal where in
    the request its reasons are, as JSON pointers and sentences; `words`: the detail of
    those that callers are told in other words than those of chains.
    """

    name: str
    model: type[Body]
    scope: str | None
    build: Callable[..., Sequence[Operation]]
    render: Callable[[Sequence[Result], Context], Reply]
    atomic: Callable[[Any], bool] = lambda _: True
    body_bytes: int = LIMITS.body_bytes
    conditional: bool = False
    explain: Callable[[Any, ChainRefused], Sequence[tuple[str, str]]] = lambda *_: ()
    words: Mapping[RefusalCode | ChainRefusal, str] = {}


def require(caller: Caller, scope: str) -> None:
    """Raise Forbidden unless the caller has the scope, or one that includes it."""
    if not may(caller.scopes, scope):
        raise Forbidden(f"The scope {scope} is needed.")


def parse_key(text: str) -> str:
    """The Idempotency-Key; bare and quoted keys are the same. Raises InvalidIdempotencyKey."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not 0 < len(text) <= LIMITS.idempotency_key_characters:
        raise InvalidIdempotencyKey
    if not (text.isascii() and text.isprintable()):
        raise InvalidIdempotencyKey
    return text


def parse_revision(text: str) -> int | None:
    """The revision that an If-Match names: None for any, 0 (which none has) for what is no ETag."""
    text = text.strip()
    if text == "*":
        return None
    found = _ETAG.fullmatch(text)
    return int(found[1]) if found else 0


_ETAG: Final = re.compile(r'"([1-9][0-9]{0,17})"')


def submit(
    write: Write,
    context: Context,
    key: str,
    body: bytes,
    journal: Journal,
    reply: Callable[[Reply], None],
) -> None:
    """Submit a request to the journal; `reply` is called once, when it is committed or refused.

    Raises CatenaError for what never runs.
    """
    caller, ledger = context.caller, context.ledger
    if write.scope is not None:
        require(caller, write.scope)
    request = decode(write.model, body)
    operations = write.build(request, context)

    def answer(result: Answer | CatenaError) -> None:
        try:
            rendered = _render(write, context, request, result)
        except Exception:  # noqa: BLE001  # it is committed: whoever asked is told that much
            _log.exception("answer_not_rendered", request_id=context.request_id)
            rendered = problem_reply(CatenaError(), context.request_id)
        reply(rendered)

    piece = Piece(
        operations,
        key=digest(caller.id.encode(), key.encode()),
        payload=digest(write.name.encode(), *_path_of(context), fingerprint(request)),
        done=answer,
        atomic=write.atomic(request),
    )
    journal.submit(ledger, piece)


def _path_of(context: Context) -> Iterator[bytes]:
    return (value.encode() for value in context.params.values())


def fingerprint(request: BaseModel) -> bytes:
    """What the caller sent, without defaults, whatever its spacing or order of fields."""
    text: bytes = request.__pydantic_serializer__.to_json(request, exclude_unset=True)
    return text


def digest(*parts: bytes) -> str:
    """A fingerprint of 16 bytes, in hex. No part has a control character: JSON escapes them."""
    return hashlib.blake2b(b"\n".join(parts), digest_size=16).hexdigest()


def _render(write: Write, context: Context, request: Body, result: Answer | CatenaError) -> Reply:
    if isinstance(result, CatenaError):
        return problem_reply(result, context.request_id)
    if result.refused is not None:
        operation = result.refused if write.model.__name__ == "BatchRequest" else None
        refusal = result.results[0]
        assert isinstance(refusal, Refusal | ChainRefused)  # noqa: S101  # what `refused` says
        fields = write.explain(request, refusal) if isinstance(refusal, ChainRefused) else ()
        problem = problem_of_refusal(refusal, context.request_id, operation, fields)
        if refusal.code in write.words:
            problem = replace(problem, detail=write.words[refusal.code])
        reply = Reply(problem.status, encode(problem), (), PROBLEM_JSON)
    else:
        reply = write.render(result.results, context)
    return reply._replace(headers=(*reply.headers, REPLAYED)) if result.replayed else reply


def problem_reply(error: CatenaError, request_id: str) -> Reply:
    """The reply that an error is answered with."""
    problem = problem_of_error(error, request_id)
    headers = _PROBLEM_HEADERS.get(problem.status, ())
    return Reply(problem.status, encode(problem), headers, PROBLEM_JSON)


_PROBLEM_HEADERS: Final = {
    401: ((b"www-authenticate", b'Bearer realm="catena"'),),
    503: ((b"retry-after", b"1"),),
}
