# SPDX-License-Identifier: GPL-2.0-only
"""JUnit and TAP by openQA's own parsers (Debian's package openqa-client), which are Perl modules."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lab.results import formats
from lab.results.found import Status
from tests.fakes.programs import need
from tests.lab.results.journals import KINDS, found

PROGRAM = Path(__file__).with_name("openqa.pl")


@pytest.fixture(autouse=True)
def openqa() -> None:
    need("openqa-cli")


def parsed(parser: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "results"
    file.write_text(text, encoding="utf-8")
    return subprocess.run(
        ["perl", PROGRAM, parser, file], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("parser", "wanted"), [("XUnit", "junit"), ("TAP", "tap")])
@pytest.mark.parametrize("kind", KINDS)
def test_openqa_takes_it(kind: str, parser: str, wanted: str, tmp_path: Path) -> None:
    """It knows no skip: such a step is ok there."""
    suite = found(kind, tmp_path)
    done = parsed(parser, formats.FORMATS[wanted].render([suite]), tmp_path)
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = json.loads(done.stdout)
    counts = suite.counts()
    bad = sum(counts[each] for each in Status if each.bad)
    steps = Counter(step for each in told for step in each["steps"])
    assert (steps["ok"], steps["fail"]) == (counts.total() - bad, bad)
    assert [each["result"] == "fail" for each in told] == [bool(bad)]


@pytest.mark.parametrize(("parser", "wanted"), [("XUnit", "tap"), ("TAP", "junit")])
def test_openqa_refuses_what_is_another_format(parser: str, wanted: str, tmp_path: Path) -> None:
    done = parsed(parser, formats.FORMATS[wanted].render([found("sound", tmp_path)]), tmp_path)
    assert done.returncode != 0 or json.loads(done.stdout) == []
