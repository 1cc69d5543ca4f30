# SPDX-License-Identifier: GPL-2.0-only
"""MP states that userspace sets by KVM_SET_MP_STATE, with and without an event that waits."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, patterns, waiting
from harness.kvm.guest import RAM_SLOT, Guest, SecondProcessor
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import (
    require_eintr,
    require_left,
    require_runs_on,
    require_same_state,
    require_signal_exit,
)
from harness.ways import BYTE
from suites.dimensions import (
    KICK,
    every_irqchip,
    irqchip_in_kernel,
    only_on,
    pin_guest_program,
)
from suites.interrupts import require_ticks, skip_if_repeated

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_guest_program("events")]

RUNS = 21  # many, for a slow defect; an odd number, over which one that toggles does not cancel out
NMIS, INVALID_OPCODES, SMIS = 2, 6, 8  # the programs' data words
START_PAGE = at.SECOND_PROGRAM // 0x1000


def states(*left_out: str) -> pytest.MarkDecorator:
    """The test runs once in each state but these."""
    return pytest.mark.parametrize(
        "state", [word for word in waiting.STATES if word not in left_out]
    )


@pytest.fixture
def looping(loaded: Guest) -> Guest:
    """The program counts in its loop, with interrupts on, and was stopped there by a signal."""
    guest = loaded
    guest.set_data(0, int(guest.vm.irqchip != "none"))
    if guest.vm.check_extension("KVM_CAP_X86_SMM"):
        guest.vm.add_memory_to(ioctls.SMM_ADDRESS_SPACE, RAM_SLOT)
        guest.place("smi", "real")
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_until(lambda: guest.phase == 1, "the guest to turn interrupts on")
        running.wait_for_progress()
        running.stop_by(KICK)
    patterns.fill_quietly(guest.vcpu, guest.vm)
    return guest


@pytest.fixture
def second(loaded: Guest) -> SecondProcessor:
    """Another processor, which executes second_processor_ap once it is started.

    Userspace starts it: the first one, with its program, never runs.
    """
    if loaded.vm.check_extension("KVM_CAP_MAX_VCPUS") == 1:
        pytest.skip(reason("no_second_vcpu"))
    processor = loaded.add_processor()
    loaded.place("second_processor_ap", "real")
    patterns.fill_quietly(processor.vcpu, loaded.vm)
    # As a monitor does; KVM reads the ids of all local APICs only when one of them is written.
    ioctls.set_lapic(processor.vcpu, ioctls.get_lapic(processor.vcpu))
    return processor


def immediate_runs(processor: Guest | SecondProcessor, circumstance: str) -> None:
    """EINTR each time, not KVM_EXIT_UNKNOWN or a wait."""
    result = BYTE.run_many(processor.vcpu, RUNS)
    require_eintr(result, circumstance)


def require_state(processor: Guest | SecondProcessor, state: str, circumstance: str) -> None:
    """KVM_GET_MP_STATE says it."""
    found = waiting.name(processor.vcpu.mp_state())
    assert found == state, f"{circumstance}, the MP state must be {state}, but it is {found}"


def kick_asleep(processor: Guest | SecondProcessor, state: str, circumstance: str) -> None:
    """A normal run waits in this state; a signal ends the wait, and not the state."""
    turns = processor.heartbeat
    with CountingHandler(KICK), Running(processor) as running:
        running.wait_for_sleep()
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, circumstance)
    require_state(processor, state, circumstance)
    assert processor.heartbeat == turns, f"{circumstance}, the vCPU has executed instructions"


def require_starts(guest: Guest, processor: SecondProcessor, circumstance: str) -> None:
    """The next normal run executes what the SIPI names."""
    with Running(processor) as running:
        running.wait_for_progress()
        guest.stop()
        result = running.outcome()
    require_left(result, circumstance)


@pytest.mark.claim("states.mp_states")
@irqchip_in_kernel
@states("sipi_received")
def test_state_and_event_kept(looping: Guest, state: str) -> None:
    """kvm_arch_vcpu_ioctl_run() looks at the byte before vcpu_block() and at no event before it."""
    require_each_event_kept(looping, state)


@pytest.mark.claim("states.mp_states")
def test_runnable_without_irqchip(looping: Guest) -> None:
    """The one state that is there without a local APIC."""
    require_each_event_kept(looping, "runnable")


def require_each_event_kept(guest: Guest, state: str) -> None:
    """The whole state stays, each event waiting in turn; then the guest runs on."""
    events = ioctls.get_events(guest.vcpu)
    lapic = None if guest.vm.irqchip == "none" else ioctls.get_lapic(guest.vcpu)
    for event, wait in waiting.raisers(guest.vm).items():
        guest.vcpu.set_mp_state(waiting.number(state))
        wait(guest.vcpu, guest.vm)
        ioctls.get_events(guest.vcpu)  # moves some of them from one place to another
        before = guest.whole()
        said = f"In {RUNS} immediate runs of a vCPU that is {state}, with {event} waiting"
        immediate_runs(guest, said)
        counted = guest.architecture.COUNTS_RUNS
        require_same_state(before, guest.whole(), said, may_change=counted)
        waiting.quieten(guest.vcpu, guest.vm, events, lapic)
    require_runs_on(guest, f"Runnable again, after immediate runs of a vCPU that was {state}")


@pytest.mark.claim("states.mp_states")
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_runnable_runs(looping: Guest) -> None:
    """Made runnable by userspace, from its halt where it can halt: it runs."""
    if looping.vm.irqchip != "none":
        looping.vcpu.set_mp_state(waiting.number("halted"))
        immediate_runs(looping, "On a vCPU that userspace halted")
    looping.vcpu.set_mp_state(waiting.number("runnable"))
    immediate_runs(looping, "On a vCPU that userspace made runnable")
    require_runs_on(looping, "After userspace made the vCPU runnable")


@pytest.mark.claim("states.mp_states")
@irqchip_in_kernel
@pytest.mark.parametrize("state", ["halted", "ap_reset_hold"])
def test_waits_on(looping: Guest, state: str) -> None:
    """The next normal run waits; userspace ends the wait as it began it."""
    looping.vcpu.set_mp_state(waiting.number(state))
    immediate_runs(looping, f"On a vCPU that is {state}")
    kick_asleep(looping, state, f"On a kick while the vCPU waits, {state}")
    immediate_runs(looping, f"On a vCPU that is {state} and was kicked")
    kick_asleep(looping, state, f"On a second kick while the vCPU waits, {state}")
    looping.vcpu.set_mp_state(waiting.number("runnable"))
    require_runs_on(looping, f"After userspace made a vCPU runnable that was {state}")


def halted_until(event: str, word: Callable[[Guest], int]) -> object:
    """A parameter: what ends the halt, and the guest's own count of it."""
    return pytest.param(event, word, id=event.split(" ", 1)[1].replace(" ", "_").lower())


@pytest.mark.claim("states.mp_states")
@irqchip_in_kernel
@pytest.mark.parametrize(
    ("event", "taken"),
    [
        halted_until("an interrupt", lambda guest: guest.ticks),
        halted_until("an NMI", lambda guest: guest.data(NMIS)),
        halted_until("an SMI", lambda guest: guest.data(SMIS)),
        halted_until("a pending exception", lambda guest: guest.data(INVALID_OPCODES)),
    ],
)
def test_event_ends_halt(looping: Guest, event: str, taken: Callable[[Guest], int]) -> None:
    """The event waits through immediate runs of the halted vCPU, then ends the halt, once.

    A way out of vcpu_block() without a reason ends in KVM_EXIT_UNKNOWN (ead63640d4e7 mended one).
    """
    raisers = waiting.raisers(looping.vm)
    if event not in raisers:
        word = "no_smm" if event == "an SMI" else "no_exception_payload"
        pytest.skip(reason(word))
    looping.vcpu.set_mp_state(waiting.number("halted"))
    raisers[event](looping.vcpu, looping.vm)
    said = f"On a halted vCPU with {event} waiting"
    immediate_runs(looping, said)
    assert taken(looping) == 0, f"{said}, an immediate run delivered it"
    with Running(looping) as running:
        running.wait_until(lambda: taken(looping) > 0, f"{event} to end the halt")
        running.wait_for_progress()
        looping.stop()
        result = running.outcome()
    require_left(result, f"After {event} ended the halt")
    skip_if_repeated(looping, 1)
    assert taken(looping) == 1, f"The guest must take {event} once, but took {taken(looping)}"
    require_ticks(looping, int(event == "an interrupt"), f"After {event} ended the halt")


@pytest.mark.claim("states.mp_states")
@irqchip_in_kernel
def test_init_received_waits_for_sipi(loaded: Guest, second: SecondProcessor) -> None:
    """INIT_RECEIVED waits for a SIPI, and neither the byte nor a signal is one."""
    second.vcpu.set_mp_state(waiting.number("init_received"))
    immediate_runs(second, "On a processor that waits for a SIPI")
    require_state(second, "init_received", "After immediate runs")
    kick_asleep(second, "init_received", "On a kick while the processor waits for a SIPI")
    immediate_runs(second, "On a processor that waits for a SIPI and was kicked")
    waiting.send_sipi(loaded.vm, second.number, START_PAGE)
    immediate_runs(second, "On a processor with its SIPI waiting")
    require_starts(loaded, second, "After the SIPI")


@pytest.mark.claim("states.mp_states")
@irqchip_in_kernel
@pytest.mark.parametrize("read", [False, True], ids=["not_read", "read"])
def test_sipi_received_starts(loaded: Guest, second: SecondProcessor, read: bool) -> None:
    """SIPI_RECEIVED: the processor stays where it is until a normal run, or KVM_GET_MP_STATE.

    Both of these call kvm_apic_accept_events(), which makes it runnable at the SIPI's page.
    """
    waiting.set_sipi_page(second.vcpu, START_PAGE)
    second.vcpu.set_mp_state(waiting.number("sipi_received"))
    require_not_started(loaded, second, "with SIPI_RECEIVED set by userspace")
    if read:
        require_state(second, "runnable", "When KVM_GET_MP_STATE has accepted the SIPI")
        require_not_started(loaded, second, "with its SIPI accepted")
    require_starts(loaded, second, "After SIPI_RECEIVED and immediate runs")


@pytest.mark.claim("states.mp_states")
@irqchip_in_kernel
@states("uninitialized", "sipi_received")  # the first one: states.uninitialized
def test_init_and_sipi_wait(loaded: Guest, second: SecondProcessor, state: str) -> None:
    """INIT and SIPI wait for a processor in any state: neither is taken, lost or seen early."""
    second.vcpu.set_mp_state(waiting.number(state))
    ioctls.send_init(loaded.vm, second.number)
    require_not_started(loaded, second, f"that is {state}, with an INIT waiting")
    waiting.send_sipi(loaded.vm, second.number, START_PAGE)
    require_not_started(loaded, second, f"that is {state}, with INIT and SIPI waiting")
    require_starts(loaded, second, f"After INIT and SIPI to a processor that was {state}")


@pytest.mark.claim("states.mp_states")
@irqchip_in_kernel
@states("uninitialized", "sipi_received", "init_received")
def test_init_waits(loaded: Guest, second: SecondProcessor, state: str) -> None:
    """An INIT alone: KVM_GET_MP_STATE accepts it after the immediate runs; a SIPI starts it."""
    second.vcpu.set_mp_state(waiting.number(state))
    ioctls.send_init(loaded.vm, second.number)
    require_not_started(loaded, second, f"that is {state}, with an INIT waiting")
    require_state(second, "init_received", "When KVM_GET_MP_STATE has accepted the INIT")
    waiting.send_sipi(loaded.vm, second.number, START_PAGE)
    require_starts(loaded, second, f"After INIT and SIPI to a processor that was {state}")


@pytest.mark.claim("states.woken")
@irqchip_in_kernel
def test_sipi_wakes_sleeper(loaded: Guest, second: SecondProcessor) -> None:
    """It finds the thread asleep in KVM_RUN, and nothing else would wake that."""
    second.vcpu.set_mp_state(waiting.number("init_received"))
    immediate_runs(second, "On a processor that waits for a SIPI")
    with Running(second) as running:
        running.wait_for_sleep()
        waiting.send_sipi(loaded.vm, second.number, START_PAGE)
        running.wait_until(lambda: second.heartbeat > 0, "the SIPI to wake the waiting processor")
        loaded.stop()
        result = running.outcome()
    require_left(result, "After the SIPI")


@pytest.mark.claim("states.woken")
@irqchip_in_kernel
def test_init_wakes_sleeper(loaded: Guest, second: SecondProcessor) -> None:
    """The same of INIT, which ends that run with EAGAIN; the SIPI behind it starts the processor.

    A run that ended for nothing meanwhile goes on, and is then started by the SIPI itself. KVM
    counts a wake-up when it sends it.
    """
    second.vcpu.set_mp_state(waiting.number("uninitialized"))
    immediate_runs(second, "On a processor that waits for an INIT")
    with Running(second) as running:
        running.wait_for_sleep()
        woken = second.statistic("halt_wakeup")
        ioctls.send_init(loaded.vm, second.number)
        running.wait_until(
            lambda: running.over() or second.statistic("halt_wakeup") != woken,
            "the INIT to wake the waiting processor",
        )
        waiting.send_sipi(loaded.vm, second.number, START_PAGE)
        running.wait_until(
            lambda: running.over() or second.heartbeat > 0, "the SIPI to start the processor"
        )
        if not running.over():
            loaded.stop()
        result = running.outcome()
    if result.errno != errno.EAGAIN:
        require_left(result, "After INIT and SIPI to a processor that slept")
    else:
        require_starts(loaded, second, "After INIT and SIPI to a processor that slept")


def require_not_started(guest: Guest, processor: SecondProcessor, what: str) -> None:
    """Immediate runs change no register of it: by calls that accept no INIT and no SIPI."""
    before = guest.architecture.registers(processor.vcpu)
    said = f"In {RUNS} immediate runs of a processor {what}"
    immediate_runs(processor, said)
    after = guest.architecture.registers(processor.vcpu)
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"{said}, its registers must stay, but {', '.join(changed)} changed"
    assert processor.heartbeat == 0, f"{said}, it has executed instructions"
