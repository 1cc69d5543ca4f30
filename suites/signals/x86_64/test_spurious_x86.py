# SPDX-License-Identifier: GPL-2.0-only
"""What interrupts a thread and is no signal, of a vCPU that waits as only x86 has it."""

from __future__ import annotations

import threading

import pytest

from harness.host.features import reason
from harness.kvm.guest import Guest, SecondProcessor
from harness.kvm.guest_process import UNSTARTED
from harness.kvm.signals import CountingHandler, send
from harness.require import require_signal_exit
from suites.dimensions import KICK, an_irqchip_that_halts, only_on
from suites.signals.disturbed import require_freezes, require_stops, run_with_work

pytestmark = only_on("x86_64")

WAITS = "waits to be started"


@pytest.fixture
def waiting(capability: int, loaded: Guest) -> SecondProcessor:
    """A processor that nobody starts. Before KVM had the byte, a signal gave EAGAIN there."""
    if loaded.vm.check_extension("KVM_CAP_MAX_VCPUS") == 1:
        pytest.skip(reason("no_second_vcpu"))
    return loaded.add_processor()


# `waiting` shows for these two that such a processor can be had.


@pytest.mark.claim("signals.spurious_is_legal")
@an_irqchip_that_halts
def test_spurious_stopped_while_unstarted(
    waiting: SecondProcessor, guest_mode: str, record_property: pytest.RecordProperty
) -> None:
    """kvm_arch_vcpu_ioctl_run(), KVM_MP_STATE_UNINITIALIZED, is a wait of its own."""
    record_property("spurious_eintr", require_stops(guest_mode, UNSTARTED, WAITS))


@pytest.mark.claim("signals.spurious_is_legal")
@an_irqchip_that_halts
def test_spurious_frozen_while_unstarted(
    waiting: SecondProcessor, guest_mode: str, record_property: pytest.RecordProperty
) -> None:
    """The same of a freeze."""
    record_property("spurious_eintr", require_freezes(guest_mode, UNSTARTED, WAITS))


@pytest.mark.claim("signals.spurious_is_legal")
@an_irqchip_that_halts
def test_spurious_task_work_while_unstarted(
    waiting: SecondProcessor, record_property: pytest.RecordProperty
) -> None:
    """The same of work for the thread; a signal then ends the run."""
    thread = threading.get_native_id()
    with CountingHandler(KICK):
        result = run_with_work(waiting, WAITS, lambda: send(thread, KICK))
    record_property("spurious_eintr", result.spurious)
    require_signal_exit(result, "After work for the thread of an unstarted processor, and a kick")
