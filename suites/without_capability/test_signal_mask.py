# SPDX-License-Identifier: GPL-2.0-only
"""The kick that monitors have where there is no immediate_exit: KVM_SET_SIGNAL_MASK.

The signal is blocked in the thread and open inside of KVM_RUN. So one that was sent before KVM_RUN
waits for it, one that is sent meanwhile ends it, and the monitor takes it away (api.rst 4.21).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.kvm.guest import Guest
from harness.kvm.running import Running
from harness.kvm.signals import Blocked, CountingHandler
from harness.kvm.vcpu import all_signals_but
from harness.require import require_runs_on, require_signal_exit
from suites.dimensions import (
    KICK,
    every_guest_mode,
    every_irqchip,
    every_irqchip_that_halts,
    pin_guest_program,
)

pytestmark = pytest.mark.usefixtures("without_capability")

ROUNDS = 100
ROUNDS_WHILE_RUNNING = 10
WITH_IRQCHIP = 0, 1  # the data word of the program halt: interrupts end at the controller
# The byte is not to matter, whatever it holds.
any_byte = pytest.mark.parametrize("byte", [0, 1], ids=["byte_clear", "byte_set"])


@pytest.fixture
def handler() -> Iterator[CountingHandler]:
    """The process has a handler for the kick, which must not run."""
    with CountingHandler(KICK) as counting:
        yield counting


def require_kicked(guest: Guest, handler: CountingHandler, circumstance: str) -> None:
    """A kick that is sent to this thread before KVM_RUN ends it, and is still pending then."""
    __tracebackhide__ = True
    with Blocked(KICK) as blocked:
        blocked.send(KICK)
        # Where the guest runs on, the kick is lost: then nothing is gained by waiting longer.
        result = guest.vcpu.run_raw(progress_forbidden=True)
        require_signal_exit(result, circumstance)
        found = blocked.take(KICK)
    assert (found, handler.count()) == (1, 0), (
        f"{circumstance}, the signal must stay pending once and its handler not run, "
        f"but it is pending {found} times and the handler ran {handler.count()} times"
    )


def require_kicked_on_its_thread(
    running: Running, handler: CountingHandler, circumstance: str
) -> None:
    """The same for a kick that was sent to the thread of a run under way."""
    __tracebackhide__ = True
    require_signal_exit(running.outcome(), circumstance)
    assert (running.pending, handler.count()) == ({KICK}, 0), (
        f"{circumstance}, the signal must stay pending and its handler not run, but pending are "
        f"{sorted(running.pending)} and the handler ran {handler.count()} times"
    )


@pytest.mark.claim("absent.signal_mask_still_kicks")
@every_guest_mode
@every_irqchip
@any_byte
def test_kick_before_first_run(loaded: Guest, handler: CountingHandler, byte: int) -> None:
    """api.rst 4.21: the mask takes the place of the thread's own during KVM_RUN, and a signal
    that it leaves open makes KVM_RUN return with -EINTR."""
    loaded.vcpu.set_signal_mask(all_signals_but(KICK))
    loaded.vcpu.immediate_exit = byte
    require_kicked(loaded, handler, "With a blocked signal pending before a first KVM_RUN")


@pytest.mark.claim("absent.signal_mask_still_kicks")
@every_guest_mode
@any_byte
def test_every_kick_before_a_run(ready: Guest, handler: CountingHandler, byte: int) -> None:
    """The window that the mask closes: kicks before KVM_RUN, one after the other, none lost."""
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    ready.vcpu.immediate_exit = byte
    for number in range(1, ROUNDS + 1):
        require_kicked(ready, handler, f"With kick {number} pending before KVM_RUN")
    ready.vcpu.set_signal_mask(None)
    require_runs_on(ready, f"After {ROUNDS} kicks, all taken away")


@pytest.mark.claim("absent.signal_mask_still_kicks")
@every_guest_mode
def test_every_kick_of_a_running_guest(ready: Guest, handler: CountingHandler) -> None:
    """Kicks to a thread that runs the guest, none lost; with the byte clear and set in turn."""
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    for number in range(1, ROUNDS_WHILE_RUNNING + 1):
        ready.vcpu.immediate_exit = number % 2
        with Running(ready, blocked=(KICK,)) as running:
            running.wait_for_progress()
            running.kick(KICK)
            said = f"With kick {number}, blocked outside and open inside of KVM_RUN"
            require_kicked_on_its_thread(running, handler, said)


@pytest.mark.claim("absent.signal_mask_still_kicks")
@pin_guest_program("halt")
@every_irqchip_that_halts
@any_byte
def test_kick_of_a_halted_guest(loaded: Guest, handler: CountingHandler, byte: int) -> None:
    """The same for a vCPU that sleeps in the kernel."""
    loaded.set_data(*WITH_IRQCHIP)
    loaded.vcpu.set_signal_mask(all_signals_but(KICK))
    loaded.vcpu.immediate_exit = byte
    with Running(loaded, blocked=(KICK,)) as running:
        running.wait_until(lambda: loaded.phase == 1, "the guest to halt")
        running.wait_for_sleep()
        running.kick(KICK)
        said = "With a kick of a halted guest, blocked outside and open inside of KVM_RUN"
        require_kicked_on_its_thread(running, handler, said)
