# SPDX-License-Identifier: GPL-2.0-only
"""What this host is: the same properties on every test.

On every test and not on the session, for pytest-xdist loses the session's properties, and
consumers look at one test at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from harness.host import description
from harness.reporting import variants
from harness.reporting.markers import is_suite_test

_ENVIRONMENT = pytest.StashKey[dict[str, str]]()


def describe() -> dict[str, str]:
    """The host's properties, flat."""
    return flatten(description.describe())


def flatten(described: object) -> dict[str, str]:
    """A mapping, or a dataclass of plain values, as texts. ``None`` is left out."""
    if isinstance(described, Mapping):
        pairs = dict(described)
    elif dataclasses.is_dataclass(described) and not isinstance(described, type):
        pairs = {
            field.name: getattr(described, field.name) for field in dataclasses.fields(described)
        }
    else:
        raise TypeError(f"a host's description is a mapping or a dataclass, not {described!r}")
    return {str(key): _text(value) for key, value in pairs.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def of(config: pytest.Config) -> dict[str, str]:
    """The environment of this process, read once; and what this project's options left out."""
    if _ENVIRONMENT not in config.stash:
        narrowed = config.option.variants != variants.ALL
        more = {"variants": config.option.variants} if narrowed else {}
        bugs_of = config.option.without_bugs_of
        more |= {"without_bugs_of": bugs_of} if bugs_of else {}
        config.stash[_ENVIRONMENT] = {**describe(), **more}
    return config.stash[_ENVIRONMENT]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Record the properties on each test. A run that only lists does not look at the host."""
    chosen = [item for item in items if is_suite_test(item)]
    if config.option.collectonly or not chosen:
        return
    properties = list(of(config).items())
    for item in chosen:
        item.user_properties.extend(properties)
