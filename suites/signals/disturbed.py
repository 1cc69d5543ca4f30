# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU that waits in the kernel, whose thread is stopped by what is no signal in its queue."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.host import freezer, pace, task_work, tracer
from harness.host.features import reason
from harness.kvm.guest_process import Answer, GuestProcess
from harness.kvm.kicked_here import run_disturbed_asleep
from harness.kvm.run import RunResult
from harness.kvm.running import Processor

PAUSES = 3
PATIENCE_S = pace.here().patience(10.0)


def require_stops(guest_mode: str, kind: str, waits: str) -> int:
    """Each stop of a process is one of its waiting vCPU's thread, after which it waits on.

    By SIGSTOP, ptrace and the freezer; skips at the end for what the host has not. The EINTRs met.
    """
    lacking = ""
    with GuestProcess(guest_mode, kind=kind) as apart:
        answer = _waits(apart, waits)
        for number in range(1, PAUSES + 1):
            said = f"On SIGSTOP {number}"
            assert apart.pause(PATIENCE_S), _stays(said, waits, "stop")
            apart.go_on()
            answer = _waits(apart, f"{waits}, after SIGSTOP and SIGCONT")
        try:
            for number in range(1, PAUSES + 1):
                said = f"On PTRACE_INTERRUPT {number}"
                stopped = tracer.interrupt(answer.thread, PATIENCE_S)
                assert stopped, _stays(said, waits, "stop")
                answer = _waits(apart, f"{waits}, after a stop by ptrace")
        except tracer.NoTracerError as error:
            lacking = reason("no_ptrace", str(error))
        last = apart.ask("stop")
    assert last.stopped, (
        f"At the end of a run of a vCPU that {waits} and was stopped, {last.outcome}"
    )
    if lacking:
        pytest.skip(lacking)
    return last.eintr


def require_freezes(guest_mode: str, kind: str, waits: str) -> int:
    """The same of the freezer of cgroup v2."""
    try:
        with freezer.Freezer() as cgroup, GuestProcess(guest_mode, kind=kind) as apart:
            cgroup.take(apart.pid)
            _waits(apart, waits)
            for number in range(1, PAUSES + 1):
                if cgroup.kernel_threads():
                    pytest.skip(reason("no_freezer", "a thread of KVM is in the cgroup"))
                assert cgroup.freeze(PATIENCE_S), _stays(f"On freeze {number}", waits, "freeze")
                cgroup.thaw()
                _waits(apart, f"{waits}, after a freeze")
            last = apart.ask("stop")
    except freezer.NoFreezerError as error:
        pytest.skip(reason("no_freezer", str(error)))
    assert last.stopped, (
        f"At the end of a run of a vCPU that {waits} and was frozen, {last.outcome}"
    )
    return last.eintr


def run_with_work(processor: Processor, waits: str, finish: Callable[[], None]) -> RunResult:
    """Work for a thread whose vCPU waits is done by that thread while it goes on to wait.

    `finish` ends the run: its result.
    """
    __tracebackhide__ = True
    try:
        work = task_work.TaskWork()
    except task_work.NoTaskWorkError as error:
        pytest.skip(reason("no_io_uring", str(error)))
    with work:
        result, done = run_disturbed_asleep(processor, work.give, work.done, finish)
    assert done, (
        f"On work for the thread of a vCPU that {waits}, the thread must leave KVM_RUN and do it, "
        f"but it was not done while the vCPU waited; {result.describe()}"
    )
    return result


def _waits(apart: GuestProcess, waits: str) -> Answer:
    answer = apart.ask("progress")
    assert not answer.outcome, f"With a vCPU that {waits}, {answer.outcome}"
    return answer


def _stays(said: str, waits: str, what: str) -> str:
    return (
        f"{said}, the thread of a vCPU that {waits} must leave KVM_RUN and {what}, but it did not "
        f"within {PATIENCE_S:.0f} s"
    )
