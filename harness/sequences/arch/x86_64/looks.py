# SPDX-License-Identifier: GPL-2.0-only
"""What a KVM_RUN that ended with EINTR must leave besides the vCPU's state, on x86-64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from harness.kvm.arch.x86_64 import clocks, run_fields
from harness.kvm.guest import Guest
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.sequences import looks
from harness.sequences.looks import Broken


@contextmanager
def run_told(vcpu: Vcpu, vm: Vm) -> Iterator[Callable[[], Broken]]:
    """Around a KVM_RUN: the fields of kvm_run say afterwards what is so. Raises `KvmError`."""
    run_page = vcpu.run_page
    priority = run_page.cr8
    run_fields.poison(vcpu, vm)
    if vm.irqchip == "none":
        run_page.cr8 = priority  # there it is an input: another one would change the vCPU
    yield lambda: [("preset.run_fields", str(each)) for each in run_fields.contradictions(vcpu, vm)]


@contextmanager
def looked(guest: Guest) -> Iterator[Callable[[], Broken]]:
    """The same, and that the thread is as it was. Raises `KvmError`."""
    with run_told(guest.vcpu, guest.vm) as told, ExitStack() as looking:
        thread = looking.enter_context(looks.looked(guest))
        yield lambda: [*told(), *thread()]


@contextmanager
def clocked(guest: Guest) -> Iterator[Callable[[], Broken]]:
    """Around a KVM_RUN: no clock that stands still otherwise, or goes steadily, was moved."""
    steady = clocks.undisturbed(guest.vcpu, guest.vm)

    def broken() -> Broken:
        found = steady.differences(clocks.clocks(guest.vcpu, guest.vm))
        told = f"no clock of the guest may move, but {'; '.join(found)}"
        return [("preset.time_untouched", told)] if found else []

    yield broken
