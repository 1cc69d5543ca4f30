# SPDX-License-Identifier: GPL-2.0-only
"""One KVM_RUN against kernels that do not come back: tests/fakes/run.c stands in for them.

No test here needs /dev/kvm. Each runs in a process of its own, with the fake preloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.reporting.last_words import NOT_THE_KERNEL

ROOT = Path(__file__).resolve().parents[3]

# Calls bounded_run() once with patience for 0.2 s, and prints what came of it.
PROGRAM = """
import ctypes, json, os, signal, sys, threading
from harness.kvm.run import Bounds, bounded_run
from harness.native import ffi

words = ffi.new("uint32_t[2]")
page = ffi.new("struct kvm_run *")
bounds = Bounds(patience_s=PATIENCE, signal_after_s=SIGNAL_AFTER, end_after_s=0.3,
                heartbeat=words, stop=None if NO_STOP else words + 1)
descriptor = os.open(os.devnull, os.O_RDWR)
mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
handlers = [signal.getsignal(number) for number in signal.valid_signals()]
result = bounded_run(descriptor, page, bounds, int(ffi.cast("uintptr_t", words)), FORBIDDEN,
                     TIMES)
print(json.dumps({
    "value": result.value, "errno": result.errno, "sentence": result.describe(),
    "by": result.rescue.by if result.rescue else None,
    "after_s": result.rescue.after_s if result.rescue else None,
    "runs": result.runs, "calls": ctypes.CDLL(None).fake_run_calls(),
    "same_mask": mask == signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "pending": [int(number) for number in signal.sigpending()],
}))
"""


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preloaded library, built with the compiler that set-up needs anyway."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("fake") / "fake_run.so"
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-o",
        str(library),
        str(ROOT / "tests/fakes/run.c"),
    ]
    subprocess.run(command, check=True)
    return library


def run(
    fake: Path,
    how: str,
    *,
    no_stop: bool = False,
    forbidden: bool = False,
    patience: float = 0.2,
    signal_after: float = 0.2,
    times: int = 1,
    program: str = PROGRAM,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    program = program.replace("NO_STOP", str(no_stop)).replace("FORBIDDEN", str(forbidden))
    program = program.replace("TIMES", str(times)).replace("SIGNAL_AFTER", str(signal_after))
    return subprocess.run(
        [sys.executable, "-c", program.replace("PATIENCE", str(patience))],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(fake), "FAKE_KVM_RUN": how, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def found(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_eintr_is_returned_and_not_repeated(fake: Path) -> None:
    """From 3.14 on CPython's own fcntl.ioctl() would repeat this call for ever (gh-132742)."""
    answer = found(run(fake, "eintr"))
    assert (answer["value"], answer["errno"], answer["by"]) == (-1, 4, None)
    assert answer["calls"] == 1


def test_many_runs_are_counted(fake: Path) -> None:
    answer = found(run(fake, "eintr", times=1000))
    assert (answer["value"], answer["errno"], answer["by"]) == (-1, 4, None)
    assert (answer["runs"], answer["calls"]) == (1000, 1000)


def test_many_runs_end_with_the_first_that_gives_no_eintr(fake: Path) -> None:
    answer = found(run(fake, "runs_until_stopped", times=1000, signal_after=60))
    assert (answer["value"], answer["by"], answer["runs"]) == (0, "stop word", 1)


def test_many_runs_end_with_the_first_that_had_to_be_rescued(fake: Path) -> None:
    """The rescue's own EINTR is none of the kernel's: a next run would hang as well."""
    answer = found(run(fake, "sleeps_until_signal", times=1000))
    assert (answer["by"], answer["runs"]) == ("signal", 1)


def test_stop_word_ends_a_spinning_guest(fake: Path) -> None:
    answer = found(run(fake, "runs_until_stopped", signal_after=60))
    assert (answer["value"], answer["by"]) == (0, "stop word")
    assert answer["after_s"] >= 0.2
    assert "the guest ran on" in answer["sentence"]


def test_forbidden_progress_is_rescued_at_once(fake: Path) -> None:
    """Guest progress is the failure, so nobody waits for the patience of 20 s to run out."""
    answer = found(run(fake, "runs_until_stopped", forbidden=True, patience=20.0, signal_after=60))
    assert answer["by"] == "stop word"
    assert answer["after_s"] < 20


def test_patience_is_not_spent_while_the_process_is_stopped(fake: Path) -> None:
    """Half a second of it, with patience for 0.2 s: a starved host needs no rescue."""
    answer = found(run(fake, "is_stopped"))
    assert (answer["value"], answer["errno"], answer["by"]) == (-1, 4, None)


def test_signal_ends_a_sleeping_vcpu(fake: Path) -> None:
    answer = found(run(fake, "sleeps_until_signal"))
    assert (answer["value"], answer["errno"], answer["by"]) == (-1, 4, "signal")
    assert "the guest stood still" in answer["sentence"]


@pytest.mark.parametrize("no_stop", [False, True])
def test_what_no_signal_ends_ends_the_process(fake: Path, no_stop: bool) -> None:
    """After 0.3 s, which are 15 signals, however long they took."""
    done = run(fake, "never_returns", no_stop=no_stop)
    assert done.returncode
    assert "15 signals to the vCPU's thread" in done.stderr


def test_a_thread_that_the_kernel_ended_speaks_against_it(fake: Path) -> None:
    """As after an oops: the others live on, and the call never returns."""
    in_a_thread = PROGRAM.replace("result = bounded_run(", "run = lambda: bounded_run(").replace(
        "print(json",
        "thread = threading.Thread(target=run); thread.start(); thread.join()\nprint(json",
    )
    done = run(fake, "is_killed", program=in_a_thread)
    assert done.returncode == 70, done.stderr
    assert "the thread that called KVM_RUN is gone" in done.stderr
    assert NOT_THE_KERNEL not in done.stderr


def test_signal_comes_first_where_there_is_no_stop_word(fake: Path) -> None:
    answer = found(run(fake, "sleeps_until_signal", no_stop=True))
    assert answer["by"] == "signal"


@pytest.mark.parametrize("how", ["runs_until_stopped", "sleeps_until_signal"])
def test_rescue_leaves_no_signal_behind(fake: Path, how: str) -> None:
    answer = found(run(fake, how))
    assert answer["same_mask"]
    assert answer["pending"] == []


def test_process_ends_at_last_and_says_why(fake: Path, tmp_path: Path) -> None:
    """The sentence reaches the file that the launcher names, with the test that ran."""
    words = tmp_path / "last-words.txt"
    done = run(
        fake,
        "never_returns",
        KVM_CONFORMANCE_LAST_WORDS=str(words),
        PYTEST_CURRENT_TEST="suites/x/test_x.py::test_x (call)",
    )
    assert done.returncode == 70
    text = words.read_text()
    assert text.startswith("suites/x/test_x.py::test_x (call): KVM_RUN did not return within ")
    assert "neither the stop word in the guest nor" in text
    assert text.endswith("\n")


def test_last_words_go_to_standard_error_without_a_file(fake: Path) -> None:
    done = run(fake, "never_returns")
    assert done.returncode == 70
    assert "KVM_RUN did not return" in done.stderr


# ---- in another process

OTHER_PROCESS = """
import os, sys
from types import SimpleNamespace
from harness.kvm.other_process import NoAnswerError, run_raw_in_child

bounds = SimpleNamespace(patience_s=float(sys.argv[1]))
vcpu = SimpleNamespace(fd=os.open(os.devnull, os.O_RDWR), bounds=bounds)
try:
    print(run_raw_in_child(vcpu))
except NoAnswerError as error:
    print(error)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child is left")
"""


def other_process(fake: Path, how: str, patience: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(patience)],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(fake), "FAKE_KVM_RUN": how},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("how", "patience", "says"),
    [
        ("eintr", 60, "-4"),
        ("sleeps_until_signal", 0.2, "KVM_RUN in another process did not return; it was killed"),
    ],
)
def test_other_process_answers_or_is_killed(
    fake: Path, how: str, patience: float, says: str
) -> None:
    with other_process(fake, how, patience) as process:
        assert process.communicate()[0].splitlines() == [says, "no child is left"]


def test_other_process_ends_with_its_caller(fake: Path) -> None:
    """Standard output, which both have, is at its end once both are gone."""
    with other_process(fake, "sleeps_until_signal", 600) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        assert process.communicate(timeout=60)[0] == ""
