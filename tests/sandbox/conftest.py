"""Fixtures that the sandbox's tests share."""

from tests.sandbox.running import play, sandbox

__all__ = ["play", "sandbox"]
