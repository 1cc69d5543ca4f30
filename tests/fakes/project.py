# SPDX-License-Identifier: GPL-2.0-only
"""Little projects with suites of their own, for tests of the reporting and of the launcher."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

ROOT = Path(__file__).resolve().parents[2]

PROMISES_ALL = """
from harness.reporting import environment
environment.describe = lambda: {"kernel": "6.99.0", "architecture": "x86_64", "tier": "hardware"}
pytest_plugins = ["harness.reporting.plugin"]
"""

#: A little project has no test for most of the catalogue's claims, and owes none.
CONFTEST = f"""{PROMISES_ALL}
from harness.reporting import whole
whole.promised = lambda selection: []
"""

HELD = """
import pytest
@pytest.mark.claim("preset.returns_eintr")
@pytest.mark.parametrize("mode", ["real", "long"])
def test_first_run(mode):
    pass
"""

SKIPPED = """
import pytest
@pytest.mark.claim("signals.slow_fault")
def test_fault():
    pytest.skip("no_userfaultfd: userfaultfd is not there")
"""

FAILED = """
import pytest
@pytest.mark.claim("preset.repeats")
def test_again():
    assert 0 == 4, "the 3rd KVM_RUN returned 0"
"""

ERROR = """
import pytest
@pytest.fixture
def world():
    raise OSError("no memory")
@pytest.mark.claim("preset.repeats")
def test_again(world):
    pass
"""

#: Says that it began, and does not come back for a minute.
STUCK = """
import pathlib, time
import pytest
@pytest.mark.claim("signals.no_restart")
def test_stuck():
    pathlib.Path("began").touch()
    time.sleep(60)
"""


def make(folder: Path, **suites: str) -> Path:
    """A project below ``folder``; a keyword is ``chapter`` or ``chapter__file`` with its text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text((ROOT / "pytest.ini").read_text())
    for name, text in suites.items():
        chapter, _, file = name.partition("__")
        (folder / "suites" / chapter).mkdir(parents=True, exist_ok=True)
        (folder / "suites" / chapter / f"test_{chapter}_{file or 'one'}.py").write_text(text)
    return folder


def environ(**more: str) -> dict[str, str]:
    """The environment of a child: this project's modules, 80 columns, no options from outside.

    Nor PYTHONUNBUFFERED, which most hosts have not, and which hides a missing flush.
    """
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PYTEST_", "COV_", "PYTHONUNBUFFERED"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **more}


def pytest_run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Plain pytest in the project."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


LAUNCH = """
import sys
from pathlib import Path
from harness import signs
from lab.launch import process_group
from lab.launch.request import Request
from lab.launch.run import launch
from tools import ending
from tools.screen.terminal import TERMINAL
process_group.ORDERLY_S = float(sys.argv[3])
signs.EVERY_S = float(sys.argv[5])
request = Request(output=Path(sys.argv[2]), jobs=sys.argv[4], require_kvm="kvm" in sys.argv)
root = Path(sys.argv[1])
sys.exit(ending.end_in_order(lambda: launch(request, TERMINAL, narrowed=False, root=root)))
"""


def launching(
    project: Path,
    output: Path,
    *,
    jobs: str = "0",
    orderly: float = 8,
    signs_every: float = 10,
) -> list[str]:
    """The words that start the launcher on the project."""
    words = (project, output, orderly, jobs, signs_every)
    return [sys.executable, "-c", LAUNCH, *map(str, words)]


def launcher(project: Path, output: Path, *more: str, **numbers: Any) -> subprocess.Popen[str]:
    """The launcher, started on the project with the numbers of `launching`."""
    return subprocess.Popen(
        [*launching(project, output, **numbers), *more],
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def well_formed(path: Path) -> bool:
    """Whether the file is there and is XML."""
    try:
        defusedxml.ElementTree.parse(path)
    except (OSError, ElementTree.ParseError, DefusedXmlException):
        return False
    return True


def processes_of(output: Path) -> list[str]:
    """Processes that were started for this folder of results and still run."""
    needle = os.fsencode(f"KVM_CONFORMANCE_LAST_WORDS={output}")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if needle in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_text())
            except OSError:
                pass
    return found
