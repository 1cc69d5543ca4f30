# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: a vCPU's state is set again, put back, or goes on in another VM, as monitors do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.kvm import settable
from harness.kvm.arch.ppc64le.readable import FLOATS, SPECIAL_NUMBERS, VECTORS
from harness.kvm.arch.ppc64le.state import get_regs, set_regs
from harness.kvm.vcpu import Vcpu

# Of the special ones those that a program of ours can have changed.
_NUMBERS = (
    *FLOATS.values(),
    *VECTORS.values(),
    *(SPECIAL_NUMBERS[name] for name in ("dscr", "dar", "dsisr", "fpscr", "vscr", "tar", "vrsave")),
)


def rewrite(vcpu: Vcpu) -> None:
    """All that KVM says of the vCPU is set again: nothing has changed. Raises `KvmError`."""
    set_regs(vcpu, get_regs(vcpu))
    settable.write(vcpu, settable.read(vcpu, _NUMBERS))


@contextmanager
def put_back(vcpu: Vcpu) -> Iterator[None]:
    """At the end the vCPU is as it was, but for what keeps time. Raises `KvmError`."""
    regs = get_regs(vcpu)
    with settable.put_back(vcpu, _NUMBERS):
        yield
    set_regs(vcpu, regs)


def move(source: Vcpu, target: Vcpu) -> None:
    """All that a monitor saves, but for what keeps time. Nothing may be pending to complete.

    Where the page tables are the target's VM knows. Raises `KvmError`.
    """
    set_regs(target, get_regs(source))
    settable.write(target, settable.read(source, _NUMBERS))
