"""Why a step or a chain failed, or is not known: each code that is ours, and what it means.

Invariant: the table has every code that the rooms give, and no other; docs/reference/failures.md
is drawn from it. Partners and step types that are installed have codes of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["FAILURES", "render_failures"]

FAILURES: Final[Mapping[str, Mapping[str, str]]] = {
    "By command, by time, by its own words": {
        "cancelled": "Cancelled, by the API or by the chain that started it; `detail` says why.",
        "rejected": "It was held, and rejected.",
        "voided": "The hold of funds (`/v1/holds`) was voided.",
        "hold_expired": "It was held for longer than the hold allowed.",
        "chain_timed_out": "Its `timeout_seconds` ran out.",
        "step_timed_out": "The step's `timeout_seconds` ran out, from its first attempt.",
        "wait_timed_out": "Nothing came that the wait waited for.",
        "lien_expired": "A reservation expired, and its step said `on_expiry: fail`.",
        "unknown_lien": "The lien that it names was not made: its step was skipped.",
        "lien_not_open": "The lien that it names has ended.",
        "expression_failed": "An expression came to nothing; `detail` says which, and why.",
        "compensated_by_hand": "An operator had the chain rolled back.",
        "refused_by_hand": "An operator said that the partner has done nothing.",
    },
    "The partner was not reached: nothing was sent, and the step's `retry` decides": {
        "url_refused": "No URL that can be called.",
        "method_refused": "No method that can be called.",
        "header_refused": "A header that cannot be sent.",
        "timeout_refused": "The time for the call is none.",
        "name_unresolved": "Its host's name has no address.",
        "address_refused": "Its address is not public (`CATENA_ALLOW_PRIVATE_ADDRESSES`).",
        "address_unreachable": "There is no road to its address.",
        "connection_refused": "Nobody listens there.",
        "connect_timeout": "No connection in time (`CATENA_OUTSIDE_CONNECT_SECONDS`).",
        "tls_failed": "No TLS connection: its certificate, as a rule.",
        "no_connection_free": "All of `CATENA_OUTSIDE_CONNECTIONS` were in use.",
        "client_closed": "This process was stopping; unknown if the request had left.",
    },
    "The partner was called, and what it did is unknown: it is looked up": {
        "timeout": "No whole answer in the call's time.",
        "connection_lost": "The connection ended under the call.",
        "answer_malformed": "The answer is no HTTP.",
        "answer_too_large": "The answer is larger than `CATENA_OUTSIDE_ANSWER_BYTES`.",
        "answer_encoded": "The answer is compressed, which was not asked for.",
        "answer_unframed": "The answer has no length, so that nobody knows whether all of it came.",
        "answer_unreadable": "A success whose body is no JSON object.",
        "status_unrecognised": "A success whose `status` is not approved, declined or pending.",
        "no_answer": "It gave no reason.",
        "not_sent": "The worker came to the call too late to make it.",
        "worker_lost": "The worker that made the call was not heard of again.",
        "unknown_step_type": "This worker does not have the step's type; another may.",
        "step_type_failed": "The step's type raised an exception; the log has it.",
        "internal_error": "A defect of ours; the log has it.",
    },
    "The partner said no": {
        "declined": "It said so, and no more.",
        "http_NNN": "It answered with this status, and its body has no code. 3xx and 5xx: unknown.",
        "not_found": "It never saw the call, and the call can no longer arrive.",
    },
    "A chain that a step started (`chain.start`)": {
        "unknown_ledger": "There is no such ledger.",
        "invalid_chain": "The chain to start cannot be run; `detail` says why.",
        "chain_rolled_back": "It was rolled back.",
        "chain_completed": "It was to be rolled back, and had been completed.",
    },
}
"""By what it is about: what each code says."""

_OPENING: Final = """\
# Why a step failed

The `failure` of a chain or a step, and events of its history, have a `code`, and a `detail` for
people. A step of the books has the code of the refusal, such as `insufficient_funds`: they are
among the [errors](errors.md). A partner's own code, in small letters, and its reason come first
where its answer has them; a step type that is installed has codes of its own. All others:
"""


def render_failures() -> str:
    """The page docs/reference/failures.md."""
    lines = [_OPENING]
    for title, codes in FAILURES.items():
        lines += [f"## {title}", "", "| code | meaning |", "| --- | --- |"]
        lines += [f"| `{code}` | {meaning} |" for code, meaning in codes.items()]
        lines.append("")
    return "\n".join(lines)
