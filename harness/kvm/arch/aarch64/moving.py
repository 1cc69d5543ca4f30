# SPDX-License-Identifier: GPL-2.0-only
"""arm64: a vCPU's state is set again, put back, or goes on in another VM, as a monitor does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.kvm import settable
from harness.kvm.arch.aarch64 import gic, ioctls, names, state
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

# What keeps time: to set one of the counters moves the time of the whole VM.
_TIME = frozenset(
    (
        *("cntvct_el0", "cntpct_el0", "cntv_ctl_el0", "cntv_cval_el0"),
        *("cntp_ctl_el0", "cntp_cval_el0"),
    )
)


def _numbers(vcpu: Vcpu) -> Sequence[int]:
    """Of every register but those of time. Raises `KvmError`."""
    return [each for each in state.every_register(vcpu) if names.name(each) not in _TIME]


def rewrite(vcpu: Vcpu) -> None:
    """All that KVM says of the vCPU is set again: nothing has changed. Raises `KvmError`."""
    settable.write(vcpu, settable.read(vcpu, _numbers(vcpu)))
    ioctls.set_events(vcpu, ioctls.get_events(vcpu))


@contextmanager
def put_back(vcpu: Vcpu) -> Iterator[None]:
    """At the end the vCPU is as it was, but for what keeps time. Raises `KvmError`."""
    events = ioctls.get_events(vcpu)
    with settable.mp_state_put_back(vcpu), settable.put_back(vcpu, _numbers(vcpu)):
        yield
    ioctls.set_events(vcpu, events)


def move(source: Vcpu, source_vm: Vm, target: Vcpu, target_vm: Vm) -> None:
    """All that a monitor saves, but for what keeps time. Nothing may be pending to complete.

    The target is initialized, and so is its VM's GIC. Raises `KvmError`.
    """
    settable.write(target, settable.read(source, _numbers(source)))
    ioctls.set_events(target, ioctls.get_events(source))
    target.set_mp_state(source.mp_state())
    if target_vm.irqchip == "gic":
        gic.copy(source_vm, target_vm)
