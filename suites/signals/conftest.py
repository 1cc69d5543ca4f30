# SPDX-License-Identifier: GPL-2.0-only
"""What several files of this chapter share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.kvm.signals import Blocked, CountingHandler
from suites.dimensions import KICK


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    """This thread blocks the kick: sent to it, it stays pending.

    There is a handler, for a broken kernel that delivers the kick must not end the tests.
    """
    with CountingHandler(KICK), Blocked(KICK) as held:
        yield held
