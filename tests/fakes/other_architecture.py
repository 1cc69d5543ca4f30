# SPDX-License-Identifier: GPL-2.0-only
"""A plugin for pytest: this machine is of an architecture that has no module."""

from __future__ import annotations

import platform

NAME = "s390x"


def _machine() -> str:
    return NAME


platform.machine = _machine
