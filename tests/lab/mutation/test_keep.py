# SPDX-License-Identifier: GPL-2.0-only
"""The process that keeps a machine for mutants, and what it leaves when the machine ends."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from lab.emulation import share as shares
from lab.emulation.errors import KernelError
from lab.emulation.kernel import Kernel
from lab.emulation.machine import CONSOLE, Job, Limits, Machine, MachineEnd
from lab.emulation.share import Share
from lab.launch import finish
from lab.launch.exit_codes import Exit
from lab.launch.lost import LostVm
from lab.mutation import keep as mutate_keep
from lab.mutation.lane import Lane
from lab.mutation.source import Source
from tools.screen.terminal import TERMINAL

pytestmark = pytest.mark.usefixtures("played_programs")

Boots = Callable[[Job, Limits, Path], MachineEnd]


class Keep(Protocol):
    def __call__(self, boots: Boots, of: Source = ..., /) -> tuple[int, Lane]: ...


SOURCE = Source(
    boot="debian:6.1",
    release="6.1.0",
    name="6.1",
    version="6.1",
    tree="/tree",
    build="/build",
    compiler="gcc",
    label="6.1",
    digest="0",
)


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Keeps a machine that does what a function says: the exit code, and the lane that reads it."""

    def keep(boots: Boots, of: Source = SOURCE) -> tuple[int, Lane]:
        source, place = tmp_path / "source.json", tmp_path / ".lane-1"
        of.write(source)
        made = shares.make(place)

        def run(
            kernel: Kernel, machine: Machine, job: Job, share: Share, **given: object
        ) -> MachineEnd:
            assert share.path == made.path
            assert job.reads, "where the mutants' modules are"
            assert "softlockup_panic=1" in machine.kernel_parameters
            assert machine.foreign == of.foreign
            limits = given["limits"]
            assert isinstance(limits, Limits)
            return boots(job, limits, place)

        monkeypatch.setattr(mutate_keep, "run", run)
        monkeypatch.setattr(mutate_keep.kernels, "find", lambda _spec, **_: Kernel)
        monkeypatch.setattr(mutate_keep.conformance, "executed", lambda *_: place / "image")
        lane = object.__new__(Lane)  # without the process that its constructor starts
        lane.place = place
        return mutate_keep.keep(str(source), str(place), "300", TERMINAL), lane

    return keep


def test_machine_waits_for_mutants_and_has_no_last_words(keep: Keep, tmp_path: Path) -> None:
    """Neither silence nor age ends it; a crash of one mutant's test must not speak for another."""

    def boots(job: Job, limits: Limits, place: Path) -> MachineEnd:
        assert job.command[1:4] == ["-m", "lab.mutation.guest", str(shares.at(place).path)]
        assert not any(word.startswith("--results") for word in job.command)
        assert finish.LAST_WORDS not in job.environment
        assert job.environment["KSFT_MACHINE_SLOW"] == "yes"
        assert (limits.boot_s, limits.silence_s, limits.total_s) == (300, math.inf, math.inf)
        return MachineEnd(None, LostVm("the machine hung", "", ()), 1.0, 2.0, True)

    assert keep(boots)[0] == Exit.LOST_VM


def test_machine_of_another_architecture_runs_what_its_payload_has(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutate_keep.Machine, "check_programs", lambda *_: None)

    def boots(job: Job, _limits: Limits, _place: Path) -> MachineEnd:
        assert job.command[:3] == ["/usr/bin/python3", "-m", "lab.mutation.guest"]
        assert str(job.folder) == "/opt/kvm-conformance"
        return MachineEnd(None, LostVm("the machine hung", "", ()), 1.0, 2.0, True)

    assert keep(boots, replace(SOURCE, arch="ppc64el"))[0] == Exit.LOST_VM


def test_lost_machine_is_told_as_it_was_lost(keep: Keep) -> None:
    lost = LostVm("the kernel panicked", "Kernel panic - not syncing: oops", ("a", "b"))
    code, lane = keep(lambda *_: MachineEnd(None, lost, 1.0, 2.0, True))
    assert (code, lane.lost()) == (Exit.LOST_VM, lost)


def test_tests_that_end_are_a_loss_without_a_panic(keep: Keep) -> None:
    """What the console says then is no kernel's panic, so it is no evidence against a mutant."""

    def boots(_job: Job, _limits: Limits, place: Path) -> MachineEnd:
        (place / CONSOLE).write_text("one\ntwo\n")
        return MachineEnd(-signal.SIGSEGV, None, 1.0, 2.0, True)

    lost = keep(boots)[1].lost()
    assert lost.why == "the tests' own process ended with status -11"
    assert lost.console == ("one", "two")
    assert not lost.against_kernel


def test_machine_that_never_was_is_an_error_and_no_loss(keep: Keep) -> None:
    def boots(*_: object) -> MachineEnd:
        raise KernelError("no program qemu-system-x86_64")

    code, lane = keep(boots)
    assert code == Exit.SUITE_ERROR
    with pytest.raises(KernelError, match=r"^no program qemu-system-x86_64\.$"):
        lane.lost()


@pytest.fixture
def _signals_of_a_process_that_goes_on() -> Iterator[None]:
    """A process that was stopped ends, and so ignores later signals."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals_of_a_process_that_goes_on")
def test_stopped_machine_is_no_loss(keep: Keep) -> None:
    def boots(*_: object) -> MachineEnd:
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the signal must end the wait")

    code, lane = keep(boots)
    assert code == 128 + signal.SIGINT
    assert not (lane.place / mutate_keep.LOST).exists()
