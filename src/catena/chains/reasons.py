"""What a partner or a plugin says, as a chain keeps it: a code, a sentence, a result; all bounded.

Invariant: a reason is no more than `LIMITS.reason_characters`, in one line, without control
characters; a result can be stored.
"""

from __future__ import annotations

import re
from typing import Final

from catena.chains.step_types import Answer, Outcome
from catena.chains.storable import keep_result
from catena.settings import LIMITS

__all__ = ["CODE", "tidy_answer", "tidy_code", "tidy_reason"]

CODE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")
"""What a code of a refusal looks like; a step's `retry.never` can name it."""


def tidy_code(code: object) -> str:
    """The code in small letters; an empty text for what is none."""
    small = code.lower() if isinstance(code, str) else ""
    return small if CODE.fullmatch(small) else ""


def tidy_reason(text: str) -> str:
    """The text in one line that can be printed, cut where it is too long."""
    printed = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printed.split())[: LIMITS.reason_characters].rstrip()


def tidy_answer(found: Answer) -> Answer:
    """The answer with a code, a reason and a result that a chain can keep, whoever gave it.

    Raises AttributeError, TypeError or ValueError for what is no answer.
    """
    code = tidy_code(found.code)
    detail: object = found.detail or ("" if code else found.code)
    return Answer(
        Outcome(found.outcome),
        keep_result(found.result),
        code,
        tidy_reason(detail) if isinstance(detail, str) else "",
        permanent=bool(found.permanent),
        of_the_call=bool(found.of_the_call),
    )
