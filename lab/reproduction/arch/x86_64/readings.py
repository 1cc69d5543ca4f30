# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: C that reads a number of a vCPU, by its name in `Guest.whole`; and guest code as text."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lab.reproduction.literals import octets, page_of

_STRUCTS: Mapping[str, tuple[str, str]] = {
    "regs": ("KVM_GET_REGS", "kvm_regs"),
    "sregs": ("KVM_GET_SREGS", "kvm_sregs"),
    "fpu": ("KVM_GET_FPU", "kvm_fpu"),
    "debugregs": ("KVM_GET_DEBUGREGS", "kvm_debugregs"),
    "events": ("KVM_GET_VCPU_EVENTS", "kvm_vcpu_events"),
}
_OF_PAGE = (
    *("if_flag", "cr8", "apic_base", "flags", "ready_for_interrupt_injection"),
    *("immediate_exit", "request_interrupt_window", "exit_reason"),
)
_PATH = re.compile(r"[a-z_0-9]+(\.[a-z_0-9]+)*")
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_MACHINES: Mapping[str, str] = {"long": "x86-64", "protected": "i386", "real": "i8086"}
_INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.*)$", re.M)


def reading(name: str, vcpu: str) -> tuple[str, str]:
    """An expression, and the block that it needs; empty where none is known."""
    kind, _, rest = name.partition(" ")
    if kind == "msr" and _ADDRESS.fullmatch(rest):
        return f"get_msr({vcpu}, {rest})", "msr"
    if kind == "lapic" and _ADDRESS.fullmatch(rest):
        first = int(rest, 16)
        return f"apic_register({vcpu}, {first:#x})", "apic"
    if kind == "kvm_run" and rest in _OF_PAGE:
        return f"{page_of(vcpu)}->{rest}", ""
    if name == "mp_state":
        return f"FIELD({vcpu}, KVM_GET_MP_STATE, kvm_mp_state, mp_state)", "field"
    if kind not in _STRUCTS or not _PATH.fullmatch(rest):
        return "", ""
    field = re.sub(r"\.(\d+)", r"[\1]", rest)
    call, struct = _STRUCTS[kind]
    return f"FIELD({vcpu}, {call}, {struct}, {field})", "field"


def disassembled(code: bytes, address: int, mode: str) -> str:
    """The bytes in rows, each with its instruction where objdump is there to tell it."""
    program = shutil.which("objdump")
    if program is None or mode not in _MACHINES:
        return octets(code)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(code)
        words = [program, "-D", "-b", "binary", "-m", "i386", "-M", _MACHINES[mode]]
        words += [f"--adjust-vma={address:#x}", "--insn-width=16", file.name]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    rows, place = [], 0
    for where, raw, text in _INSTRUCTION.findall(done.stdout):
        begin = int(where, 16) - address
        row = " ".join(f"0x{octet}," for octet in raw.split())
        if begin != place:  # zeros are left out
            row = f"[{begin:#x}] = {row}"
        rows.append(f"\t{row:<60} /* {where}: {' '.join(text.split())} */")
        place = begin + len(raw.split())
    return "\n".join(rows) or octets(code)
