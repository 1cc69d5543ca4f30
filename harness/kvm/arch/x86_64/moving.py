# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: a vCPU goes on in another VM, as a monitor saves and restores it."""

from __future__ import annotations

import contextlib

from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import ioctls, kept, nested
from harness.kvm.vcpu import Vcpu
from harness.native import lib

# Those that a guest of ours can have changed: SYSENTER, PAT, SYSCALL, the other GS base, and, of
# a hypervisor on SVM, where the processor keeps its state.
_MSRS = (0x174, 0x175, 0x176, 0x277, *range(0xC0000081, 0xC0000085), 0xC0000102, 0xC0010117)


def move(source: Vcpu, target: Vcpu) -> None:
    """All that a monitor saves, but for what keeps time. Nothing may be pending to complete.

    The target has its CPUID. Without a local APIC KVM takes CR8 from kvm_run. Raises `KvmError`.
    """
    target.run_page.cr8 = source.run_page.cr8
    for name in kept.STRUCTS:
        try:
            found = kept.read(source, name)
        except KvmError:  # this VM has no local APIC, or KVM no XCRs
            continue
        if name == "events":  # not of what only the source's VM has enabled
            flags = found.flags & kept.read(target, name).flags
            if (found.flags ^ flags) & lib.KVM_VCPUEVENT_VALID_PAYLOAD:
                # As KVM tells a pending exception to who does not know payloads.
                found.exception.injected |= found.exception.pending
            found.flags = flags
        kept.write(target, name, found)
    for index in _MSRS:
        with contextlib.suppress(KvmError):
            ioctls.set_msr(target, index, ioctls.get_msr(source, index))
    with contextlib.suppress(KvmError):  # KVM has no guest of a guest
        nested.set_state(target, nested.get_state(source))
    target.set_mp_state(source.mp_state())
