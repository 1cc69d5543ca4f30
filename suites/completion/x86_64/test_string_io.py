# SPDX-License-Identifier: GPL-2.0-only
"""One instruction of many bytes, REP OUTSB and REP INSB: runs that end early finish each."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from guest_blobs import memory_map as at
from harness.kvm import exits
from harness.kvm.arch.x86_64.devices import (
    PORT_DONE,
    PORT_STRING_IN,
    PORT_STRING_OUT,
    answer_io,
)
from harness.kvm.guest import RAM_SLOT, Guest
from harness.require import (
    may_complete,
    require_eintr,
    require_ended,
    require_exit,
    require_same_state,
)
from harness.ways import WayOut
from suites.completion.completed import by_bitmap_and_ring, require_logged
from suites.dimensions import every_guest_mode, every_way, only_on, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("string_io"),
    every_guest_mode,
]

# More than the 1,024 bytes that KVM reads ahead for a REP INSB, and no multiple of it.
LENGTH_IN = 2500
# A REP OUTSB comes byte by byte, an exit each; more than a count of 8 bits.
LENGTH_OUT = 500
BYTES = random.Random("string_io").randbytes(LENGTH_IN)
SOURCE, TARGET = 0x20000, 0x30000
COUNT_WORD, SOURCE_WORD, TARGET_WORD = 0, 1, 2
RECEIVING, BOTH_DONE = 2, 3  # phases of the program
# What one run may move of an instruction that repeats, and which runs are looked at: that takes as
# long as some hundred of them. The last is another one.
REPEATING = ("rcx", "rsi", "rdi")
LOOKED_AT = (1, 2)


def serve_chunks(
    guest: Guest, port: int, length: int, way: WayOut, serve: Callable[[exits.Io], None]
) -> exits.Io:
    """Serves the exits of one instruction of so many bytes, from a normal run on: after each come
    runs of this way until EINTR, then a normal one. The first exit of something else."""
    __tracebackhide__ = True
    chunk = require_exit(guest.vcpu.run_raw(), exits.Io, "At the string instruction")
    bytes_served, number = 0, 0
    also = (*REPEATING, "memory") if port == PORT_STRING_IN else REPEATING
    may_change = may_complete(guest, way, also)
    while chunk.port == port:
        said = f"After {bytes_served} bytes through port {port:#x}"
        left = length - bytes_served
        bytes_served += chunk.size * chunk.count
        if bytes_served > length:
            raise AssertionError(f"{said}, {left} bytes are left, but {chunk}")
        serve(chunk)
        number += 1
        look = number in LOOKED_AT or bytes_served == length
        whole = guest.whole() if look else None
        mailbox = guest.ram.read(at.MAILBOX, at.MAILBOX_SIZE)
        result = way.run(guest)
        if guest.ram.read(at.MAILBOX, at.MAILBOX_SIZE) != mailbox:
            raise AssertionError(
                f"{said} and a re-entry{way.said}, no further instruction may run, "
                "but the guest's mailbox page changed"
            )
        if whole is not None:
            require_same_state(whole, guest.whole(), f"{said} and a re-entry{way.said}", may_change)
        if result.value != 0:
            require_ended(result, way, f"{said} and a re-entry")
            result = guest.vcpu.run_raw()
        chunk = require_exit(result, exits.Io, f"{said}, in the run after the last")
    if bytes_served != length:
        raise AssertionError(f"{length} bytes must pass port {port:#x}, but {bytes_served} did")
    return chunk


@pytest.mark.claim("completion.fragments")
@every_way
def test_string_out(loaded: Guest, way: WayOut) -> None:
    """api.rst, note under KVM_EXIT_MMIO, for each chunk: all bytes leave once, in order."""
    sent = bytearray()
    loaded.ram.write(SOURCE, BYTES[:LENGTH_OUT])
    loaded.set_data(COUNT_WORD, LENGTH_OUT)
    loaded.set_data(SOURCE_WORD, SOURCE)
    loaded.set_data(TARGET_WORD, TARGET)
    after = serve_chunks(
        loaded,
        PORT_STRING_OUT,
        LENGTH_OUT,
        way,
        lambda chunk: sent.extend(chunk.data),
    )
    require_same(bytes(sent), BYTES[:LENGTH_OUT], f"A REP OUTSB completed by runs{way.said}")
    assert (after.port, loaded.phase) == (PORT_STRING_IN, RECEIVING), (
        f"After the last byte of a REP OUTSB its program must go on to the REP INSB, but {after}"
    )


@pytest.mark.claim("completion.fragments")
@every_way
def test_string_in(loaded: Guest, way: WayOut) -> None:
    """The same in the other direction: all bytes come to guest memory, once and in order."""
    loaded.ram.write(TARGET - 16, bytes(LENGTH_IN + 32))
    loaded.set_data(COUNT_WORD, 1)
    loaded.set_data(SOURCE_WORD, SOURCE)
    loaded.set_data(TARGET_WORD, TARGET)
    require_exit(loaded.vcpu.run_raw(), exits.Io, "At the REP OUTSB of one byte")
    loaded.set_data(COUNT_WORD, LENGTH_IN)
    given = bytearray()

    def give(chunk: exits.Io) -> None:
        data = BYTES[len(given) : len(given) + chunk.size * chunk.count]
        answer_io(loaded.vcpu, chunk, data)
        given.extend(data)

    after = serve_chunks(loaded, PORT_STRING_IN, LENGTH_IN, way, give)
    received = loaded.ram.read(TARGET, LENGTH_IN)
    require_same(received, BYTES, f"A REP INSB completed by runs{way.said}")
    beside = loaded.ram.read(TARGET - 16, 16) + loaded.ram.read(TARGET + LENGTH_IN, 16)
    assert beside == bytes(32), (
        "A REP INSB must write its bytes only, but memory beside them changed"
    )
    assert (after.port, loaded.phase, loaded.heartbeat) == (PORT_DONE, BOTH_DONE, 1), (
        f"After the last byte of a REP INSB its program must come to its end, but {after}"
    )


@pytest.mark.claim("completion.read_modify_write")
@by_bitmap_and_ring
def test_string_in_is_logged(dirty_pages: Callable[[Guest], set[int]], loaded: Guest) -> None:
    """api.rst 4.8, KVM_GET_DIRTY_LOG: what the end of an INS stores is dirtied by the guest."""
    loaded.ram.write(TARGET, bytes(LENGTH_IN))
    loaded.set_data(COUNT_WORD, 1)
    loaded.set_data(SOURCE_WORD, SOURCE)
    loaded.set_data(TARGET_WORD, TARGET)
    require_exit(loaded.vcpu.run_raw(), exits.Io, "At the REP OUTSB of one byte")
    loaded.set_data(COUNT_WORD, LENGTH_IN)
    loaded.vm.start_dirty_log(RAM_SLOT)
    chunk = require_exit(loaded.vcpu.run_raw(), exits.Io, "At the REP INSB")
    answer_io(loaded.vcpu, chunk, b"\xa5" * (chunk.size * chunk.count))
    dirty_pages(loaded)
    said = "After a chunk of a REP INSB and a re-entry with immediate_exit=1"
    result = loaded.run_immediate()
    if result.value != 0:
        require_eintr(result, said)
    stored = loaded.ram.read(TARGET, LENGTH_IN).rstrip(b"\0")
    assert stored, f"{said}, some of the bytes must be in memory, but none is"
    require_logged(dirty_pages(loaded), {TARGET: stored}, said)


def require_same(found: bytes, given: bytes, circumstance: str) -> None:
    """The bytes that were given, all of them."""
    __tracebackhide__ = True
    if found != given:
        pairs = zip(found, given, strict=False)
        wrong = next((i for i, pair in enumerate(pairs) if pair[0] != pair[1]), len(found))
        raise AssertionError(
            f"{circumstance} must move {len(given)} bytes in order, but it moved {len(found)}, "
            f"the first wrong one is number {wrong}"
        )
