# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: state that a monitor saves, restores and compares as a whole."""

from __future__ import annotations

from typing import Any

from harness.kvm import abi
from harness.kvm.arch.x86_64 import get_cpuid, set_cpuid, set_events
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

TSC = 0x10
TSC_DEADLINE = 0x6E0
IRR, ISR = 0x200, 0x100  # places in the local APIC's page: vectors that wait, and in service
_CPUID_1_ECX_TSC_DEADLINE = 1 << 24


# ---- the local APIC and its timer


def get_lapic(vcpu: Vcpu) -> Any:
    """KVM_GET_LAPIC: a fresh `struct kvm_lapic_state *`. Raises `KvmError`."""
    state = ffi.new("struct kvm_lapic_state *")
    vcpu.ioctl("KVM_GET_LAPIC", state)
    return state


def set_lapic(vcpu: Vcpu, state: Any) -> None:
    """KVM_SET_LAPIC. Raises `KvmError`."""
    vcpu.ioctl("KVM_SET_LAPIC", state)


def vectors(lapic: Any, place: int) -> list[int]:
    """The vectors that are set at IRR or ISR of what `get_lapic` gave."""
    page = bytes(ffi.buffer(lapic))
    # 32 vectors a register, the registers 16 bytes apart.
    words = (int.from_bytes(page[place + 16 * n : place + 16 * n + 4], "little") for n in range(8))
    bits = sum(word << 32 * n for n, word in enumerate(words))
    return [vector for vector in range(256) if bits >> vector & 1]


def offer_tsc_deadline(vcpu: Vcpu) -> None:
    """Sets CPUID.1:ECX[24], which KVM leaves to userspace. Raises `KvmError`.

    KVM_GET_SUPPORTED_CPUID may lack it (api.rst 4.46): the capability says whether it works.
    """
    cpuid = get_cpuid(vcpu)
    for index in range(cpuid.nent):
        if cpuid.entries[index].function == 1:
            cpuid.entries[index].ecx |= _CPUID_1_ECX_TSC_DEADLINE
    set_cpuid(vcpu, cpuid)


def tsc_khz(vcpu: Vcpu) -> int:
    """KVM_GET_TSC_KHZ: the rate of the guest's TSC in kHz. Raises `KvmError`."""
    return vcpu.ioctl("KVM_GET_TSC_KHZ")


# ---- events


def enable_exception_payload(vm: Vm) -> bool:
    """KVM_CAP_EXCEPTION_PAYLOAD (Linux 4.20); False where this KVM has it not."""
    if not vm.check_extension("KVM_CAP_EXCEPTION_PAYLOAD"):
        return False
    vm.enable_cap("KVM_CAP_EXCEPTION_PAYLOAD", 1)
    return True


def set_pending_exception(vcpu: Vcpu, events: Any, vector: int) -> None:
    """KVM_SET_VCPU_EVENTS with exception.pending, no payload. Needs the capability enabled."""
    events.exception.pending, events.exception.nr = 1, vector
    events.flags |= lib.KVM_VCPUEVENT_VALID_PAYLOAD
    set_events(vcpu, events)


def enable_triple_fault_event(vm: Vm) -> bool:
    """KVM_CAP_X86_TRIPLE_FAULT_EVENT (Linux 6.0); False where this KVM has it not."""
    if not vm.check_extension("KVM_CAP_X86_TRIPLE_FAULT_EVENT"):
        return False
    vm.enable_cap("KVM_CAP_X86_TRIPLE_FAULT_EVENT", 1)
    return True


# ---- sets of registers in kvm_run (KVM_CAP_SYNC_REGS)


def sync_bit(kind: str) -> int:
    """The bit of "regs", "sregs" or "events" in kvm_valid_regs and kvm_dirty_regs."""
    return abi.constant(f"KVM_SYNC_X86_{kind.upper()}")


def fields(struct: Any, prefix: str = "") -> dict[str, int]:
    """Every number in a struct by its path (`cs.base`), without the padding between them."""
    kind = ffi.typeof(struct)
    if kind.kind == "pointer":
        return fields(struct[0], prefix)
    if kind.kind == "array":
        parts = [(str(index), struct[index]) for index in range(len(struct))]
    else:
        parts = [(name, getattr(struct, name)) for name, _ in kind.fields]
    found: dict[str, int] = {}
    for name, value in parts:
        if isinstance(value, int):
            found[f"{prefix}{name}"] = value
        else:
            found.update(fields(value, f"{prefix}{name}."))
    return found


def fill(struct: Any, byte: int) -> None:
    """Writes one byte's value all over a struct, padding included."""
    view = ffi.buffer(_pointer(struct))
    view[:] = bytes([byte]) * len(view)


def copy(target: Any, source: Any) -> None:
    """Copies a struct over another of its type."""
    ffi.buffer(_pointer(target))[:] = ffi.buffer(_pointer(source))[:]


def _pointer(struct: Any) -> Any:
    return struct if ffi.typeof(struct).kind == "pointer" else ffi.addressof(struct)
