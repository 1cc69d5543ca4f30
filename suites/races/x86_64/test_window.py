# SPDX-License-Identifier: GPL-2.0-only
"""A kick at each instruction between the check of the flag and KVM_RUN."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.host import pace
from harness.kick.plan import Delivery, Landing, Plan, Protocol
from harness.kick.race import Race
from harness.kick.verdict import InconclusiveError
from suites.dimensions import only_on
from suites.races.conftest import Judge

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

# More than the engine keeps would hide steps. Each one's turn comes 50 times, on a slow machine 12:
# there every step is a trap that is emulated.
KICKS = pace.here().choose(usual=1000, slow=250)
LEAST_IN_WINDOW = KICKS // 2


@pytest.mark.claim("races.window")
@pytest.mark.parametrize(
    "protocol",
    [Protocol.HANDLER_WRITES, Protocol.KICKER_WRITES, Protocol.SIGNAL_MASK],
    ids=lambda protocol: protocol.value,
)
def test_each_instruction(
    race: Race,
    protocol: Protocol,
    require_no_loss: Judge,
    record_property: Callable[[str, object], None],
) -> None:
    """The vCPU's thread single-steps itself there, and kicks itself at one step after another.

    A kick before KVM_RUN with the byte set, or a signal pending that the mask lets in: no guest
    instruction is executed. The control, with neither, loses every one of them.
    """
    plan = Plan(protocol, KICKS, Delivery.ITSELF, window_ns=0)
    unprotected = race.control(plan)
    (race_here,) = race.run(plan)
    steps = {each.delay_ns for each in race_here.recent}
    record_property("instructions_stepped", len(steps))
    require_no_loss(
        race,
        [race_here],
        {Landing.BEFORE_CHECK: 1, Landing.IN_WINDOW: LEAST_IN_WINDOW},
        unprotected,
    )
    if steps != set(range(1, max(steps) + 1)):
        raise InconclusiveError(
            f"inconclusive: of {max(steps)} instructions of the window only {len(steps)} saw a kick"
        )
    ran = {b: n for b, n in race_here.progress_after[Landing.IN_WINDOW].items() if b}
    assert not ran, (
        f"after a kick in the window the guest must not execute anything, but in "
        f"{sum(ran.values())} of {race_here.landings[Landing.IN_WINDOW]} runs it made progress"
    )
    lost, landed = unprotected.lost[Landing.IN_WINDOW], unprotected.landings[Landing.IN_WINDOW]
    # Nearly all of them: a signal to the process may end a run that nothing else would have ended.
    if lost * 2 < landed:
        raise InconclusiveError(
            f"inconclusive: the control must lose the kicks in the window, but lost {lost} of "
            f"{landed}"
        )
