# SPDX-License-Identifier: GPL-2.0-only
"""arm64: the GICv3 in the kernel (Documentation/virt/kvm/devices/arm-vgic-v3.rst).

The harness turns it on, so that a program need not: one edge-triggered interrupt, INTERRUPT, goes
to the vCPU 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.kvm import device_attributes
from harness.kvm.arch.aarch64 import ioctls, names
from harness.kvm.vm import Vm
from harness.native import lib

KIND = "KVM_DEV_TYPE_ARM_VGIC_V3"
INTERRUPT = 32  # the first that the distributor shares
VIRTUAL_TIMER = 27  # arch/arm64/kvm/arch_timer.c, default_ppi
_INTERRUPTS = 64
_DISTRIBUTOR, _REDISTRIBUTORS = 0x0800_0000, 0x080A_0000  # where guests' memory never is

# Registers of the distributor, 32 bits each (Arm IHI 0069, 12.9).
_CTLR, _ENABLE_GROUP_1 = 0x0, 1 << 1
_IGROUPR, _ISENABLER, _ISPENDR, _ISACTIVER = 0x80, 0x100, 0x200, 0x300
_IPRIORITYR, _ICFGR, _IROUTER = 0x400, 0xC00, 0x6000
_SGI_FRAME = 0x10000  # of a redistributor: the frame with its own interrupts
# The processor's interface (12.2): the numbers that name its system registers.
_INTERFACE = {
    "pmr": names.encoding(3, 0, 4, 6, 0),
    "bpr0": names.encoding(3, 0, 12, 8, 3),
    "ap0r0": names.encoding(3, 0, 12, 8, 4),
    "ap1r0": names.encoding(3, 0, 12, 9, 0),
    "bpr1": names.encoding(3, 0, 12, 12, 3),
    "ctlr": names.encoding(3, 0, 12, 12, 4),
    "sre": names.encoding(3, 0, 12, 12, 5),
    "igrpen0": names.encoding(3, 0, 12, 12, 6),
    "igrpen1": names.encoding(3, 0, 12, 12, 7),
}
_LOWEST_PRIORITY = 0xF0
# More than the least that a processor has (12.2.5): a smaller one it would make that.
_BINARY_POINTS = {"bpr0": 4, "bpr1": 5}


def create(vm: Vm) -> bool:
    """KVM_CREATE_DEVICE, and where it is. False where this KVM has none. Raises `KvmError`."""
    if not vm.create_device_if_any(KIND):
        return False
    group = int(lib.KVM_DEV_ARM_VGIC_GRP_ADDR)
    _set(vm, group, int(lib.KVM_VGIC_V3_ADDR_TYPE_DIST), _DISTRIBUTOR)
    _set(vm, group, int(lib.KVM_VGIC_V3_ADDR_TYPE_REDIST), _REDISTRIBUTORS)
    _set(vm, int(lib.KVM_DEV_ARM_VGIC_GRP_NR_IRQS), 0, _INTERRUPTS, size=4)
    return True


def turn_on(vm: Vm) -> None:
    """Once its vCPUs are there: no more can come. Raises `KvmError`."""
    control, init = int(lib.KVM_DEV_ARM_VGIC_GRP_CTRL), int(lib.KVM_DEV_ARM_VGIC_CTRL_INIT)
    device_attributes.command(vm.devices[KIND], control, init)
    word, bit = INTERRUPT // 32, 1 << INTERRUPT % 32
    set_distributor(vm, _ICFGR + 4 * (INTERRUPT // 16), 2 << 2 * (INTERRUPT % 16))
    set_distributor(vm, _ISENABLER + 4 * word, bit)
    set_distributor(vm, _CTLR, _ENABLE_GROUP_1)
    set_interface(vm, "pmr", _LOWEST_PRIORITY)
    for name, point in _BINARY_POINTS.items():
        set_interface(vm, name, point)
    set_interface(vm, "igrpen1", 1)


def deliver(vm: Vm) -> None:
    """INTERRUPT becomes pending. Raises `KvmError`."""
    ioctls.pulse_shared(vm, INTERRUPT)


def enable_virtual_timer(vm: Vm) -> None:
    """The vCPU 0 takes the interrupts of its virtual timer. Raises `KvmError`."""
    group = int(lib.KVM_DEV_ARM_VGIC_GRP_REDIST_REGS)
    _set(vm, group, _SGI_FRAME + _ISENABLER, 1 << VIRTUAL_TIMER, size=4)


def set_distributor(vm: Vm, place: int, value: int) -> None:
    """A register of the distributor. Raises `KvmError`."""
    _set(vm, int(lib.KVM_DEV_ARM_VGIC_GRP_DIST_REGS), place, value, size=4)


def set_interface(vm: Vm, name: str, value: int) -> None:
    """A register of the vCPU 0's interface. Raises `KvmError`."""
    _set(vm, int(lib.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS), _INTERFACE[name], value)


def registers(vm: Vm) -> Mapping[str, int]:
    """All that holds something of distributor, redistributor and interface of the vCPU 0.

    Empty in a VM without a GIC. Raises `KvmError`.
    """
    if KIND not in vm.devices:
        return {}
    found = {
        f"{part} {name}": _get(vm, group, place, size)
        for part, group, size, name, place in _every_register()
    }
    level = int(lib.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO)
    return found | {f"lines {first}": _get(vm, level, first) for first in range(0, _INTERRUPTS, 32)}


def copy(source: Vm, target: Vm) -> None:
    """Another VM's GIC, which is turned on and took no interrupt yet, becomes as this one.

    Which interrupts are enabled, pending and active is set by ones, and a fresh one has fewer of
    them. Raises `KvmError`.
    """
    for _, group, size, _, place in _every_register():
        _set(target, group, place, _get(source, group, place, size), size)


def _every_register() -> Iterator[tuple[str, int, int, str, int]]:
    """Part, group, bytes, name and place."""
    distributor = int(lib.KVM_DEV_ARM_VGIC_GRP_DIST_REGS)
    own = int(lib.KVM_DEV_ARM_VGIC_GRP_REDIST_REGS)
    interface = int(lib.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS)
    yield from (("distributor", distributor, 4, name, place) for name, place in _shared())
    yield from (("redistributor", own, 4, name, _SGI_FRAME + place) for name, place in _own())
    yield from (("interface", interface, 8, name, place) for name, place in _INTERFACE.items())


def _shared() -> Iterator[tuple[str, int]]:
    """Those of the shared interrupts, from 32 on."""
    yield "ctlr", _CTLR
    yield from _banks(range(32, _INTERRUPTS))
    for interrupt in range(32, _INTERRUPTS):
        yield f"irouter{interrupt}", _IROUTER + 8 * interrupt


def _own() -> Iterator[tuple[str, int]]:
    """Those of a processor's own interrupts."""
    yield from _banks(range(32))


def _banks(interrupts: range) -> Iterator[tuple[str, int]]:
    """One bit an interrupt, then eight, then two."""
    for name, place in (
        *(("igroupr", _IGROUPR), ("isenabler", _ISENABLER)),
        *(("ispendr", _ISPENDR), ("isactiver", _ISACTIVER)),
    ):
        for first in interrupts[::32]:
            yield f"{name}{first // 32}", place + first // 8
    for first in interrupts[::4]:
        yield f"ipriorityr{first // 4}", _IPRIORITYR + first
    for first in interrupts[::16]:
        yield f"icfgr{first // 16}", _ICFGR + first // 4


def _get(vm: Vm, group: int, attribute: int, size: int = 4) -> int:
    return device_attributes.get(vm.devices[KIND], group, attribute, size)


def _set(vm: Vm, group: int, attribute: int, value: int, size: int = 8) -> None:
    device_attributes.set_to(vm.devices[KIND], group, attribute, value, size)
