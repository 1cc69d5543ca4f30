# SPDX-License-Identifier: GPL-2.0-only
"""A guest ready to run: a VM with memory, one vCPU, and a program of guest_blobs in it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import guest_blobs
from guest_blobs import memory_map as at
from harness.closing import Closing
from harness.kvm import call_log, offers
from harness.kvm.arch import Architecture, NoGuestModeError, NoIrqchipError, current
from harness.kvm.memory import Memory
from harness.kvm.run import RunResult
from harness.kvm.stats import Stats
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.kvm.whole import WholeState

RAM_SLOT = 0


@dataclass(frozen=True)
class Witness:
    """Everything that would differ had the guest run: taken before and after, then compared.

    `heartbeat` is the guest's counter, `registers` every register by name, `exits` and
    `signal_exits` KVM's own statistics (None where the kernel has none).
    """

    heartbeat: int
    registers: Mapping[str, int]
    memory: bytes
    exits: int | None
    signal_exits: int | None

    def before_completion(self, architecture: Architecture, also: Collection[str] = ()) -> Witness:
        """The same; what the end of an operation may change, and `also`, does not count."""
        return replace(
            self,
            registers={
                name: value & ~architecture.COMPLETION_BITS.get(name, 0)
                for name, value in self.registers.items()
                if name not in architecture.COMPLETION_REGISTERS and name not in also
            },
        )

    def changed(self, later: Witness) -> tuple[str, ...]:
        """What differs between two witnesses, by the names of `whole()`."""
        registers = [f"regs {each}" for each in self.registers]
        pairs = zip(registers, self.registers.values(), later.registers.values(), strict=True)
        found = [name for name, before, after in pairs if before != after]
        return (*(["heartbeat"] if later.heartbeat != self.heartbeat else []), *found)

    def differences(self, later: Witness) -> list[str]:
        """What the guest did between two witnesses, one clause a difference; empty: nothing."""
        found = []
        if later.heartbeat != self.heartbeat:
            found.append(f"the guest's counter went from {self.heartbeat} to {later.heartbeat}")
        for name, value in self.registers.items():
            if later.registers[name] != value:
                found.append(f"{name} went from {value:#x} to {later.registers[name]:#x}")
        if later.memory != self.memory and not found:
            found.append("the guest's mailbox page changed")
        for name in ("exits", "signal_exits"):
            before, after = getattr(self, name), getattr(later, name)
            if before != after:
                found.append(f"KVM's statistic {name} went from {before} to {after}")
        return found


class Guest(Closing):
    """A VM, its RAM (slot 0), a vCPU with this number, and what was loaded into it.

    `others` are so many vCPUs more, configured, with the next numbers: there may be architectures
    where none can come once the interrupt controller is complete.
    """

    def __init__(
        self, vm: Vm, architecture: Architecture, number: int = 0, *, others: int = 0
    ) -> None:
        self.vm = vm
        self.architecture = architecture
        self.ram: Memory = vm.add_memory(RAM_SLOT, self.address(0), at.RAM_SIZE)
        self.vcpu: Vcpu = vm.create_vcpu(number)
        self.others = [vm.create_vcpu(number + 1 + each) for each in range(others)]
        architecture.complete_vm(vm)
        for other in self.others:
            architecture.configure(other)
        self.vcpu.bounds.heartbeat = self.ram.low_half(at.HEARTBEAT)
        self.vcpu.bounds.stop = self.ram.low_half(at.STOP)
        self.mode = ""
        self._stats: Stats | None = vm.stats_of(self.vcpu)
        self._others: list[SecondProcessor] = []

    def load(self, program: str, mode: str, data: Mapping[int, int] | None = None) -> None:
        """Places a program and puts the vCPU at its entry. `data` are mailbox words by number.

        Raises `BlobError` for a program that is damaged, and `KvmError`.
        """
        blob = guest_blobs.load(program, self.architecture.NAME, mode)
        self.ram.write(blob.load_address, blob.code)
        for index, value in (data or {}).items():
            self.set_data(index, value)
        self.mode = mode
        self.architecture.configure(self.vcpu)
        try:
            self.architecture.enter(self.vcpu, self.vm, self.ram, blob)
        except NoGuestModeError:
            offers.note(f"{mode} mode", 0)
            raise
        offers.note(f"{mode} mode", 1)

    def address(self, offset: int) -> int:
        """The guest address of what lies at an offset of `guest_blobs.memory_map`."""
        return self.architecture.RAM_BASE + offset

    def place(self, program: str, mode: str) -> None:
        """Places a program that something else than this vCPU enters (a second processor)."""
        blob = guest_blobs.load(program, self.architecture.NAME, mode)
        self.ram.write(blob.load_address, blob.code)

    @property
    def heartbeat(self) -> int:
        """Turns of the program's loop."""
        return self.ram.read32(at.HEARTBEAT)

    @property
    def phase(self) -> int:
        """Where the program says it is."""
        return self.ram.read32(at.PHASE)

    @property
    def ticks(self) -> int:
        """Interrupts that the program took."""
        return self.ram.read32(at.TICKS)

    def data(self, index: int) -> int:
        """A mailbox word, 32 bits: data[index] of the program's source."""
        return self.ram.read32(at.data_word(index))

    def set_data(self, index: int, value: int) -> None:
        """Sets a mailbox word."""
        self.ram.write64(at.data_word(index), value)

    def stop(self) -> None:
        """Sets the stop word: the program leaves at its next turn."""
        self.ram.write32(at.STOP, 1)

    def copy_to(self, other: Guest) -> None:
        """Memory and registers, as a monitor moves a guest: `other` goes on where this one is."""
        other.ram.write(0, self.ram.read(0, self.ram.size))
        other.mode = self.mode
        self.architecture.configure(other.vcpu)
        self.architecture.copy_state(self.vcpu, other.vcpu)

    def clear_stop(self) -> None:
        """Clears the stop word: a program that has left begins anew when it is run on."""
        self.ram.write32(at.STOP, 0)

    def witness(self) -> Witness:
        """What the guest has done so far. Only while no KVM_RUN is under way."""
        seen = Witness(
            heartbeat=self.heartbeat,
            registers=self.architecture.registers(self.vcpu),
            memory=self.ram.read(at.MAILBOX, at.MAILBOX_SIZE),
            exits=self._stats.read("exits") if self._stats else None,
            signal_exits=self._stats.read("signal_exits") if self._stats else None,
        )
        self._tell_look(seen)
        return seen

    def fill(self) -> None:
        """Values in what of `whole()` would else be zero (`Architecture.fill`). `KvmError`."""
        self.architecture.fill(self.vcpu, self.vm)

    def whole(self) -> WholeState:
        """All that KVM lets userspace read, and all memory. Only while no KVM_RUN is under way."""
        values = dict(self.architecture.whole(self.vcpu, self.vm))
        for name in self.architecture.COUNTS_TIME:
            values.pop(name, None)
        seen = WholeState(values, self.ram.read(0, self.ram.size))
        self._tell_look(seen)
        return seen

    def _tell_look(self, seen: object) -> None:
        if call_log.current:
            call_log.current.looked(self.vcpu.fd, seen)

    def statistic(self, name: str) -> int | None:
        """One of KVM's statistics of the vCPU; None where this kernel has it not.

        Also by the names that architectures call differently (`Architecture.STATISTICS`).
        """
        name = self.architecture.STATISTICS.get(name, name)
        return self._stats.read(name) if self._stats else None

    def progress(self) -> str:
        """What the program counted, for a bug report."""
        return f"guest in phase {self.phase}, heartbeat {self.heartbeat}, ticks {self.ticks}"

    def run_immediate(self, value: int = 1) -> RunResult:
        """KVM_RUN with the byte preset, and cleared afterwards. Guest progress ends it."""
        self.vcpu.immediate_exit = value
        try:
            return self.vcpu.run_raw(progress_forbidden=True)
        finally:
            self.vcpu.immediate_exit = 0

    def add_processor(self) -> SecondProcessor:
        """Another vCPU, which this guest's program starts; closed with the guest. `KvmError`."""
        self._others.append(SecondProcessor(self, len(self._others) + 1))
        return self._others[-1]

    def close(self) -> None:
        """Closes everything; a second call does nothing."""
        for other in self._others:
            other.close()
        if self._stats is not None:
            self._stats.close()
        self.vm.close()


class SecondProcessor:
    """Another vCPU of a guest, which executes second_processor_ap once it is started.

    It shares the guest's stop word and has a heartbeat of its own, data[0]. Raises `KvmError`.
    """

    def __init__(self, guest: Guest, number: int) -> None:
        self.number = number
        self.vcpu: Vcpu = guest.vm.create_vcpu(number)
        guest.architecture.configure(self.vcpu)
        self.vcpu.bounds.heartbeat = guest.ram.low_half(at.data_word(0))
        self.vcpu.bounds.stop = guest.ram.low_half(at.STOP)
        self._guest = guest
        self._stats: Stats | None = guest.vm.stats_of(self.vcpu)

    @property
    def heartbeat(self) -> int:
        """Turns of the loop of second_processor_ap."""
        return self._guest.data(0)

    def stop(self) -> None:
        """Sets the stop word, for every processor of the guest."""
        self._guest.stop()

    def statistic(self, name: str) -> int | None:
        """One of KVM's statistics of this vCPU; None where this kernel has it not."""
        return self._stats.read(name) if self._stats else None

    def progress(self) -> str:
        """What the program counted, for a bug report."""
        return f"processor {self.number} at heartbeat {self.heartbeat}"

    def close(self) -> None:
        """Closes its statistics; the VM closes the vCPU."""
        if self._stats is not None:
            self._stats.close()


def create(
    system: System,
    irqchip: str = "none",
    machine_type: int = 0,
    *,
    first: Callable[[Vm], object] = lambda vm: None,
) -> Guest:
    """A guest without a program. Raises `KvmError`; `NoIrqchipError` without such an irqchip.

    `irqchip` is one of the architecture's IRQCHIPS; or of those with which a halted vCPU waits in
    the kernel "least", the one that keeps least there, or "usual", the one that stands for all.
    `machine_type` is KVM_CREATE_VM's. `first` is done before there is a vCPU.
    """
    architecture = current()
    irqchip = _named_irqchip(architecture, irqchip)
    vm = system.create_vm(machine_type)
    try:
        architecture.prepare_vm(vm, irqchip)
        first(vm)
        return Guest(vm, architecture)
    except BaseException:
        vm.close()
        raise


def _named_irqchip(architecture: Architecture, word: str) -> str:
    if word not in ("least", "usual"):
        return word
    if not architecture.HALTS_IN_KERNEL:
        raise NoIrqchipError(f"the in-kernel irqchip of {architecture.NAME}", errno.ENODEV)
    if word == "usual":
        return architecture.HALTS_IN_KERNEL[-1]
    return min(architecture.HALTS_IN_KERNEL, key=architecture.IRQCHIPS.index)
