# SPDX-License-Identifier: GPL-2.0-only
"""Instructions that reach memory through exits, as data: what each moves, and leaves.

The numbers are those of the program mmio_forms. Nothing that locks crosses a line of the host's
cache: some hosts are set to stop a program whose guest does that (split_lock_detect=fatal).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from guest_blobs import memory_map as at
from harness.devices.window import Access
from suites.completion.x86_64 import flags

PAGE_END = at.MMIO_BASE + 0x1000
INSIDE, OTHER = at.MMIO_BASE + 0x2200, at.MMIO_BASE + 0x4400
RAM, EDGE = 0x20000, at.RAM_SIZE  # behind the edge there is nothing
VALUE = 0x1F2E3D4C5B6A79880716253443526170
HELD = 0x8192A3B4C5D6E7F8
NEW = 0x24681357
FCW = 0x37F  # what FNINIT sets
DATA_SEGMENT = 0x10


@dataclass(frozen=True)
class Form:
    """An instruction, at `di` (and `si`), with what the window (`holds`) and RAM have before it.

    `moves` are its accesses of the window in order; `registers` and `ram` what it leaves: the other
    registers are as before it. `flags` are the status flags that it leaves, but for those that are
    `undefined`; None: those before it. A `repeats` is one of several accesses after each of which
    the guest may be entered.
    """

    name: str
    number: int
    di: int
    moves: tuple[Access, ...]
    si: int = 0
    count: int = 0
    holds: tuple[Access, ...] = ()
    registers: Mapping[str, int] = field(default_factory=dict)
    ram_before: Mapping[int, bytes] = field(default_factory=dict)
    ram: Mapping[int, bytes] = field(default_factory=dict)
    repeats: bool = False
    flags: int | None = None
    undefined: int = 0


def _number(value: int, size: int) -> bytes:
    return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def _load(address: int, data: bytes) -> Access:
    return Access(False, address, data)


def _store(address: int, data: bytes) -> Access:
    return Access(True, address, data)


def stores(width: int, call_target: int) -> Iterator[Form]:
    """Stores that cross from one page to the next, or are of 16 bytes; `width` is the mode's."""
    half = PAGE_END - width // 2
    value = _number(VALUE, width)

    def form(name: str, number: int, di: int, data: bytes, **more: object) -> Form:
        return Form(name, number, di, (_store(di, data),), **more)  # type: ignore[arg-type]

    yield form("MOV of 16 bits", 0, PAGE_END - 1, _number(VALUE, 2))
    for before in (1, 2, 3):
        said = f"MOV of 32 bits, {before} before the page's end"
        yield form(said, 1, PAGE_END - before, _number(VALUE, 4))
    for before in range(1, width):
        said = f"MOV of {8 * width} bits, {before} before the page's end"
        yield form(said, 2, PAGE_END - before, value)
    yield form("MOV of a constant", 3, PAGE_END - 1, _number(0x13579BDF, 4))
    yield form("MOV of a segment register", 4, PAGE_END - 1, _number(DATA_SEGMENT, 2))
    yield form("PUSH", 5, half, value, registers={"rsp": half})
    yield form("CALL", 7, half, _number(call_target, width), registers={"rsp": half})
    source, beyond = {RAM: value}, {"rdi": half + width, "rsi": RAM + width}
    yield form("MOVS from RAM", 8, half, value, si=RAM, ram_before=source, registers=beyond)
    yield form("STOS", 9, half, value, registers={"rdi": half + width})
    for before in (8, 4, 13):
        said = f"MOVUPS, {before} before the page's end"
        yield form(said, 10, PAGE_END - before, _number(VALUE, 16))
    yield form("MOVUPS in a page", 10, INSIDE, _number(VALUE, 16))
    yield form("FNSTCW", 11, PAGE_END - 1, _number(FCW, 2))
    many = bytes(range(1, 5 * width + 1))
    yield Form(
        *("REP MOVS from RAM", 12, half - width, (_store(half - width, many),), RAM, 5),
        ram_before={RAM: many},
        registers={"rcx": 0, "rsi": RAM + 5 * width, "rdi": half + 4 * width},
        repeats=True,
    )
    yield Form(
        *("REP STOS", 13, half - width, (_store(half - width, 4 * value),), 0, 4),
        registers={"rcx": 0, "rdi": half + 3 * width},
        repeats=True,
    )


def frames(width: int) -> Iterator[Form]:
    """ENTER, whose store is of a variable of KVM's emulator, across pages."""
    value = _number(VALUE, width)
    for before in range(1, width):
        di = PAGE_END - before
        left = {"rsp": di - 16, "rbp": di}
        said = f"ENTER, {before} before the page's end"
        yield Form(said, 6, di, (_store(di, value),), registers=left)


def updates(width: int) -> Iterator[Form]:
    """Instructions that load from the window and then store, to it or to RAM."""
    held, value = _number(HELD, width), _number(VALUE, width)
    natural, old = int.from_bytes(value, "little"), int.from_bytes(held, "little")
    half = PAGE_END - width // 2

    def update(
        name: str, number: int, di: int, new: int, size: int = width, **more: object
    ) -> Form:
        before = _load(di, held[:size])
        moves = (before, _store(di, _number(new, size)))
        return Form(name, number, di, moves, holds=(before,), **more)  # type: ignore[arg-type]

    for where, di in (("in a page", INSIDE), ("across pages", half)):
        added = flags.of_sum(old, natural, width)
        yield update(f"ADD {where}", 20, di, old + natural, flags=added)
        yield _compared(di, value, value, where)
        yield _compared(di, value, held, f"of another value {where}")
        left = {"rax": old}
        yield update(f"XADD {where}", 24, di, old + natural, registers=left, flags=added)
    one_more = flags.of_sum(old, 1, 4)
    yield update("INC across pages", 21, PAGE_END - 1, old + 1, 4, flags=one_more)
    yield update("XCHG", 22, INSIDE, natural, registers={"rax": old})
    both = {"flags": flags.of_logic(old | natural, 1), "undefined": flags.AF}
    yield update("OR with LOCK", 25, INSIDE, old | natural, 1, **both)
    for where, si, di in (("in a page", INSIDE, OTHER), ("across pages", half, half + 0x2000)):
        loaded = _load(si, held)
        yield Form(
            *(f"MOVS {where}", 8, di, (loaded, _store(di, held)), si),
            holds=(loaded,),
            registers={"rsi": si + width, "rdi": di + width},
        )
    items = [_number(HELD + item, width) for item in range(4)]
    yield Form(
        *("REP MOVS", 12, half + 0x2000),
        moves=tuple(
            access
            for index, item in enumerate(items)
            for access in (
                _load(INSIDE + index * width, item),
                _store(half + 0x2000 + index * width, item),
            )
        ),
        si=INSIDE,
        count=len(items),
        holds=(_load(INSIDE, b"".join(items)),),
        registers={"rcx": 0, "rsi": INSIDE + 4 * width, "rdi": half + 0x2000 + 4 * width},
        repeats=True,
    )
    loaded = _load(half, held)
    yield Form(
        *("POP of a stack in the window", 27, INSIDE, (loaded, _store(INSIDE, held)), half),
        holds=(loaded,),
        registers={"rsp": half + width},
    )


def _compared(di: int, expects: bytes, finds: bytes, where: str) -> Form:
    """CMPXCHG, which stores what it found where that is not what it expects."""
    before, width = _load(di, finds), len(finds)
    expected, found = int.from_bytes(expects, "little"), int.from_bytes(finds, "little")
    return Form(
        *(f"CMPXCHG {where}", 23, di),
        moves=(before, _store(di, _number(NEW, width) if expected == found else finds)),
        si=NEW,
        holds=(before,),
        registers={"rax": found},
        flags=flags.of_difference(expected, found, width),
    )


def to_ram(width: int) -> Iterator[Form]:
    """Instructions that load from the window and store to a page of RAM."""
    held, half = _number(HELD, width), PAGE_END - width // 2
    loaded = _load(half, held)
    yield Form(
        *("MOVS to RAM", 8, RAM, (loaded,), half),
        holds=(loaded,),
        registers={"rsi": half + width, "rdi": RAM + width},
        ram={RAM: held},
    )
    top = at.STACK_TOP - width
    yield Form(
        *("PUSH of an operand in the window", 26, RAM, (loaded,), half),
        holds=(loaded,),
        registers={"rsp": top},
        ram={top: held},
    )
    across = RAM + 0x1000 - width // 2
    yield Form(
        *("MOVS to RAM across pages", 8, across, (loaded,), half),
        holds=(loaded,),
        registers={"rsi": half + width, "rdi": across + width},
        ram={across: held},
    )


def at_the_edge(width: int) -> Iterator[Form]:
    """Instructions whose datum begins in RAM and ends where there is none (RAM_SIZE)."""
    half = width // 2
    di = EDGE - half
    held, value = _number(HELD, width), _number(VALUE, width)
    natural, old = int.from_bytes(value, "little"), int.from_bytes(held, "little")

    def form(name: str, number: int, before: bytes, new: int, **more: object) -> Form:
        after = _number(new, width)
        loaded = (_load(EDGE, before[half:]),) if before else ()
        return Form(
            *(f"{name} from RAM to the window", number, di),
            moves=(*loaded, _store(EDGE, after[half:])),
            holds=loaded,
            ram_before={di: before[:half]},
            ram={di: after[:half]},
            **more,  # type: ignore[arg-type]
        )

    yield form("MOV", 2, b"", natural)
    yield form("PUSH", 5, b"", natural, registers={"rsp": di})
    yield form("ENTER", 6, b"", natural, registers={"rsp": di - 16, "rbp": di})
    added, same = (flags.of_sum(old, natural, width), flags.of_difference(0, 0, width))
    yield form("ADD", 20, held, old + natural, flags=added)
    yield form("CMPXCHG", 23, value, NEW, si=NEW, registers={"rax": natural}, flags=same)
    yield form("XADD", 24, held, old + natural, registers={"rax": old}, flags=added)
    loaded = _load(EDGE, held[half:])
    yield Form(
        *("MOVS from RAM and the window", 8, RAM, (loaded,), di),
        holds=(loaded,),
        registers={"rsi": di + width, "rdi": RAM + width},
        ram_before={di: held[:half]},
        ram={RAM: held},
    )
