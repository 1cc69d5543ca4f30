# SPDX-License-Identifier: GPL-2.0-only
"""A second vCPU that is off, and that the first one starts by PSCI's CPU_ON."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.kvm.abi import constant
from harness.kvm.arch.aarch64 import ioctls, state
from harness.kvm.guest import Guest, SecondProcessor
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import require_eintr, require_left, require_signal_exit
from suites.dimensions import KICK, every_guest_mode, only_on, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("aarch64"),
    pin_guest_program("second_processor"),
]

REPEATS = 20
ANSWER, TARGET = 1, 4  # the program's data words: PSCI's answer, and the affinity to start
PSCI_SUCCESS = 0


@pytest.fixture
def waiting(loaded: Guest) -> SecondProcessor:
    """The second processor; `loaded` is the first one, which will start it when it runs."""
    if loaded.vm.check_extension("KVM_CAP_MAX_VCPUS") < 2:
        pytest.skip(reason("no_second_vcpu"))
    processor = loaded.add_processor()
    if not state.writes_are_seen(processor.vcpu):
        pytest.skip(reason("no_guest_mode", "PSCI starts a processor with its MMU off"))
    processor.vcpu.set_mp_state(constant("KVM_MP_STATE_STOPPED"))
    loaded.place("second_processor_ap", "bare")
    loaded.set_data(TARGET, ioctls.affinity(processor.number))
    return processor


def require_immediate(processor: SecondProcessor, circumstance: str) -> None:
    """A number of runs with the byte set: EINTR each time, and nothing executed."""
    processor.vcpu.immediate_exit = 1
    for _ in range(REPEATS):
        require_eintr(processor.vcpu.run_raw(progress_forbidden=True), circumstance)
    processor.vcpu.immediate_exit = 0
    assert processor.heartbeat == 0, f"{circumstance}, the processor executed instructions"


def require_starts(first: Guest, processor: SecondProcessor, circumstance: str) -> None:
    """The first processor calls CPU_ON, and the second one then runs."""
    with Running(first) as caller:
        caller.wait_until(lambda: first.phase == 3, "CPU_ON to be called")
        require_runs(first, processor, circumstance)
    require_left(caller.outcome(), "After the start of the second processor")


def require_runs(first: Guest, processor: SecondProcessor, circumstance: str) -> None:
    """CPU_ON was called and answered; the second processor counts."""
    assert first.data(ANSWER) == PSCI_SUCCESS, (
        f"{circumstance}, CPU_ON must be answered with {PSCI_SUCCESS}, but the answer was "
        f"{first.data(ANSWER):#x}"
    )
    with Running(processor) as started:
        started.wait_for_progress()
        first.stop()
        result = started.outcome()
    require_left(result, f"{circumstance} and the start")


@pytest.mark.claim("states.powered_off")
@every_guest_mode
def test_immediate_then_started(loaded: Guest, waiting: SecondProcessor) -> None:
    """Immediate runs leave it off, and it can be started afterwards."""
    require_immediate(waiting, "On a processor that is off, with immediate_exit=1")
    require_starts(loaded, waiting, "After immediate runs")


@pytest.mark.claim("states.powered_off")
def test_kicked_then_started(loaded: Guest, waiting: SecondProcessor) -> None:
    """A signal ends its wait with EINTR, and it can be started afterwards."""
    with CountingHandler(KICK), Running(waiting) as running:
        running.wait_for_sleep(counted=False)
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a kick while the processor is off")
    assert waiting.heartbeat == 0, "A kicked processor that is off has executed instructions"
    require_starts(loaded, waiting, "After a kick")


@pytest.mark.claim("states.powered_off")
def test_started_while_it_sleeps(loaded: Guest, waiting: SecondProcessor) -> None:
    """CPU_ON ends the sleep of its KVM_RUN, after immediate runs and a kick as well."""
    require_immediate(waiting, "On a processor that is off, with immediate_exit=1")
    with Running(waiting) as sleeper:
        sleeper.wait_for_sleep(counted=False)
        with Running(loaded) as caller:
            sleeper.wait_for_progress()
            loaded.stop()
            require_left(sleeper.outcome(), "After the start of the second processor")
        require_left(caller.outcome(), "On the first processor")


@pytest.mark.claim("states.powered_off")
def test_immediate_with_start_pending(loaded: Guest, waiting: SecondProcessor) -> None:
    """CPU_ON was called already, and KVM has yet to reset the processor (KVM_REQ_VCPU_RESET):
    EINTR still wins, and the start is not lost."""
    with Running(loaded) as caller:
        caller.wait_until(lambda: loaded.phase == 3, "CPU_ON to be called")
        require_immediate(waiting, "With the start pending and immediate_exit=1")
        require_runs(loaded, waiting, "After immediate runs with the start pending")
    require_left(caller.outcome(), "On the first processor")
