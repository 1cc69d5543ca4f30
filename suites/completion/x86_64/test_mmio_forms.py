# SPDX-License-Identifier: GPL-2.0-only
"""Instructions of all kinds that reach memory through exits: each byte passes once, in order.

What an instruction stores comes from a register, from guest memory or from variables of KVM's
emulator, and the last of several pieces leaves the kernel in another KVM_RUN than the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from guest_blobs import memory_map as at
from harness.devices.window import Window
from harness.kvm.deep_calls import deep_calls
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.run import RunResult
from harness.kvm.running import Running
from harness.kvm.speech import Word
from harness.kvm.whole import WholeState
from harness.require import may_complete, require_ended, require_said, require_same_state
from harness.ways import BYTE, SIGNAL, WAYS, WayOut
from suites.completion.completed import by_bitmap_and_ring, require_logged
from suites.completion.x86_64 import flags, forms
from suites.completion.x86_64.forms import Form
from suites.dimensions import only_on, pin_guest_mode, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("mmio_forms"),
    pin_guest_mode("protected", "long"),
]

DONE_WORD, FORM_WORD, TO_WORD, FROM_WORD, VALUE_WORD, COUNT_WORD = 1, 3, 4, 5, 6, 8
CALLED_WORD = 9
MOST_PIECES = 64
STORE_OF_16_BITS = 0


def after_deep_calls(guest: Guest) -> RunResult:
    """The same thread, whose kernel stack other system calls have used meanwhile."""
    deep_calls()
    return guest.run_immediate()


def on_another_thread(guest: Guest) -> RunResult:
    """A thread that made no KVM_RUN before."""
    guest.vcpu.immediate_exit = 1
    try:
        with Running(guest) as running:
            return running.outcome()
    finally:
        guest.vcpu.immediate_exit = 0


every_thread = pytest.mark.parametrize(
    "way",
    [
        BYTE,
        SIGNAL,
        replace(BYTE, run=after_deep_calls),
        replace(BYTE, run=on_another_thread),
    ],
    ids=["same_thread", "signal", "after_deep_calls", "another_thread"],
)


class Turns:
    """The program, turn by turn: an instruction each."""

    def __init__(self, guest: Guest, window: int = at.MMIO_BASE) -> None:
        """The first turn stores to RAM only, and ends at the sync."""
        self.guest, self.window = guest, Window(guest, window)
        self.width = 8 if guest.mode == "long" else 4
        self._set(Form("MOV to RAM", STORE_OF_16_BITS, forms.RAM, ()))
        require_said(guest.vcpu.run_raw(), Word.SYNC, "In a turn without MMIO")
        self.number = 1

    def _set(self, form: Form) -> None:
        ram, value = self.guest.ram, forms.VALUE
        words = {FORM_WORD: form.number, TO_WORD: form.di, FROM_WORD: form.si}
        words |= {VALUE_WORD: value & (1 << 64) - 1, VALUE_WORD + 1: value >> 64}
        for word, number in (words | {COUNT_WORD: form.count}).items():
            ram.write64(at.data_word(word), number)
        for place, data in form.ram_before.items():
            ram.write(place, data)
        self.window.begin(form.holds)

    def begin(self, form: Form) -> str:
        """To the instruction's first access, by a normal run. The beginning of sentences."""
        self._set(form)
        said = f"At {form.name} in {self.guest.mode} mode"
        self.window.serve(self.guest.vcpu.run_raw(), said)
        return said

    def finish(self, form: Form, way: WayOut) -> None:
        """By re-entries of this way until EINTR; then a normal run goes on to the sync."""
        guest, window = self.guest, self.window
        said = self.begin(form)
        while True:
            self.complete(way, said, form)
            if not form.repeats:
                window.require_moved(form.moves, f"{said}, before EINTR")
                self.require_left(form, said)
                require_ended(way.run(guest), way, f"{said}, on a re-entry after the last")
            result = guest.vcpu.run_raw()
            if not (form.repeats and window.serves(result.exit)):
                break
            window.serve(result, said)
        require_said(result, Word.SYNC, f"{said}, in the normal run after it was completed")
        window.require_moved(form.moves, f"{said} and a normal run")
        self.require_past(form, said)

    def complete(self, way: WayOut, said: str, form: Form) -> None:
        """Re-entries, each of which may bring the next piece, until EINTR; nothing else runs."""
        # What is left by the byte does not hang on the thread, and to ask for all of it takes long.
        whole = self.guest.whole() if way in WAYS else None
        registers, before = self._registers(), self._mailbox()
        for _ in range(MOST_PIECES):
            result = way.run(self.guest)
            assert self._mailbox() == before, (
                f"{said} and a re-entry{way.said}, no further instruction may run, "
                "but the guest's mailbox page changed"
            )
            if result.value != 0:
                require_ended(result, way, f"{said} and a re-entry")
                self._require_registers(registers, f"{said} and its completion{way.said}", form)
                if whole is not None:
                    self._require_rest(whole, way, said, form)
                return
            self.window.serve(result, said)
        raise AssertionError(f"{said}, {MOST_PIECES} re-entries{way.said} gave no EINTR")

    def _registers(self) -> Mapping[str, int]:
        return self.guest.architecture.registers(self.guest.vcpu)

    def _require_registers(self, before: Mapping[str, int], said: str, form: Form) -> None:
        """As before, but for those that the form names: at its first exit it has changed none."""
        __tracebackhide__ = True
        found = self._registers()
        for name, value in before.items():
            passed = self.guest.architecture.COMPLETION_BITS.get(name, 0)
            if name == "rflags":
                passed |= form.undefined
                value = value if form.flags is None else value & ~flags.STATUS | form.flags
            assert name in ("rip", *form.registers) or not (found[name] ^ value) & ~passed, (
                f"{said}, {name} must be {value:#x}, but it is {found[name]:#x}"
            )

    def _require_rest(self, whole: WholeState, way: WayOut, said: str, form: Form) -> None:
        """Nothing has changed but the registers and the memory that the form names."""
        __tracebackhide__ = True
        wanted = whole if form.repeats else whole.with_memory(form.ram)
        may_change = may_complete(self.guest, way, form.registers)
        said = f"{said} and a re-entry{way.said}"
        require_same_state(wanted, self.guest.whole(), said, may_change)

    def _mailbox(self) -> bytes:
        return self.guest.ram.read(at.MAILBOX, at.MAILBOX_SIZE)

    def require_left(self, form: Form, said: str) -> None:
        """Registers and memory are as the instruction leaves them."""
        found = self._registers()
        for name, value in form.registers.items():
            assert found[name] == value, (
                f"{said} and its completion, {name} must be {value:#x}, but it is {found[name]:#x}"
            )
        for place, data in form.ram.items():
            held = self.guest.ram.read(place, len(data))
            assert held == data, (
                f"{said} and its completion, memory at {place:#x} must hold {data.hex(' ')}, "
                f"but it holds {held.hex(' ')}"
            )

    def require_past(self, form: Form, said: str) -> None:
        """The guest went past it once."""
        self.number += 1
        found = self.guest.data(DONE_WORD)
        assert found == self.number, (
            f"{said}, the guest must have gone past {self.number} instructions, but it counted "
            f"{found}"
        )


@pytest.mark.claim("completion.fragments")
@every_thread
def test_pieces_of_a_store(loaded: Guest, way: WayOut) -> None:
    """arch/x86/kvm/x86.c, complete_emulated_mmio(): the next piece is read from where
    emulator_read_write_onepage() found or left the value."""
    turns = Turns(loaded)
    for form in forms.stores(turns.width, loaded.data(CALLED_WORD)):
        turns.finish(form, way)


@pytest.mark.claim("completion.fragments")
def test_pieces_of_a_store_by_normal_runs(loaded: Guest) -> None:
    """The same without the byte: what completes is the same."""
    turns = Turns(loaded)
    for form in forms.stores(turns.width, loaded.data(CALLED_WORD)):
        run_on(turns, form)


@pytest.mark.claim("completion.fragments")
@every_thread
def test_pieces_of_a_frame(loaded: Guest, way: WayOut) -> None:
    """The same for ENTER. Until commit 0b16e69d17d8 (7.1, and the stable kernels of April 2026) its
    second piece came from the dead stack of em_enter()."""
    turns = Turns(loaded)
    for form in forms.frames(turns.width):
        turns.finish(form, way)


@pytest.mark.claim("completion.fragments")
def test_pieces_of_a_frame_by_normal_runs(loaded: Guest) -> None:
    """The same without the byte."""
    turns = Turns(loaded)
    for form in forms.frames(turns.width):
        run_on(turns, form)


def run_on(turns: Turns, form: Form) -> None:
    """By normal runs to the sync."""
    said = turns.begin(form)
    while turns.window.serves((result := turns.guest.vcpu.run_raw()).exit):
        turns.window.serve(result, said)
    require_said(result, Word.SYNC, f"{said}, once all of it has passed")
    turns.window.require_moved(form.moves, f"{said} and normal runs")
    turns.require_past(form, said)


@pytest.mark.claim("completion.read_modify_write")
@every_thread
def test_load_then_store(loaded: Guest, way: WayOut) -> None:
    """complete_emulated_io() emulates the instruction anew with what was loaded, and what it then
    stores is the result of that same KVM_RUN, before the check of the byte."""
    turns = Turns(loaded)
    for form in (*forms.updates(turns.width), *forms.to_ram(turns.width)):
        turns.finish(form, way)


@pytest.mark.claim("completion.read_modify_write")
def test_load_then_store_by_normal_runs(loaded: Guest) -> None:
    """The same without the byte."""
    turns = Turns(loaded)
    for form in (*forms.updates(turns.width), *forms.to_ram(turns.width)):
        run_on(turns, form)


@pytest.mark.claim("completion.read_modify_write")
@every_thread
def test_half_of_it_in_memory(loaded: Guest, way: WayOut) -> None:
    """arch/x86/kvm/x86.c, emulator_read_write(): of a datum across pages, the half that has memory
    is moved at once, and the other by an exit; the end puts the two together."""
    turns = Turns(loaded, forms.EDGE)
    for form in forms.at_the_edge(turns.width):
        turns.finish(form, way)


@pytest.mark.claim("completion.read_modify_write")
def test_half_of_it_in_memory_by_normal_runs(loaded: Guest) -> None:
    """The same without the byte."""
    turns = Turns(loaded, forms.EDGE)
    for form in forms.at_the_edge(turns.width):
        run_on(turns, form)


@pytest.mark.claim("completion.read_modify_write")
@by_bitmap_and_ring
def test_what_a_completion_stores_is_logged(
    dirty_pages: Callable[[Guest], set[int]], loaded: Guest
) -> None:
    """api.rst 4.8, KVM_GET_DIRTY_LOG: "pages dirtied since the last call", by the guest's own
    instructions, also where the end of one is left to KVM."""
    turns = Turns(loaded)
    loaded.vm.start_dirty_log(RAM_SLOT)
    for form in forms.to_ram(turns.width):
        said = turns.begin(form)
        dirty_pages(loaded)
        turns.complete(BYTE, said, form)
        turns.require_left(form, said)
        require_logged(dirty_pages(loaded), form.ram, f"{said} and an immediate run")
        require_said(loaded.vcpu.run_raw(), Word.SYNC, f"{said}, in a normal run")
        turns.require_past(form, said)
