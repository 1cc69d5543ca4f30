# SPDX-License-Identifier: GPL-2.0-only
"""``--variants one``: each test once, where it stands for several guest modes and controllers.

A slow host, such as an emulated one, cannot afford each test in each of them. What is left out is
chosen from the tests that were collected: of a test that is there for several values of a
dimension only those with one value stay; but all of them, where the claim is about that dimension
(`preset.every_guest_mode`). Other parameters (devices, turns, programs) decide what a test shows,
and all of them stay. So every claim keeps its tests, and pytest-xdist's workers, which collect for
themselves, agree.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness.reporting.markers import is_suite_test, property_of

ALL = "all"
ONE = "one"
#: The dimensions of conftest.py, and which of their values stays, in the order of the parameters:
#: the last mode is the architecture's richest, the first interrupt controller the fixture's own.
_KEPT = {"guest_mode": -1, "irqchip": 0}
_Test = tuple[str, frozenset[tuple[str, int]]]


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
        values: dict[_Test, list[object]] = {}
        for item in kept:
            values.setdefault(_test(item, dimension), []).append(_value(item, dimension))
        kept = [
            item
            for item in kept
            if property_of(item, "claim").endswith(f".every_{dimension}")
            or _value(item, dimension) == list(dict.fromkeys(values[_test(item, dimension)]))[place]
        ]
    return kept


def _test(item: pytest.Item, dimension: str) -> _Test:
    """What is the same in several values of a dimension: the function, and its other parameters.

    A line of a list that names its own controller is one test, not a variant of the other lines.
    """
    callspec = getattr(item, "callspec", None)
    given = callspec.params.items() if callspec else ()
    others = {(name, id(value)) for name, value in given if name != dimension}
    return item.nodeid.partition("[")[0], frozenset(others)


def _value(item: pytest.Item, dimension: str) -> object:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(dimension) if callspec else None
