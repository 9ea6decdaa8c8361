"""Counts and latencies of one bounded run: what every load generator of ours in Python keeps.

Invariant: only what began after the warm-up counts, and nothing begins after the end.
It needs the standard library alone, for a peer's environment has nothing of ours.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

__all__ = ["Tally", "add_bounds", "bounded", "check_loopback"]

_SECONDS_MAX: Final = 600
_CONCURRENCY_MAX: Final = 256
_COUNT_MAX: Final = 5_000_000


@dataclass(slots=True)
class Tally:
    """A run of `seconds` after `warm` seconds, and at most `most` operations. For threads too."""

    seconds: float
    warm: float
    most: int
    clock: Callable[[], float] = time.perf_counter
    begun: int = 0
    finished: int = 0
    """All of them, those of the warm-up too."""
    began_at: float = 0.0
    last_at: float = 0.0
    latencies: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin the warm-up, or the run itself where there is none."""
        self.began_at = self.clock() + self.warm

    def begin(self) -> float | None:
        """The moment at which an operation begins; None when the run is over."""
        with self.lock:
            now = self.clock()
            if now >= self.began_at + self.seconds or self.begun >= self.most:
                return None
            self.begun += 1
            return now

    def end(self, began: float) -> None:
        """Count an operation that is finished."""
        with self.lock:
            now = self.clock()
            self.finished += 1
            if began >= self.began_at:
                self.latencies.append(now - began)
                self.last_at = now

    def report(self) -> dict[str, float | int | None]:
        """Operations a second over the time until the last one was finished, and latencies."""
        elapsed = max(self.last_at - self.began_at, 0.0)
        ordered = sorted(self.latencies)
        return {
            "operations": len(ordered),
            "seconds": round(elapsed, 3),
            "per_second": round(len(ordered) / elapsed, 1) if elapsed else 0.0,
            "p50_ms": _quantile_ms(ordered, 0.5),
            "p99_ms": _quantile_ms(ordered, 0.99),
            "finished": self.finished,
        }


def _quantile_ms(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3, 3)


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """The options by which every run is bounded in time and in count."""
    parser.add_argument("--seconds", type=bounded(float, _SECONDS_MAX), default=10.0)
    parser.add_argument("--warm", type=bounded(float, _SECONDS_MAX), default=1.0)
    parser.add_argument("--most", type=bounded(int, _COUNT_MAX), default=1_000_000)
    parser.add_argument("--concurrency", type=bounded(int, _CONCURRENCY_MAX, 1), default=8)


def bounded(kind: Callable[[str], float], most: float, least: float = 0) -> Callable[[str], float]:
    """A type for argparse: a figure of `least` to `most`."""

    def figure(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}.")
        return value

    return figure


def check_loopback(url: str) -> str:
    """The URL of a server on this machine, as it came. Raises ArgumentTypeError for another."""
    host = urlsplit(url).hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise argparse.ArgumentTypeError("Only a server on this machine is put under load.")
    return url
