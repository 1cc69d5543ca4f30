# SPDX-License-Identifier: GPL-2.0-only
"""Conditions of a VM and its memory.

OF_THE_VM is the list: the next condition is a function more.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress

from guest_blobs import memory_map as at
from harness.conditions.condition import Before, before_a_signal
from harness.kvm import abi, call_log, wires
from harness.kvm.abi import LackingError
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.running import warm_up
from harness.kvm.signals import KICK
from harness.kvm.vcpu import Vcpu
from harness.require import require_eintr

SLOT = RAM_SLOT + 1
HIGH = 1 << 33  # beyond what 32 bits address
MANY_VCPUS = 16
MANY_SLOTS = 20


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
    first, guest.vcpu.fd = guest.vcpu.fd, fcntl.fcntl(guest.vcpu.fd, fcntl.F_DUPFD_CLOEXEC, 200)
    os.close(first)
    yield


def vcpu_nonblocking(guest: Guest) -> Iterator[None]:
    """the vCPU's descriptor has O_NONBLOCK"""
    call_log.cannot("a descriptor that has O_NONBLOCK")
    os.set_blocking(guest.vcpu.fd, False)
    yield


def vcpu_inherited(guest: Guest) -> Iterator[None]:
    """the vCPU's descriptor is not closed on exec"""
    os.set_inheritable(guest.vcpu.fd, True)
    yield


def mapped_again(guest: Guest) -> Iterator[None]:
    """kvm_run is mapped a second time"""
    call_log.cannot("a second mapping of kvm_run")
    with closing(guest.vcpu.map_again()):
        yield


def mapped_before(guest: Guest) -> Iterator[None]:
    """a mapping of kvm_run was made and is gone"""
    call_log.cannot("a second mapping of kvm_run")
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
    guest.vm.delete_memory(SLOT)
    yield


@before_a_signal(Before(breaks=True))  # its page tables are nowhere: KVM may end it for that
def no_memory(guest: Guest) -> Iterator[None]:
    """the guest has no memory at all"""
    guest.vm.delete_memory(RAM_SLOT)
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
    try:
        os.truncate(fd, PAGE_BYTES)
        mapping = mmap.mmap(fd, PAGE_BYTES)
    finally:
        os.close(fd)
    _add(guest, mapping)
    yield


def huge_memory(guest: Guest) -> Iterator[None]:
    """some memory asks for huge pages"""
    mapping = mmap.mmap(-1, 4 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        mapping.madvise(mmap.MADV_HUGEPAGE)
    mapping[::PAGE_BYTES] = bytes(len(mapping) // PAGE_BYTES)
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


def device_assigned(guest: Guest) -> Iterator[None]:
    """the VM is ready for assigned devices"""
    fd = wires.assigned_devices(guest.vm)
    try:
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
    taken = {abi.constant(name) for name in guest.architecture.COMPLETED_BY_REASON}
    for number in (*sorted({*range(64)} - taken), 0x80000000, 0xFFFFFFFF):
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
    *(writes_collected, writes_signalled, device_assigned, halt_polling_off, more_vcpus),
    *(vcpus_out_of_order, another_byte, statistics_open, exit_reasons, just_kicked),
)

#: What stays, or changes exits; runs the guest, or its VM anew; or touches mask, log and vCPUs, of
#: which a model keeps account.
NOT_TAKEN_BACK = (
    *(vm_closed, vcpu_dup, vcpu_nonblocking, no_memory, dirty_log, with_signal_mask),
    *(with_empty_signal_mask, stepping, just_kicked, writes_collected, writes_signalled),
    *(more_vcpus, vcpus_out_of_order, another_byte),
)


def _need(guest: Guest, capability: str) -> int:
    answer = guest.vm.check_extension(capability)
    if not answer:
        raise LackingError(capability, errno.EOPNOTSUPP)
    return answer


def _add(guest: Guest, mapping: mmap.mmap) -> None:
    call_log.cannot("memory of a kind of its own")
    place = guest.address(at.EXTRA_RAM)
    guest.vm.add_memory(SLOT, place, len(mapping), mapping=mapping)


def _another_vcpu(guest: Guest, number: int) -> Vcpu:
    if _most_vcpus(guest) <= number:
        raise LackingError("KVM_CAP_MAX_VCPUS", errno.EOPNOTSUPP)
    other = guest.vm.create_vcpu(number)
    guest.architecture.configure(other)
    return other


def _most_vcpus(guest: Guest) -> int:
    return guest.vm.check_extension("KVM_CAP_MAX_VCPUS")
