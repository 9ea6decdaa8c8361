"""The settings of the road to partners."""

from __future__ import annotations

import pytest

from catena.errors import SetupError
from catena.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("True", True), ("0", False), ("false", False), ("FALSE", False)],
)
def test_a_truth_is_read(text: str, value: bool) -> None:  # noqa: FBT001
    """1 and true are yes, 0 and false are no."""
    settings = read_settings({"CATENA_ALLOW_PRIVATE_ADDRESSES": text})
    assert settings.allow_private_addresses is value


@pytest.mark.parametrize("text", ["", "yes", "no", "2", "on", " 1", "truetrue"])
def test_anything_else_is_no_truth(text: str) -> None:
    """A setting that could be meant either way stops the start."""
    with pytest.raises(SetupError) as caught:
        read_settings({"CATENA_ALLOW_PRIVATE_ADDRESSES": text})
    assert caught.value.detail == "CATENA_ALLOW_PRIVATE_ADDRESSES is not a valid bool."


def test_private_addresses_are_refused_by_default() -> None:
    """Who wants to call into the own network says so."""
    assert Settings().allow_private_addresses is False
    assert read_settings({}).allow_private_addresses is False


def test_numbers_are_read_as_before() -> None:
    """Another kind of setting is read by its own kind."""
    settings = read_settings({"CATENA_PORT": "1", "CATENA_OUTSIDE_CONNECT_SECONDS": "0.5"})
    assert (settings.port, settings.outside_connect_seconds) == (1, 0.5)
    with pytest.raises(SetupError):
        read_settings({"CATENA_PORT": "true"})


@pytest.mark.parametrize(
    ("lease", "call"), [("15", "15"), ("9.5", "10"), ("15", "0"), ("-1", "-2")]
)
def test_a_lease_is_longer_than_a_call(lease: str, call: str) -> None:
    """A call that may outlast its worker's lease would be taken over while it is made."""
    with pytest.raises(SetupError, match="must be longer than") as caught:
        read_settings({"CATENA_LEASE_SECONDS": lease, "CATENA_CALL_SECONDS": call})
    assert f"CATENA_CALL_SECONDS ({call})" in caught.value.detail


def test_a_longer_call_takes_a_longer_lease() -> None:
    """Partners that take their time are waited for, where the lease is set with it."""
    settings = read_settings({"CATENA_LEASE_SECONDS": "61", "CATENA_CALL_SECONDS": "60"})
    assert (settings.lease_seconds, settings.call_seconds) == (61, 60)
    assert Settings().lease_seconds > Settings().call_seconds
