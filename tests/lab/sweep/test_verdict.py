# SPDX-License-Identifier: GPL-2.0-only
"""The verdict of a sweep, on kicks that are made up: sound kernels and kernels with a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.kick.plan import Protocol
from harness.native import ffi, lib
from lab.launch.exit_codes import Exit
from lab.sweep import kicks
from lab.sweep.inside import PASS_SHIFT
from lab.sweep.kicks import Kick, SweepError, Symbols
from lab.sweep.report import Report
from lab.sweep.verdict import NEAR_ENTRY, judge
from lab.sweep.ways import WAYS
from tools.screen.sweep import text as sweep_text

FIRST, LAST = -100, 700
CHECK, CALL, OFF, ENTRY = 40, 55, 400, 450
USER, KERNEL = 0x7FFF_0000, 0xFFFF_FFFF_8100_0000
COST = 1340  # from the instruction to the trace's entry
LEAVING = 350  # more, through the guest's entry and exit
TURN = 4
TICK_TURNS = 600_000


def sound(position: int) -> Kick:
    """A kick on a kernel without a fault: the way of the module's constants."""
    kick = Kick(
        position=position,
        taken=position + COST,
        counter=KERNEL + position,
        landing="in KVM_RUN",
        entered=position >= CHECK,
        value=-4,
        exit_reason=10,
        progress=0,
        rescued=False,
    )
    if position < CALL:
        kick = replace(kick, counter=USER + position, taken=position + COST - 300)
    if OFF <= position < ENTRY:
        kick = replace(kick, counter=KERNEL + 5000, taken=ENTRY + LEAVING + COST)
    if position >= ENTRY:
        kick = replace(kick, counter=KERNEL + 5000, progress=(position - ENTRY) // TURN + 1)
    return kick


def passes(kernel: Callable[[int], Kick] = sound, count: int = 3) -> list[list[Kick]]:
    return [
        [kernel(place - PASS_SHIFT * number) for place in range(FIRST, LAST)]
        for number in range(count)
    ]


@pytest.fixture
def symbols(tmp_path: Path) -> Symbols:
    path = tmp_path / "symbols"
    path.write_text(
        f"{KERNEL:x} T entry\n{KERNEL + 200:x} t run [kvm]\n{KERNEL + 300:x} d data\n"
        f"{KERNEL + 5000:x} t left [kvm]\n"
    )
    return Symbols(path)


def overtaken_at(*places: int, turns: int = TICK_TURNS) -> Callable[[int], Kick]:
    """A kernel that misses kicks at these positions, and answers them at the next tick."""

    def kernel(position: int) -> Kick:
        kick = sound(position)
        return replace(kick, progress=turns) if position in places else kick

    return kernel


def test_sound_kernel_is_covered_and_held(symbols: Symbols) -> None:
    found = judge(passes(), WAYS["spinning"], Protocol.HANDLER_WRITES, symbols)
    assert (found.check, found.entry) == (CHECK, ENTRY)
    assert not found.windows
    assert found.overtaken == 0
    assert not found.unknown
    assert found.covered == OFF - CHECK
    assert [(each.first, each.last) for each in found.held_back] == [(OFF, ENTRY - 1)]
    assert "360 of 410 boundaries, at 50 more interrupts are off" in found.coverage()


@pytest.mark.parametrize("place", [OFF - 1, OFF, ENTRY - 1])
def test_window_of_one_boundary_is_found_and_named(symbols: Symbols, place: int) -> None:
    found = judge(passes(overtaken_at(place)), WAYS["spinning"], Protocol.HANDLER_WRITES, symbols)
    assert [(each.first, each.last) for each in found.windows] == [(place, place)]
    name = f"run+{place - 200:#x}" if place < OFF else "left+0x0"
    assert found.windows[0].text == name
    assert found.overtaken == 3
    assert found.most_turns == TICK_TURNS


def test_neighbouring_windows_are_one(symbols: Symbols) -> None:
    kernel = overtaken_at(*range(OFF - 10, ENTRY))
    found = judge(passes(kernel), WAYS["spinning"], Protocol.HANDLER_WRITES, symbols)
    assert [(each.first, each.last) for each in found.windows] == [(OFF - 10, ENTRY - 1)]


def test_kick_that_the_hosts_work_moved_into_the_guest_accuses_nobody(symbols: Symbols) -> None:
    """The calibration's error is below a hundred instructions: a few turns of the guest."""
    found = judge(
        passes(overtaken_at(ENTRY - 5, turns=25)),
        WAYS["spinning"],
        Protocol.HANDLER_WRITES,
        symbols,
    )
    assert not found.windows


def test_instruction_without_a_kick_is_named(symbols: Symbols) -> None:
    def kernel(position: int) -> Kick:
        kick = sound(position)
        return replace(kick, taken=None, counter=None) if position == 200 else kick

    found = judge(passes(kernel), WAYS["spinning"], Protocol.HANDLER_WRITES, symbols)
    assert found.unknown == (200,)
    assert "at 1 no kick was met" in found.coverage()
    report = Report("k", "1", {"zero": 0, "one": 1, "other": 0}, {}, (found,))
    assert report.exit_code() is Exit.SUITE_ERROR


def test_late_by_the_clock_alone_is_not_held_back(symbols: Symbols) -> None:
    def kernel(position: int) -> Kick:
        kick = sound(position)
        return replace(kick, taken=(kick.taken or 0) + 190) if position == 300 else kick

    found = judge(passes(kernel), WAYS["spinning"], Protocol.HANDLER_WRITES, symbols)
    assert [(each.first, each.last) for each in found.held_back] == [(OFF, ENTRY - 1)]


def control(position: int) -> Kick:
    kick = sound(position)
    if CHECK <= position < CALL:
        return replace(kick, rescued=True, progress=3_000_000)
    return kick


def judged(symbols: Symbols, kernel: Callable[[int], Kick]) -> Report:
    """A report with a sound sweep and this control."""
    sweep = judge(passes(), WAYS["spinning"], Protocol.HANDLER_WRITES, symbols)
    check = judge(
        [each[:241] for each in passes(kernel)],
        WAYS["spinning"],
        Protocol.CONTROL,
        symbols,
        check=sweep.check,
        entry=sweep.entry,
    )
    steps = {"zero": 0, "one": 1590, "other": 9, "missed": 0}
    return Report("a kernel", "6.1", steps, {"immediate": 1402.04}, (sweep, check))


def test_control_that_loses_the_window_lets_the_verdict_hold(symbols: Symbols) -> None:
    report = judged(symbols, control)
    assert report.verdicts[1].in_window == 3 * (CALL - CHECK)
    assert report.exit_code() is Exit.HELD
    text = sweep_text(report, 100)
    assert "VERDICT  held. On a kernel no kick waited" in text
    assert "lost 45 of 45 kicks between the check and the system call" in text
    assert "1,402 instructions" in text


def test_control_that_loses_nothing_is_no_verdict(symbols: Symbols) -> None:
    report = judged(symbols, sound)
    assert report.exit_code() is Exit.SUITE_ERROR
    assert "not judged. spinning: the control must lose every kick" in report.verdict()


def test_control_that_loses_elsewhere_is_no_verdict(symbols: Symbols) -> None:
    def kernel(position: int) -> Kick:
        return replace(control(position), rescued=True) if position == 90 else control(position)

    assert judged(symbols, kernel).exit_code() is Exit.SUITE_ERROR


def test_window_speaks_against_the_kernel_whatever_the_control_did(symbols: Symbols) -> None:
    broken = judge(passes(overtaken_at(399)), WAYS["spinning"], Protocol.HANDLER_WRITES, symbols)
    report = Report("k", "6.1", {"zero": 0, "one": 1, "other": 0}, {}, (broken,))
    assert report.exit_code() is Exit.FAILED
    assert "399: run+0xc7 is overtaken: the vCPU enters the guest" in report.verdict()


def leaves_by_itself(position: int) -> Kick:
    kick = sound(position)
    return replace(kick, value=0, progress=1) if position >= ENTRY else replace(kick, progress=0)


def test_guest_that_leaves_needs_most_passes(symbols: Symbols) -> None:
    way = WAYS["pending"]
    place = ENTRY - NEAR_ENTRY - 10

    def always(position: int) -> Kick:
        kick = leaves_by_itself(position)
        return replace(kick, value=0, progress=1) if position == place else kick

    found = judge(passes(always), way, Protocol.HANDLER_WRITES, symbols)
    assert [each.first for each in found.windows] == [place]
    # Once in three passes it is the host's own work.
    once = [*passes(always, 1), *passes(leaves_by_itself)[1:]]
    assert not judge(once, way, Protocol.HANDLER_WRITES, symbols).windows


def test_sleeping_guest_that_nothing_wakes(symbols: Symbols) -> None:
    def asleep(position: int) -> Kick:
        kick = sound(position)
        return replace(kick, taken=None, counter=None, progress=0) if position >= ENTRY else kick

    def missed(position: int) -> Kick:
        return replace(asleep(position), rescued=position == 350)

    way = WAYS["halted"]
    sound_one = judge(passes(asleep), way, Protocol.HANDLER_WRITES, symbols)
    assert sound_one.entry == ENTRY
    assert not sound_one.windows
    broken = judge(passes(missed), way, Protocol.HANDLER_WRITES, symbols)
    assert [each.first for each in broken.windows] == [350]


# ---- the files of a sweep


def write(folder: Path, rounds: list[dict[str, int]], trace: str) -> None:
    found = ffi.new("struct sw_round[]", len(rounds))
    for index, fields in enumerate(rounds):
        for name, value in fields.items():
            setattr(found[index], name, value)
    (folder / "x.rounds").write_bytes(bytes(ffi.buffer(found)))
    (folder / "x.trace").write_text(trace)


def interrupt(time: int, counter: int) -> str:
    return (
        f"          python-157     [000] d.h..  {time}: interrupt: "
        f"(__sysvec_apic_timer_interrupt+0x0/0x110) ip={counter:#x} cs=0x10\n"
    )


def posted(time: int) -> str:
    return (
        f"          python-157     [000] d.h2.  {time}: signal_generate: sig=42 errno=0 code=-2 "
        "comm=python pid=157 grp=0 res=0\n"
    )


def test_kick_is_the_interrupt_that_posted_the_signal(tmp_path: Path) -> None:
    """An interrupt that found nothing due comes before it, and is not the kick."""
    trace = interrupt(1_000_100, KERNEL) + interrupt(1_001_300, KERNEL + 7) + posted(1_002_000)
    begun = {"began": 1_000_000, "returned": 1_005_000, "landing": lib.SW_IN_KVM_RUN, "entered": 1}
    later = {"began": 1_020_000, "returned": 1_025_000, "landing": lib.SW_AFTER}
    write(tmp_path, [begun, later], "# tracer: nop\n" + trace)
    first, second = kicks.read(tmp_path, "x", 10)
    assert (first.position, first.taken, first.counter) == (10, 1300, KERNEL + 7)
    assert first.in_kernel
    # The next round's position is one on, by a skipped NOP; no kick of its own is in the trace.
    assert (second.position, second.taken) == (11, None)


@pytest.mark.parametrize(
    ("rounds", "trace", "said"),
    [
        (b"", "", "is damaged: 0 bytes"),
        (b"x" * 17, "", "is damaged: 17 bytes"),
        (None, "# nothing\n", "holds no kick"),
    ],
)
def test_damaged_files(tmp_path: Path, rounds: bytes | None, trace: str, said: str) -> None:
    write(tmp_path, [{}], trace)
    if rounds is not None:
        (tmp_path / "x.rounds").write_bytes(rounds)
    with pytest.raises(SweepError, match=said):
        kicks.read(tmp_path, "x", 0)


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="left no result"):
        kicks.read(tmp_path, "x", 0)


def test_clock_that_does_not_count_instructions_judges_nothing(symbols: Symbols) -> None:
    blind = replace(
        judged(symbols, control), steps={"zero": 0, "one": 3, "other": 5, "missed": 1591}
    )
    assert blind.exit_code() is Exit.SUITE_ERROR
    assert "of 8 steps on a slide of NOPs only 3 were of one (1,591 kicks missed it)" in (
        blind.verdict()
    )
    none = replace(blind, steps={"zero": 0, "one": 0, "other": 0, "missed": 1600})
    assert none.exit_code() is Exit.SUITE_ERROR


def test_calibration_counts_steps() -> None:
    steps = kicks.calibration([5, 6, 7, 7, 8, -1, 10, 11, 14])
    assert steps == {"zero": 1, "one": 4, "other": 1, "missed": 1}


def test_kick_that_came_too_early_says_nothing_of_its_position(symbols: Symbols) -> None:
    """Met user space before the check, where it was aimed at a stretch with interrupts off."""
    early = replace(sound(0), counter=USER, taken=-400, entered=False, landing="before the check")

    def kernel(position: int) -> Kick:
        return replace(early, position=position) if position == OFF + 20 else sound(position)

    mixed = [*passes(kernel, 1), *passes()[1:]]
    found = judge(mixed, WAYS["spinning"], Protocol.HANDLER_WRITES, symbols)
    assert [(each.first, each.last) for each in found.held_back] == [(OFF, ENTRY - 1)]
