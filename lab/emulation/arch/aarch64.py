# SPDX-License-Identifier: GPL-2.0-only
"""arm64: QEMU emulates EL2, in which KVM runs. No machine of it was booted by this project yet."""

from __future__ import annotations

import re

from lab.emulation.arch import EmulatedArchitecture, Header


def _header(data: bytes) -> Header | None:
    if data[0x38:0x3C] != b"ARM\x64":  # Documentation/arch/arm64/booting.rst
        return None
    found = re.search(rb"Linux version (\S+) ", data)
    return Header(found.group(1) if found else b"")


ARCHITECTURE = EmulatedArchitecture(
    machine="aarch64",
    qemu="qemu-system-aarch64",
    qemu_package="qemu-system-arm",
    cpu="max",
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
)
