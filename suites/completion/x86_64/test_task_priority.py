# SPDX-License-Identifier: GPL-2.0-only
"""A lowered CR8, which KVM tells to whoever keeps the interrupt controller in userspace."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.arch import word_of
from harness.kvm.guest import Guest, create
from harness.kvm.run import RunResult
from harness.kvm.speech import Word
from harness.kvm.system import System
from harness.require import require_exit, require_untouched
from suites.dimensions import only_on, pin_guest_mode, pin_guest_program, pin_irqchip

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("task_priority"),
    pin_guest_mode("long"),
    pin_irqchip("none"),
]

SEEN, RAISED, LOWERED = 0, 1, 2  # data words out
HIGH_WORD, LOW_WORD = 5, 6
HIGH, LOW, BETWEEN = 9, 3, 5
PRIORITIES = {HIGH_WORD: HIGH, LOW_WORD: LOW}
TURNS = 4
runs = pytest.mark.parametrize("times", [1, 20], ids=["once", "twenty_times"])


@pytest.fixture
def lowering(kvm: System, loaded: Guest) -> Guest:
    """A guest that raises and lowers CR8. A probe says whether that leaves at all."""
    with create(kvm) as other:
        other.load("task_priority", loaded.mode, PRIORITIES)
        other.stop()
        if word_of(other.vcpu.run().exit) is Word.DONE:
            pytest.skip(reason("no_tpr_exits"))
    for word, priority in PRIORITIES.items():
        loaded.set_data(word, priority)
    return loaded


def require_lowered(guest: Guest, result: RunResult, turn: int, circumstance: str) -> None:
    """The exit of this turn, and the guest is behind the write: CR8 holds the low priority."""
    __tracebackhide__ = True
    require_exit(result, exits.SetTpr, circumstance)
    found = guest.data(RAISED), guest.data(LOWERED), guest.vcpu.run_page.cr8
    assert found == (turn, turn - 1, LOW), (
        f"{circumstance}, the guest must have raised CR8 {turn} times, gone past its fall "
        f"{turn - 1} times, and kvm_run.cr8 must be {LOW}, but it is {found}"
    )


@pytest.mark.claim("completion.task_priority")
@runs
def test_a_lowered_priority_is_told_once(lowering: Guest, times: int) -> None:
    """handle_cr() of VMX and cr8_write_interception() of SVM have made the write and moved the
    program counter before KVM_EXIT_SET_TPR: nothing is left to complete."""
    for turn in range(1, TURNS + 1):
        said = f"At the fall of CR8 number {turn}"
        require_lowered(lowering, lowering.vcpu.run_raw(), turn, said)
        require_untouched(lowering, f"{said}, on re-entries", times=times)
        found = lowering.vcpu.run_page.cr8
        assert found == LOW, f"{said} and immediate runs, kvm_run.cr8 must be {LOW}, not {found}"
    result = lowering.vcpu.run_raw()
    require_lowered(lowering, result, TURNS + 1, "In the normal run after immediate ones")
    assert lowering.data(SEEN) == LOW, (
        f"After immediate runs and a normal one, the guest must have read {LOW} in CR8, "
        f"but it read {lowering.data(SEEN)}"
    )


@pytest.mark.claim("completion.task_priority")
@runs
def test_a_priority_of_userspace_is_taken(lowering: Guest, times: int) -> None:
    """api.rst, kvm_run, cr8: "Both input and output.": what userspace sets beside the byte is what
    the guest reads in the next normal run."""
    require_lowered(lowering, lowering.vcpu.run_raw(), 1, "At the first fall of CR8")
    lowering.vcpu.run_page.cr8 = BETWEEN
    require_untouched(
        *(lowering, "With kvm_run.cr8 set, on re-entries"), times=times, may_change=["sregs cr8"]
    )
    require_lowered(
        lowering, lowering.vcpu.run_raw(), 2, "In a normal run with kvm_run.cr8 set before"
    )
    assert lowering.data(SEEN) == BETWEEN, (
        f"After userspace set kvm_run.cr8 to {BETWEEN} and immediate runs, the guest must read "
        f"that in CR8, but it read {lowering.data(SEEN)}"
    )
