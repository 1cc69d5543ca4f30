# SPDX-License-Identifier: GPL-2.0-only
"""An operation that was finished stays finished: further runs do nothing more of it.

A kernel that decides by exit_reason whether something is to be finished, and does not take note
that it was, does it again: an immediate exit leaves exit_reason as it is.
"""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.require import (
    require_accumulator,
    require_completion,
    require_immediate,
    require_untouched,
)
from harness.ways import BYTE, SIGNAL, WayOut
from suites.dimensions import (
    every_device,
    every_device_that_is_written,
    every_guest_mode,
    every_way,
)

pytestmark = pytest.mark.usefixtures("capability")

REPEATS = 20
TURNS = 16
USERSPACE_SET = 0x5A  # fits into a byte, and so into each device's value
SCRATCH = 0x13579BDF

turns_and_ways = pytest.mark.parametrize(
    ("turns", "way"),
    [(0, BYTE), (3, BYTE), (3, SIGNAL)],
    ids=["first_run", "later_run", "later_run_by_signal"],
)


@pytest.mark.claim("completion.exactly_once")
@every_guest_mode
@every_device
@turns_and_ways
def test_runs_after_a_read_change_nothing(device: Device, turns: int, way: WayOut) -> None:
    """api.rst, note under KVM_EXIT_MMIO: the operation is complete once userspace has
    "re-entered the kernel", so the second re-entry finds nothing to do."""
    device.turns(turns)
    value = device.answer(device.run_to_read("At the read"))
    require_completion(device.guest, "After a read", device.destination, way)
    require_untouched(device.guest, "On re-entries after one read", way, REPEATS)
    device.run_past_read("In the normal run after a read and many re-entries")
    device.require_stored(value, "After a read, many re-entries and a normal run")
    device.require_in_step(turns + 1, turns, "After a read, many re-entries and a normal run")


@pytest.mark.claim("completion.exactly_once")
@every_guest_mode
@every_device_that_is_written
@turns_and_ways
def test_runs_after_a_write_change_nothing(device: Device, turns: int, way: WayOut) -> None:
    """The same for a write: it is not made again, and no instruction is skipped."""
    device.turns(turns)
    device.answer(device.run_to_read("At the read"))
    device.run_to_write("At the write")
    require_completion(device.guest, "After a write", way=way)
    require_untouched(device.guest, "On re-entries after one write", way, REPEATS)
    device.run_to_read("In the normal run after a write and many re-entries")
    device.require_in_step(turns + 1, turns + 1, "After a write, many re-entries and a normal run")


@pytest.mark.claim("completion.exactly_once")
@every_guest_mode
@every_device
@every_way
def test_a_later_answer_changes_nothing(device: Device, way: WayOut) -> None:
    """What userspace leaves in kvm_run after the operation was finished is not taken again."""
    asked = device.run_to_read("At the read")
    value = device.answer(asked)
    require_completion(device.guest, "After a read", device.destination, way)
    device.leave(asked, value ^ 0x55)
    said = "On re-entries after one read, with another answer there"
    require_untouched(device.guest, said, way, REPEATS)
    device.run_past_read("In the normal run after a read, with another answer there")
    device.require_stored(value, "After a read and a normal run, with another answer there")


@pytest.mark.claim("completion.exactly_once")
@every_guest_mode
@every_device
def test_registers_set_in_between_survive(device: Device) -> None:
    """A monitor that sets registers after the finishing re-entry finds them again, and so does
    the guest: the destination of the read, and a register that the program does not use."""
    guest = device.guest
    device.answer(device.run_to_read("At the read"))
    require_completion(guest, "After a read", also=device.destination)
    guest.architecture.set_accumulator(guest.vcpu, USERSPACE_SET)
    guest.architecture.set_scratch(guest.vcpu, SCRATCH)
    said = "On re-entries after one read, with registers set since"
    require_untouched(guest, said, times=REPEATS)
    require_accumulator(guest, USERSPACE_SET, "After userspace set it and many re-entries")
    seen = device.with_accumulator(USERSPACE_SET)
    device.run_past_read("In the normal run after registers were set", seen)
    device.require_stored(seen, "After registers were set and a normal run")
    device.require_in_step(1, 0, "After registers were set and a normal run")
    found = guest.architecture.scratch(guest.vcpu)
    assert found == SCRATCH, (
        f"After re-entries and a normal run, a register that the program does not use must hold "
        f"what userspace set, {SCRATCH:#x}, but it holds {found:#x}"
    )


@pytest.mark.claim("completion.exactly_once")
@every_guest_mode
@every_device_that_is_written
def test_registers_set_after_a_write_survive(device: Device) -> None:
    """The same after a write, where no register is a destination."""
    guest = device.guest
    device.answer(device.run_to_read("At the read"))
    device.run_to_write("At the write")
    require_completion(guest, "After a write")
    guest.architecture.set_accumulator(guest.vcpu, USERSPACE_SET)
    guest.architecture.set_scratch(guest.vcpu, SCRATCH)
    require_untouched(guest, "On re-entries after one write, with registers set", times=REPEATS)
    require_accumulator(guest, USERSPACE_SET, "After userspace set it and many re-entries")
    device.run_to_read("In the normal run after registers were set")
    device.require_in_step(1, 1, "After registers were set and a normal run")
    found = guest.architecture.scratch(guest.vcpu)
    assert found == SCRATCH, (
        f"After re-entries and a normal run, a register that the program does not use must hold "
        f"what userspace set, {SCRATCH:#x}, but it holds {found:#x}"
    )


@pytest.mark.claim("completion.exactly_once")
@every_guest_mode
@every_device
def test_each_value_is_seen_once(device: Device) -> None:
    """The device gives n, n + 1, ...; after each exit come 0, 1, 2 or 3 immediate runs, in every
    combination of read and write, and the guest sees each value once and in order."""
    for turn in range(TURNS):
        said = f"In turn {turn + 1}, with {turn % 4} immediate runs after reads"
        value = device.answer(device.run_to_read(said))
        re_enter(device, turn % 4, f"{said}, after the read")
        device.run_past_read(said)
        device.require_stored(value, said)
        if device.channel.writes:
            re_enter(device, turn // 4, f"{said}, after the write")
        device.require_in_step(turn + 1, turn, said)


def re_enter(device: Device, times: int, said: str) -> None:
    """So many immediate runs; the first finishes what is pending."""
    if times:
        require_completion(device.guest, said, also=device.destination)
    for _ in range(times - 1):
        require_immediate(device.guest, said)
