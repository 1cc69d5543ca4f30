# SPDX-License-Identifier: GPL-2.0-only
"""A hart that is stopped (the SBI's hart state management), and waits to be started."""

from __future__ import annotations

import pytest

from harness.kvm.abi import constant
from harness.kvm.guest import Guest, SecondProcessor
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import (
    require_ended,
    require_left,
    require_runs_on,
    require_signal_exit,
    require_untouched,
)
from harness.ways import WayOut
from suites.dimensions import (
    KICK,
    every_guest_mode,
    every_way,
    only_on,
    pin_guest_program,
)
from suites.vcpu_states.powered_off import require_waits

pytestmark = [pytest.mark.usefixtures("capability"), only_on("riscv64")]

REPEATS = 20
WAITS, TARGET = 3, 4  # data words of the program: 1 to hold the start back, the hart to start


def require_stopped_still(guest: Guest | SecondProcessor, circumstance: str) -> None:
    """KVM says that the hart is stopped."""
    state = guest.vcpu.mp_state()
    assert state == constant("KVM_MP_STATE_STOPPED"), (
        f"{circumstance}, the hart must still be stopped, but its MP state is {state}"
    )


@pytest.fixture
def stopped(loaded: Guest) -> Guest:
    """The VM's first hart, stopped by userspace."""
    loaded.vcpu.set_mp_state(constant("KVM_MP_STATE_STOPPED"))
    return loaded


@pytest.fixture
def waiting(loaded: Guest) -> SecondProcessor:
    """The second hart; `loaded` is the first one, which will start it when it runs."""
    processor = loaded.add_processor()
    loaded.place("second_processor_ap", "bare")
    loaded.set_data(TARGET, processor.number)
    return processor


@pytest.mark.claim("states.powered_off")
@every_guest_mode
@every_way
def test_ended_while_stopped(stopped: Guest, way: WayOut) -> None:
    """By the byte and by a signal at entry: EINTR each time, nothing runs, and it stays stopped."""
    require_untouched(stopped, "On a stopped hart", way, REPEATS)
    require_stopped_still(stopped, f"After runs{way.said}")
    require_waits(stopped, f"After runs{way.said}")
    stopped.vcpu.set_mp_state(constant("KVM_MP_STATE_RUNNABLE"))
    require_runs_on(stopped, f"Made runnable after runs{way.said}")


@pytest.mark.claim("states.powered_off")
@every_guest_mode
def test_kick(stopped: Guest) -> None:
    """A signal ends the wait in kvm_riscv_check_vcpu_requests(), and not the stop."""
    with CountingHandler(KICK) as handler, Running(stopped) as running:
        running.wait_for_sleep(counted=False)
        running.kick(KICK)
        result = running.outcome()
        handled = handler.count()
    require_signal_exit(result, "On a kick while a stopped hart waits")
    assert handled == 1, f"The signal's handler must run once, but it ran {handled} times"
    require_stopped_still(stopped, "After a kick")
    stopped.vcpu.set_mp_state(constant("KVM_MP_STATE_RUNNABLE"))
    require_runs_on(stopped, "Made runnable after a kick")


@pytest.mark.claim("states.powered_off")
@pin_guest_program("second_processor")
@every_guest_mode
@every_way
def test_started_by_another_hart(loaded: Guest, waiting: SecondProcessor, way: WayOut) -> None:
    """A hart that never ran: such runs execute nothing, and the start that follows is in force."""
    said = "On a hart that was never started"
    require_ended(way.run_many(waiting.vcpu, REPEATS), way, said)
    assert waiting.heartbeat == 0, f"{said}{way.said}, it has executed instructions"
    require_stopped_still(waiting, f"After runs{way.said}")
    require_starts(loaded, waiting, f"After runs{way.said}")


@pytest.mark.claim("states.powered_off")
@pin_guest_program("second_processor")
@every_way
def test_start_pending(loaded: Guest, waiting: SecondProcessor, way: WayOut) -> None:
    """It was started already (KVM_REQ_VCPU_RESET waits): EINTR still wins, and it starts after."""
    with Running(loaded) as first:
        first.wait_until(lambda: loaded.phase == 3, "the second hart to be started")
        said = "On a hart that was started and has not run yet"
        require_ended(way.run_many(waiting.vcpu, REPEATS), way, said)
        assert waiting.heartbeat == 0, f"{said}{way.said}, it has executed instructions"
        require_counts(loaded, waiting, f"{said}, after runs{way.said}")
    require_left(first.outcome(), "After the start of the second hart")


@pytest.mark.claim("states.powered_off")
@pin_guest_program("second_processor")
def test_started_while_it_waits(loaded: Guest, waiting: SecondProcessor) -> None:
    """After a kick its thread waits again, and the start wakes it."""
    with CountingHandler(KICK), Running(waiting) as running:
        running.wait_for_sleep(counted=False)
        running.kick(KICK)
        require_signal_exit(running.outcome(), "On a kick while a hart waits to be started")
    with Running(waiting) as second:
        second.wait_for_sleep(counted=False)
        with Running(loaded) as first:
            second.wait_for_progress()
            loaded.stop()
            require_left(first.outcome(), "After the start of the second hart")
        require_left(second.outcome(), "After its start")


def require_starts(first: Guest, processor: SecondProcessor, circumstance: str) -> None:
    """The first hart starts the second one, which then runs."""
    with Running(first) as starter:
        starter.wait_until(lambda: first.phase == 3, "the second hart to be started")
        require_counts(first, processor, circumstance)
    require_left(starter.outcome(), "After the start of the second hart")


def require_counts(first: Guest, processor: SecondProcessor, circumstance: str) -> None:
    """The second hart makes progress, and both are stopped."""
    with Running(processor) as second:
        second.wait_for_progress()
        first.stop()
        require_left(second.outcome(), f"{circumstance} and the start")
