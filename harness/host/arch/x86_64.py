# SPDX-License-Identifier: GPL-2.0-only
"""x86-64."""

from __future__ import annotations

from harness.host.arch import Words

WORDS = Words(
    lacking={
        "no_msr_exits": "this KVM does not hand MSR accesses to userspace",
        "no_smm": "this KVM has no system management mode",
        "no_exception_payload": "this KVM does not tell pending exceptions from injected ones",
        "no_triple_fault_event": "this KVM does not show a pending triple fault",
        "no_32_bit": "this host runs no 32-bit programs",
        "no_kvmclock": "this KVM gives no paravirtual clock",
        "no_xen_hypercalls": "this KVM does not hand hypercalls of Xen's to userspace",
        "no_hyperv": "this KVM does not offer Hyper-V's hypercalls and SynIC to a guest",
        "no_tpr_exits": "this KVM does not hand a lowered task priority to userspace",
        "no_tsc_deadline": "this KVM has no TSC-deadline timer",
        "no_steady_tsc": "the guest's TSC is not what KVM tells of it, without an immediate run",
        "no_guest_memfd": "this KVM serves no guest's faults from a file of its own",
        "no_breakpoints": "a guest here meets no breakpoint of the debug registers",
    },
    loading=(
        "Load the module for this processor (on x86 `modprobe kvm_intel` or `modprobe kvm_amd`)"
    ),
    # arch/x86/kernel/traps.c
    faults=(
        r"general protection fault(?:, |: [0-9a-f]{4} \[#)",
        r"(?:traps: )?PANIC: double fault",
        r"double fault: [0-9a-f]{4} \[#",
    ),
    parameters=(
        *(f"kvm.{name}" for name in ("tdp_mmu", "nx_huge_pages", "eager_page_split")),
        *(f"kvm.{name}" for name in ("lapic_timer_advance", "lapic_timer_advance_ns")),
        *(f"kvm_amd.{name}" for name in ("npt", "nested", "avic", "vgif", "vls", "vnmi")),
        *(f"kvm_intel.{name}" for name in ("ept", "unrestricted_guest", "nested")),
        *(f"kvm_intel.{name}" for name in ("enable_apicv", "enable_ipiv", "preemption_timer")),
    ),
)
