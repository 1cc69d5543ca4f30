# SPDX-License-Identifier: GPL-2.0-only
"""The entry of the reporting plugin: name it in ``pytest_plugins`` of the top conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.reporting import (
    alive,
    asserting,
    environment,
    markers,
    order,
    plan,
    recorder,
    results,
    variants,
)
from harness.reporting.identity import is_suite_test

pytest.register_assert_rewrite(*asserting.REWRITTEN)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of every part."""
    markers.add_options(parser)
    plan.add_options(parser)
    variants.add_options(parser)
    order.add_options(parser)
    alive.add_options(parser)
    group = parser.getgroup("immediate_exit conformance")
    group.addoption(
        "--results",
        metavar="DIR",
        help="write the journal and the environment to DIR (write it as --results=DIR)",
    )
    group.addoption(
        "--run-id",
        default="",
        metavar="ID",
        help="the journal's id of this run (default: a new one)",
    )
    group.addoption(
        "--require-kvm",
        action="store_true",
        help="a run in which nothing could be tested is a failure",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the parts; record in one process only, not in pytest-xdist's workers."""
    for part in (asserting, markers, variants, order, environment, plan):
        config.pluginmanager.register(part, part.__name__)
    if not plan.is_worker(config):
        config.pluginmanager.register(recorder.Recorder(config), recorder.NAME)
        config.pluginmanager.register(alive.Alive(config), alive.NAME)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let what is known of a failure travel with its report."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed and call.excinfo is not None and is_suite_test(item.nodeid):
        report.__dict__["conformance"] = results.evidence(report, call.excinfo)
    return report  # type: ignore[return-value]
