# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the steps of the guest's program as assembly, one script behind the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from guest_blobs import memory_map as at
from harness.kvm.arch.x86_64.devices import (
    MSR,
    PORT_DONE,
    PORT_IN,
    PORT_OUT,
    PORT_STRING_IN,
    PORT_STRING_OUT,
)
from harness.model.program import MASK, Step
from harness.model.steps import SCRATCH
from harness.model.x86_64 import MSR_PLACES, PLACES, STRING, STRING_BYTES

LOG = 0x50000
STEPS_DONE, RELEASED, SPINS, TICKS, NMIS, WRITTEN = range(0x6000, 0x6030, 8)
UNMAPPED = 0x40000000  # behind what the page tables map
_SUFFIX = {1: ("b", "al"), 2: ("w", "ax"), 4: ("l", "eax"), 8: ("q", "rax")}
_EOI, _SPURIOUS, _ICR = 0x80B, 0x80F, 0x830
_VECTOR = 0x20
#: Each by its vector. r11 is where the guest goes on after an exception, rdx then what it tells;
#: r10 where the first trap of a traced step comes.
HANDLERS: Mapping[int, str] = {
    1: "trap",
    2: "nmi",
    3: "breakpoint",
    6: "invalid_opcode",
    13: "general_protection",
    14: "page_fault",
    _VECTOR: "tick",
}


@dataclass(frozen=True)
class PlaceOfStep:
    """Where a step stands: what its labels end with, where its result goes, and whether the guest
    takes exceptions and interrupts."""

    label: str
    log: int
    tables: bool


def assembly(
    scripts: Sequence[Sequence[Step]], *, tables: bool = False, irqchip: bool = False
) -> list[str]:
    """All scripts, one behind the other. Each begins anew as long as no other was written.

    With `tables` the handlers of HANDLERS stand behind them; with an `irqchip` the guest tells it
    of each interrupt's end.
    """
    lines = [".code64"]
    if tables:
        lines += ["start:", "push %rax", "pop %rax"]  # so that the stack is mapped
        if irqchip:
            lines += _write_msr(_SPURIOUS, 0x1FF)
    for number, script in enumerate(scripts):
        lines.append(f"script{number}:")
        for place, step in enumerate(script):
            where = PlaceOfStep(f"{number}_{place}", LOG + 8 * place, tables)
            lines += _STEPS_OF[step.name](step, where)
            if step.name != "end":
                lines.append(f"incq {STEPS_DONE:#x}")
        if number + 1 < len(scripts):
            lines += [f"cmpl ${number + 1}, {WRITTEN:#x}", f"jb script{number}"]
    lines.append(f"jmp script{len(scripts) - 1}")
    return [*lines, *_handlers(irqchip=irqchip)] if tables else lines


def _handlers(*, irqchip: bool) -> list[str]:
    end_of_interrupt = [
        *("push %rax", "push %rcx", "push %rdx"),
        *_write_msr(_EOI, 0),
        *("pop %rdx", "pop %rcx", "pop %rax"),
    ]
    return [
        *("nmi:", f"incq {NMIS:#x}", "iretq"),
        *("tick:", f"incq {TICKS:#x}", *(end_of_interrupt if irqchip else ()), "iretq"),
        *("trap:", "inc %edx", "cmp %r10, (%rsp)", "jne trapped", "or $0x100, %edx"),
        *("trapped:", "iretq"),
        *("page_fault:", "pop %rax", "shl $8, %eax", "mov %cr2, %rdx", "shl $32, %rdx"),
        *("or %rax, %rdx", "or $14, %rdx", "jmp caught"),
        *("general_protection:", "pop %rdx", "shl $8, %edx", "or $13, %edx", "jmp caught"),
        *("invalid_opcode:", "mov $6, %edx", "jmp caught"),
        *("breakpoint:", "mov $3, %edx"),
        *("caught:", "mov %r11, (%rsp)", "iretq"),
    ]


def _number(value: int, register: str = "rax") -> str:
    return f"movabs ${value:#x}, %{register}"


def _logged(place: int) -> str:
    return f"mov %rax, {place:#x}"


def _raising(place: PlaceOfStep, lines: Sequence[str]) -> list[str]:
    """What may raise an exception: its handler goes on behind it, and what it tells is logged."""
    behind = f"behind{place.label}"
    return [f"lea {behind}(%rip), %r11", *lines, f"{behind}:", f"mov %rdx, {place.log:#x}"]


def _nothing(step: Step, at_place: PlaceOfStep) -> list[str]:
    return []


def _store(step: Step, at_place: PlaceOfStep) -> list[str]:
    return [_number(step.value), f"mov %rax, {SCRATCH + step.operand:#x}"]


def _load(step: Step, at_place: PlaceOfStep) -> list[str]:
    return [f"mov {SCRATCH + step.operand:#x}, %rax", _logged(at_place.log)]


def _exchange_add(step: Step, at_place: PlaceOfStep) -> list[str]:
    return [
        _number(step.value),
        f"lock xadd %rax, {SCRATCH + step.operand:#x}",
        _logged(at_place.log),
    ]


def _port_out(step: Step, at_place: PlaceOfStep) -> list[str]:
    suffix, register = _SUFFIX[step.operand]
    return [_number(step.value), f"out{suffix} %{register}, ${PORT_OUT:#x}"]


def _port_in(step: Step, at_place: PlaceOfStep) -> list[str]:
    suffix, register = _SUFFIX[step.operand]
    return [_number(step.value), f"in{suffix} ${PORT_IN:#x}, %{register}", _logged(at_place.log)]


def _mmio(step: Step) -> tuple[str, str]:
    """The register of an access, and its address."""
    return _SUFFIX[step.operand >> 16][1], f"{at.MMIO_BASE + (step.operand & 0xFFFF):#x}"


def _mmio_write(step: Step, at_place: PlaceOfStep) -> list[str]:
    register, address = _mmio(step)
    return [_number(step.value), f"mov %{register}, {address}"]


def _mmio_read(step: Step, at_place: PlaceOfStep) -> list[str]:
    register, address = _mmio(step)
    return [_number(step.value), f"mov {address}, %{register}", _logged(at_place.log)]


def _mmio_add(step: Step, at_place: PlaceOfStep) -> list[str]:
    return [
        _number(step.value),
        f"add %rax, {at.MMIO_BASE + step.operand:#x}",
        *("pushfq", "pop %rax", "and $0x41, %eax", _logged(at_place.log)),
    ]


def _mmio_move(step: Step, at_place: PlaceOfStep) -> list[str]:
    source = at.MMIO_BASE + step.operand
    moved = [f"mov ${source:#x}, %esi", f"mov ${source + 0x800:#x}, %edi", "movsq"]
    return ["push %rsi", "push %rdi", *moved, "pop %rdi", "pop %rsi"]


_SAVE_VECTOR = ("sub $16, %rsp", "movups %xmm0, (%rsp)")
_RESTORE_VECTOR = ("movups (%rsp), %xmm0", "add $16, %rsp")


def _wide_write(step: Step, at_place: PlaceOfStep) -> list[str]:
    return [
        *(*_SAVE_VECTOR, _number(~step.value & MASK), "push %rax", _number(step.value)),
        *("push %rax", "movups (%rsp), %xmm0", f"movups %xmm0, {at.MMIO_BASE + step.operand:#x}"),
        *("add $16, %rsp", *_RESTORE_VECTOR),
    ]


def _wide_read(step: Step, at_place: PlaceOfStep) -> list[str]:
    return [
        *(*_SAVE_VECTOR, f"movups {at.MMIO_BASE + step.operand:#x}, %xmm0", *_SAVE_VECTOR),
        *("pop %rax", "pop %rcx", "sub %rcx, %rax", *_RESTORE_VECTOR, _logged(at_place.log)),
    ]


def _traced(load: str, at_place: PlaceOfStep) -> list[str]:
    behind = f"traced{at_place.label}"
    return [
        *(f"lea {behind}(%rip), %r10", "xor %edx, %edx", "pushfq", "orl $0x100, (%rsp)", "popfq"),
        *(load, f"{behind}:", "pushfq", "andl $~0x100, (%rsp)", "popfq"),
        *("shl $32, %rax", "or %rdx, %rax", _logged(at_place.log)),
    ]


def _traced_in(step: Step, at_place: PlaceOfStep) -> list[str]:
    return _traced(f"inl ${PORT_IN:#x}, %eax", at_place)


def _traced_read(step: Step, at_place: PlaceOfStep) -> list[str]:
    return _traced(f"mov {at.MMIO_BASE + step.operand:#x}, %eax", at_place)


def _string(step: Step, register: str, port: int, move: str) -> list[str]:
    return [
        f"push %r{register}",
        f"mov ${STRING:#x}, %e{register}",
        f"mov ${port:#x}, %dx",
        f"mov ${step.operand}, %ecx",
        f"rep {move}",
        f"pop %r{register}",
    ]


def _string_out(step: Step, at_place: PlaceOfStep) -> list[str]:
    return _string(step, "si", PORT_STRING_OUT, "outsb")


def _string_in(step: Step, at_place: PlaceOfStep) -> list[str]:
    summed = [f"add {STRING + place:#x}, %rax" for place in range(0, STRING_BYTES, 8)]
    lines = _string(step, "di", PORT_STRING_IN, "insb")
    return [*lines, "mov %rcx, %rax", *summed, _logged(at_place.log)]


def _write_msr(index: int, value: int) -> list[str]:
    return [
        f"mov ${index:#x}, %ecx",
        f"mov ${value & 0xFFFFFFFF:#x}, %eax",
        f"mov ${value >> 32:#x}, %edx",
        "wrmsr",
    ]


def _read_msr(index: int, log: int) -> list[str]:
    joined = ["shl $32, %rdx", "or %rdx, %rax", _logged(log)]
    return [f"mov ${index:#x}, %ecx", "rdmsr", *joined]


def _msr_write(step: Step, at_place: PlaceOfStep) -> list[str]:
    lines = _write_msr(MSR, step.value)
    return _raising(at_place, [*lines, "xor %edx, %edx"]) if at_place.tables else lines


def _msr_read(step: Step, at_place: PlaceOfStep) -> list[str]:
    if not at_place.tables:
        return _read_msr(MSR, at_place.log)
    lines = [f"mov ${MSR:#x}, %ecx", "rdmsr", "shl $32, %rdx", "or %rax, %rdx"]
    return _raising(at_place, lines)


def _page_fault(step: Step, at_place: PlaceOfStep) -> list[str]:
    return _raising(at_place, [f"mov ${UNMAPPED + step.operand:#x}, %eax", "mov %rax, (%rax)"])


def _patch(step: Step, at_place: PlaceOfStep) -> list[str]:
    patched = f"patched{at_place.label}"
    return [
        *(f"movl ${step.value & 0xFFFFFFFF:#x}, {patched} + 1(%rip)", f"jmp {patched}"),
        *(f"{patched}:", "mov $0, %eax", _logged(at_place.log)),
    ]


def _cpuid(step: Step, at_place: PlaceOfStep) -> list[str]:
    lines = ["mov $0x40000000, %eax", "xor %ecx, %ecx", "cpuid", "mov %ebx, %eax"]
    return [*lines, _logged(at_place.log)]


def _put(step: Step, at_place: PlaceOfStep) -> list[str]:
    place = PLACES[step.operand]
    if place in MSR_PLACES:
        return _write_msr(MSR_PLACES[place], step.value)
    if place.startswith("xmm"):
        return [
            _number(step.value),
            *("push %rax", "push %rax", f"movups (%rsp), %{place}", "add $16, %rsp"),
        ]
    if place.startswith(("dr", "cr")):
        return [_number(step.value), f"mov %rax, %{place}"]
    return [_number(step.value, place)]


def _get(step: Step, at_place: PlaceOfStep) -> list[str]:
    place = PLACES[step.operand]
    if place in MSR_PLACES:
        return _read_msr(MSR_PLACES[place], at_place.log)
    if place.startswith("xmm"):
        return [
            "sub $16, %rsp",
            f"movups %{place}, (%rsp)",
            "pop %rax",
            "pop %rcx",
            _logged(at_place.log),
        ]
    return [f"mov %{place}, %rax", _logged(at_place.log)]


def _flags(step: Step, at_place: PlaceOfStep) -> list[str]:
    return ["pushfq", "pop %rax", "and $0x200, %eax", _logged(at_place.log)]


def _wait(step: Step, at_place: PlaceOfStep) -> list[str]:
    return [
        f"wait{at_place.label}:",
        f"incq {SPINS:#x}",
        f"cmpl ${step.operand}, {RELEASED:#x}",
        f"jb wait{at_place.label}",
    ]


def _end(step: Step, at_place: PlaceOfStep) -> list[str]:
    return ["xor %eax, %eax", f"outb %al, ${PORT_DONE:#x}"]


_STEPS_OF: Mapping[str, Callable[[Step, PlaceOfStep], list[str]]] = {
    "end": _end,
    "compute": _nothing,
    "store": _store,
    "load": _load,
    "exchange_add": _exchange_add,
    "port_out": _port_out,
    "port_in": _port_in,
    "mmio_write": _mmio_write,
    "mmio_read": _mmio_read,
    "mmio_add": _mmio_add,
    "mmio_move": _mmio_move,
    "string_out": _string_out,
    "string_in": _string_in,
    "msr_write": _msr_write,
    "msr_read": _msr_read,
    "halt": lambda step, at_place: ["hlt"],
    "put": _put,
    "get": _get,
    "flags": _flags,
    "interrupts_on": lambda step, at_place: ["sti", "nop"],
    "interrupts_off": lambda step, at_place: ["cli"],
    "undefined": lambda step, at_place: _raising(at_place, ["ud2"]),
    "protection": lambda step, at_place: _raising(at_place, ["mov $0x1230, %eax", "mov %ax, %ds"]),
    "page_fault": _page_fault,
    "breakpoint": lambda step, at_place: _raising(at_place, ["int3"]),
    "patch": _patch,
    "cpuid": _cpuid,
    "wait": _wait,
    "wide_write": _wide_write,
    "wide_read": _wide_read,
    "traced_in": _traced_in,
    "traced_read": _traced_read,
    "self_interrupt": lambda step, at_place: _write_msr(_ICR, 0x40000 | _VECTOR),
}
