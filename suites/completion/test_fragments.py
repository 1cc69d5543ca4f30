# SPDX-License-Identifier: GPL-2.0-only
"""One access in several exits: a load and a store that cross from one page to the next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.devices import CrossingWindow
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.require import (
    may_complete,
    require_accumulator,
    require_ended,
    require_only_completed,
    require_same_state,
)
from harness.ways import BYTE, SIGNAL, WayOut
from suites.dimensions import every_guest_mode, every_way, first_and_later_turn, pin_device

pytestmark = [pytest.mark.usefixtures("capability"), pin_device("mmio_cross")]

TURNS = 12


def finish(device: CrossingWindow, circumstance: str, way: WayOut = BYTE) -> None:
    """Runs of this way until EINTR. Those before it bring the next piece, and nothing else runs."""
    __tracebackhide__ = True
    guest = device.guest
    whole, before = guest.whole(), guest.witness()
    for number in range(1, device.size + 1):
        said = f"{circumstance}, on re-entry {number}"
        result = way.run(guest)
        if result.value != 0:
            require_ended(result, way, said)
        require_only_completed(before, guest, said, way)
        if result.value != 0:
            break
        device.take_piece(result, said + way.said)
    else:
        raise AssertionError(
            f"{circumstance}, {device.size} re-entries{way.said} must be enough for "
            f"{device.size} bytes, but not one ended with EINTR"
        )
    device.require_whole(circumstance)
    said = f"{circumstance} and its last re-entry{way.said}"
    require_same_state(whole, guest.whole(), said, may_complete(guest, way))


@pytest.mark.claim("completion.fragments")
@every_guest_mode
@first_and_later_turn
@every_way
def test_load_across_pages(device: CrossingWindow, turns: int, way: WayOut) -> None:
    """arch/x86/kvm/x86.c: what complete_userspace_io returns comes before the check of the byte,
    so a run with the byte set, or with a signal pending, may return 0 with the next piece."""
    device.turns(turns)
    value = device.answer(device.run_to_read("At the load"))
    finish(device, "After a load across pages", way)
    require_accumulator(device.guest, value, "After a load across pages that was completed")
    device.run_to_write("In a normal run after a completed load across pages")
    device.require_in_step(turns + 1, turns, "After a completed load and a normal run")


@pytest.mark.claim("completion.fragments")
@every_guest_mode
@first_and_later_turn
@every_way
def test_store_across_pages(device: CrossingWindow, turns: int, way: WayOut) -> None:
    """The same for a store: each byte leaves once, in order."""
    device.turns(turns)
    device.answer(device.run_to_read("At the load"))
    device.take_the_rest(device.guest.vcpu.run_raw, "In the load")
    device.run_to_write("At the store")
    finish(device, "After a store across pages", way)
    device.require_written("After a store across pages that was completed")
    device.run_to_read("In a normal run after a completed store across pages")
    device.require_in_step(turns + 1, turns + 1, "After a completed store and a normal run")


def normal(guest: Guest) -> RunResult:
    """A run that goes on into the guest once all pieces have passed."""
    return guest.vcpu.run_raw()


@pytest.mark.claim("completion.fragments")
@every_guest_mode
def test_pieces_by_either_run(device: CrossingWindow) -> None:
    """Each piece is asked for by the byte, with a signal pending, or by a normal run, in turn; all
    data are whole."""
    runs: tuple[Callable[[Guest], RunResult], ...] = (BYTE.run, normal, SIGNAL.run)
    for turn in range(TURNS):
        said = f"In turn {turn + 1} of loads and stores across pages"
        for is_read in (True, False):
            if is_read:
                device.answer(device.run_to_read(said))
            else:
                device.run_to_write(said)
            while not device.is_whole():
                run = runs[(turn + device.pieces + is_read) % 3]
                device.take_piece(run(device.guest), said)
            if turn % 3:
                finish(device, said, (BYTE, SIGNAL)[turn % 2])
        device.require_written(said)
        device.require_in_step(turn + 1, turn, said)
