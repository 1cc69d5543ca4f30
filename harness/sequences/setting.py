# SPDX-License-Identifier: GPL-2.0-only
"""What the VM of a sequence has."""

from __future__ import annotations

from dataclasses import dataclass

from harness.kvm.arch import current

#: A feature: what the guest stores is told in a ring, and there is no log that could be read.
DIRTY_RING = "dirty_ring"


@dataclass(frozen=True)
class Setting:
    """What a VM has: who keeps its interrupt controller, and features of its architecture."""

    irqchip: str = "none"
    features: tuple[str, ...] = ()

    def has(self, needed: str) -> bool:
        """Whether a step or an operation that needs this can be done.

        "irqchip": interrupts that need nothing more of userspace, and a halt that KVM waits in.
        """
        chip = "irqchip" if self.irqchip in current().HALTS_IN_KERNEL else "no_irqchip"
        log = "" if DIRTY_RING in self.features else "dirty_log"
        return needed in ("", chip, log, self.irqchip, *self.features)
