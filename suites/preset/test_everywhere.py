# SPDX-License-Identifier: GPL-2.0-only
"""The byte is obeyed whatever else is so: who calls, what the VM has, what its memory is."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from guest_blobs import memory_map as at
from harness import caller
from harness.host.features import reason
from harness.kvm import arch, wires
from harness.kvm.abi import KvmError, LackingError
from harness.kvm.guest import RAM_SLOT, Guest, create
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.running import Running, warm_up
from harness.kvm.signals import send
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.require import require_eintr, require_left, require_runs_on
from suites.dimensions import KICK
from suites.preset.everywhere import (
    RUNS,
    VALUE,
    Condition,
    circumstance,
    each,
    require_held,
    require_immediate_runs,
    require_obeyed,
    skipped_where_lacking,
)

pytestmark = pytest.mark.usefixtures("capability")

SLOT = RAM_SLOT + 1
HIGH = 1 << 33  # beyond what 32 bits address
MANY_VCPUS = 16
MANY_SLOTS = 20
RING_BYTES = 1 << 16


# ---- the VM, its memory, and what is wired to it


def nothing_special(guest: Guest) -> Iterator[None]:
    """nothing else is so"""
    yield


def vm_closed(guest: Guest) -> Iterator[None]:
    """the VM's descriptor is closed"""
    os.close(guest.vm.fd)
    guest.vm.fd = -1
    yield


def vcpu_dup(guest: Guest) -> Iterator[None]:
    """KVM_RUN is called on a duplicate of the vCPU's descriptor, the first being closed"""
    first, guest.vcpu.fd = guest.vcpu.fd, os.dup(guest.vcpu.fd)
    os.close(first)
    yield


def vcpu_nonblocking(guest: Guest) -> Iterator[None]:
    """the vCPU's descriptor has O_NONBLOCK"""
    os.set_blocking(guest.vcpu.fd, False)
    yield


def vcpu_inherited(guest: Guest) -> Iterator[None]:
    """the vCPU's descriptor is not closed on exec"""
    os.set_inheritable(guest.vcpu.fd, True)
    yield


def mapped_again(guest: Guest) -> Iterator[None]:
    """kvm_run is mapped a second time"""
    with closing(guest.vcpu.map_again()):
        yield


def mapped_before(guest: Guest) -> Iterator[None]:
    """a mapping of kvm_run was made and is gone"""
    guest.vcpu.map_again().close()
    yield


def with_signal_mask(guest: Guest) -> Iterator[None]:
    """KVM_SET_SIGNAL_MASK blocks a signal"""
    guest.vcpu.set_signal_mask({KICK})
    yield
    guest.vcpu.set_signal_mask(None)


def with_empty_signal_mask(guest: Guest) -> Iterator[None]:
    """KVM_SET_SIGNAL_MASK blocks no signal"""
    guest.vcpu.set_signal_mask(())
    yield
    guest.vcpu.set_signal_mask(None)


def stepping(guest: Guest) -> Iterator[None]:
    """the guest is single-stepped"""
    if not guest.vm.check_extension("KVM_CAP_SET_GUEST_DEBUG"):
        raise LackingError("KVM_CAP_SET_GUEST_DEBUG", errno.EOPNOTSUPP)
    guest.vcpu.set_guest_debug(single_step=True)
    yield
    guest.vcpu.set_guest_debug(single_step=False)


def dirty_log(guest: Guest) -> Iterator[None]:
    """the guest's writes are logged, first before and then after the log was read"""
    guest.vm.start_dirty_log(RAM_SLOT)
    yield
    guest.vm.dirty_pages(RAM_SLOT)
    yield


def region_added(guest: Guest) -> Iterator[None]:
    """memory was added just before"""
    guest.vm.add_memory(SLOT, guest.address(at.EXTRA_RAM), PAGE_BYTES)
    yield


def region_high(guest: Guest) -> Iterator[None]:
    """there is memory beyond 4 GiB"""
    guest.vm.add_memory(SLOT, guest.address(HIGH), PAGE_BYTES)
    yield


def region_moved(guest: Guest) -> Iterator[None]:
    """memory was moved just before"""
    guest.vm.add_memory(SLOT, guest.address(at.EXTRA_RAM), PAGE_BYTES)
    guest.vm.move_memory(SLOT, guest.address(at.EXTRA_RAM + PAGE_BYTES))
    yield


def region_deleted(guest: Guest) -> Iterator[None]:
    """memory was deleted just before"""
    guest.vm.add_memory(SLOT, guest.address(at.EXTRA_RAM), PAGE_BYTES)
    guest.vm.take_memory(SLOT)
    yield


def no_memory(guest: Guest) -> Iterator[None]:
    """the guest has no memory at all"""
    guest.vm.take_memory(RAM_SLOT)
    yield
    guest.vm.move_memory(RAM_SLOT, guest.address(0))


def region_read_only(guest: Guest) -> Iterator[None]:
    """some memory may only be read"""
    _need(guest, "KVM_CAP_READONLY_MEM")
    guest.vm.add_memory(SLOT, guest.address(at.EXTRA_RAM), PAGE_BYTES, read_only=True)
    yield


def many_regions(guest: Guest) -> Iterator[None]:
    """the VM has many pieces of memory"""
    for number in range(MANY_SLOTS):
        place = guest.address(at.EXTRA_RAM + 2 * number * PAGE_BYTES)
        guest.vm.add_memory(SLOT + number, place, PAGE_BYTES)
    yield


def last_slot(guest: Guest) -> Iterator[None]:
    """the last of the VM's memory slots is used"""
    last = _need(guest, "KVM_CAP_NR_MEMSLOTS") - 1
    guest.vm.add_memory(last, guest.address(at.EXTRA_RAM), PAGE_BYTES)
    yield


def private_memory(guest: Guest) -> Iterator[None]:
    """some memory is a private mapping"""
    _add(guest, mmap.mmap(-1, PAGE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    yield


def file_memory(guest: Guest) -> Iterator[None]:
    """some memory is a file's"""
    with tempfile.TemporaryFile() as file:
        file.truncate(PAGE_BYTES)
        _add(guest, mmap.mmap(file.fileno(), PAGE_BYTES))
    yield


def memfd_memory(guest: Guest) -> Iterator[None]:
    """some memory is a memfd's"""
    fd = os.memfd_create("guest")
    os.truncate(fd, PAGE_BYTES)
    _add(guest, mmap.mmap(fd, PAGE_BYTES))
    os.close(fd)
    yield


def huge_memory(guest: Guest) -> Iterator[None]:
    """some memory asks for huge pages"""
    mapping = mmap.mmap(-1, 4 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        mapping.madvise(mmap.MADV_HUGEPAGE)
    mapping[:: PAGE_BYTES] = bytes(len(mapping) // PAGE_BYTES)
    _add(guest, mapping)
    yield


def memory_given_back(guest: Guest) -> Iterator[None]:
    """the host has just taken pages back that the guest had"""
    mapping = mmap.mmap(-1, PAGE_BYTES, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    mapping[0] = 1
    _add(guest, mapping)
    mapping.madvise(mmap.MADV_DONTNEED)
    yield


def writes_collected(guest: Guest) -> Iterator[None]:
    """writes to a device are collected in the coalesced ring"""
    _need(guest, "KVM_CAP_COALESCED_MMIO")
    wires.collect_writes(guest.vm, guest.address(at.MMIO_BASE), PAGE_BYTES)
    yield


def writes_signalled(guest: Guest) -> Iterator[None]:
    """a write to a device signals an eventfd"""
    _need(guest, "KVM_CAP_IOEVENTFD")
    fd = os.eventfd(0)
    try:
        wires.signal_writes(guest.vm, guest.address(at.MMIO_BASE), fd)
        yield
    finally:
        os.close(fd)


def halt_polling_off(guest: Guest) -> Iterator[None]:
    """the VM has a time of its own for halt polling"""
    if not guest.vm.set_halt_poll(0):
        raise LackingError("KVM_CAP_HALT_POLL", errno.EOPNOTSUPP)
    yield


def more_vcpus(guest: Guest) -> Iterator[None]:
    """the VM has a second vCPU, and then many"""
    _another_vcpu(guest, 1)
    yield
    for number in range(2, min(MANY_VCPUS, _most_vcpus(guest))):
        _another_vcpu(guest, number)
    yield


def vcpus_out_of_order(guest: Guest) -> Iterator[None]:
    """the VM's vCPUs were not made in the order of their numbers"""
    for number in (3, 1, 2):
        _another_vcpu(guest, number)
    yield


def another_byte(guest: Guest) -> Iterator[None]:
    """another vCPU's byte is set and obeyed as well"""
    other = _another_vcpu(guest, 1)
    other.immediate_exit = 1
    require_eintr(other.run_raw(goes_on=False), "On another vCPU")
    yield


def statistics_open(guest: Guest) -> Iterator[None]:
    """the vCPU's statistics are open"""
    stats = guest.vm.stats_of(guest.vcpu)
    if stats is None:
        raise LackingError("KVM_CAP_BINARY_STATS_FD", errno.EOPNOTSUPP)
    try:
        yield
    finally:
        stats.close()


def exit_reasons(guest: Guest) -> Iterator[None]:
    """kvm_run.exit_reason holds one reason after another"""
    for number in (*range(64), 0x80000000, 0xFFFFFFFF):
        guest.vcpu.run_page.exit_reason = number
        yield


def just_kicked(guest: Guest) -> Iterator[None]:
    """a signal has just ended a run of the guest, a second time and a third"""
    for _ in range(3):
        warm_up(guest)
        yield


OF_THE_VM = (
    *(nothing_special, vm_closed, vcpu_dup, vcpu_nonblocking, vcpu_inherited, mapped_again),
    *(mapped_before, with_signal_mask, with_empty_signal_mask, stepping, dirty_log, region_added),
    *(region_high, region_moved, region_deleted, no_memory, region_read_only, many_regions),
    *(last_slot, private_memory, file_memory, memfd_memory, huge_memory, memory_given_back),
    *(writes_collected, writes_signalled, halt_polling_off, more_vcpus, vcpus_out_of_order),
    *(another_byte, statistics_open, exit_reasons, just_kicked),
)


# ---- the calling thread, which ends with the condition


def fresh_thread(guest: Guest) -> Iterator[None]:
    """the calling thread never ran the vCPU before"""
    yield


def each_processor(guest: Guest) -> Iterator[None]:
    """the calling thread is bound to one processor after another"""
    for number in sorted(os.sched_getaffinity(0))[:8]:
        os.sched_setaffinity(0, {number})
        yield


def batch(guest: Guest) -> Iterator[None]:
    """the calling thread has the policy SCHED_BATCH"""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    yield


def nice(guest: Guest) -> Iterator[None]:
    """the calling thread is nice"""
    os.setpriority(os.PRIO_PROCESS, 0, min(os.getpriority(os.PRIO_PROCESS, 0) + 3, 19))
    yield


def real_time(guest: Guest) -> Iterator[None]:
    """the calling thread has the policy SCHED_FIFO"""
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    yield


def signals_blocked(guest: Guest) -> Iterator[None]:
    """the calling thread blocks a signal"""
    signal.pthread_sigmask(signal.SIG_BLOCK, {KICK})
    yield


def signal_pending(guest: Guest) -> Iterator[None]:
    """a signal that the calling thread blocks is pending"""
    signal.pthread_sigmask(signal.SIG_BLOCK, {KICK})
    send(threading.get_native_id(), KICK)
    yield
    signal.sigtimedwait({KICK}, 0)


def alternate_stack(guest: Guest) -> Iterator[None]:
    """the calling thread has an alternate signal stack"""
    stack = caller.with_alternate_stack()
    yield
    del stack


def no_new_privileges(guest: Guest) -> Iterator[None]:
    """the calling thread may not get new privileges"""
    caller.without_new_privileges()
    yield


def seccomp(guest: Guest) -> Iterator[None]:
    """the calling thread is behind a seccomp filter"""
    caller.behind_a_filter()
    yield


def timer_slack(guest: Guest) -> Iterator[None]:
    """the calling thread has the least timer slack"""
    caller.with_timer_slack(1)
    yield


def own_files(guest: Guest) -> Iterator[None]:
    """the calling thread has a table of descriptors of its own"""
    caller.with_own_files()
    yield


def no_capabilities(guest: Guest) -> Iterator[None]:
    """the calling thread has no capability"""
    caller.without_capabilities()
    yield


OF_THE_CALLER = (
    *(fresh_thread, each_processor, batch, nice, real_time, signals_blocked, signal_pending),
    *(alternate_stack, no_new_privileges, seccomp, timer_slack, own_files, no_capabilities),
)


# ---- what is decided before the vCPU is made: a function of the VM gives the vCPU's number


def number_one(vm: Vm) -> int:
    """the VM's only vCPU has the number 1"""
    return 1


def number_beyond_a_word(vm: Vm) -> int:
    """the vCPU's number does not fit into the bits of a word"""
    return min(64, _highest(vm))


def number_beyond_a_byte(vm: Vm) -> int:
    """the vCPU's number does not fit into a byte"""
    return min(256, _highest(vm))


def highest_number(vm: Vm) -> int:
    """the vCPU has the highest number that KVM allows"""
    return _highest(vm)


def last_of_two(vm: Vm) -> int:
    """the vCPU is the VM's second"""
    vm.create_vcpu(0)
    return 1


def last_of_many(vm: Vm) -> int:
    """the vCPU is the last of many"""
    count = min(MANY_VCPUS, vm.check_extension("KVM_CAP_MAX_VCPUS"))
    for number in range(count - 1):
        vm.create_vcpu(number)
    return count - 1


def first_after_others(vm: Vm) -> int:
    """the vCPU has the number 0 and was made last"""
    for number in (2, 1):
        vm.create_vcpu(number)
    return 0


def dirty_ring(vm: Vm) -> int:
    """the vCPU has a dirty ring"""
    if not vm.offers_dirty_ring():
        raise LackingError("KVM_CAP_DIRTY_LOG_RING", errno.EOPNOTSUPP)
    value = vm.enable_dirty_ring_raw(RING_BYTES)
    if value:
        raise KvmError("KVM_ENABLE_CAP of a dirty ring", -value)
    return 0


def manual_dirty_log(vm: Vm) -> int:
    """the dirty log is cleared by hand"""
    answer = vm.check_extension("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2")
    if not answer:
        raise LackingError("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", errno.EOPNOTSUPP)
    vm.enable_cap("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", answer)
    return 0


BEFORE_THE_VCPU = (
    *(number_one, number_beyond_a_word, number_beyond_a_byte, highest_number, last_of_two),
    *(last_of_many, first_after_others, dirty_ring, manual_dirty_log),
)


# ---- the tests


@pytest.mark.claim("preset.everywhere")
@each(OF_THE_VM)
def test_whatever_the_vm_has(ready: Guest, condition: Condition) -> None:
    """api.rst, immediate_exit: "if non-zero, KVM_RUN exits immediately" knows no exception."""
    require_obeyed(ready, condition)


@pytest.mark.claim("preset.everywhere")
@each(OF_THE_CALLER)
def test_whatever_the_caller_is(ready: Guest, condition: Condition) -> None:
    """The same, whatever thread calls KVM_RUN."""
    caller.on_a_fresh_thread(lambda: require_immediate_runs(ready, condition))
    require_runs_on(ready, f"With the byte cleared, after immediate runs under {condition.__name__}")


@pytest.mark.claim("preset.everywhere")
@each(BEFORE_THE_VCPU)
def test_however_the_vcpu_was_made(
    vm: Vm, guest_mode: str, condition: Callable[[Vm], int]
) -> None:
    """The same, whatever the vCPU's number and its VM."""
    with skipped_where_lacking(condition.__name__):
        number = condition(vm)
    with Guest(vm, arch.current(), number) as guest:
        guest.load("heartbeat", guest_mode)
        require_held(guest, f"{circumstance(condition)}, before the guest has run")
        warm_up(guest)
        require_held(guest, circumstance(condition))
        require_runs_on(guest, f"With the byte cleared, {circumstance(condition)},")


@pytest.mark.claim("preset.everywhere")
def test_maker_gone(kvm: System, guest_mode: str) -> None:
    """The thread that made VM and vCPU, and ran the guest first, has ended."""
    with ExitStack() as at_the_end:
        made: list[Guest] = []

        def make() -> None:
            made.append(at_the_end.enter_context(create(kvm)))
            made[0].load("heartbeat", guest_mode)
            warm_up(made[0])

        caller.on_a_fresh_thread(make, "maker")
        require_held(made[0], "While the thread that made the vCPU is gone")
        require_runs_on(made[0], "With the byte cleared, the thread that made the vCPU being gone,")


@pytest.mark.claim("preset.everywhere")
def test_while_another_vcpu_runs(ready: Guest) -> None:
    """Another vCPU of the VM is in the guest meanwhile."""
    if ready.vm.check_extension("KVM_CAP_MAX_VCPUS") < 2:
        pytest.skip(reason("no_second_vcpu"))
    other = ready.vm.create_vcpu(1)
    ready.architecture.configure(other)
    before = ready.architecture.registers(other)
    with Running(ready) as running:
        running.wait_for_progress()
        other.immediate_exit = VALUE
        result = other.run_many_raw(max(RUNS))
        said = "While another vCPU of the VM runs"
        require_eintr(result, said)
        running.wait_for_progress()
        ready.stop()
        require_left(running.outcome(), "On the vCPU whose byte is 0")
    assert ready.architecture.registers(other) == before, (
        f"{said}, a vCPU with its byte set must execute nothing, but its registers changed"
    )


def _need(guest: Guest, capability: str) -> int:
    answer = guest.vm.check_extension(capability)
    if not answer:
        raise LackingError(capability, errno.EOPNOTSUPP)
    return answer


def _add(guest: Guest, mapping: mmap.mmap) -> None:
    place = guest.address(at.EXTRA_RAM)
    guest.vm.add_memory(SLOT, place, len(mapping), mapping=mapping)


def _another_vcpu(guest: Guest, number: int) -> Vcpu:
    if _most_vcpus(guest) <= number:
        pytest.skip(reason("no_second_vcpu"))
    return guest.vm.create_vcpu(number)


def _most_vcpus(guest: Guest) -> int:
    return guest.vm.check_extension("KVM_CAP_MAX_VCPUS")


def _highest(vm: Vm) -> int:
    # api.rst 4.7: without it the numbers end with KVM_CAP_MAX_VCPUS.
    most = vm.check_extension("KVM_CAP_MAX_VCPU_ID") or vm.check_extension("KVM_CAP_MAX_VCPUS")
    if most < 2:
        pytest.skip(reason("no_second_vcpu"))
    return most - 1
