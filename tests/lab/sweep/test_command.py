# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance sweep``, on machines that are made up."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import signs
from harness.kvm.running import NotSeenError
from harness.native import ffi
from lab.emulation.errors import EmulationError
from lab.emulation.kernel import Kernel
from lab.emulation.machine import Job, Machine, MachineEnd
from lab.emulation.share import Share, at
from lab.launch.exit_codes import Exit
from lab.launch.lost import LostVm
from lab.sweep import inside
from lab.sweep import run as sweep
from tools.cli import main

pytestmark = pytest.mark.usefixtures("played_programs")

Act = Callable[[Job, Path], MachineEnd]


@pytest.fixture
def machine_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[Act, str], None]:
    """Replaces kernel and machine: what the machine does is told by a function."""

    def install(act: Act, release: str = "6.1.0-amd64") -> None:
        def run(
            kernel: Kernel, machine: Machine, job: Job, share: Share, **_: object
        ) -> MachineEnd:
            assert machine.instruction_clock
            assert machine.cpus == 1
            return act(job, share.path)

        kernel = Kernel(Path("/vmlinuz"), release, f"made up {release}", None, "x")
        monkeypatch.setattr(sweep, "run", run)
        monkeypatch.setattr(sweep.kernels, "find", lambda *_, **__: kernel)
        monkeypatch.setattr(sweep.bundle, "image", lambda *_: None)

    return install


def lost(panic: str) -> MachineEnd:
    return MachineEnd(None, LostVm("the machine hung", panic, ("last words",)), 1.0, 2.0, True)


def test_without_pictures_nothing_is_booted(
    tmp_path: Path,
    machine_that: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine_that(lambda *_: pytest.fail("it must not boot"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["sweep", "--output", str(tmp_path / "out")]) == Exit.SUITE_ERROR
    said = capsys.readouterr().err
    assert said.startswith("Error: matplotlib is missing")
    assert said.endswith("Run `make setup-plot`.\n")
    assert not (tmp_path / "out").exists()


def test_realtime_kernel_is_refused(
    tmp_path: Path,
    machine_that: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine_that(lambda *_: pytest.fail("it must not boot"), "6.1.0-56-rt-amd64")
    assert main(["sweep", "--output", str(tmp_path)]) == Exit.SUITE_ERROR
    assert "has PREEMPT_RT" in capsys.readouterr().err


@pytest.mark.parametrize(("panic", "code"), [("Kernel panic - x", 1), ("", Exit.LOST_VM)])
def test_lost_machine(
    tmp_path: Path,
    machine_that: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    panic: str,
    code: int,
) -> None:
    machine_that(lambda *_: lost(panic))
    assert main(["sweep", "--output", str(tmp_path)]) == code
    said = capsys.readouterr().err
    assert "the machine hung" in said
    assert "last words" in said


def test_sweep_that_broke_off_is_no_verdict(
    tmp_path: Path, machine_that: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    machine_that(lambda *_: MachineEnd(1, None, 1.0, 2.0, True))
    assert main(["sweep", "--output", str(tmp_path)]) == Exit.SUITE_ERROR
    assert "broke off with exit code 1" in capsys.readouterr().err


def test_sweep_that_says_why_it_broke_off(
    tmp_path: Path, machine_that: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def act(_job: Job, share: Path) -> MachineEnd:
        (share / inside.ERROR).write_text("this kernel has no kprobe events")
        return MachineEnd(1, None, 1.0, 2.0, True)

    machine_that(act)
    assert main(["sweep", "--output", str(tmp_path)]) == Exit.SUITE_ERROR
    said = capsys.readouterr().err
    assert (
        said
        == "Error: the sweep of made up 6.1.0-amd64 broke off: this kernel has no kprobe events.\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        inside.TracingError("tracefs refuses"),
        PermissionError(1, "Operation not permitted", "/dev/kvm"),
        NotSeenError("waited 80 s for progress", "in vain"),
        inside.CannotSweepError("the sweep has no timer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_goes_wrong_inside_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def sweep_all(_folder: Path) -> None:
        raise error

    monkeypatch.setattr(inside, "_sweep_all", sweep_all)
    assert inside.main(tmp_path) == 1
    assert (tmp_path / inside.ERROR).read_text() == str(error)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errno.EAGAIN, "calibration has no timer"),
        (errno.ENOSYS, "this architecture has no calibration"),
    ],
    ids=["timer", "architecture"],
)
def test_calibration_that_cannot_be(error: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        @staticmethod
        def sw_calibrate(*_: object) -> int:
            return -error

    monkeypatch.setattr(inside, "lib", Refusing)
    with pytest.raises(inside.CannotSweepError, match=says):
        inside.calibrate()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (EmulationError("it does not load the KVM in /m: insmod: ERROR"), "insmod: ERROR"),
        (None, "brought up no KVM for the emulated AMD processor"),
    ],
    ids=["modules", "own"],
)
def test_kernel_without_kvm(
    tmp_path: Path,
    machine_that: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    error: EmulationError | None,
    why: str,
) -> None:
    def act(_job: Job, _share: Path) -> MachineEnd:
        if error:
            raise error
        return MachineEnd(1, None, 1.0, 2.0, False)

    machine_that(act)
    assert main(["sweep", "--output", str(tmp_path)]) == Exit.SUITE_ERROR
    assert why in capsys.readouterr().err


def test_files_of_an_earlier_sweep_are_not_taken_for_this_one(
    tmp_path: Path, machine_that: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "done").touch()
    (tmp_path / "spinning-handler_writes-0.rounds").write_bytes(b"old")

    def act(_job: Job, share: Path) -> MachineEnd:
        assert not list(share.glob("*.rounds"))
        (share / "done").touch()
        return MachineEnd(0, None, 1.0, 2.0, True)

    machine_that(act)
    assert main(["sweep", "--output", str(tmp_path)]) == Exit.SUITE_ERROR
    assert "left no symbols" in capsys.readouterr().err


def test_request_tells_way_and_modules(tmp_path: Path, machine_that: Callable[..., None]) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    seen: list[Job] = []

    def act(job: Job, share: Path) -> MachineEnd:
        seen.append(job)
        request = json.loads((share / "request.json").read_text())
        assert {each[0] for each in request["sweeps"]} == {"halted"}
        assert [each[4] for each in request["sweeps"]] == [2, 2, 2]
        return MachineEnd(1, None, 1.0, 2.0, True)

    machine_that(act)
    main(
        [
            *("sweep", "--way", "halted", "--passes", "2"),
            *("--kvm-modules", str(modules), "--output", str(tmp_path / "out")),
        ]
    )
    assert seen[0].modules == modules


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--way", "flying"], "'flying' is not one of"),
        (["--passes", "0"], "0 is not in the range"),
        (["--kvm-modules", "/nowhere"], "does not exist"),
        (["--memory", "lots"], "is no amount of memory"),
    ],
)
def test_bad_input(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *words]) in (Exit.USAGE, Exit.SUITE_ERROR)
    assert said in " ".join(capsys.readouterr().err.split())


def test_sweep_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object, tick: Callable[[bool], None], **__: object) -> MachineEnd:
        tick(False)
        (at(tmp_path).path / "halted-handler_writes-0.rounds").touch()
        tick(True)
        return MachineEnd(1, None, 1.0, 2.0, True)

    kernel = Kernel(Path("/vmlinuz"), "6.1.0", "made up 6.1.0", None, "x")
    monkeypatch.setattr(sweep, "run", run)
    monkeypatch.setattr(sweep.kernels, "find", lambda *_, **__: kernel)
    monkeypatch.setattr(sweep.bundle, "image", lambda *_: None)
    monkeypatch.setattr(signs, "EVERY_S", 0.0)
    main(["sweep", "--way", "halted", "--passes", "2", "--output", str(tmp_path)])
    said = capsys.readouterr().err
    assert "... 0 s: booting made up 6.1.0 (given up after 300 s)\n" in said
    assert "... 0 s: sweeping, 1 of 6 passes through\n" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("calibration.json", '["a", {}]'),
        ("calibration.json", "7"),
        ("calibration.json", "[" * 100_000),
        ("cost.json", "[1]"),
        ("cost.json", '{"x": "y"}'),
        ("symbols", "zzzz t name"),
        ("spinning-handler_writes-0.rounds", None),
    ],
)
def test_files_that_the_kernel_under_test_made_up(
    tmp_path: Path,
    machine_that: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
) -> None:
    """A sentence each, and no verdict."""

    def act(_job: Job, share: Path) -> MachineEnd:
        good = {"calibration.json": "[0, 1]", "cost.json": "{}", "symbols": "ff t a", "done": ""}
        for each, text in {**good, name: content or ""}.items():
            (share / each).write_text(text)
        if content is None:
            (share / name).write_bytes(b"\xff" * ffi.sizeof("struct sw_round"))
            line = "a-1 [000] d. 5: interrupt: ip=0x5\na-1 [000] d. 6: signal_generate: x\n"
            (share / name).with_suffix(".trace").write_text(line)
        return MachineEnd(0, None, 1.0, 2.0, True)

    machine_that(act)
    words = ["sweep", "--way", "spinning", "--output", str(tmp_path)]
    assert main(words) == Exit.SUITE_ERROR
    said = capsys.readouterr().err
    assert "defect" not in said
    assert name.split(".")[0] in said
