# SPDX-License-Identifier: GPL-2.0-only
"""A test that fails tells what it asked of KVM, so that a program can ask the same.

The first ones of each claim and process: they would else fill the results of a broken kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from harness.kvm import call_log
from harness.kvm.call_log import CallLog
from harness.kvm.unmet import UnmetError, told
from harness.reporting.markers import is_suite_test, property_of
from harness.reporting.results import CALLS

_LOG = pytest.StashKey[CallLog]()
_MOST_OF_A_CLAIM = 3  # of the first perhaps no program can be made
_told: Counter[str] = Counter()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what is asked of KVM, fixtures included."""
    if not is_suite_test(item) or _told[property_of(item, "claim")] >= _MOST_OF_A_CLAIM:
        return (yield)
    with call_log.log_calls() as log:
        item.stash[_LOG] = log
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """It travels with the report, and not as a property of the test: JUnit would have it all."""
    report = yield
    log, error = item.stash.get(_LOG, None), call.excinfo.value if call.excinfo else None
    if not isinstance(error, UnmetError) or call.when != "call":
        return report
    if calls := error.calls or (log and told(log, error)):
        _told[property_of(item, "claim")] += 1
        report.__dict__[CALLS] = calls.as_json().decode()
    return report
