"""A month of business reconciles to nothing unexplained; what is put wrong into it is found."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import pytest

from catena.db.embedded import EmbeddedPostgres
from tests.contract import Contract
from tests.flows.gateways import GATEWAY, LONG, Shop, make_database, run_shop
from tests.postgres import ask
from tests.reconciliation.trade import reconcile, trade, write_statement

WINDOW_DAYS: Final = 0.25
TABLES: Final = (
    "statement_imports",
    "statement_lines",
    "reconciliations",
    "reconciliation_findings",
    "reconciliation_items",
    "reconciliation_changes",
)


@pytest.fixture(scope="module")
def shop(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    contract: Contract,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """A service and its sandbox after a month of business."""
    place = tmp_path_factory.mktemp("month")
    with (
        make_database(postgres_server, migrated_template) as database,
        run_shop(database, contract, place, reconciliation_days=WINDOW_DAYS) as shop,
    ):
        trade(shop, seed=7, days=30 if LONG else 5, orders=100 if LONG else 10)
        yield shop


def forget(shop: Shop) -> None:
    """As if nothing had ever been reconciled: our books are as they were."""
    names = [f"catena.{name}" for name in TABLES]
    guards = [f"ALTER TABLE {name} DISABLE TRIGGER USER" for name in names]
    ask(shop.database.owner_dsn, *guards, f"TRUNCATE {', '.join(names)}", "SELECT 1")


def list_open(shop: Shop) -> list[dict[str, Any]]:
    """The work list, each with its lines."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = shop.service.read("/v1/reconciliation_items", state="open", limit=200, **cursor)
        items += [shop.service.read(f"/v1/reconciliation_items/{it['id']}") for it in page["items"]]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}


def test_a_month_reconciles_to_nothing_unexplained(shop: Shop) -> None:
    """Every line of both sides is matched; with the fees booked, both sides have the same."""
    forget(shop)
    run = reconcile(shop, write_statement(shop))
    assert list_open(shop) == []
    assert (run["explained"], run["counts"]["in_transit"]) == (True, 0)
    (figures,) = run["figures"]
    assert figures["difference"] == -figures["fees_to_book"] < 0
    assert shop.service.post(f"/v1/reconciliations/{run['id']}/book_fees", {}).status_code == 201
    after = shop.service.make("/v1/reconciliations", {"gateway": GATEWAY})
    (figures,) = after["figures"]
    assert figures["difference"] == figures["fees_to_book"] == figures["unexplained"] == 0
    assert figures["books_closing"] == shop.posted(f"clearing.{GATEWAY}")
    shop.apart = sum(row["fee"] for row in write_statement(shop))
    shop.apart -= sum(row["amount"] for row in write_statement(shop) if row["subject"] == "fee")
    shop.prove()


def spoil(rows: list[dict[str, Any]], seed: int, count: int) -> set[tuple[str, str]]:
    """Put so many things wrong; gives what must be found: kind and reference."""
    dice = Random(seed)
    named = Counter(row["reference"] for row in rows)
    named.update(row["about"] for row in rows if row["about"])
    simple = [
        row
        for row in rows
        if named[row["reference"]] == 1 and row["subject"] in ("charge", "payout")
    ]
    expected = set()
    for row in dice.sample(simple, count):
        fault = dice.choice(["dropped", "doubled", "changed", "late", "strange"])
        reference = row["reference"]
        if fault == "dropped":
            rows.remove(row)
            expected.add(("missing_there", reference))
        elif fault == "doubled":
            rows.append({**row, "id": f"again-{row['id']}"})
            expected.add(("missing_here", reference))
        elif fault == "changed":
            row["amount"] += dice.choice([-1, 1, 100, -100])
            expected.add(("differing_amount", reference))
        elif fault == "late":
            row["at"] = (dt.datetime.fromisoformat(row["at"]) + dt.timedelta(days=0.6)).isoformat()
            expected.add(("differing_date", reference))
        else:
            rows.append({**row, "id": f"new-{row['id']}", "reference": f"new-{reference}"})
            expected.add(("missing_here", f"new-{reference}"))
    return expected


@pytest.mark.parametrize("seed", range(20 if LONG else 3))
def test_what_is_put_wrong_is_found_and_nothing_else(shop: Shop, seed: int) -> None:
    """Each discrepancy is an item of its kind; the difference is explained by them to the cent."""
    forget(shop)
    rows = write_statement(shop)
    expected = spoil(rows, seed, 50 if LONG else 8)
    run = reconcile(shop, rows)
    found = {
        (item["kind"], (item["theirs"] or item["ours"])[0]["reference"]) for item in list_open(shop)
    }
    assert found == expected
    assert run["counts"]["opened"] == len(expected)
    (figures,) = run["figures"]
    assert figures["unexplained"] == 0
    assert figures["difference"] == figures["open"] - figures["fees_to_book"]
