# SPDX-License-Identifier: GPL-2.0-only
"""What neutral code asks of an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from guest_blobs import Blob
from harness.kvm.abi import LackingError
from harness.kvm.exits import VcpuExit
from harness.kvm.memory import Memory
from harness.kvm.speech import Channel, Said, Speech
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm


class Architecture(Protocol):
    """The names that a package of `harness.kvm.arch` offers."""

    NAME: str
    RAM_BASE: int
    """The guest address where RAM lies: offsets of `guest_blobs.memory_map` count from it."""
    MODES: tuple[str, ...]
    """The modes, privileges or exception levels that a guest may start in."""
    IRQCHIPS: tuple[str, ...]
    """Who may keep the interrupt controller, from nobody in the kernel to all of it."""
    HALTS_IN_KERNEL: tuple[str, ...]
    """Those of them with which a halted vCPU waits in KVM_RUN, and does not leave it. The last
    stands for all: every host with this KVM has it."""
    VCPU_NUMBERS: tuple[str, ...]
    """Capabilities whose first answer is how many numbers a vCPU may have (api.rst 4.7)."""
    COMPLETION_REGISTERS: tuple[str, ...]
    """What the end of one read, write or call of the I/O programs may change, of `registers()`:
    the destination and the program counter."""
    COMPLETION_BITS: Mapping[str, int]
    """Bits of other registers that it may change."""
    STATISTICS: Mapping[str, str]
    """KVM's names for the statistics `interrupts` (injected) and `halts` (of the guest)."""
    SPEECH: Speech
    CHANNELS: tuple[Channel, ...]
    """Ways in which only its programs read and write; mmio, hypercall and mmio_cross are there on
    every one."""
    COMPLETED_BY_REASON: frozenset[str]
    """Exits whose number in kvm_run KVM takes for its own, whoever stored it there: it then ends an
    operation that may never have begun."""
    SINGLE_STEPS: bool
    """Whether KVM_GUESTDBG_SINGLESTEP steps a guest, where KVM has KVM_CAP_SET_GUEST_DEBUG."""
    FAST_PATHS: Mapping[str, str]
    """Programs that spin, with exits after which KVM enters the guest again at once: a soak's name
    for such a guest, and the program."""

    COUNTS_TIME: Mapping[str, str]
    """Names of `whole()` that change while the vCPU does not run, each with the reason."""
    COMPLETION_CHANGES: Mapping[str, str]
    """Names of `whole()`, or their first words, that the end of an operation may change besides
    COMPLETION_REGISTERS, each with the reason."""
    COUNTS_RUNS: Mapping[str, str]
    """Names of `whole()` that a run ended by the byte may change, each with the reason."""
    COUNTS_SIGNALS: Mapping[str, str]
    """The same for a run ended by a signal that was pending at entry, where no event waits."""

    # ---- life

    def prepare_vm(self, vm: Vm, irqchip: str = "none") -> None:
        """What a VM needs before its first vCPU, and of the interrupt controller what comes then.

        Raises `KvmError`, and of these `NoIrqchipError` where KVM says that it has no such
        controller.
        """

    def complete_vm(self, vm: Vm) -> None:
        """What a VM needs once its first vCPU is there (arm64: the controller). `KvmError`."""

    def configure(self, vcpu: Vcpu) -> None:
        """What a vCPU needs before it may run or be woken (x86: CPUID). Raises `KvmError`."""

    def enter(self, vcpu: Vcpu, vm: Vm, ram: Memory, blob: Blob) -> None:
        """Puts the vCPU at the blob's entry, in the blob's mode.

        Raises `KvmError`, and of these `NoGuestModeError` where this KVM may lack the mode.
        """

    def copy_state(self, source: Vcpu, target: Vcpu) -> None:
        """What a monitor saves and restores of a vCPU, as far as the I/O programs use it.

        `configure()` comes before it.
        """

    # ---- what a guest says

    def said(self, found: VcpuExit | None) -> Said | None:
        """The word that a program says by this exit; None when it is none."""

    def answer(self, vcpu: Vcpu, asked: VcpuExit, value: int) -> None:
        """Answers a read, in as many bytes as it wants. ValueError for any other exit."""

    # ---- registers

    def registers(self, vcpu: Vcpu) -> Mapping[str, int]:
        """Every register that a guest instruction could change, by name."""

    def whole(self, vcpu: Vcpu, vm: Vm) -> Mapping[str, int]:
        """Everything that KVM lets userspace read of the vCPU and its VM, as numbers by name.

        Slower than `registers()`: for the ends of a loop. Raises `KvmError`.
        """

    def fill(self, vcpu: Vcpu, vm: Vm) -> None:
        """Values in what of `whole()` would else be zero, so that a loss of it is seen.

        For a vCPU at its program's entry: up to its first interrupt a program does the same as
        without. Interrupts may be held off by it. Raises `KvmError`.
        """

    def program_counter(self, vcpu: Vcpu) -> int:
        """Address of the next instruction, relative to the base of the code segment."""

    def accumulator(self, vcpu: Vcpu) -> int:
        """The register into which the I/O programs read."""

    def set_accumulator(self, vcpu: Vcpu, value: int) -> None:
        """Sets it."""

    def scratch(self, vcpu: Vcpu) -> int:
        """Reads what `set_scratch()` set."""

    def set_scratch(self, vcpu: Vcpu, value: int) -> None:
        """Sets a register that no program of guest_blobs uses."""

    # ---- halts and interrupts

    def halted(self, vcpu: Vcpu) -> bool | None:
        """Whether KVM says that the vCPU is halted; None where it never says so (arm64)."""

    def standstill(self, vcpu: Vcpu) -> str:
        """What could keep the vCPU from going on, one clause. Only while it does not run."""

    def deliver_interrupt(self, vm: Vm, vcpu: Vcpu) -> None:
        """Makes the interrupt that the programs count pending, in any irqchip. `KvmError`."""

    # ---- what some programs need

    def crossing_datum(self, mode: str) -> tuple[int, int]:
        """Address and bytes of what the program `mmio_cross` loads and stores."""

    def hypercall_program(self) -> Mapping[int, int]:
        """Data words for the program `hypercall`: a call that exits to userspace."""

    def enable_hypercall_exits(self, vm: Vm) -> bool:
        """Asks for exits of that hypercall; False where this KVM cannot."""

    def nested_program(self) -> str:
        """The program that runs a guest of its own. Raises `NoNestedGuestError` where none can.

        Phase 2 is in that guest; data[1] counts its exits to the program, data[12] those that it
        makes for the stop word, data[2] and data[3] are the halves of the last one's code.
        """


class NoGuestModeError(LackingError):
    """KVM refuses the registers of a mode, and it is not the richest, which every KVM runs."""


class NoIrqchipError(LackingError):
    """This KVM says that it has no such interrupt controller."""


class NoNestedGuestError(Exception):
    """A guest cannot have a guest of its own here; the clause says why."""
