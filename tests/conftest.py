"""What every test shares: how hard hypothesis tries, and which programs an oracle needs.

Never holds a fixture: those live beside what they start, as in tests/postgres.py.
"""

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres", "tests.server"]

# Deadlines measure the machine, not the code: tests run beside each other on few cores.
settings.register_profile(
    "short",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=2000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("long" if os.environ.get("CATENA_LONG") == "1" else "short")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """An oracle names its programs; without them it fails, or says why it is skipped."""
    for marker in item.iter_markers("oracle"):
        if not marker.args:
            pytest.fail("name the programs that this oracle needs: @pytest.mark.oracle('hledger')")
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing and os.environ.get("ALLOW_MISSING") == "1":
            pytest.skip(f"not installed: {', '.join(missing)}")
        if missing:
            pytest.fail(f"not installed: {', '.join(missing)} (ALLOW_MISSING=1 skips this test)")
