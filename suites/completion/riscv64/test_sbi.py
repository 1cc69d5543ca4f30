# SPDX-License-Identifier: GPL-2.0-only
"""Calls of the SBI that KVM hands on, each finished by a re-entry with the byte set.

`suites/completion/test_hypercall.py` has one of the experimental extensions; these are the others.
"""

from __future__ import annotations

import errno

import pytest

from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.abi import KvmError
from harness.kvm.arch.riscv64.devices import answer_sbi
from harness.kvm.arch.riscv64.numbers import CORE, sbi_extension
from harness.kvm.guest import Guest
from harness.kvm.registers import get_register, set_register
from harness.require import require_completion, require_exit, require_untouched
from harness.ways import WayOut
from suites.dimensions import every_guest_mode, every_way, only_on, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("riscv64"),
    pin_guest_program("hypercall"),
]

EXTENSION, FUNCTION, FIRST, RETURNED, VALUE, CALLS, UNKNOWN = 4, 5, 6, 0, 3, 1, 2  # data words
ERROR, OTHER = 0x1234_5678, 0x0BAD_CAFE
REPEATS = 20

calls = pytest.mark.parametrize(
    ("setting", "extension", "function"),
    [
        (0, 0x01, 0),  # KVM_RISCV_SBI_EXT_V01: console putchar
        (0, 0x02, 0),  # and getchar
        (8, 0x09000000, 1),  # KVM_RISCV_SBI_EXT_VENDOR
        (9, 0x4442434E, 0),  # KVM_RISCV_SBI_EXT_DBCN: debug console write
        (9, 0x4442434E, 2),  # and write byte
    ],
    ids=["putchar", "getchar", "vendor", "console_write", "console_write_byte"],
)


def enabled(guest: Guest, setting: int) -> bool:
    """Switches an extension of the SBI on; False where this KVM has it not."""
    try:
        set_register(guest.vcpu, sbi_extension(setting), 1)
    except KvmError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True


def require_forwarded(guest: Guest) -> None:
    """Skips where KVM knows no such call (CONFIG_RISCV_SBI_V01): the program then leaves."""
    guest.stop()
    asked = guest.vcpu.run().exit
    if guest.architecture.said(asked):
        pytest.skip(reason("no_hypercall_exits", "KVM answers this call of the SBI itself"))
    assert isinstance(asked, exits.RiscvSbi), f"The guest's call came as {asked}"
    answer_sbi(guest.vcpu, asked, 0, 0)
    require_completion(guest, "After a call of the SBI", ["a1"])
    guest.clear_stop()


@pytest.mark.claim("completion.hypercall")
@every_guest_mode
@calls
@every_way
def test_forwarded_call(
    loaded: Guest, setting: int, extension: int, function: int, way: WayOut
) -> None:
    """kvm_riscv_vcpu_sbi_return(): a0, a1 and the program counter, once."""
    if not enabled(loaded, setting):
        pytest.skip(reason("no_hypercall_exits", f"SBI extension {extension:#x}"))
    loaded.set_data(EXTENSION, extension)
    loaded.set_data(FUNCTION, function)
    loaded.set_data(FIRST, ord("k"))
    require_forwarded(loaded)
    for turn in range(3):
        asked = require_exit(loaded.vcpu.run_raw(), exits.RiscvSbi, f"At call {turn + 1}")
        found = (asked.extension, asked.function, asked.arguments[0])
        assert found == (extension, function, ord("k")), f"The guest's call came as {asked}"
        answer_sbi(loaded.vcpu, asked, ERROR + turn, OTHER + turn)
        said = f"After call {turn + 1} of the SBI"
        require_completion(loaded, said, ["a1"], way)
        answer_sbi(loaded.vcpu, asked, 1, 2)
        require_untouched(loaded, f"{said}, with another answer there", way, REPEATS)
        returned = tuple(get_register(loaded.vcpu, CORE[name]) for name in ("a0", "a1"))
        assert returned == (ERROR + turn, OTHER + turn), (
            f"{said}, a0 and a1 must be what userspace answered, but they are {returned}"
        )
    require_exit(loaded.vcpu.run_raw(), exits.RiscvSbi, "At the next call")
    counted = [loaded.data(word) for word in (CALLS, UNKNOWN, RETURNED, VALUE)]
    assert counted == [4, 0, ERROR + 2, OTHER + 2], (
        f"The guest must have made 4 calls and stored the last results, but it has {counted}"
    )
