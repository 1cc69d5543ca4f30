# SPDX-License-Identifier: GPL-2.0-only
"""IN of 8 and 16 bits into a register that has more: the bits above stay."""

from __future__ import annotations

import pytest

from guest_blobs import memory_map as at
from harness.kvm import exits
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.arch.x86_64.devices import PORT_SYNC, answer_io
from harness.kvm.guest import Guest
from harness.kvm.speech import Word
from harness.require import require_accumulator, require_completion, require_exit, require_said
from harness.ways import WayOut
from suites.dimensions import every_guest_mode, every_way, only_on, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("port_widths"),
    every_guest_mode,
]

BYTES_WORD, OUT_PORT_WORD, PATTERN_WORD = 3, 4, 6
PATTERN, VALUE = 0x1F2E3D4C5B6A7988, 0x81C3A596


def joined(pattern: int, size: int) -> int:
    """What RAX holds after an IN of so many bytes: one of 4 clears the upper half."""
    mask = (1 << 8 * size) - 1
    return (0 if size == 4 else pattern & ~mask) | VALUE & mask


@pytest.mark.claim("completion.pio")
def test_upper_bits_stay(loaded: Guest) -> None:
    """Intel SDM volume 1, 3.4.1.1: an operand of 8 or 16 bits leaves the rest of its register,
    one of 32 bits clears it. arch/x86/kvm/x86.c, complete_fast_pio_in(): "For size less than 4 we
    merge, else we zero extend"."""
    pattern = PATTERN & (1 << (64 if loaded.mode == "long" else 32)) - 1
    loaded.ram.write64(at.data_word(PATTERN_WORD), pattern)
    loaded.set_data(OUT_PORT_WORD, PORT_SYNC)
    for size in (1, 2, 4, 2, 1):
        said = f"At an IN of {8 * size} bits"
        loaded.set_data(BYTES_WORD, size)
        asked = require_exit(loaded.vcpu.run_raw(), exits.Io, said)
        assert (asked.size, asked.is_write) == (size, False), (
            f"{said}, KVM_RUN must return 0 with it, but with {asked}"
        )
        answer_io(loaded.vcpu, asked, (VALUE & (1 << 8 * size) - 1).to_bytes(size, "little"))
        require_completion(loaded, said)
        require_accumulator(loaded, joined(pattern, size), f"{said} that was completed")
        require_said(loaded.vcpu.run_raw(), Word.SYNC, f"{said}, in a normal run")
        stored = int.from_bytes(loaded.ram.read(at.data_word(0), 8), "little")
        assert stored == joined(pattern, size), (
            f"{said} and a normal run, the guest must have found {joined(pattern, size):#x} in "
            f"EAX or RAX, but it stored {stored:#x}"
        )


# Of an OUT to this port KVM has moved the program counter before the exit (kvm_fast_pio_out(),
# KVM_X86_QUIRK_OUT_7E_INC_RIP): its end is another one.
PORT_7E = 0x7E
USERSPACE_SET = 0x5A


def require_gone_elsewhere(guest: Guest, way: WayOut, access: str) -> None:
    """RIP and RAX that userspace sets at the exit stay: the guest was reset, or went on elsewhere.

    RIP is then at the program's begin, and the next normal run goes on there.
    """
    __tracebackhide__ = True
    regs = ioctls.get_regs(guest.vcpu)
    regs.rip, regs.rax = at.PROGRAM, USERSPACE_SET
    ioctls.set_regs(guest.vcpu, regs)
    require_completion(guest, f"After {access} where userspace set RIP and RAX", way=way)
    regs = ioctls.get_regs(guest.vcpu)
    assert (regs.rip, regs.rax) == (at.PROGRAM, USERSPACE_SET), (
        f"After {access} where userspace set RIP to {at.PROGRAM:#x} and RAX to {USERSPACE_SET:#x}, "
        f"and a re-entry{way.said}, they must stay, but they are {regs.rip:#x} and {regs.rax:#x}"
    )


@pytest.mark.claim("completion.pio")
@pytest.mark.parametrize("port", [PORT_SYNC, PORT_7E], ids=["any_port", "port_7e"])
@every_way
def test_program_counter_set_meanwhile(loaded: Guest, port: int, way: WayOut) -> None:
    """arch/x86/kvm/x86.c, kvm_is_linear_rip(): the end of an access belongs to its instruction
    (commit 45def77ebf79 of 5.1). An IN that KVM emulates, where the processor does not tell what it
    was, is emulated anew and goes on behind itself: only an OUT is asked for there."""
    loaded.set_data(BYTES_WORD, 1)
    loaded.set_data(OUT_PORT_WORD, port)
    emulated = loaded.statistic("insn_emulation")
    asked = require_exit(loaded.vcpu.run_raw(), exits.Io, "At an IN")
    answer_io(loaded.vcpu, asked, bytes([VALUE & 0xFF]))
    if emulated is not None and loaded.statistic("insn_emulation") == emulated:
        require_gone_elsewhere(loaded, way, "an IN")
        again = require_exit(loaded.vcpu.run_raw(), exits.Io, "At an IN once more")
        assert again == asked, f"From the program's begin it must come to {asked}, but to {again}"
        answer_io(loaded.vcpu, again, bytes([VALUE & 0xFF]))
    told = require_exit(loaded.vcpu.run_raw(), exits.Io, "At the OUT")
    assert (told.port, told.is_write) == (port, True), f"An OUT to {port:#x} must come, not {told}"
    require_gone_elsewhere(loaded, way, f"an OUT to port {port:#x}")
    again = require_exit(loaded.vcpu.run_raw(), exits.Io, "At an IN after the OUT")
    assert again == asked, f"From the program's begin it must come to {asked}, but to {again}"
