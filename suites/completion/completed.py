# SPDX-License-Identifier: GPL-2.0-only
"""A read or a write of a device's program, finished by a re-entry with the byte set.

The same for every device whose accesses take one exit each: what differs is what they are called,
and where a read ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from harness.devices import Device
from harness.kvm.guest import Guest, create
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.system import System
from harness.require import require_accumulator, require_completion, require_stopped
from harness.ways import WayOut

#: What names the pages that were dirtied; the fixture `dirty_pages` reads it.
by_bitmap_and_ring = pytest.mark.parametrize("dirty_pages", ["bitmap", "ring"], indirect=True)


@dataclass(frozen=True)
class Accesses:
    """The words of a device for sentences: its read and its write, without an article and with one.

    `holds` requires that the guest's registers hold what was read.
    """

    read: str
    a_read: str
    write: str = ""
    a_write: str = ""
    holds: Callable[[Guest, int, str], None] = require_accumulator


def require_read_completed(device: Device, turns: int, words: Accesses) -> None:
    """The value is in its register, and the guest goes on behind the read: once, and with it."""
    device.turns(turns)
    value = device.answer(device.run_to_read(f"At the {words.read}"))
    require_completion(device.guest, f"After {words.a_read}", also=device.destination)
    words.holds(device.guest, value, f"After {words.a_read} that was completed")
    device.run_past_read(f"In a normal run after a completed {words.read}")
    said = f"After a completed {words.read} and a normal run"
    device.require_stored(value, said)
    device.require_in_step(turns + 1, turns, said)


def require_read_once(device: Device, words: Accesses, way: WayOut, repeats: int = 20) -> None:
    """Further re-entries change nothing, also where another answer stands in kvm_run by then."""
    asked = device.run_to_read(f"At the {words.read}")
    value = device.answer(asked)
    require_completion(device.guest, f"After {words.a_read}", device.destination, way)
    device.leave(asked, value ^ 0x55)
    for number in range(repeats):
        require_stopped(device.guest, f"On re-entry {number + 2} after {words.a_read}", way)
    words.holds(device.guest, value, f"After {words.a_read} and many re-entries")
    said = f"After {words.a_read}, many re-entries and a normal run"
    device.run_past_read(said)
    device.require_stored(value, said)
    device.require_in_step(1, 0, said)


def require_write_completed(device: Device, turns: int, words: Accesses) -> None:
    """Nothing but the program counter changes, and the guest goes on behind the write."""
    device.turns(turns)
    device.answer(device.run_to_read(f"At the {words.read}"))
    device.run_to_write(f"At the {words.write}")
    require_completion(device.guest, f"After {words.a_write}")
    device.run_to_read(f"In a normal run after a completed {words.write}")
    said = f"After a completed {words.write} and a normal run"
    device.require_in_step(turns + 1, turns + 1, said)


def require_read_saved(device: Device, kvm: System, words: Accesses) -> None:
    """Registers and memory taken behind the completion are the whole of it in another VM."""
    value = device.answer(device.run_to_read(f"At the {words.read}"))
    require_completion(device.guest, f"After {words.a_read}", also=device.destination)
    with create(kvm, device.guest.vm.irqchip) as other:
        device.move_to(other)
        said = f"In another VM, after a completed {words.read}"
        device.run_past_read(said)
        device.require_stored(value, said)
        device.require_in_step(1, 0, said)


def require_logged(dirty: set[int], stored: Mapping[int, bytes], circumstance: str) -> None:
    """The pages of RAM to which this was stored are among those that a dirty log named."""
    __tracebackhide__ = True
    pages = {
        (place + offset) // PAGE_BYTES
        for place, data in stored.items()
        for offset in range(len(data))
    }
    missing = pages - dirty
    if missing:
        raise AssertionError(
            f"{circumstance}, the dirty log must name the pages to which it stored, but it lacks "
            f"{', '.join(hex(page) for page in sorted(missing))}"
        )


def require_write_saved(device: Device, kvm: System, words: Accesses) -> None:
    """The same for a write: the other VM does not repeat it."""
    device.answer(device.run_to_read(f"At the {words.read}"))
    device.run_to_write(f"At the {words.write}")
    require_completion(device.guest, f"After {words.a_write}")
    with create(kvm, device.guest.vm.irqchip) as other:
        device.move_to(other)
        said = f"In another VM, after a completed {words.write}"
        device.run_to_read(said)
        device.require_in_step(1, 1, said)
