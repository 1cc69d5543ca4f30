# SPDX-License-Identifier: GPL-2.0-only
"""Steps and breakpoints, of the host and of the guest, beside immediate runs and signals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.arch.x86_64 import debugging, pending
from harness.kvm.guest import Guest
from harness.kvm.running import Running, warm_up
from harness.kvm.signals import Blocked, CountingHandler
from harness.require import (
    require_exit,
    require_immediate,
    require_left,
    require_same_state,
    require_signal_at_entry,
)
from suites.dimensions import KICK, every_guest_mode, only_on, pin_guest_program, pin_irqchip
from suites.interrupts import require_ticks
from suites.vcpu_states.x86_64.kept import require_kept

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("exceptions"),
]

SEARCH = 300  # more steps than a turn of the program and a handler have
JOB, EXCEPTIONS, FLAGS = 1, 7, 9  # the program's data words
TELL_FLAGS = 1
MANY_TURNS = 1000


@pytest.fixture
def looping(loaded: Guest) -> Iterator[Guest]:
    """The program counts in its loop, with interrupts on, and was stopped there."""
    if not loaded.vm.check_extension("KVM_CAP_SET_GUEST_DEBUG"):
        pytest.skip(reason("no_guest_debug"))
    loaded.set_data(0, int(loaded.vm.irqchip != "none"))
    warm_up(loaded)
    with CountingHandler(KICK):
        yield loaded


def step(guest: Guest, circumstance: str) -> int:
    """One KVM_RUN that must end after one instruction: where."""
    __tracebackhide__ = True
    require_exit(guest.vcpu.run_raw(), exits.Debug, circumstance)
    return guest.architecture.program_counter(guest.vcpu)


def one_turn(guest: Guest) -> list[int]:
    """Steps through the loop once: the addresses in the order that the guest executes them.

    The last one is where the vCPU now is, and the next is the first.
    """
    start = step(guest, "With single-stepping on")
    addresses: list[int] = []
    while not addresses or addresses[-1] != start:
        assert len(addresses) < SEARCH, f"{SEARCH} steps never came back to {start:#x}"
        addresses.append(step(guest, "With single-stepping on"))
    return addresses


def interrupt_at_entry(guest: Guest, circumstance: str) -> None:
    """A KVM_RUN that meets a signal: EINTR, and no instruction."""
    __tracebackhide__ = True
    with Blocked(KICK) as blocked:
        guest.vcpu.set_signal_mask(set())
        blocked.send(KICK)
        require_signal_at_entry(guest, f"{circumstance} and a signal pending")
        guest.vcpu.set_signal_mask(None)


def require_no_trap_flag(guest: Guest, circumstance: str) -> None:
    """The flag of the host's steps is not in the guest's registers."""
    __tracebackhide__ = True
    assert not debugging.trap_flag(guest.vcpu), (
        f"{circumstance}, RFLAGS of KVM_GET_REGS must not have the trap flag, which is the host's"
    )


def require_never_stepped(guest: Guest) -> None:
    """Once stepping is off the guest finds no trap flag in its flags, takes no trap, and leaves."""
    __tracebackhide__ = True
    guest.set_data(JOB, TELL_FLAGS)
    with Running(guest) as running:
        running.wait_until(lambda: guest.data(FLAGS) > 0, "the guest to tell its flags")
        running.wait_for_progress()
        guest.stop()
        result = running.outcome()
    require_left(result, "After single-stepping was turned off")
    assert not guest.data(FLAGS) & debugging.TRAP_FLAG, (
        f"After single-stepping was turned off, the guest's pushf gave {guest.data(FLAGS):#x}, "
        "with the trap flag"
    )
    assert guest.data(EXCEPTIONS) == 0, (
        f"The guest must take no exception of the host's steps, but took {guest.data(EXCEPTIONS)}"
    )


@pytest.mark.claim("states.single_step")
@every_guest_mode
def test_signal_takes_no_step(looping: Guest) -> None:
    """A signal at entry, as an immediate run, is no step; the next run steps where it would have.

    kvm_get_rflags() hides the trap flag while the host steps, kvm_set_rflags() takes it away.
    """
    looping.vcpu.set_guest_debug(single_step=True)
    circumstance = "With single-stepping on"
    for number, address in enumerate(one_turn(looping)):
        interrupt_at_entry(looping, circumstance)
        require_no_trap_flag(looping, "After a signal with single-stepping on")
        require_immediate(looping, circumstance)
        require_no_trap_flag(looping, "After an immediate run with single-stepping on")
        found = step(looping, f"{circumstance}, after a signal and an immediate run")
        assert found == address, (
            f"Step {number + 1} after a signal and an immediate run must end at {address:#x}, as "
            f"it did without them, but it ended at {found:#x}"
        )
    interrupt_at_entry(looping, circumstance)
    looping.vcpu.set_guest_debug(single_step=False)
    require_no_trap_flag(looping, "After single-stepping was turned off")
    require_never_stepped(looping)


@pytest.mark.claim("states.single_step")
@pin_irqchip("none", "split")
def test_interrupt_during_steps(looping: Guest) -> None:
    """An interrupt that comes while the host steps is taken once.

    Whether a step ends within the handler is not asked: where the processor delivers it, the trap
    flag is back only behind the handler's iret.
    """
    circumstance = "With single-stepping on and an interrupt pending"
    looping.vcpu.set_guest_debug(single_step=True)
    loop = one_turn(looping)
    looping.architecture.deliver_interrupt(looping.vm, looping.vcpu)
    for _ in range(SEARCH):
        require_immediate(looping, circumstance)
        place = step(looping, circumstance)
        if looping.ticks and place in loop:
            break
    else:
        raise AssertionError(f"{SEARCH} steps never ended behind the interrupt's handler")
    for _ in loop:
        require_immediate(looping, "With single-stepping on, after an interrupt")
        step(looping, "With single-stepping on, after an interrupt")
    looping.vcpu.set_guest_debug(single_step=False)
    require_never_stepped(looping)
    require_ticks(looping, 1, "After steps with an interrupt")


@pytest.mark.claim("states.single_step")
def test_breakpoint_at_each_instruction(looping: Guest) -> None:
    """A breakpoint of the host (KVM_GUESTDBG_USE_HW_BP) is met where it is set, each time.

    A vCPU that stands on it has not executed the instruction: the next run meets it again.
    """
    looping.vcpu.set_guest_debug(single_step=True)
    loop = one_turn(looping)
    debugging.break_at(looping.vcpu, loop[0])
    if not reaches(looping):
        pytest.skip(reason("no_breakpoints"))
    for address in [*loop[1:], loop[0]]:
        debugging.break_at(looping.vcpu, address)
        for _ in range(2):
            turns = looping.heartbeat
            circumstance = f"With a breakpoint of the host at {address:#x}"
            require_immediate(looping, circumstance)
            interrupt_at_entry(looping, circumstance)
            found = step(looping, circumstance)
            made = looping.heartbeat - turns
            assert (found, made <= 1) == (address, True), (
                f"{circumstance}, the run must end there, but it ended at {found:#x} after {made} "
                "turns of the loop"
            )
    looping.vcpu.set_guest_debug(single_step=False)
    require_never_stepped(looping)


def reaches(guest: Guest) -> bool:
    """Whether a run ends at the breakpoint, and not after many turns by a signal."""
    turns = guest.heartbeat
    with Running(guest) as running:
        running.wait_until(
            lambda: running.over() or guest.heartbeat - turns > MANY_TURNS, "a breakpoint"
        )
        running.stop_by(KICK)
    return isinstance(running.outcome().exit, exits.Debug)


@pytest.mark.claim("states.single_step")
def test_watchpoint_of_the_guest(looping: Guest) -> None:
    """The guest's own DR0 to DR7 stay, and each write that they watch is one trap.

    Where the processor does not execute the guest's breakpoints, only that they stay is seen.
    """
    debugging.watch_writes(looping.vcpu, at.HEARTBEAT)
    require_kept(looping, "a breakpoint of the guest in DR7")
    before = pending.waiting(looping.vcpu)
    interrupt_at_entry(looping, "With a breakpoint of the guest in DR7")
    require_same_state(before, pending.waiting(looping.vcpu), "After a signal at entry")
    turns = looping.heartbeat
    warm_up(looping)
    require_immediate(looping, "After a run of a guest with a breakpoint of its own")
    looping.stop()
    require_left(looping.vcpu.run_raw(), "With a breakpoint of the guest's own")
    made, taken = looping.heartbeat - turns, looping.data(EXCEPTIONS)
    if not taken:
        pytest.skip(reason("no_breakpoints"))
    assert taken == made, (
        f"The guest must take a trap for each of the {made} writes that its DR7 watches, but it "
        f"took {taken}"
    )
