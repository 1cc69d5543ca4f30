# SPDX-License-Identifier: GPL-2.0-only
"""Random sequences on this host's KVM, and on played ones with a defect each."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from harness.host.leftovers import left_behind_since, take_stock
from harness.host.obstacles import preflight
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.exits import DirtyRingFull
from harness.kvm.guest import Guest
from harness.kvm.system import System
from harness.model.answers import Circumstances, answers
from harness.model.steps import LOG
from harness.sequences import arch, runs
from harness.sequences.arch.x86_64 import owed
from harness.sequences.drawing import explore
from harness.sequences.runs import THREADS
from harness.sequences.sequence import Player
from harness.sequences.setting import Setting
from harness.sequences.subject import Owed, Subject
from harness.sequences.violation import Violation
from tests.fakes.broken_kvm.library import build

ROOT = Path(__file__).resolve().parents[3]
OBSTACLE = preflight()
pytestmark = [
    pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE)),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="other_architecture: x86-64 only"),
]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The played KVMs; preloaded."""
    return build(tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize("irqchip", ["none", "split", "full"])
def test_nothing_is_found_on_a_sound_kvm(irqchip: str) -> None:
    with System() as system:
        found = explore(system, irqchip, numbers=range(10), operations=25, seed=3)
    assert found is None, found and f"{found.violation.claim}: {found.violation}"


def test_a_caller_is_what_its_name_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """KVM_RUN comes from a thread that is so; one that may not be is a thread like others."""
    seen: list[str] = []

    def nice(guest: Guest) -> Iterator[None]:
        seen.append(f"nice on {threading.current_thread().name}")
        yield
        seen.append("no more")

    def refused(guest: Guest) -> Iterator[None]:
        seen.append("refused")
        raise PermissionError
        yield

    monkeypatch.setattr(runs, "CALLERS", {"nice": nice, "batch": refused})
    given = {"answer": 0, "refuse": False, "value": 5, "times": 1, "look": "nothing", "window": 0}
    with System() as system:
        player = Player(system, Setting())
        player.do("run", {"answer": 0, "refuse": False, "thread": "nice"})
        player.do("immediate", {**given, "thread": "batch"})
        player.close()
    assert seen == ["nice on caller", "refused"]


CONDITIONS = tuple(arch.current().CONDITIONS) if platform.machine() == "x86_64" else ()
#: What stays by KVM's rule: a capability that was enabled, banks that were made.
STAYS = {
    "exception_pending": "events flags",
    "triple_fault": "events flags",
    "machine_checks": "msr",
}


@pytest.mark.parametrize("irqchip", ["none", "full"])
@pytest.mark.parametrize("name", CONDITIONS)
def test_each_condition_holds_on_a_sound_kvm_and_is_taken_back(name: str, irqchip: str) -> None:
    given = {"one": name, "other": "nothing_special", "times": 3}
    with System() as system:
        player = Player(system, Setting(irqchip))
        player.do("run", {"answer": 0, "refuse": False, "thread": "here"})
        player.do("under", {**given, "one": "nothing_special", "state": 0, "way": 0})
        before = player.subject.guest.whole()
        for state, way in ((0, 0), (1, 1), (11, 0)):
            player.do("under", {**given, "state": state, "way": way})
        left = [
            each
            for each in before.differences(player.subject.guest.whole())
            if not each.startswith(("statistic", STAYS.get(name, "statistic")))
        ]
        player.close()
    assert left == []


@pytest.mark.parametrize("irqchip", ["none", "split", "full"])
@pytest.mark.parametrize("what", sorted(owed.SHARED))
def test_what_kvm_owes_is_asked_for_once_it_has_entered(what: str, irqchip: str) -> None:
    done = []
    with System() as system:
        player = Player(system, Setting(irqchip))
        run = {"answer": 0, "refuse": False, "thread": "here"}
        player.do("run", run)
        player.do("owe", {"what": what, "way": 0, "times": 1})
        player.subject.owes(Owed("preset.requests_kept", "it must be", lambda: bool(done)))
        player.do("wrong_argument", {"argument": 1, "byte": 0})
        with pytest.raises(Violation, match="after an entry with the byte at 0, it must be"):
            player.do("run", run)
        done.append(True)
        player.do("run", run)
        player.close()


@pytest.mark.parametrize("thread", dict.fromkeys(THREADS))
def test_each_caller_holds_on_a_sound_kvm(thread: str) -> None:
    given = {"answer": 0, "refuse": False, "value": 5, "times": 3, "look": "thread", "window": 1}
    with System() as system:
        player = Player(system, Setting())
        player.do("immediate", {**given, "thread": thread})
        player.do("run", {"answer": 0, "refuse": False, "thread": thread})
        player.do("immediate", {**given, "thread": thread})
        player.close()


@pytest.mark.parametrize(
    ("defect", "claims"),
    [
        ("only_bit_zero", {"preset.returns_eintr", "completion."}),
        ("cleared_at_once", {"preset.not_written"}),
        ("window_request_written", {"preset.not_written"}),
        ("exit_reason_written", {"preset.exit_reason_untouched"}),
        ("skips_after_completion", {"preset.no_guest_progress", "completion.", "preset.state"}),
        ("padding_written", {"preset.not_written"}),
        ("byte_of_other_vms", {"completion.", "signals.", "preset.per_vcpu"}),
        ("not_reported_by_vm", {"capability.reported"}),
        ("handler_runs", {"signals.mask_kicks", "signals.pending_at_entry"}),
        ("mask_ends_at_immediate_exit", {"signals.pending_at_entry"}),
        ("loses_breakpoints", {"preset.state_untouched", "completion.exactly_once"}),
    ],
)
def test_a_defect_is_found(tmp_path: Path, library: Path, defect: str, claims: set[str]) -> None:
    """Nobody wrote a test for it here; the shortest sequence is short, and told in a sentence."""
    environment = {**os.environ, "LD_PRELOAD": str(library), "BROKEN_KVM": defect}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.explore", "60", "2"],
        cwd=ROOT,
        env={**environment, "KVM_CONFORMANCE_LAST_WORDS": str(tmp_path / "last-words.txt")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    claim, operations, sentence = done.stdout.split("\n", 2)
    assert claim.startswith(tuple(claims)), done.stdout
    assert int(operations) <= 6
    assert "but" in sentence


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_that_cannot_be_leaves_nothing_behind(name: str) -> None:
    """Twice, and where its places are taken by another."""
    given = {"other": "many_regions", "state": 11, "way": 0, "times": 1}
    with System() as system:
        player = Player(system, Setting("split", ("far_memory", "read_only_memory")))
        player.do("under", {**given, "one": "nothing_special"})
        before = take_stock()
        for _ in range(2):
            player.do("under", {**given, "one": name})
        left = left_behind_since(before)
        player.close()
    assert left == []


def test_a_step_that_is_logged_and_yet_to_be_counted_is_none_of_the_last_script() -> None:
    run = {"answer": 0, "refuse": False, "thread": "here"}
    early = {"refuse": False, "value": 1, "times": 1, "look": "nothing", "window": 0}
    with System() as system:
        player = Player(system, Setting())
        player.do("run", run)
        player.do("script", {"steps": [["compute", 0, 1], ["store", 0, 1], ["end", 0, 0]]})
        player.do("run", run)
        player.do("immediate", {**early, "answer": 0, "thread": "here"})
        ram, log = player.subject.guest.ram, LOG
        ram.write(log, bytes(16))
        player.do("immediate", {**early, "answer": 0, "thread": "here"})
        ram.write(log + 16, bytes(16))
        with pytest.raises(Violation, match="it must give 0x0, but the guest logged"):
            player.do("immediate", {**early, "answer": 0, "thread": "here"})
        player.close()


def test_an_exception_that_a_kick_found_on_its_way_may_go_on_its_way() -> None:
    """KVM queues what it intercepted, and looks for signals before it injects that."""
    early = {"answer": 0, "refuse": False, "times": 2, "look": "state"}
    with System() as system:
        player = Player(system, Setting("none", ("exception_payload",)))
        player.do("run", {"answer": 0, "refuse": False, "thread": "here"})
        player.do("immediate", {**early, "value": 1, "thread": "here", "window": 0})
        vcpu = player.subject.guest.vcpu
        ioctls.set_pending_exception(vcpu, ioctls.get_events(vcpu), 6)
        assert player.subject.program.exception_waits(player.subject.guest)
        player.do("signal", early)
        player.close()


def test_a_turn_that_is_yet_to_be_counted_may_be_on_the_way_to_an_exit() -> None:
    """The guest counts a step, and then its turn: a kick or a window may come between the two.

    Where it stands at an exit nothing is left to count.
    """
    with System() as system, Subject(system, Setting()) as subject:
        to_exit, early = Circumstances(), Circumstances(byte=1)
        before = subject.guest.heartbeat - 1
        subject._settle(answers(subject.model, to_exit)[0], before, to_exit)
        subject.run(subject.guest.vcpu.run_raw, to_exit)
        assert subject.model.pending
        with pytest.raises(Violation, match="must not execute anything"):
            subject._settle(answers(subject.model, early)[0], subject.guest.heartbeat - 1, early)


def test_a_sequence_is_over_where_its_dirty_ring_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    """KVM_EXIT_DIRTY_RING_FULL is then no answer that the model knows, and no failure."""
    run = {"answer": 0, "refuse": False, "thread": "here"}
    monkeypatch.setattr("harness.kvm.vcpu.Vcpu.run_raw", full := MagicMock(wraps=None))
    full.return_value = SimpleNamespace(
        exit=DirtyRingFull(),
        value=0,
        errno=0,
        rescue="",
        gave_eintr=False,
        exit_reason=31,
        describe=lambda: "KVM_RUN returned 0 with KVM_EXIT_DIRTY_RING_FULL",
    )
    with System() as system:
        for filled, reason in ((False, 31), (True, 31), (True, 2)):
            monkeypatch.setattr(
                "harness.kvm.vcpu.Vcpu.dirty_ring_is_nearly_full", lambda _, full=filled: full
            )
            player = Player(system, Setting("none", ("dirty_ring",)))
            player.subject.guest.vcpu.run_page.exit_reason = reason
            if not filled or reason != 31:  # a full ring excuses nothing else
                with pytest.raises(Violation, match="KVM_EXIT_DIRTY_RING_FULL"):
                    player.do("run", run)
            else:
                player.do("run", run)
                assert player.over
                assert not player.possible("run")
            player.close()


def test_how_full_a_dirty_ring_is() -> None:
    with System() as system, system.create_vm() as vm:
        if not vm.offers_dirty_ring():
            pytest.skip("no_dirty_ring: this KVM has none")
        vm.enable_smallest_dirty_ring()
        vcpu = vm.create_vcpu()
        ring, size = vcpu._ring, vcpu.dirty_ring_entries()
        for number in range(size * 7 // 8):
            ring[number].flags = 1  # published (KVM_DIRTY_GFN_F_DIRTY)
        assert not vcpu.dirty_ring_is_nearly_full()
        ring[size * 7 // 8].flags = 1
        assert vcpu.dirty_ring_is_nearly_full()
        assert not vm.create_vcpu(1).dirty_ring_is_nearly_full()
        for number in range(size):
            ring[number].flags = 0
