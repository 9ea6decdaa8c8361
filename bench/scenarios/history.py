"""What a page of an account's history costs with very many lines, against one with a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.book import Client, Refused, copy_book, fill, open_account
from bench.generators import Load, find_wrk, run_wrk, write_list
from bench.probes import Figure, NotMeasured, Probe, Scenario

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["SCENARIO"]

_CONNECTIONS: Final = 4
_DATABASE: Final = "history"
_SHORT: Final = "history_short"
_LONG: Final = "history_long"


def _prepare(rig: Rig, plan: Plan) -> Sequence[Probe]:
    find_wrk()
    book = copy_book(rig, plan, _DATABASE)
    service = rig.service(_DATABASE)
    client = Client(service, book.key, book.ledger)
    probes = []
    for name, lines in zip((_SHORT, _LONG), plan.account_lines, strict=True):
        account = open_account(client, user_id=name)
        page = f"/v1/accounts/{account}/entries"
        try:
            client.get(page)
        except Refused as error:
            raise NotMeasured(f"The history cannot be read: {error}") from error
        fill(rig, _DATABASE, book, lines, to=account)
        load = Load("reads", write_list(rig.directory / name, [page]), _CONNECTIONS, expect=200)
        probes.append(Probe(name, partial(run_wrk, rig, service, book, load)))
    return probes


SCENARIO: Final = Scenario(
    "history",
    _prepare,
    (
        Figure(
            "page CPU",
            "processor time of a page of a long history, to a short one",
            "times",
            1.2,
            lambda r: r[_LONG].server_cpu_us / r[_SHORT].server_cpu_us,
        ),
        Figure(
            "page time",
            "time of a page of a long history, to a short one",
            "times",
            1.2,
            lambda r: r[_SHORT].per_second / r[_LONG].per_second,
        ),
    ),
)
