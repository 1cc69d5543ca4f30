# SPDX-License-Identifier: GPL-2.0-only
"""What the VM of a sequence has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """What a VM has: who keeps its interrupt controller, and features of its architecture."""

    irqchip: str = "none"
    features: tuple[str, ...] = ()

    def has(self, needed: str) -> bool:
        """Whether a step or an operation that needs this can be done."""
        chip = "no_irqchip" if self.irqchip == "none" else "irqchip"
        return needed in ("", chip, self.irqchip, *self.features)
