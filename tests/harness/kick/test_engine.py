# SPDX-License-Identifier: GPL-2.0-only
"""The kick engine against stand-ins for KVM_RUN: the sound one holds, and each broken one is found.

No test here needs /dev/kvm. tests/fakes/kick/fakes.c says what each stand-in does.
"""

from __future__ import annotations

import errno
import os
import resource
from dataclasses import replace

import pytest

from harness.host.features import reason
from harness.kick.plan import Delays, Delivery, Landing, Plan, Protocol
from harness.kick.summary import Summary
from harness.kick.verdict import RaceOutcome, judge
from harness.native import lib
from tests.fakes.kick.guest import Fakes, landed, race, short

PROMISES = [each for each in Protocol if each.keeps_its_promise]
KICKER_WRITES = (Protocol.KICKER_WRITES, Protocol.CLEARED_LATE)
SHAPES = {
    "plain": {},
    "burst": {"burst": 3},
    "storm": {"kickers": 3},
    "migrate": {"migrate": True},
    "together": {"placement": "together"},
    "random": {"delays": Delays(0, 20_000, 0)},
}
# Long against everything else in a round, so that many kicks land there on a busy host too.
LONG_WINDOW = {"window_ns": 1_000_000, "delays": Delays(0, 900_000, 0)}
# Short against a time slice, so that most kicks land where they are aimed.
SHORT_WINDOW = {"window_ns": 60_000, "delays": Delays(0, 50_000, 0)}
BEFORE_PROGRESS = (Landing.IN_WINDOW, Landing.IN_ENTRY)
# A kicker that takes its turn on the one processor seldom meets a short window.
needs_second_cpu = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason=reason("no_second_cpu")
)


@pytest.fixture(scope="session")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Fakes:
    """The library of stand-ins."""
    return Fakes(tmp_path_factory.mktemp("fakes"))


@pytest.fixture(scope="session")
def control(fakes: Fakes) -> Summary:
    """A control that fired, as a verdict needs one."""
    (summary,) = race(fakes, "sound", short(Protocol.CONTROL, 4, delivery=Delivery.ITSELF))
    assert summary.lost[Landing.IN_WINDOW]
    return summary


def possible(protocol: Protocol, delivery: Delivery) -> bool:
    """Whether the two go together."""
    return not (protocol in KICKER_WRITES and delivery is Delivery.TIMER)


COMBINATIONS = [
    pytest.param(protocol, delivery, shape, id=f"{protocol.value}-{delivery.value}-{shape}")
    for protocol in PROMISES
    for delivery in Delivery
    for shape in SHAPES
    if possible(protocol, delivery)
]


# ---- the sound one


@pytest.mark.parametrize(("protocol", "delivery", "shape"), COMBINATIONS)
def test_the_sound_one_holds(
    fakes: Fakes, control: Summary, protocol: Protocol, delivery: Delivery, shape: str
) -> None:
    (summary,) = race(fakes, "sound", short(protocol, 400, delivery=delivery, **SHAPES[shape]))
    assert summary.losses == 0
    assert sum(summary.late[place] for place in BEFORE_PROGRESS) == 0
    assert (summary.unexpected, summary.swallowed, summary.rescued) == (0, 0, 0)
    assert not any(found.unclaimed for found in summary.notable)
    assert sum(summary.landings.values()) == summary.kicks
    verdict = judge(summary, control=control)
    assert verdict.outcome is RaceOutcome.HELD, verdict.explain()


@pytest.mark.parametrize("protocol", PROMISES)
def test_a_guest_that_halts_is_kicked_out(fakes: Fakes, protocol: Protocol) -> None:
    (summary,) = race(fakes, "sound_halted", short(protocol, 300, halts=True))
    assert (summary.kicks, summary.losses, summary.swallowed) == (300, 0, 0)


@pytest.mark.parametrize("protocol", PROMISES)
def test_a_guest_that_makes_exits(fakes: Fakes, protocol: Protocol) -> None:
    (summary,) = race(fakes, "exits", short(protocol, 500, exits=True))
    assert (summary.kicks, summary.losses, summary.unexpected) == (500, 0, 0)
    assert summary.exits > 0


@pytest.mark.parametrize("protocol", PROMISES)
def test_lanes_side_by_side(fakes: Fakes, protocol: Protocol) -> None:
    for summary in race(fakes, "sound", short(protocol, 200, placement="free"), lanes=4):
        assert (summary.kicks, summary.losses, summary.unexpected) == (200, 0, 0)


def test_every_landing_of_the_handler_is_told_apart(fakes: Fakes) -> None:
    (summary,) = race(fakes, "sound", short(Protocol.HANDLER_WRITES, 300, **LONG_WINDOW))
    for landing in (Landing.IN_WINDOW, Landing.IN_GUEST):
        assert summary.landings[landing], landing


def test_by_itself_the_window_is_walked_through(fakes: Fakes) -> None:
    plan = short(Protocol.HANDLER_WRITES, 600, delivery=Delivery.ITSELF)
    (summary,) = race(fakes, "sound", plan)
    assert summary.landings[Landing.IN_WINDOW] >= 100
    assert summary.losses == 0


# ---- the protocols that keep no promise


@pytest.mark.parametrize("delivery", [Delivery.THREAD, Delivery.PROCESS, Delivery.QUEUE])
def test_the_control_loses_what_lands_in_the_window(fakes: Fakes, delivery: Delivery) -> None:
    # On a busy host kick after kick may miss the window; the run ends when one did not.
    plan = short(Protocol.CONTROL, 1000, delivery=delivery, **LONG_WINDOW)
    (summary,) = race(fakes, "sound", replace(plan, enough_losses=1))
    assert summary.lost[Landing.IN_WINDOW]
    assert summary.lost[Landing.IN_WINDOW] == summary.losses


def test_clearing_after_the_check_loses(fakes: Fakes) -> None:
    (summary,) = race(fakes, "sound", short(Protocol.CLEARED_LATE, 60, delivery=Delivery.ITSELF))
    assert summary.lost[Landing.IN_WINDOW]


# ---- the broken ones


@pytest.mark.parametrize("delivery", [Delivery.THREAD, Delivery.ITSELF, Delivery.TIMER])
def test_a_race_ends_with_enough_losses(fakes: Fakes, delivery: Delivery) -> None:
    """A thousand would take a minute."""
    plan = short(Protocol.HANDLER_WRITES, 1000, delivery=delivery, **LONG_WINDOW)
    (summary,) = race(fakes, "ignores_byte", replace(plan, enough_losses=3))
    assert summary.losses == 3
    assert summary.kicks < 1000
    assert "and ended there" in judge(summary, control=None).explain()


def found_lost(summary: Summary, control: Summary) -> None:
    """The verdict says so."""
    assert judge(summary, control=control).outcome is RaceOutcome.LOST


@pytest.mark.parametrize("fake", ["ignores_byte", "loses_some"])
@pytest.mark.parametrize("protocol", [Protocol.HANDLER_WRITES, Protocol.KICKER_WRITES])
def test_a_byte_that_is_overlooked(
    fakes: Fakes, control: Summary, fake: str, protocol: Protocol
) -> None:
    plan = short(protocol, 12 if fake == "ignores_byte" else 150, delivery=Delivery.ITSELF)
    (summary,) = race(fakes, fake, plan)
    assert summary.lost[Landing.IN_WINDOW]
    assert all(found.after > summary.late_turns for found in summary.notable if found.lost)
    found_lost(summary, control)


def test_a_byte_that_is_overlooked_by_a_thread(fakes: Fakes, control: Summary) -> None:
    plan = short(Protocol.HANDLER_WRITES, 1000, **LONG_WINDOW)
    (summary,) = race(fakes, "ignores_byte", replace(plan, enough_losses=8))
    assert summary.lost[Landing.IN_WINDOW]
    assert summary.lost[Landing.IN_WINDOW] == summary.losses
    found_lost(summary, control)


@needs_second_cpu
def test_a_byte_that_is_looked_at_late(fakes: Fakes, control: Summary) -> None:
    (summary,) = race(
        fakes, "polls_byte_late", short(Protocol.HANDLER_WRITES, 3_000, **SHORT_WINDOW)
    )
    assert summary.losses == 0
    assert landed(summary, "late", Landing.IN_WINDOW) >= 5
    assert judge(summary, control=control).outcome is RaceOutcome.LATE


@needs_second_cpu
def test_a_pending_signal_that_is_seen_late(fakes: Fakes, control: Summary) -> None:
    (summary,) = race(fakes, "misses_pending", short(Protocol.SIGNAL_MASK, 3_000, **SHORT_WINDOW))
    assert summary.losses == 0
    assert landed(summary, "late", *BEFORE_PROGRESS) >= 5
    assert judge(summary, control=control).outcome is RaceOutcome.LATE


@needs_second_cpu
def test_late_is_late_although_the_thread_was_scheduled_out(fakes: Fakes, control: Summary) -> None:
    plan = short(Protocol.SIGNAL_MASK, 3_000, **SHORT_WINDOW, placement="free")
    (summary,) = race(fakes, "misses_pending_preempted", plan)
    late = [each for each in summary.notable if each.late]
    assert sum(each.preempted for each in late) >= 5
    assert judge(summary, control=control).outcome is RaceOutcome.LATE


@pytest.mark.parametrize("protocol", PROMISES)
def test_a_signal_that_is_swallowed(fakes: Fakes, control: Summary, protocol: Protocol) -> None:
    (summary,) = race(fakes, "swallows", short(protocol, 100, delays=Delays(8_000, 12_000, 10)))
    assert summary.losses
    found_lost(summary, control)


@pytest.mark.parametrize("protocol", PROMISES)
@pytest.mark.parametrize("delivery", [Delivery.THREAD, Delivery.PROCESS, Delivery.QUEUE])
def test_a_signal_that_is_swallowed_yet_answered(
    fakes: Fakes, control: Summary, protocol: Protocol, delivery: Delivery
) -> None:
    plan = short(protocol, 400, delivery=delivery, delays=Delays(8_000, 12_000, 10))
    (summary,) = race(fakes, "swallows_answers", plan)
    assert summary.swallowed
    assert (summary.kicks, summary.losses) == (400, 0)
    found_lost(summary, control)


@pytest.mark.parametrize("protocol", PROMISES)
def test_one_run_in_ten_thousand_returns_0(
    fakes: Fakes, control: Summary, protocol: Protocol
) -> None:
    (summary,) = race(fakes, "wrong_exit", short(protocol, 25_000, delays=Delays(0, 2_000, 10)))
    assert summary.unexpected
    assert summary.last_error == 0
    found_lost(summary, control)


@pytest.mark.parametrize("protocol", PROMISES)
def test_one_wrong_exit_of_a_lane_is_one_too_many(
    fakes: Fakes, control: Summary, protocol: Protocol
) -> None:
    (summary,) = race(fakes, "wrong_exit_once", short(protocol, 2_000, delays=Delays(0, 2_000, 10)))
    assert summary.unexpected == 1
    found_lost(summary, control)


@pytest.mark.parametrize("protocol", PROMISES)
def test_one_run_in_ten_thousand_fails_with_eagain(
    fakes: Fakes, control: Summary, protocol: Protocol
) -> None:
    (summary,) = race(fakes, "wrong_error", short(protocol, 25_000, delays=Delays(0, 2_000, 10)))
    assert summary.unexpected
    assert summary.last_error == errno.EAGAIN
    found_lost(summary, control)


@pytest.mark.parametrize("protocol", PROMISES)
def test_one_run_in_ten_thousand_fails_with_eintr(fakes: Fakes, protocol: Protocol) -> None:
    # Spurious interruptions are legal, so they are counted and no more. A delay sees to it that
    # the wrong answer comes before the kick.
    plan = short(protocol, 25_000, delays=Delays(2_000, 4_000, 10), window_ns=0)
    (summary,) = race(fakes, "wrong_interrupt", plan)
    assert summary.spurious
    assert (summary.unexpected, summary.losses) == (0, 0)


def test_a_control_by_itself_loses_each_kick_beside_runs_that_end_for_nothing(
    fakes: Fakes,
) -> None:
    """At each instruction behind the check's load, also before the thread has noted it."""
    plan = short(Protocol.CONTROL, 24, delivery=Delivery.ITSELF, window_ns=0)
    (control,) = race(fakes, "ends_for_nothing", plan)
    assert control.spurious
    assert control.lost[Landing.IN_WINDOW] == control.landings[Landing.IN_WINDOW] > 12


@pytest.mark.parametrize("protocol", PROMISES)
def test_runs_that_end_for_nothing_all_the_time(fakes: Fakes, protocol: Protocol) -> None:
    """The race holds, and its control still loses what lands in the window."""
    (control,) = race(fakes, "ends_for_nothing", short(Protocol.CONTROL, 20, **LONG_WINDOW))
    assert control.spurious
    assert control.lost[Landing.IN_WINDOW] == control.landings[Landing.IN_WINDOW] > 0
    plan = short(protocol, 400, delays=Delays(2_000, 40_000, 10), window_ns=0)
    (summary,) = race(fakes, "ends_for_nothing", plan)
    assert summary.spurious
    assert (summary.losses, summary.unexpected, summary.swallowed) == (0, 0, 0)
    verdict = judge(summary, control=control)
    assert verdict.outcome is RaceOutcome.HELD, verdict.explain()


def test_a_lost_kick_is_found_though_something_else_ends_its_run(
    fakes: Fakes, control: Summary
) -> None:
    plan = short(Protocol.HANDLER_WRITES, 400, **LONG_WINDOW)
    (summary,) = race(fakes, "loses_and_ends", plan)
    verdict = judge(summary, control=control)
    assert verdict.outcome in (RaceOutcome.LOST, RaceOutcome.LATE), verdict.explain()


@pytest.mark.parametrize("protocol", [Protocol.HANDLER_WRITES, Protocol.KICKER_WRITES])
def test_a_byte_that_ends_the_run_with_0(
    fakes: Fakes, control: Summary, protocol: Protocol
) -> None:
    (summary,) = race(fakes, "byte_unclaimed", short(protocol, 300, delivery=Delivery.ITSELF))
    assert summary.unexpected
    assert any(found.unclaimed for found in summary.notable)
    found_lost(summary, control)


@pytest.mark.parametrize("halts", [False, True], ids=["spins", "halts"])
@pytest.mark.parametrize("protocol", PROMISES)
def test_a_run_that_sleeps_on_is_ended_by_signals(
    fakes: Fakes, control: Summary, protocol: Protocol, halts: bool
) -> None:
    (summary,) = race(fakes, "sleeps", short(protocol, 4, halts=halts))
    assert summary.losses == summary.rescued
    assert summary.losses
    assert any(found.rescued_by_signal for found in summary.notable)
    found_lost(summary, control)


@pytest.mark.parametrize("protocol", PROMISES)
def test_a_run_that_sees_no_signal_is_ended_by_the_stop_word(
    fakes: Fakes, control: Summary, protocol: Protocol
) -> None:
    plan = short(protocol, 6, delays=Delays(20_000, 20_000, 1), window_ns=0)
    (summary,) = race(fakes, "deaf", plan)
    assert summary.losses
    assert not any(found.rescued_by_signal for found in summary.notable)
    found_lost(summary, control)


@pytest.mark.parametrize("protocol", [Protocol.HANDLER_WRITES, Protocol.SIGNAL_MASK])
@pytest.mark.parametrize("fake", ["deaf", "sleeps"])
def test_a_timer_whose_signal_nobody_takes(
    fakes: Fakes, control: Summary, fake: str, protocol: Protocol
) -> None:
    """A timer's signal is its own request: the supervisor goes by the timer's date."""
    halts = fake == "sleeps"
    plan = short(
        protocol, 3, delays=Delays(200_000, 200_000, 1), window_ns=0, delivery=Delivery.TIMER,
        halts=halts,
    )  # fmt: skip
    (summary,) = race(fakes, fake, plan)
    assert summary.kicks == 3
    assert summary.losses
    found_lost(summary, control)


# ---- memory


def test_memory_does_not_grow_with_the_number_of_kicks(fakes: Fakes) -> None:
    def most_memory(kicks: int) -> int:
        (summary,) = race(
            fakes, "sound", Plan(Protocol.HANDLER_WRITES, kicks, delays=Delays(0, 0, 1))
        )
        assert summary.kicks == kicks
        assert len(summary.recent) == min(kicks, lib.KE_RING)
        assert len(summary.notable) <= lib.KE_NOTABLE
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    most_memory(5_000)
    first = most_memory(5_000)
    # KiB. A record for each of the kicks that come on top would be more than 2 MiB.
    assert most_memory(50_000) - first < 1024
