# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: how the guest speaks: by ports, and in one program by an MSR."""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.exits import Io, Rdmsr, VcpuExit, Wrmsr
from harness.kvm.speech import Channel, Said, Speech, Word
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

# The ports of guest_blobs/x86_64/program.inc.
PORT_IN, PORT_OUT = 0x10, 0x11
PORT_STRING_IN, PORT_STRING_OUT = 0x12, 0x13
PORT_SYNC, PORT_DONE = 0x14, 0xF4
_WORDS = {
    (PORT_DONE, True): Word.DONE,
    (PORT_SYNC, True): Word.SYNC,
    (PORT_IN, False): Word.READ,
    (PORT_OUT, True): Word.WRITE,
}
SPEECH = Speech("port_io", "KVM_EXIT_IO", "pio", "port I/O")

MSR = 0xC0001F00  # an MSR that no processor has: the filter speaks before KVM looks at it
_MSR_INDEX = 5  # a data word of the program msr


def said(found: VcpuExit | None) -> Said | None:
    """A byte to or from a port."""
    if not isinstance(found, Io) or (found.port, found.is_write) not in _WORDS:
        return None
    return Said(_WORDS[found.port, found.is_write], int.from_bytes(found.data, "little"))


def answer(vcpu: Vcpu, asked: VcpuExit, value: int) -> None:
    """An IN."""
    if not isinstance(asked, Io):
        raise ValueError(f"{asked} is no read of a port")
    answer_io(vcpu, asked, value.to_bytes(asked.size * asked.count, "little"))


def answer_io(vcpu: Vcpu, asked: Io, data: bytes) -> None:
    """The bytes that a port gives to an IN: `count` items of `size` bytes, in order."""
    if asked.is_write or len(data) != asked.size * asked.count:
        raise ValueError(f"{len(data)} bytes do not answer {asked}")
    run = vcpu.run_page
    ffi.memmove(ffi.cast("uint8_t *", run) + run.io.data_offset, data, len(data))


def answer_msr(vcpu: Vcpu, asked: Rdmsr | Wrmsr, value: int = 0) -> None:
    """The value that a read gives, or, for a write, that it is taken."""
    vcpu.run_page.msr.error = 0
    if isinstance(asked, Rdmsr):
        vcpu.run_page.msr.data = value


def refuse_msr(vcpu: Vcpu, asked: VcpuExit, error: int = 1) -> None:
    """The guest gets a #GP instead (api.rst, KVM_EXIT_X86_RDMSR: "error")."""
    if not isinstance(asked, (Rdmsr, Wrmsr)):
        raise ValueError(f"{asked} cannot be refused")
    vcpu.run_page.msr.error = error


def _says(found: VcpuExit | None, word: Word) -> bool:
    told = said(found)
    return told is not None and told.word is word


def filter_msr(vm: Vm) -> Mapping[int, int]:
    """MSR leaves to userspace; the data words of the program msr. Raises `KvmError`."""
    ioctls.enable_msr_exits(vm, "FILTER")
    ioctls.deny_msr(vm, MSR)
    return {_MSR_INDEX: MSR}


def filters_msrs(system: System) -> bool:
    """Whether this KVM lets an MSR leave to userspace. Raises `KvmError`."""
    needed = ("KVM_CAP_X86_USER_SPACE_MSR", "KVM_CAP_X86_MSR_FILTER")
    return all(system.check_extension(name) for name in needed)


_PORTS = Channel(
    SPEECH.program,
    first=0x11,
    is_read=lambda found: _says(found, Word.READ),
    is_write=lambda found: _says(found, Word.WRITE),
    give=answer,
    written=lambda told: int.from_bytes(told.data, "little"),
)
# RDMSR and WRMSR, 64 bits: RDX is the other half of what is read.
_MSRS = Channel(
    "msr",
    first=0x1ABCDEF012345611,
    is_read=lambda found: isinstance(found, Rdmsr) and found.index == MSR,
    is_write=lambda found: isinstance(found, Wrmsr) and found.index == MSR,
    give=answer_msr,
    written=lambda told: int(told.data),
    take=answer_msr,
    prepare=filter_msr,
    possible=filters_msrs,
    lacking="no_msr_exits",
    destination=("rdx",),
    beside=0xFFFFFFFF << 32,
)
CHANNELS: tuple[Channel, ...] = (_PORTS, _MSRS)
