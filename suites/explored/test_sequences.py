# SPDX-License-Identifier: GPL-2.0-only
"""Whatever userspace did to a vCPU before, in whatever order: each answer is an allowed one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from harness.host.features import reason
from harness.kvm.guest import Guest
from harness.kvm.system import System
from harness.kvm.unmet import CONTENT, UnmetError
from harness.reporting.verdict_text import SEQUENCE
from harness.sequences import arch
from harness.sequences.drawing import explore
from harness.sequences.shrinking import shortest
from harness.sequences.told import told_calls
from suites.dimensions import every_irqchip

pytestmark = pytest.mark.usefixtures("capability")

OPERATIONS = 25


@pytest.mark.claim("explored.sequences")
@pytest.mark.keeps("irqchip")
@pytest.mark.parametrize("seed", range(4))
@every_irqchip
def test_sequences(
    kvm: System,
    guest: Guest,  # skips where this KVM has no such interrupt controller
    irqchip: str,
    seed: int,
    sequences: Iterable[int],
    record_property: Callable[[str, object], None],
) -> None:
    """Drawn at random, the same for the same seed. The first that fails is made shorter."""
    if not arch.is_there():
        pytest.skip(reason("other_architecture", "without a program that plays a script"))
    guest.close()
    found = explore(kvm, irqchip, numbers=sequences, operations=OPERATIONS, seed=seed)
    if found is None:
        return
    shown = shortest(kvm, found)
    record_property(SEQUENCE, shown.recorded.as_json().decode())
    error = UnmetError("", f"{shown.violation.claim} does not hold: {shown.violation}", CONTENT)
    error.calls = told_calls(kvm, shown.recorded, shown.violation.claim)
    raise error
