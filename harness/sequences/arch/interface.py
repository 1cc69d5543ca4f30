# SPDX-License-Identifier: GPL-2.0-only
"""What neutral code asks of an architecture, for sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from harness.conditions.condition import Condition
from harness.kvm.exits import InternalError, VcpuExit
from harness.kvm.guest import Guest
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.model.program import Step
from harness.model.steps import ScriptProgram


class ScriptedArchitecture(Protocol):
    """The names that a package of `harness.sequences.arch` offers.

    Its module `operations` has what userspace can do there only.
    """

    __name__: str
    PROGRAM: ScriptProgram
    FEATURES: tuple[str, ...]
    """What a VM may have, or not."""

    CONDITIONS: Mapping[str, Condition]
    """What may be so for some runs, by name, and is then taken back."""

    ABSENT: Sequence[str]
    """Operations of every architecture that are not possible here."""

    REDELIVERS: bool
    """Whether a processor that QEMU emulates may say of an event that was delivered that it was
    not, so that KVM injects it anew."""

    MAY_LACK: Sequence[str]
    """Steps that some KVM cannot do; each is tried."""

    def put_back(self, vcpu: Vcpu) -> AbstractContextManager[None]:
        """At its end the vCPU's state is put back, but for what keeps time."""

    def features(self, system: System) -> Sequence[str]:
        """Those of FEATURES that this KVM has."""

    def new_guest(self, system: System, irqchip: str, features: tuple[str, ...]) -> Guest:
        """A guest with the program `script` at its entry. Raises `KvmError`."""

    def first_places(self, guest: Guest) -> Mapping[str, int]:
        """What the program's places hold in a guest that never ran, where it is not 0."""

    def trying(self, step: str) -> Sequence[Step]:
        """The script by which it is tried."""

    def left_out(self, step: str, error: InternalError) -> Sequence[str]:
        """Steps, operations and "refuse" that are left out where KVM answers a step so.

        "refuse": to refuse an exit, which gives the guest an exception.
        """

    def may_change(self, step: Step, *, raises: bool) -> Sequence[str]:
        """Names of `Guest.whole()` that the end of an exchange of the step may change.

        Besides an architecture's COMPLETION_REGISTERS; `raises`: it brings an exception.
        """

    def exception_waits(self, guest: Guest) -> bool:
        """Whether KVM has one for the guest: a kick may have come behind the instruction's exit."""

    def counted(self, guest: Guest) -> Mapping[str, int]:
        """How many events of each kind the program has taken."""

    def injected(self, guest: Guest) -> Mapping[str, int | None]:
        """How many of each kind KVM says that it has injected; None where it does not say."""

    def serve(self, vcpu: Vcpu, found: VcpuExit, given: bytes | None, refuse: bool) -> bytes:
        """Answers an exit that reads with these bytes, as many as it asks for; what passed.

        Nothing passes where an exit that can be refused is.
        """

    def move(self, source: Guest, target: Guest) -> None:
        """All that a monitor saves and restores of a vCPU. Raises `KvmError`."""

    def run_told(
        self, vcpu: Vcpu, vm: Vm
    ) -> AbstractContextManager[Callable[[], Sequence[tuple[str, str]]]]:
        """Around a KVM_RUN: if it gives EINTR, what of kvm_run is not so: claims and clauses."""

    def looked(
        self, guest: Guest
    ) -> AbstractContextManager[Callable[[], Sequence[tuple[str, str]]]]:
        """Around a KVM_RUN: if it gives EINTR, which claims it has broken besides, and how."""

    def clocked(
        self, guest: Guest
    ) -> AbstractContextManager[Callable[[], Sequence[tuple[str, str]]]]:
        """The same of the guest's clocks."""
