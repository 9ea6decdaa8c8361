"""Logs: one event a line on stderr, as JSON for machines or plainly for people.

Invariant: no secret is written: API keys and passwords in URLs are blotted out of every line, and
tracebacks show no values. Other libraries' logs come the same way, from warnings on.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

from catena.errors import SetupError

if TYPE_CHECKING:
    from structlog.typing import Processor

__all__ = ["blot", "configure_logs"]

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_TALKATIVE: Final = ("aiohttp", "asyncio", "httpcore2", "httpx2", "uvicorn")

_SECRETS: Final = re.compile(r"(?<=ctk_)[\w-]{20,}|(?<=://)[^/\s\"@]+:[^\s\"@]+(?=@)")


def blot(text: str) -> str:
    """The text without API keys, and without the user and password of any URL."""
    return _SECRETS.sub("***", text)


def configure_logs(level: str, *, people: bool) -> None:
    """Log from `level` on, for people or as JSON lines. Raises SetupError for an unknown level."""
    if level not in _LEVELS:
        raise SetupError(f"CATENA_LOG_LEVEL is one of {', '.join(_LEVELS)}.")
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if people else "iso", utc=not people),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(people=people),
                _blot_line,
            ],
        )
    )
    # The journal tells in a line that the database is lost; the driver would fill a page.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _renderers(*, people: bool) -> list[Processor]:
    if people:
        return [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message", "_event"),
        structlog.processors.JSONRenderer(),
    ]


def _blot_line(_logger: object, _method: str, line: Any) -> str:  # noqa: ANN401  # a rendered line
    return blot(line)
