# SPDX-License-Identifier: GPL-2.0-only
"""RDMSR and WRMSR that userspace serves, finished or refused by a re-entry with the byte set."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.kvm import exits
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.arch.x86_64.devices import refuse_msr
from harness.kvm.guest import Guest
from harness.kvm.system import System
from harness.require import require_completion, require_ended, require_untouched
from harness.ways import BYTE, WayOut
from suites.completion.completed import (
    Accesses,
    require_read_completed,
    require_read_saved,
    require_write_completed,
    require_write_saved,
)
from suites.dimensions import (
    every_guest_mode,
    every_irqchip,
    every_way,
    first_and_later_turn,
    only_on,
    pin_device,
)

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_device("msr")]

EXCEPTIONS = 4  # a data word of the program
RDMSR, WRMSR = b"\x0f\x32", b"\x0f\x30"
GENERAL_PROTECTION = 13
THE_FAULT = "events exception"  # the #GP that waits
REPEATS = 20


def require_read(guest: Guest, value: int, circumstance: str) -> None:
    """EDX:EAX, and nothing above in RDX and RAX."""
    regs = ioctls.get_regs(guest.vcpu)
    assert (regs.rdx, regs.rax) == (value >> 32, value & 0xFFFFFFFF), (
        f"{circumstance}, RDX and RAX must hold {value >> 32:#x} and {value & 0xFFFFFFFF:#x}, "
        f"but they hold {regs.rdx:#x} and {regs.rax:#x}"
    )


MSR = Accesses("RDMSR", "an RDMSR", "WRMSR", "a WRMSR", holds=require_read)


@pytest.mark.claim("completion.msr")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_rdmsr(device: Device, turns: int) -> None:
    """api.rst, note under KVM_EXIT_MMIO, which names KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR."""
    require_read_completed(device, turns, MSR)


@pytest.mark.claim("completion.msr")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_wrmsr(device: Device, turns: int) -> None:
    """The same for a write, which changes nothing but the program counter."""
    require_write_completed(device, turns, MSR)
    assert exceptions(device) == 0, "The host took the write, but the guest got a #GP"


@pytest.mark.claim("completion.msr")
@every_guest_mode
def test_rdmsr_then_saved(device: Device, kvm: System) -> None:
    """Registers and memory taken now are the whole of it elsewhere."""
    require_read_saved(device, kvm, MSR)


@pytest.mark.claim("completion.msr")
@every_guest_mode
def test_wrmsr_then_saved(device: Device, kvm: System) -> None:
    """The same for a write: the other VM does not repeat it."""
    require_write_saved(device, kvm, MSR)


# ---- answered with an error


def refuse(device: Device, asked: exits.VcpuExit, error: int = 1) -> None:
    """The guest gets a #GP."""
    refuse_msr(device.guest.vcpu, asked, error)


def exceptions(device: Device) -> int:
    """#GP that the guest has taken."""
    return device.guest.data(EXCEPTIONS)


def require_refused(guest: Guest, instruction: bytes, name: str, way: WayOut = BYTE) -> None:
    """One run of this way after the refusal: a #GP waits, and RIP is at the instruction still."""
    said = f"After {name} that was refused and a re-entry{way.said}"
    if way.signal and guest.mode == "real":
        # VMX without "unrestricted guest" has no #GP to inject in real mode: KVM delivers it itself
        # on its way to the signal (kvm_inject_realmode_interrupt()), and nothing waits any more.
        require_ended(way.run(guest), way, f"After {name} that was refused and a re-entry")
        return
    require_completion(guest, f"After {name} that was refused", [THE_FAULT], way)
    events = ioctls.get_events(guest.vcpu).exception
    assert events.pending or events.injected, f"{said}, a #GP must wait, but no exception does"
    assert events.nr == GENERAL_PROTECTION, f"{said}, exception 13 must wait, but {events.nr} does"
    if guest.mode != "real":
        assert (events.has_error_code, events.error_code) == (1, 0), (
            f"{said}, the #GP must have the error code 0, but has_error_code is "
            f"{events.has_error_code} and error_code {events.error_code:#x}"
        )
    rip = guest.architecture.program_counter(guest.vcpu)
    found = guest.ram.read(rip, len(instruction))
    assert found == instruction, (
        f"{said}, RIP must be at {name} ({instruction.hex(' ')}), but there ({rip:#x}) is "
        f"{found.hex(' ')}"
    )


def require_exceptions(device: Device, number: int, circumstance: str) -> None:
    """The guest's handler has counted so many #GP."""
    assert exceptions(device) == number, (
        f"{circumstance}, the guest must have taken {number} #GP, but it took {exceptions(device)}"
    )


@pytest.mark.claim("completion.failed_msr")
@every_guest_mode
@every_irqchip
@first_and_later_turn
@every_way
def test_refused_rdmsr(device: Device, turns: int, way: WayOut) -> None:
    """api.rst, KVM_EXIT_X86_RDMSR: with "error" at 1 the guest gets a #GP when it runs again."""
    device.turns(turns)
    refuse(device, device.run_to_read("At the RDMSR"))
    require_refused(device.guest, RDMSR, "an RDMSR", way)
    require_read(device.guest, 0, "After an RDMSR that was refused")
    require_exceptions(device, 0, f"After a run{way.said} only")
    device.run_to_write("In a normal run after a refused RDMSR", value=0)
    require_exceptions(device, 1, "After a refused RDMSR and a normal run")
    device.require_in_step(turns + 1, turns, "After a refused RDMSR and a normal run")


@pytest.mark.claim("completion.failed_msr")
@every_guest_mode
@every_irqchip
@first_and_later_turn
@every_way
def test_refused_wrmsr(device: Device, turns: int, way: WayOut) -> None:
    """The same for KVM_EXIT_X86_WRMSR."""
    device.turns(turns)
    device.answer(device.run_to_read("At the RDMSR"))
    refuse(device, device.run_to_write("At the WRMSR"))
    require_refused(device.guest, WRMSR, "a WRMSR", way)
    require_exceptions(device, 0, f"After a run{way.said} only")
    device.run_to_read("In a normal run after a refused WRMSR")
    require_exceptions(device, 1, "After a refused WRMSR and a normal run")
    device.require_in_step(turns + 1, turns + 1, "After a refused WRMSR and a normal run")


@pytest.mark.claim("completion.failed_msr")
@every_guest_mode
def test_refusal_waits_through_immediate_runs(device: Device) -> None:
    """However many immediate runs come, the #GP is delivered by the normal one, and once."""
    refuse(device, device.run_to_read("At the RDMSR"))
    require_completion(device.guest, "After an RDMSR that was refused", also=[THE_FAULT])
    require_untouched(device.guest, "On re-entries after a refused RDMSR", times=REPEATS)
    device.run_to_write("In a normal run after a refused RDMSR", value=0)
    require_exceptions(device, 1, "After a refused RDMSR and a normal run")
    device.run_to_read("In the normal run after that")
    require_exceptions(device, 1, "After a refused RDMSR and two normal runs")


@pytest.mark.claim("completion.failed_msr")
@every_guest_mode
def test_any_error_refuses(device: Device) -> None:
    """arch/x86/kvm/x86.c, complete_fast_msr_access(): any "error" but 0 is a #GP."""
    for number, error in enumerate((2, 255, 1, 128), 1):
        said = f"After an RDMSR that was answered with error {error}"
        refuse(device, device.run_to_read("At the RDMSR"), error)
        require_refused(device.guest, RDMSR, f"an RDMSR, by error {error},")
        told = device.run_to_write(f"{said}, in a normal run", value=0)
        require_exceptions(device, 2 * number - 1, f"{said} and a normal run")
        refuse(device, told, error)
        require_refused(device.guest, WRMSR, f"a WRMSR, by error {error},")
        require_exceptions(device, 2 * number - 1, "After immediate runs only")
    device.run_to_read("In the normal run after the last refusal")
    require_exceptions(device, 2 * number, "After the last refusal and a normal run")
