# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance matrix` with children that only play: limits, signals, resumption, codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.campaign import side_by_side, state
from lab.emulation import kernel as kernels
from lab.emulation.errors import KernelError
from lab.matrix import runs
from lab.matrix.kernel_list import ListedKernel
from tests.fakes import project as fake
from tools import run_child

pytestmark = pytest.mark.usefixtures("played_programs")

DRIVER = """
import os, sys
from harness import signs
from lab.launch import process_group
from tools import run_child
run_child.PROGRAM = (sys.executable, sys.argv[1])
process_group.ORDERLY_S = float(sys.argv[2])
signs.EVERY_S = float(os.environ.get("SIGNS_EVERY", 10))
from tools.cli import main
sys.exit(main(["matrix", *sys.argv[3:]]))
"""
FAKE = fake.ROOT / "tests/fakes/emulate.py"


def start(
    folder: Path, *kernels: str, more: tuple[str, ...] = (), orderly: float = 20, **env: str
) -> subprocess.Popen[str]:
    """A matrix of these kernels; its results go to folder/out."""
    listed = folder / "kernels.toml"
    listed.write_text("".join(f'[[kernel]]\nkernel = "fake:{name}"\n' for name in kernels))
    (folder / "log").touch()
    words = [f"--kernels={listed}", f"--output={folder / 'out'}", *more]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(FAKE), str(orderly), *words],
        cwd=folder,
        env=fake.environ(FAKE_LOG=str(folder / "log"), **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *kernels: str, more: tuple[str, ...] = (), **env: str) -> tuple[int, str]:
    """The same to its end: exit code and all texts."""
    process = start(folder, *kernels, more=more, **env)
    out, err = process.communicate(timeout=90)
    return process.returncode, out + err


def logged(folder: Path, word: str) -> list[str]:
    """The kernels of which the log has such a line, in order."""
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    return [line[1].removeprefix("fake:") for line in lines if line[0] == word]


def known(folder: Path) -> dict[str, dict[str, object]]:
    kernels = json.loads((folder / "out/matrix.json").read_text())["kernels"]
    return {kernel["kernel"].removeprefix("fake:"): kernel for kernel in kernels}


def gone(process: str) -> bool:
    """Whether it has ended; a zombie has."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize(
    ("kernels", "code"),
    [
        ("held", 0),
        ("held failed lost none error", 1),
        ("held panic", 1),
        ("held lost none", 71),
        ("nothing held", 71),
        ("held none", 70),
        ("broken held", 70),
        ("held error", 70),
        ("vanish held", 70),
    ],
)
def test_the_worst_kernel_gives_the_exit_code(tmp_path: Path, kernels: str, code: int) -> None:
    found, text = run(tmp_path, *kernels.split())
    assert found == code, text
    assert "Traceback" not in text
    assert known(tmp_path)["held"]["verdict"] == "held", "one that is lost spoils no other"
    assert json.loads((tmp_path / "out/matrix.json").read_text())["exit"] == code


def test_each_kernel_is_held_against_what_is_declared(tmp_path: Path) -> None:
    """Its folder's name says which entries are for it."""
    skip = 'claim = "signals.slow_fault"\nreason = "no_userfaultfd"\n'
    (tmp_path / "all.toml").write_text(f"[[skip]]\n{skip}")
    (tmp_path / "one.toml").write_text(f'[[skip]]\nsuite = "fake_held"\n{skip}')
    more = ("--strict-skips", f"--expect={tmp_path / 'all.toml'}")
    code, text = run(tmp_path, "held", "held_too", more=more)
    assert (code, "EXPECTED    as all.toml declares." in text) == (0, True), text
    more = ("--strict-skips", f"--expect={tmp_path / 'one.toml'}")
    code, text = run(tmp_path, "held", "held_too", more=more)
    assert (code, json.loads((tmp_path / "out/matrix.json").read_text())["exit"]) == (70, 70)
    assert "not tested  fake_held_too, signals.slow_fault: 1 of 1 test skipped" in text
    assert "No verdict on all that was asked for" in text
    told = (tmp_path / "out/junit.xml").read_text()
    assert told.count("signals.slow_fault: no_userfaultfd") == 1


def test_why_is_told(tmp_path: Path) -> None:
    _, text = run(tmp_path, *["none", "lost", "panic", "vanish", "broken"])
    whys = {name: kernel["why"] for name, kernel in known(tmp_path).items()}
    assert whys["none"] == "is not in the archive"
    assert whys["lost"] == "the machine hung: no sign of life"
    assert whys["panic"] == "the machine vanished: Kernel panic"
    assert whys["vanish"] == "the process that ran it was ended by signal 9"
    assert "prepare.txt" in whys["broken"]
    for why in ("is not in the archive", "no sign of life", "Kernel panic"):
        assert why in " ".join(text.split())


def test_as_many_at_once_as_asked_for(tmp_path: Path) -> None:
    """Each waits for a second one, so that one alone would never end."""
    code, text = run(tmp_path, "pair1", "pair2", "pair3", "pair4", more=("--parallel=2",))
    assert code == 0, text
    running = most = 0
    for line in (tmp_path / "log").read_text().splitlines():
        running += line.startswith("begin") - line.startswith("end")
        most = max(most, running)
    assert most == 2


@pytest.mark.parametrize(
    ("cores", "megabytes", "most"),
    [(4, 100_000, 4), (4, 5200, 2), (4, 100, 1), (1, 100_000, 1), (4, 2559, 1), (4, 2560 * 3, 3)],
)
def test_as_many_as_processors_and_memory_carry(
    monkeypatch: pytest.MonkeyPatch, cores: int, megabytes: int, most: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(side_by_side, "available_megabytes", lambda: megabytes)
    assert side_by_side.most_at_once(2048) == most


def test_options_go_to_each_kernel(tmp_path: Path) -> None:
    more = (
        "--claim=preset",
        "--suite=preset",
        "--budget=20000",
        "--time-limit=50",
        "--jobs=3",
        "--variants=all",
    )
    assert run(tmp_path, "held", more=more)[0] == 0
    begin = next(line for line in (tmp_path / "log").read_text().splitlines() if "begin" in line)
    for word in (*more, "--cpus=2", "--memory=2G"):
        assert f" {word}" in begin


def test_what_is_complete_is_kept(tmp_path: Path) -> None:
    """And only that: lost machines, suites that broke, and kernels not had before come again."""
    kernels = ["held", "failed", "lost", "error", "none"]
    run(tmp_path, *kernels)
    (tmp_path / "log").unlink()
    code, text = run(tmp_path, *kernels)
    assert code == 1
    assert logged(tmp_path, "begin") == ["lost", "error"]
    assert logged(tmp_path, "find") == kernels
    assert "fake:failed: failed, kept from an earlier run" in text
    assert known(tmp_path)["failed"]["claims"]["preset.repeats"] == "FAIL"


@pytest.mark.parametrize(
    ("more", "env"),
    [
        (("--fresh",), {}),
        (("--claim=preset",), {}),
        (("--budget=20000",), {}),
        ((), {"DIGEST": "other"}),
    ],
    ids=["fresh", "other_claims", "other_budget", "other_kernel"],
)
def test_what_would_differ_is_not_kept(
    tmp_path: Path, more: tuple[str, ...], env: dict[str, str]
) -> None:
    run(tmp_path, "held")
    run(tmp_path, "held", more=more, **env)
    assert logged(tmp_path, "begin") == ["held", "held"]


def test_other_suites_are_not_kept(tmp_path: Path) -> None:
    run(tmp_path, "held")
    record = state.read(tmp_path / "out/fake_held")
    assert record is not None
    assert record.stands(record.asked, record.digest)
    path = tmp_path / "out/fake_held/kernel.json"
    path.write_text(path.read_text().replace(record.suites, "0" * 16))
    run(tmp_path, "held")
    assert logged(tmp_path, "begin") == ["held", "held"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_in_order_and_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    kernels = ("held", "stuck1", "stuck2", "failed")
    process = start(tmp_path, *kernels, more=("--parallel=2",))
    fake.wait_for(lambda: len(logged(tmp_path, "stuck")) == 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    assert "Traceback" not in out + err
    assert sorted(logged(tmp_path, "end")) == ["held", "stuck1", "stuck2"], "each had its end"
    resume = err.rstrip().splitlines()[-1]
    assert f"kvm-conformance matrix --kernels={tmp_path / 'kernels.toml'}" in resume
    found = known(tmp_path)
    assert [found[name]["verdict"] for name in kernels] == ["held", "cut", "cut", "cut"]
    assert found["stuck1"]["claims"]["preset.returns_eintr"] == "held", "what is there is kept"
    assert found["stuck1"]["claims"]["preset.repeats"] == "cut"
    (tmp_path / "log").unlink()
    assert run(tmp_path, *kernels, GO="1")[0] == 1
    assert sorted(logged(tmp_path, "begin")) == ["failed", "stuck1", "stuck2"]


def test_ctrl_c_twice_kills_what_does_not_end(tmp_path: Path) -> None:
    process = start(tmp_path, "stuck_stubborn", orderly=60)
    fake.wait_for(lambda: bool(logged(tmp_path, "child")))
    (child,) = logged(tmp_path, "child")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # another one changes nothing
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 130, out + err
    assert gone(child)


def test_a_matrix_that_was_killed_leaves_nothing_and_goes_on(tmp_path: Path) -> None:
    """SIGKILL: the child hears of it from the kernel."""
    environ = fake.environ(KVM_CONFORMANCE_PARENT="1")
    code = "from tools.run_child import main; main(['find', 'host'])"
    done = subprocess.run([sys.executable, "-c", code], env=environ, check=False, timeout=60)
    assert done.returncode == -signal.SIGTERM, "its parent is another process already"
    process = start(tmp_path, "held", "stuck", more=("--parallel=1",))
    fake.wait_for(lambda: bool(logged(tmp_path, "stuck")))
    (child,) = re.findall(r"stuck fake:stuck (\d+)", (tmp_path / "log").read_text())
    process.kill()
    process.communicate()
    fake.wait_for(lambda: gone(child))
    assert run(tmp_path, "held", "stuck", GO="1")[0] == 0
    assert logged(tmp_path, "begin") == ["held", "stuck", "stuck"]


def test_two_matrices_in_one_folder(tmp_path: Path) -> None:
    first = start(tmp_path, "stuck")
    fake.wait_for(lambda: bool(logged(tmp_path, "stuck")))
    code, text = run(tmp_path, "stuck")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert code == 64
    assert "another matrix writes its results to out/" in " ".join(text.split())


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    code, text = run(tmp_path, "held")
    assert code == 73
    assert "cannot be written to" in text
    assert "Traceback" not in text


def test_nobody_reads(tmp_path: Path) -> None:
    process = start(tmp_path, "held")
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    text = process.stderr.read()
    assert process.wait(60) == 73, text
    assert known(tmp_path).keys() == {"held"}
    assert (tmp_path / "out/junit.xml").exists()


def test_a_kernel_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/fake_held").touch()
    code, text = run(tmp_path, "stuck", "held")
    assert code == 73
    assert "fake_held" in text
    assert logged(tmp_path, "begin") == logged(tmp_path, "end"), "nothing runs on"


# ---- the child


def test_a_defect_of_the_child_does_not_speak_against_the_kernel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_arguments: object) -> int:
        raise RuntimeError("a defect")

    monkeypatch.setattr(run_child.cli, "command", broken)
    assert run_child.main(["emulate"]) == 70
    assert "a defect" in capsys.readouterr().err


def test_a_kernel_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_spec: str, **_: object) -> None:
        raise KernelError("no such kernel")

    monkeypatch.setattr(run_child.kernels, "find", missing)
    assert run_child.main(["find", "debian:none"]) == 70
    assert json.loads(capsys.readouterr().out) == {"error": "no such kernel"}


def test_a_changed_module_is_another_kernel(tmp_path: Path) -> None:
    image, module = tmp_path / "bzImage", tmp_path / "arch/x86/kvm/kvm.ko"
    module.parent.mkdir(parents=True)
    image.write_bytes(b"1")
    module.write_bytes(b"2")
    kernel = kernels.Kernel(image, "6.1.0", "tree", None, str(tmp_path))
    before = kernels.digest(kernel)
    module.write_bytes(b"3")
    assert kernels.digest(kernel) != before


def test_a_path_is_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz").touch()
    monkeypatch.chdir(tmp_path)
    assert runs._spec(ListedKernel("boot/vmlinuz")) == str(tmp_path / "boot/vmlinuz")
    assert runs._spec(ListedKernel("debian:sid/rt")) == "debian:sid/rt"


def test_signs_of_life_tell_all_in_a_line(tmp_path: Path) -> None:
    process = start(tmp_path, "stuck", "none", SIGNS_EVERY="0.3")
    assert process.stderr
    for line in process.stderr:
        if line.startswith("... ") and "testing" in line:
            break
    assert re.fullmatch(
        r"\.\.\. \d+ s: [01] of 2 over; fake:stuck: testing, 1 of 3, \d+ s.*\n", line
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
