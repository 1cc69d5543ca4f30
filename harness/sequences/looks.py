# SPDX-License-Identifier: GPL-2.0-only
"""What a KVM_RUN that ended with EINTR must leave besides the vCPU's state, on any architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from harness.kvm.calling_thread import NoExtendedStateError, looked_at
from harness.kvm.guest import Guest
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

#: Claims, and what breaks them.
Broken = list[tuple[str, str]]


@contextmanager
def run_told(vcpu: Vcpu, vm: Vm) -> Iterator[Callable[[], Broken]]:
    """Around a KVM_RUN, where kvm_run has no field that tells of the vCPU."""
    yield list


@contextmanager
def looked(guest: Guest) -> Iterator[Callable[[], Broken]]:
    """Around a KVM_RUN: the thread that called it is as it was."""
    with ExitStack() as looking:
        try:
            thread = looking.enter_context(looked_at(guest.vcpu))
        except NoExtendedStateError:  # a processor or an architecture of which nothing is known
            yield list
        else:
            yield lambda: [("preset.host_untouched", each) for each in thread.differences()]


@contextmanager
def clocked(guest: Guest) -> Iterator[Callable[[], Broken]]:
    """Around a KVM_RUN, where no clock of the guest's is read."""
    yield list
