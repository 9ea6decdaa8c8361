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
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, get_args

import msgspec
from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from catena.api.bodies import Body
from catena.api.parameters import HEADERS, IN_PATHS, SENT, SENT_WITH
from catena.api.problems import PROBLEM_JSON, Problem, status_of
from catena.chains.refusals import ChainRefusal
from catena.errors import CatenaError, NotFound, SetupError
from catena.ledger.refusals import RefusalCode

__all__ = [
    "DESCRIPTION",
    "Choice",
    "describe",
    "list_codes",
    "make_openapi",
    "render_openapi",
    "router",
]

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

_ALWAYS: Final = ("bad_request", "internal_error", "overloaded", "database_unavailable")
_EVERYWHERE: Final = (*_ALWAYS, "unauthenticated", "forbidden")
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


class Choice(NamedTuple):
    """Several examples of one body, each with a name."""

    examples: Mapping[str, Any]


def describe(
    *,
    answers: Mapping[int, tuple[str, type[msgspec.Struct] | UnionType, Any]],
    errors: Sequence[str] = (),
    body: type[Body] | None = None,
    example: Any = None,  # noqa: ANN401  # any JSON
    headers: Sequence[str] = ("Catena-Ledger",),
    sends: Sequence[str] = (),
    media: str = "application/json",
    signed: bool = False,
) -> dict[str, Any]:
    """What a route adds to its operation in the document.

    `answers`: for each status its meaning, shape (or one of several) and example. `errors`: codes,
    beside those that follow from taking a body and these headers. `example`: of the body, or a
    Choice of them. `sends`: headers of an answer.
    `media`: how answers are sent; the events of a stream have the shape each. `signed`: a gateway
    signs it, no key is needed.
    """
    keyed = ("Idempotency-Replayed",) if "Idempotency-Key" in headers else ()
    operation: dict[str, Any] = {
        "parameters": [HEADERS[name] for name in headers],
        "responses": {
            str(status): _answer(*answer, (*sends, *keyed), media)
            for status, answer in answers.items()
        },
        "security": [] if signed else [{"api_key": []}],
    }
    if signed:
        headers = ()
        operation["parameters"] = []
        content = {"application/json": {"schema": {"type": "object"}, **_show_body(example)}}
        operation["requestBody"] = {"required": True, "content": content}
    codes = {
        *errors,
        *(_ALWAYS if signed else _EVERYWHERE),
        *(code for name in headers for code in _OF_HEADERS[name]),
    }
    if body is not None:
        _keep(_BODIES, body)
        schema = {"$ref": _REF.format(name=body.__name__)}
        content = {"application/json": {"schema": schema, **_show_body(example)}}
        operation["requestBody"] = {"required": True, "content": content}
        codes.update(_OF_BODIES)
    for status in sorted({status_of(code) for code in codes}):
        these = sorted(code for code in codes if status_of(code) == status)
        operation["responses"][str(status)] = _problems(status, these, keyed)
    return operation


def _show_body(example: object) -> dict[str, Any]:
    if isinstance(example, Choice):
        return {"examples": {name: {"value": one} for name, one in example.examples.items()}}
    return {"example": example}


def _keep(shapes: dict[str, type[_Shape]], shape: type[_Shape]) -> None:
    """Keep a shape under its name. Two of one name would be one in the document: SetupError."""
    if any(kept.get(shape.__name__, shape) is not shape for kept in (_VIEWS, _BODIES)):
        raise SetupError(f"Two shapes of the API are called {shape.__name__}.")
    shapes[shape.__name__] = shape


def _answer(
    meaning: str,
    view: type[msgspec.Struct] | UnionType,
    example: object,
    headers: Sequence[str],
    media: str,
) -> dict[str, Any]:
    shapes = get_args(view) or (view,)
    for shape in shapes:
        _keep(_VIEWS, shape)
    refs = [{"$ref": _REF.format(name=shape.__name__)} for shape in shapes]
    schema = {"anyOf": refs} if len(refs) > 1 else refs[0]
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
        "headers": _send(*SENT_WITH.get(status, ()), *headers),
        "content": {PROBLEM_JSON: {"schema": schema, "examples": examples}},
    }


def _send(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("Request-Id", *names)}


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
        "headers": SENT,
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
    schema = {"type": "string", "pattern": IN_PATHS[name]}
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
        "request_id": SENT["Request-Id"]["example"],
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
