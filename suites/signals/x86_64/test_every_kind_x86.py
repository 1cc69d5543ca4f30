# SPDX-License-Identifier: GPL-2.0-only
"""Every kind of signal, to a vCPU that runs or waits as only x86 has it."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.kvm.abi import constant
from harness.kvm.guest import Guest, SecondProcessor
from harness.kvm.kicked_here import until_asleep, until_progress
from harness.require import require_runs_on
from suites.dimensions import irqchip_in_kernel, only_on, pin_guest_program
from suites.signals.kinds import require_each_kind_ends

pytestmark = only_on("x86_64")

NO_PROCESSOR = 0, 1000  # the data word of the program icr_writer: no APIC has this id


@pytest.fixture
def waiting(capability: int, loaded: Guest) -> SecondProcessor:
    """A processor that nobody starts. Before KVM had the byte, a signal gave EAGAIN there."""
    if loaded.vm.check_extension("KVM_CAP_MAX_VCPUS") == 1:
        pytest.skip(reason("no_second_vcpu"))
    return loaded.add_processor()


@pytest.mark.claim("signals.every_kind")
@irqchip_in_kernel
@pytest.mark.parametrize("state", ["uninitialized", "init_received"])
def test_kinds_while_it_waits_to_be_started(waiting: SecondProcessor, state: str) -> None:
    """For INIT, kvm_arch_vcpu_ioctl_run() has a wait of its own; for SIPI, it is vcpu_block()."""
    waiting.vcpu.set_mp_state(constant(f"KVM_MP_STATE_{state.upper()}"))
    require_each_kind_ends(
        waiting, lambda: until_asleep(waiting), "while the processor waits to be started"
    )


@pytest.mark.claim("signals.every_kind")
def test_kinds_while_it_waits_for_the_window(ready: Guest) -> None:
    """request_interrupt_window, and interrupts that the guest never lets in: the run that waits
    for the window ends by a signal as any other does."""
    ready.vcpu.run_page.request_interrupt_window = 1
    require_each_kind_ends(
        ready, lambda: until_progress(ready), "while KVM waits for the interrupt window"
    )
    ready.vcpu.run_page.request_interrupt_window = 0
    require_runs_on(ready, "After a signal of each kind")


@pytest.mark.claim("signals.every_kind")
@pin_guest_program("icr_writer")
@irqchip_in_kernel
def test_kinds_while_the_guest_exits(loaded: Guest) -> None:
    """A guest that leaves the processor's guest mode all the time, and KVM enters it again: no
    interrupt is needed to see the signal, so that KVM must look for it by itself."""
    loaded.set_data(*NO_PROCESSOR)
    require_each_kind_ends(
        loaded, lambda: until_progress(loaded), "while the guest exits again and again"
    )
    require_runs_on(loaded, "After a signal of each kind")
