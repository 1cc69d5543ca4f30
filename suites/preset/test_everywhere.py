# SPDX-License-Identifier: GPL-2.0-only
"""The byte is obeyed whatever else is so: who calls, what the VM has, how the vCPU was made."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from harness import caller
from harness.callers import OF_THE_CALLER
from harness.conditions.condition import Condition
from harness.conditions.of_vm import MANY_VCPUS, OF_THE_VM
from harness.host.features import reason
from harness.kvm import arch
from harness.kvm.abi import KvmError, LackingError
from harness.kvm.guest import Guest, create
from harness.kvm.running import Running, warm_up
from harness.kvm.system import System
from harness.kvm.vm import Vm
from harness.require import require_eintr, require_left, require_runs_on
from suites.dimensions import pin_other_vcpus
from suites.preset.everywhere import (
    RUNS,
    VALUE,
    each,
    require_held,
    require_immediate_runs,
    require_obeyed,
    require_obeyed_by_new,
)

pytestmark = pytest.mark.usefixtures("capability")

RING_BYTES = 1 << 16
BITS = 64  # of a word


# ---- what is decided before the vCPU is made: a function of the VM gives the vCPU's number


def number_one(vm: Vm) -> int:
    """the VM's only vCPU has the number 1"""
    return 1


def number_beyond_a_word(vm: Vm) -> int:
    """the vCPU's number does not fit into the bits of a word"""
    return min(BITS, _highest(vm))


def number_beyond_a_byte(vm: Vm) -> int:
    """the vCPU's number does not fit into a byte"""
    return min(256, _highest(vm))


def highest_number(vm: Vm) -> int:
    """the vCPU has the highest number that KVM allows"""
    return _highest(vm)


def last_of_two(vm: Vm) -> int:
    """the vCPU is the VM's second"""
    vm.create_vcpu(0)
    return 1


def last_of_many(vm: Vm) -> int:
    """the vCPU is the last of many"""
    count = min(MANY_VCPUS, vm.check_extension("KVM_CAP_MAX_VCPUS"))
    for number in range(count - 1):
        vm.create_vcpu(number)
    return count - 1


def last_of_more_than_a_word(vm: Vm) -> int:
    """the vCPU is the last of more than a word has bits"""
    count = min(BITS + 1, vm.check_extension("KVM_CAP_MAX_VCPUS"))
    for number in range(count - 1):
        vm.create_vcpu(number)
    return count - 1


def first_after_others(vm: Vm) -> int:
    """the vCPU has the number 0 and was made last"""
    for number in (2, 1):
        vm.create_vcpu(number)
    return 0


def dirty_ring(vm: Vm) -> int:
    """the vCPU has a dirty ring"""
    if not vm.offers_dirty_ring():
        raise LackingError("KVM_CAP_DIRTY_LOG_RING", errno.EOPNOTSUPP)
    value = vm.enable_dirty_ring_raw(RING_BYTES)
    if value:
        raise KvmError("KVM_ENABLE_CAP of a dirty ring", -value)
    return 0


def manual_dirty_log(vm: Vm) -> int:
    """the dirty log is cleared by hand"""
    answer = vm.check_extension("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2")
    if not answer:
        raise LackingError("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", errno.EOPNOTSUPP)
    vm.enable_cap("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", answer)
    return 0


BEFORE_THE_VCPU = (
    *(number_one, number_beyond_a_word, number_beyond_a_byte, highest_number, last_of_two),
    *(last_of_many, last_of_more_than_a_word, first_after_others, dirty_ring, manual_dirty_log),
)


# ---- the tests


@pytest.mark.claim("preset.everywhere")
@each(OF_THE_VM)
def test_whatever_the_vm_has(ready: Guest, condition: Condition) -> None:
    """api.rst, immediate_exit: "if non-zero, KVM_RUN exits immediately" knows no exception."""
    require_obeyed(ready, condition)


@pytest.mark.claim("preset.everywhere")
@each(OF_THE_CALLER)
def test_whatever_the_caller_is(ready: Guest, condition: Condition) -> None:
    """The same, whatever thread calls KVM_RUN."""
    caller.on_a_fresh_thread(lambda: require_immediate_runs(ready, condition))
    require_runs_on(
        ready, f"With the byte cleared, after immediate runs under {condition.__name__}"
    )


@pytest.mark.claim("preset.everywhere")
@each(BEFORE_THE_VCPU)
def test_however_the_vcpu_was_made(vm: Vm, guest_mode: str, condition: Callable[[Vm], int]) -> None:
    """The same, whatever the vCPU's number and its VM."""
    require_obeyed_by_new(vm, guest_mode, condition)


@pytest.mark.claim("preset.everywhere")
def test_maker_gone(kvm: System, guest_mode: str) -> None:
    """The thread that made VM and vCPU, and ran the guest first, has ended."""
    with ExitStack() as at_the_end:
        made: list[Guest] = []

        def make() -> None:
            made.append(at_the_end.enter_context(create(kvm)))
            made[0].load("heartbeat", guest_mode)
            warm_up(made[0])

        caller.on_a_fresh_thread(make, "maker")
        require_held(made[0], "While the thread that made the vCPU is gone")
        require_runs_on(made[0], "With the byte cleared, the thread that made the vCPU being gone,")


@pytest.mark.claim("preset.everywhere")
@pin_other_vcpus(1)
def test_while_another_vcpu_runs(ready: Guest) -> None:
    """Another vCPU of the VM is in the guest meanwhile."""
    (other,) = ready.others
    before = ready.architecture.registers(other)
    with Running(ready) as running:
        running.wait_for_progress()
        other.immediate_exit = VALUE
        result = other.run_many_raw(max(RUNS))
        said = "While another vCPU of the VM runs"
        require_eintr(result, said)
        running.wait_for_progress()
        ready.stop()
        require_left(running.outcome(), "On the vCPU whose byte is 0")
    assert ready.architecture.registers(other) == before, (
        f"{said}, a vCPU with its byte set must execute nothing, but its registers changed"
    )


def _highest(vm: Vm) -> int:
    most = next(filter(None, map(vm.check_extension, arch.current().VCPU_NUMBERS)), 0)
    if most < 2:
        pytest.skip(reason("no_second_vcpu"))
    return most - 1
