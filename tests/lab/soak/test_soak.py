# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance soak`: what it accepts, what it counts, how it ends, what it leaves behind."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import signs
from harness.host import obstacles
from harness.kick import engine
from harness.kick.plan import Protocol
from harness.kvm.abi import KvmError, LackingError
from lab.launch.exit_codes import Exit
from lab.soak import plan
from lab.soak import tally as race_tally
from lab.soak.journal import JOURNAL
from lab.soak.slices import Workshop
from lab.soak.tally import Tally
from tests.fakes.kick.guest import Fakes
from tools.cli import main
from tools.screen.soak import MOST_TOLD, SoakProgress, SoakState, report

pytestmark = pytest.mark.usefixtures("own_processors")
needs_kvm = pytest.mark.skipif(
    obstacles.preflight() is not None, reason="there is no KVM to race on"
)

ROOT = Path(__file__).resolve().parents[3]
SLICE = ["--guest", "spin", "--delivery", "thread", "--slice", "1s"]
QUICK = [*SLICE, "--shape", "apart"]
ONE = ["--protocol", "handler_writes"]


def a_summary(protocol: str = "handler_writes", kicks: int = 100, lost: int = 0) -> dict:
    return {
        "plan": {"protocol": protocol},
        "kicks": kicks,
        "landings": {"in the window": kicks},
        "lost": {"in the window": lost},
        "late": {},
        "latency": {"14": kicks},
        "elapsed_ns": 10**9,
    }


# ---- words


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "--for"),
        (["--for", "0s"], "too short"),
        (["--for", "-1h"], "negative"),
        (["--for", "10y"], "not a duration"),
        (["--for", "5s", "--protocol", "control"], "control"),
        (["--for", "5s", "--guest", "linux"], "linux"),
        (["--for", "5s", "--shape", "round"], "round"),
        (["--for", "5s", "--delivery", "mail"], "mail"),
        (["--for", "5s", "--mode", "vm86"], "vm86"),
        (["--for", "5s", "--slice", "0s"], "too short"),
        (["--for", "5s", "--cpus", "60000"], "does not exist or is offline"),
        (["--for", "5s", "--cpus", "one"], "no list of processors"),
        (["--for", "5s", "--cpus", ""], "no list of processors"),
        (["--for", "5s", "--cpus", "-1"], "no list of processors"),
        (["--for", "5s", "--delivery", "timer", "--protocol", "kicker_writes"], "nothing to run"),
    ],
)
def test_bad_input_is_a_sentence(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["soak", *arguments]) == Exit.USAGE
    said = capsys.readouterr().err
    assert why in said
    assert "Traceback" not in said


def test_without_kvm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    obstacle = obstacles.Obstacle("no_kvm", "There is no /dev/kvm.", "Load the module.")
    monkeypatch.setattr("tools.soak.obstacles.preflight", lambda: obstacle)
    assert main(["soak", "--for", "5s"]) == Exit.NOTHING_TESTED
    assert "There is no /dev/kvm. Load the module." in capsys.readouterr().err


# ---- slices


def test_protocols_come_in_turn_and_everything_is_there() -> None:
    guests = tuple((guest, "long") for guest in plan.GUESTS)
    found = plan.combinations(plan.PROTOCOLS, guests, tuple(plan.SHAPES), plan.DELIVERIES)
    assert len(found) == len(set(found))
    assert {each.guest for each in found} == set(plan.GUESTS)
    assert {each.shape for each in found} == set(plan.SHAPES)
    assert {each.delivery for each in found} == set(plan.DELIVERIES)
    for each in found:
        each.plan().check()
    early = Counter(each.protocol for each in found[:60])
    assert max(early.values()) - min(early.values()) <= 15
    assert Protocol.CONTROL.value not in plan.PROTOCOLS


class FakeVm:
    """What `GuestKind.make` does with a VM and its guest."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.vm = self
        self.done: list[object] = []

    def set_halt_poll(self, nanoseconds: int) -> bool:
        self.done.append(nanoseconds)
        return self.answer

    def load(self, program: str, _mode: str, _data: object) -> None:
        self.done.append(program)

    def close(self) -> None:
        self.done.append("closed")


@pytest.mark.parametrize(
    ("guest", "answer", "done"),
    [
        ("halt", True, ["halt"]),
        ("halt_no_polling", True, [0, "halt"]),
        ("halt_no_polling", False, [0, "closed"]),
    ],
)
def test_halt_polling(
    guest: str, answer: bool, done: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeVm(answer)
    monkeypatch.setattr("harness.kick.guest_kind.create", lambda _system, _irqchip: fake)
    obstacle = Workshop(None).obstacle(guest, "long") if not answer else ""  # type: ignore[arg-type]
    if not answer:
        assert "KVM_CAP_HALT_POLL" in obstacle
    else:
        plan.GUESTS[guest].make(None, "long")  # type: ignore[arg-type]
    assert fake.done == done


@pytest.mark.parametrize(
    ("error", "words"), [(LackingError, "a VM failed with EINVAL"), (KvmError, "")]
)
def test_a_guest_is_left_out_only_where_kvm_says_that_it_lacks_it(
    error: type[KvmError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is told by the races on that guest, and no soak holds that left them out."""

    def refuse(*_: object) -> None:
        raise error("a VM", errno.EINVAL)

    monkeypatch.setattr("harness.kick.guest_kind.create", refuse)
    said = Workshop(None).obstacle("halt", "long")  # type: ignore[arg-type]
    assert words in said
    assert bool(said) is bool(words)


# ---- sums and words of the report


def test_a_tally_does_not_grow() -> None:
    tally = Tally()
    sizes = []
    for _ in range(1000):
        tally.take_slice([a_summary(), a_summary()])
        sizes.append((len(tally.landings), len(tally.latency)))
    assert set(sizes) == {(1, 1)}
    assert (tally.kicks, tally.seconds, tally.rate) == (200_000, 1000.0, 200.0)
    assert tally.bound == pytest.approx(3.0 / 200_000, rel=0.01)


def state(race: Tally, control: Tally) -> SoakState:
    return SoakState({"handler_writes": race}, {"handler_writes": control})


def tallied(**fields: int) -> Tally:
    tally = Tally()
    tally.take(a_summary(**fields))
    return tally


def test_held_needs_a_control_that_lost() -> None:
    held = state(tallied(), tallied(kicks=4, lost=3))
    assert held.word("handler_writes") == "held"
    blind = state(tallied(), tallied(kicks=4))
    assert blind.word("handler_writes") == "inconclusive"
    assert "could not have seen a loss" in report(blind, 1.0, "host", "")
    alone = state(tallied(), Tally())
    assert "no control could run" in report(alone, 1.0, "host", "")
    assert state(Tally(), tallied(lost=3)).word("handler_writes") == "inconclusive"


def test_a_loss_is_told_and_losses_are_not_told_without_end() -> None:
    lost = state(tallied(lost=2), tallied(lost=3))
    for number in range(1000):
        lost.lost_slices["handler_writes"] += 1
        lost.tell(f"slice {number}: lost")
    assert len(lost.told) == MOST_TOLD
    text = report(lost, 3600.0, "host", "")
    assert "handler_writes: lost: 2 kicks lost" in text
    assert "slice 0: lost" in text
    assert "1000 slices went wrong; the journal holds all of them" in text


# ---- the journal


@needs_kvm
def test_results_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    begin = ["soak", "--for", "2s", *QUICK, "--output"]
    assert main([*begin, str(tmp_path / "file" / "below")]) == Exit.CANNOT_WRITE
    assert main([*begin, str(tmp_path / "file")]) == Exit.CANNOT_WRITE
    (tmp_path / JOURNAL).write_text("precious\n", encoding="utf-8")
    assert main([*begin, str(tmp_path)]) == Exit.CANNOT_WRITE
    assert (tmp_path / JOURNAL).read_text(encoding="utf-8") == "precious\n"
    assert capsys.readouterr().err.count("Choose another --output") == 3


# ---- whole soaks


@needs_kvm
def test_a_short_soak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "results"
    assert main(["soak", "--for", "3s", *QUICK, *ONE, "--output", str(output)]) == Exit.HELD
    said = capsys.readouterr().out
    entries = list(race_tally.lines(output / JOURNAL))
    assert [entries[0]["event"], entries[-1]["event"]] == ["soak", "end"]
    assert entries[-1]["verdicts"] == {"handler_writes": "held"}
    assert all(entry["control"]["lost"] for entry in entries[1:-1])
    for protocol, tally in race_tally.read(output / JOURNAL).tallies.items():
        assert f"{protocol}: held: none of {tally.kicks:,} kicks was lost" in said
    assert said.strip() == (output / "soak.txt").read_text(encoding="utf-8").strip()


@needs_kvm
def test_a_race_in_a_process_that_stops(tmp_path: Path) -> None:
    """Of a guest that sleeps, which is woken from its halt by the stop too."""
    output = tmp_path / "results"
    what = ["--guest", "halt_no_polling", "--shape", "stopped", "--delivery", "queue"]
    arguments = ["soak", "--for", "4s", "--slice", "2s", *what, *ONE, "--output", str(output)]
    assert main(arguments) == Exit.HELD
    slices = list(race_tally.lines(output / JOURNAL))[1:-1]
    assert sum(entry["stops"] for entry in slices)
    assert {entry["shape"] for entry in slices} == {"stopped"}
    assert no_children(), "a slice's process outlived it"


def no_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def command(output: Path, *more: str, shape: str = "apart") -> list[str]:
    soak = [sys.executable, "-m", "tools.cli", "soak", "--for", "1h", *SLICE, "--shape", shape]
    return [*soak, *more, "--output", str(output)]


def wait_for_a_slice(output: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    journal = output / JOURNAL
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < deadline, "no slice ended"
        assert process.poll() is None, "the soak ended"
        time.sleep(0.05)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a soak of an hour, and waits for its first slice. None outlives the test."""
    with contextlib.ExitStack() as started:

        def start(output: Path, *more: str, shape: str = "apart") -> subprocess.Popen[str]:
            words, pipe = command(output, *more, shape=shape), subprocess.PIPE
            process = started.enter_context(
                subprocess.Popen(words, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
            )
            started.callback(process.kill)
            wait_for_a_slice(output, process)
            return process

        yield start


@needs_kvm
@pytest.mark.parametrize("shape", ["apart", "stopped"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_a_report(
    number: int, code: int, shape: str, tmp_path: Path, started: Callable[..., Any]
) -> None:
    process = started(tmp_path / "results", shape=shape)
    process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "ended by" in said
    assert "Traceback" not in errors
    assert list(race_tally.lines(tmp_path / "results" / JOURNAL))[-1]["exit"] == code


@needs_kvm
def test_a_kill_loses_nothing_that_was_done(tmp_path: Path, started: Callable[..., Any]) -> None:
    journal = tmp_path / "results" / JOURNAL

    def kicks() -> int:
        return sum(tally.kicks for tally in race_tally.read(journal).tallies.values())

    process = started(tmp_path / "results")
    deadline = time.monotonic() + 60
    while not (done := kicks()):  # a slice on a busy host may end before its first kick
        assert time.monotonic() < deadline, "no slice made a kick"
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)
    assert kicks() >= done


@needs_kvm
def test_until_lost_stops_at_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The protocol's plan becomes the control's: a kernel that loses kicks looks like that."""
    whole = plan.Combination.plan

    def broken(self: plan.Combination, **words: int) -> object:
        return whole(
            plan.Combination("control", self.guest, self.mode, self.shape, "itself"), **words
        )

    monkeypatch.setattr(plan.Combination, "plan", broken)
    output = tmp_path / "results"
    arguments = ["soak", "--for", "60s", *QUICK, "--until-lost", "--output", str(output)]
    assert main(arguments) == Exit.FAILED
    said = capsys.readouterr().out
    entries = list(race_tally.lines(output / JOURNAL))
    assert [entry["event"] for entry in entries] == ["soak", "slice", "end"]
    assert "ended by --until-lost" in said
    assert "between the check of the flag and KVM_RUN" in said
    assert json.dumps(entries[1]).count('"lost": true')
    assert os.sched_getaffinity(0)


@needs_kvm
@pytest.mark.parametrize("fault", ["ignores_byte", "misses_pending"], ids=["lost", "late"])
def test_until_lost_on_a_kernel_that_breaks(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for KVM_RUN is sound for two slices, and then it is not: that slice is the last.

    The guests' memory is real, and the stand-in counts in it.
    """
    fakes = Fakes(tmp_path)
    whole = engine.run
    races: list[str] = []

    def run(guests: Any, plans: Any, **words: Any) -> Any:
        if plans[0].protocol is Protocol.HANDLER_WRITES:
            races.append(fault if len(races) == 2 else "sound")
            if races[-1] == fault:
                words["time_limit_s"] = 10.0  # enough for the rule of late kicks
        found = fakes[races[-1] if plans[0].kicks == 0 else "sound"]
        return whole(guests, plans, **{**words, "speed": fakes.speed, "function": found})

    monkeypatch.setattr(engine, "run", run)
    output = tmp_path / "results"
    arguments = ["soak", "--for", "1h", *QUICK, *ONE, "--until-lost", "--output", str(output)]
    assert main(arguments) == Exit.FAILED
    assert races == ["sound", "sound", fault]
    word = "lost" if fault == "ignores_byte" else "late"
    said = capsys.readouterr()
    first, *slices, last = race_tally.lines(output / JOURNAL)
    assert (first["event"], last["event"], last["exit"]) == ("soak", "end", 1)
    assert last["verdicts"] == {"handler_writes": word}
    assert [bool(entry["verdict"]) for entry in slices] == [False, False, True]
    told = f"slice 3, handler_writes on spin (long), apart, by thread: {word}: "
    for text in (slices[2]["verdict"], said.err, said.out):
        assert told in text
    assert any(each[word] for each in slices[2]["summaries"][0]["notable"])
    assert f"handler_writes: {word}: " in said.out
    assert "in 3 slices, ended by --until-lost" in said.out
    assert (output / "soak.txt").read_text(encoding="utf-8").strip() == said.out.strip()


def test_soak_without_a_terminal_gives_signs(capsys: pytest.CaptureFixture[str]) -> None:
    progress = SoakProgress(SoakState({"window": Tally()}, {"window": Tally()}), 90)
    progress.show(1, None, signs.EVERY_S - 1)
    assert capsys.readouterr().err == ""
    progress.show(1, None, signs.EVERY_S)
    assert re.fullmatch(r"\.\.\. 0 s: 0 kicks .* left\n", capsys.readouterr().err)
