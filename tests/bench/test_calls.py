"""The partner and those who call it: processes of the bench that need no peer's environment."""

import argparse
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from bench.partner import HELD, run_partner
from bench.peers.running import find_peers
from bench.probes import NotMeasured
from bench.tally import Tally, check_loopback
from tests.tidy.rules import REPO

LIFE_SECONDS = 60


def run_bare_client(url: str, *options: str) -> dict[str, Any]:
    """Run `python -m bench.bare_client` for half a second; gives what it says."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "bench.bare_client", "--url", url),
            *("--seconds", "0.5", "--warm", "0", "--concurrency", "4", *options),
        ],
        check=False,
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    said: dict[str, Any] = json.loads(finished.stdout)
    return said


def test_each_call_reaches_the_partner_once() -> None:
    """The partner counts as many requests and keys as the bare client had answered with a yes."""
    with run_partner(LIFE_SECONDS) as partner:
        said = run_bare_client(partner.url)
    assert said["unexpected"] == 0
    assert said["operations"] > 0
    assert said["per_second"] > 0
    assert 0 < said["p50_ms"] <= said["p99_ms"]
    assert (partner.requests, partner.keys) == (said["finished"], said["finished"])


def test_a_run_is_bounded_in_count() -> None:
    """No more calls are made than --most allows, however much time is left."""
    with run_partner(LIFE_SECONDS) as partner:
        said = run_bare_client(partner.url, "--most", "7")
    assert said["finished"] == 7
    assert partner.requests == 7


def test_a_repeated_key_is_counted_once() -> None:
    """Two calls with one key are two requests and one key; one without a key is a request."""
    with run_partner(LIFE_SECONDS) as partner, httpx2.Client(base_url=partner.url) as client:
        for headers in ({"Idempotency-Key": "a"}, {"Idempotency-Key": "a"}, {}):
            answer = client.post("/v1/payouts", json={"amount": "1"}, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"status": "approved"})
        assert client.get("/counts").json() == {"requests": 3, "keys": 1, "lost": 0}
        assert client.get("/v1/payouts").status_code == 404
    assert (partner.requests, partner.keys) == (3, 1)


def test_a_connection_is_kept_unless_it_is_asked_to_close() -> None:
    """Calls in one piece are answered on one connection, in order; `close` ends it."""
    call = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}"
    last = call.replace(b"Host", b"Connection: close\r\nHost")
    with run_partner(LIFE_SECONDS) as partner:
        place = urlsplit(partner.url)
        assert place.hostname is not None
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(call + call)
            connection.sendall(last)
            with connection.makefile("rb") as answers:
                assert answers.read().count(b"HTTP/1.1 200 OK") == 3
    assert partner.requests == 3


def test_a_held_call_is_answered_when_its_key_comes_again() -> None:
    """A key's first call is held until its connection ends, the next one answered; both timed."""
    key = {"Idempotency-Key": "a"}
    with run_partner(LIFE_SECONDS) as partner, httpx2.Client(base_url=partner.url) as client:
        with pytest.raises(httpx2.ReadTimeout):
            client.post(HELD, headers=key, timeout=0.1)
        assert client.post(HELD, headers=key).status_code == 200
        assert client.get("/counts").json() == {"requests": 2, "keys": 1, "lost": 1}
        first, second = client.get("/arrivals").json()["a"]
    assert 0 < first < second


def test_a_partner_ends_by_itself() -> None:
    """A partner whose life is over says what it counted and leaves."""
    finished = subprocess.run(
        [sys.executable, "-m", "bench.partner", "--life", "0"],
        check=True,
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert json.loads(finished.stdout.splitlines()[-1]) == {"requests": 0, "keys": 0, "lost": 0}


def test_only_what_began_after_the_warm_up_counts() -> None:
    """A rate is of the time after the warm-up, until the last operation was finished."""
    moments = iter([0.0, 1.0, 2.5, 2.5, 3.0, 3.0, 6.0, 7.0])
    tally = Tally(seconds=5, warm=2, most=10, clock=lambda: next(moments))
    tally.start()
    while (began := tally.begin()) is not None:
        tally.end(began)
    assert tally.report() == {
        "operations": 2,
        "seconds": 4.0,
        "per_second": 0.5,
        "p50_ms": 3000.0,
        "p99_ms": 3000.0,
        "finished": 3,
    }


@pytest.mark.parametrize("url", ["http://192.0.2.1:80", "http://example.com", "nothing"])
def test_only_this_machine_is_put_under_load(url: str) -> None:
    """An address that is not of the loopback is refused before anything is sent."""
    with pytest.raises(argparse.ArgumentTypeError):
        check_loopback(url)
    assert check_loopback("http://127.0.0.1:8000") == "http://127.0.0.1:8000"


def test_without_their_environment_peers_are_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the peers are not installed, their figures are missing and the reason is told."""
    monkeypatch.setenv("PEERS", str(tmp_path))
    with pytest.raises(NotMeasured, match="make bench"):
        find_peers()
