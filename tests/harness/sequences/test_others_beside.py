# SPDX-License-Identifier: GPL-2.0-only
"""Other guests beside that of a sequence: on this host's KVM, and with a defect played each."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace

import pytest

from guest_blobs import memory_map as at
from harness.host import pace
from harness.host.obstacles import preflight
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.system import System
from harness.sequences import twins
from harness.sequences.arch.x86_64 import counting
from harness.sequences.arch.x86_64.programs import OTHERS
from harness.sequences.deliveries import Deliveries
from harness.sequences.setting import Setting
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation

OBSTACLE = preflight()
pytestmark = [
    pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE)),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="other_architecture: x86-64 only"),
]
CHIPS = ("none", "split", "full")
# Each disturbance in one place or another; of a program that is short the first ones only.
EVERY, BACKWARDS = 0xFEDCBA9876543210, 0x0123456789ABCDEF
SHIFTED = 0xBDE87654FACD1239
IMMEDIATE_EACH = 0x1111111111111111
# What is sent, and what is then done, by their numbers.
INTERRUPT, NMI, EXCEPTION = 1, 3, 5
EVENTS, DONE = range(1, 8), range(16)


@pytest.fixture
def subject() -> Iterator[Subject]:
    twins.undisturbed.cache_clear()  # of a KVM that was another one
    with System() as system, Subject(system, Setting()) as made:
        yield made
    twins.undisturbed.cache_clear()


def play_twin(subject: Subject, program: str, irqchip: str, disturbances: int) -> None:
    given = {"program": program, "irqchip": irqchip, "disturbances": disturbances}
    twins.twin(OTHERS, subject, given)


@pytest.mark.parametrize("irqchip", CHIPS)
@pytest.mark.parametrize("mode", ["real", "protected", "long"])
def test_what_is_done_to_a_twin_is_nothing_to_it(subject: Subject, mode: str, irqchip: str) -> None:
    played = 0
    for name, program in OTHERS.programs.items():
        if program.mode == mode and irqchip in (program.irqchips or CHIPS):
            for disturbances in (EVERY, BACKWARDS, SHIFTED):
                play_twin(subject, name, irqchip, disturbances)
            played += twins.undisturbed(subject.system, OTHERS, name, irqchip) is not None
    assert played >= 7, "most programs must be possible on any host"


def without_rbx(guest: Guest) -> None:
    regs = ioctls.get_regs(guest.vcpu)
    regs.rbx ^= 1
    ioctls.set_regs(guest.vcpu, regs)


def with_another_byte(guest: Guest) -> None:
    guest.ram.write(at.RAM_SIZE - 1, b"\x5a")


def with_a_word_of_the_program(guest: Guest) -> None:
    guest.ram.write(at.data_word(20), b"\x5a")


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        (without_rbx, "rbx is .* and not"),
        (with_another_byte, "the memory differs, first at 0x7ffff"),
        (with_a_word_of_the_program, "must not let the guest go on"),
    ],
)
def test_what_an_early_run_leaves_otherwise_is_seen(
    subject: Subject,
    monkeypatch: pytest.MonkeyPatch,
    defect: Callable[[Guest], None],
    words: str,
) -> None:
    sound = Guest.run_immediate

    def broken(guest: Guest, value: int = 1) -> RunResult:
        result = sound(guest, value)
        defect(guest)
        return result

    monkeypatch.setattr(Guest, "run_immediate", broken)
    with pytest.raises(Violation, match=words):
        play_twin(subject, "port_io, real mode", "split", IMMEDIATE_EACH)


def test_an_early_run_that_goes_on_to_the_next_exit_is_seen(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guest, "run_immediate", lambda guest, value=1: guest.vcpu.run_raw())
    with pytest.raises(Violation, match="must not let the guest go on") as found:
        play_twin(subject, "mmio, protected mode", "none", IMMEDIATE_EACH)
    assert found.value.claim == "preset.no_guest_progress"


def test_an_out_that_moves_a_program_counter_set_since_is_seen(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Guest.run_immediate

    def broken(guest: Guest, value: int = 1) -> RunResult:
        result, regs = sound(guest, value), ioctls.get_regs(guest.vcpu)
        regs.rip += 2
        ioctls.set_regs(guest.vcpu, regs)
        return result

    monkeypatch.setattr(Guest, "run_immediate", broken)
    with pytest.raises(Violation, match=r"RIP set to 0x9000 .* but it is 0x9002") as found:
        play_twin(subject, "port_io, protected mode", "full", 0)
    assert found.value.claim == "completion.pio"


def test_an_exit_that_is_another_one_is_seen(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = OTHERS.programs["port_io, long mode"]
    wanted = twins.undisturbed(subject.system, OTHERS, "port_io, long mode", "none")
    assert wanted is not None
    other = replace(wanted, exits=(*wanted.exits[:3], wanted.exits[0], *wanted.exits[4:]))
    monkeypatch.setattr(twins, "undisturbed", lambda *_: other)
    assert len(other.exits) == program.exits
    with pytest.raises(Violation, match="exit 3 must be") as found:
        play_twin(subject, "port_io, long mode", "none", 0)
    assert found.value.claim == "completion.exactly_once"


def test_words_that_are_set_later_are_set_in_both(subject: Subject) -> None:
    program = replace(OTHERS.programs["port_widths 1, long mode"], later={2: {6: 0x55AA}})
    others = replace(OTHERS, programs={"later": program})
    before = twins.undisturbed(subject.system, OTHERS, "port_widths 1, long mode", "none")
    after = twins.undisturbed(subject.system, others, "later", "none")
    assert before is not None
    assert after is not None
    assert before.exits[:3] == after.exits[:3]
    assert before.registers["rax"] != after.registers["rax"]
    given = {"program": "later", "irqchip": "none", "disturbances": BACKWARDS}
    twins.twin(others, subject, given)


# ---- the guest that counts events


def play_events(subject: Subject, mode: str, irqchip: str, *turns: tuple[int, int]) -> None:
    number = sum((sent | done << 4) << 8 * place for place, (sent, done) in enumerate(turns))
    counting.events_beside(subject, {"mode": mode, "irqchip": irqchip, "done": number})


@pytest.mark.parametrize("irqchip", CHIPS)
@pytest.mark.parametrize("mode", counting.MODES)
def test_each_event_comes_whatever_is_done(subject: Subject, mode: str, irqchip: str) -> None:
    for event in EVENTS:
        for done in DONE:
            play_events(subject, mode, irqchip, (event, done), (0, 15 - done), (event, 0))


@pytest.mark.parametrize(
    ("kind", "event"), [("interrupts", INTERRUPT), ("NMIs", NMI), ("exceptions", EXCEPTION)]
)
def test_one_that_is_lost_is_missed(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, kind: str, event: int
) -> None:
    def lost(guest: counting.Counting) -> None:
        guest._send(kind)
        guest.guest.vcpu.bounds.patience_s = 0.5

    monkeypatch.setattr(counting, "_SENT", {**dict(enumerate(counting._SENT)), event: lost})
    with pytest.raises(Violation, match=f"for the guest to take {kind}") as found:
        play_events(subject, "long", "split", (event, 1))
    assert found.value.claim == "states.events_survive"


def test_one_that_comes_twice_is_one_too_many(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(guest: counting.Counting) -> None:
        guest.interrupt()
        guest.run()
        guest.interrupt()
        guest._sent["interrupts"] -= 1

    monkeypatch.setattr(counting, "_SENT", {**dict(enumerate(counting._SENT)), INTERRUPT: twice})
    with pytest.raises(Violation, match="must take 1 interrupts at most, but took 2"):
        play_events(subject, "real", "full", (INTERRUPT, 0))


@pytest.mark.parametrize("ever", [True, False], ids=["each_time", "once"])
def test_an_emulated_processor_may_deliver_one_twice_but_not_again(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, ever: bool
) -> None:
    monkeypatch.setattr(pace, "here", lambda: pace.Pace(takes_turns=True))
    played = []

    def twice(guest: counting.Counting) -> None:
        played.append(guest)
        for _ in range(2 if ever or len(played) == 1 else 1):
            guest.interrupt()
            guest.run()
        guest._sent["interrupts"] = 1

    monkeypatch.setattr(Deliveries, "again", lambda *_: False)
    monkeypatch.setattr(counting, "_SENT", {**dict(enumerate(counting._SENT)), INTERRUPT: twice})
    with pytest.raises(Violation, match="at most") if ever else nullcontext():
        play_events(subject, "real", "full", (INTERRUPT, 4))
    assert len(played) == (2 if ever else 4)
