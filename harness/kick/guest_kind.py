# SPDX-License-Identifier: GPL-2.0-only
"""What a race kicks: a program of guest_blobs, and the VM that it needs."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.kvm.abi import LackingError
from harness.kvm.guest import Guest, create
from harness.kvm.running import warm_up
from harness.kvm.system import System


@dataclass(frozen=True)
class GuestKind:
    """A program and how it behaves: `halts` and `exits` as in `harness.kick.plan.Plan`.

    `data` are mailbox words by number. Without `polling` the thread of a halted vCPU sleeps at
    once (KVM_CAP_HALT_POLL, api.rst 7.20); with it, it polls for as long as the host says.
    """

    program: str
    irqchip: str = "none"
    halts: bool = False
    exits: bool = False
    polling: bool = True
    data: Mapping[int, int] = field(default_factory=dict)

    @property
    def spins(self) -> bool:
        """Whether it counts for as long as it runs."""
        return not self.halts and not self.exits

    def make(self, system: System, mode: str) -> Guest:
        """Such a guest, warm if it spins. Raises `KvmError`, `BlobError` and `NotSeenError`."""
        guest = create(system, self.irqchip)
        try:
            if not self.polling and not guest.vm.set_halt_poll(0):
                what = "a VM without halt polling (KVM_CAP_HALT_POLL)"
                raise LackingError(what, errno.EOPNOTSUPP)
            guest.load(self.program, mode, self.data)
            if self.spins:
                warm_up(guest)
        except BaseException:
            guest.close()
            raise
        return guest


SPINS = GuestKind("heartbeat")
