"""The tests state a truth each, can fail, wait for nothing and fake nothing."""

import pytest

from tests.tidy import rules

TESTS = {
    path: text
    for path, text in rules.read_python("tests")
    if not path.startswith("tests/tidy/test_rules")
}


@pytest.mark.parametrize(
    "rule",
    [rules.find_bad_assertions, rules.find_long_sleeps, rules.find_mocks],
    ids=lambda rule: rule.__name__,
)
def test_the_tests_are_honest(rule: rules.Rule) -> None:
    """No test asserts nothing, sleeps, or replaces a part of ours behind its back."""
    assert [
        f"{path}: {complaint}" for path, text in TESTS.items() for complaint in rule(text)
    ] == []


def test_every_test_file_is_collected() -> None:
    """A file that holds tests is named so that pytest finds it."""
    assert [
        path
        for path, text in TESTS.items()
        if "\ndef test_" in text or "\nasync def test_" in text
        if not path.rpartition("/")[2].startswith("test_")
    ] == []
