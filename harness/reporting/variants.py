# SPDX-License-Identifier: GPL-2.0-only
"""``--variants one``: each test once, where it stands for several guest modes and controllers.

A slow host, such as an emulated one, cannot afford each test in each of them. What is left out is
chosen from the tests that were collected: of tests that differ in nothing but the value of a
dimension only the one with one value stays; but all of them, where the test is marked to keep that
dimension (`pytest.mark.keeps`): what it looks at differs between the values, as the guest modes do
for `preset.every_guest_mode`, and the state of an interrupt controller, which KVM has only where
that is in the kernel, for `preset.state_untouched`. Other parameters (devices, turns, programs)
decide what a test shows, and all of them stay. So every claim keeps its tests, and pytest-xdist's
workers, which collect for themselves, agree.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness.reporting.markers import is_suite_test

ALL = "all"
ONE = "one"
#: The dimensions of conftest.py, and which of their values stays, in the order of the parameters:
#: the last mode is the architecture's richest, the first interrupt controller the fixture's own.
_KEPT = {"guest_mode": -1, "irqchip": 0}


def add_options(parser: pytest.Parser) -> None:
    """--variants."""
    parser.getgroup("immediate_exit conformance").addoption(
        "--variants",
        choices=(ALL, ONE),
        default=ALL,
        help="all: each test in each guest mode and with each interrupt controller that it names;"
        " one: in one of them (default: all)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what stands for a variant too many."""
    if config.option.variants == ALL:
        return
    stay = set(kept(config, items))
    out = {item for item in items if is_suite_test(item) and item not in stay}
    if out:
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=list(out))


def kept(config: pytest.Config, items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests that --variants leaves."""
    return list(items) if config.option.variants == ALL else one_of_each(items)


def one_of_each(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests with one value of each dimension."""
    kept = list(items)
    for dimension, place in _KEPT.items():
        values: dict[object, list[object]] = {}
        for item in kept:
            values.setdefault(_but_for(item, dimension), []).append(_value(item, dimension))
        kept = [
            item
            for item in kept
            if dimension in _kept_dimensions(item)
            or _value(item, dimension)
            == list(dict.fromkeys(values[_but_for(item, dimension)]))[place]
        ]
    return kept


def _kept_dimensions(item: pytest.Item) -> set[object]:
    return {name for marker in item.iter_markers("keeps") for name in marker.args}


def _but_for(item: pytest.Item, dimension: str) -> tuple[object, ...]:
    """The test without its value of a dimension: the function and its other parameters."""
    callspec = getattr(item, "callspec", None)
    others = callspec.params.items() if callspec else ()
    # The same object for all tests that were made of it; it need not be hashable.
    return item.nodeid.partition("[")[0], *((n, id(v)) for n, v in others if n != dimension)


def _value(item: pytest.Item, dimension: str) -> object:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(dimension) if callspec else None
