# SPDX-License-Identifier: GPL-2.0-only
"""A plugin of pytest that tells what the claims have besides the collected tests."""

from __future__ import annotations

import pytest

from harness.reporting import whole


def pytest_unconfigure(config: pytest.Config) -> None:
    print(f"the rest: {config.stash[KEY]}")


KEY = pytest.StashKey[object]()


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[KEY] = whole.rest(session)
