# SPDX-License-Identifier: GPL-2.0-only
"""The models of programs that speak by MMIO are those of their sources, on whatever machine."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

import pytest

from guest_blobs import FOLDER
from harness.kvm.exits import Hypercall, Mmio, PaprHcall, RiscvSbi
from harness.model import steps
from harness.model.answers import Circumstances, ModelVcpu, answers
from harness.model.program import MASK, Step

ARCHITECTURES = ("aarch64", "riscv64", "ppc64le")
END = Step("end")


@pytest.fixture(params=ARCHITECTURES)
def program(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"harness.model.{request.param}")


def source(program: ModuleType) -> str:
    return (FOLDER / program.__name__.rpartition(".")[2] / "script.S").read_text()


def entries(text: str, table: str, prefix: str) -> list[str]:
    """The names in a table of the source."""
    lines = re.findall(rf"ENTRIES\s+{re.escape(table)}, {re.escape(prefix)}, (.*)", text)
    return re.findall(r"\w+", " ".join(lines))


def vcpu(program: ModuleType, *script: Step) -> ModelVcpu:
    return ModelVcpu(program.STEPS, (*script, END), state=program.PROGRAM.first_state)


def results(model: ModelVcpu, *data: bytes) -> tuple[int, ...]:
    """What the log has once these bytes have passed, each by an exit."""
    for each in data:
        (answer,) = answers(model, Circumstances())
        assert answer.exchange
        model = answer.after.exchanged(each)
    return model.completed().at_exit().results


def test_steps_and_places_are_in_the_order_of_the_source(program: ModuleType) -> None:
    text = source(program)
    assert entries(text, "steps", "step_") == list(program.STEPS)
    registers = entries(text, "\\table", "\\verb\\()_v") or entries(text, "\\table", "\\verb\\()_f")
    others = entries(text, "\\table", "\\verb\\()_")
    letter = program.PLACES[0][0]
    assert [f"{letter}{number}" for number in registers] + others == list(program.PLACES)


def test_addresses_are_the_sources(program: ModuleType) -> None:
    found = dict(re.findall(r"#define (\w+)\s+(0x\w+)", source(program)))
    for name in ("LOG", "SCRATCH", "SCRIPT"):
        assert int(found[name], 16) == getattr(steps, name)
    assert f".quad\t{steps._MULTIPLIER}\n" in source(program)


def test_an_access_is_one_exit(program: ModuleType) -> None:
    model = vcpu(program, Step("mmio_write", 8 << 16 | 0xFF8, 0x1122334455667788))
    (answer,) = answers(model, Circumstances())
    assert answer.exchange
    wanted = Mmio(0xD0FF8, 8, True, bytes.fromhex("8877665544332211"))
    assert answer.exchange.accepts(wanted)
    assert not answer.exchange.accepts(Mmio(0xD0FF8, 8, True, bytes(8)))
    pending = answer.after.exchanged(wanted.data)
    (ended,) = answers(pending, Circumstances(byte=1))
    assert (ended.exchange, ended.claim) == (None, "completion.mmio")


def test_what_a_load_gives(program: ModuleType) -> None:
    halfword = 2 << 16 | 0x10
    assert results(vcpu(program, Step("mmio_read", halfword)), b"\xfe\xff") == (0xFFFE,)
    assert results(vcpu(program, Step("mmio_read_signed", halfword)), b"\xfe\xff") == (MASK - 1,)


def test_half_of_a_register_is_extended() -> None:
    program = importlib.import_module("harness.model.aarch64")
    found = results(vcpu(program, Step("mmio_read_half", 1 << 16 | 0x10)), b"\x80")
    assert found == (0xFFFFFF80,)


def test_a_fault_tells_its_address() -> None:
    program = importlib.import_module("harness.model.aarch64")
    assert vcpu(program, Step("page_fault", 8)).at_exit().results == (0x65 | 0x40000008 << 32,)


def test_what_the_calls_give() -> None:
    arm, riscv, ppc = (importlib.import_module(f"harness.model.{name}") for name in ARCHITECTURES)
    assert f"{arm.CALL:#x}" in source(arm)
    assert f"{riscv.EXTENSION:#010x}" in source(riscv)
    (answer,) = answers(vcpu(arm, Step("call", 0, 5)), Circumstances())
    assert answer.exchange
    assert answer.exchange.accepts(Hypercall(arm.CALL, (7,) * 6))
    assert not answer.exchange.accepts(Hypercall(arm.CALL + 1, (7,) * 6))
    (answer,) = answers(vcpu(riscv, Step("call", 0, 5)), Circumstances())
    assert answer.exchange
    said = (riscv.EXTENSION, riscv.FUNCTION)
    assert answer.exchange.accepts(RiscvSbi(*said, (5, *(1,) * 5)))
    assert not answer.exchange.accepts(RiscvSbi(*said, (4, *(1,) * 5)))
    assert f"{ppc.CALL:#x}" in source(ppc)
    (answer,) = answers(vcpu(ppc, Step("call", 0, 5)), Circumstances())
    assert answer.exchange
    assert answer.exchange.accepts(PaprHcall(ppc.CALL, (5, *(1,) * 8)))
    assert not answer.exchange.accepts(PaprHcall(ppc.CALL, (4, *(1,) * 8)))
    for program in (riscv, ppc):
        assert results(vcpu(program, Step("call")), (9).to_bytes(8, "little")) == (2 * 9 + 1,)
