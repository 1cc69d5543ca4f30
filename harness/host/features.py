# SPDX-License-Identifier: GPL-2.0-only
"""The fixed words for what a host cannot show, and their meaning.

Consumers keep history by these words (a skip's reason is `word: prose`), so they never change.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.host import arch

_OF_ALL: Mapping[str, str] = {
    "no_kvm": "there is no usable /dev/kvm",
    "no_permission": "/dev/kvm may not be opened by this user",
    "kvm_busy": "another hypervisor holds the processor",
    "wrong_api": "/dev/kvm does not speak API version 12",
    "no_vm": "KVM_CREATE_VM fails",
    "other_architecture": "the claim is about another architecture, or the suite lacks this one",
    "no_capability": "this KVM does not offer KVM_CAP_IMMEDIATE_EXIT",
    "has_capability": "this KVM offers KVM_CAP_IMMEDIATE_EXIT",
    "no_irqchip": "this KVM has no interrupt controller in the kernel of that kind",
    "no_guest_mode": "this KVM does not run a guest in that mode",
    "no_hypercall_exits": "this KVM does not hand hypercalls to userspace",
    "no_userfaultfd": "userfaultfd(2) is not there, or not for this user",
    "no_interruptible_fault": "this KVM reads guest memory where no signal interrupts the wait",
    "no_readonly_memory": "this KVM has no memory that a guest only reads",
    "no_dirty_ring": "this KVM has no dirty ring",
    "no_sync_regs": "this KVM does not share registers through kvm_run",
    "no_guest_debug": "this KVM does not single-step a guest",
    "no_stats": "this KVM has no binary statistics",
    "no_halt_polling": "this KVM does not let a VM's halt-polling time be set",
    "repeated_interrupt": "the emulated processor may have delivered an interrupt twice",
    "busy_host": "the host was too busy to let this be seen",
    "no_nested": "there is no second level of guests, here or in this suite",
    "no_freezer": "no cgroup of version 2 can be made and frozen by this user",
    "no_io_uring": "io_uring is not there, or not for this user",
    "no_ptrace": "this process may not trace another one",
    "no_watchpoint": "this process may not watch its own memory by a hardware breakpoint",
    "no_slab_counts": "this user is not told how many objects the kernel has in its slabs",
    "no_realtime": "this process may not take a realtime priority",
    "no_second_cpu": "this process may use one processor only",
    "no_second_vcpu": "this KVM allows one vCPU only",
    "no_setting": "this KVM has not, or does not allow, what the byte is to be tried under",
}

#: Each word, also of other architectures than this machine's, with its prose.
REASONS: Mapping[str, str] = {
    **_OF_ALL,
    **{word: prose for words in arch.known().values() for word, prose in words.lacking.items()},
}

#: Those of harness/host/obstacles.py: a run has such a word for all of its tests, or it contradicts
#: itself. Not the architecture, which a single test may be about.
OF_THE_WHOLE_HOST = frozenset({"no_kvm", "no_permission", "kvm_busy", "wrong_api", "no_vm"})


def reason(word: str, detail: str = "") -> str:
    """`word: prose`, with a detail of this host if there is one. KeyError for an unknown word."""
    prose = REASONS[word]
    return f"{word}: {prose} ({detail})" if detail else f"{word}: {prose}"
