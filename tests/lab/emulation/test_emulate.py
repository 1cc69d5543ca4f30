# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance emulate``: exit codes, journals completed from outside, signals, bad input."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.host.obstacles import Obstacle
from harness.reporting import journal, variants
from harness.reporting.results import TestOutcome
from lab.emulation import cache, conformance, kernel, machine, programs
from lab.emulation.errors import EmulationError
from lab.emulation.machine import Machine
from lab.launch import finish
from lab.launch.lost import LostVm
from lab.launch.request import DEFAULT_BUDGET, Request
from tests.fakes import machine as fake
from tests.fakes import programs as fake_programs
from tests.fakes import project as fake_project
from tools import emulate, run
from tools.cli import main
from tools.screen.terminal import TERMINAL

pytestmark = pytest.mark.usefixtures("played_programs")


def outcomes(folder: Path) -> dict[str, tuple[TestOutcome, str]]:
    """Each test's outcome and message."""
    read = journal.read(folder / journal.NAME)
    return {result.id: (result.outcome, result.message) for result in read.results}


def test_a_run_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fake.tool("ends", tmp_path) == 0
    said = capsys.readouterr().out.splitlines()
    title = (
        f"Emulated host: fake 6.99.0 in QEMU {fake_programs.QEMU_VERSION}, 2 CPUs in turn, 2G, "
        "tier emulated, one variant of each test"
    )
    assert said[0] == title
    assert said[-1] == f"{title}."
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(".lock", machine.CONSOLE, "journal.jsonl", "junit.xml")
    ]


@pytest.mark.parametrize(
    ("ending", "code", "outcome", "words"),
    [
        ("panics", 1, TestOutcome.CRASHED, fake.PANIC),
        ("vanishes", 71, TestOutcome.ERROR, "the machine ended by itself"),
    ],
)
def test_a_lost_machine_is_an_outcome(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ending: str,
    code: int,
    outcome: TestOutcome,
    words: str,
) -> None:
    assert fake.tool(ending, tmp_path) == code
    said = capsys.readouterr()
    found = outcomes(tmp_path)
    assert found["preset.a"][0] is TestOutcome.PASSED
    assert found["preset.b"][0] is outcome
    assert words in found["preset.b"][1]
    assert "1 of 2 tests had run" in said.err or "2 of 2 tests had run" in said.err
    assert words in said.err
    assert fake_project.well_formed(tmp_path / "junit.xml")
    if ending == "panics":
        assert "FAILED      preset.returns_eintr" in said.out
        assert "The console's last lines:" in said.err
    assert not (tmp_path / machine.CONTROL).exists()


def test_a_machine_that_hung_is_no_verdict(tmp_path: Path) -> None:
    fake._begin(tmp_path)
    lost = LostVm("the machine hung: no sign of life for 240 s", "", ())
    code = finish.finish(
        tmp_path, TERMINAL, status=-9, stopped_by=None, require_kvm=False, narrowed=True, lost=lost
    )
    assert code == 71
    outcome, message = outcomes(tmp_path)["preset.b"]
    assert outcome is TestOutcome.ERROR
    assert message == f"{lost.why}, while this test ran"


def test_a_boot_that_panics_is_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fake.tool("no_boot_panic", tmp_path) == 71
    assert "panicked before it reached user space" in capsys.readouterr().err


def test_virtme_ng_that_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fake.tool("refused", tmp_path) == 70
    assert "virtme-run: no such kernel" in capsys.readouterr().err


def test_what_pytest_does_not_understand_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its words went to the machine's console."""
    assert fake.tool("usage", tmp_path) == 64
    assert "ERROR: --first: there is no claim 'x'" in capsys.readouterr().err.splitlines()


def test_modules_that_do_not_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fake.tool("modules", tmp_path) == 70
    said = capsys.readouterr().err
    assert fake.INSMOD in said
    assert fake.MAGIC in said


# -------------------------------------------------------------------------------------------------
# Signals


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["interrupt", "term"]
)
def test_signals(tmp_path: Path, number: signal.Signals, code: int) -> None:
    child = fake.start_tool("hangs", tmp_path)
    fake_project.wait_for((tmp_path / fake.LEFT_BEHIND).exists)
    child.send_signal(number)
    output, errors = child.communicate(timeout=60)
    assert child.returncode == code, output + errors
    assert "Traceback" not in errors
    assert f"Stopped by {number.name}: 1 of 2 tests had run" in errors
    assert outcomes(tmp_path).keys() == {"preset.a"}
    assert fake_project.well_formed(tmp_path / "junit.xml")
    assert fake.processes_of(tmp_path) == []
    assert not (tmp_path / machine.CONTROL).exists()


def test_kill_leaves_nothing(tmp_path: Path) -> None:
    child = fake.start_tool("hangs", tmp_path)
    fake_project.wait_for((tmp_path / fake.LEFT_BEHIND).exists)
    child.kill()
    child.communicate(timeout=60)
    fake_project.wait_for(lambda: fake.processes_of(tmp_path) == [])
    fake_project.wait_for(lambda: not (tmp_path / machine.CONTROL).exists())


# -------------------------------------------------------------------------------------------------
# From `run` to `emulate`


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Request, str]]:
    """What `emulate` was told, instead of a machine; and a host whose KVM does not answer."""
    told: list[tuple[Request, str]] = []

    def launch(
        spec: str, _machine: object, request: Request, *_: object, why: str, **_more: object
    ) -> int:
        told.append((request, why))
        return 7

    obstacle = Obstacle("no_kvm", "/dev/kvm is not a KVM device.", "Load the module.")
    monkeypatch.setattr(run, "_obstacle", lambda: obstacle)
    monkeypatch.setattr(emulate, "launch", launch)
    return told


def test_run_else_emulate(
    launched: list[tuple[Request, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--else-emulate", "--claim", "preset", "--require-kvm", "--", "-x"]) == 7
    request, why = launched[0]
    assert request.claims == ("preset",)
    assert request.require_kvm
    assert request.pytest_arguments == ("-x",)
    assert request.budget == conformance.BUDGET
    assert request.variants == variants.ONE
    assert why == ", because this host has no usable /dev/kvm"
    said = capsys.readouterr().err
    first, last = said.splitlines()
    own = "To test this host's own KVM: Load the module."
    assert first == (f"/dev/kvm is not a KVM device. So the suites run in an emulated host. {own}")
    assert last == f"/dev/kvm is not a KVM device. {own}"


def test_what_was_asked_for_stays(launched: list[tuple[Request, str]]) -> None:
    budget = DEFAULT_BUDGET
    assert main(["run", "--else-emulate", "--budget", budget, "--variants", "all"]) == 7
    assert launched[0][0].budget == budget
    assert launched[0][0].variants == variants.ALL


def test_what_is_missing_is_set_up(
    launched: list[tuple[Request, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise EmulationError("there is no QEMU")

    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "bootstrap.sh"
    monkeypatch.setattr(programs, "check", nothing)
    monkeypatch.setattr(emulate, "ROOT", tmp_path)
    for status, code in ((70, 70), (0, 7)):
        script.write_text(
            f'#!/bin/sh\necho "$@" >{tmp_path}/asked\necho "install QEMU" >&2\nexit {status}\n'
        )
        script.chmod(0o755)
        assert main(["run", "--else-emulate"]) == code
        assert (tmp_path / "asked").read_text() == "--emulation\n"
        said = capfd.readouterr().err.splitlines()
        assert said[-2:] == [
            "install QEMU",
            "/dev/kvm is not a KVM device. To test this host's own KVM: Load the module.",
        ]
    assert len(launched) == 1


def test_another_architecture_is_not_emulated(
    launched: list[tuple[Request, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    obstacle = Obstacle("other_architecture", "This machine is s390x.", "Add a module.")
    monkeypatch.setattr(run, "_obstacle", lambda: obstacle)
    monkeypatch.setattr(run, "launch", lambda *_, **__: 4)
    assert main(["run", "--else-emulate"]) == 4
    assert launched == []


# -------------------------------------------------------------------------------------------------
# Bad input


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--cpus", "0"], 70, "1 to 64"),
        (["--memory", "1"], 70, "no amount of memory"),
        (["--qemu", "no-such-qemu"], 70, "qemu-system-x86"),
        (["--qemu", "true"], 70, "is no QEMU"),
        (["--qemu-options", "'open"], 64, "--qemu-options"),
        (["--time-limit", "1"], 64, "--time-limit"),
        (["--variants", "some"], 64, "some"),
        (["--budget", "much"], 64, "--budget"),
        (["--claim", "preset.repeat"], 64, "preset.repeats"),
    ],
    ids=lambda value: "_".join(value).strip("-") if isinstance(value, list) else "",
)
def test_bad_input(
    arguments: list[str], code: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emulate", "--kernel", "no-such-kernel", *arguments]) == code
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("kernel", ["no-such-kernel", "/no/such/kernel", "debian:", ""])
def test_unknown_kernels(
    kernel: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emulate", "--kernel", kernel]) == 70
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("version", "why"), [("6.2.0", r"QEMU 6\.2\.0, and 7\.2"), ("x", "no QEMU")]
)
def test_qemu_that_does_not_do(tmp_path: Path, version: str, why: str) -> None:
    qemu = tmp_path / "qemu"
    qemu.write_text(f"#!/bin/sh\necho QEMU emulator version {version} '(Debian)'\n")
    qemu.chmod(0o755)
    with pytest.raises(EmulationError, match=why):
        programs.check(str(qemu))


def test_all_that_is_missing_is_named_at_once(
    played_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "places", lambda: str(played_programs))
    programs.check("qemu-system-x86_64")
    for name in ("systemd-udevd", "depmod", "strings"):
        (played_programs / name).unlink()
    with pytest.raises(EmulationError) as told:
        programs.check("qemu-system-x86_64")
    assert str(told.value) == (
        "missing on this host: systemd-udevd, depmod, strings; run `make setup-emulation`, or "
        "install Debian's packages udev kmod binutils"
    )
    with pytest.raises(EmulationError, match=r"here|host: my-qemu, systemd-udevd, "):
        programs.check("my-qemu")


def test_busybox_must_need_no_library(
    played_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (played_programs / "ldd").write_text("#!/bin/sh\necho 'libc.so.6 => /lib/libc.so.6'\n")
    monkeypatch.setattr(programs, "places", lambda: str(played_programs))
    with pytest.raises(EmulationError, match=r"host: a static busybox; .* busybox-static$"):
        programs.check("qemu-system-x86_64")


@pytest.mark.usefixtures("played_programs")
def test_virtme_ng_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_vng_version", lambda: "1.9")
    with pytest.raises(EmulationError, match=r"virtme-ng is 1\.9, and 1\.40"):
        programs.check("qemu-system-x86_64")


BOOT = [("emulate",), ("sweep",), ("matrix",), ("mutate",), ("emulate", "--kernel", "debian:sid")]


@pytest.mark.parametrize("command", BOOT)
def test_programs_are_looked_for_before_anything_is_fetched(
    command: tuple[str, ...],
    played_programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(programs, "places", lambda: str(played_programs))
    monkeypatch.setattr(cache, "run", lambda *_, **__: pytest.fail("nothing may be fetched"))
    monkeypatch.setattr(kernel, "find", lambda *_, **__: pytest.fail("no kernel is looked for"))
    monkeypatch.setattr(programs, "_found_vng", lambda: None)
    (played_programs / "file").unlink()
    (played_programs / "mke2fs").unlink()
    assert main([*command, "--output", str(tmp_path / "out")]) == 70
    said = capsys.readouterr().err
    assert "missing on this host: " in said
    assert "mke2fs, file" in said
    setup = "make setup-mutants" if "mutate" in command else "make setup-emulation"
    assert said.endswith(f"virtme-ng, a Python package; run `{setup}`.\n")


@pytest.mark.usefixtures("played_programs")
def test_a_bare_set_up_boots_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(programs, "_found_vng", lambda: None)
    assert main(["emulate"]) == 70
    lacking = "missing on this host: virtme-ng, a Python package"
    assert capsys.readouterr().err == f"Error: {lacking}; run `make setup-emulation`.\n"


def test_results_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert fake.tool("ends", tmp_path / "file" / "below") == 73
    assert "cannot be written" in capsys.readouterr().err


def test_cache_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KVM_CONFORMANCE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(emulate.kernels, "find", lambda *_, **__: fake.KERNEL)
    request = Request(output=tmp_path / "out")
    assert emulate.launch("fake", Machine(), request, TERMINAL, narrowed=False) == 70
    assert "the cache cannot be written" in capsys.readouterr().err


def test_the_job_says_what_it_runs_in(tmp_path: Path) -> None:
    request = Request(jobs="auto", budget="10000", variants=variants.ONE)
    job = conformance.job(Machine(), request, tmp_path)
    assert (
        job.environment["KVM_CONFORMANCE_EMULATOR"]
        == f"QEMU {fake_programs.QEMU_VERSION}, 2 CPUs in turn, 2G"
    )
    assert job.environment["KVM_CONFORMANCE_TIER"] == "emulated"
    assert "--variants=one" in job.command
    assert "--budget=10000" in job.command
    assert not any("numprocesses" in word for word in job.command)
    assert job.environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] == "1"
    assert Path(job.environment[finish.LAST_WORDS]).parent == tmp_path


def test_workers_need_their_plugin(tmp_path: Path) -> None:
    job = conformance.job(Machine(), Request(jobs="2"), tmp_path)
    assert "--numprocesses=2" in job.command
    assert "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in job.environment
