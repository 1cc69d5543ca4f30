# SPDX-License-Identifier: GPL-2.0-only
"""What a run was asked for, and how pytest is told."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.reporting import variants
from lab.comparison.expected import Expectation
from lab.launch import finish
from lab.launch.lost import LostVm
from lab.launch.speaker import Speaker
from lab.results.exports import Exports

ROOT = Path(__file__).resolve().parents[2]

#: Variables that would change what pytest does (options for it follow ``--``), or what it takes
#: this host for: an emulated one (lab/emulation/conformance.py sets them) is excused for more.
_NOT_HANDED_ON = (
    *("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONOPTIMIZE"),
    *("KVM_CONFORMANCE_TIER", "KVM_CONFORMANCE_EMULATOR"),
)

DEFAULT_BUDGET = "quick"


@dataclass(frozen=True)
class Request:
    """What was asked for. ``output`` is None for a new folder under ./results.

    ``run`` is the id that the journal gets; pytest makes one where it is empty. ``exports`` are
    files for others, written at the end, ``expected`` what the results are held against.
    """

    suites: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    output: Path | None = None
    jobs: str = "auto"
    require_kvm: bool = False
    budget: str = DEFAULT_BUDGET
    pytest_arguments: tuple[str, ...] = ()
    variants: str = variants.ALL
    run: str = ""
    exports: Exports = ()
    expected: Expectation | None = None


def pytest_command(request: Request, root: Path, python: str = sys.executable) -> list[str]:
    """pytest with what was asked for; without workers and results."""
    return [
        *(python, "-m", "pytest", "-c", str(root / "pytest.ini"), f"--rootdir={root}"),
        *("-p", "no:cacheprovider", "--no-signs"),
        *(f"--suite={name}" for name in request.suites),
        *(f"--claim={name}" for name in request.claims),
        *([f"--budget={request.budget}"] if request.budget != DEFAULT_BUDGET else []),
        *([f"--variants={request.variants}"] if request.variants != variants.ALL else []),
    ]


def recording(request: Request, output: Path) -> list[str]:
    """pytest's words for a run whose results are kept, and at last those of the user."""
    return [
        f"--results={output}",
        *([f"--run-id={request.run}"] if request.run else []),
        *(["--require-kvm"] if request.require_kvm else []),
        *request.pytest_arguments,
    ]


def complete(
    output: Path,
    request: Request,
    to: Speaker,
    narrowed: bool,
    status: int,
    stopped_by: signal.Signals | None,
    *,
    lost: LostVm | None = None,
    alarms: Sequence[tuple[str, str]] = (),
) -> int:
    """`finish.finish` of a run that was asked for; the exit code."""
    return finish.finish(
        output,
        to,
        status=status,
        stopped_by=stopped_by,
        require_kvm=request.require_kvm,
        narrowed=narrowed,
        lost=lost,
        run=request.run,
        alarms=alarms,
        exports=request.exports,
        expected=request.expected,
    )


def tell_dropped(to: Speaker) -> None:
    """Says which variables of this process pytest does not get, if any."""
    if dropped := [name for name in _NOT_HANDED_ON if os.environ.get(name)]:
        text = f"Not handed on to pytest: {', '.join(dropped)}. Options for it follow `--`."
        to.err(text, "yellow")


def environment() -> dict[str, str]:
    """This process's, without what changes pytest.

    pytest then loads the plugins that it is told to, and none because it is installed.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
