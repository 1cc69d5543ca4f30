# SPDX-License-Identifier: GPL-2.0-only
"""JSON for programs: all that `found` has, and the counts. Its version changes with its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from lab.results.found import FoundSuite, Status

VERSION = 2


def render(suites: Sequence[FoundSuite]) -> str:
    """The file."""
    document = {"version": VERSION, "suites": [_suite(each) for each in suites]}
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _suite(suite: FoundSuite) -> Mapping[str, Any]:
    counts = suite.counts()
    told: dict[str, Any] = msgspec.to_builtins(replace(suite, place=None))
    del told["place"]  # of this machine
    claims = [
        {**claim, "status": found.status}
        for claim, found in zip(told.pop("claims"), suite.claims, strict=True)
    ]
    return {**told, "counts": {each.value: counts[each] for each in Status}, "claims": claims}
