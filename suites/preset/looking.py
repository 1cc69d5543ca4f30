# SPDX-License-Identifier: GPL-2.0-only
"""The thread that calls KVM_RUN, looked at around each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.host.features import reason
from harness.kvm.calling_thread import NoExtendedStateError, ThreadLook, looked_at
from harness.kvm.guest import Guest
from harness.kvm.running import Processor
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm


@contextmanager
def looking(
    guest: Guest,
    other: Processor | None = None,
    fill: Callable[[Vcpu, Vm], None] | None = None,
) -> Iterator[ThreadLook]:
    """The threads that call KVM_RUN are looked at, with the vCPU's state unlike theirs.

    Of the guest's vCPU, or of another one of its. `fill` puts that state there, where it is not to
    be all of `Architecture.fill`.
    """
    processor = other or guest
    (fill or guest.architecture.fill)(processor.vcpu, guest.vm)
    try:
        with looked_at(processor.vcpu) as look:
            yield look
    except NoExtendedStateError as error:
        pytest.skip(reason("other_architecture", error.strerror))


def require_same_thread(look: ThreadLook, circumstance: str) -> None:
    """The thread has what it had before KVM_RUN."""
    __tracebackhide__ = True
    found = look.differences()
    assert not found, (
        f"{circumstance}, the thread that called KVM_RUN must be as it was, but "
        f"{'; '.join(found[:4])} (run {look.calls})"
    )
