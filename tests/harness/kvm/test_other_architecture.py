# SPDX-License-Identifier: GPL-2.0-only
"""On an architecture without a package every test is skipped for that, and nothing breaks.

On one whose guests speak otherwise the neutral suites are the same.
"""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from harness.host import obstacles
from harness.host.features import reason
from harness.reporting import journal
from harness.reporting.results import TestOutcome
from tests.fakes import real_suites


def run(plugin: str, output: Path, *chosen: str) -> tuple[journal.Journal, str, int]:
    """The suites under a plugin: the journal, what was said, pytest's exit code."""
    suites = (str(real_suites.ROOT / "suites" / each) for each in chosen or ("",))
    done = real_suites.run(output, "-p", f"tests.fakes.{plugin}", f"--results={output}", *suites)
    return journal.read(output / journal.NAME), done.stdout, done.returncode


def test_every_test_is_skipped_for_the_architecture(tmp_path: Path) -> None:
    """Also those over an in-kernel interrupt controller, of which it then has none to name."""
    read, said, code = run("other_architecture", tmp_path)
    assert read.collection_errors == [], said
    found = {(result.outcome, result.reason) for result in read.results}
    assert found == {(TestOutcome.SKIPPED, "other_architecture")}
    assert len(read.results) > 200
    assert code == 5, said  # pytest's own number for "no test ran"


@pytest.mark.skipif(platform.machine() != "x86_64", reason=reason("other_architecture"))
@pytest.mark.skipif(obstacles.preflight() is not None, reason="there is no KVM to speak on")
def test_neutral_suites_know_no_port(tmp_path: Path) -> None:
    chosen = ("completion", "signals/test_mask.py", "vcpu_states/test_dirty_ring.py")
    read, said, _ = run("other_speech", tmp_path, *chosen)
    assert {each.outcome for each in read.results} == {TestOutcome.PASSED, TestOutcome.SKIPPED}, (
        said
    )
    passed = {each.id for each in read.results if each.outcome is TestOutcome.PASSED}
    assert "signals.pending_completes_a_read.mmio_long" in passed
    assert not any("port_io" in each for each in passed)
