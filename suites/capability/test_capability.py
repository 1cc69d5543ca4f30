# SPDX-License-Identifier: GPL-2.0-only
"""What KVM says about the capability, and whether it is true."""

from __future__ import annotations

import sys
from contextlib import closing, suppress

import pytest

from harness.kvm import abi, arch
from harness.kvm.guest import Guest
from harness.kvm.system import System
from harness.require import require_eintr, require_runs_on
from suites.dimensions import every_guest_mode, every_irqchip

CAPABILITY = "KVM_CAP_IMMEDIATE_EXIT"
PADDING = range(2, 8)


@pytest.mark.claim("capability.reported")
@pytest.mark.usefixtures("capability")
@every_irqchip
def test_before_and_after_vms_and_vcpus(kvm: System, irqchip: str) -> None:
    """api.rst 4.4: the extension is asked for on /dev/kvm, and on a VM for that VM."""
    answers = {"/dev/kvm, before any VM": kvm.check_extension(CAPABILITY)}
    with kvm.create_vm() as vm:
        answers["/dev/kvm, with a VM"] = kvm.check_extension(CAPABILITY)
        answers["the VM, without a vCPU"] = vm.check_extension(CAPABILITY)
        with suppress(arch.NoIrqchipError):
            arch.current().prepare_vm(vm, irqchip)
            answers[f"the VM, with irqchip {irqchip}"] = vm.check_extension(CAPABILITY)
        vm.create_vcpu()
        answers["the VM, with a vCPU"] = vm.check_extension(CAPABILITY)
        answers["/dev/kvm, with a vCPU"] = kvm.check_extension(CAPABILITY)
    answers["/dev/kvm, after the VM"] = kvm.check_extension(CAPABILITY)
    refused = [f"{value} on {where}" for where, value in answers.items() if value <= 0]
    assert not refused, f"{CAPABILITY} must be positive throughout, but it is {', '.join(refused)}"


@pytest.mark.claim("capability.layout")
@pytest.mark.usefixtures("capability")
def test_mapping_covers_the_structure(kvm: System) -> None:
    """api.rst 4.5: KVM_GET_VCPU_MMAP_SIZE is the size of the region shared with the kernel."""
    size = kvm.vcpu_mmap_size()
    needed = abi.run_structure_size()
    assert size >= needed, (
        f"KVM_GET_VCPU_MMAP_SIZE is {size}, but struct kvm_run has {needed} bytes"
    )


@pytest.mark.claim("capability.layout")
@pytest.mark.usefixtures("capability")
def test_byte_one_is_the_field(ready: Guest) -> None:
    """Byte 1 of the mapping ends KVM_RUN; none of the bytes 2 to 7 does.

    Byte 0 is left out: it asks for the interrupt window.
    """
    with closing(ready.vcpu.map_again()) as raw:
        raw[1] = 1
        result = ready.vcpu.run_raw(progress_forbidden=True)
        raw[1] = 0
        require_eintr(result, "With 1 at byte 1 of kvm_run")
        for place in PADDING:
            raw[place] = 0xFF
        require_runs_on(ready, "With 0 at byte 1 of kvm_run and 255 in padding1")


@pytest.mark.claim("capability.layout")
@pytest.mark.usefixtures("capability")
def test_every_mapping_is_the_same_memory(ready: Guest) -> None:
    """A byte set through any shared mapping is seen by the kernel and through the others."""
    with closing(ready.vcpu.map_again()) as first, closing(ready.vcpu.map_again()) as second:
        first[1] = 7
        assert second[1] == 7, "a second mapping of kvm_run does not show the first one's byte"
        require_eintr(
            ready.vcpu.run_raw(progress_forbidden=True), "With the byte set by a second mapping"
        )
        second[1] = 0
        assert first[1] == 0, "the first mapping of kvm_run does not show the second one's byte"
    require_runs_on(ready, "With the byte cleared by another mapping")


@pytest.mark.claim("capability.layout")
@pytest.mark.usefixtures("capability")
def test_exit_reason_at_eight(ready: Guest) -> None:
    """exit_reason is the 32-bit word at byte 8: it names the exit that just came."""
    require_runs_on(ready, "With immediate_exit=0")
    with closing(ready.vcpu.map_again()) as raw:
        found = int.from_bytes(raw[8:12], sys.byteorder)
    wanted = abi.constant(ready.architecture.SPEECH.exit_reason)
    assert found == wanted, f"after the last exit the word at byte 8 is {found}, not {wanted}"


@pytest.mark.claim("capability.truthful")
@every_guest_mode
def test_answer_and_behaviour_agree(kvm: System, ready: Guest) -> None:
    """api.rst: "This field is ignored if KVM_CAP_IMMEDIATE_EXIT is not available"."""
    answer = kvm.check_extension(CAPABILITY)
    before = ready.witness()
    result = ready.run_immediate()
    honoured = result.gave_eintr and not before.differences(ready.witness())
    if answer > 0:
        assert honoured, (
            f"KVM_CHECK_EXTENSION({CAPABILITY}) is {answer}, but the byte is not honoured: "
            f"{result.describe()}"
        )
    else:
        assert not honoured, (
            f"KVM_CHECK_EXTENSION({CAPABILITY}) is 0, so the byte must be ignored, but it ended "
            f"KVM_RUN: {result.describe()}"
        )
