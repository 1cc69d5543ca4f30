# SPDX-License-Identifier: GPL-2.0-only
"""What a KVM_RUN that ended with EINTR must leave besides the vCPU's state, on x86-64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from harness.kvm.arch.x86_64 import clocks, run_fields
from harness.kvm.arch.x86_64.calling_thread import NoExtendedStateError, looked_at
from harness.kvm.guest import Guest

#: Claims, and what breaks them.
Broken = list[tuple[str, str]]


@contextmanager
def looked(guest: Guest) -> Iterator[Callable[[], Broken]]:
    """Around a KVM_RUN; what it gives tells afterwards. Raises `KvmError`."""
    run_page, vm = guest.vcpu.run_page, guest.vm
    priority = run_page.cr8
    run_fields.poison(guest.vcpu, vm)
    if vm.irqchip == "none":
        run_page.cr8 = priority  # there it is an input: another one would change the vCPU
    with ExitStack() as looking:
        thread = None
        try:
            thread = looking.enter_context(looked_at(guest.vcpu))
        except NoExtendedStateError:  # a processor without XSAVE
            pass

        def broken() -> Broken:
            fields = run_fields.contradictions(guest.vcpu, vm)
            found = [("preset.run_fields", str(each)) for each in fields]
            if thread:
                found += [("preset.host_untouched", each) for each in thread.differences()]
            return found

        yield broken


@contextmanager
def clocked(guest: Guest) -> Iterator[Callable[[], Broken]]:
    """Around a KVM_RUN: no clock that stands still otherwise, or goes steadily, was moved."""
    steady = clocks.undisturbed(guest.vcpu, guest.vm)

    def broken() -> Broken:
        found = steady.differences(clocks.clocks(guest.vcpu, guest.vm))
        told = f"no clock of the guest may move, but {'; '.join(found)}"
        return [("preset.time_untouched", told)] if found else []

    yield broken
