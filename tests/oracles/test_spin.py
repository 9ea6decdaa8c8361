"""Spin explores every state of docs/model/chain.pml: the protocol holds, and its twins do not.

Each twin breaks the protocol in one place and must be caught by the property that is named for it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

MODEL = Path(__file__).resolve().parents[2] / "docs" / "model" / "chain.pml"
SOURCE = MODEL.read_text(encoding="utf-8")

pytestmark = pytest.mark.oracle("spin", "gcc")

# Statements stay apart (-o3), so that Spin tells of each whether it was reached. Unoptimised C:
# the compiler would take longer than the search does.
GENERATE = ("spin", "-o3", "-a")
COMPILE = ("gcc", "-O0", "-w")
SAFETY = ("-DSAFETY", "-DNOCLAIM")
DEPTH = "-m20000"
FAULTS = 3
FAULTS_OF_LIVENESS = 3 if os.environ.get("CATENA_LONG") == "1" else 2

TWINS = {
    "NO_FENCE": "I9_fence",
    "EXPIRE_PAST_PIVOT": "I8_lien_kept",
    "SETTLE_LATER": "I8_liens_end",
    "NEW_ROUND": "I7_once",
    "CALL_AFRESH": "I7_once",
    "FAIL_WHILE_OUT": "pivot_is_awaited",
    "NO_VERSION": "I8_lien_kept",
    "TRUST_NOT_FOUND": "I6_net_effect",
    "TRUST_REVOKING": "I6_net_effect",
    "REVOKE_SOUND": "only_failing_is_revoked",
    "CALL_WHEN_FAILED": "failed_starts_nothing",
    "CALL_WHEN_HELD": "I12_hold",
    "CANCEL_PAID": "I13_pivot",
}
"""Each switch, and the property that must catch it."""

HARMS = {
    "NO_FENCE": "I7_once",
    "EXPIRE_PAST_PIVOT": "I6_net_effect",
    "FAIL_WHILE_OUT": "I6_net_effect",
    "NO_VERSION": "I3_no_overdraft",
    "CANCEL_PAID": "I6_net_effect",
}
"""What some of them do to money when nobody looks at the rule that they break."""

REACHED = re.findall(r"(?m)^ltl (reach_\w+)", SOURCE)


class Search(NamedTuple):
    """What a verifier printed."""

    said: str

    @property
    def errors(self) -> int:
        """How many it found; it stops at the first."""
        found = re.search(r"errors: (\d+)", self.said)
        assert found is not None, self.said
        return int(found[1])

    @property
    def violated(self) -> str | None:
        """The property of ours that an assertion named, if one did."""
        found = re.search(r"assertion violated (\w+) ", self.said)
        return found and found[1]

    @property
    def states(self) -> int:
        """How many different states were visited."""
        found = re.search(r"(\d+) states, stored", self.said)
        assert found is not None, self.said
        return int(found[1])

    def assert_exhaustive(self) -> None:
        """It ran to its end: neither memory nor depth were too small."""
        for bad in ("max search depth too small", "out of memory", "not completed", "truncated"):
            assert bad not in self.said, self.said


def build(folder: Path, compile_flags: tuple[str, ...], *switches: str) -> Path:
    """Compile the model, so switched, to a verifier."""
    made = [f"-D{switch}" for switch in switches]
    subprocess.run(
        [*GENERATE, *made, str(MODEL)], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    subprocess.run([*COMPILE, *compile_flags, "-o", "pan", "pan.c"], cwd=folder, check=True)
    return folder / "pan"


def search(pan: Path, *flags: str) -> Search:
    """Run the verifier in its own folder."""
    done = subprocess.run(
        [str(pan), DEPTH, *flags], cwd=pan.parent, capture_output=True, text=True, check=False
    )
    assert done.stderr == "", done.stderr
    return Search(done.stdout)


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound model's verifier for what is said in temporal logic."""
    return build(tmp_path_factory.mktemp("claims"), (), f"FAULTS={FAULTS}")


def find_dead_lines(pan: Path, said: str) -> list[int]:
    """Lines of the model that were reached in none of the places where they are inlined."""
    tables = subprocess.run(
        [str(pan), "-d"], cwd=pan.parent, capture_output=True, text=True, check=True
    ).stdout
    places = Counter(
        int(line) for line in re.findall(r"\bstate +\d+ -\(tr.*?chain\.pml:(\d+) =>", tables)
    )
    unreached = Counter(int(line) for line in re.findall(r"chain\.pml:(\d+), state \d+, ", said))
    assert places
    return sorted(line for line, count in unreached.items() if count >= places[line])


def may_be_dead(line: int) -> bool:
    """Whether it closes a process, which run for ever, or says that it is there for the twins."""
    text = SOURCE.splitlines()[line - 1]
    return text == "}" or "only in broken twins" in text


def test_the_protocol_is_safe(tmp_path: Path) -> None:
    """No interleaving of any three faults breaks a property, and every line was at work."""
    pan = build(tmp_path, SAFETY, f"FAULTS={FAULTS}")
    found = search(pan)
    assert (found.errors, found.violated) == (0, None), found.said
    found.assert_exhaustive()
    assert found.states > 1_000_000
    dead = find_dead_lines(pan, found.said)
    assert [line for line in dead if not may_be_dead(line)] == []


def test_every_chain_ends(tmp_path: Path) -> None:
    """I10: once faults stop, and whoever can act does act, the chain becomes terminal."""
    pan = build(tmp_path, (), f"FAULTS={FAULTS_OF_LIVENESS}")
    found = search(pan, "-a", "-f", "-N", "I10_ends")
    assert found.errors == 0, found.said
    found.assert_exhaustive()
    assert found.states > 100_000


@pytest.mark.xdist_group("claims of the sound model")
@pytest.mark.parametrize("claim", REACHED)
def test_what_matters_is_reached(claims: Path, claim: str) -> None:
    """The model does not hold by idleness: what is claimed never to happen does happen."""
    found = search(claims, "-a", "-N", claim)
    assert f"ltl formula {claim}" in found.said
    assert found.errors == 1, found.said
    assert re.search(r"assertion violated +!\( !\( !\(", found.said), found.said


@pytest.mark.parametrize("twin", TWINS)
def test_a_broken_twin_is_caught(twin: str, tmp_path: Path) -> None:
    """Each twin fails, and by the property that is there for it."""
    found = search(build(tmp_path, SAFETY, f"FAULTS={FAULTS}", f"TWIN_{twin}"))
    assert (found.errors, found.violated) == (1, TWINS[twin]), found.said


@pytest.mark.parametrize("twin", HARMS)
def test_a_broken_rule_costs_money(twin: str, tmp_path: Path) -> None:
    """The rules are no formality: past a broken one, money or an outside effect is wrong."""
    pan = build(tmp_path, SAFETY, f"FAULTS={FAULTS}", f"TWIN_{twin}", "HARM_ONLY")
    found = search(pan)
    assert (found.errors, found.violated) == (1, HARMS[twin]), found.said


def test_without_takeover_chains_hang(tmp_path: Path) -> None:
    """I10 is no formality: where nobody takes over expired leases, a chain never ends."""
    pan = build(tmp_path, (), f"FAULTS={FAULTS_OF_LIVENESS}", "TWIN_NO_TAKEOVER")
    found = search(pan, "-a", "-f", "-N", "I10_ends")
    assert found.errors == 1, found.said
    assert "acceptance cycle" in found.said


def test_every_twin_is_tested() -> None:
    """The model has no switch that is not listed here, and no property that no twin breaks."""
    switches = set(re.findall(r"TWIN_(\w+)", SOURCE.partition("must be true")[2]))
    assert switches == {*TWINS, "NO_TAKEOVER"}
    properties = set(re.findall(r"(?m)^bool (\w+) = true;", SOURCE))
    assert properties == {*TWINS.values(), *HARMS.values()}
