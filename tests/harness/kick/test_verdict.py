# SPDX-License-Identifier: GPL-2.0-only
"""The verdicts of races, on summaries made up for the purpose: each rule, and each gap."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.kick.budget import WORDS, Budget, BudgetError
from harness.kick.plan import ENOUGH_LOSSES, LANDINGS, Delivery, Landing, Plan, Protocol
from harness.kick.race import MOST_CONTROLS, MOST_MORE, Race, control_plan, schedules
from harness.kick.slots import Slot
from harness.kick.summary import Round, Summary, latency_percentile
from harness.kick.verdict import (
    InconclusiveError,
    RaceOutcome,
    RaceVerdict,
    judge,
    late_counts,
    require_held,
)
from harness.kvm.unmet import UnmetError

MINIMA = {Landing.IN_WINDOW: 100, Landing.IN_ENTRY: 1000}


def a_round(landing: Landing = Landing.IN_WINDOW, **changes: object) -> Round:
    made = Round(
        number=4711,
        sent_ns=1_000_000,
        latency_ns=60_000_000,
        delay_ns=3_000,
        before=0,
        after=33_000,
        value=0,
        error=0,
        exit_reason=2,
        landing=landing,
        lost=False,
        late=False,
        preempted=False,
        rescued_by_signal=False,
        unclaimed=False,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def a_race(
    *,
    protocol: Protocol = Protocol.HANDLER_WRITES,
    lost: dict[Landing, int] | None = None,
    late: dict[Landing, int] | None = None,
    plan: dict[str, object] | None = None,
    **changes: object,
) -> Summary:
    landings = dict.fromkeys(LANDINGS, 0)
    landings.update({Landing.IN_WINDOW: 1_000, Landing.IN_ENTRY: 59_000, Landing.IN_GUEST: 40_000})
    none = dict.fromkeys(LANDINGS, 0)
    made = Summary(
        plan=replace(Plan(protocol, 100_000), **(plan or {})),  # type: ignore[arg-type]
        kicks=100_000,
        rounds=100_000,
        landings=landings,
        lost={**none, **(lost or {})},
        late={**none, **(late or {})},
        preempted=0,
        spurious=0,
        exits=0,
        unexpected=0,
        unclaimed=0,
        swallowed=0,
        last_error=0,
        rescued=0,
        handled=100_000,
        latency={},
        progress_after={place: {} for place in LANDINGS},
        elapsed_ns=10**9,
        late_turns=85,
        recent=(),
        notable=(),
        turns_per_second=680_000,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def control(losses: int = 9) -> Summary:
    return a_race(protocol=Protocol.CONTROL, lost={Landing.IN_WINDOW: losses})


def verdict_on(race: Summary | list[Summary], **others: object) -> RaceVerdict:
    return judge(race, **{"control": control(), "minima": MINIMA, **others})  # type: ignore[arg-type]


def test_held_says_what_it_bounds() -> None:
    verdict = verdict_on(a_race())
    assert verdict.outcome is RaceOutcome.HELD
    assert verdict.explain() == (
        "held: no kick was lost in 100,000: at most 0.003 % with 95 % confidence"
    )
    require_held(verdict, [a_race()])


def test_one_lost_kick_is_enough() -> None:
    race = a_race(lost={Landing.IN_WINDOW: 1}, notable=(a_round(lost=True),))
    verdict = verdict_on(race)
    assert verdict.outcome is RaceOutcome.LOST
    assert (
        "1 of 100,000 kicks was lost, at most 0.0047 % with 95 % confidence; kick 4,711: the "
        "signal's handler ran between the check of the flag and KVM_RUN; the guest then ran on for "
        "0.06 s (33,000 turns) until the stop word ended the run"
    ) in verdict.text
    assert any("lost 1 of 1,000 in the window" in each for each in verdict.evidence)
    with pytest.raises(UnmetError, match=r"\Alost: ") as found:
        require_held(verdict, [a_race(), race])
    assert (found.value.kind, found.value.of) == ("race", race)


def test_a_loss_outweighs_what_is_missing() -> None:
    race = a_race(lost={Landing.IN_ENTRY: 2}, kicks=10)
    assert verdict_on(race, control=None).outcome is RaceOutcome.LOST


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"notable": (a_round(unclaimed=True),)}, "yet KVM_RUN returned 0"),
        ({"swallowed": 3}, "signals of 3 kicks were gone"),
        ({"unexpected": 2, "last_error": 12}, "-1 with ENOMEM"),
        ({"unexpected": 2}, "at last 0"),
    ],
    ids=["unclaimed", "swallowed", "unexpected_error", "unexpected_exit"],
)
def test_what_else_is_lost(changes: dict[str, object], said: str) -> None:
    verdict = verdict_on(a_race(**changes))  # type: ignore[arg-type]
    assert verdict.outcome is RaceOutcome.LOST
    assert said in verdict.text
    assert said in verdict.explain()


def test_sleeper_and_signals_are_named() -> None:
    race = a_race(
        lost={Landing.IN_ENTRY: 1},
        notable=(a_round(Landing.IN_ENTRY, lost=True, rescued_by_signal=True),),
        plan={"halts": True},
    )
    text = verdict_on(race).text
    assert "slept on for 0.06 s until signals of the supervisor ended the run" in text


def test_late_before_the_entry() -> None:
    race = a_race(
        late={Landing.IN_ENTRY: 40}, notable=(a_round(Landing.IN_ENTRY, late=True, after=400),)
    )
    verdict = verdict_on(race)
    assert verdict.outcome is RaceOutcome.LATE
    assert "40 of 60,000 kicks sent before the guest made progress" in verdict.text
    assert "until it was answered" in verdict.evidence[0]


@pytest.mark.parametrize(
    ("late", "kicks", "outcome"),
    [
        (17, 53, RaceOutcome.LATE),
        (10, 99, RaceOutcome.LATE),
        (9, 20, RaceOutcome.HELD),
        (4_000, 40_000, RaceOutcome.HELD),
        (4_001, 40_000, RaceOutcome.LATE),
    ],
)
def test_kicks_that_the_running_guest_outlives(late: int, kicks: int, outcome: RaceOutcome) -> None:
    """An emulated host has some fifty such kicks in a race."""
    landings = {**a_race().landings, Landing.IN_GUEST: kicks}
    race = a_race(late={Landing.IN_GUEST: late}, landings=landings)
    verdict = verdict_on(race)
    assert verdict.outcome is outcome
    told = f"{late:,} of {kicks:,} kicks sent while the guest ran waited"
    assert (told in verdict.text) == (outcome is RaceOutcome.LATE)


@pytest.mark.parametrize(
    "late",
    [
        {Landing.IN_GUEST: 400},
        {Landing.IN_GUEST: 27, Landing.IN_ENTRY: 40},
        {Landing.IN_ENTRY: 4},
    ],
    ids=["in_the_guest_only", "as_often_in_the_guest", "too_few"],
)
def test_a_busy_host_is_not_late(late: dict[Landing, int]) -> None:
    assert verdict_on(a_race(late=late)).outcome is RaceOutcome.HELD


@pytest.mark.parametrize(
    "plan",
    [{"delivery": Delivery.TIMER}, {"kickers": 4}, {"burst": 8}],
    ids=["timer", "storm", "burst"],
)
def test_races_that_cannot_tell_late(plan: dict[str, object]) -> None:
    race = a_race(late={Landing.IN_ENTRY: 400}, plan=plan)
    assert late_counts([race]).all_before == 0
    assert verdict_on(race).outcome is RaceOutcome.HELD


@pytest.mark.parametrize(
    ("race", "others", "said"),
    [
        (a_race(), {"control": None}, "no control ran"),
        (a_race(), {"control": control(0)}, "lost none of 1,000 in the window"),
        (a_race(kicks=99_999), {}, "ended after 99,999 kicks of 100,000"),
        (a_race(), {"minima": {Landing.BEFORE_CHECK: 1}}, "0 kicks landed before the check"),
    ],
    ids=["no_control", "silent_control", "early_end", "empty_landing"],
)
def test_inconclusive(race: Summary, others: dict[str, object], said: str) -> None:
    verdict = verdict_on(race, **others)
    assert verdict.outcome is RaceOutcome.INCONCLUSIVE
    assert said in verdict.text
    with pytest.raises(InconclusiveError, match=r"\Ainconclusive: "):
        require_held(verdict, [race])


def test_control_of_a_guest_that_leaves_by_itself() -> None:
    overtaken = replace(control(0), notable=(a_round(unclaimed=True),))
    assert verdict_on(a_race(), control=overtaken).outcome is RaceOutcome.HELD


def test_a_storm_is_answered_by_fewer_returns() -> None:
    race = a_race(kicks=25_000, plan={"kickers": 4})
    assert verdict_on(race).outcome is RaceOutcome.HELD


def test_several_races_are_one() -> None:
    verdict = verdict_on([a_race(), a_race()], minima={Landing.IN_WINDOW: 2_000})
    assert verdict.outcome is RaceOutcome.HELD
    assert verdict.kicks == 200_000


def test_a_control_is_of_the_same_kind() -> None:
    race = Plan(
        Protocol.SIGNAL_MASK, 9_000, Delivery.PROCESS, placement="together", burst=3, realtime=2
    )
    asked = control_plan(race)
    alike = ("delivery", "placement", "migrate", "realtime", "halts", "exits", "signo")
    assert all(getattr(asked, name) == getattr(race, name) for name in alike)
    assert (asked.protocol, asked.burst, asked.kickers) == (Protocol.CONTROL, 1, 1)


@pytest.mark.parametrize(("losses", "runs"), [([2], 1), ([0, 0, 1], 3), ([0] * 20, MOST_CONTROLS)])
def test_a_control_runs_until_it_loses(
    monkeypatch: pytest.MonkeyPatch, losses: list[int], runs: int
) -> None:
    made = iter([control(each) for each in losses])
    monkeypatch.setattr(Race, "run_beside", lambda *_: [next(made)])
    found = Race(None, Slot(0, 1), 1).control(Plan(Protocol.HANDLER_WRITES, 1))
    assert found.losses == losses[runs - 1]
    assert len(list(made)) == len(losses) - runs


@pytest.mark.parametrize(("losses", "runs"), [([0, 0, 0], 3), ([12, 8, 0], 2), ([20, 0, 0], 1)])
def test_races_end_with_enough_losses(
    monkeypatch: pytest.MonkeyPatch, losses: list[int], runs: int
) -> None:
    made = iter([control(each) for each in losses])
    monkeypatch.setattr(Race, "run_beside", lambda *_: [next(made)])
    found = Race(None, Slot(0, 1), 1).run(*[Plan(Protocol.HANDLER_WRITES, 1)] * 3)
    assert [each.losses for each in found] == losses[:runs]


def test_each_of_the_guests_beside_each_other_has_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Plan] = []
    monkeypatch.setattr("harness.kick.race.run", lambda _, plans, **__: asked.extend(plans))
    vm = SimpleNamespace(check_extension=lambda _: 2)
    race = Race(SimpleNamespace(vm=vm), Slot(0, 1), 1)  # type: ignore[arg-type]
    race.run_beside([race.guest] * 2, [Plan(Protocol.HANDLER_WRITES, 1)] * 2)
    assert [plan.enough_losses for plan in asked] == [ENOUGH_LOSSES] * 2


@pytest.mark.parametrize("placement", ["apart", "together", "free"])
def test_each_control_has_a_wider_window(monkeypatch: pytest.MonkeyPatch, placement: str) -> None:
    asked: list[Plan] = []

    def lose_nothing(_self: Race, _guests: object, plans: list[Plan]) -> list[Summary]:
        asked.extend(plans)
        return [control(0)]

    monkeypatch.setattr(Race, "run_beside", lose_nothing)
    race = Plan(Protocol.HANDLER_WRITES, 1, placement=placement)
    Race(None, Slot(0, 1), 1).control(race)
    windows = [plan.window_ns for plan in asked]
    assert windows[0] < windows[1]
    assert windows == sorted(windows)
    time_slice_ns = 10_000_000
    assert windows[4] > 2 * time_slice_ns


def landed(in_window: int, window_ns: int = 0, lost: int = 0) -> Summary:
    places = dict.fromkeys(LANDINGS, 0) | {Landing.IN_WINDOW: in_window, Landing.IN_ENTRY: 5_000}
    changes = {"landings": places, "kicks": 10_000, "plan": {"window_ns": window_ns}}
    return a_race(lost={Landing.IN_WINDOW: lost}, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("races", "more", "runs"),
    [
        ([landed(0), landed(100, 50)], [], 0),
        ([landed(0), landed(60, 50), landed(10, 9)], [29, 1, 7], 2),
        ([landed(0), landed(60, 50, lost=1)], [40], 0),
        ([landed(0), landed(60, 50)], [0, landed(0, lost=1), 40], 2),
        ([landed(0), landed(0, 50)], [1] * 9, MOST_MORE),
    ],
    ids=["enough", "until_enough", "lost", "lost_at_last", "in_vain"],
)
def test_a_race_goes_on_until_enough_kicks_landed(
    monkeypatch: pytest.MonkeyPatch, races: list[Summary], more: list[int | Summary], runs: int
) -> None:
    asked: list[Plan] = []

    def run(_self: Race, plan: Plan) -> Summary:
        asked.append(plan)
        found = more[len(asked) - 1]
        return found if isinstance(found, Summary) else landed(found)

    monkeypatch.setattr(Race, "_run", run)
    done = Race(None, Slot(0, 1), 1).until_landed(races, MINIMA)
    assert len(asked) == runs == len(done) - len(races)
    assert done[: len(races)] == races, "their kicks count"
    best = max(races, key=lambda each: each.landings[Landing.IN_WINDOW]).plan
    windows = [plan.window_ns for plan in asked]
    assert windows == [best.window_ns * 4**turn for turn in range(1, runs + 1)]
    assert len({plan.seed for plan in (best, *asked)}) == 1 + runs, "each draws other delays"


def test_latencies_of_several_races() -> None:
    races = [a_race(latency={0: 10, 5: 89}), a_race(latency={9: 1})]
    assert [latency_percentile(races, share) for share in (0.05, 0.5, 0.99, 1)] == [0, 32, 32, 512]
    assert latency_percentile([a_race()], 0.5) == 0


@pytest.mark.parametrize("text", [*WORDS, "50000", "1_000_000"])
def test_budget(text: str) -> None:
    assert Budget.of(text).kicks >= 2_000


@pytest.mark.parametrize("text", ["0", "-5", "1999", "1e9", "much", "", "9" * 30])
def test_no_budget(text: str) -> None:
    with pytest.raises(BudgetError):
        Budget.of(text)


@pytest.mark.parametrize("delivery", [Delivery.THREAD, Delivery.TIMER])
@pytest.mark.parametrize("kicks", [250, 25_000, 33_334])
def test_schedules_spend_the_whole_budget(delivery: Delivery, kicks: int) -> None:
    plans = schedules(Protocol.HANDLER_WRITES, delivery, kicks)
    assert sum(plan.kicks for plan in plans) == kicks
    for plan in plans:
        plan.check()
