# SPDX-License-Identifier: GPL-2.0-only
"""What a machine's end, its console and its answers make of a mutant; the machine is played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.campaign import state
from lab.emulation import share
from lab.emulation.arch import named
from lab.emulation.errors import KernelError
from lab.launch import finish
from lab.launch.exit_codes import Exit
from lab.launch.lost import LostVm
from lab.launch.request import Request
from lab.mutation import asked, keep
from lab.mutation.asked import Asked
from lab.mutation.guest import answer_file, request_file, stop_file
from lab.mutation.judge import Fate, Left, judge
from tests.lab.mutation.test_judge import mutant

pytestmark = pytest.mark.usefixtures("played_programs")

CLAIM = "preset.repeats"
PANIC = "[ 9.0] Kernel panic - not syncing: oops\n"
STALL = "[ 9.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n"


class Process:
    code: int | None = None

    def look(self) -> int | None:
        return self.code


class Lane:
    """A machine that is there until `child.code` is set."""

    boot_limit_s = 1000.0

    def __init__(self, top: Path, served: int, arch: str = "") -> None:
        self.machine = keep.machine(named(arch) if arch else None)
        self.place, self.child, self.served = top / "lane", Process(), served
        self.share = share.make(self.place)
        self.busy = self.ended = False
        self.why: LostVm | KernelError = LostVm("the machine ended by itself", "", ("x",))

    def lost(self) -> LostVm:
        if isinstance(self.why, KernelError):
            raise self.why
        return self.why

    def given_up(self, why: str) -> LostVm:
        return LostVm(why, "", ())

    def end(self) -> None:
        self.ended = True


class Case:
    """A mutant of one claim that is under way."""

    def __init__(self, top: Path, *, served: int = 0, arch: str = "", modules: str = "/m") -> None:
        self.folder = top / "one"
        self.folder.mkdir()
        (self.folder / "console.log").write_text(PANIC)  # of an earlier run
        self.lane = Lane(top, served, arch)
        self.number = served
        self.asked = Asked(self.lane, self.folder, modules, Request(), 1000)  # type: ignore[arg-type]

    @property
    def inside(self) -> Path:
        """Where the machine puts its results."""
        return self.lane.share.path / self.folder.name

    @property
    def request(self) -> dict[str, Any]:
        found: dict[str, Any] = self.lane.share.load(request_file(self.number))
        return found

    def console(self, before: str = "", since: str | None = "") -> None:
        marked = "" if since is None else f"[ 5.0] {self.request['marker']}\n{since}"
        (self.lane.place / "console.log").write_text(before + marked)

    def tests(self, was: TestOutcome | None, end: int | None) -> None:
        """The claim's only test has come to this, or still runs."""
        with journal.Writer(self.inside / journal.NAME) as writer:
            writer.session({})
            writer.planned({"a.test": CLAIM})
            writer.start("a.test")
            if was is not None:
                writer.result(Result("a.test", CLAIM, was, "call", "", "bad", "", 0.1, "", ""))
            if end is not None:
                writer.end(end)

    def answer(self, **answer: object) -> None:
        self.put_answer(json.dumps({"left": "", **answer}))

    def put_answer(self, text: str) -> None:
        (self.lane.share.path / answer_file(self.number)).write_text(text)

    def outcome(self) -> Fate:
        code = self.asked.look()
        assert code is not None
        left = Left(self.folder, code, state.why(self.folder, code))
        one = mutant(claims=(CLAIM,))
        return judge(one, left, sweeps=False, stock_ended=True).outcome


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_machine_elsewhere_finds_the_modules_in_its_share(tmp_path: Path) -> None:
    """It sees nothing else of this host, and neither this host's Python nor its checkout."""
    (tmp_path / "built").mkdir()
    (tmp_path / "built/kvm.ko").write_bytes(b"\x7fELF")
    (tmp_path / "built/difference.patch").touch()
    case = Case(tmp_path, arch="ppc64el", modules=str(tmp_path / "built"))
    seen = Path(case.request["modules"])
    assert seen == case.inside / "built"
    assert [(path.name, path.read_bytes()) for path in seen.iterdir()] == [("kvm.ko", b"\x7fELF")]
    assert case.request["environment"]["PYTHONPATH"] == "/opt/python"
    assert case.request["stock"] == ""


def test_a_verdict(case: Case) -> None:
    assert case.asked.look() is None
    case.console(PANIC)
    case.tests(TestOutcome.FAILED, 1)
    case.answer(status=1)
    assert case.outcome() is Fate.KILLED
    assert not case.asked.odd, "the panic was before it"
    assert (case.lane.busy, case.lane.ended) == (False, False)
    assert case.request["words"][-1].startswith(f"--results={case.inside}")
    assert case.request["environment"]["KSFT_MACHINE_SLOW"] == "yes"


@pytest.mark.parametrize(
    ("console", "answer"),
    [
        ("[ 9.0] ------------[ cut here ]------------\n", {"status": 1}),
        ("[ 9.0] BUG: Bad page state in process python\n", {"status": 1}),
        ("", {"status": -9}),
        ("", {"status": 1, "left": "rmmod: ERROR: Module kvm is in use"}),
        ("", {"refused": "insmod: ERROR: Unknown symbol"}),
    ],
    ids=["warning", "bug", "killed", "stays", "refused"],
)
def test_what_is_odd_is_the_machines_end(
    case: Case, console: str, answer: dict[str, object]
) -> None:
    case.console("", console)
    case.tests(TestOutcome.FAILED, 1)
    case.answer(**answer)
    case.asked.look()
    assert (case.asked.odd, case.lane.ended) == (True, True)


def test_a_machine_that_served_many_is_ended_and_nothing_is_odd(tmp_path: Path) -> None:
    case = Case(tmp_path, served=asked.MOST_SERVED - 1)
    case.console()
    case.tests(TestOutcome.FAILED, 1)
    case.answer(status=1)
    assert case.outcome() is Fate.KILLED
    assert (case.asked.odd, case.lane.ended) == (False, True)


def test_a_panic_while_it_is_removed_is_no_kill(case: Case) -> None:
    case.console("", PANIC)
    case.tests(TestOutcome.PASSED, 0)
    case.lane.child.code = 71
    assert case.outcome() is Fate.SURVIVED
    assert case.asked.odd


def test_a_panic_before_it_was_loaded_is_none_of_its_evidence(case: Case) -> None:
    case.console(PANIC, since=None)
    case.lane.child.code = 71
    assert case.outcome() is Fate.LOST


def test_a_machine_that_never_was_leaves_no_old_evidence(case: Case) -> None:
    case.lane.child.code = 1
    assert case.outcome() is Fate.LOST
    assert not (case.folder / "console.log").exists()


def test_a_panic_of_its_own(case: Case) -> None:
    case.console("", PANIC)
    case.tests(None, None)
    case.lane.child.code = 71
    assert case.outcome() is Fate.UNUSABLE, "no claim is refuted, not even that whose test ran"


def test_a_stall_that_others_may_have_caused_is_no_evidence(case: Case) -> None:
    case.console("", STALL)
    case.tests(None, None)
    case.lane.child.code = 71
    assert case.outcome() is Fate.LOST


def test_modules_that_are_refused_and_machines_that_cannot_boot(case: Case) -> None:
    case.lane.why = KernelError("virtme-ng could not boot it")
    case.lane.child.code = 70
    assert case.outcome() is Fate.UNJUDGED
    assert "virtme-ng could not boot it" in (case.folder / "output.txt").read_text()


@pytest.mark.parametrize(("served", "gives_up"), [(0, False), (1, True)])
def test_silence_before_the_first_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: int, gives_up: bool
) -> None:
    """A fresh machine has the time to boot, one that judged others boots no more."""
    monkeypatch.setattr(asked, "SILENCE_S", -1.0)
    case = Case(tmp_path, served=served)
    assert (case.asked.look() is not None) == gives_up
    assert case.lane.ended == gives_up
    if gives_up:
        assert "no sign of life" in (case.folder / "output.txt").read_text()


def test_silence_under_a_test(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.console()
    case.tests(None, None)
    assert case.asked.look() is None
    monkeypatch.setattr(asked, "SILENCE_S", -1.0)
    assert case.asked.look() is None, "the machine is asked to end them"
    assert (case.lane.share.path / stop_file(case.number)).exists()
    assert case.asked.look() is None, "it has time for that"
    monkeypatch.setattr(asked, "STOP_S", -1.0)
    assert case.outcome() is Fate.LOST
    assert "no sign of life" in (case.folder / "output.txt").read_text()
    assert case.lane.ended


def test_a_thread_that_spins_in_the_kernel(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine says of it is evidence: the host is lost by the mutant."""
    case.console()
    case.tests(None, None)
    monkeypatch.setattr(asked, "SILENCE_S", -1.0)
    assert case.asked.look() is None
    case.answer(status=None, left="SIGKILL does not end a thread of the tests: it runs in x")
    assert case.outcome() is Fate.UNUSABLE
    assert (case.asked.odd, case.lane.ended) == (True, True)


def test_modules_that_stay_are_told_of_the_mutant(case: Case) -> None:
    case.console()
    case.tests(TestOutcome.PASSED, 0)
    case.answer(status=0, left="rmmod: ERROR: Module kvm is in use")
    assert case.outcome() is Fate.STAYS


def test_a_defect_of_ours_ends_no_other_run(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ValueError("a defect")

    monkeypatch.setattr(finish, "finish", broken)
    case.console()
    case.answer(status=1)
    assert case.asked.look() == Exit.SUITE_ERROR
    assert "ValueError: a defect" in (case.folder / "output.txt").read_text()


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        "7",
        "{}",
        '{"status": "0", "left": ""}',
        '{"status": 0}',
        '{"status": 1e999, "left": ""}',
        r'{"status": 0, "left": "", "\ud800": 0}',
    ],
)
def test_an_answer_of_another_shape_is_no_verdict(case: Case, answer: str) -> None:
    """The kernel under test can write it, and is not to be believed."""
    case.console()
    case.tests(TestOutcome.PASSED, None)
    case.put_answer(answer)
    assert case.asked.look() != 0
    assert case.asked.odd


def test_links_in_the_place_of_answers_and_results(case: Case, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text(json.dumps({"status": 0, "left": ""}))
    (case.lane.share.path / answer_file(case.number)).symlink_to(victim)
    assert case.asked.look() is None, "a link is no answer"
    for name in (journal.NAME, "junit.xml", state.OUTPUT):
        (case.inside / name).symlink_to(victim)
    (case.lane.share.path / answer_file(case.number)).unlink()
    case.answer(status=0)
    assert case.asked.look() != 0
    assert json.loads(victim.read_text())["status"] == 0
    assert not any(path.is_symlink() for path in case.folder.iterdir())
