# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU's registers by number, kept, set again and put back, where that is all of its state."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from harness.kvm.abi import KvmError
from harness.kvm.registers import get_registers, set_register
from harness.kvm.vcpu import Vcpu

_REFUSED = (errno.EINVAL, errno.EPERM, errno.EBUSY, errno.ENOENT, errno.EOPNOTSUPP)


def read(vcpu: Vcpu, numbers: Sequence[int]) -> Mapping[int, int]:
    """Those of these registers that this vCPU has. Raises `KvmError`."""
    return get_registers(vcpu, numbers, may_lack=True)


def write(vcpu: Vcpu, values: Mapping[int, int]) -> None:
    """What cannot be set, or not any more, such as an ID register, is left as it is. `KvmError`."""
    for number, value in values.items():
        try:
            set_register(vcpu, number, value)
        except KvmError as error:
            if error.errno not in _REFUSED:
                raise


@contextmanager
def put_back(vcpu: Vcpu, numbers: Sequence[int]) -> Iterator[None]:
    """At the end these registers are as they were. Raises `KvmError`."""
    values = read(vcpu, numbers)
    try:
        yield
    finally:
        write(vcpu, values)


@contextmanager
def mp_state_put_back(vcpu: Vcpu) -> Iterator[None]:
    """At the end the MP state is as it was. Raises `KvmError`."""
    mp_state = vcpu.mp_state()
    try:
        yield
    finally:
        vcpu.set_mp_state(mp_state)
