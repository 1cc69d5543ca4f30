# SPDX-License-Identifier: GPL-2.0-only
"""A KVM that refuses what it says it can do is no host that lacks it: nothing is skipped for that.

refusing_kvm.c answers one request in the place of the real KVM.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from harness.claims import catalogue
from harness.devices.plain import HYPERCALL, Hypercalls
from harness.host.obstacles import preflight
from harness.kick import realtime
from harness.kvm import userfault
from harness.kvm.abi import IOCTLS, constant
from harness.kvm.memory import Memory
from harness.kvm.speech import Word
from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from harness.reporting.verdict import ClaimState, judge

ROOT = Path(__file__).resolve().parents[2]

obstacle = preflight()
needs_kvm = pytest.mark.skipif(obstacle is not None, reason=str(obstacle))
x86_only = pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86-64 only")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """refusing_kvm.c, built."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("no C compiler")
    built = tmp_path_factory.mktemp("refusing") / "refusing_kvm.so"
    options = ["-std=gnu11", "-shared", "-fPIC", "-O1", "-o", str(built)]
    subprocess.run([compiler, *options, str(ROOT / "tests/fakes/refusing_kvm.c")], check=True)
    return built


@pytest.fixture
def run(tmp_path: Path, library: Path) -> Callable[..., list[Result]]:
    """The suites on one claim; results of the tests that `only` chooses."""

    def run_suites(request: str, argument: str, answer: int, claim: str, only: str) -> list[Result]:
        environment = {**os.environ, "LD_PRELOAD": str(library)}
        environment |= {"REFUSED": str(IOCTLS[request]), "ANSWER": str(answer)}
        if argument:
            number = constant(argument) if argument.startswith("KVM_") else argument
            environment["REFUSED_FOR"] = str(number)
        suite = ROOT / "suites" / catalogue()[claim].chapter
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-c", str(ROOT / "pytest.ini")),
                *(f"--rootdir={ROOT}", "-p", "no:cacheprovider", "-p", "no:xdist", "-q"),
                *(f"--claim={claim}", "-k", only, f"--results={tmp_path}", str(suite)),
            ],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        results = list(journal.read(tmp_path / journal.NAME).results)
        assert results, done.stdout + done.stderr
        return results

    return run_suites


ENABLE = "KVM_ENABLE_CAP"
REFUSALS = [
    ("KVM_GET_API_VERSION", "", errno.ENOMEM, "preset.repeats", "long"),
    ("KVM_CREATE_VM", "", errno.ENOMEM, "preset.repeats", "long"),
    ("KVM_CREATE_VM", "", errno.EMFILE, "preset.repeats", "long"),
    ("KVM_CREATE_IRQCHIP", "", errno.ENOTTY, "states.uninitialized", "test_signal and full"),
    (
        ENABLE,
        "KVM_CAP_SPLIT_IRQCHIP",
        errno.EINVAL,
        "states.uninitialized",
        "test_signal and split",
    ),
    ("KVM_CREATE_VCPU", "1", errno.EINVAL, "signals.mask_restored", "uninitialized_signal"),
    ("KVM_SET_SREGS", "", errno.EINVAL, "preset.every_guest_mode", "long"),
    ("KVM_SET_SREGS", "", errno.EFAULT, "preset.every_guest_mode", "real"),
    ("KVM_SET_REGS", "", errno.EINVAL, "preset.every_guest_mode", "real"),
    (ENABLE, "KVM_CAP_X86_USER_SPACE_MSR", errno.EINVAL, "completion.msr", "real"),
    (ENABLE, "KVM_CAP_DIRTY_LOG_RING_ACQ_REL", errno.EPERM, "states.dirty_ring", "test_full"),
    (ENABLE, "KVM_CAP_DIRTY_LOG_RING_ACQ_REL", errno.EINVAL, "states.dirty_ring", "test_full"),
    (ENABLE, "KVM_CAP_HALT_POLL", errno.EINVAL, "states.halted", "no_polling and full"),
    ("KVM_GET_STATS_FD", "", errno.ENOTTY, "races.quiet", "not_counted and none"),
]


@needs_kvm
@x86_only
@pytest.mark.parametrize(("request_", "argument", "answer", "claim", "only"), REFUSALS)
def test_what_is_refused_is_not_skipped(
    run: Callable[..., list[Result]],
    request_: str,
    argument: str,
    answer: int,
    claim: str,
    only: str,
) -> None:
    for found in run(request_, argument, answer, claim, only):
        assert found.outcome in (TestOutcome.ERROR, TestOutcome.FAILED), found
        assert f"{errno.errorcode[answer]} (" in found.message


CHECK = "KVM_CHECK_EXTENSION"
LACKING = [
    ("KVM_CAP_MAX_VCPUS", -1, "signals.mask_restored", "uninitialized_signal", "no_second_vcpu"),
    ("KVM_CAP_IRQCHIP", 0, "states.uninitialized", "test_signal and full", "no_irqchip"),
    ("KVM_CAP_SPLIT_IRQCHIP", 0, "states.uninitialized", "test_signal and split", "no_irqchip"),
    ("KVM_CAP_HALT_POLL", 0, "states.halted", "no_polling and full", "no_halt_polling"),
    ("KVM_CAP_BINARY_STATS_FD", 0, "races.quiet", "not_counted and none", "no_stats"),
]


@needs_kvm
@x86_only
@pytest.mark.parametrize(("capability", "value", "claim", "only", "word"), LACKING)
def test_what_a_kvm_says_it_lacks_is_skipped(
    run: Callable[..., list[Result]], capability: str, value: int, claim: str, only: str, word: str
) -> None:
    for found in run(CHECK, capability, value, claim, only):
        assert (found.outcome, found.reason) == (TestOutcome.SKIPPED, word), found


@needs_kvm
@x86_only
@pytest.mark.parametrize(
    ("capability", "claim", "only", "words"),
    [
        (
            "KVM_CAP_BINARY_STATS_FD",
            "signals.slow_fault",
            "long",
            {"no_stats", "no_interruptible_fault", "no_userfaultfd"},
        ),
        (
            "KVM_CAP_DISABLE_QUIRKS2",
            "completion.exactly_once",
            "hypercall and first_run and long",
            {"no_hypercall_exits"},
        ),
    ],
)
def test_what_only_tells_of_a_kvm_accuses_none_where_it_lacks(
    run: Callable[..., list[Result]], capability: str, claim: str, only: str, words: set[str]
) -> None:
    """It passes where this KVM can do it all the same."""
    for found in run(CHECK, capability, 0, claim, only):
        assert found.outcome is TestOutcome.PASSED or found.reason in words, found


@needs_kvm
@x86_only
def test_a_poorer_mode_may_be_refused(run: Callable[..., list[Result]]) -> None:
    for found in run("KVM_SET_SREGS", "", errno.EINVAL, "preset.every_guest_mode", "real"):
        assert (found.outcome, found.reason) == (TestOutcome.SKIPPED, "no_guest_mode"), found


@needs_kvm
@x86_only
def test_an_x2apic_that_is_refused_is_no_mode_that_is_lacking(
    run: Callable[..., list[Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same registers without it are then taken: here by turns."""
    monkeypatch.setenv("REFUSED_BY_TURNS", "1")
    only = "later_run and (none and real or split and real)"
    for found in run("KVM_SET_SREGS", "", errno.EINVAL, "preset.returns_eintr", only)[1:]:
        assert found.outcome is TestOutcome.ERROR, found
        assert "EINVAL (" in found.message


BY_TURNS = [
    ("KVM_SET_SREGS", "", errno.EINVAL, "preset.returns_eintr", "none and real"),
    (CHECK, "KVM_CAP_IMMEDIATE_EXIT", 0, "preset.returns_eintr", "long"),
    (CHECK, "KVM_CAP_SPLIT_IRQCHIP", 0, "states.uninitialized", "split"),
    (CHECK, "KVM_CAP_SYNC_REGS", 0, "states.sync_regs", "long and not hypercall"),
    (CHECK, "KVM_CAP_SYNC_REGS", -1, "states.sync_regs", "long and not hypercall"),
]


@needs_kvm
@x86_only
@pytest.mark.parametrize(("request_", "argument", "answer", "claim", "only"), BY_TURNS)
def test_what_is_lacking_by_turns_is_no_verdict(
    run: Callable[..., list[Result]],
    monkeypatch: pytest.MonkeyPatch,
    request_: str,
    argument: str,
    answer: int,
    claim: str,
    only: str,
) -> None:
    monkeypatch.setenv("REFUSED_BY_TURNS", "1")
    results = run(request_, argument, answer, claim, only)
    assert {TestOutcome.PASSED, TestOutcome.SKIPPED} == {each.outcome for each in results}
    (finding,) = judge(results, planned={}, claims=catalogue()).claims
    assert finding.state is ClaimState.BROKEN
    assert any("this KVM said of" in each.message for each in finding.of(TestOutcome.ERROR))
    assert not finding.of(TestOutcome.SKIPPED)


@needs_kvm
@x86_only
def test_a_reset_of_dirty_rings_that_takes_nothing_is_repeated(
    run: Callable[..., list[Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a signal pends (Linux 6.16): the second test's first call."""
    monkeypatch.setenv("REFUSED_BY_TURNS", "1")
    found = run("KVM_RESET_DIRTY_RINGS", "", 0, "states.dirty_ring", "test_full")
    if {each.reason for each in found} == {"no_dirty_ring"}:
        pytest.skip("no dirty ring")
    assert {each.outcome for each in found} == {TestOutcome.PASSED}, found
    assert any(each.properties.get("interrupted_ioctls") for each in found)


# ---- of the host's own calls, and of the guest's


@pytest.mark.parametrize("word", [Word.DONE, Word.SYNC, None])
def test_a_hypercall_is_lacking_only_where_the_guest_runs_past_it(
    monkeypatch: pytest.MonkeyPatch, word: Word | None
) -> None:
    """Whatever else the call ends with, a shutdown or the guest's fault, is for tests to judge."""
    other = MagicMock()
    other.__enter__.return_value = other
    other.architecture.hypercall_program.return_value = {}
    monkeypatch.setattr("harness.devices.plain.create", lambda _: other)
    monkeypatch.setattr("harness.devices.plain.word_of", lambda _: word)
    assert Hypercalls.possible(HYPERCALL, MagicMock(), "long") is (word is not Word.DONE)


class NoUserfault:
    """The native part, where one of both calls is refused."""

    def __init__(self, opened: int, registered: int) -> None:
        self.ke_userfault_open = lambda: opened
        self.ke_userfault_register = lambda *_: registered


@pytest.mark.parametrize(
    ("opened", "registered", "unavailable"),
    [
        (-errno.EPERM, 0, True),
        (-errno.ENOSYS, 0, True),
        (-errno.EMFILE, 0, False),
        (-errno.EINVAL, 0, False),
        (None, -errno.ENOMEM, False),
    ],
)
def test_userfaultfd_is_unavailable_by_right_only(
    monkeypatch: pytest.MonkeyPatch, opened: int | None, registered: int, unavailable: bool
) -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY) if opened is None else opened
    monkeypatch.setattr(userfault, "lib", NoUserfault(descriptor, registered))
    memory = Memory(4096)
    wanted = userfault.UserfaultUnavailableError if unavailable else OSError
    with pytest.raises(wanted):
        userfault.Userfault(memory)
    memory.close()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_a_realtime_priority_is_unavailable_by_right_only(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    if number == errno.EPERM:
        assert "is not permitted" in realtime.obstacle(1)
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            realtime.obstacle(1)
