# SPDX-License-Identifier: GPL-2.0-only
"""What comes behind runs that end early, and a KVM that loses it. On this host's KVM."""

from __future__ import annotations

import platform
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from harness.host import task_work
from harness.host.obstacles import preflight
from harness.kvm import debug_folders
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.run import RunResult
from harness.kvm.senders import SENDERS
from harness.kvm.system import System
from harness.sequences import kicks
from harness.sequences.arch.x86_64 import processors, to_come
from harness.sequences.sequence import Player
from harness.sequences.setting import Setting
from harness.sequences.violation import Violation

OBSTACLE = preflight()
pytestmark = [
    pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE)),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="other_architecture: x86-64 only"),
]

RUN = ("run", {"answer": 0, "refuse": False, "thread": "here"})
EARLY = {"answer": 0, "refuse": False, "times": 1, "look": "state"}
IMMEDIATE = ("immediate", {**EARLY, "value": 1, "thread": "here", "window": 0})
END = ["end", 0, 0]
SLEEP = ("script", {"steps": [["sleep", 1, 0], END]})
WAIT = ("script", {"steps": [["wait", 1, 0], END]})
KICK = ("kick", {"sender": next(iter(SENDERS)), "restart": False})
TIMES = {"times": 2}

Done = tuple[str, Mapping[str, Any]]


@pytest.fixture
def player(request: pytest.FixtureRequest) -> Iterator[Player]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with System() as system:
        player = Player(system, Setting(request.param))
        player.subject.guest.vcpu.bounds.patience_s = 1
        yield player
        player.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lose(monkeypatch: pytest.MonkeyPatch, where: object, name: str, answer: object = None) -> None:
    monkeypatch.setattr(where, name, lambda *_, **__: answer)


def lose_kick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(to_come.SENDERS, "a kick", lambda vm: 1)  # type: ignore[index]


def lose_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, to_come.pit, "tick")


def lose_init(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, ioctls, "send_init")


def lose_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, to_come.routing, "route_level_interrupt")


def lose_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, to_come.paravirtual, "ask_for_reset", True)


def leave_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread has another one behind the run that the INIT ends."""

    def run(wake: Callable[[], RunResult]) -> RunResult:
        result = wake()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        return result

    monkeypatch.setattr(processors, "first_undisturbed", run)


def lose_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kicks, "_PATIENCE_S", 0.2)
    lose(monkeypatch, task_work.TaskWork, "give")


KEPT = "preset.requests_kept"
LATER: Mapping[str, tuple[Sequence[Done], Callable[[pytest.MonkeyPatch], None], str]] = {
    "kick": ([RUN, SLEEP, KICK, ("wake", {"way": 0, **TIMES}), RUN], lose_kick, "states.woken"),
    "tick": (
        [RUN, IMMEDIATE, ("timer_and_leave", {"way": 0, **TIMES})],
        lose_tick,
        KEPT,
    ),
    "tick_signal": (
        [RUN, IMMEDIATE, ("timer_and_leave", {"way": 1, **TIMES})],
        lose_tick,
        KEPT,
    ),
    "init": (
        [RUN, IMMEDIATE, ("init_and_leave", {"state": "runnable", "sipi": False, **TIMES})],
        lose_init,
        "states.mp_states",
    ),
    "sipi": (
        [RUN, IMMEDIATE, ("init_and_leave", {"state": "halted", "sipi": True, **TIMES})],
        lose_init,
        "states.mp_states",
    ),
    "work": (
        [RUN, WAIT, ("work", {"sender": next(iter(SENDERS))})],
        lose_work,
        "signals.spurious_is_legal",
    ),
    "awake": (
        [RUN, ("awake", {"masked": True, **TIMES})],
        leave_the_mask,
        "signals.mask_restored",
    ),
    "end_of_interrupt": (
        [RUN, IMMEDIATE, ("exit_and_leave", {"what": "end_of_interrupt", **TIMES})],
        lose_end,
        KEPT,
    ),
    "reset": (
        [RUN, IMMEDIATE, ("exit_and_leave", {"what": "reset", **TIMES})],
        lose_reset,
        KEPT,
    ),
}


def play(player: Player, done: Sequence[Done]) -> None:
    for name, given in done:
        assert player.possible(name), name
        player.do(name, given)


EVERYWHERE = [(irqchip, name) for irqchip in ("split", "full") for name in LATER]


@pytest.mark.parametrize(
    ("player", "name"),
    [each for each in EVERYWHERE if each[0] == "full" or not each[1].startswith("tick")],
    indirect=["player"],
)
def test_it_comes_on_a_sound_kvm(player: Player, name: str) -> None:
    """Twice: it leaves nothing behind that the next one would meet."""
    play(player, LATER[name][0])
    if name.startswith("tick"):
        assert player.subject.model.state.events["interrupts"].to_come == 1
    elif name not in ("kick", "work"):
        play(player, LATER[name][0])
    player.end()


@pytest.mark.parametrize(
    ("player", "name"),
    [
        *(("split", "kick"), ("full", "kick"), ("full", "tick"), ("full", "tick_signal")),
        *(("split", "init"), ("full", "sipi"), ("split", "end_of_interrupt"), ("full", "reset")),
        *(("full", "awake"), ("split", "work")),
    ],
    indirect=["player"],
)
def test_what_is_lost_is_missed(player: Player, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done, lost, claim = LATER[name]
    lost(monkeypatch)
    with pytest.raises(Violation) as found:
        play(player, done)
    assert found.value.claim == claim
    assert "must" in str(found.value)


@pytest.mark.parametrize("player", ["none"], indirect=True)
def test_a_vm_that_outlives_its_descriptors_is_seen(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = player.subject.guest.vm.fd
    kept = frozenset({f"1-{fd}"})
    monkeypatch.setattr(debug_folders, "of_this_thread", lambda: kept)
    with pytest.raises(Violation, match="A VM that is closed must be gone, but 1 "):
        player.end()
    with System() as system, Player(system, Setting()).subject as again:
        assert again.guest.vm.fd != fd
