# SPDX-License-Identifier: GPL-2.0-only
"""What KVM lets userspace read of a vCPU and its VM, part by part, as numbers by name."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Mapping

from harness.kvm.abi import KvmError
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

Part = Mapping[str, int]
Read = Callable[[Vcpu, Vm], Part]


def whole(parts: Mapping[str, Read], vcpu: Vcpu, vm: Vm) -> Part:
    """Every number of these parts, behind the name of its part. Raises `KvmError`.

    A part that this KVM does not have is left out.
    """
    found: dict[str, int] = {}
    for name, read in parts.items():
        try:
            part = read(vcpu, vm)
        except KvmError as error:
            # EINVAL, ENXIO: no such chip in this VM; ENOTTY: an ioctl that this KVM has not.
            if error.errno not in (errno.EINVAL, errno.ENXIO, errno.ENOTTY):
                raise
            continue
        for each, value in part.items():
            found[f"{name} {each}" if each else name] = value
    return found


def statistics(vcpu: Vcpu, vm: Vm, names: Collection[str]) -> Part:
    """Those of these statistics that this kernel counts. Raises `KvmError`.

    An architecture names those of the guest: api.rst, KVM_GET_STATS_FD, promises a form and no
    meaning.
    """
    stats = vm.stats_of(vcpu)
    if stats is None:
        return {}
    try:
        return {name: stats.read(name) or 0 for name in stats.names() if name in names}
    finally:
        stats.close()
