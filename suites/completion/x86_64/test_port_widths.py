# SPDX-License-Identifier: GPL-2.0-only
"""IN of 8 and 16 bits into a register that has more: the bits above stay."""

from __future__ import annotations

import pytest

from guest_blobs import memory_map as at
from harness.kvm import exits
from harness.kvm.arch.x86_64.devices import answer_io
from harness.kvm.guest import Guest
from harness.kvm.speech import Word
from harness.require import require_accumulator, require_completion, require_exit, require_said
from suites.dimensions import every_guest_mode, only_on, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("port_widths"),
    every_guest_mode,
]

BYTES_WORD, PATTERN_WORD = 3, 6
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
