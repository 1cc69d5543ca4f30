# SPDX-License-Identifier: GPL-2.0-only
"""A guest (L1) that runs a guest of its own (L2), kicked and moved to another VM in between."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from guest_blobs import memory_map as at
from guest_blobs.x86_64 import memory_map as here
from harness.host.features import reason
from harness.kvm import answers, exits
from harness.kvm.arch.x86_64 import devices, ioctls, pending
from harness.kvm.arch.x86_64 import nested as nesting
from harness.kvm.arch.x86_64.devices import PORT_STRING_IN
from harness.kvm.guest import Guest, create
from harness.kvm.running import Running, warm_up
from harness.kvm.signals import CountingHandler, ThreadTimer
from harness.kvm.system import System
from harness.require import (
    require_completion,
    require_eintr,
    require_exit,
    require_left,
    require_same_state,
    require_signal_exit,
    require_stopped,
)
from harness.ways import BYTE, SIGNAL, WayOut
from suites.dimensions import KICK, every_way, only_on, pin_irqchip
from suites.interrupts import require_ticks, skip_if_repeated

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

TIMES = (1, 20)  # a defect that toggles cancels out over an even number
EXITS, EXIT_CODE, EXIT_CODE_HIGH, LEAVES_EACH_TURN, ENTRIES, MSR_READ = 1, 2, 3, 4, 5, 6
INJECTION, INJECTED, TAKEN, PORT, DEVICE = 7, 8, 9, 10, 11
# The program's data words above; of its guest's control block the intercepts of exceptions, and its
# exit codes (AMD's manual, volume 2, appendices B and C).
EXCEPTION_INTERCEPTS, EXIT_EXCEPTION, EXIT_MSR = 0x008, 0x40, 0x7C
KERNEL_GS_BASE = 0xC000_0102  # KVM lets each guest reach it without an exit
LATE_TURNS = 100_000  # by then what is to end L2 has ended it, or is lost
ANSWER = b"\x11\x22\x33\x44"  # of a device
STORM, EVERY_NS = 200, 1_000_000
MOST_KICKS = 100


def kick(guest: Guest) -> None:
    """A run that a signal ends, after some turns."""
    __tracebackhide__ = True
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_for_progress(1)
        running.kick(KICK)
    require_signal_exit(running.outcome(), "On a kick of a guest with a guest of its own")


def require_flag(guest: Guest, circumstance: str) -> nesting.NestedState:
    """kvm_run.flags and KVM_GET_NESTED_STATE agree on whether the vCPU is in L2. The state.

    post_kvm_run_save() writes the flag on each way out of KVM_RUN.
    """
    __tracebackhide__ = True
    state = nesting.get_state(guest.vcpu)
    if guest.vm.check_extension("KVM_CAP_X86_GUEST_MODE"):
        said = nesting.says_in_guest(guest.vcpu)
        assert said == state.in_guest, (
            f"{circumstance}, KVM_RUN_X86_GUEST_MODE in kvm_run.flags must be {state.in_guest:d}, "
            f"as KVM_GET_NESTED_STATE has it, but it is {said:d}"
        )
    return state


def require_kept(guest: Guest, where: str) -> None:
    """Immediate runs leave the whole state as it was, the nested one too."""
    __tracebackhide__ = True
    for times in TIMES:
        before = guest.whole()
        result = BYTE.run_many(guest.vcpu, times)
        circumstance = f"In {times} immediate run{'s' * (times > 1)} of a vCPU {where}"
        require_eintr(result, circumstance)
        require_flag(guest, circumstance)
        counted = guest.architecture.COUNTS_RUNS
        require_same_state(before, guest.whole(), circumstance, may_change=counted)


def require_comes_back(guest: Guest, exits: Callable[[int], int], circumstance: str) -> None:
    """The guest runs on, and with the stop word L2 leaves to L1, and L1 to its end.

    `exits` gives how often L2 must have come back, of the number of its entries.
    """
    __tracebackhide__ = True
    with Running(guest) as running:
        running.wait_for_progress()
        guest.stop()
        result = running.outcome()
    require_left(result, circumstance)
    entries, found = guest.data(ENTRIES), guest.data(EXITS)
    assert found == exits(entries), (
        f"{circumstance}, L1 entered its guest {entries} times and it must have come back "
        f"{exits(entries)} times, but came back {found} times, at last with exit code "
        f"{guest.data(2):#x}"
    )


def require_each_turn_once(guest: Guest, circumstance: str) -> None:
    """Each entry executed L2 once, and came back once."""
    __tracebackhide__ = True
    require_comes_back(guest, lambda entries: entries, circumstance)
    assert guest.heartbeat == guest.data(ENTRIES), (
        f"{circumstance}, L1 entered its guest {guest.data(ENTRIES)} times, but that guest made "
        f"{guest.heartbeat} turns of one each"
    )


@pytest.fixture
def turning(nested: Guest) -> Guest:
    """From its start on, L2 leaves to L1 after each turn: an entry, a turn and an exit are one."""
    nested.stop()
    require_left(nested.vcpu.run_raw(), "With the stop word, of a guest with a guest of its own")
    nested.clear_stop()
    nested.set_data(0, int(nested.vm.irqchip != "none"))
    nested.set_data(LEAVES_EACH_TURN, 1)
    nested.ram.write32(at.HEARTBEAT, 0)
    warm_up(nested)
    return nested


@pytest.mark.claim("states.nested")
def test_kicked_in_second_level(nested: Guest) -> None:
    """A signal is the host's: L2 stays in execution, and L1 sees nothing of it."""
    kick(nested)
    state = require_flag(nested, "After a kick of a guest's guest")
    assert (state.in_guest, nested.data(EXITS)) == (True, 0), (
        "A signal must find the vCPU in the guest's own guest and leave it there, but "
        f"KVM_GET_NESTED_STATE has the flags {state.flags:#x}, and L2 came back to L1 "
        f"{nested.data(EXITS)} times"
    )
    require_kept(nested, "in its guest's guest")
    require_comes_back(nested, lambda entries: 1, "After a kick and immediate runs")


@pytest.mark.claim("states.nested")
def test_handed_over(kvm: System, nested: Guest) -> None:
    """KVM_SET_NESTED_STATE of what KVM_GET_NESTED_STATE gave: L2 goes on, and comes back to L1."""
    with create(kvm) as target:
        nesting.hand_over(nested, target)
        require_kept(target, "that got a nested state")
        assert nesting.get_state(target.vcpu).in_guest, "KVM_SET_NESTED_STATE did not enter L2"
        kick(target)
        require_kept(target, "that runs on from a nested state that it got")
        require_comes_back(target, lambda entries: 1, "In a VM that took over a nested guest")


@pytest.mark.claim("states.nested")
def test_storm(turning: Guest) -> None:
    """Entries into L2 and exits from it are as many, wherever a signal falls."""
    tid = threading.get_native_id()
    with CountingHandler(KICK), ThreadTimer(KICK, tid, EVERY_NS, EVERY_NS):
        result = turning.vcpu.run_kicked_raw(STORM)
    require_signal_exit(result, "In a storm of kicks of a guest that enters its own guest")
    require_kept(turning, "that was kicked")
    require_each_turn_once(turning, f"After {STORM} kicks")
    # KVM's count has the one entry before the program began anew as well.
    entered, wanted = turning.statistic("nested_run"), turning.data(ENTRIES) + 1
    assert entered in (None, wanted), (
        f"L1 entered its guest {wanted} times in all, but KVM's statistic nested_run is {entered}"
    )


def kicked_at_entry(guest: Guest) -> nesting.NestedState:
    """The state after kicks, the last of which came between L1's VMRUN and L2, if any did."""
    __tracebackhide__ = True
    for _ in range(MOST_KICKS):
        kick(guest)
        found = require_flag(guest, "After a kick")
        if found.run_pending:
            break
    return found


def kick_at_entry(guest: Guest) -> None:
    """The same, and skips where none did."""
    __tracebackhide__ = True
    if not kicked_at_entry(guest).run_pending:
        pytest.skip(reason("busy_host", f"{MOST_KICKS} kicks found no entry of L2 pending"))


@pytest.mark.claim("states.nested")
def test_entry_pending(kvm: System, turning: Guest) -> None:
    """Between L1's VMRUN and the entry of L2 by the processor: it is kept, and moved, as such."""
    found = kicked_at_entry(turning)
    require_kept(turning, "with an entry into its guest's guest pending")
    now = nesting.get_state(turning.vcpu)
    assert now == found, (
        f"KVM_GET_NESTED_STATE said the flags {found.flags:#x} after a kick, and must say the same "
        f"whole state after immediate runs, but it says another one, with the flags {now.flags:#x}"
    )
    with create(kvm) as target:
        nesting.hand_over(turning, target)
        before, after = nesting.get_state(turning.vcpu), nesting.get_state(target.vcpu)
        assert before.flags == after.flags, (
            f"KVM_SET_NESTED_STATE with flags {before.flags:#x} must give a vCPU that has them, "
            f"but it has {after.flags:#x}"
        )
        require_kept(target, "that got a nested state")
        require_each_turn_once(target, "In a VM that took over a nested guest")


@pytest.mark.claim("states.nested")
@pin_irqchip("split")
def test_interrupt_waits_for_entry(turning: Guest) -> None:
    """An interrupt of L1's while an entry of L2 is pending comes in right behind that entry.

    KVM sees that it has to wait, and looks once more later (req_immediate_exit in
    vcpu_enter_guest()): also where a signal takes the entry back, or L2 has it wait for ever.
    """
    kick_at_entry(turning)
    turning.set_data(LEAVES_EACH_TURN, 0)
    turning.architecture.deliver_interrupt(turning.vm, turning.vcpu)
    said = "With an entry into its guest's guest pending, and an interrupt behind it"
    require_stopped(turning, said, SIGNAL)
    turns = turning.heartbeat
    with Running(turning) as running:
        running.wait_until(
            lambda: turning.ticks > 0 or turning.heartbeat - turns > LATE_TURNS, "L1's interrupt"
        )
        came = turning.ticks > 0  # asked before L2 is ended: L1 takes it then in any case
        turning.stop()
        result = running.outcome()
    require_left(result, f"{said}, after a signal")
    assert came, (
        f"{said}, L1 must take the interrupt once L2 is entered, but after a signal L2 made "
        f"{LATE_TURNS} turns without it"
    )
    require_ticks(turning, 1, f"{said}, after a signal")


@pytest.mark.claim("states.nested")
@pytest.mark.parametrize("event", [0x8000001F, 0x80000305], ids=["interrupt", "exception"])
def test_injection(turning: Guest, event: int) -> None:
    """EVENTINJ (AMD's manual, volume 2, 15.20): what L1 injects with an entry L2 takes once.

    Where a signal takes the entry back, KVM keeps it as an event of its own
    (svm_cancel_injection()).
    """
    turning.set_data(INJECTION, event)
    kick_at_entry(turning)
    said = f"With an entry into its guest's guest pending that injects {event:#x}"
    require_kept(turning, f"with an entry pending that injects {event:#x}")
    require_stopped(turning, said, SIGNAL)
    require_each_turn_once(turning, f"{said}, after a signal")
    injected, taken = turning.data(INJECTED), turning.data(TAKEN)
    skip_if_repeated(turning, injected, taken)
    assert taken == injected, (
        f"L1 injected {injected} events with its entries, and its guest must take as many, but it "
        f"took {taken}"
    )


def require_exit_to_first_level(guest: Guest, code: int, circumstance: str) -> None:
    """The next run ends L2 with this exit code, at which the program leaves."""
    __tracebackhide__ = True
    turns = guest.heartbeat
    with Running(guest) as running:
        running.wait_until(
            lambda: running.over() or guest.heartbeat - turns > LATE_TURNS, "L2 to leave to L1"
        )
        guest.stop()
        result = running.outcome()
    require_left(result, circumstance)
    found = guest.data(EXIT_CODE) | guest.data(EXIT_CODE_HIGH) << 32
    assert found == code, (
        f"{circumstance}, L1 must be told of it by the exit code {code:#x} of its guest, but the "
        f"last exit that it got is {found:#x}"
    )


@pytest.mark.claim("states.nested")
@pytest.mark.parametrize(("vector", "has_code"), [(6, 0), (13, 1), (14, 1)], ids=["ud", "gp", "pf"])
def test_exception_is_first_levels(turning: Guest, vector: int, has_code: int) -> None:
    """One that userspace makes pending in L2 and L1 intercepts: it ends L2, and is L1's.

    KVM_RUN turns it into an exit to L1 before it looks at the byte (commit 7709aba8f716 of 6.1).
    """
    if not ioctls.enable_exception_payload(turning.vm):
        pytest.skip(reason("no_exception_payload"))
    turning.ram.write32(here.VMCB + EXCEPTION_INTERCEPTS, 1 << vector)
    warm_up(turning)  # each turn is an entry, which reads the block anew
    turning.set_data(LEAVES_EACH_TURN, 0)
    warm_up(turning)
    fields = {"pending": 1, "injected": 0, "nr": vector, "has_error_code": has_code}
    pending.change_events(turning.vcpu, {f"exception.{name}": fields[name] for name in fields})
    require_kept(turning, f"in its guest's guest with an exception of vector {vector} pending")
    require_exit_to_first_level(
        turning,
        EXIT_EXCEPTION + vector,
        f"After immediate runs with an exception of vector {vector} pending in L2",
    )


@pytest.mark.claim("states.nested")
def test_bitmap_handed_over(kvm: System, nested: Guest) -> None:
    """After KVM_SET_NESTED_STATE it is L1's MSR bitmap that says what L2 may reach.

    KVM reads it behind the check of the byte (KVM_REQ_GET_NESTED_STATE_PAGES).
    """
    nested.ram.write(here.MSR_BITMAP, b"\xff" * 0x2000)
    with create(kvm) as target:
        nesting.hand_over(nested, target)
        require_kept(target, "that got a nested state whose MSR bitmap it has yet to read")
        target.set_data(MSR_READ, KERNEL_GS_BASE)
        require_exit_to_first_level(
            target, EXIT_MSR, "After immediate runs behind a hand-over, and L2's access to an MSR"
        )


@pytest.mark.claim("states.nested")
@every_way
def test_load_of_second_level(nested: Guest, way: WayOut) -> None:
    """api.rst, note under KVM_EXIT_MMIO: also an operation of L2's, for L1 lets it through."""
    nested.set_data(DEVICE, at.MMIO_BASE)
    said = "After a load of the guest's guest"
    load = require_exit(nested.vcpu.run_raw(), exits.Mmio, "At a load of the guest's guest")
    answers.answer_mmio(nested.vcpu, load, ANSWER)
    require_completion(nested, said, way=way)
    require_still_second_level(nested, f"{said}, completed{way.said}")
    nested.set_data(DEVICE, 0)
    require_comes_back(nested, lambda entries: 1, said)
    require_answered(nested, ANSWER, said)


@pytest.mark.claim("states.nested")
@every_way
def test_input_of_second_level(nested: Guest, way: WayOut) -> None:
    """L1 intercepts the port from now on: but this INSB has been let through, and is to end.

    KVM asked L1's bitmap again at its end (CVE-2025-40026, fixed in 6.18 and stable kernels), and
    ended L2 in place of the instruction, whose byte was lost.
    """
    nested.set_data(PORT, PORT_STRING_IN)
    asked = require_exit(nested.vcpu.run_raw(), exits.Io, "At an INSB of the guest's guest")
    bitmap = here.PORT_BITMAP + PORT_STRING_IN // 8
    nested.ram.write(bitmap, b"\xff")
    devices.answer_io(nested.vcpu, asked, ANSWER[:1])
    said = "After an INSB of the guest's guest, whose port its hypervisor intercepts by now"
    require_completion(nested, said, ("rdi", "memory"), way)
    require_still_second_level(nested, f"{said}, completed{way.said}")
    require_answered(nested, ANSWER[:1], said)
    nested.ram.write(bitmap, b"\0")
    nested.set_data(PORT, 0)
    require_comes_back(nested, lambda entries: 1, said)


def require_still_second_level(guest: Guest, circumstance: str) -> None:
    """Its hypervisor has seen nothing."""
    __tracebackhide__ = True
    state = require_flag(guest, circumstance)
    assert (state.in_guest, guest.data(EXITS)) == (True, 0), (
        f"{circumstance}, the vCPU must still be in its guest's guest, but KVM_GET_NESTED_STATE "
        f"has the flags {state.flags:#x}, and L2 came back to L1 {guest.data(EXITS)} times"
    )


def require_answered(guest: Guest, wanted: bytes, circumstance: str) -> None:
    """What L2 got is what userspace gave."""
    __tracebackhide__ = True
    found = guest.ram.read(at.SECOND_PROGRAM, len(wanted))
    assert found == wanted, (
        f"{circumstance}, that guest must have got {wanted.hex()}, but it got {found.hex()}"
    )
