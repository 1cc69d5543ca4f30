# SPDX-License-Identifier: GPL-2.0-only
"""What KVM owes a vCPU: how it comes about, and how a normal run shows that it was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from harness.kvm.exits import VcpuExit
from harness.kvm.guest import Guest
from harness.kvm.running import Running, warm_up
from harness.require import require_ended, require_exit, require_left
from harness.ways import BYTE, SIGNAL, WayOut


@dataclass(frozen=True)
class Owed:
    """One line of the test.

    `by` names the call, for sentences. `prepare` brings the guest to where the call is made, `ask`
    makes it, and `shown` is a normal run in which the guest's own doing shows the change; it is
    told the circumstance. Each may skip the test. `leaves` is an exit that is made before KVM looks
    for a signal: a run that meets one may end by it.
    """

    by: str
    ask: Callable[[Guest], None]
    shown: Callable[[Guest, str], None]
    prepare: Callable[[Guest], None] = warm_up
    program: str = "heartbeat"
    irqchip: str = "none"
    leaves: type[VcpuExit] | None = None


def until(condition: Callable[[Guest], bool], what: str) -> Callable[[Guest, str], None]:
    """Shown by a run during which the condition comes to hold; the program then leaves."""

    def shown(guest: Guest, circumstance: str) -> None:
        __tracebackhide__ = True
        with Running(guest) as running:
            running.wait_until(lambda: condition(guest), f"{what}, {circumstance}")
            guest.stop()
            result = running.outcome()
        require_left(result, circumstance.capitalize())

    return shown


def run_to_the_end(guest: Guest, circumstance: str) -> None:
    """A normal run, on this thread, in which the program sees the stop word and leaves."""
    __tracebackhide__ = True
    guest.stop()
    require_left(guest.vcpu.run_raw(), circumstance.capitalize())


def each_of(lines: Mapping[str, Owed]) -> pytest.MarkDecorator:
    """The test runs once for each, in a VM as it wants it."""
    return pytest.mark.parametrize(
        ("owed", "irqchip", "guest_program"),
        [(line, line.irqchip, line.program) for line in lines.values()],
        ids=lines,
        indirect=["irqchip", "guest_program"],
    )


# None, for a line that shows nothing without them is no test of them; one, for a defect that
# toggles cancels out over an even number; and many.
runs = pytest.mark.parametrize(
    ("times", "way"),
    [(0, BYTE), (1, BYTE), (20, BYTE), (20, SIGNAL)],
    ids=["none", "one", "twenty", "twenty_signals"],
)


def require_kept(guest: Guest, owed: Owed, times: int, way: WayOut) -> None:
    """The change is in force in the next run, so many runs of this way having come in between."""
    __tracebackhide__ = True
    owed.prepare(guest)
    owed.ask(guest)
    if times:
        result = way.run_many(guest.vcpu, times)
        if way.signal and owed.leaves and result.value == 0:
            require_exit(result, owed.leaves, f"On run {result.runs} after {owed.by}{way.said}")
            return
        require_ended(result, way, f"In {times} runs after {owed.by}")
    counted = {0: "without a run", 1: "one run"}
    owed.shown(guest, f"{counted.get(times, f'{times} runs')}{way.said} after {owed.by}")
