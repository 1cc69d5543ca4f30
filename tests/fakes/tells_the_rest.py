# SPDX-License-Identifier: GPL-2.0-only
"""A plugin of pytest that tells what the claims have besides the collected tests.

And how many tests there are by the marks; each has to have the body of its own module.
"""

from __future__ import annotations

import pytest

from harness.reporting import markers, once, whole


def pytest_unconfigure(config: pytest.Config) -> None:
    print(config.stash[KEY])


KEY = pytest.StashKey[str]()


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        once.require_own(item, item.obj)
    marked = sum(markers.variants(session.config).values()) - len(session.items)
    session.config.stash[KEY] = f"the rest: {whole.rest(session)}, {marked} more by their marks"
