# SPDX-License-Identifier: GPL-2.0-only
"""What another thread asks of a vCPU in the guest, from where nothing but a kick takes it out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.host import pace
from harness.kick.engine import measure_speed
from harness.kvm import exits
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.guest import Guest
from harness.kvm.memory import Memory
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import require_exit
from suites.dimensions import KICK, only_on, pin_guest_program, pin_irqchip

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("reached"),
]

APIC, STORE_AT, QUIET, REACHED_AT, LEFT = 0, 4, 5, 6, 7  # the program's data words
NMIS = 2
SLOT, ADDRESS, PAGE_BYTES = 1, 0x9_0000, 0x1000
SENT = 40
TAKES_TURNS = pace.here().takes_turns
# A quarter of the usual tick of 4 ms (250 Hz): without a kick it takes the guest out, and three of
# four interrupts wait longer. With 1,000 Hz none does, and this test cannot tell. Processors that
# take turns run between two ticks for less. There none is late by itself, and of those that no kick
# brings many come all the same, for they are there when a turn begins: on 6.1, of 40 sometimes 30
# are late, sometimes 19, and on a busy host less than 10.
LATE_S = 0.000_1 if TAKES_TURNS else 0.001
LATE_SHARE = 0.1 if TAKES_TURNS else 0.25
# Where KVM interprets the guest no kick is needed, and it looks up between two batches: of 130
# instructions on VMX (handle_invalid_guest_state()), of some 1,000 on a kvm_pvm that was measured
# (never more than 128 turns, whatever its speed). One in execution makes thousands until a tick.
LEAST_LATE_TURNS = 256
NEGATIVE = 1 << 31  # the guest's counter was read later than the interrupt came
ROUNDS = 30
FEW = 16  # stores


def send_interrupt(guest: Guest) -> None:
    """KVM_SIGNAL_MSI, a fixed interrupt."""
    guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)


def send_nmi(guest: Guest) -> None:
    """KVM_SIGNAL_MSI, an NMI: KVM_NMI itself waits for the end of KVM_RUN."""
    guest.vm.signal_msi(ioctls.X2APIC_MSI_ADDRESS, ioctls.MSI_NMI)


@pytest.mark.claim("races.reaches_guest")
@pin_irqchip("full")
@pytest.mark.parametrize(
    ("send", "taken"),
    [
        pytest.param(send_interrupt, lambda guest: guest.ticks, id="interrupt"),
        pytest.param(send_nmi, lambda guest: guest.data(NMIS), id="nmi"),
    ],
)
def test_interrupt(
    loaded: Guest, send: Callable[[Guest], object], taken: Callable[[Guest], int]
) -> None:
    """kvm_vcpu_kick() takes the vCPU out of the guest, so that the interrupt is injected.

    The guest notes its own counter where the interrupt reaches it. It is compared with what the
    counter was when KVM_SIGNAL_MSI had returned: the turns in between are those that a kick which
    was sent would not have let it make. One late interrupt says nothing, for the host's own
    interrupt may be slow, and a KVM that interprets its guest looks up now and then only.
    """
    loaded.set_data(APIC, 1)
    late_from = max(LEAST_LATE_TURNS, int(measure_speed(loaded) * LATE_S))
    late = []
    with CountingHandler(KICK), Running(loaded) as running:
        running.wait_until(lambda: loaded.phase == 1, "the guest to turn interrupts on")
        for _ in range(SENT):
            before = taken(loaded)
            loaded.set_data(REACHED_AT, 0)
            running.wait_for_progress()
            send(loaded)
            sent_at = loaded.heartbeat
            running.wait_until(lambda: taken(loaded) != before, "the guest to take it")  # noqa: B023
            turns = (loaded.data(REACHED_AT) - sent_at) & 0xFFFFFFFF
            if late_from < turns < NEGATIVE:
                late.append(turns)
        running.stop_by(KICK)
    assert len(late) <= SENT * LATE_SHARE, (
        f"{len(late)} of {SENT} interrupts to a guest that ran reached it late, after up to "
        f"{max(late):,} turns of its loop (up to {late_from:,} are not late): no kick took it "
        "out, and it ran until something else did"
    )


@pytest.fixture
def storing(loaded: Guest) -> tuple[Guest, Memory]:
    """The guest stores its counter in a page of its own slot, each turn."""
    page = loaded.vm.add_memory(SLOT, ADDRESS, PAGE_BYTES, log_dirty=True)
    loaded.set_data(STORE_AT, ADDRESS)
    return loaded, page


def wait_for_store(running: Running, page: Memory) -> int:
    """Returns what the guest has stored, once it has stored something since now."""
    begin = page.read32(0)
    running.wait_until(lambda: page.read32(0) != begin, "the guest to store its counter")
    return page.read32(0)


@pytest.mark.claim("races.reaches_guest")
def test_memory_taken_away(storing: tuple[Guest, Memory]) -> None:
    """KVM_REQUEST_WAIT: once the ioctl has returned, the vCPU has left the guest, and sees it gone.

    A monitor unmaps such memory or gives it to another guest: not one store may come behind.
    """
    guest, page = storing
    for number in range(1, ROUNDS + 1):
        with Running(guest) as running:
            wait_for_store(running, page)
            guest.vm.delete_memory(SLOT)
            stored = page.read32(0)
            result = running.outcome()
        said = f"When its memory was taken away from a guest that ran, for the {number}. time"
        found = require_exit(result, exits.Mmio, said)
        assert found.address == ADDRESS, f"{said}, it left at {found.address:#x}, not {ADDRESS:#x}"
        turns = (page.read32(0) - stored) & 0xFFFFFFFF
        assert not turns, (
            f"{said}, it went on storing there for {turns:,} turns of its loop after "
            "KVM_SET_USER_MEMORY_REGION had returned: no kick took it out"
        )
        guest.vm.restore_memory(SLOT, log_dirty=True)


@pytest.mark.claim("races.reaches_guest")
def test_dirty_log_read(storing: tuple[Guest, Memory]) -> None:
    """What is stored after KVM_GET_DIRTY_LOG has returned is in the next log, or never sent.

    The guest stores a little after the first log and stops; the second is read when KVM_RUN has
    been left, for a processor that logs by itself (PML) hands over its log at an exit. The next
    tick of the host takes the guest out as a kick does, so it is stopped soon, by turns: after a
    store that is waited for; at once; and by itself after a few, for processors that take turns
    let it run when this call is over. A round in which it stored nothing in between says nothing.
    """
    guest, page = storing
    for number in range(1, ROUNDS + 1):
        guest.set_data(QUIET, 0)
        with CountingHandler(KICK), Running(guest) as running:
            wait_for_store(running, page)
            guest.set_data(LEFT, 0 if number % 3 else FEW)
            guest.vm.dirty_pages(SLOT)
            seen = page.read32(0)
            if number % 3 == 1:
                wait_for_store(running, page)
            if number % 3:
                guest.set_data(QUIET, 1)
            running.wait_until(lambda: guest.data(QUIET), "the guest to stop storing")
            running.wait_for_progress()
            running.stop_by(KICK)
        turns = (page.read32(0) - seen) & 0xFFFFFFFF
        assert guest.vm.dirty_pages(SLOT) or not turns, (
            f"After KVM_GET_DIRTY_LOG of a guest that ran, for the {number}. time, it stored to a "
            f"page for {turns:,} turns of its loop, but the next log does not have that page: no "
            "kick took the guest out to look at its page tables anew"
        )
