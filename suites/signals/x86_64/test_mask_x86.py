# SPDX-License-Identifier: GPL-2.0-only
"""Ways out of KVM_RUN that x86 has behind the point where the signal mask is exchanged."""

from __future__ import annotations

import errno

import pytest

from harness.host.features import reason
from harness.kvm.arch import x86_64
from harness.kvm.guest import Guest
from harness.kvm.signals import Blocked, thread_mask
from harness.kvm.vcpu import Vcpu, all_signals_but
from harness.require import require_eintr, require_errno, require_mask, require_signal_exit
from suites.dimensions import KICK, irqchip_in_kernel, only_on
from suites.vcpu_states.x86_64.woken import run_woken

pytestmark = only_on("x86_64")


@pytest.fixture
def uninitialized(capability: int, guest: Guest, guest_mode: str) -> Vcpu:
    """A second processor that nobody has started, with a mask for KVM_RUN.

    The first one is set up after it: KVM looks for the local APICs anew when one is switched to
    x2APIC mode, and an INIT finds no processor that came later. Only where KVM has the byte: of the
    kernels before it, a signal got EAGAIN of such a processor.
    """
    if guest.vm.check_extension("KVM_CAP_MAX_VCPUS") == 1:
        pytest.skip(reason("no_second_vcpu"))
    vcpu = guest.vm.create_vcpu(1)
    x86_64.configure(vcpu)
    guest.load("heartbeat", guest_mode)
    vcpu.set_signal_mask(all_signals_but(KICK))
    return vcpu


@pytest.mark.claim("signals.mask_restored")
def test_mask_after_invalid_registers(ready: Guest, blocked: Blocked) -> None:
    """EINVAL for registers that kvm_run cannot share (api.rst, KVM_CAP_SYNC_REGS)."""
    known = ready.vm.check_extension("KVM_CAP_SYNC_REGS")
    if not known:
        pytest.skip(reason("no_sync_regs"))
    before = thread_mask()
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    ready.vcpu.run_page.kvm_valid_regs = (known + 1) & ~known
    result = ready.vcpu.run_raw(progress_forbidden=True)
    require_mask(before, "After KVM_RUN with an unknown bit in kvm_valid_regs")
    require_errno(result, errno.EINVAL, "With an unknown bit in kvm_valid_regs")


@pytest.mark.claim("signals.mask_restored")
@irqchip_in_kernel
def test_mask_after_uninitialized_immediate(uninitialized: Vcpu, blocked: Blocked) -> None:
    """EINTR by the byte, of a processor that waits to be started: a way out of its own."""
    before = thread_mask()
    uninitialized.immediate_exit = 1
    result = uninitialized.run_raw()
    require_mask(before, "After an immediate exit of an uninitialized processor")
    require_eintr(result, "With immediate_exit=1, for an uninitialized processor")


@pytest.mark.claim("signals.mask_restored")
@irqchip_in_kernel
def test_mask_after_uninitialized_signal(uninitialized: Vcpu, blocked: Blocked) -> None:
    """EINTR by a signal, of the same."""
    before = thread_mask()
    blocked.send(KICK)
    result = uninitialized.run_raw()
    require_mask(before, "After a signal to an uninitialized processor")
    require_signal_exit(result, "With a signal pending, for an uninitialized processor")


@pytest.mark.claim("signals.mask_restored")
@irqchip_in_kernel
def test_mask_after_uninitialized_woken(
    guest: Guest, uninitialized: Vcpu, blocked: Blocked
) -> None:
    """EAGAIN, of the same when it has been sent an INIT: KVM_RUN wants to be called again."""
    before = thread_mask()
    result = run_woken(guest.vm, uninitialized, 1)
    require_mask(before, "After the start of an uninitialized processor")
    require_errno(result, errno.EAGAIN, "With an INIT pending, for an uninitialized processor")
