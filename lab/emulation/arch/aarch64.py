# SPDX-License-Identifier: GPL-2.0-only
"""arm64: QEMU emulates EL2, in which KVM runs."""

from __future__ import annotations

from lab.emulation.arch import Board, EmulatedArchitecture, Header, Mode, by_banner


def _header(data: bytes) -> Header | None:
    if data[0x38:0x3C] != b"ARM\x64":  # Documentation/arch/arm64/booting.rst
        return None
    return by_banner(data)


ARCHITECTURE = EmulatedArchitecture(
    machine="aarch64",
    qemu="qemu-system-aarch64",
    qemu_package="qemu-system-arm",
    # Else pointers are signed by the architecture's own algorithm, which is dear to emulate.
    cpu="max,pauth-impdef=on",
    cpu_realtime="",
    parameters=(),
    image="arch/arm64/boot/Image",
    kvm="arch/arm64/kvm",
    modules=(),  # KVM is always part of the kernel (arch/arm64/kvm/Kconfig)
    companions=(),
    options={"KVM": "KVM"},
    unbuilt=(),
    no_kvm="this kernel brought up no KVM: it must be entered at EL2 (-machine virtualization=on)",
    refusals="",  # of a module only
    trace_clock="",  # harness/native/arch has no sweep of it
    timer_probe="",
    header=_header,
    board=Board(
        debian="arm64",
        kernels="arm64",
        image_file="vmlinuz",
        triple="aarch64-linux-gnu",
        # Else atomics are calls into libgcc, which would be one package more.
        compiler=("-mno-outline-atomics",),
        machine=("-nodefaults", "-machine", "virt,virtualization=on,gic-version=3"),
        console="ttyAMA0",
        buses=(),
        largest_initrd=0,
        oldest_clock=(7, 2),
        # Documentation/admin-guide/kernel-parameters.txt: kvm-arm.mode
        modes={
            "vhe": Mode(),
            "nvhe": Mode(("kvm-arm.mode=nvhe",)),
            "protected": Mode(("kvm-arm.mode=protected",)),
        },
    ),
    names=("arm64",),
)
