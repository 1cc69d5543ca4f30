# SPDX-License-Identifier: GPL-2.0-only
"""Faults of memory that KVM keeps in a file of its own: kicked, and such that cannot be served.

A fault of guest_memfd waits for nothing that a signal could end: it is served, begun again while
the memory changes, or it fails. Which of these a signal meets, it must only end the run.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm.abi import constant
from harness.kvm.guest import Guest, create
from harness.kvm.guest_memfd import GuestMemfd, is_offered, memory_fault
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.run import RunResult
from harness.kvm.running import Running
from harness.kvm.signals import Blocked, CountingHandler
from harness.kvm.system import System
from harness.require import (
    require_errno,
    require_runs_on,
    require_signal_at_entry,
    require_signal_exit,
    require_untouched,
)
from suites.dimensions import KICK, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

SLOT = 1
MANY = 1024  # pages, so that the guest still comes to new ones when the kick is sent
KICKS = 10
FIRST_PAGE, PAGES, LOADS, LOADED, LEAVES = 0, 1, 2, 3, 5  # data words of the program pages
NOT_LOADED = 0xFFFFFFFF


@dataclass(frozen=True)
class Kind:
    """Of memory, with the type of the VM that has it."""

    machine_type: int
    private: bool

    def memory(self, guest: Guest, pages: int) -> GuestMemfd:
        """Such memory, empty, where the program looks for it."""
        size = pages * PAGE_BYTES
        return GuestMemfd(guest.vm, SLOT, at.EXTRA_RAM, size, private=self.private)


every_kind = pytest.mark.parametrize(
    "kind",
    [Kind(0, private=False), Kind(constant("KVM_X86_SW_PROTECTED_VM"), private=True)],
    ids=["shared", "private"],
)


@contextmanager
def guest_with(kvm: System, kind: Kind, pages: int) -> Iterator[Guest]:
    """It is to touch so many pages of memory that is not there yet."""
    types = kvm.check_extension("KVM_CAP_VM_TYPES")
    if kind.machine_type and not types >> kind.machine_type & 1:
        pytest.skip(reason("no_guest_memfd", "there are no VMs with private memory"))
    with create(kvm, machine_type=kind.machine_type) as guest:
        if not is_offered(guest.vm, kind.private):
            pytest.skip(reason("no_guest_memfd", f"machine type {kind.machine_type}"))
        guest.load("pages", "long", {FIRST_PAGE: at.EXTRA_RAM, PAGES: pages})
        yield guest


def require_unserved(guest: Guest, result: RunResult, circumstance: str) -> None:
    """api.rst, KVM_EXIT_MEMORY_FAULT: -1, with EFAULT, and kvm_run says where."""
    __tracebackhide__ = True
    require_errno(result, errno.EFAULT, circumstance)
    wanted = constant("KVM_EXIT_MEMORY_FAULT")
    assert result.exit_reason == wanted, (
        f"{circumstance}, exit_reason must be KVM_EXIT_MEMORY_FAULT, but {result.describe()}"
    )
    found = memory_fault(guest.vcpu)
    assert (found.address, found.size) == (at.EXTRA_RAM, PAGE_BYTES), (
        f"{circumstance}, kvm_run must tell of the page at {at.EXTRA_RAM:#x}, but it says {found}"
    )
    assert guest.data(LOADED) == NOT_LOADED, f"{circumstance}, the guest loaded something"


@pytest.mark.claim("signals.slow_fault")
@every_kind
def test_fault_that_cannot_be_served(kvm: System, kind: Kind) -> None:
    """virt/kvm/guest_memfd.c, kvm_gmem_get_pfn(): the file was closed. A run with the byte or with
    a signal does not come there, and the access is made when there is memory."""
    with guest_with(kvm, kind, 1) as guest, Blocked(KICK) as blocked:
        guest.set_data(LOADS, 1)
        guest.set_data(LOADED, NOT_LOADED)
        guest.set_data(LEAVES, 1)
        lost = kind.memory(guest, 1)
        lost.close()
        require_untouched(guest, "Before a fault that cannot be served")
        result = guest.vcpu.run_raw()
        interpreted = guest.statistic("insn_emulation")
        if interpreted and result.errno != errno.EFAULT:
            said = f"KVM interpreted {interpreted} instructions up to the access"
            pytest.skip(reason("no_guest_memfd", said))
        require_unserved(guest, result, "At a fault that cannot be served")
        for times in (1, 20):
            require_untouched(guest, "After a fault that cannot be served", times=times)
            result = guest.vcpu.run_raw()
            require_unserved(guest, result, f"At that fault again after {times} immediate runs")
        guest.vcpu.set_signal_mask(())
        blocked.send(KICK)
        require_signal_at_entry(guest, "After a fault that cannot be served, by a pending signal")
        blocked.take(KICK)
        require_unserved(guest, guest.vcpu.run_raw(), "At that fault again after a signal")
        lost.delete()
        guest.set_data(LEAVES, 0)
        with kind.memory(guest, 1):
            require_runs_on(guest, "After a fault that could not be served, with memory there")
        loaded = guest.data(LOADED)
        assert loaded == 0, f"The load must see the zeroes of new memory, not {loaded:#x}"


@pytest.mark.claim("signals.slow_fault")
@every_kind
@pytest.mark.parametrize("sets_byte", [False, True], ids=["signal", "byte"])
def test_kick_of_a_guest_that_faults(kvm: System, kind: Kind, sets_byte: bool) -> None:
    """arch/x86/kvm/mmu/mmu.c, kvm_mmu_faultin_pfn_gmem() (kvm_faultin_pfn_private() up to 6.12): a
    signal that comes meanwhile is no reason to fail, and is seen before the guest is entered."""
    with guest_with(kvm, kind, MANY) as guest:
        for number in range(1, KICKS + 1):
            with (
                kind.memory(guest, MANY) as memory,
                CountingHandler(KICK) as handler,
            ):
                if sets_byte:
                    handler.sets_immediate_exit(guest)
                with Running(guest) as running:
                    running.wait_for_progress()
                    running.kick(KICK)
                    result = running.outcome()
                guest.vcpu.immediate_exit = 0
                said = f"On kick {number} of a guest that faults in its memory"
                require_signal_exit(result, said)
                assert handler.count() == 1, f"{said}, the handler ran {handler.count()} times"
                memory.delete()
        with kind.memory(guest, MANY):
            require_runs_on(guest, f"After {KICKS} kicks of a guest that faults in its memory")
