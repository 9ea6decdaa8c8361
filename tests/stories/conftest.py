"""The stories' own modules explain their failed assertions as tests do."""

import pytest

pytest.register_assert_rewrite(
    "tests.stories.audit",
    "tests.stories.bank",
    "tests.stories.chain_audit",
    "tests.stories.chain_orders",
    "tests.stories.processes",
)
