# SPDX-License-Identifier: GPL-2.0-only
"""Batches, one after another in turn, so that whatever slows the host down meets all cases alike.

The threads of a batch belong to this process and so share its signal lock. Each has a VM of its
own: then guests share no memory, and all that grows with the threads is the host kernel's doing.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from harness.closing import Closing
from harness.host import pace
from harness.kvm import abi, arch, exits
from harness.kvm import guest as guests
from harness.kvm.guest import Guest
from harness.kvm.run import NS
from harness.kvm.system import System
from harness.kvm.vcpu import all_signals_but
from harness.native import ffi, lib
from lab.benchmark.cases import Case, cases

#: The kick's signal, as a monitor has it: blocked in the thread, open inside of KVM_RUN. The mask
#: of KVM_RUN must differ from the thread's own: for an equal one the kernel takes no lock
#: (__set_current_blocked()).
KICK = int(signal.SIGUSR1)
#: Below this share of its time on a processor, a thread was disturbed by others.
UNDISTURBED = 0.98


class CannotMeasureError(Exception):
    """The benchmark cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class BenchSettings:
    """`threads`: the numbers of threads to measure with; `batch_s`: seconds a batch lasts.

    `mode` is where the guest runs ("": the architecture's last mode); the other bounds, seconds,
    tell a hang from a batch.
    """

    threads: tuple[int, ...]
    rounds: int = 30
    batch_s: float = 0.02
    mode: str = ""
    patience_s: float = field(default_factory=lambda: pace.here().stretched(10.0))
    signal_after_s: float = field(default_factory=lambda: pace.here().stretched(1.0))
    end_after_s: float = field(default_factory=lambda: pace.here().stretched(10.0))


@dataclass(frozen=True)
class ThreadTimes:
    """One thread of a batch: calls, wall time and time on a processor, ns; kept on one or not."""

    calls: int
    elapsed_ns: int
    cpu_ns: int
    pinned: bool


@dataclass(frozen=True)
class Batch:
    """One batch. `round` counts from 0. `problem` is empty, or says why it does not count.

    `hung`: its threads had to be ended from outside, and the guests are not as they were.
    """

    case: str
    threads: int
    round: int
    times: tuple[ThreadTimes, ...]
    problem: str = ""
    hung: bool = False

    @property
    def valid(self) -> bool:
        """Whether its time may be used."""
        return not self.problem

    @property
    def ns_per_call(self) -> float:
        """Wall time of one call on one thread, the mean over the threads' calls."""
        calls = sum(one.calls for one in self.times)
        return sum(one.elapsed_ns for one in self.times) / calls if calls else 0.0

    @property
    def cpu_share(self) -> float:
        """How much of the time the threads had a processor, 0 to 1."""
        elapsed = sum(one.elapsed_ns for one in self.times)
        return min(1.0, sum(one.cpu_ns for one in self.times) / elapsed) if elapsed else 0.0


def allowed_cpus() -> tuple[int, ...]:
    """The processors that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def max_vcpus() -> int:
    """KVM_CAP_MAX_VCPUS: as many threads can a monitor have for one guest. Raises OSError."""
    with System() as system:
        # api.rst 4.4: where it is not there, NR_VCPUS is the limit, and 4 where neither is.
        for name in ("KVM_CAP_MAX_VCPUS", "KVM_CAP_NR_VCPUS"):
            value = system.check_extension(name)
            if value:
                return value
    return 4


def schedule(known: Sequence[Case], threads: Sequence[int], number: int) -> list[tuple[Case, int]]:
    """The order of a round: each starts one further on, and every second one goes backwards.

    So no case always follows the same other one.
    """
    order = [(case, count) for count in threads for case in known]
    start = number // 2 % len(order)
    order = order[start:] + order[:start]
    return order[::-1] if number % 2 else order


class Bench(Closing):
    """The guests of the benchmark, a context manager. Raises `CannotMeasureError`, `BlobError`."""

    def __init__(self, settings: BenchSettings) -> None:
        self.settings = settings
        architecture = arch.current()
        self.workload = architecture.SPEECH
        self._cpus = allowed_cpus()
        with ExitStack() as stack:
            try:
                system = stack.enter_context(System())
                self.capability = system.check_extension("KVM_CAP_IMMEDIATE_EXIT") > 0
                self._guests = [
                    self._guest(stack, system, settings.mode or architecture.MODES[-1])
                    for _ in range(max(settings.threads))
                ]
            except OSError as error:
                raise CannotMeasureError(_why(error, max(settings.threads))) from error
            self._stack = stack.pop_all()
        self.cases = cases(self.workload, capability=self.capability)

    def _guest(self, stack: ExitStack, system: System, mode: str) -> Guest:
        guest = stack.enter_context(guests.create(system))
        guest.load(self.workload.program, mode)
        return guest

    def close(self) -> None:
        """Closes the guests."""
        self._stack.close()

    def batches(self) -> Iterator[Batch]:
        """Every batch of every round, as soon as it is over; the last one is a hung one, if any."""
        for number in range(self.settings.rounds):
            for case, threads in schedule(self.cases, self.settings.threads, number):
                batch = self.run(case, threads, number)
                yield batch
                if batch.hung:
                    return

    def run(self, case: Case, threads: int, number: int = 0) -> Batch:
        """One batch. Raises `CannotMeasureError` when its threads cannot be started."""
        request = ffi.new("struct ke_bench_request *")
        request.kind = int(getattr(lib, f"KE_BENCH_{case.kind}"))
        for name in ("batch", "patience", "signal_after", "end_after"):
            setattr(request, f"{name}_ns", int(getattr(self.settings, f"{name}_s") * NS))
        records = ffi.new("struct ke_bench_thread[]", threads)
        for index, guest in enumerate(self._guests[:threads]):
            guest.vcpu.set_signal_mask(all_signals_but(KICK) if case.masked else None)
            record = records[index]
            record.vcpu_fd = guest.vcpu.fd
            record.run = guest.vcpu.run_page
            record.stop = guest.vcpu.bounds.stop
            record.cpu = self._cpus[index % len(self._cpus)]
            record.exit_reason = abi.constant(self.workload.exit_reason)
        value = lib.ke_bench(request, records, threads)
        if value < 0:
            raise CannotMeasureError(
                f"{threads} threads cannot be started: {os.strerror(-value)}. "
                "Ask for fewer --threads, or raise the limit (`ulimit -u`, the cgroup's pids.max)."
            )
        times = tuple(
            ThreadTimes(one.calls, one.elapsed_ns, one.cpu_ns, bool(one.pinned)) for one in records
        )
        problem = self._problem(case, records, value > 0)
        return Batch(case.name, threads, number, times, problem, value > 0)

    def _problem(self, case: Case, records: Any, hung: bool) -> str:
        if hung:
            return (
                f"the batch did not end by itself within {self.settings.patience_s:g} s: the stop "
                "word in the guest, or a signal, had to end it"
            )
        for index, one in enumerate(records):
            if one.unexpected:
                return f"thread {index}: {self._found(case, one)}"
        return ""

    def _found(self, case: Case, one: Any) -> str:
        wanted = {
            "IMMEDIATE": "-1 with EINTR",
            "EXIT": f"0 with {self.workload.exit_reason}",
            "EINVAL": "-1 with EINVAL",
            "GETPPID": "a process id",
        }[case.kind]
        if one.value < 0:
            found = f"{one.value} with {errno.errorcode.get(one.error, str(one.error))}"
        else:
            found = f"{one.value} with {exits.reason_name(int(one.found_reason))}"
        return f"call {one.calls + 1} returned {found}, not {wanted}"


def _why(error: OSError, threads: int) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return (
            f"{threads} guests cannot be made: {error}. Ask for fewer --threads, or raise the "
            "limit (`ulimit -n` for descriptors)."
        )
    return f"the guest cannot be made: {error}."


def run_all(settings: BenchSettings, take: Callable[[Batch], None]) -> None:
    """Every batch of a benchmark, handed to `take` one by one. Raises as `Bench` does."""
    with Bench(settings) as bench:
        for batch in bench.batches():
            take(batch)
