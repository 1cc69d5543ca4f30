# SPDX-License-Identifier: GPL-2.0-only
"""Hypercalls and SynIC of Hyper-V's interface, as far as they leave to userspace."""

from __future__ import annotations

from functools import partial

import pytest

from harness.devices import ParavirtualCalls
from harness.host.features import reason
from harness.kvm import answers, exits
from harness.kvm.arch.x86_64 import hypervisors, ioctls
from harness.kvm.guest import Guest, create
from harness.kvm.run import RunResult
from harness.kvm.speech import Channel
from harness.kvm.system import System
from harness.require import require_exit, require_immediate, require_untouched
from harness.ways import WayOut
from suites.completion.completed import (
    Accesses,
    require_read_completed,
    require_read_once,
    require_read_saved,
)
from suites.dimensions import (
    every_way,
    first_and_later_turn,
    irqchip_in_kernel,
    only_on,
    pin_guest_mode,
    pin_irqchip,
)

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

CALL = Accesses("hypercall of Hyper-V's", "a hypercall of Hyper-V's")
CALLS = Channel(
    "hypercall",
    first=0x12345611,
    is_read=lambda found: isinstance(found, exits.HypervHypercall),
    is_write=lambda found: False,
    give=answers.answer_hyperv,
    written=lambda told: 0,
    writes=False,
    destination=("rdx",),  # 32-bit guests get the upper half there
)
CONNECTION = 1
INDEX_WORD, WRITES = 5, 2  # data words of the program msr
TURNS = 3
REPEATS = 20
MOST_STEPS = 200
WRMSR = b"\x0f\x30"

every_call = pytest.mark.parametrize(
    "control",
    [hypervisors.POST_MESSAGE, hypervisors.SIGNAL_EVENT],
    ids=["post_message", "signal_event"],
)
every_page = pytest.mark.parametrize(
    "index",
    [
        hypervisors.SYNIC_CONTROL,
        hypervisors.SYNIC_EVENT_PAGE,
        hypervisors.SYNIC_MESSAGE_PAGE,
    ],
    ids=["control", "event_page", "message_page"],
)


def offer(control: int, guest: Guest) -> dict[int, int]:
    """Its hypercalls and SynIC are there; the program's data words."""
    if not hypervisors.offer_hyperv(guest.vm, guest.vcpu):
        pytest.skip(reason("no_hyperv"))
    return dict(hypervisors.hyperv_call(guest.mode, control, CONNECTION))


@pytest.fixture
def calls(
    kvm: System, guest: Guest, guest_mode: str, irqchip: str, control: int
) -> ParavirtualCalls:
    """A guest that calls."""
    with create(kvm, irqchip) as other:
        if not ParavirtualCalls(other, guest_mode, CALLS, partial(offer, control)).comes():
            pytest.skip(reason("no_hyperv", "KVM_CAP_HYPERV_SYNIC2 is offered, but no call comes"))
    made = ParavirtualCalls(guest, guest_mode, CALLS, partial(offer, control))
    guest.fill()
    return made


@pytest.mark.claim("completion.hyperv")
@pin_guest_mode("protected", "long")
@pin_irqchip("split")
@every_call
@first_and_later_turn
def test_hypercall(calls: ParavirtualCalls, turns: int) -> None:
    """arch/x86/kvm/hyperv.c, kvm_hv_hypercall_complete_userspace(): a completion like those of
    the note under KVM_EXIT_MMIO (api.rst)."""
    require_read_completed(calls, turns, CALL)


@pytest.mark.claim("completion.hyperv")
@pin_guest_mode("protected", "long")
@pin_irqchip("split")
@every_call
@every_way
def test_hypercall_once(calls: ParavirtualCalls, way: WayOut) -> None:
    """Further re-entries, and what userspace leaves in kvm_run, change nothing more."""
    require_read_once(calls, CALL, way)


@pytest.mark.claim("completion.hyperv")
@pin_guest_mode("long")
@irqchip_in_kernel
@every_call
def test_hypercall_then_saved(calls: ParavirtualCalls, kvm: System) -> None:
    """Registers and memory taken now are the whole of it elsewhere: the call is not made again."""
    require_read_saved(calls, kvm, CALL)


# ---- SynIC


@pytest.fixture
def writer(guest: Guest, guest_mode: str, index: int) -> Guest:
    """A guest that reads an MSR of its SynIC and writes it, + 1, again and again."""
    guest.load("msr", guest_mode, {INDEX_WORD: index})
    if not hypervisors.offer_hyperv(guest.vm, guest.vcpu):
        pytest.skip(reason("no_hyperv"))
    guest.fill()
    return guest


def behind_a_write(guest: Guest) -> bool:
    """Whether the instruction before the program counter is a WRMSR."""
    return guest.ram.read(guest.architecture.program_counter(guest.vcpu) - 2, 2) == WRMSR


def require_told(guest: Guest, result: RunResult, index: int, said: str) -> exits.HypervSynic:
    """The exit says which MSR, and what it holds."""
    __tracebackhide__ = True
    told = require_exit(result, exits.HypervSynic, said)
    held = ioctls.get_msr(guest.vcpu, index)
    wanted = {
        hypervisors.SYNIC_CONTROL: told.control,
        hypervisors.SYNIC_EVENT_PAGE: told.event_page,
        hypervisors.SYNIC_MESSAGE_PAGE: told.message_page,
    }[index]
    assert (told.msr, wanted) == (index, held), (
        f"{said}, the exit must tell of MSR {index:#x} with {held:#x}, but it is {told}"
    )
    return told


@pytest.mark.claim("completion.hyperv")
@pin_guest_mode("protected", "long")
@pin_irqchip("split")
@every_page
def test_synic_write_is_told_once(writer: Guest, index: int) -> None:
    """arch/x86/kvm/hyperv.c, synic_exit(): the write is made, and a request brings its exit;
    nothing is left to complete, and no exit comes twice or is lost."""
    for turn in range(TURNS):
        said = f"At write {turn + 1} of the MSR {index:#x}"
        require_told(writer, writer.vcpu.run_raw(), index, said)
        assert writer.data(WRITES) == turn, (
            f"{said}, the guest must have gone past {turn} writes, but it counted "
            f"{writer.data(WRITES)}"
        )
        require_untouched(writer, f"{said}, on re-entries", times=(1, 2, REPEATS)[turn])
    require_told(writer, writer.vcpu.run_raw(), index, "In the normal run after immediate ones")


@pytest.mark.claim("completion.hyperv")
@pin_guest_mode("long")
@irqchip_in_kernel
@every_page
def test_synic_exit_waits_through_immediate_runs(writer: Guest, index: int) -> None:
    """The request of a write after which KVM_RUN ended for another reason, here a step: the next
    normal run brings its exit, immediate runs or not in between."""
    require_told(writer, writer.vcpu.run_raw(), index, "At the first write")
    writer.vcpu.set_guest_debug(single_step=True)
    told = writer.data(WRITES)
    for _ in range(MOST_STEPS):
        result = writer.vcpu.run_raw()
        if isinstance(result.exit, exits.HypervSynic):
            pytest.skip(reason("no_guest_debug", "the write's exit comes before that of its step"))
        require_exit(result, exits.Debug, "On a step to the second write")
        if behind_a_write(writer) and writer.data(WRITES) == told + 1:
            break
    else:
        raise AssertionError(f"{MOST_STEPS} steps must lead to the second write, but did not")
    writer.vcpu.set_guest_debug(single_step=False)
    for number in range(REPEATS):
        require_immediate(writer, f"After a step over a write of its SynIC, re-entry {number + 1}")
    require_untouched(writer, "After a step over a write of its SynIC and immediate runs")
    said = "In a normal run after a step over a write of its SynIC and immediate runs"
    require_told(writer, writer.vcpu.run_raw(), index, said)
    assert writer.data(WRITES) == told + 1, f"{said}, the guest must not have run before the exit"
