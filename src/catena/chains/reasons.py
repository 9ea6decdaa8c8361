"""What a partner says of a refusal, as a chain keeps it: a code and a sentence, both bounded.

Invariant: no more than `LIMITS.reason_characters`, in one line, without control characters.
"""

from __future__ import annotations

import re
from typing import Final

from catena.chains.step_types import Answer
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
    """The answer with a code and a reason that a chain can keep, whoever gave it."""
    if not found.code and not found.detail:
        return found
    code = tidy_code(found.code)
    detail = found.detail or ("" if code else found.code)
    return found._replace(code=code, detail=tidy_reason(detail))
