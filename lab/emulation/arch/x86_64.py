# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: QEMU emulates AMD's SVM, and no VMX."""

from __future__ import annotations

from lab.emulation.arch import EmulatedArchitecture, Header

# The boot protocol (Documentation/arch/x86/boot.rst); offsets in the file.
_SETUP_SECTORS = 0x1F1  # u8, 512 bytes each; 0 means 4; the boot sector comes on top
_SIZE = 0x1F4  # u32, of what follows the set-up, in units of 16 bytes
_MAGIC = slice(0x202, 0x206)
_VERSION = 0x20E  # u16, where the release stands, less 0x200


def _header(data: bytes) -> Header | None:
    if data[_MAGIC] != b"HdrS":
        return None
    sectors = data[_SETUP_SECTORS] or 4
    size = (sectors + 1) * 512 + 16 * int.from_bytes(data[_SIZE : _SIZE + 4], "little")
    start = 0x200 + int.from_bytes(data[_VERSION : _VERSION + 2], "little")
    text = data[start : start + 256]
    return Header(text, text.split(b"\0")[0].decode("ascii", "replace"), size)


ARCHITECTURE = EmulatedArchitecture(
    machine="x86_64",
    qemu="qemu-system-x86_64",
    qemu_package="qemu-system-x86",
    # Four levels of page tables: with five each walk is longer, and a guest's one most of all.
    cpu="max,+svm,-la57",
    # There KVM does not load where the TSC is not constant (kvm_arch_init(), later
    # kvm_x86_vendor_init()). QEMU's emulation knows no invtsc, and is told by force to show it.
    cpu_realtime=",+invtsc,x-force-features=on",
    parameters=("tsc=reliable",),
    image="arch/x86/boot/bzImage",
    kvm="arch/x86/kvm",
    modules=("kvm", "kvm-amd"),
    companions=("irqbypass", "ccp"),
    options={"KVM": "KVM", "KVM_AMD": "AMD's KVM"},
    unbuilt=("CONFIG_KVM_INTEL",),
    no_kvm="this kernel brought up no KVM for the emulated AMD processor",
    refusals="SVM (?:not supported|disabled)",
    trace_clock="x86-tsc",
    # Linux 5.8 on: arch/x86/kernel/apic/apic.c. ip is the 17th word of pt_regs, cs the next
    # (arch/x86/include/asm/ptrace.h).
    timer_probe="__sysvec_apic_timer_interrupt ip=+128(%di):x64 cs=+136(%di):x64",
    header=_header,
    counter="tsc_early_khz",  # Linux 5.8; an older kernel hands the word on to init
)
