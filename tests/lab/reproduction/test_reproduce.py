# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance reproduce`: programs that hold on this host, and fail on played KVMs."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.claims import catalogue
from harness.host import obstacles
from harness.kvm.system import System
from harness.model.x86_64 import STEPS
from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from harness.reporting.verdict_text import SEQUENCE
from harness.sequences.arch.x86_64 import vm_features
from harness.sequences.operations import operations
from harness.sequences.subject import lacking
from lab.launch.exit_codes import Exit
from lab.reproduction.arch.x86_64 import FEATURES
from lab.reproduction.assembler import AssemblerError, assemble
from lab.reproduction.operations import operations as told_operations
from tests.fakes.broken_kvm.library import build
from tools.cli import main

COMPILER = shutil.which(os.environ.get("CC", "cc")) or ""
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C compiler")
OBSTACLE = obstacles.preflight()
needs_kvm = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="other_architecture: x86-64 only"
)
#: Of which a program is made call by call, from a log of what playing it asks of KVM.
CALL_BY_CALL = {
    *("add_processor", "owe", "start_and_leave", "under", "window", "wrong_mask"),
    *("exit_and_leave", "init_and_leave", "timer_and_leave", "wake", "twin", "events_beside"),
    *("awake", "work"),
}
UNTOLD_FEATURES = {"patterns"}  # too much text for what it shows

SERVED = {"answer": 0x1122334455667788, "refuse": False}
RUN = ("run", {**SERVED, "thread": "here"})
EARLY = {**SERVED, "times": 3, "look": "state"}
IMMEDIATE = ("immediate", {**EARLY, "value": 0x80, "thread": "new", "window": 1})
HELD_BACK = ("held_back", {**SERVED, "masked": True, "byte": 1})
LOADING = [RUN, ("script", {"steps": [["mmio_read", 8 << 16 | 0xFFF, 0], ["end", 0, 0]]}), RUN]
STEPS_OF_ALL_KINDS = [
    *(["put", place, 7 + place] for place in range(32)),
    *(["get", place, 0] for place in range(32)),
    *(["store", 8, 5], ["load", 8, 0], ["exchange_add", 8, 6], ["load", 8, 0]),
    *(["port_out", size, 0x1234567] for size in (1, 2, 4)),
    *(["port_in", size, 0xFFFFFFFFFFFFFFFF] for size in (1, 2, 4)),
    *(["mmio_write", 8 << 16 | 0xFFF, 77], ["mmio_read", 2 << 16 | 0xFFF, 0xFFFFFFFF]),
    *(["mmio_add", 0x20, 3], ["mmio_move", 0x40, 0], ["string_out", 64, 0], ["string_in", 5, 0]),
    *(["wide_write", 0x10, 78], ["wide_write", 0xFFB, 79], ["wide_read", 0xFF8, 0]),
    *(["msr_write", 0xC0001F00, 9], ["msr_read", 0xC0001F00, 0], ["halt", 0, 0]),
    *(["interrupts_on", 0, 0], ["flags", 0, 0], ["interrupts_off", 0, 0], ["flags", 0, 0]),
    *(["compute", 0, 1], ["patch", 0, 2], ["cpuid", 0, 0], ["wait", 1, 0]),
]
EXCEPTIONS = [
    *(["undefined", 0, 0], ["protection", 0, 0], ["page_fault", 0x1FF8, 0], ["breakpoint", 0, 0]),
    *(["msr_write", 0xC0001F00, 9], ["msr_read", 0xC0001F00, 0]),
    *(["traced_in", 0, 0], ["traced_read", 0x60, 0]),
]
END = ["end", 0, 0]
EXITS = {
    **dict.fromkeys(("port_out", "port_in", "string_out", "string_in", "msr_write"), 1),
    **dict.fromkeys(("msr_read", "halt"), 1),
    **dict.fromkeys(("mmio_write", "mmio_read", "mmio_add", "mmio_move"), 2),
    "wide_write": 2,
    "wide_read": 2,
}


def scripts() -> Iterator[tuple[str, dict[str, Any]]]:
    """All kinds of steps, to each of their exits; at the end the guest waits."""
    for start in range(0, len(STEPS_OF_ALL_KINDS), 8):
        steps = STEPS_OF_ALL_KINDS[start : start + 8]
        yield RUN
        yield "script", {"steps": [*steps, END]}
        yield from [RUN] * sum(EXITS.get(each[0], 0) for each in steps)


EVERYTHING = [
    *scripts(),
    IMMEDIATE,
    ("kick", {"sender": "a signal to the thread", "restart": True}),
    ("kick_by_handler", {"restart": True}),
    ("set_while_running", {"value": 2}),
    ("signal", EARLY),
    ("mask", {"on": True}),
    ("signal", {**EARLY, "look": "nothing"}),
    HELD_BACK,
    ("wrong_argument", {"argument": 1 << 63, "byte": 1}),
    ("other_process", {"byte": 1}),
    ("remap", {"logged": True}),
    ("read_log", {}),
    ("descriptor", {}),
    ("neighbour", {}),
    ("padding", {"value": 0xABCDEF}),
    ("reason", {"value": 5}),
    ("ask", {}),
    ("step_and_leave", {"way": 0}),
    ("rewrite", {"struct": "regs"}),
    ("set_register", {"place": "r9", "value": 3}),
    ("shared_registers", {"change": True, "value": 4, "way": 1}),
    ("release", {}),
    ("held_back", {**SERVED, "masked": False, "byte": 0}),
]
REFUSED = ("run", {**RUN[1], "refuse": True})
EVENTS = [
    RUN,
    ("script", {"steps": [*EXCEPTIONS, ["wait", 1, 0], END]}),
    *(REFUSED, REFUSED, RUN, IMMEDIATE, RUN),
    ("nmi", {}),
    ("signal", EARLY),
    ("take_events", {}),
    ("release", {}),
    RUN,
    ("script", {"steps": [["self_interrupt", 0, 0], ["interrupts_on", 0, 0], ["wait", 2, 0], END]}),
    ("take_events", {}),
    ("interrupt", {}),
    IMMEDIATE,
    ("take_events", {}),
    ("move", {}),
    ("filter_again", {}),
    ("set_register", {"place": "lstar", "value": 5}),
    ("set_register", {"place": "dr2", "value": 6}),
    ("set_register", {"place": "cr2", "value": 7}),
    ("release", {}),
    RUN,
]


def sequence(
    *done: tuple[str, dict[str, Any]], features: tuple[str, ...] = (), irqchip: str = "none"
) -> dict[str, Any]:
    return {
        "claim": "preset.repeats",
        "sentence": "It must not end the comment: */ but go on.",
        "kernel": "Linux 6.1",
        "setting": {"irqchip": irqchip, "features": list(features)},
        "done": [{"operation": name, "arguments": given} for name, given in done],
    }


def reproducer(folder: Path, told: dict[str, Any]) -> Path:
    """The program of a sequence, compiled without a warning."""
    (folder / "sequence.json").write_text(json.dumps(told))
    return compiled(folder, folder / "sequence.json")


def compiled(folder: Path, results: Path) -> Path:
    """The program of what failed there."""
    source = folder / "reproducer.c"
    assert main(["reproduce", str(results), "-o", str(source)]) == Exit.HELD
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-o", str(folder / "program"), str(source)]
    done = subprocess.run([COMPILER, *flags, "-lpthread"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "program"


def ran(program: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [program], capture_output=True, text=True, timeout=100, env={**os.environ, **environment}
    )
    return done.returncode, done.stdout + done.stderr


def test_what_is_not_told_is_known() -> None:
    """A new operation or step is told in C, or named here with the reason."""
    assert set(operations()) - set(told_operations()) == CALL_BY_CALL
    assert set(vm_features.FEATURES) - set(FEATURES) == UNTOLD_FEATURES | {
        *("msr_exits", "made_last", "dirty_ring")
    }
    told = {each[0] for each in (*STEPS_OF_ALL_KINDS, *EXCEPTIONS, END)}
    assert set(STEPS) - told == {"self_interrupt", "sleep"}


@needs_compiler
def test_bytes_stand_beside_their_source() -> None:
    lines = assemble([".code64", "here:", "movabs $0x1122334455667788, %rax", "jmp here"])
    assert [each.code.hex() for each in lines] == ["", "", "48b88877665544332211", "ebf4"]
    with pytest.raises(AssemblerError, match="no guest code"):
        assemble(["no such instruction"])


@needs_compiler
@needs_kvm
def test_everything_holds_on_this_host(tmp_path: Path) -> None:
    program = reproducer(tmp_path, sequence(*EVERYTHING, features=("msr_exits",)))
    assert ran(program) == (0, "Every KVM_RUN did what it must.\n")


@needs_compiler
@needs_kvm
@pytest.mark.parametrize("irqchip", ["full", "split"])
def test_exceptions_and_events_hold_on_this_host(tmp_path: Path, irqchip: str) -> None:
    features = ("msr_exits", "second_vcpu")
    with System() as system:
        cannot = lacking(system)
    done = [
        (name, {"steps": [each for each in given["steps"] if each[0] not in cannot]})
        if name == "script"
        else (name, given)
        for name, given in EVENTS
    ]
    program = reproducer(tmp_path, sequence(*done, features=features, irqchip=irqchip))
    assert ran(program) == (0, "Every KVM_RUN did what it must.\n")


@needs_compiler
@needs_kvm
@pytest.mark.parametrize("feature", ["made_last", *sorted(FEATURES)])
def test_each_feature_holds_on_this_host(tmp_path: Path, feature: str) -> None:
    program = reproducer(tmp_path, sequence(RUN, IMMEDIATE, features=(feature,)))
    assert ran(program)[0] == 0


@needs_compiler
@needs_kvm
@pytest.mark.parametrize(
    ("defect", "done", "sentence"),
    [
        ("only_one", [IMMEDIATE], "KVM_RUN must return -1 with EINTR"),
        ("padding_written", [IMMEDIATE], "must leave byte"),
        ("exit_reason_written", [("reason", {"value": 5}), IMMEDIATE], "exit_reason must be"),
        ("checked_before_completion", [*LOADING, IMMEDIATE], "must return 0 with"),
        ("doubles_signals", [HELD_BACK], "must be pending once"),
        ("mask_left_by_signal_exit", [("signal", EARLY)], "signal mask alone"),
        ("latched", [IMMEDIATE, RUN], "must return 0"),
    ],
)
def test_a_played_kvm_is_refuted(
    tmp_path: Path, defect: str, done: list[tuple[str, dict[str, Any]]], sentence: str
) -> None:
    program = reproducer(tmp_path, sequence(*done))
    assert ran(program)[0] == 0
    code, said = ran(program, LD_PRELOAD=str(build(tmp_path)), BROKEN_KVM=defect)
    assert code == 1, said
    assert sentence in said


@needs_compiler
def test_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sequence-1.json").write_text(json.dumps(sequence(IMMEDIATE)))
    assert main(["reproduce", str(tmp_path)]) == Exit.HELD
    text = capsys.readouterr().out
    header = text[: text.index("*/")]
    assert catalogue()["preset.repeats"].sentence.split()[0] in header
    assert "on Linux 6.1" in header
    assert "but go on" in header
    assert len(text.splitlines()) <= 280
    assert "xor %eax, %eax */" in text


@needs_compiler
def test_of_the_results_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = Result(
        id="explored.sequences.none-0",
        claim="explored.sequences",
        outcome=TestOutcome.FAILED,
        phase="call",
        reason="",
        message="preset.any_nonzero_value does not hold: With the byte at 128, it ran.",
        detail="",
        duration_s=0.0,
        worker="",
        time=journal.now(),
        properties={SEQUENCE: json.dumps(sequence(IMMEDIATE))},
    )
    with journal.Writer(tmp_path / journal.NAME) as writer:
        writer.session({"kernel": "6.1.0"}, run="x")
        writer.planned({held.id: held.claim})
        writer.result(held)
        writer.end(1)
    assert main(["reproduce", str(tmp_path)]) == Exit.HELD
    text = capsys.readouterr().out
    assert "preset.any_nonzero_value: " in text
    assert "What failed, on Linux 6.1.0: With the byte at 128, it ran." in text


@needs_compiler
@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["--number=2"], Exit.USAGE, "1 failed there"),
        (["-o", "/none/such/file"], Exit.CANNOT_WRITE, "cannot be written"),
    ],
)
def test_what_cannot_be(
    tmp_path: Path, words: list[str], code: Exit, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sequence-1.json").write_text(json.dumps(sequence(IMMEDIATE)))
    assert main(["reproduce", str(tmp_path), *words]) == code
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "holds neither"),
        ("{}", "is no sequence"),
        (json.dumps(sequence(features=("patterns",))), "a VM with patterns"),
    ],
)
def test_what_no_program_is_made_of(
    tmp_path: Path, content: str | None, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "sequence-1.json").write_text(content)
    assert main(["reproduce", str(tmp_path)]) in (Exit.USAGE, Exit.SUITE_ERROR)
    assert why in " ".join(capsys.readouterr().err.split())


def test_a_run_without_sequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with journal.Writer(tmp_path / journal.NAME) as writer:
        writer.session({"kernel": "6.1"}, run="x")
    assert main(["reproduce", str(tmp_path)]) == Exit.USAGE
    assert "neither a random sequence" in " ".join(capsys.readouterr().err.split())


@needs_compiler
@needs_kvm
def test_operations_that_no_c_tells_are_told_call_by_call(tmp_path: Path) -> None:
    under = {"one": "own_breakpoints", "other": "nothing_special", "state": 0, "way": 0, "times": 1}
    file, results = tmp_path / "sequence.json", tmp_path / "results"
    file.write_text(json.dumps(sequence(("under", under))))
    played = {"LD_PRELOAD": str(build(tmp_path)), "BROKEN_KVM": "loses_breakpoints"}
    words = ["explore", f"--replay={file}", f"--output={results}"]
    done = subprocess.run(
        [sys.executable, "-m", "tools.cli", *words],
        env={**os.environ, **played},
        capture_output=True,
        text=True,
    )
    assert done.returncode == Exit.FAILED, done.stdout + done.stderr
    program = compiled(tmp_path, results)
    assert ran(program) == (0, "KVM did what it must.\n")
    code, said = ran(program, **played)
    assert code == 1
    assert "under own_breakpoints and nothing_special" in said
