# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: the controller of the AIA in the kernel (arch/riscv/kvm/aia_device.c, Linux 6.5).

Each vCPU has an IMSIC, which takes messages: a write of an interrupt's number to its page. There is
no APLIC, which would make messages of lines: without sources KVM leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm import device_attributes
from harness.kvm.vm import Vm
from harness.native import lib

KIND = "KVM_DEV_TYPE_RISCV_AIA"
INTERRUPT = 1  # a program enables each number of the first 64, and counts whatever comes
_IDENTITIES = 63  # the fewest that KVM takes: one register of pending, and one of enabled ones
_HART_BITS = 4  # of an IMSIC's page number: as many vCPUs can have one
_IMSICS, _PAGE = 0x2800_0000, 0x1000  # where guests' memory never is
# What is selected by siselect (the AIA specification, 3.8).
_REGISTERS = {"eidelivery": 0x70, "eithreshold": 0x72, "eip0": 0x80, "eie0": 0xC0}


def create(vm: Vm) -> bool:
    """KVM_CREATE_DEVICE and its size, before the first vCPU. False where KVM has none. `KvmError`.

    KVM registers the device only for a processor with Ssaia.
    """
    if not vm.create_device_if_any(KIND):
        return False
    group = int(lib.KVM_DEV_RISCV_AIA_GRP_CONFIG)
    _set(vm, group, int(lib.KVM_DEV_RISCV_AIA_CONFIG_IDS), _IDENTITIES, size=4)
    _set(vm, group, int(lib.KVM_DEV_RISCV_AIA_CONFIG_HART_BITS), _HART_BITS, size=4)
    return True


def turn_on(vm: Vm, vcpus: int) -> None:
    """So many vCPUs are there, and no more may come (aia_init()). Raises `KvmError`."""
    for number in range(vcpus):
        address = _IMSICS + number * _PAGE
        _set(vm, int(lib.KVM_DEV_RISCV_AIA_GRP_ADDR), 1 + number, address)
    control, init = int(lib.KVM_DEV_RISCV_AIA_GRP_CTRL), int(lib.KVM_DEV_RISCV_AIA_CTRL_INIT)
    device_attributes.command(vm.devices[KIND], control, init)


def deliver(vm: Vm) -> None:
    """INTERRUPT becomes pending at the IMSIC of the vCPU 0. Raises `KvmError`."""
    vm.signal_msi(_IMSICS, INTERRUPT)


def registers(vm: Vm) -> Mapping[str, int]:
    """Those of the vCPU 0's IMSIC. Empty in a VM without one. Raises `KvmError`."""
    if KIND not in vm.devices:
        return {}
    device, group = vm.devices[KIND], int(lib.KVM_DEV_RISCV_AIA_GRP_IMSIC)
    return {
        name: device_attributes.get(device, group, number) for name, number in _REGISTERS.items()
    }


def copy(source: Vm, target: Vm) -> None:
    """The IMSIC of another VM's vCPU 0, which is turned on, becomes as this one's. `KvmError`."""
    for number in _REGISTERS.values():
        group = int(lib.KVM_DEV_RISCV_AIA_GRP_IMSIC)
        _set(target, group, number, device_attributes.get(source.devices[KIND], group, number))


def _set(vm: Vm, group: int, attribute: int, value: int, size: int = 8) -> None:
    device_attributes.set_to(vm.devices[KIND], group, attribute, value, size)
