# SPDX-License-Identifier: GPL-2.0-only
"""riscv64's registers by number and name, on whatever machine the tests run.

The numbers are written out, as Linux's own get-reg-list selftest has them: the extension of another
machine has none of their constants.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from harness.kvm import registers
from harness.kvm.abi import KvmError

# asm/kvm.h and linux/kvm.h
CONSTANTS = SimpleNamespace(
    KVM_REG_RISCV=0x8000000000000000,
    KVM_REG_RISCV_CONFIG=0x01 << 24,
    KVM_REG_RISCV_CORE=0x02 << 24,
    KVM_REG_RISCV_CSR=0x03 << 24,
    KVM_REG_RISCV_TIMER=0x04 << 24,
    KVM_REG_RISCV_FP_D=0x06 << 24,
    KVM_REG_RISCV_ISA_EXT=0x07 << 24,
    KVM_REG_RISCV_SBI_EXT=0x08 << 24,
    KVM_REG_SIZE_U32=0x0020000000000000,
    KVM_REG_SIZE_U64=0x0030000000000000,
    KVM_REG_SIZE_SHIFT=52,
    KVM_REG_SIZE_MASK=0x00F0000000000000,
)
KNOWN = {
    0x8030000001000000: ("config isa", 8),
    0x8030000001000006: ("config satp_mode", 8),
    0x8030000002000000: ("regs pc", 8),
    0x8030000002000002: ("regs sp", 8),
    0x8030000002000008: ("regs s0", 8),
    0x803000000200000A: ("regs a0", 8),
    0x8030000002000011: ("regs a7", 8),
    0x8030000002000012: ("regs s2", 8),
    0x803000000200001B: ("regs s11", 8),
    0x803000000200001F: ("regs t6", 8),
    0x8030000002000020: ("regs mode", 8),
    0x8030000003000000: ("regs sstatus", 8),
    0x8030000003000007: ("regs sip", 8),
    0x8030000003000008: ("regs satp", 8),
    0x803000000300000A: ("regs senvcfg", 8),
    0x8030000004000001: ("timer time", 8),
    0x8030000004000003: ("timer state", 8),
    0x803000000600001F: ("double f31", 8),
    0x8020000006000020: ("double fcsr", 4),
    0x8030000007000002: ("register 0x8030000007000002", 8),
}


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, with the constants of riscv64's headers."""
    path = "harness.kvm.arch.riscv64.numbers"
    kept = {name: sys.modules.pop(name, None) for name in (path, "harness.kvm.arch.riscv64")}
    monkeypatch.setattr("harness.native.lib", CONSTANTS)
    monkeypatch.setattr(registers, "lib", CONSTANTS)
    package = ModuleType("harness.kvm.arch.riscv64")
    package.__path__ = [str(registers.__file__).replace("registers.py", "arch/riscv64")]
    sys.modules["harness.kvm.arch.riscv64"] = package
    yield importlib.import_module(path)
    for name, module in kept.items():
        del sys.modules[name]
        if module:
            sys.modules[name] = module


@pytest.mark.parametrize(
    ("number", "told"), KNOWN.items(), ids=[told[0] for told in KNOWN.values()]
)
def test_name_and_size(numbers: ModuleType, number: int, told: tuple[str, int]) -> None:
    assert (numbers.name_of(number), registers.size(number)) == told


def test_no_two_have_one_number(numbers: ModuleType) -> None:
    assert len(set(numbers.NAMES.values())) == len(numbers.NAMES)
    assert numbers.extension(2) == 0x8030000007000002
    assert numbers.sbi_extension(9) == 0x8030000008000009


def test_before_there_was_a_list_what_has_a_name_is_asked_for(
    numbers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_list(_vcpu: object) -> list[int]:
        raise KvmError("KVM_GET_REG_LIST", errno.EINVAL)

    monkeypatch.setattr(numbers, "register_list", lambda _vcpu: [7])
    assert numbers.listed(object()) == [7]
    monkeypatch.setattr(numbers, "register_list", no_list)
    monkeypatch.setattr(numbers, "KvmError", KvmError)
    assert set(numbers.listed(object())) == set(numbers.NAMES)
