# SPDX-License-Identifier: GPL-2.0-only
"""lab.emulation.machine: how a machine may end, that all of it ends, and what is refused."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.emulation import console, machine, programs, reach
from lab.emulation.errors import EmulationError
from lab.emulation.machine import Job, Limits, Machine, MachineEnd, run
from lab.emulation.share import fresh, make
from lab.launch import keeper
from lab.launch.stopping import StoppedError, held_off, stoppable
from tests.fakes import machine as fake

JOB = Job(["/bin/sh", "-c", 'echo "said $WORD in $PWD"; exit 7'], Path("/"), {"WORD": "a 'b' $c"})


pytestmark = pytest.mark.usefixtures("played_programs")


def boot(share: Path, ending: str, limits: Limits | None = None, job: Job = JOB) -> MachineEnd:
    """A machine from boot to end, of which then nothing may be left but its console."""
    read, write = os.pipe()
    try:
        with fake.playing(ending), fresh(share) as folder:
            ended = run(
                fake.KERNEL,
                Machine(),
                job,
                folder,
                limits=limits or Limits(),
                signs_of_life=lambda: 0,
                output=write,
            )
    finally:
        os.close(write)
        with os.fdopen(read, "rb") as said:
            (share / "said").write_bytes(said.read())
    assert fake.processes_of(share) == []
    assert not (share / machine.CONTROL).exists()
    return ended


def test_job_runs_and_gives_its_exit_code(tmp_path: Path) -> None:
    ended = boot(tmp_path, "job")
    assert (ended.status, ended.lost, ended.has_kvm) == (7, None, True)
    assert ended.booted_s is not None
    assert (tmp_path / "said").read_text() == "said a 'b' $c in /\n"


def test_kernel_without_kvm_is_noticed(tmp_path: Path) -> None:
    ended = boot(tmp_path, "no_kvm")
    assert (ended.status, ended.has_kvm) == (7, False)


def test_modules_that_do_not_load_are_no_verdict(tmp_path: Path) -> None:
    job = Job(JOB.command, JOB.folder, JOB.environment, Path("/m"))
    with pytest.raises(EmulationError) as raised:
        boot(tmp_path, "modules", job=job)
    assert str(raised.value).startswith(
        f"fake 6.99.0 does not load the KVM in /m: {fake.INSMOD} ({fake.MAGIC}); "
    )
    assert not (tmp_path / "said").exists() or not (tmp_path / "said").read_text()
    assert not (tmp_path / machine.CONTROL).exists()


def test_folder_that_virtme_ng_cannot_take_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "6.12.95-1~bpo12"
    folder.mkdir()
    with pytest.raises(EmulationError, match=r"cannot have the folder .*~bpo12: .*--output"):
        boot(folder, "no_kvm")
    assert not (folder / machine.CONSOLE).exists()


def test_panic_is_a_loss_with_the_kernels_words(tmp_path: Path) -> None:
    lost = boot(tmp_path, "panics").lost
    assert lost
    assert lost.panic == fake.PANIC
    assert lost.describe() == f"the kernel panicked: {fake.PANIC}"
    assert lost.against_kernel
    assert lost.console[0] == "[    9.000001] all is well"


def test_panic_before_user_space_says_nothing_about_kvm(tmp_path: Path) -> None:
    lost = boot(tmp_path, "no_boot_panic").lost
    assert lost
    assert lost.why == "the kernel panicked before it reached user space"
    assert lost.panic == fake.PANIC
    assert not lost.against_kernel


def test_machine_that_vanishes(tmp_path: Path) -> None:
    lost = boot(tmp_path, "vanishes").lost
    assert lost
    assert lost.describe() == "the machine ended by itself"
    assert not lost.against_kernel


@pytest.mark.parametrize(
    ("ending", "limits", "why"),
    [
        ("never_boots", Limits(boot_s=0.5), "did not reach user space in 0 s"),
        ("hangs", Limits(silence_s=3), "no sign of life for 3 s"),
        ("hangs", Limits(total_s=3), "time limit of 3 s"),
    ],
    ids=["boot", "silence", "total"],
)
def test_limits_end_a_machine(tmp_path: Path, ending: str, limits: Limits, why: str) -> None:
    ended = boot(tmp_path, ending, limits)
    assert ended.status is None
    assert ended.lost
    assert why in ended.lost.why
    assert not ended.lost.against_kernel
    assert (ended.booted_s is None) == (ending == "never_boots")


def test_virtme_ng_that_refuses_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(EmulationError, match=r"could not boot fake 6\.99\.0: virtme-run: no such"):
        boot(tmp_path, "refused")
    assert not (tmp_path / machine.CONTROL).exists()


def test_a_share_of_a_killed_run_is_cleaned_by_the_next(tmp_path: Path) -> None:
    stale = tmp_path / machine.CONTROL / "share"
    stale.mkdir(parents=True)
    (stale / "state").write_text("up\nkvm\nstatus 0\n")
    (stale / "job.sh").write_text("exit 0\n")
    assert boot(tmp_path, "job").status == 7


def test_share_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make(tmp_path / "file")


# -------------------------------------------------------------------------------------------------
# The keeper


# Leaves a grandchild in a session of its own; all of them hold standard output.
LEAVES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(1, b"x")
        time.sleep(600)
    os._exit(0)
time.sleep(float(sys.argv[1]))
"""
CALLS = """
import subprocess, sys, time
subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["told", "pipe_closed", "command_ends", "caller_killed"])
def test_keeper_ends_processes_that_left_their_session(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    words = [sys.executable, keeper.__file__, str(folder), sys.executable, "-c", LEAVES]
    words.append("1" if how == "command_ends" else "600")
    if how == "caller_killed":
        words = [sys.executable, "-c", CALLS, *words]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        assert child.stdout.read(1) == b"x"
        if how == "caller_killed":
            child.kill()
        elif how in ("told", "pipe_closed"):
            if how == "told":
                child.stdin.write(b"end")
            child.stdin.close()
        # Nobody holds the pipe any more: command and grandchild have ended, and the keeper too.
        assert child.stdout.read() == b""
    kept = how in ("told", "command_ends")
    assert folder.exists() == kept, "the caller reads it still, or is gone"


def test_keeper_gives_the_commands_exit_code(tmp_path: Path) -> None:
    words = [sys.executable, keeper.__file__, str(tmp_path), "/bin/sh", "-c"]
    for script, code in (("exit 5", 5), ("kill -9 $$", -9), ("kill -11 $$", -11)):
        done = subprocess.Popen([*words, script], stdin=subprocess.PIPE)
        assert done.wait(60) == code
        assert done.stdin
        done.stdin.close()


def test_keeper_takes_no_signal_for_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    code = f"print('up', flush=True); open({str(tmp_path / 'go')!r}).read()"
    words = [sys.executable, keeper.__file__, str(tmp_path), sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"up\n"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child.send_signal(number)
        (tmp_path / "go").write_text("")
        assert child.wait(60) == 0


# -------------------------------------------------------------------------------------------------
# The console


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (fake.PANICS, fake.PANIC),
        ("[  1.0] BUG: soft thing\n[ 2.0] more\n", "BUG: soft thing"),
        ("[  9.9][ T12] watchdog: BUG: soft lockup - CPU#1 stuck for 26s!\n", "watchdog: BUG"),
        ("[  9.9] rcu: INFO: rcu_preempt detected stalls on CPUs\n", "rcu: INFO: rcu_preempt"),
        ("[  9.9] INFO: task python:12 blocked for more than 120 seconds.\n", "INFO: task python"),
        ("[  9.9] Oops: general protection fault\n", "Oops: general"),
        ("[  9.9] DEBUG: quiet\nall is well\n", ""),
        ("", ""),
    ],
    ids=["panic", "bug", "lockup", "rcu", "hung_task", "oops", "nothing", "empty"],
)
def test_the_kernels_own_line_is_found(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "console"
    path.write_text(text)
    found = console.panic(console.last_lines(path))
    assert found.startswith(line)
    assert bool(found) == bool(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (fake.REFUSES, fake.MAGIC),
        ("[ 1.0] kvm: Unknown symbol foo (err -2)\n", "kvm: Unknown symbol foo (err -2)"),
        ("[ 1.0][ T9] kvm_amd: disagrees about version of symbol x\n", "kvm_amd: disagrees"),
        ("[ 1.0] kvm_amd: SVM not supported by CPU 0\n", "kvm_amd: SVM not supported"),
        ("[ 1.0] kvm: module verification failed: signature and/or required key missing\n", ""),
        ("insmod: ERROR: could not insert module: Unknown symbol in module\n", ""),
    ],
    ids=["magic", "symbol", "version", "processor", "unsigned", "not_the_kernel"],
)
def test_why_a_module_is_refused(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "console"
    path.write_text(text)
    found = console.refusal(console.last_lines(path))
    assert found.startswith(line)
    assert bool(found) == bool(line)


def test_console_is_cleaned_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "console"
    path.write_bytes(b"\x1b[1mone\x1b[0m\r\n\n\xff\x00two\tx\r\n" + b"three\n" * 3)
    assert console.last_lines(path) == ["one", "\ufffdtwo\tx", "three", "three", "three"]
    assert console.last_lines(path, 1) == ["three"]
    path.write_bytes(b"x" * (3 << 20) + b"\nend")
    assert console.last_lines(path)[-1] == "end"
    assert sum(map(len, console.last_lines(path))) <= 1 << 20
    assert console.last_lines(tmp_path / "nothing") == []


# -------------------------------------------------------------------------------------------------
# Machines that cannot be


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Machine(cpus=0), "1 to 64"),
        (Machine(cpus=65), "1 to 64"),
        (Machine(cpus=-2), "1 to 64"),
        (Machine(memory="2"), "no amount of memory"),
        (Machine(memory="-2G"), "no amount of memory"),
        (Machine(memory="lots"), "no amount of memory"),
        (Machine(memory="64M"), "too little"),
        (Machine(memory="9999999999G"), "more than this host has"),
        (Machine(instruction_clock=True), "counts one processor"),
    ],
    ids=lambda value: value.memory + str(value.cpus) if isinstance(value, Machine) else "",
)
def test_machines_that_cannot_be(asked: Machine, why: str) -> None:
    with pytest.raises(EmulationError, match=why):
        asked.check()


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "vng", lambda: Path("/vng"))
    monkeypatch.setattr(machine, "_UDEV_RULES", (tmp_path / "none",))
    asked = Machine(cpus=3, memory="1G", qemu="sh", options=("-name", "a b"), threads=True)
    monkeypatch.setattr(reach, "why_not", lambda: "it is refused")
    share = make(tmp_path)
    words = machine.command(fake.KERNEL, asked, JOB, share, tmp_path / "image")
    assert words[:2] == ["/vng", "--run"]
    assert any("oops=panic" in word for word in words), "a broken kernel ends with words"
    assert tuple(words[words.index("--cpus") :][:2]) == ("--cpus", "3")
    options = next(word for word in words if word.startswith("--qemu-opts="))
    assert "thread=multi" in options
    assert "'a b'" in options
    assert f"file={tmp_path}/image" in options
    assert [word for word in words if "--rw" in word] == [f"--rwdir={share.path}"]
    assert not any(word.startswith("--rodir=") for word in words), "this host has no rules"
    there = tmp_path / "lib/udev/rules.d"
    there.mkdir(parents=True)
    monkeypatch.setattr(machine, "_UDEV_RULES", (tmp_path / "none", there))
    words = machine.command(fake.KERNEL, asked, JOB, share, None)
    share.close()
    assert f"--rodir={there}={tmp_path / machine.CONTROL / machine.RULES}" in words


# -------------------------------------------------------------------------------------------------
# Stopping


@pytest.mark.parametrize("held", [True, False], ids=["held_off", "at_once"])
def test_a_signal_that_stops_waits_for_what_is_done_whole(held: bool) -> None:
    done: list[str] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}

    def stopped() -> None:
        with stoppable():
            with held_off() if held else contextlib.nullcontext():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("whole")
            done.append("later")

    try:
        with pytest.raises(StoppedError, match="SIGTERM"):
            stopped()
        assert done == (["whole"] if held else [])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
