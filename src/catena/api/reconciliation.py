"""Statements in, runs, and their reports. Sent again, a statement is the one that it was."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api import examples
from catena.api import reconciliation_examples as shown
from catena.api.bodies import Body, GatewayName, Moment
from catena.api.documentation import describe
from catena.api.pages import PageQuery, page_reply, read_by_time
from catena.api.reconciliation_report_views import ReportView, view_report
from catena.api.reconciliation_views import (
    RunList,
    RunView,
    StatementList,
    StatementView,
    view_run,
    view_statement,
)
from catena.api.requests import app_of, begin, identify, perform, read_bytes, read_key, respond
from catena.api.views import EntryView, encode, view_entry
from catena.api.writes import REPLAYED, Context, Reply, Write, digest, fingerprint
from catena.auth.scopes import Scope
from catena.db.read.reconciliation import StoredRun, list_imports, list_runs, read_run
from catena.db.reconciliation_rows import Asker
from catena.errors import InvalidInput, NotFound, UnsupportedMediaType
from catena.ids import RUN, parse_id
from catena.journal import PostEntry, Result
from catena.ledger.entries import Entry
from catena.reconciliation.imports import Span, currencies_of
from catena.reconciliation.report_csv import render_csv
from catena.reconciliation.report_html import render_html
from catena.reconciliation.runs import read_report
from catena.reconciliation.settling import fees_to_book
from catena.settings import LIMITS

__all__ = ["SETTLING_ERRORS", "GatewayQuery", "render_posted", "router"]

router = APIRouter(tags=["Reconciliation"])

SETTLING_ERRORS: Final = (
    "reference_conflict",
    "account_blocked",
    "account_frozen",
    "above_ceiling",
    "balance_out_of_range",
)
"""What an entry between system accounts can be refused for."""

_CSV: Final = "text/csv"
_HTML: Final = "text/html"


class GatewayQuery(PageQuery):
    """Of one gateway, or of all."""

    gateway: GatewayName | None = None


class StatementQuery(BaseModel):
    """What a file is, and what it covers; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gateway: GatewayName
    shape: Annotated[
        Literal["plain", "stripe"],
        Field(
            description="`plain`: id, at, subject, amount, currency, and where there are any fee,"
            " reference, text, about. `stripe`: the itemised balance change from activity."
        ),
    ] = "plain"
    covers_from: Annotated[
        Moment | None,
        Field(description="Left out: from where the last statement ended, or its first day."),
    ] = None
    covers_until: Annotated[
        Moment | None, Field(description="Left out: until just behind its last line.")
    ] = None


class RunRequest(Body):
    """Hold a gateway's statements against our clearing accounts."""

    gateway: GatewayName
    until: Annotated[
        Moment | None,
        Field(
            description="Both sides are complete just before it. Left out: up to where the"
            " statements cover the time without a gap."
        ),
    ] = None


class BookFeesRequest(Body):
    """Book the fees that the run found on the statement and not in our books."""


def _describe_file() -> dict[str, Any]:
    operation = describe(
        answers={
            201: ("Taken in.", StatementView, shown.STATEMENT),
            200: ("It was, before.", StatementView, shown.STATEMENT),
        },
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=(
            "invalid_request",
            "payload_too_large",
            "unsupported_media_type",
            "conflict",
        ),
    )
    content = {_CSV: {"schema": {"type": "string"}, "example": shown.SENT}}
    return {**operation, "requestBody": {"required": True, "content": content}}


@router.post(
    "/v1/statements",
    summary="Take a statement in",
    operation_id="take_statement",
    openapi_extra=_describe_file(),
)
async def post_statement(request: Request, query: Annotated[StatementQuery, Query()]) -> Response:
    """A file of a gateway or bank as CSV, whole or not at all. Lines that were there before are
    passed over; one that has changed in more than its text refuses the file.
    """
    context = await identify(request, Scope.RECONCILIATION_RUN)
    key = digest(context.caller.id.encode(), read_key(request).encode())
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != _CSV:
        raise UnsupportedMediaType("Send the file as text/csv.")
    raw = await read_bytes(request, LIMITS.statement_bytes)
    imported = await app_of(request).reconciler.read_file(
        context.ledger,
        query.gateway,
        query.shape,
        raw,
        Asker(context.caller.id, key, digest(b"statement", fingerprint(query), raw)),
        Span(query.covers_from, query.covers_until),
    )
    view = view_statement(imported.row, context.ledger.id)
    headers = (REPLAYED,) if imported.replayed else ()
    return respond(Reply(200 if imported.again else 201, encode(view), headers))


@router.get(
    "/v1/statements",
    summary="List statements",
    operation_id="list_statements",
    openapi_extra=describe(
        answers={
            200: ("A page.", StatementList, {"items": [shown.STATEMENT], "next": None}),
        },
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_statements(request: Request, query: Annotated[GatewayQuery, Query()]) -> Response:
    """What was taken in, the newest first."""
    context = await identify(request, Scope.RECONCILIATION_READ)
    ledger = context.ledger
    rows, cursor = await read_by_time(
        request,
        query,
        f"statements {ledger.id}",
        lambda reading, after, most: list_imports(
            reading, ledger.number, query.gateway, after, most
        ),
        lambda row: (row.received_at, row.id[-32:]),
    )
    views = [view_statement(row, ledger.id) for row in rows]
    return respond(page_reply(request, StatementList(views, cursor), cursor))


@router.post(
    "/v1/reconciliations",
    summary="Reconcile a gateway",
    operation_id="reconcile_gateway",
    openapi_extra=describe(
        answers={201: ("What it found.", RunView, shown.RUN)},
        body=RunRequest,
        example={"gateway": "sandbox"},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("conflict",),
    ),
)
async def post_run(request: Request) -> Response:
    """With all that is there by now. Nothing is posted; run again, it goes on from there."""
    context, asked, key, payload = await begin(request, Scope.RECONCILIATION_RUN, RunRequest)
    asker = Asker(context.caller.id, key, payload)
    made = await app_of(request).reconciler.run(context.ledger, asked.gateway, asker, asked.until)
    headers = (REPLAYED,) if made.replayed else ()
    return respond(Reply(201, encode(view_run(made.run, context.ledger.id)), headers))


@router.get(
    "/v1/reconciliations",
    summary="List runs",
    operation_id="list_reconciliations",
    openapi_extra=describe(
        answers={200: ("A page.", RunList, shown.RUNS)},
        errors=("invalid_request", "invalid_cursor"),
        sends=("Link",),
    ),
)
async def get_runs(request: Request, query: Annotated[GatewayQuery, Query()]) -> Response:
    """Runs, the newest first."""
    context = await identify(request, Scope.RECONCILIATION_READ)
    ledger = context.ledger
    rows, cursor = await read_by_time(
        request,
        query,
        f"reconciliations {ledger.id}",
        lambda reading, after, most: list_runs(reading, ledger.number, query.gateway, after, most),
        lambda row: (row.made_at, row.id[-32:]),
    )
    views = [view_run(row, ledger.id) for row in rows]
    return respond(page_reply(request, RunList(views, cursor), cursor))


async def _find(request: Request, context: Context, run_id: str) -> StoredRun:
    async with app_of(request).pool.acquire() as connection:
        found = await read_run(connection, context.ledger.number, parse_id(RUN, run_id))
    if found is None:
        raise NotFound
    return found


@router.get(
    "/v1/reconciliations/{run_id}",
    summary="Read a run",
    operation_id="get_reconciliation",
    openapi_extra=describe(answers={200: ("The run.", RunView, shown.RUN)}, errors=("invalid_id",)),
)
async def get_run(request: Request, run_id: str) -> Response:
    """What a run found, as it was then."""
    context = await identify(request, Scope.RECONCILIATION_READ)
    found = await _find(request, context, run_id)
    return respond(Reply(200, encode(view_run(found.row, context.ledger.id))))


def _describe_report() -> dict[str, Any]:
    operation = describe(
        answers={200: ("The report.", ReportView, shown.REPORT)}, errors=("invalid_id",)
    )
    text = {"type": "string"}
    operation["responses"]["200"]["content"] |= {
        _CSV: {"schema": text, "example": shown.CSV},
        _HTML: {"schema": text, "example": shown.HTML},
    }
    return operation


@router.get(
    "/v1/reconciliations/{run_id}/report",
    summary="Read a run's report",
    operation_id="get_reconciliation_report",
    openapi_extra=_describe_report(),
)
async def get_report(request: Request, run_id: str) -> Response:
    """For whoever keeps the books, as it was when the run was made: a page, a table, or data, by
    the header Accept.
    """
    context = await identify(request, Scope.RECONCILIATION_READ)
    found = await _find(request, context, run_id)
    report, currencies = read_report(found.report), currencies_of(context.ledger)
    wanted = _choose(request.headers.get("accept", ""))
    if wanted == _CSV:
        body = render_csv(report, currencies).encode()
    elif wanted == _HTML:
        body = render_html(report, currencies, LIMITS.report_rows).encode()
    else:
        body = encode(view_report(report))
    response = Response(body, 200)
    response.headers["content-type"] = wanted
    return response


def _choose(accept: str) -> str:
    """The form that is wanted most; data where none is."""
    best, chosen = 0.0, "application/json"
    for part in accept.split(","):
        kind, *more = (word.strip().lower() for word in part.split(";"))
        if kind not in (_CSV, _HTML, "application/json", "*/*"):
            continue
        weights = [word[2:] for word in more if word.startswith("q=")]
        try:
            weight = float(weights[0]) if weights else 1.0
        except ValueError:
            raise InvalidInput("The header Accept has a weight that is no number.") from None
        if weight > best:
            best, chosen = weight, "application/json" if kind == "*/*" else kind
    return chosen


def render_posted(results: Sequence[Result], context: Context) -> Reply:
    """The entry that was posted."""
    entry = results[0]
    assert isinstance(entry, Entry)  # noqa: S101  # refusals are problems
    location = (b"location", b"/v1/entries/" + entry.id.encode())
    return Reply(201, encode(view_entry(entry, context.ledger.id)), (location,))


def _post(_: BookFeesRequest, __: Context, operation: PostEntry) -> Sequence[PostEntry]:
    return (operation,)


@router.post(
    "/v1/reconciliations/{run_id}/book_fees",
    summary="Book a run's fees",
    operation_id="book_fees",
    openapi_extra=describe(
        answers={201: ("The entry.", EntryView, examples.ENTRY)},
        body=BookFeesRequest,
        example={},
        headers=("Idempotency-Key", "Catena-Ledger"),
        errors=("invalid_id", "conflict", *SETTLING_ERRORS),
        sends=("Location",),
    ),
)
async def post_fees(request: Request, run_id: str) -> Response:
    """What the gateway has kept for itself: gateway_fees Dr, its clearing account Cr, once."""
    context = await identify(request, Scope.RECONCILIATION_SETTLE)
    found = await _find(request, context, run_id)
    async with app_of(request).pool.acquire() as connection:
        operation = await fees_to_book(connection, context.ledger, found.row)
    write = Write(
        "book_fees",
        BookFeesRequest,
        Scope.RECONCILIATION_SETTLE,
        partial(_post, operation=operation),
        render_posted,
    )
    return await perform(request, write)
