# SPDX-License-Identifier: GPL-2.0-only
"""On an architecture without a module every test is skipped for that, and nothing breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.reporting import journal
from harness.reporting.results import Outcome

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def test_every_test_is_skipped_for_the_architecture(tmp_path: Path) -> None:
    """Also those over an in-kernel interrupt controller, of which it then has none to name."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", str(ROOT / "pytest.ini")),
            *(f"--rootdir={ROOT}", "-p", "no:cacheprovider", "-p", "no:xdist", "-q"),
            *("-p", "other_architecture", f"--results={tmp_path}", str(ROOT / "suites")),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    read = journal.read(tmp_path / journal.NAME)
    assert read.collection_errors == [], done.stdout
    found = {(result.outcome, result.reason) for result in read.results}
    assert found == {(Outcome.SKIPPED, "other_architecture")}
    assert len(read.results) > 200
    assert done.returncode == 5, done.stdout  # pytest's own number for "no test ran"
