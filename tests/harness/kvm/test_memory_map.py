# SPDX-License-Identifier: GPL-2.0-only
"""A VM's slots: what was deleted can be read and restored, and what was moved lies elsewhere."""

from __future__ import annotations

import pytest

from harness.host import obstacles
from harness.kvm.abi import KvmError
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.system import System

pytestmark = pytest.mark.skipif(
    obstacles.preflight() is not None, reason="there is no KVM that could have memory"
)
SLOT, OTHER, HERE, THERE = 1, 2, 0x400000, 0x600000


def test_slots_come_and_go() -> None:
    with System() as system, system.create_vm() as vm:
        vm.add_memory(SLOT, HERE, PAGE_BYTES).write32(0, 7)
        with pytest.raises(KvmError):
            vm.add_memory(OTHER, HERE, PAGE_BYTES)
        vm.move_memory(SLOT, THERE)
        vm.add_memory(OTHER, HERE, PAGE_BYTES)
        vm.delete_memory(OTHER)
        vm.move_memory(SLOT, HERE)
        vm.delete_memory(SLOT)
        assert vm.memory(SLOT).read32(0) == 7
        vm.restore_memory(SLOT, read_only=True)
        with pytest.raises(KvmError):
            vm.restore_memory(OTHER)
