# SPDX-License-Identifier: GPL-2.0-only
"""Why KVM_RUN returned 0: a closed set of dataclasses, decoded from kvm_run.

The fields are those of api.rst, section 5 "The kvm_run structure". A reason that this project does
not know yet is an `Other` with its number: newer kernels add some with every release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.kvm.abi import constant
from harness.native import ffi, lib


@dataclass(frozen=True)
class Io:
    """KVM_EXIT_IO: `count` items of `size` bytes. `data` is empty for an IN, which waits for it."""

    port: int
    size: int
    count: int
    is_write: bool
    data: bytes


@dataclass(frozen=True)
class Mmio:
    """KVM_EXIT_MMIO. `data` is what the guest stores; empty for a load, which waits for it."""

    address: int
    length: int
    is_write: bool
    data: bytes


@dataclass(frozen=True)
class Hlt:
    """KVM_EXIT_HLT: the guest halted, and no interrupt controller in the kernel takes care."""


@dataclass(frozen=True)
class Hypercall:
    """KVM_EXIT_HYPERCALL."""

    number: int
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class Rdmsr:
    """KVM_EXIT_X86_RDMSR: waits for the value, or for an error."""

    index: int
    reason: int


@dataclass(frozen=True)
class Wrmsr:
    """KVM_EXIT_X86_WRMSR: waits for an acknowledgement, or for an error."""

    index: int
    reason: int
    data: int


@dataclass(frozen=True)
class SetTpr:
    """KVM_EXIT_SET_TPR: the guest lowered its task priority, which is in kvm_run.cr8."""


@dataclass(frozen=True)
class TprAccess:
    """KVM_EXIT_TPR_ACCESS: the guest read or wrote its task priority."""


@dataclass(frozen=True)
class XenHypercall:
    """KVM_EXIT_XEN with a hypercall (api.rst, KVM_XEN_HVM_CONFIG)."""

    number: int
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class HypervHypercall:
    """KVM_EXIT_HYPERV with a hypercall: `input` is the call's control word."""

    input: int
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class HypervSynic:
    """KVM_EXIT_HYPERV: the guest has written an MSR of its SynIC."""

    msr: int
    control: int
    event_page: int
    message_page: int


@dataclass(frozen=True)
class RiscvSbi:
    """KVM_EXIT_RISCV_SBI: the guest called the SBI, and waits for an error and a value."""

    extension: int
    function: int
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class RiscvCsr:
    """KVM_EXIT_RISCV_CSR: waits for what the CSR held before the guest's write."""

    number: int
    value: int
    mask: int


@dataclass(frozen=True)
class PaprHcall:
    """KVM_EXIT_PAPR_HCALL: a guest of Power's called its hypervisor, and waits for the result."""

    number: int
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class Debug:
    """KVM_EXIT_DEBUG: a step or a breakpoint; the architecture's part is read by its module."""


@dataclass(frozen=True)
class Intr:
    """KVM_EXIT_INTR: a signal; comes with -1 and EINTR, so only `reason_name()` meets it."""


@dataclass(frozen=True)
class IrqWindowOpen:
    """KVM_EXIT_IRQ_WINDOW_OPEN: the guest can take the interrupt that userspace holds."""


@dataclass(frozen=True)
class Shutdown:
    """KVM_EXIT_SHUTDOWN: on x86 a triple fault."""


@dataclass(frozen=True)
class FailEntry:
    """KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state."""

    hardware_reason: int


@dataclass(frozen=True)
class InternalError:
    """KVM_EXIT_INTERNAL_ERROR, with its suberror and data words."""

    suberror: int
    data: tuple[int, ...]


@dataclass(frozen=True)
class SystemEvent:
    """KVM_EXIT_SYSTEM_EVENT."""

    type: int


@dataclass(frozen=True)
class IoapicEoi:
    """KVM_EXIT_IOAPIC_EOI: the guest ended an interrupt of an I/O APIC that userspace keeps."""

    vector: int


@dataclass(frozen=True)
class DirtyRingFull:
    """KVM_EXIT_DIRTY_RING_FULL."""


@dataclass(frozen=True)
class Unknown:
    """KVM_EXIT_UNKNOWN."""

    hardware_reason: int


@dataclass(frozen=True)
class Other:
    """Any other number."""

    reason: int


VcpuExit = (
    Io
    | Mmio
    | Hlt
    | Hypercall
    | Rdmsr
    | Wrmsr
    | SetTpr
    | TprAccess
    | XenHypercall
    | HypervHypercall
    | HypervSynic
    | RiscvSbi
    | RiscvCsr
    | PaprHcall
    | Debug
    | Intr
    | IrqWindowOpen
    | Shutdown
    | FailEntry
    | InternalError
    | SystemEvent
    | IoapicEoi
    | DirtyRingFull
    | Unknown
    | Other
)

_SUBTYPES = ("KVM_EXIT_IO_", "KVM_EXIT_HYPERV_")  # values of a field of these exits
_NAMES = {
    constant(name): name
    for name in dir(lib)
    if name.startswith("KVM_EXIT_") and not name.startswith(_SUBTYPES)
}


def reason_name(reason: int) -> str:
    """KVM_EXIT_HLT for 5, and so on; "exit reason 99" for a number that is not known."""
    return _NAMES.get(reason, f"exit reason {reason}")


def reason_of(kind: type) -> int:
    """The number of the exit that a class stands for. Raises KeyError for one of many reasons."""
    wanted = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).upper()
    return {
        name.removeprefix("KVM_EXIT_").removeprefix("X86_"): number
        for number, name in _NAMES.items()
    }[wanted]


def _io(run: Any) -> Io:
    is_write = run.io.direction == lib.KVM_EXIT_IO_OUT
    length = run.io.size * run.io.count
    start = ffi.cast("uint8_t *", run) + run.io.data_offset
    data = bytes(ffi.buffer(start, length)) if is_write else b""
    return Io(run.io.port, run.io.size, run.io.count, is_write, data)


def _mmio(run: Any) -> Mmio:
    is_write = bool(run.mmio.is_write)
    data = bytes(ffi.buffer(run.mmio.data, min(run.mmio.len, 8))) if is_write else b""
    return Mmio(run.mmio.phys_addr, run.mmio.len, is_write, data)


def _internal(run: Any) -> InternalError:
    count = min(run.internal.ndata, 16)
    return InternalError(run.internal.suberror, tuple(run.internal.data[0:count]))


def _xen(run: Any) -> VcpuExit:
    """There is no other type than a hypercall."""
    call = lib.ke_xen(run).u.hcall
    return XenHypercall(call.input, tuple(call.params))


def _hyperv(run: Any) -> VcpuExit:
    found = lib.ke_hyperv(run)
    if found.type == lib.KVM_EXIT_HYPERV_HCALL:
        return HypervHypercall(found.u.hcall.input, tuple(found.u.hcall.params))
    if found.type == lib.KVM_EXIT_HYPERV_SYNIC:
        synic = found.u.synic
        return HypervSynic(synic.msr, synic.control, synic.evt_page, synic.msg_page)
    return Other(run.exit_reason)


def _riscv_sbi(run: Any) -> RiscvSbi:
    call = lib.ke_riscv_sbi(run)
    return RiscvSbi(call.extension_id, call.function_id, tuple(call.args))


def _riscv_csr(run: Any) -> RiscvCsr:
    access = lib.ke_riscv_csr(run)
    return RiscvCsr(access.csr_num, access.new_value, access.write_mask)


_DECODERS: Mapping[int, Callable[[Any], VcpuExit]] = {
    constant("KVM_EXIT_IO"): _io,
    constant("KVM_EXIT_MMIO"): _mmio,
    constant("KVM_EXIT_HLT"): lambda run: Hlt(),
    constant("KVM_EXIT_HYPERCALL"): lambda run: Hypercall(
        run.hypercall.nr, tuple(run.hypercall.args)
    ),
    constant("KVM_EXIT_X86_RDMSR"): lambda run: Rdmsr(run.msr.index, run.msr.reason),
    constant("KVM_EXIT_X86_WRMSR"): lambda run: Wrmsr(run.msr.index, run.msr.reason, run.msr.data),
    constant("KVM_EXIT_SET_TPR"): lambda run: SetTpr(),
    constant("KVM_EXIT_TPR_ACCESS"): lambda run: TprAccess(),
    constant("KVM_EXIT_XEN"): _xen,
    constant("KVM_EXIT_HYPERV"): _hyperv,
    constant("KVM_EXIT_RISCV_SBI"): _riscv_sbi,
    constant("KVM_EXIT_RISCV_CSR"): _riscv_csr,
    constant("KVM_EXIT_PAPR_HCALL"): lambda run: PaprHcall(
        run.papr_hcall.nr, tuple(run.papr_hcall.args)
    ),
    constant("KVM_EXIT_DEBUG"): lambda run: Debug(),
    constant("KVM_EXIT_INTR"): lambda run: Intr(),
    constant("KVM_EXIT_IRQ_WINDOW_OPEN"): lambda run: IrqWindowOpen(),
    constant("KVM_EXIT_SHUTDOWN"): lambda run: Shutdown(),
    constant("KVM_EXIT_FAIL_ENTRY"): lambda run: FailEntry(
        run.fail_entry.hardware_entry_failure_reason
    ),
    constant("KVM_EXIT_INTERNAL_ERROR"): _internal,
    constant("KVM_EXIT_SYSTEM_EVENT"): lambda run: SystemEvent(run.system_event.type),
    constant("KVM_EXIT_IOAPIC_EOI"): lambda run: IoapicEoi(run.eoi.vector),
    constant("KVM_EXIT_DIRTY_RING_FULL"): lambda run: DirtyRingFull(),
    constant("KVM_EXIT_UNKNOWN"): lambda run: Unknown(run.hw.hardware_exit_reason),
}


def decode(run: Any) -> VcpuExit:
    """The exit that a `struct kvm_run *` describes. Meaningful after KVM_RUN returned 0 only."""
    reason = int(run.exit_reason)
    decoder = _DECODERS.get(reason)
    return decoder(run) if decoder else Other(reason)
