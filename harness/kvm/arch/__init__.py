# SPDX-License-Identifier: GPL-2.0-only
"""What differs between architectures, behind one interface.

A new architecture is a module beside x86_64.py that offers the names of `Architecture`, a line in
`_MODULES`, a `.cdef` in harness/native and its programs in guest_blobs.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Mapping
from typing import Any, Protocol, cast

from guest_blobs import Blob
from harness.kvm import exits
from harness.kvm.abi import LackingError
from harness.kvm.memory import Memory
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

_MODULES = {"x86_64": "harness.kvm.arch.x86_64"}


class Architecture(Protocol):
    """What the neutral suites ask of an architecture."""

    NAME: str
    MODES: tuple[str, ...]
    """The modes, privileges or exception levels that a guest may start in."""
    IRQCHIPS: tuple[str, ...]
    """Who may keep the interrupt controller, from nobody in the kernel to all of it."""
    COMPLETION_REGISTERS: tuple[str, ...]
    """What the end of one read, write or call of the I/O programs may change, of `registers()`:
    the destination, the program counter, and flags that no program looks at."""

    def prepare_vm(self, vm: Vm) -> None:
        """What a VM needs before its first vCPU. Raises `KvmError`."""

    def configure(self, vcpu: Vcpu) -> None:
        """What a vCPU needs before it may run or be woken (x86: CPUID). Raises `KvmError`."""

    def enter(self, vcpu: Vcpu, vm: Vm, ram: Memory, blob: Blob) -> None:
        """Puts the vCPU at the blob's entry, in the blob's mode.

        Raises `KvmError`, and of these `NoGuestModeError` where this KVM may lack the mode.
        """

    def registers(self, vcpu: Vcpu) -> Mapping[str, int]:
        """Every register that a guest instruction could change, by name."""

    def program_counter(self, vcpu: Vcpu) -> int:
        """Address of the next instruction, relative to the base of the code segment."""

    def accumulator(self, vcpu: Vcpu) -> int:
        """The register into which the I/O programs read."""

    def set_accumulator(self, vcpu: Vcpu, value: int) -> None:
        """Sets it."""

    def copy_state(self, source: Vcpu, target: Vcpu) -> None:
        """What a monitor saves and restores of a vCPU, as far as the I/O programs use it."""

    def crossing_datum(self, mode: str) -> tuple[int, int]:
        """Address and bytes of what the program `mmio_cross` loads and stores."""

    def set_scratch(self, vcpu: Vcpu, value: int) -> None:
        """Sets a register that no program of guest_blobs uses."""

    def scratch(self, vcpu: Vcpu) -> int:
        """Reads what `set_scratch()` set."""

    def halted(self, vcpu: Vcpu) -> bool | None:
        """Whether KVM says that the vCPU is halted; None where it never says so (arm64)."""

    def standstill(self, vcpu: Vcpu) -> str:
        """What could keep the vCPU from going on, one clause. Only while it does not run."""

    def left(self, found: exits.Exit | None) -> bool:
        """Whether this exit is a program's last: what it does once it saw the stop word."""

    def deliver_interrupt(self, vm: Vm, vcpu: Vcpu) -> None:
        """Makes the interrupt that the programs count pending, in any irqchip. `KvmError`."""

    def hypercall_program(self) -> Mapping[int, int]:
        """Data words for the program `hypercall`: a call that exits to userspace."""

    def enable_hypercall_exits(self, vm: Vm) -> bool:
        """Asks for exits of that hypercall; False where this KVM cannot."""

    def nested_program(self) -> str:
        """The program that runs a guest of its own. Raises `NoNestedGuestError` where none can.

        Phase 2 is in that guest; data[1] counts its exits to the program, data[2] and data[3] are
        the halves of the last one's code.
        """


class NoGuestModeError(LackingError):
    """KVM refuses the registers of a mode, and it is not the richest, which every KVM runs."""


class NoNestedGuestError(Exception):
    """A guest cannot have a guest of its own here; the clause says why."""


class UnsupportedArchitectureError(Exception):
    """This machine's architecture has no module yet."""


def supported() -> tuple[str, ...]:
    """The architectures (`uname -m`) that have a module."""
    return tuple(_MODULES)


def current() -> Architecture:
    """The module of this machine. Raises `UnsupportedArchitectureError`."""
    machine = platform.machine()
    if machine not in _MODULES:
        raise UnsupportedArchitectureError(
            f"this machine is {machine}; the suite knows {', '.join(_MODULES)}"
        )
    module: Any = importlib.import_module(_MODULES[machine])
    return cast(Architecture, module)
