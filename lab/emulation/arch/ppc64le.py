# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: QEMU emulates a POWER9 without a hypervisor of its own, on which KVM-HV runs."""

from __future__ import annotations

from lab.emulation.arch import Board, EmulatedArchitecture, Header, by_banner

# An ELF file: 64 bits, little-endian, EM_PPC64 (elf.h).
_ELF = b"\x7fELF\x02\x01"
_EM_PPC64 = (21).to_bytes(2, "little")


def _header(data: bytes) -> Header | None:
    if not data.startswith(_ELF) or data[18:20] != _EM_PPC64:
        return None
    return by_banner(data)


ARCHITECTURE = EmulatedArchitecture(
    machine="ppc64le",
    qemu="qemu-system-ppc64",
    qemu_package="qemu-system-ppc",
    cpu="power9",
    cpu_realtime="",
    parameters=(),
    image="vmlinux",
    kvm="arch/powerpc/kvm",
    modules=("kvm", "kvm-hv"),
    companions=(),
    options={"KVM": "KVM", "KVM_BOOK3S_64_HV": "KVM-HV"},
    unbuilt=(),
    no_kvm="this kernel brought up no KVM: it must be the machine's hypervisor (-machine powernv9)",
    refusals="",
    trace_clock="",  # harness/native/arch has no sweep of it
    timer_probe="",
    header=_header,
    board=Board(
        debian="ppc64el",
        kernels="powerpc64le",
        image_file="vmlinux",
        triple="powerpc64le-linux-gnu",
        compiler=(),
        # With -nodefaults it has no root ports, of which each takes one device.
        machine=("-machine", "powernv9", "-net", "none"),
        console="hvc0",
        buses=("pcie.0", "pcie.1", "pcie.2"),
        largest_initrd=128 << 20,  # INITRD_MAX_SIZE of QEMU's hw/ppc/pnv.c
        oldest_clock=(10, 0),  # 7.2 aborts in skiboot: "Raised interrupt while not in I/O function"
        modes={},
    ),
    names=("ppc64le", "ppc64el"),
    beside=("arch/powerpc/mm",),  # of powerpc.c: ../mm/mmu_decl.h
)
