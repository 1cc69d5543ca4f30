# SPDX-License-Identifier: GPL-2.0-only
"""``--without-bugs-of VERSION``: without the tests that known bugs of that kernel fail.

For a mutation: a test that the stock kernel fails says nothing about a mutant. Only what
``harness/claims/known_issues.toml`` names can be left out, and the verdict's host line tells it.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness.claims import CatalogueError, known_issues
from harness.claims.versions import VERSION
from harness.reporting.identity import IdentityError, result_id
from harness.reporting.markers import is_suite_test, true_nodeid


def add_options(parser: pytest.Parser) -> None:
    """--without-bugs-of."""
    parser.getgroup("immediate_exit conformance").addoption(
        "--without-bugs-of",
        default="",
        metavar="VERSION",
        help="leave out the tests that known bugs of this kernel fail, such as 6.12",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what is no version before anything runs."""
    version = config.option.without_bugs_of
    if version and not VERSION.fullmatch(version):
        raise pytest.UsageError(f"--without-bugs-of: a version such as 6.12, not {version!r}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out."""
    if config.option.without_bugs_of:
        stay = set(kept(config, items))
        out = [item for item in items if item not in stay]
        items[:] = [item for item in items if item in stay]
        config.hook.pytest_deselected(items=out)


def kept(config: pytest.Config, items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests that --without-bugs-of leaves."""
    version = config.option.without_bugs_of
    if not version:
        return list(items)
    try:
        out = {test for bug in known_issues.of_version(version) for test in bug.tests}
    except CatalogueError as error:
        raise pytest.UsageError(f"--without-bugs-of: {error}") from None
    return [each for each in items if not is_suite_test(each) or _result_id(each) not in out]


def _result_id(item: pytest.Item) -> str:
    """That of a suite's test; empty where it has none, which is told elsewhere."""
    try:
        return result_id(true_nodeid(item))
    except IdentityError:
        return ""
