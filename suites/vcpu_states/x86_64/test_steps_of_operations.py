# SPDX-License-Identifier: GPL-2.0-only
"""The step over an instruction that another KVM_RUN finishes: the host's, and the guest's own.

KVM makes that step itself, where it moves the program counter behind the instruction
(kvm_skip_emulated_instruction(), x86_emulate_instruction()): it is the end of the operation, and
comes whatever ends the run behind it.
"""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.arch.x86_64 import debugging, ioctls, pending
from harness.require import require_completion, require_ended
from harness.ways import BYTE, SIGNAL, WAYS, WayOut
from suites.dimensions import (
    every_device,
    every_guest_mode,
    only_on,
    pin_device,
    pin_guest_mode,
)

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

SEARCH = 200  # more steps than a turn of any program has
DEBUG = 1  # the exception #DB
NONE = {"exception.pending": 0, "exception.injected": 0}


def complete(device: Device, way: WayOut | None, circumstance: str) -> list[int]:
    """Where the step over what is pending ended, if the run that finishes it tells it.

    Without a way it is left to the next run.
    """
    if way is None:
        return []
    result = way.run(device.guest)
    if result.value == 0 and isinstance(result.exit, exits.Debug):
        return [device.guest.architecture.program_counter(device.guest.vcpu)]
    require_ended(result, way, circumstance)
    return []


def steps_to(device: Device, way: WayOut | None, place: int | None) -> list[int]:
    """Single-steps until one ends at this place, or one step: where each ended."""
    guest, channel = device.guest, device.channel
    places: list[int] = []
    circumstance = f"With single-stepping on and operations finished by {by(way)}"
    while not places or (place is not None and places[-1] != place):
        assert len(places) < SEARCH, (
            f"{circumstance}, the guest must come to {place:#x} within {SEARCH} steps, as with "
            f"normal runs, but they end at {told(places[:20])} ..."
        )
        result = guest.vcpu.run_raw()
        if result.rescue or result.exit is None:
            raise AssertionError(
                f"{circumstance}, each KVM_RUN must return 0 with a step or an operation, but "
                f"{result.describe()}"
            )
        if isinstance(result.exit, exits.Debug):
            places.append(guest.architecture.program_counter(guest.vcpu))
        elif device.is_read(result.exit):
            device.answer(result.exit)
            places += complete(device, way, f"{circumstance}, after a read")
        else:
            channel.take(guest.vcpu, result.exit)
            places += complete(device, way, f"{circumstance}, after a write")
    return places


@pytest.mark.claim("states.single_step")
@every_device
@every_guest_mode
def test_steps_over_operations(device: Device) -> None:
    """KVM_GUESTDBG_SINGLESTEP: KVM_EXIT_DEBUG comes where it comes if normal runs finish what is
    pending, each time once."""
    if not device.guest.vm.check_extension("KVM_CAP_SET_GUEST_DEBUG"):
        pytest.skip(reason("no_guest_debug"))
    device.turns(1)
    device.guest.vcpu.set_guest_debug(single_step=True)
    # The first step may be that of what is pending now: no place to wait for.
    begin = [*steps_to(device, None, None), *steps_to(device, None, None)][-1]
    wanted = steps_to(device, None, begin)
    for way in WAYS:
        found = steps_to(device, way, begin)
        if found != wanted:
            raise AssertionError(
                f"With single-stepping on and operations finished by {by(way)}, the steps of a "
                f"turn of the program must end at {told(wanted)}, as with normal runs, but they "
                f"end at {told(found)}"
            )


def by(way: WayOut | None) -> str:
    """What finishes an operation, for sentences."""
    return f"a run{way.said}" if way else "normal runs"


def told(places: list[int]) -> str:
    """Addresses."""
    return " ".join(f"{place:#x}" for place in places)


# Not a hypercall: KVM may write the vendor's instruction in the place of the other's before the
# exit, and the step over that is another one.
@pytest.mark.claim("states.single_step")
@pin_device("port_io", "mmio", "msr")
@pin_guest_mode("protected", "long")
def test_trap_of_the_guest(device: Device) -> None:
    """Intel SDM volume 3, 18.3.1.4: with TF at an instruction's begin a #DB comes behind it, with
    BS in DR6. In real mode KVM may deliver it itself before it sees a signal."""
    guest = device.guest
    for number, way in enumerate((BYTE, SIGNAL)):
        said = f"After a read with RFLAGS.TF and a re-entry{way.said}"
        device.answer(device.run_to_read("At a read"))
        operation = guest.architecture.program_counter(guest.vcpu)
        require_completion(guest, "After a read", device.destination)
        set_trap_flag(device, True, operation)
        value = device.answer(device.run_to_read("At the same read, with RFLAGS.TF"))
        require_ended(way.run(guest), way, "After a read with RFLAGS.TF and a re-entry")
        events, reason_bits = pending.events(guest.vcpu), debugging.reasons(guest.vcpu)
        waits = events["exception.pending"] or events["exception.injected"]
        assert waits, f"{said}, a #DB must wait for the guest, but no exception does"
        assert events["exception.nr"] == DEBUG, (
            f"{said}, a #DB must wait for the guest, but exception {events['exception.nr']} does"
        )
        assert reason_bits & debugging.SINGLE_STEP, (
            f"{said}, DR6 must say that it was a step (bit 14), but it is {reason_bits:#x}"
        )
        pending.change_events(guest.vcpu, NONE)
        set_trap_flag(device, False)
        device.run_past_read(f"{said}, in a normal run without the trap")
        device.require_stored(value, said)
        device.require_in_step(number + 1, number, said)


def set_trap_flag(device: Device, on: bool, rip: int | None = None) -> None:
    """RFLAGS.TF, and where to go on."""
    regs = ioctls.get_regs(device.guest.vcpu)
    regs.rflags = regs.rflags & ~debugging.TRAP_FLAG | (debugging.TRAP_FLAG if on else 0)
    if rip is not None:
        regs.rip = rip
    ioctls.set_regs(device.guest.vcpu, regs)
