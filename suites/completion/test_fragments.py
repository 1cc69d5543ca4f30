# SPDX-License-Identifier: GPL-2.0-only
"""One access in several exits: a load and a store that cross from one page to the next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.devices import CrossingWindow
from harness.kvm.run import RunResult
from harness.require import require_accumulator, require_eintr, require_no_progress
from suites.dimensions import every_guest_mode, first_and_later_turn, pin_device

pytestmark = [pytest.mark.usefixtures("capability"), pin_device("mmio_cross")]

TURNS = 8


def finish(device: CrossingWindow, circumstance: str) -> None:
    """Immediate runs until EINTR. Those before it bring the next piece, and nothing else runs."""
    __tracebackhide__ = True
    guest = device.guest
    before = guest.witness().without(guest.architecture.COMPLETION_REGISTERS)
    for number in range(1, device.size + 1):
        said = f"{circumstance}, on re-entry {number} with immediate_exit=1"
        result = guest.run_immediate()
        require_no_progress(before, guest.witness(), said)
        if result.value != 0:
            require_eintr(result, said)
            break
        device.take_piece(result, said)
    else:
        raise AssertionError(
            f"{circumstance}, {device.size} re-entries with immediate_exit=1 must be enough for "
            f"{device.size} bytes, but not one ended with EINTR"
        )
    device.require_whole(circumstance)


@pytest.mark.claim("completion.fragments")
@every_guest_mode
@first_and_later_turn
def test_load_across_pages(device: CrossingWindow, turns: int) -> None:
    """arch/x86/kvm/x86.c: what complete_userspace_io returns comes before the check of the byte,
    so a run with the byte set may return 0 with the next piece."""
    device.turns(turns)
    value = device.answer(device.run_to_read("At the load"))
    finish(device, "After a load across pages")
    require_accumulator(device.guest, value, "After a load across pages that was completed")
    device.run_to_write("In a normal run after a completed load across pages")
    device.require_in_step(turns + 1, turns, "After a completed load and a normal run")


@pytest.mark.claim("completion.fragments")
@every_guest_mode
@first_and_later_turn
def test_store_across_pages(device: CrossingWindow, turns: int) -> None:
    """The same for a store: each byte leaves once, in order."""
    device.turns(turns)
    device.answer(device.run_to_read("At the load"))
    device.take_the_rest(device.guest.vcpu.run_raw, "In the load")
    device.run_to_write("At the store")
    finish(device, "After a store across pages")
    device.require_written("After a store across pages that was completed")
    device.run_to_read("In a normal run after a completed store across pages")
    device.require_in_step(turns + 1, turns + 1, "After a completed store and a normal run")


@pytest.mark.claim("completion.fragments")
@every_guest_mode
def test_pieces_by_either_run(device: CrossingWindow) -> None:
    """Each piece is asked for by an immediate or by a normal run, in turn; all data are whole."""
    guest = device.guest
    ways: tuple[Callable[[], RunResult], ...] = (guest.run_immediate, guest.vcpu.run_raw)
    for turn in range(TURNS):
        said = f"In turn {turn + 1} of loads and stores across pages"
        for is_read in (True, False):
            if is_read:
                device.answer(device.run_to_read(said))
            else:
                device.run_to_write(said)
            while not device.is_whole():
                way = ways[(turn + device.pieces + is_read) % 2]
                device.take_piece(way(), said)
            if turn % 3:
                finish(device, said)
        device.require_written(said)
        device.require_in_step(turn + 1, turn, said)
