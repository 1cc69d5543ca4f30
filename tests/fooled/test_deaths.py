# SPDX-License-Identifier: GPL-2.0-only
"""Processes that die of what is none of the kernel's doing: no verdict, whoever was killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.host.kernel_log import Record
from harness.reporting import journal, last_words, proof
from harness.reporting.results import TestOutcome
from lab.launch import finish, process_group
from tests.fakes import project as fake
from tools.screen.terminal import TERMINAL

both_ways = pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])

#: Says which process runs it, and waits to be killed.
WAITS_FOR_DEATH = """
import os, pathlib, time
import pytest
@pytest.mark.claim("signals.no_restart")
def test_stuck():
    pathlib.Path("new").write_text(str(os.getpid()))
    pathlib.Path("new").rename("began")
    time.sleep(60)
"""

DIES = """
import os, resource
import pytest
@pytest.mark.claim("signals.no_restart")
def test_dies():
    {body}
"""

#: Ways to end, each in a test's own process.
DEATHS = {
    "exit": "os._exit(3)",
    "exit_0": "os._exit(0)",
    "abort": "os.abort()",
    "killed": "os.kill(os.getpid(), 9)",
    # More than it has: below that the report of it may fail as well, by the heap's own luck.
    "address_space": "pages = int(open('/proc/self/statm').read().split()[0])\n"
    "    most = pages * resource.getpagesize() + (1 << 26)\n"
    "    resource.setrlimit(resource.RLIMIT_AS, (most, most)); bytearray(1 << 30)",
    "processor_time": "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n    while True: pass",
}


def run(project: Path, output: Path, workers: str = "0") -> tuple[int, str]:
    child = fake.launcher(project, output, jobs=workers)
    said = "".join(child.communicate(timeout=100))
    assert "Traceback" not in said.partition("= FAILURES =")[0].partition("= ERRORS =")[0]
    return child.returncode, said


@both_ways
@pytest.mark.parametrize("way", DEATHS)
def test_a_death_without_a_proof_accuses_nobody(tmp_path: Path, workers: str, way: str) -> None:
    text = DIES.format(body=DEATHS[way])
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=text)
    code, said = run(project, tmp_path / "out", workers)
    assert code == 70, said
    assert "not judged  signals.no_restart" in said
    read = journal.read(tmp_path / "out" / journal.NAME)
    assert {r.id: r.outcome for r in read.results}["signals.dies"] is TestOutcome.ERROR


#: Until nothing is left for pytest-xdist in that process either.
NO_MEMORY = """resource.setrlimit(resource.RLIMIT_AS, (1 << 26,) * 2)
    global kept
    kept = []
    for size in (1 << 16, 1 << 10, 600):
        try:
            while True:
                kept = [kept, bytearray(size)]
        except MemoryError:
            pass"""


def test_a_worker_without_any_memory_accuses_nobody(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=DIES.format(body=NO_MEMORY))
    code, said = run(project, tmp_path / "out", "2")
    assert code == 70, said
    # pytest-xdist may break off over it, and others' tests are then not judged either.
    assert "signals.no_restart: no verdict in 1 test" in said
    assert not re.search("^FAILED {3}", said, re.MULTILINE)  # pytest's own line has one space


BREAKS_PYTEST = """
import os
def pytest_runtest_logfinish(nodeid):
    if os.environ.get("PYTEST_XDIST_WORKER", "pytest") == {process!r}:
        raise MemoryError("nothing is left")
"""


@pytest.mark.parametrize("process", ["pytest", "gw0"])
def test_pytest_that_breaks_behind_its_last_test_gives_no_verdict(
    tmp_path: Path, process: str
) -> None:
    """The terminal gets a sentence of it, and the journal has the rest."""
    project = fake.make(tmp_path / "p", preset=fake.FAILED.replace("0 == 4", "True"))
    (project / "conftest.py").write_text(fake.CONFTEST + BREAKS_PYTEST.format(process=process))
    code, said = run(project, tmp_path / "out", "0" if process == "pytest" else "1")
    assert code == 70, said
    file = tmp_path / "out" / journal.NAME
    assert (
        "INTERNALERROR> pytest broke off: MemoryError: nothing is left; the traceback is in "
        f"{file}\n"
    ) in said
    assert "VERDICT     none. 1 claim held." in said
    ((where, text),) = journal.read(file).collection_errors
    assert (where, "in pytest_runtest_logfinish" in text) == ("pytest", True)


@both_ways
def test_killed_from_outside(tmp_path: Path, workers: str) -> None:
    """As the out-of-memory killer does it: pytest itself, or a worker of it."""
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=WAITS_FOR_DEATH)
    child = fake.launcher(project, tmp_path / "out", jobs=workers)
    fake.wait_for((project / "began").exists)
    os.kill(int((project / "began").read_text()), signal.SIGKILL)
    said = "".join(child.communicate(timeout=60))
    assert child.returncode == 70, said
    read = journal.read(tmp_path / "out" / journal.NAME)
    (lost,) = [r for r in read.results if r.id == "signals.stuck"]
    assert (lost.outcome, lost.message[:6]) == (TestOutcome.ERROR, "lost: ")


def begun(folder: Path) -> str:
    """A journal of a run that was ended while a test ran; when that one began."""
    with journal.Writer(folder / journal.NAME) as writer:
        writer.session({"kernel": "6.99.0"})
        writer.planned({"signals.stuck": "signals.no_restart"})
        writer.start("signals.stuck")
    return journal.read(folder / journal.NAME).started["signals.stuck"]


@pytest.mark.parametrize(("late", "code"), [(True, 1), (False, 70)], ids=["during", "before"])
def test_an_alarm_of_the_kernel_is_a_proof_while_the_test_runs(
    tmp_path: Path, late: bool, code: int
) -> None:
    began = begun(tmp_path)
    time = journal.now() if late else "2020" + began[4:]
    alarms = [(time, "[ 1.0] Oops: general protection fault")]
    found = finish.finish(
        tmp_path,
        TERMINAL,
        status=-11,
        stopped_by=None,
        require_kvm=False,
        narrowed=True,
        alarms=alarms,
    )
    assert found == code
    (result,) = journal.read(tmp_path / journal.NAME).results
    assert result.outcome is (TestOutcome.CRASHED if late else TestOutcome.ERROR)


class Log:
    """A kernel's log that is written by the test."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def say(self, *texts: str) -> None:
        self.records += [Record(4, None, text) for text in texts]

    def new_records(self) -> list[Record]:
        new, self.records = self.records, []
        return new


def test_whose_alarm_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KVM_CONFORMANCE_LAST_WORDS", raising=False)
    log = Log()
    proofs = proof.Proofs(log)  # type: ignore[arg-type]
    proofs.begin("a.one")
    log.say("BUG: unable to handle page fault")
    proofs.end()
    proofs.begin("a.two")
    assert proofs.of("a.two") == ""
    assert "unable to handle" in proofs.of("a.one")
    log.say("all is well", "WARNING: CPU: 1 PID: 7 at arch/x86/kvm/../../../virt/kvm/kvm_main.c:1")
    assert "kvm_main.c" in proofs.of("a.two")


@both_ways
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("KVM_RUN did not come back", 1),
        (f"no signal could be sent: this {last_words.NOT_THE_KERNEL}", 70),
    ],
    ids=["the_kernel", "nobody"],
)
def test_last_words_accuse_the_kernel_or_nobody(
    tmp_path: Path, workers: str, words: str, code: int
) -> None:
    body = (
        "from pathlib import Path; path = Path(os.environ['KVM_CONFORMANCE_LAST_WORDS']); "
        f"path.write_text(os.environ['PYTEST_CURRENT_TEST'] + ': {words}\\n'); os._exit(70)"
    )
    text = DIES.format(body=body)
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=text)
    found, said = run(project, tmp_path / "out", workers)
    assert (found, words in " ".join(said.split())) == (code, True), said


# pytest-forked's report of a child that ended otherwise than it should: its phase is "???".
FORKED = """
import pytest
from _pytest.runner import CallInfo
class Forked:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        call = CallInfo.from_call(lambda: 0 / 0, "???")
        call.excinfo = f"{item.path}:1: running the test CRASHED with signal 0"
        report = pytest.TestReport.from_item_and_call(item, call)
        item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
def pytest_configure(config):
    config.pluginmanager.register(Forked())
"""


def test_forks_that_end_with_another_status(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD)
    (project / "conftest.py").write_text(fake.CONFTEST + FORKED)
    code, said = run(project, tmp_path / "out")
    assert code == 70, said
    assert "VERDICT     none." in said
    assert "hold on this kernel" not in said


# ---- limits of the host

LIMITED = """
import errno
import pytest
from harness.kvm.abi import KvmError
@pytest.mark.claim("preset.repeats")
def test_again():
    raise KvmError({call!r}, errno.{name})
"""


@pytest.mark.parametrize(
    ("call", "name", "outcome"),
    [
        ("KVM_CREATE_VCPU", "ENOMEM", TestOutcome.ERROR),
        ("KVM_CREATE_VM", "EMFILE", TestOutcome.ERROR),
        ("KVM_SET_USER_MEMORY_REGION", "ENOMEM", TestOutcome.ERROR),
        ("KVM_RUN", "ENOMEM", TestOutcome.FAILED),
        ("KVM_CREATE_VCPU", "EINVAL", TestOutcome.FAILED),
    ],
)
def test_what_the_hosts_limits_may_have_refused(
    tmp_path: Path, call: str, name: str, outcome: TestOutcome
) -> None:
    project = fake.make(tmp_path, preset=LIMITED.format(call=call, name=name))
    fake.pytest_run(project, "--results=out")
    (found,) = journal.read(project / "out" / journal.NAME).results
    assert found.outcome is outcome


# ---- the launcher

LEAVES = """
import os, pathlib, subprocess, time
import pytest
@pytest.mark.claim("signals.no_restart")
def test_stuck():
    subprocess.Popen(["setsid", "sleep", "600"])
    pathlib.Path("began").touch()
    while True:
        time.sleep(60)
"""


@both_ways
def test_a_launcher_that_was_killed_leaves_nothing(tmp_path: Path, workers: str) -> None:
    """Neither pytest nor a worker in the midst of a test, nor what a test has started."""
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=LEAVES)
    child = fake.launcher(project, tmp_path / "out", jobs=workers)
    # What a test has started may still be on its way from fork() to the program.
    fake.wait_for(lambda: any("sleep" in line for line in fake.processes_of(tmp_path / "out")))
    child.kill()
    child.wait(60)
    fake.wait_for(lambda: not fake.processes_of(tmp_path / "out"), 20)


def test_a_keeper_that_was_killed_leaves_nothing_in_its_session(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", signals=WAITS_FOR_DEATH)
    child = fake.launcher(project, tmp_path / "out")
    fake.wait_for((project / "began").exists)
    tests = int((project / "began").read_text())
    (keeper,) = [pid for pid in process_group.members(os.getpgid(tests)) if pid != tests]
    os.kill(keeper, signal.SIGKILL)
    said = "".join(child.communicate(timeout=60))
    assert child.returncode == 70, said
    assert fake.processes_of(tmp_path / "out") == []


# ---- results that cannot be written


@pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])
def test_a_limit_of_the_size_of_files(tmp_path: Path, workers: str) -> None:
    """RLIMIT_FSIZE: Python ignores SIGXFSZ, and a write gives EFBIG. A full disk does the same."""
    many = fake.HELD.replace('["real", "long"]', '[f"mode_{n}" for n in range(60)]')
    project = fake.make(tmp_path / "p", preset=many)
    words = [str(project), str(tmp_path / "out"), "8", workers, "10"]
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n{fake.LAUNCH}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=fake.environ(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 73, done.stdout + done.stderr
    assert "File too large" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert journal.read(tmp_path / "out" / journal.NAME).exit_status is None
    assert fake.processes_of(tmp_path / "out") == []


def test_a_process_without_memory_is_an_error_with_a_name(tmp_path: Path) -> None:
    text = DIES.format(body="raise MemoryError")
    code, said = run(fake.make(tmp_path / "p", signals=text), tmp_path / "out")
    assert code == 70, said
    assert "signals.dies: MemoryError" in said


def test_an_internal_error_of_pytest(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD)
    broken = "def pytest_runtest_logfinish():\n    raise RuntimeError('a plugin that breaks')\n"
    (project / "conftest.py").write_text(fake.CONFTEST + broken)
    child = fake.launcher(project, tmp_path / "out")
    said = "".join(child.communicate(timeout=60))
    assert child.returncode == 70, said
    assert "INTERNALERROR" in said
