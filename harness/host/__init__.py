# SPDX-License-Identifier: GPL-2.0-only
"""What this host is, and what it cannot do."""

from __future__ import annotations

from harness.host.description import Host, describe
from harness.host.obstacles import Obstacle, preflight

__all__ = ["Host", "Obstacle", "describe", "preflight"]
