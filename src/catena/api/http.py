"""The HTTP application: routes, request ids, and problem documents on every path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from catena import errors
from catena.api import (
    accounts,
    balances,
    banks,
    chain_routes,
    documentation,
    entries,
    gateway_lists,
    gateway_routes,
    health,
    history,
    hold_routes,
    ledgers,
    liens,
    messages,
    movements,
    notices,
    operators,
    payers,
    previews,
    progress,
    reconciliation,
    reconciliation_items,
    suspense,
    virtual,
    webhooks,
)
from catena.api.bodies import explain_items
from catena.api.requests import respond
from catena.api.writes import problem_reply
from catena.db.pool import is_lost
from catena.ids import REQUEST

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from catena.app import App

__all__ = ["ROUTES", "create_http"]

_log = structlog.get_logger(__name__)

_ROOMS: Final = (
    ledgers,
    accounts,
    balances,
    history,
    gateway_routes,
    gateway_lists,
    movements,
    entries,
    chain_routes,
    previews,
    progress,
    operators,
    liens,
    messages,
    virtual,
    hold_routes,
    webhooks,
    notices,
    reconciliation,
    reconciliation_items,
    banks,
    payers,
    suspense,
    health,
    documentation,
)
ROUTES: Final = [route for room in _ROOMS for route in room.router.routes]
"""Every route, in the order in which the document has them."""


def create_http(app: App) -> FastAPI:
    """The ASGI application over these parts."""
    http = FastAPI(
        title="Catena",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    http.state.catena = app
    http.state.routes = ROUTES
    for room in _ROOMS:
        http.include_router(room.router)
    http.add_exception_handler(errors.CatenaError, _answer_error)
    http.add_exception_handler(RequestValidationError, _answer_invalid)
    http.add_exception_handler(HTTPException, _answer_http)
    http.add_middleware(RequestIds)
    return http


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.CatenaError)  # noqa: S101  # registered for these alone
    return respond(problem_reply(error, request.state.request_id))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return await _answer_error(request, explain_items(error.errors()))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    known: dict[int, errors.CatenaError] = {
        404: errors.NotFound("There is no such path; /docs shows those that there are."),
        405: errors.MethodNotAllowed(),
    }
    response = await _answer_error(request, known.get(error.status_code, errors.BadRequest()))
    if error.status_code == 405:  # noqa: PLR2004  # Method Not Allowed
        response.headers["Allow"] = ", ".join(sorted(_list_methods(request)))
    return response


def _list_methods(request: Request) -> set[str]:
    """What the path takes; the framework names the methods of its first route only."""
    return {
        method
        for route in ROUTES
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


class RequestIds:
    """Gives each request an id, sends it back, and turns what nobody caught into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parts: App = scope["app"].state.catena
        request_id = parts.number_request(REQUEST)
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"].append((b"request-id", request_id.encode()))
            await send(message)

        self._active += 1
        try:
            if self._active > parts.settings.requests_at_once:
                refusal = respond(problem_reply(errors.Overloaded(), request_id))
                await refusal(scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            return  # gone before the request was whole: nothing ran, and nobody is there to be told
        except Exception as error:
            if started:
                raise
            if not is_lost(error):
                _log.exception("request_failed", request_id=request_id, path=scope["path"])
            known = errors.DatabaseUnavailable() if is_lost(error) else errors.CatenaError()
            await respond(problem_reply(known, request_id))(scope, receive, send_with_id)
        finally:
            self._active -= 1
