# SPDX-License-Identifier: GPL-2.0-only
"""``--first``, ``--sooner`` and ``--stop-after``: some tests first, and no test begun too late.

For a run that asks one question before all others and has little time, such as whether a broken
KVM is refuted by the claims that it breaks. After the time only tests of the claims named first
still begin, and of those only of claims that did not fail yet: the question is always answered.
Of the tests of one claim those come sooner that are likely to answer, where somebody knows.
What did not run has no result, and the journal's line ``stopped_early`` says so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import claims
from harness.reporting.markers import is_suite_test, property_of


def add_options(parser: pytest.Parser) -> None:
    """--first, --sooner and --stop-after."""
    group = parser.getgroup("immediate_exit conformance")
    group.addoption(
        "--first",
        action="append",
        default=[],
        metavar="ID",
        help="run the tests of this claim first; may be repeated, in order",
    )
    group.addoption(
        "--sooner",
        action="append",
        default=[],
        metavar="ID",
        help="of one claim's tests, run those sooner whose result id begins so; may be repeated",
    )
    group.addoption(
        "--stop-after",
        type=float,
        metavar="SECONDS",
        help="begin no test later than this after the first, but those of --first until they fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a claim that is none before anything runs."""
    for name in config.option.first:
        if name not in claims.catalogue():
            raise pytest.UsageError(f"--first: there is no claim {name!r}")
    if config.option.stop_after is not None and not config.option.stop_after >= 0:  # or NaN
        raise pytest.UsageError("--stop-after: a number of seconds from 0 up")
    config.pluginmanager.register(Clock(config.option.first, config.option.stop_after))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """True for a file without a test that has a turn: to read it takes seconds on a slow host."""
    if config.option.stop_after != 0 or not config.option.first:
        return None
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    return None if any(f'claim("{name}")' in text for name in config.option.first) else True


# Last, for what is left out by then needs no place.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of the claims named first before the others, which keep their order."""
    first: Sequence[str] = config.option.first
    places = {name: place for place, name in enumerate(first)}
    sooner: tuple[str, ...] = tuple(config.option.sooner)

    def place(item: pytest.Item) -> tuple[int, bool]:
        claims_place = places.get(property_of(item, "claim"), len(places))
        return claims_place, not property_of(item, "id").startswith(sooner or ("\0",))

    items.sort(key=place)


class Clock:
    """Leaves tests out once the time is over."""

    def __init__(self, first: Sequence[str], seconds: float | None) -> None:
        self._waited_for = set(first)
        self._seconds = seconds
        self._started: float | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """True, which is 'done', for a test that must not begin any more."""
        now = time.monotonic()
        self._started = now if self._started is None else self._started
        if self._seconds is None or now - self._started < self._seconds:
            return None
        if not is_suite_test(item) or property_of(item, "claim") in self._waited_for:
            return None
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A claim that failed is decided. A test that broke decides nothing."""
        if getattr(report, "conformance", {}).get("verdict"):
            claim = str(dict(report.user_properties).get("claim", ""))
            self._waited_for.discard(claim)
