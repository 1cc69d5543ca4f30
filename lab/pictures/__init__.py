# SPDX-License-Identifier: GPL-2.0-only
"""Pictures of results, by matplotlib, which a bare set-up lacks: imported when one is drawn."""

from __future__ import annotations

import importlib.util


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None
