# SPDX-License-Identifier: GPL-2.0-only
"""What the host did not do is no verdict about the kernel: signals, clocks and threads.

run.c of tests/fakes stands in for KVM_RUN, and host.c for the host.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.host.obstacles import preflight
from harness.reporting import journal
from harness.reporting.results import TestOutcome
from tests.fakes import real_suites

ROOT = Path(__file__).resolve().parents[3]

BOUNDED = """
import os
from harness.kvm.run import Bounds, WatchError, bounded_run
from harness.native import ffi

words = ffi.new("uint32_t[2]")
bounds = Bounds(patience_s=0.2, signal_after_s=0.2, end_after_s=0.3,
                heartbeat=words, stop=words + 1)
try:
    result = bounded_run(os.open(os.devnull, os.O_RDWR), ffi.new("struct kvm_run *"), bounds,
                         int(ffi.cast("uintptr_t", words)), False)
    print(result.rescue.by, result.rescue.after_s >= 0.2)
except WatchError as error:
    print(error)
"""

RACE = """
import pathlib, sys
from tests.fakes.kick.guest import Fakes, race, short
from harness.kick.engine import EngineError
from harness.kick.plan import Delivery, Protocol

try:
    plan = short(Protocol.HANDLER_WRITES, 100, delivery=Delivery(sys.argv[2]))
    race(Fakes(pathlib.Path(sys.argv[1])), "sound", plan)
    print("raced")
except EngineError as error:
    print(error)
"""


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds one of the preloaded libraries."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("unable")

    def make(name: str) -> Path:
        library = folder / f"{name}.so"
        options = ["-std=gnu11", "-shared", "-fPIC", "-O1", "-o", str(library)]
        subprocess.run(
            [compiler, *options, str(ROOT / "tests/fakes" / f"{name}.c"), "-ldl"], check=True
        )
        return library

    return make


# A program that becomes its arguments under `ulimit -i 0`, which not every shell has.
NO_SIGNALS = (
    sys.executable,
    "-c",
    "import os, resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)


def say(
    program: str,
    *arguments: str,
    preload: tuple[Path, ...] = (),
    limit: tuple[str, ...] = (),
    **environment: str,
) -> str:
    done = subprocess.run(
        [*limit, sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LD_PRELOAD": ":".join(map(str, preload)),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("", "stop word True"),
        # The run's own clock is the kernel's, so that a library cannot shorten its patience.
        ("frozen", "stop word True"),
        ("fast", "stop word True"),
        ("no_thread", "[Errno 11] a KVM_RUN cannot be watched: Resource temporarily unavailable"),
        ("no_condition", "[Errno 22] a KVM_RUN cannot be watched: Invalid argument"),
    ],
)
def test_a_run_is_judged_by_a_host_that_works(
    build: Callable[[str], Path], how: str, says: str
) -> None:
    preload = (build("run"), build("host"))
    said = say(BOUNDED, preload=preload, FAKE_KVM_RUN="runs_until_stopped", FAKE_HOST=how)
    assert said.startswith(says)


def test_a_run_is_not_begun_where_no_signal_could_end_it(build: Callable[[str], Path]) -> None:
    preload = (build("run"),)
    said = say(BOUNDED, preload=preload, limit=NO_SIGNALS, FAKE_KVM_RUN="runs_until_stopped")
    assert "its limit of pending signals is 0 (`ulimit -i`)" in said


@pytest.mark.parametrize("how", ["frozen", "fast"])
@pytest.mark.parametrize("delivery", ["thread", "timer"])
def test_no_race_is_run_by_a_wrong_clock(
    build: Callable[[str], Path], tmp_path: Path, how: str, delivery: str
) -> None:
    preload = (build("host"),)
    said = say(RACE, str(tmp_path), delivery, preload=preload, FAKE_HOST=how)
    assert "is shown a wrong time" in said


def test_no_race_is_run_without_signals(tmp_path: Path) -> None:
    assert "`ulimit -i` for pending signals" in say(RACE, str(tmp_path), "thread", limit=NO_SIGNALS)


obstacle = preflight()


@pytest.mark.skipif(obstacle is not None, reason=str(obstacle))
def test_a_host_without_signals_accuses_no_kernel(tmp_path: Path) -> None:
    """The suites themselves, from kicks to races: errors, and no failure."""
    claims = ("signals.interrupts_guest", "signals.first_run_storm")
    claims += ("preset.returns_eintr", "races.handler_writes")
    words = [*(f"--claim={claim}" for claim in claims), f"--results={tmp_path}"]
    suites = str(ROOT / "suites")
    done = real_suites.run(tmp_path, *words, suites, before=tuple(NO_SIGNALS))
    results = journal.read(tmp_path / journal.NAME).results
    found = {result.outcome for result in results if result.outcome is not TestOutcome.SKIPPED}
    assert found == {TestOutcome.ERROR}, done.stdout
    assert "VERDICT     none" in done.stdout


LATE = """
import os, signal, threading
from harness.kvm.signals import CountingHandler, send

signo = signal.SIGRTMIN + 8
signal.pthread_sigmask(signal.SIG_BLOCK, {signo})
with CountingHandler(signo):
    send(threading.get_native_id(), signo)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signo})
print("alive")
"""


def test_a_signal_that_comes_late_ends_no_process() -> None:
    """Sent while there was a handler, and taken when there is none: by default that kills.

    Blocked here; a thread that had no processor meanwhile takes it as late.
    """
    assert say(LATE) == "alive\n"
