# SPDX-License-Identifier: GPL-2.0-only
"""What became of a mutant, by what its run left: killed only where that is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.claims import known_issues
from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from harness.reporting.selection import Rest
from lab.mutation.catalogue import Mutant
from lab.mutation.judge import STAYS, Fate, Judged, Left, is_final, judge

PANIC = "[   12.3] Kernel panic - not syncing: softlockup: hung tasks\n"
LOST = "the machine hung: no sign of life for 240 s"
WHILE = f"{LOST}, while this test ran"
RETURNS, REPEATS, OTHER = "preset.returns_eintr", "preset.repeats", "preset.per_vcpu"


def mutant(**more: object) -> Mutant:
    values: dict[str, object] = {
        "claims": (RETURNS, REPEATS),
        "mutant_class": "byte_ignored",
        "tier": "functional",
        **more,
    }
    return Mutant(
        id="one",
        chapter="preset",
        defect="",
        stands_for="",
        files=(),
        patch=Path("one.cocci"),
        **values,  # type: ignore[arg-type]
    )


BASELINE = mutant(
    claims=(), claims_held=("absent.ignored",), kind="baseline", mutant_class="baseline"
)


def left(
    folder: Path,
    code: int | None,
    *results: tuple[str, TestOutcome],
    end: int | None = 0,
    planned: tuple[str, ...] = (RETURNS, REPEATS, OTHER),
    console: str = "",
    lost: str = "",
    reason: str = "no_nested",
    message: str = "it failed",
) -> Left:
    """A folder with a journal of these claims' tests, one a claim."""
    with journal.Writer(folder / journal.NAME) as writer:
        writer.session({})
        writer.planned({f"{claim}.test": claim for claim in planned})
        for claim, outcome in results:
            skip = reason if outcome is TestOutcome.SKIPPED else ""
            writer.result(
                Result(f"{claim}.test", claim, outcome, "call", skip, message, "", 0.1, "", "")
            )
        if end is not None:
            writer.end(end)
    (folder / "console.log").write_text(console)
    text = f"Error: {lost}\nThe console's last lines:\n  x\n" if lost else ""
    (folder / "output.txt").write_text(text)
    return Left(folder, code, lost)


def judged(made: Left, one: Mutant | None, *, stock: bool = True, sweeps: bool = False) -> Judged:
    return judge(one, made, sweeps=sweeps, stock_ended=stock)


BAD, GOOD, SKIP, BROKEN, CRASH = (
    TestOutcome.FAILED,
    TestOutcome.PASSED,
    TestOutcome.SKIPPED,
    TestOutcome.ERROR,
    TestOutcome.CRASHED,
)


@pytest.mark.parametrize(
    ("results", "outcome", "why"),
    [
        ([(RETURNS, BAD), (REPEATS, BAD), (OTHER, GOOD)], "killed", ""),
        ([(RETURNS, BAD), (REPEATS, BAD)], "killed", ""),
        ([(RETURNS, CRASH), (REPEATS, BAD)], "killed", ""),
        ([(RETURNS, BAD), (REPEATS, GOOD)], "otherwise", f"{REPEATS} (held)"),
        ([(OTHER, BAD), (RETURNS, GOOD), (REPEATS, SKIP)], "otherwise", f"{REPEATS} (-)"),
        ([(OTHER, BAD)], "otherwise", f"{RETURNS} (not run)"),
        ([(RETURNS, GOOD), (REPEATS, GOOD), (OTHER, GOOD)], "survived", f"{RETURNS} (held)"),
        ([(RETURNS, GOOD), (REPEATS, SKIP)], "survived", f"{REPEATS} (-)"),
        ([(RETURNS, GOOD), (REPEATS, GOOD), (OTHER, BROKEN)], "survived", "held"),
        ([(RETURNS, GOOD)], "not judged", f"before {REPEATS} was tested"),
        ([(RETURNS, GOOD), (REPEATS, BROKEN)], "not judged", f"the suite broke in {REPEATS}"),
    ],
)
def test_a_run_that_came_to_its_end(
    tmp_path: Path, results: list[tuple[str, TestOutcome]], outcome: str, why: str
) -> None:
    bad = any(each in (BAD, CRASH) for _, each in results)
    found = judged(left(tmp_path, 1 if bad else 0, *results), mutant())
    assert found.outcome.value == outcome
    assert why in found.why
    assert set(found.failed) == {claim for claim, each in results if each in (BAD, CRASH)}


@pytest.mark.parametrize(
    ("one", "results", "stock", "outcome"),
    [
        (mutant(), [(RETURNS, GOOD), (REPEATS, GOOD)], True, "stays in use"),
        (mutant(), [(RETURNS, GOOD), (REPEATS, GOOD)], False, "survived"),
        (mutant(), [(RETURNS, BAD), (REPEATS, BAD)], True, "killed"),
        (mutant(), [(RETURNS, BAD), (REPEATS, GOOD)], True, "otherwise"),
        (None, [(RETURNS, GOOD), (REPEATS, GOOD), (OTHER, GOOD)], True, "not judged"),
    ],
)
def test_modules_that_cannot_be_removed(
    tmp_path: Path,
    one: Mutant | None,
    results: list[tuple[str, TestOutcome]],
    stock: bool,
    outcome: str,
) -> None:
    """A reference that leaks is no claim's, and is seen all the same; stock KVM leaks none."""
    made = left(tmp_path, int((RETURNS, BAD) in results), *results)
    with (tmp_path / "output.txt").open("a") as text:
        text.write(f"{STAYS}rmmod: ERROR: Module kvm is in use\n")
    found = judged(made, one, stock=stock)
    assert found.outcome.value == outcome
    if outcome in ("stays in use", "not judged"):
        assert "Module kvm is in use" in found.why


def test_a_claim_without_a_test_is_not_survived(tmp_path: Path) -> None:
    found = judged(left(tmp_path, 4, planned=()), mutant())
    assert (found.outcome, found.why) == (
        Fate.UNJUDGED,
        f"no test of {RETURNS} was planned",
    )


def test_suites_that_broke_off_say_nothing(tmp_path: Path) -> None:
    made = left(tmp_path, 70, (RETURNS, GOOD), end=None)
    assert judged(made, mutant()).outcome is Fate.UNJUDGED
    assert judged(Left(tmp_path / "nothing", 70, "no QEMU"), mutant()).why == "no QEMU"


@pytest.mark.parametrize(
    ("console", "stock", "results", "outcome"),
    [
        (PANIC, True, [(OTHER, GOOD)], "host lost"),
        (PANIC, True, [(RETURNS, CRASH)], "host lost"),
        (PANIC, True, [(RETURNS, BAD), (REPEATS, CRASH)], "killed"),
        (PANIC, False, [(OTHER, GOOD)], "lost"),
        (PANIC, False, [(OTHER, CRASH)], "lost"),
        ("all is well\n", True, [(OTHER, GOOD)], "lost"),
        ("", True, [(OTHER, BROKEN)], "lost"),
        ("", True, [(OTHER, BAD)], "otherwise"),
        ("", True, [(RETURNS, BAD), (REPEATS, BAD)], "killed"),
        ("[ 9.1] watchdog: BUG: soft lockup - CPU#1 stuck\n", True, [], "host lost"),
        ("[ 9.1] INFO: task qemu:77 blocked for more than 60 seconds.\n", True, [], "host lost"),
        ("[ 9.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n", True, [], "lost"),
        ("[ 9.1] Oops: 0000 [#1] SMP\n", True, [], "host lost"),
    ],
)
def test_a_host_that_was_lost_needs_evidence(
    tmp_path: Path, console: str, stock: bool, results: list[tuple[str, TestOutcome]], outcome: str
) -> None:
    code = 1 if any(each in (BAD, CRASH) for _, each in results) else 71
    made = left(tmp_path, code, *results, end=None, console=console, lost=LOST)
    found = judged(made, mutant(), stock=stock)
    assert found.outcome.value == outcome
    assert found.outcome.is_killed is (outcome != "lost")


@pytest.mark.parametrize(
    ("console", "stock", "outcome"),
    [(PANIC, True, "host lost"), (PANIC, False, "lost"), ("all is well\n", True, "lost")],
)
def test_a_claim_does_not_fail_by_the_loss_of_its_host(
    tmp_path: Path, console: str, stock: bool, outcome: str
) -> None:
    """Else a mutant that only panics would be killed as it was foretold."""
    made = left(tmp_path, 1, (RETURNS, CRASH), console=console, lost=LOST, message=WHILE)
    found = judged(made, mutant(claims=(RETURNS,)), stock=stock)
    assert (found.outcome.value, found.failed) == (outcome, [])
    assert judged(made, None).outcome is Fate.LOST, "nor does the stock kernel fail it"


@pytest.mark.parametrize(
    ("evidence", "final"),
    [
        ("Kernel panic - not syncing: Fatal exception", True),
        ("BUG: unable to handle page fault for address: 0000000000000010", True),
        ("Kernel panic - not syncing: softlockup: hung tasks", False),
        ("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [python:80]", False),
        ("Kernel panic - not syncing: hung_task: blocked tasks", False),
        ("INFO: task qemu:77 blocked for more than 60 seconds.", False),
        ("BUG: workqueue lockup - pool cpus=0 stuck for 31s!", False),
        ("", False),
    ],
)
def test_evidence_that_a_starved_host_gives_as_well(evidence: str, final: bool) -> None:
    assert is_final(evidence) is final


def test_the_test_that_ran_when_the_host_was_lost_is_named(tmp_path: Path) -> None:
    made = left(tmp_path, 71, (OTHER, BROKEN), end=None, console=PANIC, lost=LOST, message=WHILE)
    found = judged(made, mutant())
    assert found.outcome is Fate.UNUSABLE
    assert found.why.endswith(f"softlockup: hung tasks, in {OTHER}.test")
    found = judged(Left(tmp_path, 71, LOST), mutant(), stock=False)
    assert f"in {OTHER}.test" in found.why


def test_modules_that_do_not_load(tmp_path: Path) -> None:
    console = "insmod: ERROR: could not insert module /m/kvm.ko: Invalid module format\n"
    made = left(tmp_path, 4, (RETURNS, SKIP), (REPEATS, SKIP), console=console, reason="no_kvm")
    found = judged(made, mutant())
    assert found.outcome is Fate.NOT_LOADED
    assert "Invalid module format" in found.why
    why = "vmlinuz does not load the KVM in /m: insmod: ERROR: ... Unknown symbol"
    found = judged(Left(tmp_path / "none", 70, why), mutant())
    assert (found.outcome, found.why) == (Fate.NOT_LOADED, why)


@pytest.mark.parametrize("one", [None, BASELINE], ids=["stock", "baseline"])
def test_a_kernel_without_a_defect(tmp_path: Path, one: Mutant | None) -> None:
    planned = ("absent.ignored", OTHER)
    held = (("absent.ignored", GOOD), (OTHER, SKIP if one else GOOD))
    assert judged(left(tmp_path, 0, *held, planned=planned), one).outcome is Fate.HELD
    found = judged(left(tmp_path, 1, held[0], (OTHER, BAD), planned=planned), one)
    why = f"failed: {OTHER}; {OTHER}.test: it failed"
    assert (found.outcome, found.why) == (Fate.FALSE_ALARM, why)
    made = left(tmp_path, 71, *held, planned=planned, end=None, lost=LOST, console=PANIC)
    assert judged(made, one).outcome is Fate.LOST
    made = left(tmp_path, 70, held[1], planned=planned, end=None)
    assert judged(made, one).outcome is Fate.UNJUDGED
    for results in (("absent.ignored", BROKEN), held[1]), (held[0], (OTHER, BROKEN)), held[:1]:
        made = left(tmp_path, 70, *results, planned=planned)
        assert judged(made, one).outcome is Fate.UNJUDGED


def test_a_stock_kernel_without_the_tests_of_its_own_bugs(tmp_path: Path) -> None:
    """Which is no verdict for anybody else; here it is what was asked for, and nothing more is."""
    bugs = {
        test: "states.precedence" for bug in known_issues.of_version("6.12") for test in bug.tests
    }
    for host, rest, end, outcome in (
        ({"without_bugs_of": "6.12"}, bugs, 70, Fate.HELD),
        ({"without_bugs_of": "6.12"}, {**bugs, "preset.x": REPEATS}, 70, Fate.UNJUDGED),
        ({"without_bugs_of": "6.12"}, bugs, 3, Fate.UNJUDGED),
        ({"without_bugs_of": "6.12"}, {}, 70, Fate.UNJUDGED),
        ({}, bugs, 70, Fate.UNJUDGED),
    ):
        with journal.Writer(tmp_path / journal.NAME) as writer:
            writer.session(host)
            writer.planned({"preset.a": RETURNS}, Rest(rest))
            writer.result(Result("preset.a", RETURNS, GOOD, "call", "", "", "", 0.1, "", ""))
            writer.end(end)
        assert judged(Left(tmp_path, 70, ""), None).outcome is outcome, (host, rest, end)


def test_a_sound_variant_must_hold_and_may_be_tested(tmp_path: Path) -> None:
    sound = mutant(claims=(), kind="sound", mutant_class="sound")
    made = left(tmp_path, 0, (OTHER, GOOD), planned=(OTHER,))
    assert judged(made, sound).outcome is Fate.HELD
    found = judged(left(tmp_path, 1, (OTHER, BAD), planned=(OTHER,)), sound)
    why = f"failed: {OTHER}; {OTHER}.test: it failed"
    assert (found.outcome, found.why) == (Fate.FALSE_ALARM, why)


def test_a_baseline_shows_what_it_is_for(tmp_path: Path) -> None:
    planned = ("absent.ignored", OTHER)
    made = left(tmp_path, 0, ("absent.ignored", SKIP), (OTHER, SKIP), planned=planned)
    found = judged(made, BASELINE)
    assert (found.outcome, found.why) == (
        Fate.UNJUDGED,
        "absent.ignored could not be tested",
    )
    made = left(tmp_path, 0, ("absent.ignored", GOOD), (OTHER, GOOD), planned=planned)
    found = judged(made, BASELINE)
    assert (found.outcome, found.why) == (
        Fate.FALSE_ALARM,
        f"tested, although it is a baseline: {OTHER}",
    )
    assert judged(made, None).outcome is Fate.HELD


@pytest.mark.parametrize(
    ("code", "swept", "lost", "console", "outcome"),
    [
        (1, True, "", "", "killed"),
        (0, True, "", "", "survived"),
        (70, True, "", "", "not judged"),
        (70, False, "", "", "not judged"),
        (1, False, LOST, PANIC, "host lost"),
        (71, False, LOST, "", "lost"),
        (None, False, "", "", "not judged"),
    ],
)
def test_a_sweep(
    tmp_path: Path, code: int | None, swept: bool, lost: str, console: str, outcome: str
) -> None:
    if swept:
        (tmp_path / "sweep.json").write_text(json.dumps({"verdicts": []}))
    (tmp_path / "console.log").write_text(console)
    said = "The console's last lines:\n" if lost else "VERDICT  not judged. A control was dead.\n"
    (tmp_path / "output.txt").write_text(said)
    one = mutant(tier="sweep", claims=("races.every_instruction",))
    found = judged(Left(tmp_path, code, lost), one, sweeps=True)
    assert found.outcome.value == outcome
    if outcome == "not judged":
        assert "control was dead" in found.why


def test_exit_codes_of_outcomes() -> None:
    codes = {outcome: int(outcome.code) for outcome in Fate}
    good = {Fate.KILLED, Fate.HELD, Fate.EQUIVALENT, Fate.LEFT_OUT}
    bad = {Fate.OTHERWISE, Fate.UNUSABLE, Fate.STAYS, Fate.SURVIVED, Fate.FALSE_ALARM}
    assert {each for each in Fate if codes[each] == 0} == good
    assert {each for each in Fate if codes[each] == 1} == bad
    assert {codes[each] for each in set(Fate) - good - bad} == {70}
