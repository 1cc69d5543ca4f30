# SPDX-License-Identifier: GPL-2.0-only
"""What goes on behind a vCPU once userspace has set it up: timers that tick, writes, wires."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.host.pace import here
from harness.kvm import exits, wires
from harness.kvm.abi import LackingError
from harness.kvm.arch.x86_64 import clocks, ioctls, paravirtual, pit, routing, settings
from harness.kvm.guest import Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.running import Running, warm_up
from harness.kvm.signals import CountingHandler
from harness.kvm.speech import Word
from harness.require import require_exit, require_said
from suites.dimensions import KICK
from suites.preset.owed import Owed, until
from suites.preset.x86_64.owed_events import looping, tick

FIRST_PAGE, PAGES, SAYS_SO = 0, 1, 5  # data words of the program pages
PERIOD_NS = 2_000_000
WRITES = 3
PAGE = at.RAM_SIZE - PAGE_BYTES  # of RAM, that no program uses
LATE_TURNS = 1000  # some KVM looks at what it is to report only now and then
MSR_INDEX, TASK_PRIORITY = 5, 0x808  # of the program msr, and the x2APIC's register

#: One may have come before an immediate run, and wait in the local APIC; the others take a timer
#: that goes on.
ticks = until(lambda guest: guest.ticks > 3, "the guest to take tick after tick")


def period_ns() -> int:
    """Far enough apart for a slow host to get on between two."""
    return here().choose(PERIOD_NS, 10 * PERIOD_NS)


def with_timer_chip(guest: Guest) -> None:
    """A PIT, whose line leads to the guest's vector."""
    need(lambda: settings.timer_chip(guest.vm))
    routing.route_interrupt(guest.vm, pit.LINE, ioctls.INTERRUPT_VECTOR)
    looping(guest)


def need(make: Callable[[], object]) -> None:
    """Skips where KVM says that it has not what is made."""
    try:
        make()
    except LackingError as error:
        pytest.skip(reason("no_setting", error.ioctl))


def collecting(guest: Guest) -> None:
    """The guest's writes to a device are collected; it says when it has made one."""
    need(lambda: settings.need(guest.vm, "KVM_CAP_COALESCED_MMIO"))
    wires.collect_writes(guest.vm, guest.address(at.MMIO_BASE), PAGE_BYTES)
    for word, value in ((FIRST_PAGE, at.MMIO_BASE), (PAGES, 1), (SAYS_SO, 1)):
        guest.set_data(word, value)


def write(guest: Guest) -> None:
    """Some writes, none of which leaves KVM_RUN."""
    for _ in range(WRITES):
        require_said(guest.vcpu.run_raw(), Word.SYNC, "Behind a write that is collected")


def collected(guest: Guest, circumstance: str) -> None:
    """Each write of the guest is there for userspace, and the next ones come behind it."""
    __tracebackhide__ = True
    require_collected(guest, WRITES, circumstance)
    write(guest)
    require_collected(guest, 2 * WRITES, f"{circumstance} and as many more writes")


def require_collected(guest: Guest, count: int, circumstance: str) -> None:
    """The guest stores the turns that it has made."""
    __tracebackhide__ = True
    found = [
        (address, int.from_bytes(data, "little"))
        for address, data in wires.collected_writes(guest.vm, guest.vcpu)
    ]
    wanted = [(at.MMIO_BASE, turn) for turn in range(count)]
    assert found == wanted, (
        f"{circumstance.capitalize()}, the ring of coalesced MMIO must hold the guest's {count} "
        f"writes (address, value) {wanted}, but it holds {found}"
    )


def start_periodic(guest: Guest) -> None:
    """The local APIC's timer, again and again."""
    clocks.start_timer(guest.vcpu, period_ns(), ioctls.INTERRUPT_VECTOR, again_and_again=True)


def start_hyperv_timer(guest: Guest) -> None:
    """The same with Hyper-V's."""
    if not paravirtual.start_timer(guest.vm, guest.vcpu, ioctls.INTERRUPT_VECTOR, period_ns()):
        pytest.skip(reason("no_hyperv"))


def take_pages_later(guest: Guest) -> None:
    """The guest is told by its vector when pages are there; KVM tells it first of all of them."""
    page = guest.address(PAGE)
    if not paravirtual.take_pages_later(guest.vcpu, page, ioctls.INTERRUPT_VECTOR):
        pytest.skip(reason("no_setting", "asynchronous page faults"))


def with_task_priority(guest: Guest) -> None:
    """The guest reads and writes its task priority; that it does can be reported.

    A processor that virtualizes the local APIC leaves nothing to report: the guest runs on.
    """
    need(lambda: settings.need(guest.vm, "KVM_CAP_VAPIC"))
    guest.set_data(MSR_INDEX, TASK_PRIORITY)
    settings.tpr_reports(guest.vcpu, enabled=True)
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_until(
            lambda: running.over() or guest.heartbeat > LATE_TURNS, "the guest's accesses"
        )
        running.stop_by(KICK)
    if not isinstance(running.outcome().exit, exits.TprAccess):
        pytest.skip(reason("no_tpr_exits"))
    settings.tpr_reports(guest.vcpu, enabled=False)
    warm_up(guest)


def priority_reported(guest: Guest, circumstance: str) -> None:
    """The guest's accesses leave, one after the other."""
    __tracebackhide__ = True
    for _ in range(WRITES):
        said = f"{circumstance.capitalize()}, at the guest's access to its task priority"
        require_exit(guest.vcpu.run_raw(), exits.TprAccess, said)


OWED = {
    "pit": Owed(
        "KVM_SET_PIT2 of a PIT that ticks",
        lambda guest: pit.tick(guest.vm, period_ns()),
        ticks,
        with_timer_chip,
        "events",
        "full",
    ),
    "apic_timer_periodic": Owed(
        "KVM_SET_LAPIC with a timer that ticks", start_periodic, ticks, looping, "events", "split"
    ),
    "hyperv_timer_periodic": Owed(
        "a timer of Hyper-V that ticks", start_hyperv_timer, ticks, looping, "events", "split"
    ),
    "page_ready": Owed(
        "MSR_KVM_ASYNC_PF_EN was set", take_pages_later, tick, looping, "events", "split"
    ),
    "writes_collected": Owed(
        "the guest's writes were collected", write, collected, collecting, "pages"
    ),
    "priority_reported": Owed(
        "KVM_TPR_ACCESS_REPORTING",
        lambda guest: settings.tpr_reports(guest.vcpu, enabled=True),
        priority_reported,
        with_task_priority,
        "msr",
        "split",
    ),
}
