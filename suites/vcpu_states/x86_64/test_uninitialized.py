# SPDX-License-Identifier: GPL-2.0-only
"""An application processor that waits for INIT and SIPI."""

from __future__ import annotations

import errno

import pytest

from harness.kvm.abi import constant
from harness.kvm.guest import Guest, SecondProcessor
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import require_eintr, require_errno, require_left, require_signal_exit
from suites.dimensions import (
    KICK,
    every_guest_mode,
    irqchip_in_kernel,
    only_on,
    pin_guest_program,
)
from suites.vcpu_states.x86_64.woken import run_woken

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("second_processor"),
]

REPEATS = 20
TARGET = 4  # the program's data word: the APIC id to start


@pytest.fixture
def waiting(loaded: Guest) -> SecondProcessor:
    """The second processor; `loaded` is the first one, which will start it when it runs."""
    processor = loaded.add_processor()
    loaded.place("second_processor_ap", "real")
    loaded.set_data(TARGET, processor.number)
    return processor


def require_uninitialized(processor: SecondProcessor, circumstance: str) -> None:
    """KVM says that it still waits for INIT, and it has executed nothing."""
    state = processor.vcpu.mp_state()
    assert state == constant("KVM_MP_STATE_UNINITIALIZED"), (
        f"{circumstance}, the processor must still be uninitialized, but its MP state is {state}"
    )
    assert processor.heartbeat == 0, f"{circumstance}, the processor has executed instructions"


def require_immediate(processor: SecondProcessor, circumstance: str) -> None:
    """A number of runs with the byte set: EINTR each time, and nothing executed."""
    processor.vcpu.immediate_exit = 1
    for _ in range(REPEATS):
        require_eintr(processor.vcpu.run_raw(progress_forbidden=True), circumstance)
    processor.vcpu.immediate_exit = 0
    assert processor.heartbeat == 0, f"{circumstance}, the processor executed instructions"


def require_starts(first: Guest, processor: SecondProcessor, circumstance: str) -> None:
    """The first processor sends INIT and SIPI, and the second one then runs."""
    with Running(first) as sender:
        sender.wait_until(lambda: first.phase == 3, "INIT and SIPI to be sent")
        require_wakes(first, processor, circumstance)
    require_left(sender.outcome(), "After the start of the second processor")


def require_wakes(first: Guest, processor: SecondProcessor, circumstance: str) -> None:
    """INIT and SIPI have been sent: they end the wait, and the processor runs.

    KVM_RUN of a processor that was woken from its wait gives EAGAIN: it is to be called again.
    """
    with Running(processor) as woken:
        woken.wait_until(lambda: woken.over() or processor.heartbeat > 0, "the processor to wake")
        if not woken.over():
            first.stop()
        result = woken.outcome()
    if result.spurious and result.value == 0:
        # An EINTR for nothing took the place of EAGAIN, and KVM_RUN was called again already.
        require_left(result, f"{circumstance} and the start")
        result = run_woken(first.vm, processor.vcpu, processor.number)
        require_errno(result, errno.EAGAIN, f"{circumstance}, with INIT sent")
        return
    require_errno(result, errno.EAGAIN, f"{circumstance}, with INIT and SIPI sent")
    with Running(processor) as started:
        started.wait_for_progress()
        first.stop()
        result = started.outcome()
    require_left(result, f"{circumstance} and the start")


@pytest.mark.claim("states.uninitialized")
@irqchip_in_kernel
@every_guest_mode
def test_immediate(loaded: Guest, waiting: SecondProcessor) -> None:
    """Commit 2f173d268855: with the byte, KVM_RUN does not wait for INIT."""
    require_immediate(waiting, "On an uninitialized processor with immediate_exit=1")
    require_uninitialized(waiting, "After immediate runs")
    require_starts(loaded, waiting, "After immediate runs")


@pytest.mark.claim("states.uninitialized")
@irqchip_in_kernel
def test_signal(loaded: Guest, waiting: SecondProcessor) -> None:
    """A signal ends the wait with EINTR and KVM_EXIT_INTR."""
    with CountingHandler(KICK) as handler, Running(waiting) as running:
        running.wait_for_sleep()
        running.kick(KICK)
        result = running.outcome()
        handled = handler.count()
    require_signal_exit(result, "On a kick while an uninitialized processor waits for INIT")
    assert handled == 1, f"The signal's handler must run once, but it ran {handled} times"
    require_uninitialized(waiting, "After a kick")
    require_starts(loaded, waiting, "After a kick")


@pytest.mark.claim("states.uninitialized")
@irqchip_in_kernel
def test_immediate_with_start_pending(loaded: Guest, waiting: SecondProcessor) -> None:
    """INIT and SIPI were sent already: EINTR still wins, and neither of the two is lost."""
    with Running(loaded) as sender:
        sender.wait_until(lambda: loaded.phase == 3, "INIT and SIPI to be sent")
        require_immediate(waiting, "With INIT and SIPI pending and immediate_exit=1")
        require_wakes(loaded, waiting, "After immediate runs with the start pending")
