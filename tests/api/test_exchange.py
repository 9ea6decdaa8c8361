"""Exchanges over HTTP: what is rounded, in whose favour, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.lines import see_lines
from tests.contract import read_problem
from tests.server import Api


@pytest.mark.parametrize(
    ("currencies", "rate", "fixed", "sold", "bought"),
    [
        (("USD", "EUR"), "0.9215", {"source_amount": 10_000}, 10_000, 9215),
        (("USD", "EUR"), "0.9215", {"source_amount": 10_001}, 10_001, 9215),  # 9,215.9 down
        (("USD", "EUR"), "0.9215", {"destination_amount": 9215}, 10_000, 9215),
        (("USD", "EUR"), "0.9215", {"destination_amount": 9216}, 10_002, 9216),  # 10,001.08 up
        (("USD", "JPY"), "151.5", {"source_amount": 1000}, 1000, 1515),
        (("JPY", "USD"), "0.0066", {"source_amount": 1000}, 1000, 660),
        (("USD", "BHD"), "0.376", {"source_amount": 100}, 100, 376),
        (("BTC", "PTS"), "1000000", {"source_amount": 1}, 1, 0),
        (("BTC", "PTS"), "1000000", {"source_amount": 250}, 250, 2),  # 2.5 points down
    ],
)
def test_an_exchange_rounds_in_favour_of_the_fx_account(
    service: Api,
    currencies: tuple[str, str],
    rate: str,
    fixed: dict[str, int],
    sold: int,
    bought: int,
) -> None:
    """Four lines through fx; the rate counts in major units, whatever the exponents."""
    for code, exponent in (("BTC", 8), ("PTS", 0)):
        path = f"/v1/ledgers/{service.ledger}/assets/{code}"
        assert service.send("PUT", path, {"exponent": exponent}).status_code == 200
    source, destination = currencies
    al, euros = service.open_account(source, 20_000), service.open_account(destination)
    answer = service.post(
        "/v1/exchanges",
        {
            "source_account_id": al,
            "destination_account_id": euros,
            "source_currency": source,
            "destination_currency": destination,
            "rate": rate,
            **fixed,
        },
    )
    if not bought:
        assert read_problem(answer)["code"] == "invalid_amount"
        return
    entry = answer.json()
    assert answer.status_code == 201, entry
    assert see_lines(service, entry, al=al, euros=euros) == [
        ("debit", "al", sold),
        ("credit", "fx", sold),
        ("debit", "fx", bought),
        ("credit", "euros", bought),
    ]
    assert entry["details"]["exchange"] == {
        "rate": rate,
        "source": {"amount": sold, "currency": source},
        "destination": {"amount": bought, "currency": destination},
    }
    assert service.read_posted(al, euros) == [20_000 - sold, bought]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"source_amount": None}, "invalid_request"),
        ({"destination_amount": 1}, "invalid_request"),
        ({"rate": "0"}, "invalid_rate"),
        ({"rate": "0.0000"}, "invalid_rate"),
        ({"rate": 0.9}, "invalid_request"),
        ({"rate": "01.5"}, "invalid_request"),
        ({"destination_currency": "USD"}, "invalid_request"),
        ({"rate": "9" * 19, "source_amount": 2**62}, "invalid_amount"),
        ({"fees": []}, "invalid_request"),
    ],
)
def test_an_exchange_that_cannot_be(service: Api, wrong: dict[str, Any], code: str) -> None:
    """One amount, two currencies and a rate above 0, or nothing runs."""
    al, euros = service.open_account(funded=1000), service.open_account("EUR")
    before = service.count_rows()
    body = {
        "source_account_id": al,
        "destination_account_id": euros,
        "source_currency": "USD",
        "destination_currency": "EUR",
        "rate": "0.9",
        "source_amount": 100,
    }
    answer = service.post("/v1/exchanges", {**body, **wrong})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, code)
    assert service.count_rows() == before
