"""What is measured: a probe's samples, and the figures that compare them.

Invariant: a figure is computed from samples of one round, then the median of the rounds is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.rig import Rig

__all__ = ["Figure", "NotMeasured", "Probe", "Round", "Sample", "Scenario", "Used", "read_figure"]


class NotMeasured(Exception):
    """A scenario cannot run here; the text says why."""


@dataclass(slots=True)
class Used:
    """What a run used. Seconds of processor time by who spent them: api, postgres, generator."""

    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    log_bytes: int = 0
    checkpoints: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measured run. An operation is what the probe counts: a transfer, a read, a page."""

    operations: int
    seconds: float
    used: Used
    unexpected: int
    """Answers with another status than the expected one, and connections that failed."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    api_mb: float | None = None
    """Largest resident memory of the API process during the run."""
    late_seconds: float | None = None
    """Of the last operation, beyond the moment from which on it could have been done."""

    @property
    def per_second(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    @property
    def cpu_us(self) -> dict[str, float]:
        """Processor time of an operation, by who spent it."""
        spent = self.used.cpu_seconds
        return {name: seconds * 1e6 / self.operations for name, seconds in spent.items()}

    @property
    def server_cpu_us(self) -> float:
        """Processor time of an operation in the service and PostgreSQL together."""
        return self.cpu_us["api"] + self.cpu_us["postgres"]


Round = Mapping[str, Sample]
"""The samples of one round, by probe."""


class Probe(NamedTuple):
    """One thing that can be measured again and again. `run` takes seconds."""

    name: str
    run: Callable[[int], Sample]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of one round, and what it should reach: at least `reach`, or else at most; None:
    it is only told.

    `name` is short, for the head of a column; `says` tells what it is.
    """

    name: str
    says: str
    unit: str
    reach: float | None
    of: Callable[[Round], float]
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """Probes that belong together. `prepare` makes what they need, and may raise NotMeasured."""

    name: str
    prepare: Callable[[Rig, Plan], Sequence[Probe]]
    figures: Sequence[Figure] = ()


def read_figure(figure: Figure, rounds: Sequence[Round]) -> tuple[float, list[float]] | None:
    """The figure's median and its value in each round; None when a probe of it is missing."""
    try:
        values = [figure.of(samples) for samples in rounds]
    except KeyError:
        return None
    return (median(values), values) if values else None
