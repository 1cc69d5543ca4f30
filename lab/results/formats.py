# SPDX-License-Identifier: GPL-2.0-only
"""The formats in which results are given to others, as a table: FORMATS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.report import page
from lab.results import as_json, flat_tap, junit, kcidb, ktap, lava, markdown, tmt
from lab.results.found import FoundSuite


@dataclass(frozen=True)
class Format:
    """One of them: the text of a file, and for whom it is."""

    render: Callable[[Sequence[FoundSuite]], str]
    taken_by: str


FORMATS: Mapping[str, Format] = {
    "ktap": Format(ktap.render, "kunit.py parse"),
    "kselftest": Format(flat_tap.kselftest, "run_kselftest.sh, Linaro's test-definitions, openQA"),
    "tap": Format(flat_tap.tap, "prove, tap.py, Avocado, openQA"),
    "junit": Format(junit.render, "Jenkins, GitLab, openQA, junitparser"),
    "kcidb": Format(kcidb.render, "KernelCI's database"),
    "tmt": Format(tmt.render, "tmt: result: custom"),
    "lava": Format(lava.results, "test-definitions' send-to-lava.sh"),
    "lava-signals": Format(lava.signals, "LAVA, from the console"),
    "json": Format(as_json.render, "programs"),
    "md": Format(markdown.render, "people"),
    "html": Format(page.render, "people, in a browser"),
}
