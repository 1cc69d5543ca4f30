# SPDX-License-Identifier: GPL-2.0-only
"""That assertions assert, and say what they found.

Python leaves `assert` out when it optimizes (-O, PYTHONOPTIMIZE): each test would pass. Without
pytest's rewriting an assertion gives no explanation, and there would be a verdict without words.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

#: Modules whose assertions pytest rewrites, beside those of the tests: helpers of the suites.
REWRITTEN = ("suites",)

OPTIMIZED = (
    "Python runs optimized (-O or PYTHONOPTIMIZE) and leaves out every assertion, so that each "
    "test would pass. Run it without."
)
PLAIN = (
    "the suites need pytest's own assertions, for their words are the verdict. "
    "Leave out --assert=plain and -p no:assertion."
)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a run whose assertions would say nothing; for a worker of its own Python see below."""
    if hasattr(config, "workerinput"):
        return
    if sys.flags.optimize:
        raise pytest.UsageError(OPTIMIZED)
    if config.getoption("assertmode", "plain") != "rewrite":
        raise pytest.UsageError(PLAIN)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """A worker that optimizes collects nothing. pytest-xdist replaces one that ends, for ever."""
    report: pytest.CollectReport = yield  # type: ignore[assignment]
    if sys.flags.optimize:
        report.outcome, report.longrepr, report.result = "failed", OPTIMIZED, []
    return report  # type: ignore[return-value]
