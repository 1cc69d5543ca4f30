# SPDX-License-Identifier: GPL-2.0-only
"""The entry of the reporting plugin: name it in ``pytest_plugins`` of the top conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import inherited
from harness.reporting import (
    alive,
    asserting,
    calls,
    environment,
    known_bugs,
    markers,
    once,
    order,
    plan,
    recorder,
    refusals,
    results,
    variants,
)

pytest.register_assert_rewrite(*asserting.REWRITTEN)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of every part."""
    markers.add_options(parser)
    plan.add_options(parser)
    variants.add_options(parser)
    known_bugs.add_options(parser)
    order.add_options(parser)
    alive.add_options(parser)
    group = parser.getgroup("immediate_exit conformance")
    group.addoption(
        "--results",
        type=plan.file_name,
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
    inherited.undo()  # here, for plain pytest and each worker: no launcher has done it
    refusals.check(config)
    parts: dict[str, object] = {
        part.__name__: part
        for part in (
            asserting,
            markers,
            variants,
            known_bugs,
            order,
            environment,
            plan,
            once,
            calls,
        )
    }
    if not plan.is_worker(config):
        parts[recorder.NAME] = recorder.Recorder(config)
        parts[alive.NAME] = alive.Alive(config)
    for name, part in parts.items():
        if config.pluginmanager.register(part, name) is None:
            raise pytest.UsageError(f"-p no:{name}: without it the verdict would not be one")


# First and a wrapper: what another plugin made of the report is done by then.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let what is known of a failure travel with its report."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    error = once.failure(item, call, report) if markers.is_suite_test(item) else None
    if error is not None:
        found = pytest.ExceptionInfo.from_exception(error)
        report.__dict__["conformance"] = results.evidence(report, found)
    return report  # type: ignore[return-value]
