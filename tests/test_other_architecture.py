# SPDX-License-Identifier: GPL-2.0-only
"""On an architecture without a module every test is skipped for that, and nothing breaks."""

from __future__ import annotations

from pathlib import Path

import real_suites

from harness.reporting import journal
from harness.reporting.results import Outcome


def test_every_test_is_skipped_for_the_architecture(tmp_path: Path) -> None:
    """Also those over an in-kernel interrupt controller, of which it then has none to name."""
    words = ("-p", "other_architecture", f"--results={tmp_path}")
    done = real_suites.run(tmp_path, *words, str(real_suites.ROOT / "suites"))
    read = journal.read(tmp_path / journal.NAME)
    assert read.collection_errors == [], done.stdout
    found = {(result.outcome, result.reason) for result in read.results}
    assert found == {(Outcome.SKIPPED, "other_architecture")}
    assert len(read.results) > 200
    assert done.returncode == 5, done.stdout  # pytest's own number for "no test ran"
