# SPDX-License-Identifier: GPL-2.0-only
"""What architectures have in common whose programs speak by MMIO, and which KVM does not interpret.

Names of `harness.sequences.arch.interface`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.conditions import of_vm
from harness.conditions.condition import Condition
from harness.kvm.answers import answer_mmio
from harness.kvm.exits import InternalError, Mmio, VcpuExit
from harness.kvm.guest import Guest
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.model.program import Step

#: No vCPU that comes behind the first has a place in an interrupt controller that is complete.
ABSENT: Sequence[str] = ("add_processor",)
CONDITIONS: Mapping[str, Condition] = {
    each.__name__: each for each in of_vm.OF_THE_VM if each not in of_vm.NOT_TAKEN_BACK
}
REDELIVERS = False
#: A VM has nothing that it may have or not.
FEATURES: tuple[str, ...] = ()
#: KVM interprets no instruction but those that access a device.
MAY_LACK: Sequence[str] = ()


def features(system: System) -> Sequence[str]:
    """None."""
    return FEATURES


def trying(step: str) -> Sequence[Step]:
    """None of MAY_LACK is tried."""
    return (Step("end"),)


def left_out(step: str, error: InternalError) -> Sequence[str]:
    """The step."""
    return (step,)


def first_places(guest: Guest) -> Mapping[str, int]:
    """All are 0."""
    return {}


def may_change(step: Step, *, raises: bool) -> Sequence[str]:
    """Nothing."""
    return ()


def exception_waits(guest: Guest) -> bool:
    """No step gives the guest an exception that KVM has to tell of."""
    return False


def counted(guest: Guest) -> Mapping[str, int]:
    """Interrupts."""
    return {"interrupts": guest.ticks}


def injected(guest: Guest) -> Mapping[str, int | None]:
    """KVM does not count them."""
    return {"interrupts": None}


def serve_mmio(vcpu: Vcpu, found: VcpuExit, given: bytes | None) -> bytes | None:
    """What passed, or None for any other exit."""
    if not isinstance(found, Mmio):
        return None
    if given is None:
        return found.data
    answer_mmio(vcpu, found, given[: found.length])
    return given[: found.length]
