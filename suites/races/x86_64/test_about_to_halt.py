# SPDX-License-Identifier: GPL-2.0-only
"""An interrupt for a vCPU that is about to sleep: it must not sleep through it.

A signal is no such thing, for the scheduler itself does not let a thread sleep that has one. An
interrupt of the guest is KVM's own to see.
"""

from __future__ import annotations

import pytest

from harness.host import pace
from harness.kvm.guest import Guest
from harness.kvm.running import NotSeenError, Running
from harness.kvm.signals import CountingHandler
from suites.dimensions import KICK, irqchip_in_kernel, only_on, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("sleeper"),
]

SHORTEST, LONGEST, LONGER = 5, 6, 7  # data words, nanoseconds
# From the start of the timer into the halt; a step is shorter than any stretch without a look.
LONGEST_NS = 100_000 if pace.here().takes_turns else 20_000
STEP_NS = 17
# Runs are short, for a run has its bounds, and an emulated host may need 20 ms for a halt.
RUNS, HALTS = 40, 100


@pytest.mark.claim("races.reaches_guest")
@irqchip_in_kernel
def test_timer_on_the_way_into_a_halt(loaded: Guest) -> None:
    """virt/kvm/kvm_main.c, kvm_vcpu_block(): the thread declares that it sleeps, and looks for a
    reason to wake up after that, or it is not woken by one that comes in between (e5c239cfd5b6).

    The guest's own timer interrupts the processor that its vCPU is about to leave: the one sender
    that needs no second processor.
    """
    loaded.vm.set_halt_poll(0)  # what polls is awake
    for word, value in {SHORTEST: 1, LONGEST: LONGEST_NS, LONGER: STEP_NS}.items():
        loaded.set_data(word, value)
    for _ in range(RUNS):
        with CountingHandler(KICK), Running(loaded) as running:
            try:
                running.wait_for_progress(HALTS)
            except NotSeenError as error:
                raise AssertionError(
                    "A guest that starts its local APIC's timer and halts must be woken by it, "
                    f"whenever it fires, but: {error}"
                ) from None
            running.stop_by(KICK)
        running.outcome().raise_if_rescued()
