# SPDX-License-Identifier: GPL-2.0-only
"""An event that KVM itself has on its way into the guest when a signal ends the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, pending
from harness.kvm.guest import Guest
from harness.kvm.running import NotSeenError, Running, warm_up
from harness.kvm.signals import CountingHandler
from harness.kvm.userfault import Userfault, UserfaultUnavailableError
from harness.require import require_left, require_signal_exit
from suites.dimensions import KICK, only_on, pin_guest_program
from suites.interrupts import skip_if_repeated
from suites.signals.x86_64.slow_memory import why_not_interruptible
from suites.vcpu_states.x86_64.kept import require_kept

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("exceptions"),
]

SLOT, PAGE = 1, 0x1000
JOB, NMIS, VECTOR, DR6, EXCEPTIONS, BEGUN = 1, 2, 3, 6, 7, 10  # the program's data words
INVALID_OPCODE, TRAPS = 2, 3  # its jobs
SINGLE_STEP = 0x4000  # DR6.BS
LATE_TURNS = 100_000  # by then what waited only for its stack has been taken, or is lost
# About every third kick finds a trap under way. Some wait, and some KVM had begun to inject: only
# many kicks meet both.
KICKS, LOOKED_AT = 100, 3


@pytest.mark.claim("states.events_survive")
def test_trap(loaded: Guest) -> None:
    """kvm_vcpu_do_singlestep(): behind an instruction that KVM executes for a guest that steps, the
    trap is KVM's to raise, and is not raised again: lost, it is lost for the guest.
    """
    warm_up(loaded)
    loaded.set_data(JOB, TRAPS)
    found = 0
    with CountingHandler(KICK):
        for _ in range(KICKS):
            with Running(loaded) as running:
                running.wait_for_progress(1)
                running.kick(KICK)
            require_signal_exit(running.outcome(), "On a kick of a guest that steps")
            if under_way(pending.events(loaded.vcpu)):
                found += 1
                if found <= LOOKED_AT:
                    require_kept(loaded, "a trap under way")
    loaded.stop()
    require_left(loaded.vcpu.run_raw(), "After kicks of a guest that steps")
    begun, taken = loaded.data(BEGUN), loaded.data(EXCEPTIONS)
    assert begun == taken, (
        f"The guest stepped over {begun} instructions and must take as many traps, but took {taken}"
    )
    assert (loaded.data(VECTOR), loaded.data(DR6) & SINGLE_STEP) == (1, SINGLE_STEP), (
        f"The trap must be #DB with DR6.BS, but its vector is {loaded.data(VECTOR)} and DR6 "
        f"{loaded.data(DR6):#x}"
    )
    if not found:
        pytest.skip(reason("busy_host", f"{KICKS} kicks found no trap under way"))


def under_way(events: Mapping[str, int]) -> bool:
    """Whether KVM has an exception for the guest that it has not yet got."""
    return bool(events["exception.injected"] or events["exception.pending"])


def _invalid_opcode(guest: Guest) -> None:
    guest.set_data(JOB, INVALID_OPCODE)


def _nmi(guest: Guest) -> None:
    ioctls.nmi(guest.vcpu)


def _interrupt(guest: Guest) -> None:
    guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)


Taken = Callable[[Guest], int]
each_event = pytest.mark.parametrize(
    ("bring", "taken"),
    [
        (_invalid_opcode, lambda guest: guest.data(EXCEPTIONS)),
        (_nmi, lambda guest: guest.data(NMIS)),
        (_interrupt, lambda guest: guest.ticks),
    ],
    ids=["invalid_opcode", "nmi", "interrupt"],
)


@pytest.mark.claim("states.events_survive")
@each_event
def test_stack_is_slow(loaded: Guest, bring: Callable[[Guest], None], taken: Taken) -> None:
    """The processor takes the event and waits for the page of its stack: it is on neither side.

    A fault may be raised anew in place of being kept, for the program counter is still on its
    instruction. From 6.2 on a signal ends the wait (commit 766576874b97).
    """
    warm_up(loaded)
    if obstacle := why_not_interruptible(loaded.statistic("insn_emulation")):
        pytest.skip(obstacle)
    memory = loaded.vm.add_memory(SLOT, at.EXTRA_RAM, PAGE)
    regs = ioctls.get_regs(loaded.vcpu)
    regs.rsp = at.EXTRA_RAM + PAGE
    ioctls.set_regs(loaded.vcpu, regs)
    try:
        slow = Userfault(memory)
    except UserfaultUnavailableError as error:
        pytest.skip(reason("no_userfaultfd", str(error)))
    bring(loaded)
    # The memory is let go before the run is waited for, however this ends.
    with CountingHandler(KICK), Running(loaded) as running, closing(slow):
        running.wait_until(slow.waiting, "the guest to wait for its stack")
        running.kick(KICK)
        ended = running.ends_within(loaded.vcpu.bounds.patience_s / 2)
        if ended:
            require_signal_exit(running.outcome(), "On a signal while an event waits for the stack")
            require_kept(loaded, "an event under way")
            require_delivered(loaded, slow, taken)
        else:
            slow.resolve()
            loaded.stop()
    assert ended, (
        "On a signal while an event waits for the page of the stack, KVM_RUN must return -1 with "
        f"EINTR, but it waited for the memory; once that was there, {running.outcome().describe()}"
    )
    skip_if_repeated(loaded, 1)
    assert taken(loaded) == 1, f"The guest must take the event once, but took it {taken(loaded)}"


def require_delivered(guest: Guest, slow: Userfault, taken: Taken) -> None:
    """Once the stack's page is there, the guest takes the event and runs on."""
    __tracebackhide__ = True
    with Running(guest) as running, closing(slow):
        try:
            turns = guest.heartbeat
            slow.resolve()
            running.wait_until(
                lambda: taken(guest) > 0 or guest.heartbeat - turns > LATE_TURNS,
                "the guest to take the event",
            )
            running.wait_for_progress()
        except NotSeenError as error:
            raise AssertionError(f"After a signal ended an event's delivery: {error}") from None
        guest.stop()
        result = running.outcome()
    require_left(result, "After the event that had waited for its stack, with the stop word")
