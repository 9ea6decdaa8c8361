"""The OpenAPI document, its page, and a page for each error code; all served offline.

Invariant: the document is made from what the routes are; docs/reference/openapi.json is a copy
that a test keeps true.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata, resources
from typing import Any, Final

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from catena.api.bodies import Body
from catena.api.problems import PROBLEM_JSON, Problem, status_of
from catena.errors import CatenaError, NotFound
from catena.ledger.refusals import RefusalCode

__all__ = ["DESCRIPTION", "describe", "list_codes", "make_openapi", "router"]

router = APIRouter(include_in_schema=False)

DESCRIPTION: Final = """A wallet ledger: double-entry books over HTTP.

Amounts are whole numbers of minor units (12550 USD is 125.50 dollars), always with a currency.
Every POST carries an Idempotency-Key: repeated with the same body it answers as it did first.
Every error is a problem document (RFC 9457) with a stable code."""

_REF: Final = "#/components/schemas/{name}"
_VIEWS: Final[dict[str, type[msgspec.Struct]]] = {"Problem": Problem}
_BODIES: Final[dict[str, type[Body]]] = {}
_EVERYWHERE: Final = ("unauthenticated", "forbidden", "internal_error", "unavailable")


def describe(
    *,
    answers: Mapping[int, tuple[str, type[msgspec.Struct] | None, Any]],
    errors: Sequence[str],
    body: type[Body] | None = None,
    example: Any = None,  # noqa: ANN401  # any JSON
    headers: Sequence[str] = ("Catena-Ledger",),
) -> dict[str, Any]:
    """What a route adds to its operation in the document.

    `answers`: for each status its meaning, shape and example. `errors`: codes, beside those that
    every operation can answer.
    """
    operation: dict[str, Any] = {
        "parameters": [_HEADERS[name] for name in headers],
        "responses": {str(status): _answer(*answer) for status, answer in answers.items()},
        "security": [{"api_key": []}],
    }
    if body is not None:
        _BODIES[body.__name__] = body
        content: dict[str, Any] = {"schema": {"$ref": _REF.format(name=body.__name__)}}
        if example is not None:
            content["example"] = example
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    by_status: dict[int, list[str]] = {}
    for code in (*errors, *_EVERYWHERE):
        by_status.setdefault(status_of(code), []).append(code)
    for status, codes in sorted(by_status.items()):
        operation["responses"][str(status)] = _problems(codes)
    return operation


def _answer(meaning: str, view: type[msgspec.Struct] | None, example: Any) -> dict[str, Any]:  # noqa: ANN401
    answer: dict[str, Any] = {"description": meaning}
    if view is not None:
        _VIEWS[view.__name__] = view
        schema = {"$ref": _REF.format(name=view.__name__)}
        answer["content"] = {"application/json": {"schema": schema, "example": example}}
    return answer


def _problems(codes: Sequence[str]) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="Problem")}
    return {
        "description": "One of: " + ", ".join(f"`{code}`" for code in sorted(set(codes))) + ".",
        "content": {PROBLEM_JSON: {"schema": schema}},
    }


_HEADERS: Final = {
    "Catena-Ledger": {
        "name": "Catena-Ledger",
        "in": "header",
        "description": "The ledger's id. Left out: the only one that the credential may use.",
        "schema": {"type": "string"},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "1 to 255 printable ASCII characters of the caller's own, one per intent.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
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
}


def make_openapi(http: FastAPI) -> dict[str, Any]:
    """The document of these routes."""
    document = get_openapi(
        title="Catena",
        version=metadata.version("catena-ledger"),
        openapi_version="3.1.0",
        description=DESCRIPTION,
        routes=http.routes,
    )
    _, views = msgspec.json.schema_components(_VIEWS.values(), ref_template=_REF)
    models = [(model, "validation") for model in _BODIES.values()]
    _, bodies = models_json_schema(models, ref_template=_REF.replace("{name}", "{model}"))  # type: ignore[arg-type]
    components = document.setdefault("components", {})
    components["schemas"] = dict(sorted({**views, **bodies["$defs"]}.items()))
    components["securitySchemes"] = {
        "api_key": {"type": "http", "scheme": "bearer", "description": "An API key: ctk_..."}
    }
    document["servers"] = [{"url": "/"}]
    for path in document["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                operation["responses"]["422"] = _problems(["invalid_request"])
    return document


@router.get("/openapi.json")
async def get_document(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(make_openapi(request.app))


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
    codes.update({refusal.code: (refusal.title, refusal.remedy, False) for refusal in RefusalCode})
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
