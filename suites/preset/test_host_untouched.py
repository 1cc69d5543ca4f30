# SPDX-License-Identifier: GPL-2.0-only
"""KVM_RUN gives the calling thread back what it borrowed, and one that ends early keeps nothing."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Mapping

import pytest

from harness.host import held
from harness.host.features import reason
from harness.host.pace import here
from harness.kvm import exits
from harness.kvm.alive import vms_alive
from harness.kvm.fresh_vm import run_in_fresh_vm
from harness.kvm.guest import Guest, create
from harness.kvm.run import RunResult
from harness.kvm.running import Running
from harness.kvm.signals import Blocked
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.require import require_eintr, require_ended, require_exit, require_left
from harness.ways import BYTE, SIGNAL, WayOut
from suites.dimensions import KICK, every_guest_mode, every_way
from suites.preset.looking import looking, require_same_thread

pytestmark = pytest.mark.usefixtures("capability")

TIMES = 20
MOVES = 6
LANES, ROUNDS = 16, 16
# On a usual host, and on an emulated one. The kernel counts slabs by processor, and tells half a
# megabyte late (calculate_normal_threshold()): what 64 bytes a run come to must be more.
MANY, FEW = 20_000, 4_000
VMS, RUNS_OF_A_VM, COMPLETIONS = 3, 4_000, 20
VM_BYTES = 8192  # the least that is left of a VM: a vCPU's struct and its pages are more
PATIENCE_S = 10.0


def many() -> int:
    """As many runs as show 16 bytes that each of them keeps."""
    return here().choose(MANY, FEW)


@pytest.mark.claim("preset.host_untouched")
def test_no_lock_is_held(kvm: System) -> None:
    """What a lock or a reader that stayed would hold comes back: memory map, vCPUs, the VM's end.

    It is the first test: on a kernel that fails it, the end of any other's VM may hang for ever.
    """
    found = run_in_fresh_vm(TIMES, here().patience(PATIENCE_S))
    if found.hangs_in:
        # The same calls without a run: they must come back while the others still hang.
        without = run_in_fresh_vm(0, here().patience(PATIENCE_S))
        assert without.hangs_in, (
            f"After {TIMES} immediate runs, {found.hangs_in} must not wait for ever, but it did "
            "not come back; without those runs it did"
        )
        pytest.skip(reason("busy_host", f"{without.hangs_in} hangs without an immediate run too"))
    ran = found.values["immediate runs"]
    assert ran == TIMES, f"Of {TIMES} immediate runs of a fresh VM, {ran} gave EINTR"
    refused = {name: os.strerror(-value) for name, value in found.values.items() if value < 0}
    for name in ("an immediate run of another vCPU", "another immediate run"):
        assert refused.pop(name, "") == os.strerror(errno.EINTR), f"{name} must give EINTR"
    assert not refused, f"After {TIMES} immediate runs these calls must succeed: {refused}"


def load_heartbeat(guest: Guest) -> None:
    """The plainest program, in the richest mode."""
    guest.load("heartbeat", guest.architecture.MODES[-1])


def by_the_byte(guest: Guest) -> None:
    """immediate runs"""
    load_heartbeat(guest)
    run_often(guest, BYTE, RUNS_OF_A_VM)


def by_a_signal(guest: Guest) -> None:
    """runs with a signal pending at entry"""
    load_heartbeat(guest)
    run_often(guest, SIGNAL, RUNS_OF_A_VM)


def that_complete(guest: Guest) -> None:
    """immediate runs that complete an operation"""
    guest.load("mmio", guest.architecture.MODES[-1])
    for _ in range(COMPLETIONS):
        require_exit(guest.vcpu.run_raw(), exits.Mmio, "For something to complete")
        require_eintr(guest.run_immediate(), "On a re-entry with immediate_exit=1")


@pytest.mark.claim("preset.host_untouched")
@pytest.mark.parametrize(
    "runs", [by_the_byte, by_a_signal, that_complete], ids=lambda each: each.__name__
)
def test_vm_can_be_freed(kvm: System, capability: int, runs: Callable[[Guest], None]) -> None:
    """Closed, a VM is gone: no run that ends early keeps a reference to it, nor a seldom one."""
    before = vms_alive()
    guests = [create(kvm) for _ in range(VMS)]
    for guest in guests:
        runs(guest)
    alive = vms_alive()
    for guest in guests:
        guest.close()
    shown = [name for name, number in alive.items() if number - before[name] >= VMS]
    kept = {name: vms_alive()[name] - before[name] for name in shown}
    assert not any(kept.values()), (
        f"After {runs.__doc__}, {VMS} VMs that were closed must be gone, but there are "
        f"{' and '.join(f'{number} {name}' for name, number in kept.items())} left"
    )
    if not shown:
        growth = held.growing(
            lambda: [one_vm(kvm, runs) for _ in range(VMS)],
            lambda: one_vm(kvm, load_heartbeat),
            VMS,
            VM_BYTES,
        )
        assert not growth, f"Each VM that had {runs.__doc__} and was closed leaves memory: {growth}"


def one_vm(kvm: System, runs: Callable[[Guest], None]) -> None:
    """The life of a VM with such runs."""
    with create(kvm) as guest:
        runs(guest)


def run_often(guest: Guest, way: WayOut, times: int) -> None:
    """Runs each of which ends by this way."""
    require_ended(way.run_many(guest.vcpu, times), way, f"In {times:,} runs")


@pytest.mark.claim("preset.host_untouched")
@every_way
def test_nothing_is_kept(ready: Guest, way: WayOut, thread_at_first: Mapping[str, str]) -> None:
    """Thousands of such runs keep no memory, descriptor or thread, and no state of theirs."""
    runs = many()
    said = f"{runs:,} runs{way.said}"
    thread, process = held.of_this_thread(), held.of_this_process()
    growth = held.growing(lambda: run_often(ready, way, runs), lambda: ready.vcpu.mp_state(), runs)
    assert not growth, (
        f"In {said}, again and again, the kernel must keep nothing, but each "
        f"keeps {' and '.join(f'{size} bytes ({name})' for name, size in growth.items())}"
    )
    now = held.of_this_thread()
    found = held.changes(thread, now)
    assert not found, (
        f"After {said} the thread that called KVM_RUN must be as it was, but {'; '.join(found)}"
    )
    # What the first run of this thread did to it, later ones find done.
    found = held.changes({name: thread_at_first[name] for name in held.LASTING}, now)
    assert not found, (
        "The thread that called KVM_RUN in this test and those before it must be as it was before "
        f"the first, but {'; '.join(found)}"
    )
    more = held.more_than(process)
    assert not more, (
        f"After {said} the process must have nothing in addition, but it has "
        f"{' and '.join(f'{name} {sorted(those)}' for name, those in more.items())}"
    )


@pytest.mark.claim("preset.host_untouched")
def test_nothing_is_kept_of_threads(ready: Guest) -> None:
    """A vCPU holds on to the thread that ran it last, and lets go of that one with the next.

    Several vCPUs at once, for before Linux 6.14 each such change waits for a grace period of RCU.
    """
    if not held.slab_objects():
        pytest.skip(reason("no_slab_counts"))
    lanes = min(LANES, ready.vm.check_extension("KVM_CAP_MAX_VCPUS"))
    vcpus = [ready.vcpu, *(ready.vm.create_vcpu(number) for number in range(1, lanes))]
    for vcpu in vcpus[1:]:
        ready.architecture.configure(vcpu)
    gave: list[RunResult] = []

    def run(vcpu: Vcpu) -> None:
        gave.append(vcpu.run_raw(progress_forbidden=True))

    def by_fresh_threads() -> None:
        for _ in range(ROUNDS):
            threads = [threading.Thread(target=run, args=(vcpu,)) for vcpu in vcpus]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    for vcpu in vcpus:
        vcpu.immediate_exit = 1
    kept = held.objects_kept(by_fresh_threads, ROUNDS * lanes)
    for result in gave:
        require_eintr(result, "With immediate_exit=1, on a fresh thread")
    assert not kept, (
        f"In {ROUNDS * lanes} immediate runs, each on a thread that then ends, and again and "
        "again, the kernel must keep nothing of those threads, but with each second run at least "
        f"it has one more of what its slabs call {' and '.join(kept)}"
    )


def runs_give_the_thread_back(guest: Guest, way: WayOut, when: str) -> None:
    """Runs of this way by a thread that blocks a signal."""
    with looking(guest) as look, Blocked(KICK):
        for _ in range(TIMES):
            require_ended(way.run(guest), way, f"In {TIMES} runs {when}")
    require_same_thread(look, f"In {TIMES} runs{way.said} {when}")


@pytest.mark.claim("preset.host_untouched")
@every_guest_mode
@every_way
def test_thread_before_first_run(loaded: Guest, way: WayOut) -> None:
    """What was loaded of the guest before is put back on each way out."""
    runs_give_the_thread_back(loaded, way, "before the first run of the guest")


@pytest.mark.claim("preset.host_untouched")
@every_guest_mode
@every_way
def test_thread_after_a_run(ready: Guest, way: WayOut) -> None:
    """The same when the guest's state was in the processor, and on a way out by the guest."""
    runs_give_the_thread_back(ready, way, "after the guest has run")
    ready.stop()
    with looking(ready) as look:
        result = ready.vcpu.run_raw()
    require_same_thread(look, "In a run that the guest ends")
    require_left(result, "In a run that the guest ends")


@pytest.mark.claim("preset.host_untouched")
def test_thread_moved_meanwhile(ready: Guest) -> None:
    """Another thread moves it to another processor inside of KVM_RUN: it must know where it is.

    Linux 5.9 to 5.14 did not tell its restartable sequence (commit 8646e53633f3).
    """
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        pytest.skip(reason("no_second_cpu"))
    for turn in range(MOVES):
        to = processors[turn % 2]
        with looking(ready) as look, Running(ready) as running:
            running.wait_for_progress()
            for processor in (processors[1 - turn % 2], to):
                os.sched_setaffinity(running.tid, {processor})
                running.wait_for_progress()
            ready.stop()
            result = running.outcome()
        ready.clear_stop()
        circumstance = f"In a run whose thread was moved to processor {to}"
        require_same_thread(look, circumstance)
        require_left(result, circumstance)
