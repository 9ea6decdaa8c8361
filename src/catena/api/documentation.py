"""The OpenAPI document, its page, and a page for each error code; all served offline.

Invariant: the document is made from what the routes are; docs/reference/openapi.json is a copy
that a test keeps true.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata, resources
from typing import Any, Final, TypeVar

import msgspec
from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from catena.api.bodies import CURRENCY_PATTERN, STEP_PATTERN, Body, id_pattern
from catena.api.problems import PROBLEM_JSON, Problem, status_of
from catena.chains.refusals import ChainRefusal
from catena.errors import CatenaError, NotFound, SetupError
from catena.ids import ACCOUNT, CHAIN, ENTRY, HOLD, LEDGER, LIEN, REQUEST
from catena.ledger.refusals import RefusalCode
from catena.settings import LIMITS

__all__ = ["DESCRIPTION", "describe", "list_codes", "make_openapi", "render_openapi", "router"]

router = APIRouter(include_in_schema=False)

DESCRIPTION: Final = """A wallet ledger: double-entry books over HTTP.

Amounts are whole numbers of minor units (12550 USD is 125.50 dollars), always with a currency.
Every POST carries an Idempotency-Key: repeated with the same body it answers as it did first.
Every error is a problem document (RFC 9457) with a stable code."""

_Shape = TypeVar("_Shape", bound=msgspec.Struct | Body)
_REF: Final = "#/components/schemas/{name}"
_VIEWS: Final[dict[str, type[msgspec.Struct]]] = {"Problem": Problem}
_BODIES: Final[dict[str, type[Body]]] = {}
_SHARED: Final[set[str]] = set()
"""Codes that alone stand for a status in some operation."""
_REFUSALS: Final = frozenset(refusal.code for refusal in (*RefusalCode, *ChainRefusal))

_EVERYWHERE: Final = (
    "bad_request",
    "unauthenticated",
    "forbidden",
    "internal_error",
    "overloaded",
    "database_unavailable",
)
_OF_BODIES: Final = (
    "malformed_json",
    "payload_too_large",
    "unsupported_media_type",
    "invalid_request",
)
_OF_HEADERS: Final = {
    "Catena-Ledger": ("ledger_required", "not_found"),
    "Idempotency-Key": (
        "idempotency_key_required",
        "invalid_idempotency_key",
        "idempotency_key_reused",
        "outcome_unknown",
    ),
    "If-Match": ("precondition_required", "stale_revision", "outcome_unknown"),
    "Prefer": (),
    "Last-Event-ID": (),
}


def describe(
    *,
    answers: Mapping[int, tuple[str, type[msgspec.Struct], Any]],
    errors: Sequence[str] = (),
    body: type[Body] | None = None,
    example: Any = None,  # noqa: ANN401  # any JSON
    headers: Sequence[str] = ("Catena-Ledger",),
    sends: Sequence[str] = (),
    media: str = "application/json",
) -> dict[str, Any]:
    """What a route adds to its operation in the document.

    `answers`: for each status its meaning, shape and example. `errors`: codes, beside those that
    follow from taking a body and these headers. `sends`: headers of an answer. `media`: how answers
    are sent; the events of a stream have the shape each.
    """
    keyed = ("Idempotency-Replayed",) if "Idempotency-Key" in headers else ()
    operation: dict[str, Any] = {
        "parameters": [_HEADERS[name] for name in headers],
        "responses": {
            str(status): _answer(*answer, (*sends, *keyed), media)
            for status, answer in answers.items()
        },
        "security": [{"api_key": []}],
    }
    codes = {*errors, *_EVERYWHERE, *(code for name in headers for code in _OF_HEADERS[name])}
    if body is not None:
        _keep(_BODIES, body)
        schema = {"$ref": _REF.format(name=body.__name__)}
        content = {"application/json": {"schema": schema, "example": example}}
        operation["requestBody"] = {"required": True, "content": content}
        codes.update(_OF_BODIES)
    for status in sorted({status_of(code) for code in codes}):
        these = sorted(code for code in codes if status_of(code) == status)
        operation["responses"][str(status)] = _problems(status, these, keyed)
    return operation


def _keep(shapes: dict[str, type[_Shape]], shape: type[_Shape]) -> None:
    """Keep a shape under its name. Two of one name would be one in the document: SetupError."""
    if any(kept.get(shape.__name__, shape) is not shape for kept in (_VIEWS, _BODIES)):
        raise SetupError(f"Two shapes of the API are called {shape.__name__}.")
    shapes[shape.__name__] = shape


def _answer(
    meaning: str,
    view: type[msgspec.Struct],
    example: object,
    headers: Sequence[str],
    media: str,
) -> dict[str, Any]:
    _keep(_VIEWS, view)
    schema = {"$ref": _REF.format(name=view.__name__)}
    return {
        "description": meaning,
        "headers": _send(*headers),
        "content": {media: {"schema": schema, "example": example}},
    }


def _problems(status: int, codes: Sequence[str], keyed: Sequence[str]) -> dict[str, Any]:
    """Problems of one status. `keyed`: sent where the answer of a key, a refusal, is repeated."""
    headers = keyed if _REFUSALS.intersection(codes) else ()
    if len(codes) == 1 and not headers:
        _SHARED.add(codes[0])
        return {"$ref": f"#/components/responses/{codes[0]}"}
    return _show_problems(status, codes, headers)


def _show_problems(status: int, codes: Sequence[str], headers: Sequence[str]) -> dict[str, Any]:
    schema = {
        "allOf": [
            {"$ref": _REF.format(name="Problem")},
            {"properties": {"code": {"enum": codes}, "status": {"const": status}}},
        ]
    }
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": "One of: " + ", ".join(f"`{code}`" for code in codes) + ".",
        "headers": _send(*_SENT_WITH.get(status, ()), *headers),
        "content": {PROBLEM_JSON: {"schema": schema, "examples": examples}},
    }


def _send(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("Request-Id", *names)}


def _sent(meaning: str, example: str) -> dict[str, Any]:
    return {"description": meaning, "schema": {"type": "string"}, "example": example}


_SENT_WITH: Final = {401: ("WWW-Authenticate",), 503: ("Retry-After",)}
_SENT: Final = {
    "Preference-Applied": _sent("There when the request waited as it preferred.", "wait"),
    "ETag": _sent("The account's revision, for If-Match.", '"1"'),
    "Idempotency-Replayed": _sent("There when the key was answered before.", "true"),
    "Link": _sent("Where the next page is; left out on the last one.", '</...>; rel="next"'),
    "Location": _sent("The path of what was made.", "/v1/accounts/..."),
    "Request-Id": _sent("Of this request; also in problems.", f"{REQUEST}{'0' * 31}1"),
    "Retry-After": _sent("Seconds.", "1"),
    "WWW-Authenticate": _sent("How to authenticate.", 'Bearer realm="catena"'),
}

_HEADERS: Final = {
    "Catena-Ledger": {
        "name": "Catena-Ledger",
        "in": "header",
        "description": "The ledger's id. Left out: the only one that the credential may use.",
        "schema": {"type": "string", "pattern": id_pattern(LEDGER)},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "1 to 255 printable ASCII characters of the caller's own, one per intent.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": LIMITS.idempotency_key_characters,
        },
        "example": "7f1c2a3e-8d54-4c9b-9a63-0c5d8a1b2e4f",
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "required": True,
        "description": "The ETag of the revision that was read, or * for any.",
        "schema": {"type": "string"},
        "example": '"1"',
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "wait=n: answer when the chain has ended, or after n seconds as it stands"
        f" ({LIMITS.wait_seconds} at most). A repeated key is answered at once.",
        "schema": {"type": "string"},
        "example": "wait=1",
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The number of the last event that was seen; left out: from the first.",
        "schema": {"type": "string"},
        "example": "3",
    },
}
_IN_PATHS: Final = {
    "account_id": id_pattern(ACCOUNT),
    "entry_id": id_pattern(ENTRY),
    "ledger_id": id_pattern(LEDGER),
    "chain_id": id_pattern(CHAIN),
    "lien_id": id_pattern(LIEN),
    "hold_id": id_pattern(HOLD),
    "step": STEP_PATTERN,
    "name": STEP_PATTERN,
    "code": CURRENCY_PATTERN,
}


def make_openapi(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document of these routes."""
    document = get_openapi(
        title="Catena",
        version=metadata.version("catena-ledger"),
        openapi_version="3.1.0",
        description=DESCRIPTION,
        routes=routes,
    )
    for route in routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _mend(document["paths"][route.path][method.lower()], route)
    shared = {code: _show_problems(status_of(code), [code], ()) for code in sorted(_SHARED)}
    document["components"] = {
        "schemas": _make_schemas(document["components"]["schemas"]),
        "responses": shared,
        "examples": {code: {"value": _show(code)} for code in _list_examples(document)},
        "headers": _SENT,
        "securitySchemes": {
            "api_key": {"type": "http", "scheme": "bearer", "description": "An API key: ctk_..."}
        },
    }
    document["servers"] = [{"url": "/"}]
    return document


def _mend(operation: dict[str, Any], route: APIRoute) -> None:
    """Undo what the framework adds: a 200 of its own, nulls in queries, and none in examples."""
    extra = route.openapi_extra or {}
    operation.update({name: extra[name] for name in extra if name != "parameters"})
    given = [each for each in operation["parameters"] if each["in"] != "path"]
    for parameter in given:
        parameter["schema"] = _drop_null(parameter["schema"])
    operation["parameters"] = [
        *(_in_path(name) for name in re.findall(r"{(\w+)}", route.path)),
        *given,
    ]


def _drop_null(schema: dict[str, Any]) -> dict[str, Any]:
    match schema:
        case {"anyOf": [wanted, {"type": "null"}], **rest}:
            return {**wanted, **rest}
        case _:
            return schema


def _in_path(name: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": _IN_PATHS[name]}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _list_examples(document: Mapping[str, Any]) -> list[str]:
    return sorted(
        {
            code
            for operations in document["paths"].values()
            for operation in operations.values()
            for response in operation["responses"].values()
            for code in response.get("content", {}).get(PROBLEM_JSON, {}).get("examples", ())
        }
        | _SHARED
    )


def _make_schemas(queried: Mapping[str, Any]) -> dict[str, Any]:
    """`queried`: the schemas that parameters of queries refer to."""
    _, views = msgspec.json.schema_components(_VIEWS.values(), ref_template=_REF)
    models = [(model, "validation") for model in _BODIES.values()]
    _, bodies = models_json_schema(models, ref_template=_REF.replace("{name}", "{model}"))  # type: ignore[arg-type]
    left_over = {"HTTPValidationError", "ValidationError"}
    schemas = {**queried, **views, **bodies["$defs"]}
    return {name: schemas[name] for name in sorted(schemas.keys() - left_over)}


def _show(code: str) -> dict[str, Any]:
    title, remedy, transient = list_codes()[code]
    return {
        "type": f"/errors/{code}",
        "code": code,
        "title": title,
        "status": status_of(code),
        "detail": remedy,
        "retryable": transient,
        "request_id": _SENT["Request-Id"]["example"],
    }


def render_openapi(routes: Sequence[BaseRoute]) -> str:
    """The document as it is served, and as docs/reference/openapi.json."""
    return json.dumps(make_openapi(routes), indent=2, ensure_ascii=False) + "\n"


@router.get("/openapi.json")
async def get_document(request: Request) -> Response:
    """The OpenAPI document."""
    state = request.app.state
    if not hasattr(state, "document"):
        state.document = render_openapi(state.routes)
    return Response(state.document, media_type="application/json")


_PAGE: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>Catena API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head><body><div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script>
</body></html>"""
_START: Final = """
SwaggerUIBundle({url: "/openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null});"""


@router.get("/docs")
async def get_page() -> Response:
    """The document as a page."""
    return HTMLResponse(_PAGE)


@router.get("/docs/{name}")
async def get_asset(name: str) -> Response:
    """What the page is made of."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    kinds = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
    if name not in kinds:
        raise NotFound
    return Response(_read_asset(name), media_type=kinds[name])


@cache
def _read_asset(name: str) -> bytes:
    return (resources.files("fastapi_offline") / "static" / name).read_bytes()


def list_codes() -> dict[str, tuple[str, str, bool]]:
    """Every code that can be answered: its title, what to do, and whether to try again."""
    codes: dict[str, tuple[str, str, bool]] = {}
    waiting = [CatenaError]
    while waiting:
        error = waiting.pop()
        codes[error.code] = (error.title, error.remedy, error.transient)
        waiting.extend(error.__subclasses__())
    for refusal in (*ChainRefusal, *RefusalCode):
        codes[refusal.code] = (refusal.title, refusal.remedy, False)
    return dict(sorted(codes.items()))


@router.get("/errors/{code}")
async def get_error_page(code: str) -> Response:
    """The page that a problem's `type` points at."""
    found = list_codes().get(code)
    if found is None:
        raise NotFound
    title, remedy, transient = found
    again = "Trying again may help." if transient else "Trying the same again does not help."
    return HTMLResponse(
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(code)}"
        f"</title></head><body><h1>{html.escape(title)}</h1><p><code>{html.escape(code)}</code>, "
        f"HTTP status {status_of(code)}.</p><p>{html.escape(remedy)} {again}</p></body></html>"
    )
