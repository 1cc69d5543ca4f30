# SPDX-License-Identifier: GPL-2.0-only
"""C programs of what tests asked of KVM: what is told, and played KVMs that they refute."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.caller import on_a_fresh_thread
from harness.host import obstacles
from harness.kick.engine import measure_speed
from harness.kick.plan import Delivery, Plan, Protocol
from harness.kick.race import Race
from harness.kick.slots import Slot
from harness.kick.verdict import judge, require_held
from harness.kvm import call_log
from harness.kvm.call_log import Expected, Ioctl, Looked, Region, RunBegins, RunEnds, Sent, Stored
from harness.kvm.guest import create
from harness.kvm.raw_mask import BlockedAll
from harness.kvm.signals import Blocked, Disposition, ThreadTimer
from harness.kvm.system import System
from harness.kvm.unmet import UnmetError
from harness.native import ffi
from harness.require import require_errno
from lab.launch.exit_codes import Exit
from lab.reproduction.arch import UntoldError
from lab.reproduction.arch.x86_64.readings import disassembled, reading
from lab.reproduction.calls import write
from lab.reproduction.literals import argument, octets, progression
from tests.fakes.broken_kvm.library import build
from tools.cli import main

COMPILER = shutil.which(os.environ.get("CC", "cc")) or ""
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C compiler")
OBSTACLE = obstacles.preflight()
needs_kvm = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="other_architecture: x86-64 only"
)
EINTR = Expected("errno", "With the byte set", number=0, value=4)
VM = [
    Ioctl("kvm", "KVM_CREATE_VM", 5, made="vm"),
    Region("vm", "ram", size=0x80000),
    Ioctl("vm", "KVM_CREATE_VCPU", 6, made="vcpu"),
]
RUN = [RunBegins("vcpu", 0, page=((1, b"\x81"),)), RunEnds(0)]


def told(entries: list[call_log.LogEntry], expected: Expected = EINTR) -> str:
    calls = call_log.ToldCalls(entries, expected)
    again = call_log.ToldCalls.of_json(calls.as_json())
    return write(again, "preset.repeats", "It failed.", "api.rst", "Linux 6.1")


def test_a_struct_is_told_by_what_is_not_zero() -> None:
    sregs = ffi.new("struct kvm_sregs *", {"cr3": 0x1000, "cs": {"limit": 7, "l": 1}})
    sregs.interrupt_bitmap[2] = 9
    text = argument("struct kvm_sregs", bytes(ffi.buffer(sregs)))
    assert text == (
        "&(struct kvm_sregs){.cs = {.limit = 0x7, .l = 0x1}, .cr3 = 0x1000, "
        ".interrupt_bitmap = {[2] = 0x9}}"
    )


def test_an_array_at_the_end_has_a_length_of_its_own() -> None:
    msrs = ffi.new("struct kvm_msrs *", {"nmsrs": 2, "entries": [{"index": 1, "data": 2}, {}]})
    text = argument("struct kvm_msrs", bytes(ffi.buffer(msrs)))
    assert "struct kvm_msr_entry rest[2]" in text
    assert "{{.nmsrs = 0x2}, {{.index = 0x1, .data = 0x2}, {0}}}" in text
    assert argument("uint64_t", bytes(ffi.buffer(ffi.new("uint64_t *", 5)))) == "&(uint64_t){0x5}"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("struct kvm_irqfd_of_nobody", bytes(8)),
        ("", b"\1"),
        ("struct kvm_dirty_log", b"\1" * 16),  # it has a pointer
        ("uint8_t[3]", b"\1\2\3"),
    ],
)
def test_what_cannot_be_told(kind: str, data: bytes) -> None:
    with pytest.raises(UntoldError):
        argument(kind, data)


def test_a_member_of_a_union_is_named() -> None:
    entry = ffi.new("struct kvm_irq_routing_entry *", {"gsi": 5, "type": 2})
    entry.u.msi.address_lo = 0xFEE00000
    text = argument("struct kvm_irq_routing_entry", bytes(ffi.buffer(entry)))
    assert ".u = {." in text


@pytest.mark.parametrize("length", [8, 1000])
def test_a_content_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(UntoldError, match="bytes of struct kvm_regs"):
        argument("struct kvm_regs", bytes(length))


def test_what_was_refused_is_not_done() -> None:
    mask = Ioctl("vcpu", "KVM_SET_SIGNAL_MASK", -22, "struct kvm_signal_mask", b"\1" * 12)
    text = told([*VM, mask, *RUN])
    assert "set_mask(" not in text
    assert "KVM_SET_SIGNAL_MASK, which was refused" in text


def test_a_word_is_that_of_the_guest_that_it_is_about() -> None:
    second = [
        Ioctl("kvm", "KVM_CREATE_VM", 7, made="vm2"),
        Region("vm2", "ram2", size=0x80000),
        Ioctl("vm2", "KVM_CREATE_VCPU", 8, made="vcpu2"),
        RunBegins("vcpu2", 1),
        RunEnds(1),
    ]
    wanted = Expected("is", "At the end", value=7, names=("word 0x1020",), of="vcpu2")
    text = told([*VM, *RUN, *second], wanted)
    assert 'is("word 0x1020", 0x7, *(volatile uint32_t *)(ram2 + 0x1020));' in text


def test_what_a_test_looked_at_by_itself_is_read_before_the_last_run() -> None:
    again = [RunBegins("vcpu", 1, page=((1, b"\1"),)), RunEnds(1)]
    text = told([*VM, *RUN, *again], Expected("same", "x", names=("events interrupt.shadow",)))
    before, last = text.index("before[0] = FIELD"), text.rindex("enter(vcpu")
    assert text.index("enter(vcpu") < before < last < text.rindex('stays("events')


def test_where_an_earlier_run_ends_otherwise_nothing_is_said() -> None:
    first = [RunBegins("vcpu", 0), RunEnds(0, 4)]
    again = [RunBegins("vcpu", 1, page=((1, b"\1"),)), RunEnds(1, 0)]
    text = told([*VM, *first, *again], Expected("errno", "x", number=1, value=4))
    assert text.count("gave(EINTR);") == 1, "and not of the run that is looked at"
    assert text.index("gave(EINTR);") < text.index("must_fail(EINTR, run);")


def test_a_field_of_kvm_run_is_that_of_its_vcpu() -> None:
    assert reading("kvm_run if_flag", "vcpu2") == ("run2->if_flag", "")
    assert reading("kvm_run exit_reason;", "vcpu") == ("", "")


def test_a_call_while_the_guest_runs_comes_once_it_does() -> None:
    message = Ioctl("vm", "KVM_SIGNAL_MSI", 1, "struct kvm_msi", bytes(32))
    text = told([*VM, RunBegins("vcpu", 0), message, RunEnds(0)])
    assert text.index("let_it_run(ram);") < text.index("KVM_SIGNAL_MSI, &")


def test_words_that_go_up_evenly_are_a_loop() -> None:
    steady = b"".join((0x83 + 0x200000 * word).to_bytes(8, sys.byteorder) for word in range(512))
    assert progression(steady) == (0x83, 0x200000)
    assert progression(steady[8:] + bytes(8)) is None
    assert progression(steady[:16]) is None


def test_code_stands_beside_its_bytes() -> None:
    text = disassembled(bytes.fromhex("fae6f4") + bytes(16) + b"\xf4", 0x8000, "long")
    if shutil.which("objdump"):
        assert "/* 8000: cli */" in text
        assert "[0x13] = 0xf4, " in text
    assert disassembled(b"\xfa", 0x8000, "none") == octets(b"\xfa") == "\t0xfa,"


def test_what_can_be_read_of_a_vcpu() -> None:
    assert reading("fpu fpr.0.12", "vcpu")[0].endswith("kvm_fpu, fpr[0][12])")
    assert reading("msr 0x10", "vcpu2") == ("get_msr(vcpu2, 0x10)", "msr")
    assert reading("lapic 0x80", "vcpu") == ("apic_register(vcpu, 0x80)", "apic")
    for unknown in ("statistic exits", "regs rax; evil()", "msr 1", "chip 0.1"):
        assert reading(unknown, "vcpu") == ("", "")


def test_only_what_runs_is_told_and_named_anew() -> None:
    other = [
        Ioctl("kvm", "KVM_CREATE_VM", 4, made="vm"),
        Ioctl("vm", "KVM_SET_TSS_ADDR", number=0x1000),
    ]
    mine = [
        Ioctl("kvm", "KVM_CREATE_VM", 5, made="vm2"),
        Ioctl("vm2", "KVM_SET_TSS_ADDR", -22, number=0x2000),
        Region("vm2", "ram3", size=0x1000),
        Ioctl("vm2", "KVM_CREATE_VCPU", 6, made="vcpu2"),
        RunBegins("vcpu2", 0),
        RunEnds(0),
    ]
    text = told([*other, *mine])
    assert "0x1000ul" not in text
    assert "ioctl(vm, KVM_SET_TSS_ADDR, 0x2000ul); /* it gave EINVAL */" in text
    assert "enter(vcpu, run, 0x0, 1);" in text
    assert "must_fail(EINTR, run);" in text


def test_a_signal_comes_once_the_guest_runs() -> None:
    text = told([*VM, RunBegins("vcpu", 0), Sent(40), RunEnds(0)])
    begins, runs = text.index("begin(vcpu, run, 0x0, 1);"), text.index("let_it_run(ram);")
    assert begins < runs < text.index("pthread_kill(runner, 40);") < text.index("\tend();")


@pytest.mark.parametrize(
    ("entries", "expected", "why"),
    [
        ([*VM, Stored("ram2", 0, b"\1"), *RUN], EINTR, "memory that is not the guest's"),
        ([*VM, RunBegins("vcpu", 0), RunBegins("vcpu", 1)], EINTR, "run at once"),
        ([*VM, Looked("vcpu", 0), *RUN], Expected("same", "x", 0, names=("chip 0",)), "chip 0"),
        ([*VM, *RUN], Expected("content", "x"), "what passed between"),
        ([*VM, RunBegins("vcpu", 0), Sent(40)], Expected("is", "x"), "still under way"),
        ([*VM, *RUN] * 500, EINTR, "more than 600"),
    ],
)
def test_what_no_program_is_made_of(
    entries: list[call_log.LogEntry], expected: Expected, why: str
) -> None:
    with pytest.raises(UntoldError, match=why):
        told(entries, expected)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "Ioctl", "of": "vm; system(0)", "name": "KVM_RUN"},
        {"type": "Ioctl", "of": "vm", "name": "KVM_RUN); system(0"},
        {"type": "Ioctl", "of": "vm", "name": "KVM_RUN", "points_at": "struct x){0}; system(0"},
        {"type": "Stored", "memory": "ram]", "at": 0, "data": ""},
        {"type": "RunBegins", "of": "run", "number": "1"},
        {"type": "Nothing"},
        [],
    ],
)
def test_words_of_a_file_do_not_become_c(entry: object) -> None:
    text = json.dumps({"entries": [entry], "expected": {"kind": "is", "circumstance": "x"}})
    with pytest.raises(ValueError, match=r"Expected|Invalid|Object"):
        call_log.ToldCalls.of_json(text.encode())


def test_a_circumstance_stays_in_its_string() -> None:
    text = told([*VM, *RUN], Expected("errno", 'a"); evil(\\"\n%s??/', 0, 4))
    assert 'doing = "a\\"); evil(\\\\\\" ' in text
    assert "%s??/" not in text


@pytest.mark.parametrize(
    "entries", [[], [Sent(40)], [RunEnds(0)], [RunBegins("vm", 0), Sent(40), RunEnds(0)]]
)
@pytest.mark.parametrize("kind", ["errno", "same", "is", "exit", "nothing"])
def test_a_log_of_which_half_is_missing_is_refused(
    entries: list[call_log.LogEntry], kind: str
) -> None:
    with pytest.raises(UntoldError):
        told(entries, Expected(kind, "x", 0, names=("heartbeat",)))


@needs_kvm
def test_the_log_ends_with_what_was_found_wrong() -> None:
    with call_log.log_calls() as log, System() as system, create(system) as guest:
        guest.load("heartbeat", guest.architecture.MODES[-1])
        result = guest.run_immediate()
        with pytest.raises(UnmetError) as raised:
            require_errno(result, 5, "With the byte set")
        guest.ram.write(0x1000, b"later")
    assert log.number_of(raised.value.of) == 0
    told = log.told(Expected("errno", "x", 0))
    assert told
    assert isinstance(told.entries[-1], RunEnds)
    assert call_log.current is None


@needs_kvm
def test_looks_in_a_row_are_one() -> None:
    with call_log.log_calls() as log, System() as system, create(system) as guest:
        guest.load("heartbeat", guest.architecture.MODES[-1])
        first, second = guest.witness(), guest.whole()
        guest.run_immediate()
        third = guest.witness()
        numbers = [log.number_of(each) for each in (first, second, third)]
    assert numbers == [0, 0, 1]
    assert log.number_of(object()) is None
    assert [each.number for each in log.entries if isinstance(each, Looked)] == [0, 1]


@needs_kvm
def test_memory_at_the_place_of_another_has_a_name_of_its_own() -> None:
    with call_log.log_calls() as log, System() as system:
        for _ in range(3):
            with create(system) as guest:
                guest.load("heartbeat", guest.architecture.MODES[-1])
    assert {each.memory for each in log.entries if isinstance(each, Region)} == {
        "ram",
        "ram2",
        "ram3",
    }


@pytest.mark.parametrize(
    "do",
    [
        lambda: ThreadTimer(40, 0, 1_000_000_000).__enter__().__exit__(None, None, None),
        lambda: Disposition(40, ignored=True).__enter__().__exit__(None, None, None),
        lambda: BlockedAll().__enter__().__exit__(None, None, None),
        lambda: on_a_fresh_thread(lambda: None),
    ],
)
def test_what_no_entry_says_makes_no_program(do: Callable[[], object]) -> None:
    with call_log.log_calls() as log:
        do()
    assert log.untold


def test_a_signal_that_another_thread_blocks_makes_no_program() -> None:
    with call_log.log_calls() as log:
        thread = threading.Thread(target=lambda: Blocked(40).__enter__())
        thread.start()
        thread.join()
    assert "another thread" in log.untold


@needs_kvm
def test_a_log_without_end_tells_of_a_run_at_most() -> None:
    with call_log.log_calls() as log, System() as system, create(system) as guest:
        guest.load("heartbeat", guest.architecture.MODES[-1])
        result = guest.run_immediate()
        for _ in range(1000):
            log.handles(40, 0)
        log.mark()
    assert log.told(Expected("is", "x", names=("heartbeat",))) is None
    of_run = log.told(Expected("errno", "x", log.number_of(result)))
    assert of_run
    assert RunEnds(0, 4) in of_run.entries


@needs_compiler
@needs_kvm
@pytest.mark.parametrize(
    ("defect", "words", "sentence"),
    [
        ("returns_eagain", ["--claim=preset.any_nonzero_value"], "must return -1 with Interr"),
        ("completes_twice", ["--claim=completion.exactly_once"], "regs rax must stay"),
        ("unmasks_nmis", ["--claim=preset.state_untouched"], "nmi.masked must stay"),
        ("polled_again", ["--claim=preset.polled_once"], "must go on, but it gave Interrupted"),
        ("mask_left_by_immediate_exit", ["--claim=signals.mask_restored"], "is blocked now"),
    ],
)
def test_a_played_kvm_is_refuted(
    tmp_path: Path, defect: str, words: list[str], sentence: str
) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(build(tmp_path)), "BROKEN_KVM": defect}
    results = tmp_path / "results"
    shapes = ["--variants=one", "--jobs=0", f"--output={results}"]
    done = subprocess.run(
        [sys.executable, "-m", "tools.cli", "run", *words, *shapes],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == Exit.FAILED, done.stdout + done.stderr
    assert "KVM_SET_USER_MEMORY" not in (results / "junit.xml").read_text()
    source, program = tmp_path / "reproducer.c", tmp_path / "reproducer"
    assert main(["reproduce", str(results), "-o", str(source)]) == Exit.HELD
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(source), "-lpthread"]
    built = subprocess.run([COMPILER, *flags], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    sound = subprocess.run([program], capture_output=True, text=True, timeout=100)
    assert (sound.returncode, sound.stdout) == (0, "KVM did what it must.\n")
    broken = subprocess.run([program], capture_output=True, text=True, timeout=100, env=environment)
    assert broken.returncode == 1, broken.stdout
    assert sentence in broken.stdout


def calls_of_a_race(protocol: str, delivery: str) -> call_log.ToldCalls:
    """As if it had lost a kick."""
    plan = Plan(Protocol(protocol), 40, Delivery(delivery), placement="free")
    with System() as system, call_log.log_calls() as log, create(system) as guest:
        guest.load("heartbeat", "long")
        races = Race(guest, Slot(0, 0), measure_speed(guest)).run(plan)
        lost = replace(races[0], swallowed=1)
        number = log.number_of(races[0])
        with pytest.raises(UnmetError) as found:
            require_held(judge([lost], control=None), [lost])
    return call_log.ToldCalls(log.entries, Expected("race", found.value.circumstance, number))


@needs_compiler
@needs_kvm
@pytest.mark.parametrize(
    ("protocol", "delivery", "defect"),
    [
        ("handler_writes", "thread", "absent"),
        ("handler_writes", "timer", "absent"),
        ("kicker_writes", "queue", "absent"),
        ("signal_mask", "process", "absent_and_no_mask"),
    ],
)
def test_a_race_is_told(tmp_path: Path, protocol: str, delivery: str, defect: str) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(build(tmp_path)), "BROKEN_KVM": defect}
    source, program = tmp_path / "race.c", tmp_path / "race"
    calls = call_log.ToldCalls.of_json(calls_of_a_race(protocol, delivery).as_json())
    source.write_text(write(calls, "races.late", "It was lost.", "api.rst", "Linux 6.1"))
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(source), "-lpthread"]
    subprocess.run([COMPILER, *flags], check=True)
    sound = subprocess.run([program], capture_output=True, text=True, timeout=100)
    assert (sound.returncode, sound.stdout) == (0, "KVM did what it must.\n")
    broken = subprocess.run([program], capture_output=True, text=True, timeout=100, env=environment)
    assert broken.returncode == 1, broken.stdout
    assert "must end KVM_RUN, but a second later the guest runs on" in broken.stdout
