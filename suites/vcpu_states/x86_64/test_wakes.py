# SPDX-License-Identifier: GPL-2.0-only
"""What ends a halt wakes the vCPU's thread, before and after kicks and immediate runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, messages
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import require_eintr, require_untouched
from harness.ways import BYTE
from suites.dimensions import KICK, irqchip_in_kernel, only_on, pin_guest_program

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_guest_program("halt")]

WITH_IRQCHIP = 0, 1  # the program's data[0]
NMIS, SMIS = 2, 8  # data words of the programs halt and smi
TIMES = (1, 20)  # a defect that toggles cancels out over an even number

#: Where the guest counts what came; of a kick it sees nothing but that its halt is over.
TAKEN: dict[str, Callable[[Guest], int]] = {
    "an NMI": lambda guest: guest.data(NMIS),
    "an SMI": lambda guest: guest.data(SMIS),
    "a kick": lambda guest: guest.heartbeat,
}
each_event = pytest.mark.parametrize(
    "event",
    messages.SENDERS,
    ids=lambda event: event.split(" ", 1)[1].replace(" ", "_").lower(),
    indirect=True,
)


@pytest.fixture
def halted(loaded: Guest) -> Guest:
    """The guest has halted; its run was ended by signals."""
    loaded.set_data(*WITH_IRQCHIP)
    if loaded.vm.check_extension("KVM_CAP_X86_SMM"):
        loaded.vm.add_memory_to(ioctls.SMM_ADDRESS_SPACE, RAM_SLOT)
        loaded.place("smi", "real")
    with CountingHandler(KICK), Running(loaded) as running:
        running.wait_until(lambda: loaded.phase == 1, "the guest to halt")
        running.wait_for_sleep()
        running.stop_by(KICK)
    return loaded


@pytest.fixture
def event(halted: Guest, request: pytest.FixtureRequest) -> str:
    """What is to end the halt; skips what this KVM has not."""
    if request.param == "an SMI" and not halted.vm.check_extension("KVM_CAP_X86_SMM"):
        pytest.skip(reason("no_smm"))
    if "eventfd" in request.param and not halted.vm.check_extension("KVM_CAP_IRQFD"):
        pytest.skip(reason("no_setting", "KVM_CAP_IRQFD"))
    return str(request.param)


def send(guest: Guest, event: str) -> None:
    """One, from outside of the vCPU."""
    taken = messages.SENDERS[event](guest.vm)
    if event == "a kick" and taken < 1:
        pytest.skip(reason("no_setting", "a kick by an interrupt message"))
    assert taken >= 1, f"KVM_SIGNAL_MSI of {event} must say that a vCPU took it, but says {taken}"


def count(guest: Guest, event: str) -> int:
    """How often the guest took it."""
    return TAKEN.get(event, lambda guest: guest.ticks)(guest)


def halt_again(guest: Guest) -> None:
    """The guest sleeps in its next halt, and the run was ended by signals."""
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_for_sleep()
        running.stop_by(KICK)


@pytest.mark.claim("states.woken")
@irqchip_in_kernel
@each_event
def test_sleeper(halted: Guest, event: str) -> None:
    """kvm_vcpu_kick() wakes the thread that sleeps in kvm_vcpu_block(): nothing else would.

    It sleeps anew after each number of immediate runs.
    """
    for times in TIMES:
        result = BYTE.run_many(halted.vcpu, times)
        require_eintr(result, f"In {times} immediate runs of a halted vCPU")
        before = count(halted, event)
        with CountingHandler(KICK), Running(halted) as running:
            running.wait_for_sleep()
            send(halted, event)
            running.wait_until(
                lambda before=before: count(halted, event) != before,
                f"{event} to wake the halted guest, whose thread slept in KVM_RUN",
            )
            running.stop_by(KICK)
        halt_again(halted)


@pytest.mark.claim("states.woken")
@irqchip_in_kernel
@each_event
def test_sent_before(halted: Guest, event: str) -> None:
    """The event came while no thread was in KVM_RUN; immediate runs leave it, and the vCPU, so."""
    for times in TIMES:
        before = count(halted, event)
        send(halted, event)
        require_untouched(halted, f"With {event} waiting for a halted vCPU", times=times)
        with CountingHandler(KICK), Running(halted) as running:
            running.wait_until(
                lambda before=before: count(halted, event) != before,
                f"{event} to wake the halted guest, which it came to before {times} immediate runs",
            )
            running.stop_by(KICK)
        halt_again(halted)
