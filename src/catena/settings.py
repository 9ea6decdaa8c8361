"""Every setting and limit, each with a name, a unit and a sentence; read from the environment once.

Invariant: no other module reads the environment, and no limit stands as a bare number elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_type_hints

from catena.errors import SetupError

__all__ = ["LIMITS", "Limits", "Settings", "read_settings", "render_reference"]

_TRUTHS: Final = {"1": True, "true": True, "0": False, "false": False}


def _setting(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an installation can set. The variable is the field's name in capitals, after CATENA_."""

    database_url: str = _setting("", "PostgreSQL 15 or newer; empty starts the embedded one.")
    migration_url: str = _setting(
        "", "The schema owner's URL for migrations; empty uses `database_url`."
    )
    data_dir: Path = _setting(Path(".catena"), "Where the embedded PostgreSQL keeps its data.")
    host: str = _setting("127.0.0.1", "The address that the API listens on.")
    port: int = _setting(8080, "The port that the API listens on; 0 takes a free one.")
    log_level: str = _setting("info", "debug, info, warning or error.")

    database_connections: int = _setting(8, "Connections of one process, at most.")
    database_connect_seconds: float = _setting(5.0, "Longest wait for a new connection.")
    database_command_seconds: float = _setting(30.0, "Longest run of one statement.")
    database_lock_seconds: float = _setting(
        5.0, "Longest wait for a row lock, and longest idle moment within a transaction."
    )

    commit_operations: int = _setting(
        512, "Operations that one commit takes from the queue, at most (one batch is never split)."
    )
    commit_attempts: int = _setting(
        16, "How often one commit is decided again after others changed what it read."
    )
    queue_operations: int = _setting(
        20_000, "Operations that may wait in one ledger's queue; then 503 and Retry-After."
    )
    answer_seconds: float = _setting(
        10.0, "How long a write may wait for the database before it is given up with 503."
    )
    cached_accounts: int = _setting(100_000, "Accounts that a process remembers per ledger.")
    correction_depth: int = _setting(16, "How many reversals of reversals may stand on each other.")
    read_batch: int = _setting(1_000, "Balance reads that share one statement, at most.")

    call_seconds: float = _setting(
        10.0, "How long one call to a partner may take, where its step does not say less."
    )
    lease_seconds: float = _setting(
        15.0,
        "How long a worker has what it took, before another may take it over; longer than a call.",
    )
    worker_calls: int = _setting(64, "Steps that one worker has under way at once, at most.")
    poll_seconds: float = _setting(
        0.2, "How often a worker looks for work that nobody has told it of."
    )

    watch_seconds: float = _setting(
        0.2, "How often a process looks whether a chain that somebody waits for has moved."
    )
    progress_streams: int = _setting(
        200, "Streams of progress that one process serves at once, at most; then 503."
    )
    heartbeat_seconds: float = _setting(
        15.0, "How long a stream of progress may be silent before it sends a comment."
    )

    idempotency_days: int = _setting(30, "How long an Idempotency-Key is remembered.")
    scan_lines: int = _setting(
        5_000, "Lines that one page of a filtered history looks at, at most."
    )
    credential_cache_seconds: float = _setting(
        2.0, "How long a checked API key is trusted before it is looked up again."
    )
    requests_at_once: int = _setting(
        2_000, "Requests that one process serves at once, at most; then 503 and Retry-After."
    )
    keep_alive_seconds: int = _setting(30, "How long an idle HTTP connection is kept.")
    shutdown_seconds: int = _setting(10, "How long a stop waits for requests under way.")

    gateways_file: str = _setting(
        "", "The TOML file that lists the payment gateways; docs/guides/gateways.md."
    )

    overdue_seconds: float = _setting(
        60.0,
        "Since when work must be due, and nobody have taken it, to be shown as overdue: no process"
        " that runs knows its gateway or step type, or there are too few workers.",
    )

    bank_poll_seconds: float = _setting(
        1.0, "How often a worker looks for files of banks that are to be sealed, sent or read."
    )
    bank_lease_seconds: float = _setting(
        60.0,
        "How long a worker has a bank's file, before another may take it over; longer than a"
        " delivery may take.",
    )
    bank_silence_seconds: float = _setting(
        3600.0,
        "How long a bank may be out of reach, or a file of ours not be taken, before an alarm is"
        " raised, which ends when it is.",
    )
    bank_file_bytes: int = _setting(67_108_864, "Size of a file that a bank gives us, at most.")
    notice_queue_items: int = _setting(
        10_000,
        "Notices of gateways that one process holds in memory until they are applied; those beyond"
        " are taken up by the sweep.",
    )
    notice_hands: int = _setting(
        64, "Notices that one process applies at a time, while few come in."
    )
    notice_sweep_seconds: float = _setting(
        5.0,
        "How often a worker looks for notices of gateways that are not matched, and tries a round"
        " of them.",
    )
    notice_sweep_items: int = _setting(
        200, "Notices of one ledger that are tried again in one round, at most."
    )

    reconciliation_hour: int = _setting(
        3, "The hour of UTC at which each gateway that lists what it has done is reconciled."
    )
    reconciliation_days: float = _setting(
        5.0, "How far apart, in days, both sides may have the same thing; then one is missing."
    )
    reconciliation_lease_seconds: float = _setting(
        900.0, "How long a process has a gateway's daily run, before another may take it over."
    )
    reconciliation_poll_seconds: float = _setting(
        60.0, "How often a worker looks whether a gateway's daily run is due."
    )
    cut_characters: int = _setting(
        16, "How much of a reference a bank must leave for it to count as one that was cut short."
    )

    allow_private_addresses: bool = _setting(
        default=False,
        doc="Whether partners may be called at addresses that are not public: 1, 0, true or false.",
    )
    outside_connections: int = _setting(64, "Connections of one process to partners, at most.")
    outside_connect_seconds: float = _setting(
        5.0, "Longest wait for a partner's address, connection and TLS handshake together."
    )
    outside_idle_seconds: float = _setting(
        4.0, "How long an idle connection to a partner is kept; many servers end theirs after 5 s."
    )
    outside_answer_bytes: int = _setting(
        1_048_576, "Size of the body of a partner's answer, at most."
    )

    def __post_init__(self) -> None:
        """Raise SetupError for settings that do not go together."""
        if not self.lease_seconds > self.call_seconds > 0:
            raise SetupError(
                f"CATENA_LEASE_SECONDS ({self.lease_seconds:g}) must be longer than"
                f" CATENA_CALL_SECONDS ({self.call_seconds:g}), and both more than nothing: else"
                " calls are taken over while they are being made."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the API's contract allows; the same in every installation."""

    batch_operations: int = _setting(10_000, "Operations of one batch request, at most.")
    entry_lines: int = _setting(200, "Lines of one entry, at most.")
    entry_fees: int = _setting(20, "Fees of one entry, at most.")
    statement_bytes: int = _setting(67_108_864, "Size of a statement that is sent in, at most.")
    report_rows: int = _setting(
        1_000, "Rows of one list that a report shows as a page, at most; as CSV it has them all."
    )
    webhook_bytes: int = _setting(1_048_576, "Size of a gateway's webhook, at most.")
    head_bytes: int = _setting(65_536, "Size of a request's line and headers, at most (roughly).")
    body_bytes: int = _setting(65_536, "Size of a request body, at most.")
    batch_body_bytes: int = _setting(8_388_608, "Size of a batch request's body, at most.")
    metadata_bytes: int = _setting(8_192, "Size of one metadata object as JSON, at most.")
    metadata_keys: int = _setting(50, "Keys of one metadata object, at most.")
    text_characters: int = _setting(500, "Length of a description or name, at most.")
    note_characters: int = _setting(
        140, "Length of what the payer or payee of a gateway's reads, at most (SEPA's)."
    )
    reference_characters: int = _setting(200, "Length of a reference or user id, at most.")
    idempotency_key_characters: int = _setting(255, "Length of an Idempotency-Key, at most.")
    page_items: int = _setting(200, "Items of one page, at most.")
    page_items_default: int = _setting(50, "Items of one page when the caller names no limit.")
    ledger_assets: int = _setting(1_000, "Assets that one ledger may register.")
    chain_steps: int = _setting(100, "Steps of one chain, those that are appended too, at most.")
    chain_body_bytes: int = _setting(
        524_288, "Size of the body of a request that holds steps, at most."
    )
    chain_timeout_seconds: int = _setting(
        31_622_400, "Longest timeout of a chain, a step, a wait, a hold or a lien: one year."
    )
    step_attempts: int = _setting(100, "Attempts that the policy of one step allows, at most.")
    look_ups: int = _setting(
        20,
        "Look-ups in a row that tell nothing of a call, until its step is parked; it is looked up"
        " on, but seldom.",
    )
    step_conditions: int = _setting(20, "Conditions of one step, at most.")
    expression_characters: int = _setting(1_000, "Length of one expression, at most.")
    expression_bytes: int = _setting(
        32_768,
        "Size of what one expression looks at, as JSON, at most: each part as often as it is worked"
        " on.",
    )
    expression_items: int = _setting(
        200, "Items that all, exists, exists_one, map or filter goes through, at most."
    )
    expression_loop_parts: int = _setting(
        50, "Names, fields, constants and operators of what it does with each of them, at most."
    )
    resolved_bytes: int = _setting(
        131_072,
        "Size of what the expressions of one step's inputs give together, as JSON, at most.",
    )
    chain_expressions: int = _setting(
        200, "Expressions of one chain, conditions too, those that are appended too, at most."
    )
    chain_expression_characters: int = _setting(
        10_000, "Length of all expressions of one chain together, at most."
    )
    url_characters: int = _setting(2_000, "Length of a partner's URL, at most.")
    result_bytes: int = _setting(
        131_072, "Size of what is kept of a step's result from outside, as JSON, at most."
    )
    result_depth: int = _setting(
        64, "Objects and lists within each other in what is kept of a result, at most."
    )
    signal_bytes: int = _setting(
        16_384, "Size of a signal's payload, or of a result said by hand, as JSON, at most."
    )
    chain_signals: int = _setting(
        100, "Signals that a chain keeps until waits take them, at most: as many as it has steps."
    )
    chain_holds: int = _setting(
        100, "Times that one chain is held, at most; its history is read for each command."
    )
    json_depth: int = _setting(16, "Objects and lists within each other in a step's inputs.")
    reason_characters: int = _setting(
        200, "Length of what is kept of a partner's reason for a refusal, at most."
    )
    wait_seconds: int = _setting(60, "Longest wait that a request can ask for (Prefer: wait).")


LIMITS: Final = Limits()


def read_settings(environment: Mapping[str, str], **overrides: object) -> Settings:
    """Settings from variables such as CATENA_PORT; `overrides` win. Raises SetupError."""
    hints = get_type_hints(Settings)
    values: dict[str, Any] = {}
    for setting in dataclasses.fields(Settings):
        text = environment.get(f"CATENA_{setting.name.upper()}")
        if text is not None:
            values[setting.name] = _parse(setting.name, text, hints[setting.name])
    return Settings(**{**values, **overrides})


def _parse(name: str, text: str, kind: type) -> object:
    try:
        return _TRUTHS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise SetupError(f"CATENA_{name.upper()} is not a valid {kind.__name__}.") from None


def render_reference() -> str:
    """The page docs/reference/limits.md."""
    settings = [
        f"| `CATENA_{setting.name.upper()}` | `{setting.default}` | {setting.metadata['doc']} |"
        for setting in dataclasses.fields(Settings)
    ]
    limits = [
        f"| `{limit.name}` | `{limit.default}` | {limit.metadata['doc']} |"
        for limit in dataclasses.fields(Limits)
    ]
    return "\n".join(
        [
            "# Settings and limits",
            "",
            "Names say the unit: seconds, days, bytes, characters.",
            "",
            "## Settings",
            "",
            "Each is an environment variable.",
            "",
            "| variable | default | meaning |",
            "| --- | --- | --- |",
            *settings,
            "",
            "## Limits",
            "",
            "These belong to the API's contract and are the same in every installation.",
            "",
            "| limit | value | meaning |",
            "| --- | --- | --- |",
            *limits,
            "",
        ]
    )
