# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: QEMU emulates the H extension, in whose HS mode KVM runs, above OpenSBI."""

from __future__ import annotations

from lab.emulation.arch import Board, EmulatedArchitecture, Header, Mode, by_banner

# Documentation/arch/riscv/boot-image-header.rst
_MAGIC = slice(0x38, 0x3C)


def _header(data: bytes) -> Header | None:
    if data[_MAGIC] != b"RSC\x05":
        return None
    return by_banner(data)


ARCHITECTURE = EmulatedArchitecture(
    machine="riscv64",
    qemu="qemu-system-riscv64",
    qemu_package="qemu-system-misc",
    cpu="rv64,h=true",
    cpu_realtime="",
    parameters=(),
    image="arch/riscv/boot/Image",
    kvm="arch/riscv/kvm",
    modules=("kvm",),
    companions=(),
    options={"KVM": "KVM"},
    unbuilt=(),
    no_kvm="this kernel brought up no KVM: the processor must have the H extension (-cpu h=true)",
    refusals="hypervisor extension not available",
    trace_clock="",  # harness/native/arch has no sweep of it
    timer_probe="",
    header=_header,
    board=Board(
        debian="riscv64",
        kernels="riscv64",
        image_file="vmlinux",  # the Image all the same
        triple="riscv64-linux-gnu",
        # The distributions' baseline; lld 14 knows no relaxation of this architecture.
        compiler=("-march=rv64gc", "-mabi=lp64d", "-mno-relax"),
        machine=("-nodefaults", "-machine", "virt", "-bios", "default"),
        console="ttyS0",
        buses=(),
        largest_initrd=0,
        oldest_clock=(7, 2),
        modes={
            # The interrupt controller of the AIA, with files for the guests' interrupts (IMSIC). In
            # QEMU 7.2 Linux' driver of it stands still.
            "aia": Mode(
                machine=(
                    *("-nodefaults", "-machine", "virt,aia=aplic-imsic,aia-guests=2"),
                    *("-bios", "default"),
                ),
                oldest_qemu=(10, 0),
            ),
        },
    ),
)
