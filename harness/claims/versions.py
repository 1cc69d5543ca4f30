# SPDX-License-Identifier: GPL-2.0-only
"""Versions of kernels, as the catalogues name them: 6.12."""

from __future__ import annotations

import re

VERSION = re.compile(r"\d+\.\d+")


def is_between(version: str, since: str, until: str) -> bool:
    """Whether a kernel's version is one of these; an empty text is no bound."""
    number = version_number(version)
    return not (
        (since and number < version_number(since)) or (until and number > version_number(until))
    )


def version_number(version: str) -> tuple[int, int]:
    """6.1.0-56-amd64 as (6, 1)."""
    major, minor = version.split(".")[:2]
    return int(major), int(re.match(r"\d+", minor)[0])  # type: ignore[index]
