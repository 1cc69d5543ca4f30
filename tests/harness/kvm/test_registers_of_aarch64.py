# SPDX-License-Identifier: GPL-2.0-only
"""arm64's registers by number and name, on whatever machine the tests run.

The numbers are those of `struct kvm_regs` and of api.rst 4.68, written out: the extension of
another machine has none of their constants.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from harness.kvm import registers

# asm/kvm.h and linux/kvm.h
CONSTANTS = SimpleNamespace(
    KVM_REG_ARM64=0x6000000000000000,
    KVM_REG_ARM_COPROC_MASK=0x0FFF0000,
    KVM_REG_ARM_CORE=0x10 << 16,
    KVM_REG_ARM64_SYSREG=0x13 << 16,
    KVM_REG_ARM_FW=0x14 << 16,
    KVM_REG_ARM64_SVE=0x15 << 16,
    KVM_REG_ARM_FW_FEAT_BMAP=0x16 << 16,
    KVM_REG_SIZE_SHIFT=52,
    KVM_REG_SIZE_MASK=0x00F0000000000000,
)
#: As KVM_GET_REG_LIST told them on Linux 6.12.
KNOWN = {
    0x6030000000100000: ("x0", 8),
    0x603000000010003C: ("x30", 8),
    0x603000000010003E: ("sp", 8),
    0x6030000000100040: ("pc", 8),
    0x6030000000100042: ("pstate", 8),
    0x6030000000100044: ("sp_el1", 8),
    0x6030000000100046: ("elr_el1", 8),
    0x6030000000100048: ("spsr_el1", 8),
    0x6040000000100054: ("v0", 16),
    0x60400000001000D0: ("v31", 16),
    0x60200000001000D4: ("fpsr", 4),
    0x60200000001000D5: ("fpcr", 4),
    0x603000000013C080: ("sctlr_el1", 8),
    0x603000000013C600: ("vbar_el1", 8),
    # asm/kvm.h has these two the wrong way round, for ever.
    0x603000000013DF1A: ("cntvct_el0", 8),
    0x603000000013DF02: ("cntv_cval_el0", 8),
    0x603000000013C230: ("s3_0_c4_c6_0", 8),
    0x6030000000140000: ("firmware 0", 8),
    0x6030000000160001: ("firmware_features 1", 8),
    0x6080000000150000: ("z0", 256),
    0x60800000001503E0: ("z31", 256),
    0x6050000000150400: ("p0", 32),
    0x60500000001505E0: ("p15", 32),
    0x6050000000150600: ("ffr", 32),
    0x606000000015FFFF: ("sve_lengths", 64),
    0x6020000000110000: ("0x6020000000110000", 4),
}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, with the constants of arm64's headers."""
    path = "harness.kvm.arch.aarch64.names"
    kept = {name: sys.modules.pop(name, None) for name in (path, "harness.kvm.arch.aarch64")}
    monkeypatch.setattr("harness.native.lib", CONSTANTS)
    monkeypatch.setattr(registers, "lib", CONSTANTS)
    package = ModuleType("harness.kvm.arch.aarch64")
    package.__path__ = [str(registers.__file__).replace("registers.py", "arch/aarch64")]
    sys.modules["harness.kvm.arch.aarch64"] = package
    yield importlib.import_module(path)
    for name, module in kept.items():
        del sys.modules[name]
        if module:
            sys.modules[name] = module


@pytest.mark.parametrize(
    ("number", "told"), KNOWN.items(), ids=[told[0] for told in KNOWN.values()]
)
def test_name_and_size(names: ModuleType, number: int, told: tuple[str, int]) -> None:
    assert (names.name(number), registers.size(number)) == told


def test_numbers_are_what_names_say(names: ModuleType) -> None:
    """The other way round, for all that has a way: none is written down twice."""
    ways = [names.number(each) for each in ("x0", "pc", "elr_el1", *names.SYSTEM)]
    ways += [names.vector(n) for n in range(32)] + [names.sve_vector(n) for n in range(32)]
    ways += [names.sve_predicate(n) for n in range(16)] + [names.firmware_features(1)]
    assert len(set(ways)) == len(ways)
    for name in ("x0", "pc", "elr_el1", *names.SYSTEM):
        assert names.name(names.number(name)) == name
    assert names.name(names.vector(7)) == "v7"
    assert names.name(names.sve_vector(7)) == "z7"
    assert names.name(names.sve_predicate(7)) == "p7"


def test_an_unknown_name_is_no_number(names: ModuleType) -> None:
    with pytest.raises(KeyError):
        names.number("eflags")
