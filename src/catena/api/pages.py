"""Pages of lists: opaque signed cursors and the link to the next page.

Invariant: a cursor continues the list that gave it, with the same filters, and no other.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from catena.api.requests import app_of
from catena.api.views import encode
from catena.api.writes import Reply
from catena.errors import InvalidCursor
from catena.settings import LIMITS

if TYPE_CHECKING:
    from starlette.requests import Request

    from catena.db.pool import Connection

__all__ = [
    "PageQuery",
    "check_span",
    "open_cursor",
    "page_reply",
    "read_by_time",
    "seal_cursor",
]

Row = TypeVar("Row")

_TAG_BYTES: Final = 12


class PageQuery(BaseModel):
    """What every list takes; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[
        int, Field(ge=1, le=LIMITS.page_items, description="Items of a page, at most.")
    ] = LIMITS.page_items_default
    cursor: Annotated[
        str | None, Field(max_length=2000, description="`next` of the page before.")
    ] = None


def check_span(query: Any) -> Any:  # noqa: ANN401  # any query with a start and an end
    """The query, unless it starts after it ends."""
    if query.start is not None and query.end is not None and query.start > query.end:
        raise ValueError("The start is after the end.")
    return query


def seal_cursor(secret: bytes, query: BaseModel, place: str, state: Sequence[Any]) -> str:
    """A cursor that continues the list at `place` with these filters from `state` (plain JSON)."""
    body = json.dumps(state, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(secret, query, place, body) + body).decode().rstrip("=")


def open_cursor(secret: bytes, query: PageQuery, place: str) -> list[Any] | None:
    """The state that the query's cursor holds; None without one. Raises InvalidCursor."""
    if query.cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
    except (binascii.Error, ValueError):
        raise InvalidCursor from None
    tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _sign(secret, query, place, body)):
        raise InvalidCursor
    state: list[Any] = json.loads(body)
    return state


def _sign(secret: bytes, query: BaseModel, place: str, body: bytes) -> bytes:
    filters = query.model_dump_json(exclude={"cursor", "limit"})
    message = f"{place}\n{filters}\n".encode() + body
    return hmac.digest(secret, message, hashlib.sha256)[:_TAG_BYTES]


async def read_by_time(
    request: Request,
    query: PageQuery,
    place: str,
    read: Callable[[Connection, Any, int], Awaitable[Sequence[Row]]],
    mark: Callable[[Row], tuple[dt.datetime, *tuple[str, ...]]],
) -> tuple[Sequence[Row], str | None]:
    """A page of a list in order of time, and the cursor of the next. Raises InvalidCursor.

    `mark`: where a row stands, by its moment and by what tells it from others of that moment;
    `read`: so many rows behind such a mark, or the first ones.
    """
    app = app_of(request)
    state = open_cursor(app.cursor_secret, query, place)
    after = None if state is None else (dt.datetime.fromisoformat(state[0]), *state[1:])
    async with app.pool.acquire() as connection:
        found = await read(connection, after, query.limit + 1)
    rows = found[: query.limit]
    if len(found) == len(rows):
        return rows, None
    at, *rest = mark(rows[-1])
    return rows, seal_cursor(app.cursor_secret, query, place, [at.isoformat(), *rest])


def page_reply(request: Request, view: Any, cursor: str | None) -> Reply:  # noqa: ANN401  # any list
    """A page, with a Link header where another follows."""
    if cursor is None:
        return Reply(200, encode(view))
    asked = request.query_params.multi_items()
    query = [*((name, value) for name, value in asked if name != "cursor"), ("cursor", cursor)]
    link = f'<{request.url.path}?{urlencode(query)}>; rel="next"'
    return Reply(200, encode(view), [(b"link", link.encode("latin-1"))])
