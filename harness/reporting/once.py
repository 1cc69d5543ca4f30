# SPDX-License-Identifier: GPL-2.0-only
"""A test runs once, and what it found is what is told.

A second try hides the loss that the suites look for, and a test whose body never ran shows nothing.
Plugins do both: they run a test again until it passes, answer in its place, or change the report.
These plugins need not be known here. In the process that runs the test its body is watched, and
what was seen travels with the report; where results are made of reports, each must be the one that
comes next. So is what clean-up raised, which is where alarms of the kernel are found.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from harness.reporting.markers import is_suite_test

#: What the report of a call carries: how often the body ran so far.
BODIES = "conformance_bodies"

_PHASES = ("setup", "call", "teardown")
_NO_FAILURE = (pytest.skip.Exception, pytest.xfail.Exception, pytest.exit.Exception)
_WHY = "a second try hides the loss that the suite looks for"

_RAN = pytest.StashKey[int]()
_RAISED = pytest.StashKey[BaseException]()
_RAISED_LATER = pytest.StashKey[BaseException]()


class ReplacedError(Exception):
    """Something else stands in the place of a test's body: nobody knows what it shows."""


# First and a wrapper: outside of whatever else answers in the place of the body.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Count how often the body runs, and keep what it raised."""
    body = pyfuncitem.obj
    if not is_suite_test(pyfuncitem) or inspect.iscoroutinefunction(body):
        return (yield)

    @functools.wraps(body)
    def watched(*args: Any, **more: Any) -> Any:
        pyfuncitem.stash[_RAN] = pyfuncitem.stash.get(_RAN, 0) + 1
        try:
            require_own(pyfuncitem, body)
            return body(*args, **more)
        except BaseException as error:
            pyfuncitem.stash.setdefault(_RAISED, error)
            raise

    pyfuncitem.obj = watched
    try:
        return (yield)
    finally:
        pyfuncitem.obj = body


def require_own(item: pytest.Function, body: Any) -> None:
    """The body must be the function of the test's own module: another may try again, or swallow."""
    own = getattr(body, "__globals__", None) is vars(item.module)
    code = getattr(body, "__code__", None)
    if not own or code is None or code.co_name != item.originalname:
        what = f"{code.co_name} of {code.co_filename}" if code else repr(body)
        raise ReplacedError(f"its body was replaced by {what}: {_WHY}")


# Last and a wrapper: inside of whatever else swallows what the clean-up raises.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Keep what it raised."""
    try:
        return (yield)
    except BaseException as error:
        item.stash.setdefault(_RAISED_LATER, error)
        raise


def failure(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> BaseException | None:
    """What failed in this phase, whatever the report says by now; it learns how often it ran."""
    error = call.excinfo.value if call.excinfo else None
    if call.when == "call":
        report.__dict__[BODIES] = item.stash.get(_RAN, 0)
        error = item.stash.get(_RAISED, None) or error
    elif call.when == "teardown":
        error = item.stash.get(_RAISED_LATER, None) or error
    return None if isinstance(error, _NO_FAILURE) else error


class Sequence:
    """The reports of one test so far."""

    def __init__(self) -> None:
        self._seen: list[str] = []

    def complaint(self, report: pytest.TestReport) -> str:
        """What is wrong with this report as the next one, or an empty text."""
        when = str(report.when)
        again = when in self._seen
        self._seen.append(when)
        bodies = getattr(report, BODIES, 0)
        if when not in _PHASES:
            return f"a report of a phase that no test has: {when!r}"
        if again:
            return f"its {when} ran {self._seen.count(when)} times: {_WHY}"
        if report.outcome not in ("passed", "failed", "skipped"):
            return f"a report that says {report.outcome!r}, which is no outcome of a test: {_WHY}"
        if hasattr(report, "wasxfail") and report.passed:
            return "a test of the suites is not expected to fail"
        if when == "call" and bodies > 1:
            return f"its body ran {bodies} times: {_WHY}"
        if when == "call" and report.passed and not bodies:
            return "its body did not run"
        return ""

    @property
    def has_called(self) -> bool:
        """Whether the body had its turn."""
        return "call" in self._seen
